//! Campaigns live through everything at once: claims, holds that are confirmed or not, seats that come back, terms that
//! change, and a gate that is killed. What each client was told is held against the gate, the ledger and the audit.
//!
//! `LIFE_OPERATIONS`: how many, for a long run.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use crate::client::Client;
use crate::conversation::Reply;
use crate::level::{Luck, now_ms, rounds, within};
use crate::line::Line;
use crate::peers::mariadb::Database;

const WORKERS: u64 = 6;
/// Users of each worker: nobody else asks for them.
const USERS: u64 = 100;
/// Operations before the crowd turns to the next campaign.
const OPERATIONS_EACH: u64 = 3_000;
const HOLD_MS: i64 = 250;
/// Between two operations of a worker: holds have time to end, and the peers a core.
const BREATH: Duration = Duration::from_millis(1);
/// Nearer to its deadline than this, a hold may be over on the gate's clock.
const DOUBT_MS: i64 = 100;

/// What a worker knows of a seat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Held {
        seat: u32,
        until: i64,
        /// It was asked to confirm it, and the answer was lost.
        doubtful: bool,
        /// It was asked to give it back, and the answer was lost.
        cancelling: bool,
    },
    Granted {
        seat: u32,
        /// As above.
        cancelling: bool,
    },
}

/// By campaign, user and request.
type Book = BTreeMap<(u64, u64, u64), Told>;

/// Who does what.
struct Worker {
    port: u16,
    number: u64,
    luck: Luck,
    client: Option<Client>,
    book: Book,
    confirmed: u64,
    expired: u64,
    /// Grants that came back for sure.
    returned: u64,
}

/// Odd campaigns give a user three seats.
fn per_user(campaign: u64) -> u64 {
    if campaign % 2 == 1 { 3 } else { 1 }
}

fn name(campaign: u64) -> String {
    format!("life-{campaign}")
}

impl Worker {
    /// Asks once; none where there is no answer.
    fn ask(&mut self, line: &str) -> Option<Vec<String>> {
        let client = match self.client.take() {
            Some(client) => Some(client),
            None => Client::connect(self.port).ok(),
        };
        let mut client = client?;
        let words: Vec<&str> = line.split(' ').collect();
        let reply = client.try_call(&words).ok()?;
        if reply.is_error("LOADING") {
            return None;
        }
        self.client = Some(client);
        let text = reply.text().unwrap_or_else(|| panic!("{line}: {reply}"));
        Some(text.split(' ').map(str::to_owned).collect())
    }

    /// Does something; none where there was no answer.
    fn step(&mut self, campaign: u64) -> Option<()> {
        let user = self.number * USERS + self.luck.below(USERS);
        let request = self.luck.below(per_user(campaign));
        let key = (campaign, user, request);
        match (self.luck.below(40), self.book.get(&key).copied()) {
            (0, _) => self.alter(campaign),
            (1..=20, Some(Told::Held { seat, until, doubtful, .. })) => self.confirm(key, seat, until, doubtful),
            (1..=4, Some(Told::Granted { seat, .. })) => self.confirm(key, seat, i64::MAX / 2, false),
            (21..=24, Some(_)) | (5..=14, Some(Told::Granted { .. })) => self.cancel(key),
            _ => self.claim(key),
        }
    }

    fn alter(&mut self, campaign: u64) -> Option<()> {
        let name = name(campaign);
        let line = match self.luck.below(6) {
            0 => format!("GATE.ALTER {name} CLOSE NOW"),
            1 => format!("GATE.ALTER {name} LIMIT {}", 50 + self.luck.below(300)),
            _ => format!("GATE.ALTER {name} CLOSE NONE"),
        };
        let mut client = Client::connect(self.port).ok()?;
        match client.try_call(&line.split(' ').collect::<Vec<_>>()).ok()? {
            Reply::Status(_) => {}
            refused => assert!(refused.is_error("CONFLICT") || refused.is_error("LOADING"), "{line}: {refused}"),
        }
        Some(())
    }

    fn claim(&mut self, key: (u64, u64, u64)) -> Option<()> {
        let (campaign, user, request) = key;
        let id = if per_user(campaign) > 1 { format!(" ID r{request}") } else { String::new() };
        let words = self.ask(&format!("GATE.CLAIM {} {user}{id} FLAT", name(campaign)))?;
        let number = |place: usize| words[place].parse::<i64>().unwrap();
        let known = self.book.get(&key).copied();
        match (words[0].as_str(), known) {
            ("HELD", _) => {
                let (seat, until) = (number(1) as u32, number(3));
                assert!(
                    !matches!(known, Some(Told::Granted { cancelling: false, .. })),
                    "{key:?}: {words:?}, but it was granted: {known:?}"
                );
                let again = matches!(known, Some(Told::Held { seat: there, until: ends, .. }) if (there, ends) == (seat, until));
                if let Some(Told::Held { until: ends, cancelling: false, .. }) = known
                    && !again
                {
                    assert!(ends <= now_ms() + DOUBT_MS, "{key:?}: {words:?}, but until {ends} it was {known:?}");
                    self.expired += 1;
                }
                self.forget_seat(campaign, user, seat);
                let doubtful = again && matches!(known, Some(Told::Held { doubtful: true, .. }));
                self.book.insert(key, Told::Held { seat, until, doubtful, cancelling: false });
            }
            ("ALREADY", Some(Told::Granted { seat, .. })) => {
                assert_eq!(number(1), i64::from(seat), "{key:?}");
                self.book.insert(key, Told::Granted { seat, cancelling: false });
            }
            ("ALREADY", Some(Told::Held { seat, doubtful: true, .. })) if number(1) == i64::from(seat) => {
                self.book.insert(key, Told::Granted { seat, cancelling: false });
            }
            ("SOLDOUT" | "CLOSED", None) => {}
            (
                "SOLDOUT" | "CLOSED",
                Some(Told::Held { cancelling: true, .. } | Told::Granted { cancelling: true, .. }),
            ) => {
                self.book.remove(&key);
            }
            ("SOLDOUT" | "CLOSED", Some(Told::Held { until, .. })) => {
                assert!(until <= now_ms() + DOUBT_MS, "{key:?}: {words:?}, but until {until} it was {known:?}");
                self.book.remove(&key);
                self.expired += 1;
            }
            _ => panic!("{key:?}: {words:?}, but it was {known:?}"),
        }
        Some(())
    }

    /// What the user was told of this seat before is over, whichever request it was for.
    fn forget_seat(&mut self, campaign: u64, user: u64, seat: u32) {
        for request in 0..per_user(campaign) {
            match self.book.get(&(campaign, user, request)) {
                Some(Told::Held { seat: there, .. }) if *there == seat => {
                    self.book.remove(&(campaign, user, request));
                }
                Some(Told::Granted { seat: there, cancelling: true }) if *there == seat => {
                    self.book.remove(&(campaign, user, request));
                }
                Some(Told::Granted { seat: there, .. }) => assert_ne!(*there, seat, "user {user} has it already"),
                Some(Told::Held { .. }) | None => {}
            }
        }
    }

    fn confirm(&mut self, key: (u64, u64, u64), seat: u32, until: i64, doubtful: bool) -> Option<()> {
        let (campaign, user, _) = key;
        let which = if per_user(campaign) > 1 { format!(" SEAT {seat}") } else { String::new() };
        let before = now_ms();
        let Some(words) = self.ask(&format!("GATE.CONFIRM {} {user}{which} FLAT", name(campaign))) else {
            if let Some(Told::Held { doubtful, .. }) = self.book.get_mut(&key) {
                *doubtful = true;
            }
            return None;
        };
        match words[0].as_str() {
            "GRANTED" => {
                assert_eq!(words[1], seat.to_string(), "{key:?}");
                assert!(doubtful || before < until + DOUBT_MS, "{key:?}: confirmed at {before}, held until {until}");
                let before = self.book.insert(key, Told::Granted { seat, cancelling: false });
                self.confirmed += u64::from(matches!(before, Some(Told::Held { .. })));
            }
            "NONE" if self.is_cancelling(key) => drop(self.book.remove(&key)),
            "NONE" => {
                assert!(now_ms() > until - DOUBT_MS, "{key:?}: {words:?} at {before}, held until {until}");
                self.book.remove(&key);
                self.expired += 1;
            }
            _ => panic!("{key:?}: {words:?}"),
        }
        Some(())
    }

    fn is_cancelling(&self, key: (u64, u64, u64)) -> bool {
        matches!(
            self.book.get(&key),
            Some(Told::Held { cancelling: true, .. } | Told::Granted { cancelling: true, .. })
        )
    }

    fn cancel(&mut self, key: (u64, u64, u64)) -> Option<()> {
        let ((campaign, user, _), known) = (key, self.book[&key]);
        let (Told::Held { seat, .. } | Told::Granted { seat, .. }) = known;
        let Some(words) = self.ask(&format!("GATE.CANCEL {} {user} SEAT {seat} FLAT", name(campaign))) else {
            if let Some(Told::Held { cancelling, .. } | Told::Granted { cancelling, .. }) = self.book.get_mut(&key) {
                *cancelling = true;
            }
            return None;
        };
        match (words[0].as_str(), known) {
            ("CANCELLED", _) => {
                assert_eq!(words[1], seat.to_string(), "{key:?}");
                self.returned += u64::from(matches!(known, Told::Granted { .. }));
            }
            ("NONE", Told::Held { cancelling: true, .. } | Told::Granted { cancelling: true, .. }) => {}
            ("NONE", Told::Held { until, doubtful, .. }) => {
                assert!(!doubtful || now_ms() > until - DOUBT_MS, "{key:?}: {words:?}, but it was {known:?}");
                assert!(now_ms() > until - DOUBT_MS, "{key:?}: {words:?}, but until {until} it was {known:?}");
                self.expired += 1;
            }
            _ => panic!("{key:?}: {words:?}, but it was {known:?}"),
        }
        self.book.remove(&key);
        Some(())
    }
}

/// Rows of a campaign: seat, user, nth.
fn stored(ledger: &Database, campaign: &str) -> BTreeSet<(u32, i64, u16)> {
    let sql = format!("SELECT seat, user_id, nth FROM coupon_grant WHERE campaign = '{campaign}'");
    let rows: Vec<(u32, i64, u16)> = ledger.query(&sql);
    let count = rows.len();
    let rows: BTreeSet<_> = rows.into_iter().collect();
    assert_eq!(rows.len(), count, "no row twice");
    rows
}

/// Granted seats as the gate tells them: seat, user.
fn granted(client: &mut Client, campaign: &str) -> BTreeSet<(u32, i64)> {
    let Reply::Array(rows) = client.call(&format!("GATE.SEATS {campaign} 1 10000")) else { panic!("rows") };
    rows.iter()
        .map(|row| {
            let Reply::Array(row) = row else { panic!("a row: {row}") };
            assert_eq!(row[3].text().as_deref(), Some("GRANTED"), "no hold is left");
            (row[0].int().unwrap() as u32, row[1].int().unwrap())
        })
        .collect()
}

mod long {
    use super::*;
    use crate::peers;

    #[test]
    fn campaigns_with_holds_live_through_kill_9_and_every_confirmed_seat_is_a_row() {
        let told = std::env::var("LIFE_OPERATIONS").ok().and_then(|count| count.parse().ok());
        let operations = told.unwrap_or_else(|| rounds(12_000, 60_000) as u64);
        let campaigns = operations.div_ceil(OPERATIONS_EACH);
        let (kafka, mariadb) = peers::shared();
        let ledger = mariadb.database();
        let mut line = Line::start(&kafka.bootstrap(), &ledger, &[]);
        let mut client = line.gate.client();
        for campaign in 0..campaigns {
            let (name, seats) = (name(campaign), per_user(campaign));
            let created = client.call(&format!("GATE.CREATE {name} LIMIT 250 PERUSER {seats} HOLD {HOLD_MS}"));
            assert_eq!(created.text().as_deref(), Some("CREATED"));
        }
        let mut luck = Luck::new("life");
        let done = AtomicU64::new(0);
        let (mut books, mut kills) = (Vec::new(), 0);
        thread::scope(|scope| {
            let workers: Vec<_> = (0..WORKERS)
                .map(|number| {
                    let (port, luck, done) = (line.gate.port(), luck.fork(), &done);
                    let book = Book::new();
                    let mut worker =
                        Worker { port, number, luck, client: None, book, confirmed: 0, expired: 0, returned: 0 };
                    scope.spawn(move || {
                        loop {
                            let operation = done.fetch_add(1, Ordering::Relaxed);
                            if operation >= operations {
                                return worker;
                            }
                            let mut answered = None;
                            while answered.is_none() {
                                answered = worker.step(operation / OPERATIONS_EACH);
                                thread::sleep(BREATH);
                            }
                        }
                    })
                })
                .collect();
            let every = (operations / 12).max(1);
            while done.load(Ordering::Relaxed) < operations && workers.iter().any(|worker| !worker.is_finished()) {
                if done.load(Ordering::Relaxed) / every > kills {
                    line.gate.kill();
                    line.gate.start_again();
                    kills += 1;
                }
                thread::sleep(Duration::from_millis(1));
            }
            books.extend(workers.into_iter().map(|worker| worker.join().expect("nobody was told what is not true")));
        });
        let mut client = line.gate.client();
        let mut there = Vec::new();
        for campaign in (0..campaigns).map(name) {
            let figure = |client: &mut Client, field: &str| {
                client.call(&format!("GATE.INFO {campaign}")).field(field).and_then(|there| there.int()).unwrap()
            };
            within(Duration::from_secs(90), "all holds are over, all grants are stored", || {
                let over = figure(&mut client, "held") == 0;
                (over && figure(&mut client, "stored") == figure(&mut client, "granted")).then_some(())
            });
            let seats = granted(&mut client, &campaign);
            let counted =
                [figure(&mut client, "granted"), figure(&mut client, "remaining"), figure(&mut client, "limit")];
            assert_eq!(counted[0] + counted[1], counted[2], "{campaign}");
            assert_eq!(counted[0], seats.len() as i64);
            within(Duration::from_secs(90), "the rows are the seats", || {
                let rows = stored(&ledger, &campaign);
                let rows: BTreeSet<_> = rows.iter().map(|(seat, user, _)| (*seat, *user)).collect();
                (rows == seats).then_some(())
            });
            there.push(seats);
        }
        for ((campaign, user, _), told) in books.iter().flat_map(|worker| &worker.book) {
            if let Told::Granted { seat, cancelling: false } = told {
                let is_there = there[*campaign as usize].contains(&(*seat, *user as i64));
                assert!(is_there, "user {user} was told seat {seat} of {}", name(*campaign));
            }
        }
        let sum = |count: fn(&Worker) -> u64| books.iter().map(count).sum::<u64>();
        let (confirmed, expired) = (sum(|worker| worker.confirmed), sum(|worker| worker.expired));
        let returned = sum(|worker| worker.returned);
        let rows: Vec<u64> = ledger.query("SELECT COUNT(*) FROM coupon_return");
        eprintln!(
            "life: {operations} operations, {confirmed} confirmed, {expired} known to have expired, {returned} known to have \
             come back ({} rows of coupon_return), {kills} kills",
            rows[0]
        );
        assert!(rows[0] >= returned, "{rows:?} {returned}");
        assert!(confirmed > 0 && expired > 0 && returned > 0 && kills > 0, "{confirmed} {expired} {returned} {kills}");
        line.audit();
    }
}
