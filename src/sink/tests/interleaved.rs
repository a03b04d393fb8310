//! Every order in which the lanes of small stories may come: whatever comes first, comes twice, or is cut, the ledger ends
//! as the story says, and no constraint was violated on the way.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::LOG;
use super::story::Story;
use super::strict::{Script, Strict};
use crate::grant::{Entry, Lane};
use crate::ids::{LogId, Lsn};
use crate::ledger::{LedgerAt, LedgerSettings};
use crate::sink::pace::Throttle;
use crate::sink::place::Place;
use crate::sink::stop::Stop;
use crate::sink::worker::{Progress, Turn, Worker};
use crate::sink::{Item, Pace, What};

const OTHER: LogId = LogId([9; 16]);

/// A seat goes to one, comes back, goes to the next, comes back, and goes to the first one again.
fn one_seat() -> Vec<Story> {
    let mut story = Story::of(LOG);
    story.grant("spring", 1, 1);
    story.back("spring", 1);
    story.grant("spring", 1, 2);
    story.back("spring", 1);
    story.grant("spring", 1, 1);
    vec![story]
}

/// Two users change their seats.
fn two_seats() -> Vec<Story> {
    let mut story = Story::of(LOG);
    story.grant("spring", 1, 1);
    story.grant("spring", 2, 2);
    story.back("spring", 1);
    story.back("spring", 2);
    story.grant("spring", 2, 1);
    story.grant("spring", 1, 2);
    vec![story]
}

/// Two gates in the same topics.
fn two_logs() -> Vec<Story> {
    let mut stories = Vec::new();
    for (log, campaign) in [(LOG, "spring"), (OTHER, "autumn")] {
        let mut story = Story::of(log);
        story.grant(campaign, 1, 1);
        story.back(campaign, 1);
        story.grant(campaign, 1, 2);
        stories.push(story);
    }
    stories
}

/// Two campaigns in two partitions.
fn two_partitions() -> Vec<Story> {
    let mut story = Story::of(LOG);
    for campaign in ["spring", "winter"] {
        story.grant(campaign, 1, 1);
        story.back(campaign, 1);
        story.grant(campaign, 1, 2);
    }
    vec![story]
}

fn lane_of(entry: &Entry) -> Lane {
    Lane::new(entry.kind(), u32::from(&**entry.campaign() == "winter"))
}

/// How records come twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Twice {
    Not,
    AtOnce,
    /// All of them behind all of them.
    Late,
}

/// The records of each lane, in order.
fn deal(stories: &[Story], twice: Twice) -> Vec<Vec<Item>> {
    let mut lanes = BTreeMap::<Lane, Vec<(Entry, Lsn)>>::new();
    let mut last = BTreeMap::<(Lane, LogId), Lsn>::new();
    // Gates that write at the same time take turns.
    let longest = stories.iter().map(|story| story.entries.len()).max().unwrap_or(0);
    for at in 0..longest {
        for entry in stories.iter().filter_map(|story| story.entries.get(at)) {
            let lane = lane_of(entry);
            let prev = last.insert((lane, entry.log()), entry.seq()).unwrap_or(Lsn::ZERO);
            let records = lanes.entry(lane).or_default();
            records.push((entry.clone(), prev));
            if twice == Twice::AtOnce {
                records.push((entry.clone(), prev));
            }
        }
    }
    if twice == Twice::Late {
        lanes.values_mut().for_each(|records| records.extend_from_within(..));
    }
    let item = |lane, (position, (entry, prev)): (u64, (Entry, Lsn))| {
        let what = What::Entry { entry, prev: Some(prev), there: false, raw: None };
        Item { lane, position, next: position + 1, what }
    };
    lanes.into_iter().map(|(lane, records)| (0..).zip(records).map(|record| item(lane, record)).collect()).collect()
}

/// Hands every merge of `lanes` to `take`.
fn merge(lanes: &[Vec<Item>], taken: &mut Vec<usize>, so_far: &mut Vec<Item>, take: &mut dyn FnMut(&[Item])) {
    let mut is_end = true;
    for lane in 0..lanes.len() {
        let Some(item) = lanes[lane].get(taken[lane]) else { continue };
        is_end = false;
        taken[lane] += 1;
        so_far.push(item.clone());
        merge(lanes, taken, so_far, take);
        so_far.pop();
        taken[lane] -= 1;
    }
    if is_end {
        take(so_far);
    }
}

/// How the sink fares.
#[derive(Clone, Copy, Debug)]
struct Way {
    /// Rows of a transaction.
    limit: usize,
    /// Records that come at once.
    at_once: usize,
    /// After so many transactions one is in without an answer, and again, or the sink is killed.
    lost_answers: Option<usize>,
    killed: bool,
}

const WAYS: [Way; 7] = [
    Way { limit: 1000, at_once: 1000, lost_answers: None, killed: false },
    Way { limit: 1, at_once: 1000, lost_answers: None, killed: false },
    Way { limit: 2, at_once: 3, lost_answers: None, killed: false },
    Way { limit: 1, at_once: 1, lost_answers: None, killed: true },
    Way { limit: 1, at_once: 1000, lost_answers: None, killed: true },
    Way { limit: 2, at_once: 2, lost_answers: Some(1), killed: false },
    Way { limit: 1000, at_once: 2, lost_answers: Some(0), killed: true },
];

pub(super) fn worker(ledger: &Strict, script: Script, limit: usize) -> Worker {
    let mut progress = Progress::new();
    progress.limit = limit;
    Worker {
        ledger: Box::new(ledger.clone()),
        feed: Box::new(script),
        settings: LedgerSettings::new(LedgerAt::Sqlite("none".into())),
        owner: "test".into(),
        throttle: Throttle::new(Pace { rows_per_second: None, commits_per_second: None }),
        watermarks: Arc::default(),
        figures: Arc::default(),
        stop: Arc::new(Stop::default()),
        place: Place::new(true, Duration::ZERO),
        progress,
    }
}

/// Turns until nothing is left.
pub(super) fn drive(sink: &mut Worker) -> Result<(), String> {
    for _ in 0..100 {
        let turn = sink.turn().map_err(|fault| fault.line())?;
        if turn == Turn::Idle && sink.feed.is_all(sink.lines()) && sink.turn() == Ok(Turn::Idle) {
            return Ok(());
        }
    }
    Err("it does not come to an end".into())
}

/// Plays one order; what is wrong in the end.
fn play(stories: &[Story], order: &[Item], way: Way) -> Result<(), String> {
    let ledger = Strict::default();
    let mut sink = worker(&ledger, Script::new(order.to_vec(), way.at_once), way.limit);
    let mut idle = 0;
    for _ in 0..1000 {
        ledger.0.lock().unwrap().answered = way.lost_answers;
        sink.progress.limit = way.limit;
        let turn = sink.turn();
        let was_stored = matches!(turn, Ok(Turn::Stored { .. }));
        match turn {
            Ok(Turn::Idle) if sink.feed.is_all(sink.lines()) => idle += 1,
            Ok(_) => idle = 0,
            Err(fault) if fault.passes() => {}
            Err(fault) => return Err(fault.line()),
        }
        if idle == 2 {
            break;
        }
        if way.killed && was_stored {
            sink = worker(&ledger, Script::new(order.to_vec(), way.at_once), way.limit);
        }
    }
    let tables = ledger.0.lock().unwrap();
    if idle < 2 || sink.progress.waiting.parked() > 0 {
        return Err(format!("it does not come to an end: {} are parked", sink.progress.waiting.parked()));
    }
    if !tables.violations.is_empty() || !tables.dead.is_empty() {
        return Err(format!("{:?} {:?}", tables.violations, tables.dead));
    }
    let out = stories.iter().flat_map(Story::out).collect::<Vec<_>>();
    let mut there: Vec<_> =
        tables.grants.iter().map(|((name, seat), grant)| (name.clone(), *seat, grant.seq)).collect();
    there.sort_by_key(|row| out.iter().position(|out| out == row));
    let mut returned: Vec<_> = stories.iter().flat_map(Story::returned).collect();
    let mut moved: Vec<_> = tables.returns.values().map(|back| (back.seq, back.grant)).collect();
    returned.sort_unstable();
    moved.sort_unstable();
    if there != out || moved != returned {
        return Err(format!("there are {there:?} and {moved:?}, not {out:?} and {returned:?}"));
    }
    // All that came is done with.
    let ends = sink.feed.ends().unwrap();
    if sink.lines().next() != ends {
        return Err(format!("the positions are {:?}, not {ends:?}", sink.lines().next()));
    }
    Ok(())
}

type Tell = fn() -> Vec<Story>;

/// All orders in all ways; how many were played.
fn play_all(stories: Tell, twice: &[Twice]) -> Result<usize, String> {
    let (mut played, mut wrong) = (0, Ok(()));
    for twice in twice {
        let stories = stories();
        let lanes = deal(&stories, *twice);
        let mut taken = vec![0; lanes.len()];
        merge(&lanes, &mut taken, &mut Vec::new(), &mut |order| {
            for way in WAYS {
                if wrong.is_ok() {
                    let told: Vec<_> =
                        order.iter().map(|item| (item.lane, item.place().map(|(_, seq)| seq.get()))).collect();
                    wrong = play(&stories, order, way).map_err(|line| format!("{line}: {way:?} {twice:?} {told:?}"));
                    played += 1;
                }
            }
        });
    }
    wrong.map(|()| played)
}

const ALL: [Twice; 3] = [Twice::Not, Twice::AtOnce, Twice::Late];

#[test]
fn the_lanes_of_a_story_may_come_in_any_order() {
    let _world = crate::sabotage::peace::keep();
    let scenes: [(&str, Tell, &[Twice]); 4] = [
        ("one seat", one_seat, &ALL),
        ("two seats", two_seats, &ALL),
        ("two logs", two_logs, &ALL),
        ("two partitions", two_partitions, &[Twice::Not]),
    ];
    for (name, stories, twice) in scenes {
        let played = play_all(stories, twice).unwrap_or_else(|wrong| panic!("{name}: {wrong}"));
        assert!(played >= 1000, "{name}: {played}");
    }
}

/// The same with the promise broken.
#[cfg(feature = "sabotage")]
#[test]
fn a_sink_that_stores_entries_as_they_come_is_noticed() {
    use crate::sabotage::{Sabotage, peace};
    peace::broken(Sabotage::ReturnsUnordered, || {
        for stories in [one_seat as Tell, two_seats, two_logs, two_partitions] {
            assert!(play_all(stories, &[Twice::Not]).is_err());
        }
    });
}
