//! Sessions and the gate over a disk in memory whose sync can be held back: no sockets, no waiting for time.

mod loading;
mod snapshots;

use std::path::Path;
use std::rc::Rc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, RwLockReadGuard};
use std::time::Duration;

use tokio::sync::Notify;

use crate::core::Core;
use crate::grant::GrantUser;
use crate::ids::{CampaignId, LogId, Lsn, Millis};
use crate::journal::memory::MemoryDisk;
use crate::journal::{Appendfsync, Hooks, Journal, Options};
use crate::limits;
use crate::metrics::CampaignFigures;
use crate::sabotage::peace;
use crate::server::gate::{Gate, Loaded};
use crate::server::held::Depends;
use crate::server::session::Session;
use crate::server::{Facts, Wake};
use crate::stories::{Happened, Question};

/// Long enough for any machine; only a failing test waits so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// A gate whose turns the test ends.
struct World {
    gate: Gate,
    disk: MemoryDisk,
    moved: Receiver<()>,
    wake: Wake,
    _peace: Option<RwLockReadGuard<'static, ()>>,
}

impl World {
    fn new() -> World {
        World::build(Some(peace::keep()))
    }

    /// A world in which somebody else sees to peace, or breaks it.
    #[cfg(feature = "sabotage")]
    fn in_any_world() -> World {
        World::build(None)
    }

    fn build(peace: Option<RwLockReadGuard<'static, ()>>) -> World {
        let disk = MemoryDisk::default();
        let wake = Wake::default();
        let (hooks, moved) = hooks(&wake);
        let mut core = Core::new(7);
        let journal = Journal::open(Arc::new(disk.clone()), Path::new("/data"), OPTIONS).expect("an empty disk");
        let (journal, _) = journal.replay(&mut core, hooks.clone(), &mut |_| ()).expect("an empty journal");
        let mut gate = Gate::new(hooks.watermarks, hooks.figures, facts(), wake.clone());
        gate.open(Loaded { core, journal, floor: Millis(0), elsewhere: None });
        World { gate, disk, moved, wake, _peace: peace }
    }

    fn client(&mut self) -> Session {
        let client = self.gate.clients.open("test:1".to_owned(), "gate:1".to_owned(), 0, self.gate.now());
        Session::new(client, true)
    }

    /// Ends turns until everything that was decided is on disk.
    fn settle(&mut self) {
        self.gate.end_turn();
        while !self.gate.is_settled() {
            self.moved.recv_timeout(PATIENCE).expect("the journal moves on");
            self.gate.end_turn();
        }
    }

    /// Waits until a turn's end brings what `done` waits for.
    fn turn_until(&mut self, mut done: impl FnMut(&mut Gate) -> bool) {
        self.gate.end_turn();
        while !done(&mut self.gate) {
            self.moved.recv_timeout(PATIENCE).expect("the journal moves on");
            self.gate.end_turn();
        }
    }

    fn say(&mut self, session: &mut Session, line: &str) {
        session.read(&mut self.gate, format!("{line}\r\n").as_bytes());
        self.gate.end_turn();
    }

    /// What may leave, as one line.
    fn heard(&mut self, session: &mut Session) -> String {
        session.resume(&mut self.gate);
        self.gate.end_turn();
        let bytes = self.gate.release(&mut session.held).to_vec();
        session.held.sent(bytes.len());
        String::from_utf8(bytes).expect("text").replace("\r\n", " ").trim_end().to_owned()
    }

    /// Says, settles, hears.
    fn ask(&mut self, session: &mut Session, line: &str) -> String {
        self.say(session, line);
        self.settle();
        while session.waits_for_room() {
            let before = self.gate.core.applied();
            session.resume(&mut self.gate);
            self.settle();
            // The word of room that was there was taken with the word that all was settled.
            if session.waits_for_room() && self.gate.core.applied() == before {
                self.moved.recv_timeout(PATIENCE).expect("room comes, or the word that there is none");
            }
        }
        self.heard(session)
    }

    fn hold_sync(&self, hold: bool) {
        self.disk.faults(|faults| faults.hold_sync = hold);
    }
}

const OPTIONS: Options = Options {
    segment_bytes: 64 << 10,
    block_bytes: 128,
    batch_bytes_max: 16 << 10,
    appendfsync: Appendfsync::Always,
    known_durable: Lsn::ZERO,
};

/// Hooks that wake the loop, and a word for each time.
fn hooks(wake: &Wake) -> (Hooks, Receiver<()>) {
    let (tell, moved) = sync_channel(64);
    let told = wake.clone();
    let hooks = Hooks {
        watermarks: Arc::default(),
        figures: Arc::default(),
        on_progress: Arc::new(move || {
            told.journal_moved();
            // A full channel tells as much as a longer one.
            let _full = tell.try_send(());
        }),
        on_failure: Arc::new(|error| panic!("the disk does what it should: {error}")),
    };
    (hooks, moved)
}

/// The journal's thread must not wait for a sync that nobody will let go.
impl Drop for World {
    fn drop(&mut self) {
        self.hold_sync(false);
    }
}

fn facts() -> Facts {
    Facts {
        password: None,
        max_clients: 10,
        clients_ceiling: 10,
        needs_password: false,
        appendfsync: "always",
        answers_are_durable: true,
        kafka: "none".to_owned(),
        streams: false,
        answers_are_published: false,
        has_ledger: false,
        ledger_carries_any: true,
        kafka_carries_any: true,
        kafka_carries_returns: true,
        allows_reset: true,
        ledger: "none".to_owned(),
        port: 0,
        bind: String::new(),
        unix_socket: String::new(),
        data: "/data".to_owned(),
        log_id: LogId([7; 16]),
        run_id: String::new(),
        stop: Rc::new(Notify::new()),
    }
}

const GRANTED: &str = "*3 +GRANTED :1 :0";
const ALREADY: &str = "*3 +ALREADY :1 :0";
const SOLD_OUT: &str = "*3 +SOLDOUT :0 :0";

/// Four clients while no sync returns: what each of them hears meanwhile, and then.
fn while_the_sync_is_held(world: &mut World) -> ([String; 5], [String; 5]) {
    let [mut winner, mut loser, mut again, mut reader, mut other] = [(); 5].map(|()| world.client());
    world.ask(&mut winner, "GATE.CREATE quiet LIMIT 0");
    world.ask(&mut winner, "GATE.CREATE busy LIMIT 1");
    world.hold_sync(true);
    world.say(&mut winner, "GATE.CLAIM busy 1");
    world.say(&mut loser, "GATE.CLAIM busy 2");
    world.say(&mut again, "GATE.CLAIM busy 1");
    world.say(&mut reader, "GATE.LIST");
    world.say(&mut other, "GATE.CLAIM quiet 5");
    let mut clients = [winner, loser, again, reader, other];
    let meanwhile = clients.each_mut().map(|client| world.heard(client));
    world.hold_sync(false);
    world.settle();
    (meanwhile, clients.each_mut().map(|client| world.heard(client)))
}

#[test]
fn no_answer_precedes_its_fsync() {
    let (meanwhile, then) = while_the_sync_is_held(&mut World::new());
    assert_eq!(
        meanwhile,
        ["", "", "", "", SOLD_OUT],
        "a quiet campaign refuses while the disk is busy; nobody else hears"
    );
    assert_eq!(then, [GRANTED, SOLD_OUT, ALREADY, "*2 $4 busy $5 quiet", ""]);
}

#[test]
fn every_answer_is_counted_with_the_time_it_was_held() {
    let mut world = World::new();
    let mut client = world.client();
    world.ask(&mut client, "SET a 1");
    world.ask(&mut client, "INCR a\r\nINCR a\r\nPING\r\nGET a");
    world.ask(&mut client, "PING");
    let (_, answers, _) = world.gate.figures.command_seconds.cumulated();
    assert_eq!(answers, 6);
}

#[cfg(feature = "sabotage")]
#[test]
fn answering_at_staged_is_noticed() {
    let (meanwhile, _) =
        peace::broken(crate::sabotage::Sabotage::ReplyAtStaged, || while_the_sync_is_held(&mut World::in_any_world()));
    assert_eq!(meanwhile[..3], [GRANTED, SOLD_OUT, ALREADY], "the check above would fail");
}

#[test]
fn no_grant_leaves_before_it_is_published_where_that_was_asked_for() {
    let mut world = World::new();
    (world.gate.facts.streams, world.gate.facts.answers_are_published) = (true, true);
    let watermarks = Arc::clone(&world.gate.watermarks);
    let [mut winner, mut loser, mut reader, mut other] = [(); 4].map(|()| world.client());
    world.say(&mut winner, "GATE.CREATE busy LIMIT 1");
    world.settle();
    watermarks.published.advance(Lsn::new(1));
    world.settle();
    assert_eq!(world.heard(&mut winner), "+CREATED");
    world.say(&mut winner, "INCR n\r\nGATE.CLAIM busy 1\r\nINCR n");
    world.say(&mut loser, "GATE.CLAIM busy 2");
    world.say(&mut reader, "GATE.SEATS busy 1 10");
    world.say(&mut other, "INCR n\r\nGET n");
    world.settle();
    assert_eq!(world.heard(&mut other), ":3 $1 3", "a plain key waits for the disk alone");
    assert_eq!(world.heard(&mut winner), ":1", "what stands before the grant leaves, what stands behind it waits");
    watermarks.published.advance(Lsn::new(2));
    world.settle();
    assert_eq!([&mut winner, &mut loser, &mut reader].map(|client| world.heard(client)), ["", "", ""]);
    watermarks.published.advance(Lsn::new(3));
    world.settle();
    assert_eq!(world.heard(&mut winner), format!("{GRANTED} :2"));
    assert_eq!(world.heard(&mut loser), SOLD_OUT);
    assert!(world.heard(&mut reader).starts_with("*1 *4 :1 :1 "), "the seat is told");
    world.say(&mut loser, "GATE.CLAIM busy 2");
    assert_eq!(world.heard(&mut loser), SOLD_OUT, "after sell-out nothing is waited for");
    world.gate.figures.kafka_in_flight.set(5);
    world.gate.figures.kafka_trouble.set("away\nfor now");
    let info = world.ask(&mut other, "INFO gate");
    for field in
        ["lsn_published:3 ", "lag_published:1 ", "kafka_in_flight:5 ", "kafka_trouble:away for now ", "stale: "]
    {
        assert!(info.contains(field), "{field}: {info}");
    }
}

#[test]
fn a_reset_and_a_story_wait_for_kafka_as_grants_do() {
    let mut world = World::new();
    (world.gate.facts.streams, world.gate.facts.answers_are_published) = (true, true);
    let watermarks = Arc::clone(&world.gate.watermarks);
    let [mut client, mut asks] = [(); 2].map(|()| world.client());
    world.say(&mut client, "GATE.CREATE spring LIMIT 1\r\nGATE.CLAIM spring 7");
    world.say(&mut asks, "GATE.WHY spring 7");
    world.settle();
    let (_, story) = watermarks.stories.next().expect("it was asked");
    let (seq, what) = (Lsn::new(2), "granted");
    story.set(Ok(vec![Happened { at: Millis(5), what, seat: 1, lsn: seq, seq, leaves: true }])).expect("once");
    assert_eq!(world.heard(&mut asks), "", "Kafka lacks the grant");
    watermarks.published.advance(seq);
    world.settle();
    assert_eq!(world.heard(&mut asks), "*1 *5 :5 +granted :1 :2 +durable");
    assert_eq!(world.heard(&mut client), format!("+CREATED {GRANTED}"));
    assert_eq!(world.ask(&mut client, "FLUSHALL"), "", "Kafka lacks the return");
    watermarks.published.advance(world.gate.core.applied());
    world.settle();
    assert_eq!(world.heard(&mut client), "+OK");
}

#[test]
fn a_published_grant_waits_for_the_disk_all_the_same() {
    let mut world = World::new();
    (world.gate.facts.streams, world.gate.facts.answers_are_published) = (true, true);
    world.gate.watermarks.published.advance(Lsn::new(100));
    let mut client = world.client();
    world.ask(&mut client, "GATE.CREATE busy LIMIT 1");
    world.hold_sync(true);
    world.say(&mut client, "GATE.CLAIM busy 1");
    assert_eq!(world.heard(&mut client), "");
    world.hold_sync(false);
    world.settle();
    assert_eq!(world.heard(&mut client), GRANTED);
}

#[test]
fn a_gate_older_than_the_world_writes_nothing_and_still_tells_what_it_knows() {
    let mut world = World::new();
    let mut client = world.client();
    world.ask(&mut client, "GATE.CREATE spring LIMIT 2\r\nGATE.CREATE full LIMIT 1\r\nSET k v\r\nSET old v EX 60");
    world.ask(&mut client, "GATE.CLAIM spring 1\r\nGATE.CLAIM full 1");
    world.gate.figures.set_stale("the ledger holds\r\ngrants up to 9");
    let stale = "-STALE the ledger holds  grants up to 9";
    let before = world.gate.core.applied();
    for write in ["GATE.CLAIM spring 2", "GATE.CREATE summer LIMIT 1", "GATE.DROP spring FORCE", "INCR n", "SET k w"] {
        assert_eq!(world.ask(&mut client, write), stale, "{write}");
    }
    assert_eq!(world.ask(&mut client, "GATE.CLAIM lost 1"), stale, "it may be in the part that is lost");
    assert_eq!(world.ask(&mut client, "GATE.CLAIM spring 1"), "*3 +ALREADY :1 :1");
    assert_eq!(world.ask(&mut client, "GATE.CLAIM full 2"), SOLD_OUT);
    assert_eq!(world.ask(&mut client, "GET k"), "$1 v");
    assert!(world.ask(&mut client, "INFO gate").contains("stale:STALE the ledger holds  grants up to 9 "));
    world.gate.pass(Duration::from_secs(61));
    world.gate.tick();
    world.settle();
    assert_eq!(world.ask(&mut client, "GET old"), "$-1", "its deadline has passed");
    assert_eq!(world.gate.core.applied(), before, "not even that is written");
}

#[test]
fn a_refusal_waits_behind_the_grant_before_it() {
    let mut world = World::new();
    let mut client = world.client();
    world.ask(&mut client, "GATE.CREATE quiet LIMIT 0");
    world.ask(&mut client, "GATE.CREATE busy LIMIT 1");
    world.hold_sync(true);
    world.say(&mut client, "GATE.CLAIM busy 1\r\nGATE.CLAIM quiet 1\r\nPING");
    assert_eq!(world.heard(&mut client), "");
    world.hold_sync(false);
    world.settle();
    assert_eq!(world.heard(&mut client), format!("{GRANTED} {SOLD_OUT} +PONG"));
}

#[test]
fn the_absence_of_a_key_waits_for_the_sync_of_what_removed_it() {
    let mut world = World::new();
    let [mut writer, mut reader] = [(); 2].map(|()| world.client());
    world.ask(&mut writer, "SET key value");
    world.hold_sync(true);
    world.say(&mut writer, "DEL key");
    world.say(&mut reader, "GET key");
    assert_eq!(world.heard(&mut reader), "");
    world.hold_sync(false);
    world.settle();
    assert_eq!(world.heard(&mut reader), "$-1");
}

#[test]
fn a_hot_counter_costs_one_record_a_batch() {
    let mut world = World::new();
    let mut client = world.client();
    world.ask(&mut client, "SET other 1");
    let before = world.gate.core.applied();
    let lines =
        "INCR hot\r\n".repeat(100) + "PEXPIREAT hot 99999999999999\r\n" + &"INCR hot\r\n".repeat(100) + "GET hot";
    let heard = world.ask(&mut client, &lines);
    assert!(heard.starts_with(":1 :2 :3 ") && heard.ends_with(":199 :200 $3 200"), "{heard}");
    assert_eq!(world.gate.core.applied().get() - before.get(), 3, "a record, the deadline, a record");
}

#[test]
fn without_room_writes_are_refused_refusals_go_on_and_room_heals() {
    let mut world = World::new();
    let mut client = world.client();
    world.ask(&mut client, "GATE.CREATE full LIMIT 1");
    world.ask(&mut client, "GATE.CLAIM full 1");
    world.disk.faults(|faults| faults.room = Some(0));
    let value = "x".repeat(1000);
    let mut kept = 0;
    loop {
        let heard = world.ask(&mut client, &format!("SET key{kept} {value}"));
        if heard.starts_with("-MISCONF Errors writing to the journal") {
            break;
        }
        assert_eq!(heard, "+OK");
        kept += 1;
        assert!(kept < 1000, "a full disk takes no more");
    }
    assert_eq!(world.ask(&mut client, "GATE.CLAIM full 2"), SOLD_OUT);
    assert_eq!(world.ask(&mut client, "GATE.CLAIM full 1"), ALREADY);
    assert_eq!(world.ask(&mut client, "EXISTS key0"), ":1");
    world.disk.faults(|faults| faults.room = None);
    let mut client = Some(client);
    world.turn_until(|gate| {
        let session = client.as_mut().expect("it stays");
        session.read(gate, b"SET healed 1\r\n");
        gate.end_turn();
        session.held.buffer().starts_with(b"+OK") || {
            session.held.seal(Depends::NOTHING, 0);
            let refused = gate.release(&mut session.held).len();
            session.held.sent(refused);
            false
        }
    });
}

#[test]
fn a_key_past_its_deadline_is_removed_by_an_event() {
    let mut world = World::new();
    let mut client = world.client();
    world.ask(&mut client, "SET key value");
    world.ask(&mut client, "SET keeps value PXAT 99999999999999");
    let before = world.gate.core.applied();
    world.ask(&mut client, "EXPIRE key 60");
    world.gate.pass(Duration::from_secs(59));
    world.gate.tick();
    assert_eq!(world.gate.stats.expired_keys, 0);
    world.gate.end_turn();
    world.gate.pass(Duration::from_secs(2));
    world.gate.tick();
    world.settle();
    assert_eq!(world.gate.core.applied().get() - before.get(), 2, "the deadline and the removal");
    assert_eq!(world.gate.stats.expired_keys, 1);
    assert_eq!(world.ask(&mut client, "GET key"), "$-1");
}

#[test]
fn a_hold_past_its_deadline_ends_by_an_event() {
    let mut world = World::new();
    let mut client = world.client();
    world.ask(&mut client, "GATE.CREATE spring LIMIT 5 HOLD 1000");
    world.ask(&mut client, "GATE.CLAIM spring 7");
    let before = world.gate.core.applied();
    let wait = world.gate.until_hold_ends().expect("there is one");
    assert!(wait > Duration::ZERO && wait <= Duration::from_secs(1), "{wait:?}");
    world.gate.pass(Duration::from_secs(1));
    world.gate.tick();
    world.settle();
    assert_eq!(world.gate.core.applied(), before.next(), "its end");
    assert_eq!(world.gate.until_hold_ends(), None);
    assert_eq!(world.ask(&mut client, "GATE.STATUS spring 7"), "*0");
    assert_eq!(world.ask(&mut client, "GATE.CONFIRM spring 7"), "*3 +NONE :0 :5");
}

#[test]
fn who_asks_about_his_hold_when_it_is_over_is_not_told_of_it_whatever_else_is_due() {
    let mut world = World::new();
    let mut client = world.client();
    world.ask(&mut client, "GATE.CREATE spring LIMIT 5000 HOLD 1000");
    let claims: String = (1..=3000).map(|user| format!("GATE.CLAIM spring {user}\r\n")).collect();
    world.ask(&mut client, claims.trim_end());
    world.gate.pass(Duration::from_secs(1));
    // The first turn ends no more than a few of them.
    world.say(&mut client, "GATE.CONFIRM spring 3000");
    world.settle();
    let heard = world.heard(&mut client);
    assert!(heard.starts_with("*3 +NONE :0 :"), "{heard}");
    world.turn_until(|gate| gate.core.campaigns().next().is_some_and(|spring| spring.held == 0));
}

#[test]
fn a_story_is_waited_for_by_who_asked_for_it_alone() {
    let mut world = World::new();
    let [mut asks, mut other] = [(); 2].map(|()| world.client());
    world.ask(&mut other, "GATE.CREATE spring LIMIT 5 USERS ANY");
    world.ask(&mut other, "GATE.CLAIM spring ann");
    assert_eq!(world.ask(&mut asks, "GATE.WHY spring ann\r\nPING"), "");
    assert!(asks.waits_for_helper().is_some() && !asks.may_read());
    assert_eq!(world.ask(&mut other, "GATE.CLAIM spring bob"), "*3 +GRANTED :2 :3");
    let marks = Arc::clone(&world.gate.watermarks);
    let (question, story) = marks.stories.next().expect("it was asked");
    let expected =
        Question { campaign: CampaignId(0), user: GrantUser::Any(b"ann".as_slice().into()), upto: Lsn::new(2) };
    assert_eq!(question, expected, "what came later is no part of it");
    let happened =
        |what, lsn| Happened { at: Millis(5), what, seat: 1, lsn: Lsn::new(lsn), seq: Lsn::new(9), leaves: true };
    story.set(Ok(vec![happened("granted", 2)])).expect("once");
    assert_eq!(world.heard(&mut asks), "*1 *5 :5 +granted :1 :9 +durable +PONG");

    for (line, told) in [
        ("GATE.WHY nobody ann", "-NOCAMPAIGN no campaign 'nobody'; create it with GATE.CREATE"),
        ("GATE.WHY spring", "-ERR wrong number of arguments for 'gate.why' command"),
        (&format!("GATE.WHY spring {}", "n".repeat(65)), "-ERR user must be 1 to 64 bytes long"),
    ] {
        assert_eq!(world.ask(&mut asks, line), told);
    }
    world.ask(&mut other, "GATE.DROP spring FORCE");
    world.ask(&mut asks, "GATE.WHY spring ann");
    let (_, story) = marks.stories.next().expect("what was dropped has a story, too");
    story.set(Err("the disk\r\nis gone".to_owned())).expect("once");
    assert_eq!(world.heard(&mut asks), "-ERR the disk  is gone");
}

#[test]
fn too_many_stories_at_a_time_are_refused() {
    let mut world = World::new();
    let mut first = world.client();
    world.ask(&mut first, "GATE.CREATE spring LIMIT 5");
    let mut waiting: Vec<Session> = (0..=limits::STORIES_WAITING_MAX).map(|_| world.client()).collect();
    let mut heard: Vec<String> = waiting.iter_mut().map(|client| world.ask(client, "GATE.WHY spring 7")).collect();
    let last = heard.pop().unwrap_or_default();
    assert!(last.starts_with("-BUSY ") && heard.iter().all(String::is_empty), "{heard:?} {last}");
    drop(waiting);
    assert_eq!(world.ask(&mut first, "GATE.WHY spring 7"), "", "nobody else waits any more");
}

#[test]
fn a_gate_that_stops_answers_what_was_decided_and_decides_nothing_more() {
    let mut world = World::new();
    let mut client = world.client();
    world.hold_sync(true);
    world.say(&mut client, "INCR a");
    world.gate.stop();
    world.say(&mut client, "INCR a");
    world.hold_sync(false);
    world.settle();
    assert_eq!(world.heard(&mut client), ":1");
    assert_eq!(world.gate.core.applied(), Lsn::new(1));
}

#[test]
fn a_crowd_of_deadlines_is_worked_off_without_waiting_for_a_tick() {
    let mut world = World::new();
    let mut client = world.client();
    let sets: String = (0..1000).map(|key| format!("SET key{key} v EX 60\r\n")).collect();
    world.ask(&mut client, sets.trim_end());
    world.gate.pass(Duration::from_secs(61));
    world.gate.tick();
    world.turn_until(|gate| gate.stats.expired_keys == 1000);
}

#[test]
fn who_heard_closed_is_not_followed_by_a_winner_after_a_restart_with_the_clock_set_back() {
    let mut world = World::new();
    let mut client = world.client();
    world.gate.tick();
    let close = world.gate.now().0 + 5_000;
    world.ask(&mut client, &format!("GATE.CREATE spring LIMIT 5 CLOSE {close}"));
    // The closing batch must not be what marks the time, nor the mark of each minute: far less than that passes.
    let quiet = (0..1000).any(|_| {
        let before = world.disk.files();
        world.gate.tick();
        world.gate.end_turn();
        world.moved.recv_timeout(Duration::from_millis(50)).is_err() && world.disk.files() == before
    });
    assert!(quiet, "an idle journal writes no more");
    world.gate.pass(Duration::from_secs(6));
    assert_eq!(world.ask(&mut client, "GATE.CLAIM spring 1"), "*3 +CLOSED :0 :5");
    let at = |world: &World| {
        let disk = Arc::new(world.disk.after_kill());
        let journal = Journal::open(disk, Path::new("/data"), OPTIONS).expect("sound");
        journal.replay(&mut Core::new(8), hooks(&Wake::default()).0, &mut |_| ()).expect("sound").1.newest_at.0
    };
    // A tick that finds a batch in flight leaves the mark to the next one.
    let marked = (0..1000).any(|_| {
        world.gate.tick();
        world.gate.end_turn();
        let _quiet = world.moved.recv_timeout(Duration::from_millis(10));
        at(&world) >= close
    });
    assert!(marked, "a minute is too late");
}

#[test]
fn campaigns_beyond_the_bound_are_told_together() {
    let mut world = World::new();
    let mut client = world.client();
    let count = crate::limits::FIGURES_CAMPAIGNS_MAX + 10;
    for campaign in 0..count {
        world.ask(&mut client, &format!("GATE.CREATE c{campaign} LIMIT 5\r\nGATE.CLAIM c{campaign} 1"));
    }
    world.ask(&mut client, "GATE.CREATE other LIMIT 5\r\nGATE.CLAIM other 1");
    let sum = |world: &mut World| {
        world.gate.end_turn();
        world.gate.tick();
        let granted: u64 = world.gate.figures.campaigns.iter().map(|entry| entry.granted).sum();
        (world.gate.figures.campaigns.len(), granted)
    };
    let count = count as u64;
    assert_eq!(sum(&mut world), (crate::limits::FIGURES_CAMPAIGNS_MAX + 1, count + 1));
    world.ask(&mut client, "GATE.DROP c3 FORCE\r\nGATE.DROP c1005 FORCE\r\nGATE.CLAIM c1009 2");
    let told = sum(&mut world);
    assert_eq!(told, (crate::limits::FIGURES_CAMPAIGNS_MAX, count + 1), "what was counted together stays counted");
}

fn figures_of(world: &mut World, campaign: &str) -> Option<CampaignFigures> {
    world.gate.end_turn();
    world.gate.tick();
    world.gate.figures.campaigns.get(campaign).map(|figures| *figures)
}

#[test]
fn seats_that_come_back_are_counted_as_given_all_the_same() {
    let mut world = World::new();
    let mut client = world.client();
    world.ask(&mut client, "GATE.CREATE spring LIMIT 3\r\nGATE.CLAIM spring 1\r\nGATE.CLAIM spring 2");
    let given = |world: &mut World| figures_of(world, "spring").map(|figures| (figures.granted, figures.remaining));
    assert_eq!(given(&mut world), Some((2, 1)));
    world.ask(&mut client, "GATE.CANCEL spring 1");
    assert_eq!(given(&mut world), Some((2, 2)));
    world.ask(&mut client, "GATE.CLAIM spring 3");
    assert_eq!(given(&mut world), Some((3, 1)));
}

#[test]
fn a_campaign_with_more_seats_than_a_batch_holds_is_purged_in_steps() {
    for purge in ["GATE.DROP spring PURGE", "FLUSHALL"] {
        let mut world = World::new();
        world.gate.purge_seats = 100;
        let mut client = world.client();
        world.ask(&mut client, "GATE.CREATE spring LIMIT 1000");
        let claims: String = (1..=600).map(|user| format!("GATE.CLAIM spring {user}\r\n")).collect();
        world.ask(&mut client, claims.trim_end());
        let before = world.gate.core.applied();
        assert_eq!(before, Lsn::new(601));
        assert_eq!(world.ask(&mut client, purge), "+OK");
        assert_eq!(world.gate.core.applied(), Lsn::new(before.get() + 601), "600 returns and the drop");
        assert_eq!(figures_of(&mut world, "spring"), None);
        assert_eq!(world.ask(&mut client, "GATE.CREATE spring LIMIT 5"), "+CREATED");
    }
}

#[test]
fn a_campaign_that_goes_without_a_grant_leaves_no_figures() {
    for gone in [
        "GATE.DROP spring FORCE\r\nGATE.DROP other FORCE",
        "GATE.DROP spring PURGE\r\nGATE.DROP other PURGE",
        "FLUSHALL",
    ] {
        let mut world = World::new();
        let mut client = world.client();
        world.ask(&mut client, "GATE.CREATE spring LIMIT 3 HOLD 60000\r\nGATE.CLAIM spring 1");
        world.ask(&mut client, "GATE.CREATE other LIMIT 5");
        let seats = |figures: CampaignFigures| (figures.held, figures.remaining);
        assert_eq!(figures_of(&mut world, "spring").map(seats), Some((1, 2)));
        assert_eq!(figures_of(&mut world, "other").map(seats), Some((0, 5)), "its name is that of the sum");
        world.ask(&mut client, gone);
        assert_eq!(figures_of(&mut world, "spring"), None, "{gone}");
        assert_eq!(figures_of(&mut world, "other").map(seats), Some((0, 0)), "{gone}");
    }
}

#[test]
fn client_reply_silences_what_it_should() {
    let mut world = World::new();
    let mut client = world.client();
    let heard = world.ask(
        &mut client,
        "CLIENT REPLY SKIP\r\nSET a 1\r\nGET a\r\nCLIENT REPLY OFF\r\nINCR a\r\nCLIENT REPLY ON\r\nGET a",
    );
    assert_eq!(heard, "$1 1 +OK $1 2");
}

#[test]
fn a_silenced_write_lets_nothing_behind_it_leave_early() {
    for silence in ["CLIENT REPLY SKIP", "CLIENT REPLY OFF"] {
        let mut world = World::new();
        let mut client = world.client();
        world.ask(&mut client, "GATE.CREATE busy LIMIT 1");
        world.hold_sync(true);
        // One batch is in flight, the next one is open.
        world.say(&mut client, &format!("PING a-long-word-that-leaves-at-once\r\n{silence}\r\nSET a 1"));
        assert_eq!(world.heard(&mut client), "$31 a-long-word-that-leaves-at-once", "{silence}");
        world.say(&mut client, "SET a 2\r\nCLIENT REPLY ON\r\nGATE.CLAIM busy 1");
        // Without the end of a turn the open batch stays where it is, whatever the disk does.
        let first = Lsn::new(2);
        world.hold_sync(false);
        while world.gate.watermarks.durable.get() < first {
            world.moved.recv_timeout(PATIENCE).expect("the first batch is synced");
        }
        world.hold_sync(true);
        world.gate.end_turn();
        let early = world.heard(&mut client);
        assert!(!early.contains("GRANTED"), "{silence}: {early}");
        world.hold_sync(false);
        world.settle();
        assert!(world.heard(&mut client).ends_with(GRANTED), "{silence}");
    }
}

#[test]
fn a_repeated_claim_tells_of_no_seat_that_is_not_on_disk() {
    let mut world = World::new();
    let [mut winner, mut other] = [(); 2].map(|()| world.client());
    world.ask(&mut winner, "GATE.CREATE busy LIMIT 2");
    world.ask(&mut winner, "GATE.CLAIM busy 1");
    world.hold_sync(true);
    world.say(&mut other, "GATE.CLAIM busy 2");
    world.say(&mut winner, "GATE.CLAIM busy 1");
    assert_eq!(world.heard(&mut winner), "", "`remaining` counts the other's seat");
    world.hold_sync(false);
    world.settle();
    assert_eq!(world.heard(&mut winner), ALREADY);
}

#[test]
fn half_a_request_waits_and_a_framing_error_ends_the_connection() {
    let mut world = World::new();
    let mut client = world.client();
    for part in ["*2\r\n$4\r\nIN", "CR\r\n$1\r", "\nk\r\n*1\r\n$4\r\nPI"] {
        client.read(&mut world.gate, part.as_bytes());
        world.gate.end_turn();
    }
    world.settle();
    assert_eq!(world.heard(&mut client), ":1");
    client.read(&mut world.gate, b"NG\r\n*1\r\n!3\r\nPING\r\n");
    world.gate.end_turn();
    assert_eq!(world.heard(&mut client), "+PONG -ERR Protocol error: expected '$', got '!'");
    assert!(client.closing);
}
