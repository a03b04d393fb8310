//! A full disk: writes are refused with an error that clients know, reads and refusals go on, and service resumes by
//! itself when there is room. The disk is a small tmpfs in a mount namespace of its own (`unshare -m` as root, `unshare
//! -rm` as anybody where the kernel lets users have namespaces), so that nothing stays mounted whatever happens.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::conversation::Reply;
use crate::gate::Gate;
use crate::ledger;
use crate::level::until;

/// Room for three of the smallest segments (40 MiB each) and the ledger beside the ballast.
const DISK: &str = "size=230m";
const BALLAST: &str = "90M";

/// A process that holds a namespace with a small disk, for as long as it lives.
struct SmallDisk {
    holder: Child,
    enter: Vec<String>,
    seen_here: PathBuf,
}

impl SmallDisk {
    fn make() -> SmallDisk {
        let script = format!(
            "set -e; mount -t tmpfs -o {DISK} small /mnt; fallocate -l {BALLAST} /mnt/ballast; echo ready; exec sleep infinity"
        );
        for (unshare, nsenter) in [(&["-m"][..], &["-m"][..]), (&["-r", "-m"], &["-U", "-m", "--preserve-credentials"])]
        {
            let mut holder = Command::new("unshare")
                .args(unshare)
                .args(["sh", "-c", &script])
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .expect("unshare comes with util-linux");
            let mut line = String::new();
            BufReader::new(holder.stdout.take().unwrap()).read_line(&mut line).unwrap();
            if line.trim() == "ready" {
                let pid = holder.id();
                eprintln!("no_room: a tmpfs in a namespace by 'unshare {}'", unshare.join(" "));
                let enter = [
                    &["nsenter".to_owned(), "-t".to_owned(), pid.to_string()],
                    &nsenter.iter().map(|flag| (*flag).to_owned()).collect::<Vec<_>>()[..],
                    &["--".to_owned()],
                ]
                .concat();
                return SmallDisk { holder, enter, seen_here: PathBuf::from(format!("/proc/{pid}/root/mnt")) };
            }
            let _ = holder.kill();
            let _ = holder.wait();
        }
        panic!("neither root nor a user namespace may mount a tmpfs here: run this test where one of them may");
    }
}

impl SmallDisk {
    /// The rows of a campaign, read from a copy: SQLite resolves paths by itself and would look for them out here.
    fn ledger_rows(&self, gate: &Gate, campaign: &str) -> Option<Vec<(i64, i64)>> {
        let copy = gate.home().join("ledger-copy.db");
        let _ = fs::remove_file(gate.home().join("ledger-copy.db-shm"));
        for end in ["", "-wal"] {
            let from = self.seen_here.join(format!("data/ledger.db{end}"));
            let to = gate.home().join(format!("ledger-copy.db{end}"));
            if !from.exists() || fs::copy(&from, &to).is_err() {
                let _ = fs::remove_file(&to);
            }
        }
        ledger::rows(&copy, campaign)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

#[test]
fn without_room_writes_are_refused_and_all_else_goes_on_until_there_is_room() {
    let disk = SmallDisk::make();
    let mut gate = Gate::stopped(&[]).through(&disk.enter, PathBuf::from("/mnt/data"));
    gate.start_again();
    let mut client = gate.client();
    assert_eq!(client.call("GATE.CREATE gone LIMIT 1").to_string(), "CREATED");
    assert_eq!(client.call("GATE.CREATE spring LIMIT 1000").to_string(), "CREATED");
    assert_eq!(client.call("GATE.CLAIM gone 1").to_string(), "[GRANTED 1 0]");
    assert_eq!(client.call("INCR n").to_string(), "1");

    let value = "v".repeat(1 << 20);
    let mut acknowledged = 0;
    let refusal = loop {
        match client.call_args(&["SET", &format!("fill:{acknowledged}"), &value]) {
            Reply::Status(_) => acknowledged += 1,
            reply => break reply,
        }
        assert!(acknowledged < 300, "a disk of {DISK} has an end");
    };
    assert!(refusal.is_error("MISCONF"), "{refusal}");
    assert!(acknowledged > 20, "there was room for {acknowledged} values");
    // What fits into the rest of the segment may still pass: small writes are refused at the latest when it is full.
    let mut number = 1;
    let filler = "f".repeat(100_000);
    until("small writes are refused, too", || {
        match client.call_args(&["SET", "filler", &filler]) {
            Reply::Status(_) => return None,
            reply => assert!(reply.is_error("MISCONF"), "{reply}"),
        }
        match client.call("INCR n") {
            Reply::Int(value) => number = value,
            reply => return reply.is_error("MISCONF").then_some(()),
        }
        None
    });

    // Reads, refusals and repeated claims go on; what would write is refused and leaves no trace.
    assert_eq!(client.call("GATE.CLAIM gone 1").to_string(), "[ALREADY 1 0]");
    assert_eq!(client.call("GATE.CLAIM gone 2").to_string(), "[SOLDOUT 0 0]");
    assert!(client.call("GATE.CLAIM nobody 2").is_error("NOCAMPAIGN"));
    assert_eq!(client.call("GET n").text(), Some(number.to_string()));
    assert_eq!(client.call("STRLEN fill:0").int(), Some(1 << 20));
    assert!(client.call("GATE.CLAIM spring 1").is_error("MISCONF"));
    assert!(client.call("GATE.CREATE more LIMIT 1").is_error("MISCONF"));
    assert!(client.call("DEL n").is_error("MISCONF"));
    assert_eq!(client.call("GATE.STATUS spring 1").to_string(), "[]");
    assert!(client.call("GATE.INFO spring").field("granted") == Some(Reply::Int(0)));
    assert_eq!(gate.client().call("ECHO hello").to_string(), "\"hello\"");

    fs::remove_file(disk.seen_here.join("ballast")).unwrap();
    let first = until("service resumes by itself", || {
        let reply = client.call("GATE.CLAIM spring 1");
        (!reply.is_error("MISCONF")).then_some(reply)
    });
    assert_eq!(first.to_string(), "[GRANTED 1 999]");
    assert_eq!(client.call("INCR n").int(), Some(number + 1));
    let seats = ledger::seats(&mut client, "spring");
    let expected: Vec<(i64, i64)> = seats.into_iter().collect();
    until("the ledger has the grant", || (disk.ledger_rows(&gate, "spring")? == expected).then_some(()));

    gate.kill();
    gate.start_again();
    let mut client = gate.client();
    for index in 0..acknowledged {
        assert_eq!(client.call(&format!("STRLEN fill:{index}")).int(), Some(1 << 20), "fill:{index} was acknowledged");
    }
    assert_eq!(client.call(&format!("EXISTS fill:{acknowledged} more")).to_string(), "0");
    assert_eq!(client.call("GATE.CLAIM spring 1").to_string(), "[ALREADY 1 999]");
    assert_eq!(client.call("GATE.CLAIM gone 1").to_string(), "[ALREADY 1 0]");
    assert_eq!(client.call("INCR n").int(), Some(number + 2));
    assert_eq!(gate.stop().code, Some(0));
}
