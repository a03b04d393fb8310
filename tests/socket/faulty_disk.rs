//! A disk that fails, loses or is slow, under the real binary: a shim between it and the C library (`faulty_disk.c`),
//! whose file says what befalls the segments. Beside it, `no_room` has the disk that is full.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::conversation::{Reply, encode};
use crate::crash::{Record, check, load_until};
use crate::gate::{End, Gate};
use crate::ledger;
use crate::level::{Luck, rounds, until};

/// The shim, built once.
fn shim() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join("faulty_disk.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/socket/faulty_disk.c");
        let mut build = Command::new("cc");
        let output =
            build.args(["-Wall", "-Werror", "-O1", "-shared", "-fPIC", "-o"]).arg(&program).arg(source).arg("-ldl");
        let output = output.output().expect("a C compiler: apt-get install gcc libc6-dev");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        program
    })
}

/// A gate on a disk with faults.
struct Faulty {
    gate: Gate,
    orders: PathBuf,
}

impl Faulty {
    fn start() -> Faulty {
        let gate = Gate::stopped(&[]);
        let (orders, data) = (gate.home().join("faults"), gate.data().to_path_buf());
        let program =
            ["env".to_owned(), format!("LD_PRELOAD={}", shim().display()), format!("FAULTY_DISK={}", orders.display())];
        let mut faulty = Faulty { gate: gate.through(&program, data), orders };
        faulty.gate.start_again();
        faulty
    }

    /// From here on; nothing means no faults.
    fn order(&self, what: &str) {
        // Renamed into its place, so that nobody reads half of it.
        let new = self.orders.with_extension("new");
        fs::write(&new, what).unwrap();
        fs::rename(&new, &self.orders).unwrap();
    }

    fn count(&self, of: &str) -> u64 {
        fs::metadata(self.orders.with_extension(of)).map_or(0, |file| file.len())
    }

    fn create(&self, campaign: &str, limit: u64) -> Vec<String> {
        let reply = self.gate.client().call(&format!("GATE.CREATE {campaign} LIMIT {limit}"));
        assert_eq!(reply.to_string(), "CREATED");
        vec![campaign.to_owned()]
    }
}

/// The process ends by itself: code 5, the file, and what to do.
#[track_caller]
fn ended_by_its_disk(gate: &mut Gate, doing: &str) {
    let End { code, said } = gate.wait();
    assert_eq!(code, Some(5), "{said}");
    for part in [doing, ".seg", "Input/output error", "nothing is answered from here on", "start again"] {
        assert!(said.contains(part), "'{part}' is missing in:\n{said}");
    }
}

fn a_fault_ends_it(fault: &str, doing: &str) {
    let mut luck = Luck::new(fault);
    let mut faulty = Faulty::start();
    let mut record = Record::default();
    for round in 0..rounds(2, 8) {
        let campaigns = faulty.create(&format!("round-{round}"), crate::crash::SEATS);
        let faults = faulty.count("faults");
        let enough = 1 + luck.below(3000);
        let heard = load_until(&faulty.gate, &mut luck, &campaigns, &record, enough, || faulty.order(fault));
        ended_by_its_disk(&mut faulty.gate, doing);
        assert!(faulty.count("faults") > faults, "the fault befell it");
        heard.into_iter().for_each(|part| record += part);
        faulty.order("");
        faulty.gate.start_again();
        check(&mut faulty.gate.client(), &mut record, &campaigns);
        let seats = ledger::seats(&mut faulty.gate.client(), &campaigns[0]);
        ledger::wait_for(&ledger::path(&faulty.gate), &campaigns[0], &seats);
    }
    assert_eq!(faulty.gate.stop().code, Some(0));
}

#[test]
fn a_failed_fsync_ends_the_process_with_code_5_and_no_answer_is_lost() {
    a_fault_ends_it("fail-sync", "syncing");
}

#[test]
fn a_failed_write_ends_the_process_with_code_5_and_no_answer_is_lost() {
    a_fault_ends_it("fail-write", "writing");
}

/// What the two tests above would say of a gate whose answers are not on the disk.
#[test]
fn a_disk_that_loses_writes_is_noticed_by_the_check_of_answers() {
    let mut luck = Luck::new("a disk that loses writes");
    let mut faulty = Faulty::start();
    let campaigns = faulty.create("lost", crate::crash::SEATS);
    faulty.order("lose-writes");
    let kill = || faulty.gate.signal(Signal::KILL);
    let heard = load_until(&faulty.gate, &mut luck, &campaigns, &Record::default(), 500, kill);
    faulty.gate.kill();
    let mut record = Record::default();
    heard.into_iter().for_each(|part| record += part);
    assert!(faulty.count("faults") > 0 && record.answers >= 500, "answers left, and nothing was written");
    faulty.order("");
    faulty.gate.start_again();
    let mut client = faulty.gate.client();
    let checked =
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| check(&mut client, &mut record, &campaigns)));
    assert!(checked.is_err(), "all acknowledged answers are said to be there");
}

/// Claims from so many connections at once, until each has had `each` answers; how long it took in all.
fn claims(gate: &Gate, connections: usize, each: usize, first_user: i64) -> Duration {
    let mut clients: Vec<_> = (0..connections).map(|_| gate.client()).collect();
    let started = Instant::now();
    for round in 0..each {
        for (index, client) in clients.iter_mut().enumerate() {
            let user = first_user + (round * connections + index) as i64;
            client.send_raw(&encode(&["GATE.CLAIM", "spring", &user.to_string()])).unwrap();
        }
        for client in &mut clients {
            let reply = client.read().unwrap();
            assert_eq!(reply.items().expect("a claim is answered")[0], Reply::Status("GRANTED".into()), "{reply}");
        }
    }
    started.elapsed()
}

#[test]
fn on_a_slow_disk_answers_wait_batches_grow_and_nothing_is_lost() {
    const SLOW: Duration = Duration::from_millis(80);
    const CONNECTIONS: usize = 64;
    const EACH: usize = 6;
    let mut faulty = Faulty::start();
    faulty.create("spring", 1_000_000);
    faulty.create("gone", 1);
    let mut client = faulty.gate.client();
    assert_eq!(client.call("GATE.CLAIM gone 1").to_string(), "[GRANTED 1 0]");

    faulty.order(&format!("slow {}", SLOW.as_millis()));
    let started = Instant::now();
    assert_eq!(client.call("GATE.CLAIM spring -1").to_string(), "[GRANTED 1 999999]");
    assert!(started.elapsed() >= SLOW, "an answer waits for its sync");

    // Of a wave of claims each is in the batch under way or in the next one: a few slow syncs for all of them.
    let syncs = faulty.count("syncs");
    let took = claims(&faulty.gate, CONNECTIONS, EACH, 0);
    let syncs = faulty.count("syncs") - syncs;
    let events = (CONNECTIONS * EACH) as u64;
    eprintln!("slow disk: {events} grants in {took:?} with {syncs} syncs of {SLOW:?}");
    assert!(events >= 12 * syncs, "{events} grants took {syncs} syncs");
    assert!(took >= SLOW * EACH as u32, "each wave waits for a sync");

    // Who depends on nothing that is under way does not wait: refusals, while a grant does.
    let mut waiting = faulty.gate.client();
    let before = faulty.count("syncs");
    waiting.send_raw(&encode(&["GATE.CLAIM", "spring", "-2"])).unwrap();
    until("the slow sync has begun", || (faulty.count("syncs") > before).then_some(()));
    let started = Instant::now();
    for user in 2..102 {
        assert_eq!(client.call(&format!("GATE.CLAIM gone {user}")).to_string(), "[SOLDOUT 0 0]");
    }
    let refusals = started.elapsed();
    assert_eq!(waiting.read().unwrap().items().expect("a claim")[0], Reply::Status("GRANTED".into()));
    eprintln!("slow disk: 100 refusals in {refusals:?}");
    assert!(refusals < SLOW * 20, "100 refusals wait for no 100 syncs");

    // Killed within a slow sync: what was answered is there, what was not may be.
    claims(&faulty.gate, CONNECTIONS, 1, 10_000);
    let mut last = faulty.gate.client();
    last.send_raw(&encode(&["GATE.CLAIM", "spring", "20000"])).unwrap();
    faulty.gate.kill();
    faulty.order("");
    faulty.gate.start_again();
    let seats = ledger::seats(&mut faulty.gate.client(), "spring");
    let users: std::collections::BTreeSet<i64> = seats.values().copied().collect();
    let answered = [-1, -2].into_iter().chain(0..events as i64).chain(10_000..10_000 + CONNECTIONS as i64);
    assert!(answered.clone().all(|user| users.contains(&user)), "every answered grant is there");
    assert!(users.len() <= answered.count() + 1, "and nobody else but the one who was not answered");
    ledger::wait_for(&ledger::path(&faulty.gate), "spring", &seats);
    assert_eq!(faulty.gate.stop().code, Some(0));
}
