//! Backups of stopped gates on a real disk, and what a gate must say to be believed.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, RwLockReadGuard};

use super::*;
use crate::core::Users;
use crate::journal::scribe::{LOG, Scribe};
use crate::settings::{LogFormat, LogLevels, Secret};

struct World {
    home: tempfile::TempDir,
    _calm: RwLockReadGuard<'static, ()>,
}

impl World {
    fn new() -> World {
        let calm = crate::sabotage::peace::keep();
        let world = World { home: tempfile::tempdir().unwrap(), _calm: calm };
        fs::create_dir(world.data()).unwrap();
        let mut scribe = world.scribe();
        scribe.create(0, "spring", 100, Users::Int);
        scribe.grant(0, 1..=40);
        scribe.stop();
        world
    }

    fn data(&self) -> PathBuf {
        self.home.path().join("data")
    }

    fn to(&self) -> PathBuf {
        self.home.path().join("backups/today")
    }

    fn scribe(&self) -> Scribe {
        Scribe::open(&(Arc::new(RealDisk) as Arc<dyn Disk>), &self.data()).unwrap()
    }

    fn settings(&self, to: &Path) -> BackupSettings {
        BackupSettings {
            to: to.to_owned(),
            target: None,
            password: None,
            data: self.data(),
            lock_wait: Duration::ZERO,
            log: LogLevels { default: tracing::level_filters::LevelFilter::OFF, rooms: Vec::new() },
            log_format: LogFormat::Text,
        }
    }

    fn last(dir: &Path) -> Lsn {
        let found =
            journal::look(&RealDisk, dir, &journal::Options::default(), &mut Core::new(0), &mut |_| ()).unwrap();
        found.expect("a journal").1.last_lsn
    }
}

#[test]
fn a_stopped_gate_is_copied_with_its_ledger_and_held_back() {
    let world = World::new();
    let ledger = world.data().join(LEDGER);
    crate::ledger::LedgerSettings::new(crate::ledger::LedgerAt::Sqlite(ledger)).to_write().open().unwrap();
    fs::write(world.data().join(CHECKPOINT), b"{}").unwrap();
    fs::write(world.data().join("notes.txt"), b"mine").unwrap();
    let report = command(&world.settings(&world.to())).unwrap();
    let told = report.to_string();
    assert!(told.contains(&format!("journal {LOG} up to lsn 41")) && told.contains("left out: notes.txt"), "{told}");
    assert_eq!(World::last(&world.to()), Lsn::new(41));
    assert_eq!(fs::read(world.to().join(CHECKPOINT)).unwrap(), b"{}");
    assert!(world.to().join(LEDGER).exists());
    let held = journal::held_because(&RealDisk, &world.to()).unwrap().expect("claims are held back");
    assert!(held.contains("is a backup of") && held.contains("up to lsn 41"), "{held}");
    assert_eq!(journal::held_because(&RealDisk, &world.data()).unwrap(), None, "the source goes on");
}

#[test]
fn a_place_that_is_not_empty_or_within_the_data_is_refused() {
    let world = World::new();
    fs::create_dir_all(world.to()).unwrap();
    fs::write(world.to().join("theirs"), b"x").unwrap();
    let error = command(&world.settings(&world.to())).unwrap_err();
    assert!(error.exit() == Exit::Usage && error.to_string().contains("not empty"), "{error}");
    assert!(world.to().join("theirs").exists(), "what was there is left alone");
    let inside = world.data().join("backup");
    let error = command(&world.settings(&inside)).unwrap_err();
    assert!(error.exit() == Exit::Usage && error.to_string().contains("in the data directory itself"), "{error}");
    assert!(!inside.exists());
}

#[test]
fn a_directory_in_use_is_refused_with_what_to_do() {
    let world = World::new();
    let _lock = DirectoryLock::acquire(&world.data(), Duration::ZERO).unwrap();
    let error = command(&world.settings(&world.to())).unwrap_err();
    assert!(error.exit() == Exit::Surroundings && error.to_string().contains("--target redis://"), "{error}");
}

#[test]
fn a_damaged_journal_is_refused_and_leaves_no_copy() {
    let world = World::new();
    let path = world.data().join("journal/00000001.seg");
    let mut bytes = fs::read(&path).unwrap();
    bytes[300] ^= 1;
    fs::write(&path, bytes).unwrap();
    let error = command(&world.settings(&world.to())).unwrap_err();
    assert_eq!(error.exit(), Exit::Damaged, "{error}");
    assert!(!world.to().exists());
    let nowhere = BackupSettings { data: world.home.path().join("none"), ..world.settings(&world.to()) };
    let error = command(&nowhere).unwrap_err();
    assert!(matches!(error, BackupError::NoJournal(_)) && error.exit() == Exit::Surroundings, "{error}");
}

/// Answers the questions of a backup like a gate: `dir`, the journal's name, how far it is.
fn answering(replies: Vec<String>) -> (String, std::thread::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("redis://:secret@{}", listener.local_addr().unwrap());
    let answers = move || {
        let (stream, _) = listener.accept().unwrap();
        let mut stream = BufReader::new(stream);
        let mut asked = Vec::new();
        for reply in replies {
            let Some(words) = request(&mut stream) else { break };
            asked.push(words);
            stream.get_mut().write_all(reply.as_bytes()).unwrap();
        }
        asked
    };
    let builder = std::thread::Builder::new();
    (url, builder.spawn(answers).unwrap())
}

fn request(stream: &mut BufReader<std::net::TcpStream>) -> Option<String> {
    let mut line = String::new();
    stream.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let count: usize = line.trim().strip_prefix('*')?.parse().ok()?;
    let mut words = Vec::new();
    for _ in 0..count {
        line.clear();
        stream.read_line(&mut line).ok()?;
        let mut word = vec![0; line.trim().strip_prefix('$')?.parse::<usize>().ok()? + 2];
        stream.read_exact(&mut word).ok()?;
        words.push(String::from_utf8_lossy(&word[..word.len() - 2]).into_owned());
    }
    Some(words.join(" "))
}

fn bulk(text: &str) -> String {
    format!("${}\r\n{text}\r\n", text.len())
}

fn dir(data: &Path) -> String {
    format!("*2\r\n{}{}", bulk("dir"), bulk(&data.display().to_string()))
}

fn info(log: &str, durable: u64) -> String {
    bulk(&format!("# Gate\r\nlog:{log}\r\nlsn_durable:{durable}\r\n"))
}

#[test]
fn a_running_gate_is_copied_up_to_what_it_says_is_durable() {
    let world = World::new();
    let log = LOG.to_string();
    let replies = vec!["+OK\r\n".into(), dir(&world.data()), info(&log, 30), info(&log, 30)];
    let (url, gate) = answering(replies);
    let settings = BackupSettings { target: Some(url), ..world.settings(&world.to()) };
    command(&settings).unwrap();
    assert_eq!(World::last(&world.to()), Lsn::new(30), "what came later stays behind");
    assert_eq!(gate.join().unwrap(), ["AUTH secret", "CONFIG GET dir", "INFO gate", "INFO gate"]);
}

#[test]
fn a_gate_that_is_elsewhere_or_refuses_is_told() {
    let world = World::new();
    let ok = || "+OK\r\n".to_owned();
    let other = "0".repeat(31) + "1";
    let log = LOG.to_string();
    for (replies, what) in [
        (vec!["-WRONGPASS no\r\n".to_owned()], "WRONGPASS"),
        (vec![ok(), "*0\r\n".into()], "does not tell its data directory"),
        (vec![ok(), dir(&world.data()), bulk("# Server\r\n")], "does not tell the name of its journal"),
        (vec![ok(), dir(&world.data()), info(&other, 1)], "there lies the journal"),
        (vec![ok(), dir(Path::new("/nonexistent/data")), info(&log, 1)], "there is no journal"),
        (vec![ok(), dir(&world.data()), info(&log, 99), info(&log, 99)], "it ends at lsn 41, the gate is at 99"),
        (vec![ok(), "?\r\n".into()], "cannot reach"),
    ] {
        let (url, gate) = answering(replies);
        let password = Some(Secret::new("ignored: the URL has one"));
        let settings = BackupSettings { target: Some(url), password, ..world.settings(&world.to()) };
        let error = command(&settings).unwrap_err();
        assert!(error.exit() == Exit::Surroundings && error.to_string().contains(what), "{what}: {error}");
        assert!(!world.to().exists());
        drop(gate.join());
    }
    let nobody = BackupSettings { target: Some("redis://127.0.0.1:1".into()), ..world.settings(&world.to()) };
    assert_eq!(command(&nobody).unwrap_err().exit(), Exit::Surroundings);
    let wrong = BackupSettings { target: Some("http://x".into()), ..world.settings(&world.to()) };
    let error = command(&wrong).unwrap_err();
    assert!(error.exit() == Exit::Usage && error.to_string().contains("redis://"), "{error}");
}
