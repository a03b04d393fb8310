//! `kill -9` at random moments under load. The clients keep a record of every answer they got; after each start all of
//! it must still hold.
//!
//! * `CRASH_ROUNDS`: rounds of the first test, for a long run (`bash tests/crash`).
//! * `CRASH_SNAPSHOTS`: `no` leaves out the snapshots that are otherwise asked for all the while.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::AddAssign;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::process::Signal;

use crate::client::Client;
use crate::conversation::{Reply, encode};
use crate::gate::Gate;
use crate::ledger;
use crate::level::{Luck, rounds, until};

pub const WORKERS: u64 = 8;
const COUNTERS: u64 = 3;
const USERS: u64 = 4000;
pub const SEATS: u64 = 1500;

/// What was sent and what was answered, of all clients and all rounds.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// Seat by campaign and user, as answered.
    seats: BTreeMap<(String, i64), i64>,
    /// Campaigns that said `SOLDOUT` to somebody.
    sold_out: BTreeSet<String>,
    /// Steps sent to a counter, and the highest value it answered.
    counters: BTreeMap<String, (i64, i64)>,
    /// Versions of a key: the last one acknowledged and the last one sent.
    keys: BTreeMap<String, (u64, u64)>,
    pub answers: u64,
}

impl AddAssign for Record {
    fn add_assign(&mut self, other: Record) {
        for (claim, seat) in other.seats {
            let before = *self.seats.entry(claim.clone()).or_insert(seat);
            assert_eq!(before, seat, "{claim:?} heard of two seats");
        }
        self.sold_out.extend(other.sold_out);
        for (name, (sent, highest)) in other.counters {
            let counter = self.counters.entry(name).or_default();
            *counter = (counter.0 + sent, counter.1.max(highest));
        }
        self.keys.extend(other.keys);
        self.answers += other.answers;
    }
}

/// One request of the load.
enum Request {
    Claim { campaign: String, user: i64 },
    Count { counter: String },
    Write { key: String, version: u64 },
}

impl Request {
    fn draw(luck: &mut Luck, worker: u64, campaigns: &[String], versions: &mut BTreeMap<String, u64>) -> Request {
        match luck.below(10) {
            0..=6 => {
                let campaign = campaigns[luck.below(campaigns.len() as u64) as usize].clone();
                Request::Claim { campaign, user: luck.below(USERS) as i64 }
            }
            7 | 8 => Request::Count { counter: format!("counter:{}", luck.below(COUNTERS)) },
            _ => {
                let key = format!("key:{worker}:{}", luck.below(20));
                let version = versions.entry(key.clone()).or_default();
                *version += 1;
                Request::Write { key, version: *version }
            }
        }
    }

    fn encode(&self) -> Vec<u8> {
        match self {
            Request::Claim { campaign, user } => encode(&["GATE.CLAIM", campaign, &user.to_string()]),
            Request::Count { counter } => encode(&["INCR", counter]),
            Request::Write { key, version } => encode(&["SET", key, &value(*version)]),
        }
    }

    /// It leaves: from here on it may have happened.
    fn sent(&self, record: &mut Record) {
        match self {
            Request::Claim { .. } => {}
            Request::Count { counter } => record.counters.entry(counter.clone()).or_default().0 += 1,
            Request::Write { key, version } => record.keys.entry(key.clone()).or_default().1 = *version,
        }
    }

    /// It was answered: from here on it must have happened.
    fn answered(&self, reply: &Reply, record: &mut Record) {
        record.answers += 1;
        match self {
            Request::Claim { campaign, user } => {
                let Some([Reply::Status(status), Reply::Int(seat), _]) = reply.items() else {
                    panic!("a claim is answered {reply}")
                };
                match status.as_str() {
                    "GRANTED" | "ALREADY" => {
                        let before = *record.seats.entry((campaign.clone(), *user)).or_insert(*seat);
                        assert_eq!(before, *seat, "user {user} of {campaign} heard of two seats");
                    }
                    "SOLDOUT" => {
                        record.sold_out.insert(campaign.clone());
                    }
                    _ => panic!("a claim is answered {reply}"),
                }
            }
            Request::Count { counter } => {
                let Reply::Int(value) = reply else { panic!("INCR is answered {reply}") };
                let highest = &mut record.counters.entry(counter.clone()).or_default().1;
                *highest = (*highest).max(*value);
            }
            Request::Write { key, version } => {
                assert_eq!(*reply, Reply::Status("OK".into()));
                record.keys.entry(key.clone()).or_default().0 = *version;
            }
        }
    }
}

/// A value whose length differs from version to version, so that records lie at all offsets.
fn value(version: u64) -> String {
    format!("{version}:{}", "v".repeat((version * 131 % 3000) as usize))
}

/// Asks until the connection breaks; returns what it knows.
pub fn load(
    mut client: Client,
    mut luck: Luck,
    worker: u64,
    campaigns: &[String],
    known: &Record,
    answers: &AtomicU64,
) -> Record {
    let mut versions: BTreeMap<String, u64> = known.keys.iter().map(|(key, (_, sent))| (key.clone(), *sent)).collect();
    let mut record = Record::default();
    for (key, versions) in known.keys.range(format!("key:{worker}:")..format!("key:{worker};")) {
        record.keys.insert(key.clone(), *versions);
    }
    loop {
        let depth = 1 + luck.below(16);
        let requests: Vec<Request> =
            (0..depth).map(|_| Request::draw(&mut luck, worker, campaigns, &mut versions)).collect();
        requests.iter().for_each(|request| request.sent(&mut record));
        if client.send_raw(&requests.iter().flat_map(Request::encode).collect::<Vec<_>>()).is_err() {
            return record;
        }
        for request in &requests {
            let Ok(reply) = client.read() else { return record };
            request.answered(&reply, &mut record);
            answers.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Everything that was answered still holds.
pub fn check(client: &mut Client, record: &mut Record, campaigns: &[String]) {
    for campaign in campaigns {
        let seats = ledger::seats(client, campaign);
        assert!(seats.len() as u64 <= SEATS, "{campaign}: never more than N");
        assert!(seats.keys().all(|&seat| (1..=SEATS as i64).contains(&seat)), "{campaign}: seats 1..=N");
        if record.sold_out.contains(campaign) {
            assert_eq!(seats.len() as u64, SEATS, "{campaign} said SOLDOUT, but has a seat again");
        }
        let users: BTreeMap<i64, i64> = seats.iter().map(|(&seat, &user)| (user, seat)).collect();
        assert_eq!(users.len(), seats.len(), "{campaign}: nobody has two seats");
        for ((_, user), seat) in record.seats.range((campaign.clone(), i64::MIN)..=(campaign.clone(), i64::MAX)) {
            assert_eq!(users.get(user), Some(seat), "{campaign}: user {user} was told seat {seat}");
        }
        // Grants that no answer told of are answered when asked for.
        record.seats.extend(users.into_iter().map(|(user, seat)| ((campaign.clone(), user), seat)));
    }
    let claims: Vec<(&(String, i64), &i64)> = record.seats.iter().rev().step_by(7).take(2000).collect();
    let asked: Vec<String> = claims
        .iter()
        .flat_map(|((campaign, user), _)| {
            [format!("GATE.CLAIM {campaign} {user}"), format!("GATE.STATUS {campaign} {user}")]
        })
        .collect();
    for (((campaign, user), seat), replies) in claims.iter().zip(client.pipeline(&asked).chunks(2)) {
        let claim = replies[0].items().unwrap_or_else(|| panic!("{campaign} {user}: {}", replies[0]));
        assert_eq!(claim[..2], [Reply::Status("ALREADY".into()), Reply::Int(**seat)], "{campaign} {user}");
        let rows = replies[1].items().unwrap_or_else(|| panic!("{campaign} {user}: {}", replies[1]));
        let [row] = rows else { panic!("{campaign} {user}: {}", replies[1]) };
        assert_eq!(row.items().unwrap()[1], Reply::Int(**seat), "{campaign} {user}: {row}");
    }
    for (name, (sent, highest)) in &mut record.counters {
        let value: i64 = client.call(&format!("GET {name}")).text().map_or(0, |text| text.parse().unwrap());
        assert!(value >= *highest, "{name} said {highest} and is {value}");
        assert!(value <= *sent, "{name} is {value} after {sent} steps");
        (*sent, *highest) = (value, value);
    }
    for (key, (acknowledged, sent)) in &mut record.keys {
        let text = client.call(&format!("GET {key}")).text();
        let version = text.as_ref().map_or(0, |text| text.split(':').next().unwrap().parse().unwrap());
        assert!(
            (*acknowledged..=*sent).contains(&version),
            "{key}: {acknowledged} acknowledged, {sent} sent, {version} there"
        );
        assert!(version == 0 || text == Some(value(version)), "{key}: version {version} is whole");
        *acknowledged = version;
    }
}

/// Load until `enough` is answered, then `blow`; what was heard.
pub fn load_until(
    gate: &Gate,
    luck: &mut Luck,
    campaigns: &[String],
    known: &Record,
    enough: u64,
    blow: impl FnOnce(),
) -> Vec<Record> {
    let answers = AtomicU64::new(0);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..WORKERS)
            .map(|worker| {
                // Connected before the first answer, and so before the blow.
                let (client, luck, answers) = (gate.client(), luck.fork(), &answers);
                scope.spawn(move || load(client, luck, worker, campaigns, known, answers))
            })
            .collect();
        until("enough is answered", || (answers.load(Ordering::Relaxed) >= enough).then_some(()));
        blow();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

/// Asks for one snapshot after the other until the connection breaks; how many were begun.
fn snapshots(mut client: Client) -> u64 {
    let mut begun = 0;
    while let Ok(reply) = client.try_call(&["BGSAVE"]) {
        assert!(!reply.is_error("ERR unknown command"), "{reply}");
        begun += u64::from(matches!(reply, Reply::Status(_)));
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    begun
}

/// How many whole ones lie there.
fn snapshots_of(gate: &Gate) -> usize {
    let entries = std::fs::read_dir(gate.data().join("snapshots"));
    let names = entries.into_iter().flatten().map(|entry| entry.unwrap().path());
    names.filter(|path| path.extension().is_some_and(|end| end == "snap")).count()
}

fn crash(test: &str, rounds: usize, options: &[&str], with_snapshots: bool) {
    let mut luck = Luck::new(test);
    let mut gate = Gate::start(options);
    let (mut record, mut campaigns) = (Record::default(), Vec::new());
    let (mut begun, mut second_blows) = (0, 0);
    for round in 0..rounds {
        if round % 3 == 0 {
            let campaign = format!("round-{round}");
            let reply = gate.client().call(&format!("GATE.CREATE {campaign} LIMIT {SEATS}"));
            assert_eq!(reply.to_string(), "CREATED");
            campaigns.push(campaign);
        }
        // The last two are claimed: one near its end, one fresh.
        let active: Vec<String> = campaigns.iter().rev().take(2).cloned().collect();
        let enough = 1 + luck.below(6000);
        let all = round + 1 == rounds;
        if with_snapshots && all {
            // However short the rounds were, the last start begins at a snapshot.
            assert_eq!(gate.client().call("SAVE").to_string(), "OK");
        }
        let heard = std::thread::scope(|scope| {
            let asking = with_snapshots.then(|| gate.client());
            let snapshots = asking.map(|client| scope.spawn(|| snapshots(client)));
            let heard = load_until(&gate, &mut luck, &active, &record, enough, || gate.signal(Signal::KILL));
            begun += snapshots.map_or(0, |thread| thread.join().unwrap());
            heard
        });
        gate.kill();
        heard.into_iter().for_each(|part| record += part);
        if luck.below(4) == 0 {
            // A second blow while it gets up, at whatever point of the replay.
            gate.spawn();
            let breath = std::time::Instant::now() + std::time::Duration::from_micros(luck.below(150_000));
            until("a random moment", || (std::time::Instant::now() >= breath).then_some(()));
            gate.kill();
            second_blows += 1;
        }
        gate.start_again();
        let recent = campaigns.len().saturating_sub(3);
        check(&mut gate.client(), &mut record, &campaigns[if all { 0 } else { recent }..]);
    }
    assert!(record.answers > rounds as u64, "there was load");
    let snapshots = snapshots_of(&gate);
    assert!(!with_snapshots || begun > 0 && (1..=3).contains(&snapshots), "{snapshots} snapshots are there");
    let mut client = gate.client();
    for campaign in &campaigns {
        let seats = ledger::seats(&mut client, campaign);
        ledger::wait_for(&ledger::path(&gate), campaign, &seats);
    }
    let end = gate.stop();
    assert_eq!(end.code, Some(0), "{}", end.said);
    eprintln!(
        "{test}: {rounds} rounds of kill -9, {second_blows} of them with a second one during the start, {} answers, {} grants \
         in {} campaigns, {begun} snapshots begun, {snapshots} there at the end: 0 acknowledged answers lost",
        record.answers,
        record.seats.len(),
        campaigns.len(),
    );
}

/// Whether snapshots are asked for.
fn with_snapshots() -> bool {
    match std::env::var("CRASH_SNAPSHOTS").as_deref() {
        Ok("yes") | Err(_) => true,
        Ok("no") => false,
        Ok(other) => panic!("CRASH_SNAPSHOTS is '{other}', but yes or no is needed"),
    }
}

#[test]
fn every_answer_holds_after_kill_9_at_any_moment() {
    let asked = std::env::var("CRASH_ROUNDS").ok();
    let rounds = asked.map_or(rounds(6, 40), |asked| asked.parse().expect("CRASH_ROUNDS is a number"));
    crash("kill -9, always", rounds, &[], with_snapshots());
}

#[test]
fn every_answer_holds_after_kill_9_with_everysec() {
    crash("kill -9, everysec", rounds(3, 15), &["--appendfsync", "everysec"], with_snapshots());
}

#[test]
fn every_answer_holds_after_kill_9_with_no_fsync() {
    crash("kill -9, no", rounds(1, 5), &["--appendfsync", "no"], with_snapshots());
}
