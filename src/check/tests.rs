//! Journals in memory with damage planted at known places, and what is said of them; repairs on a real disk.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLockReadGuard};

use super::*;
use crate::core::Users;
use crate::ids::{CampaignId, Db, Seat, User};
use crate::journal::memory::MemoryDisk;
use crate::journal::scribe::{LOG, NOW, OPTIONS, Scribe};

type Files = BTreeMap<PathBuf, Vec<u8>>;

const BLOCK: usize = 128;

fn calm() -> RwLockReadGuard<'static, ()> {
    crate::sabotage::peace::keep()
}

fn data() -> &'static Path {
    Path::new("/data")
}

fn seg(number: u32) -> PathBuf {
    data().join(format!("journal/{number:08}.seg"))
}

/// `spring` with 60 grants, keys between, over several segments; stopped cleanly. Lsn 1 creates; grants have 2 to 61 but
/// for a key at 32: seats 1 to 30 at 2 to 31, seats 31 to 60 at 33 to 62.
fn write(disk: &Arc<dyn Disk>, data: &Path) {
    let mut scribe = Scribe::open(disk, data).unwrap();
    scribe.create(0, "spring", 100, Users::Int);
    scribe.grant(0, 1..=30);
    scribe.set("k", b"v");
    scribe.grant(0, 31..=60);
    scribe.stop();
}

fn spring() -> Files {
    let memory = MemoryDisk::default();
    write(&(Arc::new(memory.clone()) as Arc<dyn Disk>), data());
    memory.files()
}

fn report(files: &Files) -> Report {
    examine(&MemoryDisk::of(files), data()).unwrap()
}

fn json(report: &Report) -> serde_json::Value {
    serde_json::from_str(&report.json()).unwrap()
}

/// What a start says.
fn start(files: &Files) -> Result<Lsn, JournalError> {
    let found = journal::look(&MemoryDisk::of(files), data(), &OPTIONS, &mut Core::new(0), &mut |_| ())?;
    Ok(found.map_or(Lsn::ZERO, |(_, replayed)| replayed.last_lsn))
}

/// Where the batch of `lsn` begins.
fn place(files: &Files, lsn: u64) -> (PathBuf, usize) {
    let place = journal::place_of(&MemoryDisk::of(files), data(), Lsn::new(lsn)).unwrap().expect("it is there");
    (place.path, place.offset as usize)
}

/// The lost grants as seats.
fn lost(report: &serde_json::Value) -> Vec<u64> {
    let grants = &report["damage"]["remedies"][1]["loses"]["grants"];
    grants.as_array().unwrap().iter().map(|grant| grant["seat"].as_u64().unwrap()).collect()
}

#[test]
fn a_sound_journal_is_told_with_its_files_campaigns_and_keys() {
    let _calm = calm();
    let files = spring();
    let report = report(&files);
    assert_eq!(report.exit(), Exit::Done);
    let told = json(&report);
    assert_eq!((told["verdict"].as_str(), told["last_lsn"].as_u64()), (Some("sound"), Some(62)));
    assert_eq!(told["log"], LOG.to_string());
    assert_eq!(
        told["campaigns"][0],
        serde_json::json!({"campaign": "spring", "limit": 100, "granted": 60, "dropped": false})
    );
    assert_eq!(told["keys"][0], serde_json::json!({"db": 0, "keys": 1}));
    let segments: Vec<&serde_json::Value> =
        told["files"].as_array().unwrap().iter().filter(|file| file["kind"] == "segment").collect();
    assert!(segments.len() >= 3, "{told}");
    let mut next = 1;
    for segment in segments {
        assert_eq!(segment["first_lsn"], next, "{told}");
        next = segment["last_lsn"].as_u64().unwrap() + 1;
    }
    assert_eq!(next, 63);
    let text = report.to_string();
    assert!(text.ends_with("sound\n") && text.contains("campaign spring: 60 of 100 seats granted"), "{text}");
}

#[test]
fn a_damaged_batch_is_named_with_all_that_a_cut_would_lose() {
    let _calm = calm();
    let mut files = spring();
    let (path, offset) = place(&files, 20);
    files.get_mut(&path).unwrap()[offset + 90] ^= 4;
    let report = report(&files);
    assert_eq!(report.exit(), Exit::Difference);
    let told = json(&report);
    let damage = &told["damage"];
    assert_eq!(told["last_lsn"], 19);
    let what = damage["what"].as_str().unwrap();
    assert!(what.contains(&format!("{}:{offset} (lsn 20)", path.display())), "{what}");
    let gap = serde_json::json!([{
        "file": path.display().to_string(), "offset": offset, "bytes": BLOCK, "first_lsn": 20, "last_lsn": 20
    }]);
    assert_eq!(damage["unreadable"], gap);
    let cut = &damage["remedies"][1];
    assert_eq!((cut["lsn"].as_u64(), cut["last_lsn"].as_u64()), (Some(20), Some(62)));
    assert_eq!(lost(&told), (20..=60).collect::<Vec<_>>(), "seat 19 cannot be read, all behind it can");
    assert_eq!(cut["loses"]["key_changes"], 1);
    assert_eq!(
        cut["loses"]["grants"][0],
        serde_json::json!({"lsn": 21, "campaign": "spring", "seat": 20, "user": "1020"})
    );
    let text = report.to_string();
    assert!(text.contains("campaign spring: 41 grants, seats 20 to 60"), "{text}");
    assert!(text.contains("spring seat 20 user 1020 (lsn 21)") && text.contains("1 changes of keys"), "{text}");
    assert!(text.contains("cut the journal before lsn 20") && text.contains("lsn 20 to 20"), "{text}");
}

#[test]
fn several_damages_are_all_named() {
    let _calm = calm();
    let whole = spring();
    let mut files = whole.clone();
    for lsn in [10, 40, 41] {
        let (path, offset) = place(&whole, lsn);
        files.get_mut(&path).unwrap()[offset + 80] ^= 1;
    }
    let told = json(&report(&files));
    let gaps = told["damage"]["unreadable"].as_array().unwrap();
    let ranges: Vec<(u64, u64)> =
        gaps.iter().map(|gap| (gap["first_lsn"].as_u64().unwrap(), gap["last_lsn"].as_u64().unwrap())).collect();
    assert_eq!(ranges, [(10, 10), (40, 41)]);
    assert_eq!(told["damage"]["remedies"][1]["lsn"], 10);
    let expected: Vec<u64> = (10..=60).filter(|seat| ![38, 39].contains(seat)).collect();
    assert_eq!(lost(&told), expected);
}

#[test]
fn a_lost_header_a_missing_and_a_short_segment_are_named_with_their_losses() {
    let _calm = calm();
    let whole = spring();
    let header = {
        let mut files = whole.clone();
        files.get_mut(&seg(2)).unwrap()[50] ^= 1;
        json(&report(&files))
    };
    let first = header["damage"]["remedies"][1]["lsn"].as_u64().unwrap();
    let gap = &header["damage"]["unreadable"][0];
    assert_eq!(
        (gap["file"].as_str().unwrap(), gap["offset"].as_u64()),
        (seg(2).to_str().unwrap(), Some(0)),
        "{header}"
    );
    // Behind a lost header every batch can be read: the segment before names its salt.
    let seats = lost(&header);
    assert_eq!(seats.last(), Some(&60));
    assert_eq!(seats.len() as u64, 60 - (first - 2), "{header}");

    let missing = {
        let mut files = whole.clone();
        files.remove(&seg(2));
        json(&report(&files))
    };
    assert!(missing["damage"]["what"].as_str().unwrap().contains("00000002.seg is missing"), "{missing}");
    assert_eq!(missing["damage"]["remedies"][1]["lsn"], first);
    let third = missing["files"].as_array().unwrap().iter().find(|file| file["file"] == seg(3).display().to_string());
    let gap = &missing["damage"]["unreadable"][0];
    assert_eq!(gap["last_lsn"].as_u64().unwrap() + 1, third.unwrap()["first_lsn"].as_u64().unwrap(), "{missing}");

    let mut files = whole.clone();
    let last = files.keys().rfind(|path| path.extension().is_some_and(|end| end == "seg")).unwrap().clone();
    let short = loop {
        let bytes = files.get_mut(&last).unwrap();
        bytes.truncate(bytes.len() - BLOCK);
        if start(&files).is_err() {
            break json(&report(&files));
        }
    };
    assert!(short["damage"]["what"].as_str().unwrap().contains("shorter"), "{short}");
}

#[test]
fn the_verdict_is_that_of_a_start_wherever_a_bit_is_flipped() {
    let _calm = calm();
    let whole = spring();
    for (path, bytes) in &whole {
        for at in (0..bytes.len()).step_by(61) {
            let mut files = whole.clone();
            files.get_mut(path).unwrap()[at] ^= 1 << (at % 8);
            let report = report(&files);
            match start(&files) {
                Ok(last) => assert_eq!((report.exit(), report.last()), (Exit::Done, last), "{}:{at}", path.display()),
                Err(error) => {
                    assert_eq!(report.exit(), Exit::Difference, "{}:{at}", path.display());
                    let told = json(&report);
                    assert_eq!(told["damage"]["what"], error.to_string(), "{}:{at}", path.display());
                }
            }
        }
    }
}

/// `spring` with two seats, and then what no gate would write.
fn broken(wrong: &Event<'_>) -> Files {
    let memory = MemoryDisk::default();
    let disk: Arc<dyn Disk> = Arc::new(memory.clone());
    let mut scribe = Scribe::open(&disk, data()).unwrap();
    scribe.create(0, "spring", 3, Users::Int);
    scribe.grant(0, 1..=2);
    scribe.write(&[Event::KeyCounted { db: Db(0), key: b"n", value: 1 }, wrong.clone()]);
    scribe.write(&[Event::KeyCounted { db: Db(0), key: b"n", value: 2 }]);
    scribe.stop();
    memory.files()
}

#[test]
fn a_broken_promise_is_named_without_an_end_of_the_process() {
    let _calm = calm();
    let granted = |seat, user| Event::Granted {
        campaign: CampaignId(0),
        seat: Seat::new(seat),
        user,
        nth: 1,
        request: b"",
        at: NOW,
        after: Lsn::ZERO,
    };
    for (wrong, promise) in [
        (granted(2, User::Int(5)), "seats are given lowest first"),
        (granted(4, User::Int(5)), "never more than N"),
        (granted(3, User::Int(1001)), "never more than PERUSER for a user"),
        (
            Event::CampaignAltered {
                id: CampaignId(0),
                to: crate::core::Alterable { limit: 1, per_user: 1, open: None, close: None },
                at: NOW,
                by: b"ops".into(),
            },
            "a limit is never below a seat that is out",
        ),
        (Event::CampaignDropped { id: CampaignId(7), at: NOW, purged: false }, "created before it is used"),
        (Event::KeyRemoved { db: Db(0), key: b"none", expired: false }, "only a key that exists"),
    ] {
        let files = broken(&wrong);
        let report = report(&files);
        assert_eq!(report.exit(), Exit::Difference);
        let told = json(&report);
        let what = told["damage"]["what"].as_str().unwrap();
        assert!(what.contains("(lsn 5) breaks a promise") && what.contains(promise), "{what}");
        let cut = &told["damage"]["remedies"][1];
        assert_eq!((told["last_lsn"].as_u64(), cut["lsn"].as_u64()), (Some(3), Some(4)), "the whole batch goes");
        let keys = if matches!(wrong, Event::KeyRemoved { .. }) { 3 } else { 2 };
        assert_eq!(cut["loses"]["key_changes"], keys, "{told}");
    }
}

#[test]
fn what_is_left_over_is_named() {
    let _calm = calm();
    let mut files = spring();
    files.insert(data().join("journal/00000099.tmp"), vec![0; 10]);
    files.insert(data().join("journal/notes.txt"), b"hello".to_vec());
    let told = report(&files).to_string();
    assert!(told.contains("unfinished /data/journal/00000099.tmp 10 bytes"), "{told}");
    assert!(told.contains("foreign    /data/journal/notes.txt 5 bytes"), "{told}");
}

#[test]
fn a_torn_end_is_no_damage() {
    let _calm = calm();
    let memory = MemoryDisk::default();
    let disk: Arc<dyn Disk> = Arc::new(memory.clone());
    let mut scribe = Scribe::open(&disk, data()).unwrap();
    scribe.create(0, "spring", 9, Users::Int);
    scribe.grant(0, 1..=3);
    let mut files = memory.after_kill().files();
    drop(scribe);
    let (path, offset) = place(&files, 4);
    files.get_mut(&path).unwrap()[offset + 90] ^= 1;
    let report = report(&files);
    assert_eq!((report.exit(), report.last()), (Exit::Done, Lsn::new(3)));
    let told = report.to_string();
    assert!(told.contains(&format!("{}:{offset} (lsn 4 and after)", path.display())), "{told}");
}

#[test]
fn a_journal_of_a_newer_release_is_refused() {
    let _calm = calm();
    let mut files = spring();
    let bytes = files.get_mut(&seg(1)).unwrap();
    bytes[8] = 9;
    let crc = crate::journal::scribe::crc_of_header(bytes);
    bytes[114..118].copy_from_slice(&crc.to_le_bytes());
    let error = examine(&MemoryDisk::of(&files), data()).unwrap_err();
    assert!(error.exit() == Exit::Damaged && error.to_string().contains("newer release"), "{error}");
}

/// As `spring`, with two snapshots: segments up to the older one are history.
fn write_with_snapshots(disk: &Arc<dyn Disk>, data: &Path) {
    let mut scribe = Scribe::open(disk, data).unwrap();
    scribe.create(0, "spring", 100, Users::Int);
    scribe.grant(0, 1..=30);
    scribe.save();
    scribe.set("k", b"v");
    scribe.grant(0, 31..=60);
    scribe.save();
    scribe.grant(0, 61..=70);
    scribe.stop();
}

fn with_snapshots() -> Files {
    let memory = MemoryDisk::default();
    write_with_snapshots(&(Arc::new(memory.clone()) as Arc<dyn Disk>), data());
    memory.files()
}

fn of_kind(report: &serde_json::Value, kind: &str) -> Vec<PathBuf> {
    let files = report["files"].as_array().unwrap().iter().filter(|file| file["kind"] == kind);
    files.map(|file| file["file"].as_str().unwrap().into()).collect()
}

#[test]
fn snapshots_and_history_are_told_and_every_flipped_bit_of_them_is_found() {
    let _calm = calm();
    let whole = with_snapshots();
    let told = json(&report(&whole));
    assert_eq!((told["verdict"].as_str(), told["last_lsn"].as_u64()), (Some("sound"), Some(72)), "{told}");
    let (snapshots, history) = (of_kind(&told, "snapshot"), of_kind(&told, "history"));
    assert_eq!((snapshots.len(), history.len()), (2, 1), "{told}");
    for path in snapshots.iter().chain(&history) {
        for at in (0..whole[path].len()).step_by(3) {
            let mut files = whole.clone();
            files.get_mut(path).unwrap()[at] ^= 1 << (at % 8);
            let told = json(&report(&files));
            assert_eq!(told["verdict"], "damaged", "{}:{at}", path.display());
            assert_eq!(told["damage"], serde_json::Value::Null, "{}:{at}", path.display());
            assert_eq!(told["aside"][0]["file"], path.display().to_string(), "{told}");
            assert_eq!(told["last_lsn"], 72, "the state is whole: {told}");
            assert_eq!(told["campaigns"][0]["granted"], 70, "{told}");
            assert_eq!(start(&files).unwrap(), Lsn::new(72), "a start gets by");
        }
    }
}

#[test]
fn a_damaged_segment_between_two_snapshots_is_no_loss_and_one_behind_them_is() {
    let _calm = calm();
    let whole = with_snapshots();
    let told = json(&report(&whole));
    let segments = of_kind(&told, "segment");
    let (old, new) = (segments.first().unwrap(), segments.last().unwrap());
    let mut files = whole.clone();
    files.get_mut(old).unwrap()[200] ^= 1;
    let aside = json(&report(&files));
    assert_eq!(aside["aside"][0]["file"], old.display().to_string(), "{aside}");
    assert_eq!((aside["last_lsn"].as_u64(), aside["damage"].is_null()), (Some(72), true), "{aside}");
    let mut files = whole.clone();
    let (path, offset) = place(&whole, 70);
    assert_eq!(path, *new);
    files.get_mut(&path).unwrap()[offset + 90] ^= 1;
    let told = json(&report(&files));
    assert_eq!((told["damage"]["remedies"][1]["lsn"].as_u64(), lost(&told)), (Some(70), vec![69, 70]), "{told}");
    assert_eq!(
        told["damage"]["remedies"][1]["loses"]["grants"][0]["campaign"], "spring",
        "the snapshot knows its name"
    );
}

/// Nothing lies behind the snapshot, and the segment before it is closed like the end of a journal.
fn with_nothing_behind_its_snapshot() -> Files {
    let memory = MemoryDisk::default();
    let disk: Arc<dyn Disk> = Arc::new(memory.clone());
    let mut scribe = Scribe::open(&disk, data()).unwrap();
    scribe.create(0, "spring", 9, Users::Int);
    scribe.grant(0, 1..=1);
    let last = scribe.save();
    // Without the snapshot, which comes along below, a copy ends with the first segment.
    let copy = Path::new("/copy");
    journal::copy(&memory, data(), copy, Some(last), &mut |_| ()).unwrap().expect("a journal");
    let mut files = memory.files();
    drop(scribe);
    let closed = files.remove(&copy.join("journal/00000001.seg")).expect("it was copied");
    files.retain(|path, _| path.starts_with(data().join("snapshots")));
    assert_eq!(files.len(), 1, "one snapshot");
    files.insert(seg(1), closed);
    files
}

#[test]
fn a_snapshot_with_nothing_behind_it_is_judged_as_by_a_start() {
    let _calm = calm();
    let mut files = with_nothing_behind_its_snapshot();
    assert_eq!(start(&files).unwrap(), Lsn::new(2), "a start gets by without it");
    let found = report(&files);
    let told = json(&found);
    assert_eq!((found.exit(), &told["damage"]), (Exit::Difference, &serde_json::Value::Null), "{told}");
    assert_eq!((told["last_lsn"].as_u64(), told["campaigns"][0]["granted"].as_u64()), (Some(2), Some(1)), "{told}");
    let (aside, text) = (&told["aside"][0], found.to_string());
    assert!(aside["file"].as_str().unwrap().ends_with(".snap"), "{told}");
    assert!(aside["what"].as_str().unwrap().contains("00000002.seg is missing"), "{told}");
    assert!(text.contains(&format!("restore {} from a copy", seg(2).display())), "{text}");

    // Without its end the journal went on: what is missing may be more.
    let bytes = files.get_mut(&seg(1)).unwrap();
    bytes.truncate(bytes.len() - BLOCK);
    let refused = start(&files).unwrap_err();
    assert_eq!(json(&report(&files))["damage"]["what"], refused.to_string());

    // The snapshot alone is no beginning.
    files.remove(&seg(1));
    let refused = start(&files).unwrap_err();
    let told = json(&report(&files));
    assert_eq!(told["verdict"], "damaged", "{told}");
    assert_eq!(told["damage"]["what"], refused.to_string(), "{told}");
}

#[test]
fn a_directory_without_a_journal_is_not_called_sound() {
    let _calm = calm();
    for name in ["lock", "ledger.db"] {
        let told = report(&Files::from([(data().join(name), b"theirs".to_vec())]));
        assert_eq!(told.exit(), Exit::Surroundings);
        assert_eq!(json(&told)["verdict"], "no journal");
        assert_eq!(told.to_string(), "/data: no journal\n");
    }
    let home = tempfile::tempdir().unwrap();
    for as_json in [false, true] {
        let mut said = String::new();
        let settings = CheckSettings { data: home.path().to_owned(), repair: as_json, json: as_json };
        let error = command(&settings, &mut |text| said += text).unwrap_err();
        assert!(matches!(error, CheckError::NoJournal(_)) && error.exit() == Exit::Surroundings, "{error}");
        assert!(error.to_string().contains("there is no journal in"), "{error}");
        assert!(said.contains("no journal") && !said.contains("sound"), "{said}");
    }
}

#[test]
fn a_journal_that_was_never_begun_is_sound_as_for_a_start() {
    let _calm = calm();
    let files = Files::from([(seg(1), vec![0; 4096])]);
    assert_eq!(start(&files).unwrap(), Lsn::ZERO);
    let told = report(&files);
    assert_eq!(told.exit(), Exit::Done);
    assert!(told.to_string().starts_with("/data: a journal that was never begun\n"), "{told}");
}

mod repairs {
    use super::*;
    use crate::check::beside::{RealRoom, Room};

    struct NoRoom;

    impl Room for NoRoom {
        fn free(&self, _: &Path) -> io::Result<u64> {
            Ok(1000)
        }
    }

    fn damaged(at_lsn: u64) -> (tempfile::TempDir, PathBuf) {
        let home = tempfile::tempdir().unwrap();
        let data = home.path().join("data");
        std::fs::create_dir(&data).unwrap();
        write(&(Arc::new(RealDisk) as Arc<dyn Disk>), &data);
        let place = journal::place_of(&RealDisk, &data, Lsn::new(at_lsn)).unwrap().unwrap();
        let mut bytes = std::fs::read(&place.path).unwrap();
        bytes[place.offset as usize + 90] ^= 1;
        std::fs::write(&place.path, bytes).unwrap();
        (home, data)
    }

    fn files(dir: &Path) -> Files {
        let mut all = Files::new();
        for entry in std::fs::read_dir(dir.join("journal")).unwrap() {
            let path = entry.unwrap().path();
            all.insert(path.file_name().unwrap().into(), std::fs::read(&path).unwrap());
        }
        all
    }

    fn settings(data: &Path, json: bool) -> CheckSettings {
        CheckSettings { data: data.to_owned(), repair: true, json }
    }

    #[test]
    fn a_repair_copies_says_what_goes_cuts_and_holds_claims_back() {
        let _calm = calm();
        for lsn in [2, 20, 33, 62] {
            let (home, data) = damaged(lsn);
            let before = files(&data);
            let mut said = Vec::new();
            let exit = command(&settings(&data, false), &mut |text| said.push(text.to_owned())).unwrap();
            assert_eq!(exit, Exit::Done, "{said:?}");
            assert!(said[0].contains("DAMAGED") && said[0].contains("remedies"), "{said:?}");
            assert!(said[2].contains(&format!("lsn 1 to {}\n", lsn - 1)) && said[2].ends_with("sound\n"), "{said:?}");
            let copies: Vec<PathBuf> = std::fs::read_dir(home.path())
                .unwrap()
                .map(|entry| entry.unwrap().path())
                .filter(|path| *path != data)
                .collect();
            let [copy] = copies.as_slice() else { panic!("{copies:?}") };
            assert!(said[1].contains(&copy.display().to_string()), "{said:?}");
            assert_eq!(files(copy), before, "the copy is as it was");
            let held = journal::held_because(&RealDisk, &data).unwrap().expect("claims are held back");
            assert!(
                held.contains(&format!("before lsn {lsn}")) && held.contains(&copy.display().to_string()),
                "{held}"
            );

            // It starts, and goes on where it was cut.
            let disk: Arc<dyn Disk> = Arc::new(RealDisk);
            let mut scribe = Scribe::open(&disk, &data).unwrap();
            assert_eq!(scribe.set("k", b"w"), Lsn::new(lsn));
            scribe.stop();
            assert_eq!(examine(&RealDisk, &data).unwrap().exit(), Exit::Done);
        }
    }

    #[test]
    fn what_a_start_gets_by_without_is_removed_and_nothing_of_the_state_is_lost() {
        let _calm = calm();
        let home = tempfile::tempdir().unwrap();
        let whole = home.path().join("whole");
        std::fs::create_dir(&whole).unwrap();
        write_with_snapshots(&(Arc::new(RealDisk) as Arc<dyn Disk>), &whole);
        let told = json(&examine(&RealDisk, &whole).unwrap());
        let first = of_kind(&told, "segment").remove(0);
        let mut damaged: Vec<PathBuf> = of_kind(&told, "snapshot");
        damaged.extend(of_kind(&told, "history"));
        damaged.push(first);
        for (index, path) in damaged.iter().enumerate() {
            let data = home.path().join(format!("data-{index}"));
            let copied = std::process::Command::new("cp").arg("-a").arg(&whole).arg(&data).status().unwrap();
            assert!(copied.success());
            let here = data.join(path.strip_prefix(&whole).unwrap());
            let mut bytes = std::fs::read(&here).unwrap();
            bytes[150] ^= 1;
            std::fs::write(&here, bytes).unwrap();
            let mut said = Vec::new();
            let exit = command(&settings(&data, true), &mut |text| said.push(text.to_owned())).unwrap();
            assert_eq!(exit, Exit::Done, "{}: {said:?}", here.display());
            let again: serde_json::Value = serde_json::from_str(&said[2]).unwrap();
            assert_eq!((again["last_lsn"].as_u64(), again["campaigns"][0]["granted"].as_u64()), (Some(72), Some(70)));
            assert_eq!(journal::held_because(&RealDisk, &data).unwrap(), None, "no seat was lost");
            let mut scribe = Scribe::open(&(Arc::new(RealDisk) as Arc<dyn Disk>), &data).unwrap();
            assert_eq!(scribe.grant(0, 71..=71), Lsn::new(73));
            let mut seats = 0;
            let mut journal = journal::read_only(Arc::new(RealDisk), &data).unwrap().unwrap();
            let mut visit = |_: Lsn, event: &Event<'_>| seats += u32::from(matches!(event, Event::Granted { .. }));
            journal.catch_up(&mut visit, &mut |_| ()).unwrap();
            assert_eq!(seats, 71, "readers still find every seat: {}", here.display());
        }
    }

    #[test]
    fn without_room_for_the_copy_nothing_is_changed() {
        let _calm = calm();
        let (home, data) = damaged(20);
        let before = files(&data);
        let report = examine(&RealDisk, &data).unwrap();
        let error = repair::repair(&RealDisk, &data, &report, &NoRoom).unwrap_err();
        assert!(matches!(error, CheckError::NoRoom(..)) && error.exit() == Exit::Surroundings, "{error}");
        assert_eq!(files(&data), before);
        assert_eq!(journal::held_because(&RealDisk, &data).unwrap(), None);
        assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 1, "no copy either");
        assert!(RealRoom.free(home.path()).unwrap() > 0);
    }

    #[test]
    fn a_sound_directory_needs_no_repair_and_gets_no_copy() {
        let _calm = calm();
        let home = tempfile::tempdir().unwrap();
        let data = home.path().join("data");
        std::fs::create_dir(&data).unwrap();
        write(&(Arc::new(RealDisk) as Arc<dyn Disk>), &data);
        let before = files(&data);
        let mut said = String::new();
        assert_eq!(command(&settings(&data, false), &mut |text| said += text).unwrap(), Exit::Done);
        assert!(said.ends_with("sound\nnothing to repair\n"), "{said}");
        assert_eq!(files(&data), before);
        assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_damage_with_nothing_before_it_is_left_alone() {
        let _calm = calm();
        let (_home, data) = damaged(2);
        let path = data.join("journal/00000001.seg");
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[40] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        let before = files(&data);
        let error = command(&settings(&data, true), &mut |_| ()).unwrap_err();
        assert!(matches!(error, CheckError::NothingToKeep(_)) && error.exit() == Exit::Difference, "{error}");
        assert_eq!(files(&data), before);
    }

    #[test]
    fn a_missing_segment_can_be_cut_at() {
        let _calm = calm();
        let (_home, data) = damaged(62);
        std::fs::remove_file(data.join("journal/00000002.seg")).unwrap();
        let mut said = Vec::new();
        let exit = command(&settings(&data, true), &mut |text| said.push(text.to_owned())).unwrap();
        assert_eq!(exit, Exit::Done, "{said:?}");
        let objects: Vec<serde_json::Value> = said.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        let cut = objects[0]["damage"]["remedies"][1]["lsn"].as_u64().unwrap();
        assert_eq!(objects[1]["repair"]["cut_before_lsn"], cut);
        assert_eq!((objects[2]["verdict"].as_str(), objects[2]["last_lsn"].as_u64()), (Some("sound"), Some(cut - 1)));
        assert!(!data.join("journal/00000003.seg").exists());
    }

    #[test]
    fn a_directory_in_use_or_missing_is_refused() {
        let _calm = calm();
        let (_home, data) = damaged(20);
        let lock = DirectoryLock::acquire(&data, Duration::ZERO).unwrap();
        let error = command(&settings(&data, false), &mut |_| ()).unwrap_err();
        assert!(matches!(error, CheckError::Lock(LockError::Held { .. })) && error.exit() == Exit::Surroundings);
        drop(lock);
        let error = command(&settings(&data.join("none"), false), &mut |_| ()).unwrap_err();
        assert!(matches!(error, CheckError::NoDirectory(_)) && error.exit() == Exit::Surroundings);
    }
}
