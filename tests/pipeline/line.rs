//! The whole line, from a claim to its row: one gate between a topic and a ledger of its own, and what must be true in
//! the end whatever happened meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::client::Client;
use crate::gate::{End, Gate, binary};
use crate::peers::mariadb::Database;
use crate::peers::unique;

/// How long everything granted may take into the ledger once nothing stands in its way.
const SETTLE: Duration = Duration::from_secs(90);

/// The campaign that the crowd of these tests wants.
pub const CAMPAIGN: &str = "spring";

/// A gate, its topic and its ledger.
#[derive(Debug)]
pub struct Line {
    /// The gate.
    pub gate: Gate,
    /// Its topic.
    pub topic: String,
    /// Its database.
    pub ledger: Database,
    world: Vec<String>,
}

impl Line {
    /// A gate that streams to Kafka and stores in `ledger` with a sink of its own.
    #[track_caller]
    pub fn start(bootstrap: &str, ledger: &Database, more: &[&str]) -> Line {
        let mut line = Line::stopped(bootstrap, ledger, more);
        line.gate.start_again();
        line
    }

    /// The same, never started.
    pub fn stopped(bootstrap: &str, ledger: &Database, more: &[&str]) -> Line {
        let topic = unique("coupon_create");
        let cancel_topic = topic.replace("create", "cancel");
        let topics = ["--kafka-topic", &topic, "--kafka-cancel-topic", &cancel_topic];
        let world = [&topics[..], &["--kafka-brokers", bootstrap, "--ledger", &ledger.url]].concat();
        let options = [&world[..], &["--kafka-partitions", "2"], more].concat();
        let gate = Gate::stopped(&options);
        let world = world.into_iter().map(str::to_owned).collect();
        Line { gate, topic, ledger: ledger.clone(), world }
    }

    /// Gives the other commands of the binary further options.
    pub fn add_to_world(&mut self, options: &[&str]) {
        self.world.extend(options.iter().map(|option| (*option).to_owned()));
    }

    /// From the next start on the gate breaks a promise: one of `Sabotage`.
    #[cfg(feature = "sabotage")]
    pub fn break_promise(&mut self, promise: &str) {
        self.gate.replace_by(broken(promise));
    }

    /// Creates the campaign with so many seats.
    #[track_caller]
    pub fn create(&self, seats: u32) {
        let reply = self.gate.client().call(&format!("GATE.CREATE {CAMPAIGN} LIMIT {seats}"));
        assert_eq!(reply.text().as_deref(), Some("CREATED"), "{reply}");
    }

    /// A number of `GATE.INFO`; `None` where it is null.
    #[track_caller]
    pub fn info(&self, client: &mut Client, field: &str) -> Option<i64> {
        let reply = client.call(&format!("GATE.INFO {CAMPAIGN}"));
        reply.field(field).unwrap_or_else(|| panic!("{field} in {reply}")).int()
    }

    /// Waits until every grant is published and stored.
    #[track_caller]
    pub fn settle(&self) {
        let mut client = self.gate.client();
        let mut seen = String::new();
        let deadline = std::time::Instant::now() + SETTLE;
        loop {
            let [granted, published, stored] = ["granted", "published", "stored"].map(|f| self.info(&mut client, f));
            if published == granted && stored == granted {
                return;
            }
            let now = format!("granted {granted:?}, published {published:?}, stored {stored:?}");
            if std::time::Instant::now() > deadline {
                let info = client.call("INFO").text().unwrap_or_default();
                panic!("not within {SETTLE:?}: {now} (before: {seen})\n{info}\n{}", self.gate.said());
            }
            seen = now;
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Runs another command of the binary on the same data directory, topic and ledger.
    #[track_caller]
    pub fn run(&self, command: &[&str]) -> End {
        let said = Command::new(binary())
            .args(command)
            .arg("--data")
            .arg(self.gate.data())
            .args(&self.world)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&said.stdout) + String::from_utf8_lossy(&said.stderr);
        End { code: said.status.code(), said: text.into_owned() }
    }

    /// The audit, which must agree.
    #[track_caller]
    pub fn audit(&self) {
        let end = self.run(&["audit"]);
        assert_eq!(end.code, Some(0), "the audit:\n{}\nthe gate:\n{}", end.said, self.gate.said());
    }

    /// Seat to user, as the ledger has it.
    #[track_caller]
    pub fn rows(&self) -> BTreeMap<u32, i64> {
        let sql = format!("SELECT seat, user_id FROM coupon_grant WHERE campaign = '{CAMPAIGN}' ORDER BY seat");
        let rows: Vec<(u32, i64)> = self.ledger.query(&sql);
        let count = rows.len();
        let rows: BTreeMap<u32, i64> = rows.into_iter().collect();
        assert_eq!(rows.len(), count, "no seat twice");
        assert_eq!(rows.values().collect::<BTreeSet<_>>().len(), count, "no user twice");
        rows
    }

    /// Everything that was acknowledged is in the ledger as it was told, nothing else is, and the audit agrees.
    #[track_caller]
    pub fn prove(&self, told: &BTreeMap<i64, u32>) {
        self.settle();
        let rows = self.rows();
        for (user, seat) in told {
            assert_eq!(rows.get(seat), Some(user), "user {user} was told seat {seat}");
        }
        let granted = self.info(&mut self.gate.client(), "granted");
        assert_eq!(Some(rows.len() as i64), granted, "one row for each grant");
        self.audit();
    }
}

/// The binary that cargo built with the switches of `Sabotage`, and one of them thrown.
#[cfg(feature = "sabotage")]
fn broken(promise: &str) -> Vec<String> {
    ["env", &format!("SABOTAGE={promise}"), env!("CARGO_BIN_EXE_coupon-gate")].map(str::to_owned).to_vec()
}

/// A `coupon-gate sink` of its own.
#[derive(Debug)]
pub struct SinkProcess {
    held: crate::peers::Held,
}

impl SinkProcess {
    /// Fills the ledger of `line` from its topic; `name` tells its words from those of others.
    pub fn start(line: &Line, name: &str, more: &[&str]) -> SinkProcess {
        let said = line.gate.home().join(format!("{name}.txt"));
        let mut command = vec![binary(), "sink".into()];
        command.extend(line.world.iter().cloned());
        command.extend(["--admin", "none"].map(str::to_owned));
        command.extend(more.iter().map(|option| (*option).to_owned()));
        SinkProcess { held: crate::peers::Held::start(&command, &said, None) }
    }

    /// Its process.
    pub fn held(&self) -> &crate::peers::Held {
        &self.held
    }

    /// `kill -9`.
    pub fn kill(self) {
        self.held.kill();
    }
}
