//! Snapshots and history: the same state from fewer files, whatever breaks and whenever it does.

use std::collections::BTreeMap;

use super::*;
use crate::core::{Terms, Users};
use crate::ids::{CampaignId, Seat, User};
use crate::journal::compactor::{Compaction, Compactor};

const TERMS: Terms = Terms { limit: 1_000, ..Terms::DEFAULT };
const NEVER_BY_ITSELF: Compaction =
    Compaction { when_journal_exceeds: 0, keep_ms: i64::MAX, keep_bytes: 0, publishes: false, stores: false };

/// A gate without a loop: a core and its journal.
struct World {
    core: Core,
    journal: Journal<Open>,
    compactor: Compactor,
    hooks: Hooks,
    /// What happened to campaigns, as history must tell it.
    told: Events,
    seats: BTreeMap<u32, u32>,
    draw: Box<dyn FnMut() -> u64>,
}

fn open(disk: &MemoryDisk) -> Result<World, JournalError> {
    open_with(disk, NEVER_BY_ITSELF)
}

fn open_with(disk: &MemoryDisk, compaction: Compaction) -> Result<World, JournalError> {
    let hooks = Hooks {
        watermarks: Arc::default(),
        figures: Arc::default(),
        on_progress: Arc::new(|| ()),
        on_failure: Arc::new(|_| ()),
    };
    let mut core = Core::new(7);
    let closed = Journal::open(disk.disk(), data(), always())?;
    let (journal, _) = closed.replay(&mut core, hooks.clone(), &mut |_| ())?;
    let compactor = journal.compactor(compaction);
    let draw = Box::new(draws(core.applied().get() + 1));
    let seats = core.campaigns().map(|campaign| (campaign.id.0, campaign.granted)).collect();
    Ok(World { core, journal, compactor, hooks, told: Vec::new(), seats, draw })
}

impl World {
    fn apply(&mut self, event: &Event<'_>) {
        wait_for("room", || {
            let ready = self.journal.room(bytes_of(event).len()) == Room::Ready;
            if !ready {
                self.journal.seal(NOW);
            }
            ready
        });
        let lsn = self.journal.append(event, false);
        self.core.evolve(lsn, event);
        if !matches!(event, Event::KeySet { .. } | Event::KeyCounted { .. } | Event::KeyRemoved { .. }) {
            self.told.push((lsn.get(), bytes_of(event)));
        }
    }

    /// So many random events, answered.
    fn work(&mut self, events: u32) {
        for _ in 0..events {
            let draw = (self.draw)();
            let key = [b'a' + (draw >> 8) as u8 % 20];
            let campaigns = self.seats.len() as u32;
            match draw % 8 {
                0 if campaigns < 5 => {
                    let name = [b'A' + campaigns as u8];
                    let users = if campaigns.is_multiple_of(2) { Users::Int } else { Users::Any };
                    let terms = Terms { users, ..TERMS };
                    self.apply(&Event::CampaignCreated { id: CampaignId(campaigns), name: &name, terms, at: NOW });
                    self.seats.insert(campaigns, 0);
                }
                0..=3 if campaigns > 0 => {
                    let campaign = (draw >> 16) as u32 % campaigns;
                    let seat = self.seats[&campaign] + 1;
                    self.seats.insert(campaign, seat);
                    let text = seat.to_string();
                    let user =
                        if campaign.is_multiple_of(2) { User::Int(seat.into()) } else { User::Any(text.as_bytes()) };
                    let (campaign, seat) = (CampaignId(campaign), Seat::new(seat));
                    self.apply(&Event::Granted {
                        campaign,
                        seat,
                        user,
                        nth: 1,
                        request: b"",
                        at: NOW,
                        after: Lsn::ZERO,
                    });
                }
                4 if self.core.keyspaces().any(|(db, keys, _)| db == Db(1) && keys > 0) => {
                    let mut first = None;
                    let _stop = self.core.pieces(&mut |piece| {
                        let crate::core::Piece::Key { key, .. } = piece else { return Ok(()) };
                        first = Some(key.to_vec());
                        Err(())
                    });
                    let key = first.expect("there is a key");
                    self.apply(&Event::KeyRemoved { db: Db(1), key: &key, expired: false });
                }
                _ => {
                    let value = vec![b'v'; (draw >> 16) as usize % 200];
                    let (db, expires) = (Db(1), Millis::NEVER);
                    self.apply(&Event::KeySet { db, key: &key, value: value.into(), expires });
                }
            }
        }
        self.settle();
    }

    fn settle(&mut self) {
        let last = self.core.applied();
        wait_for("an answer", || {
            self.journal.seal(NOW);
            self.journal.answerable().covers(last)
        });
    }

    /// A snapshot of all so far, as `SAVE` asks for it; what the desk says became of it.
    fn save(&mut self) -> Result<Lsn, String> {
        let snapshots = &self.hooks.watermarks.snapshots;
        let upto = self.journal.roll();
        let ticket = snapshots.request(upto);
        wait_for("a snapshot", || {
            self.journal.seal(NOW);
            self.journal.tick(NOW);
            self.compactor.turn(&|| NOW, Some(upto));
            snapshots.outcome(&ticket).is_some()
        });
        snapshots.outcome(&ticket).expect("it has come").map(|made| made.lsn)
    }
}

/// All that is in a core, in an order that depends on nothing.
fn fingerprint(core: &Core) -> Vec<String> {
    let mut all = vec![format!("{:?}", core.marks())];
    let mut at = 0;
    core.pieces::<()>(&mut |piece| {
        at += 1;
        let order = if matches!(piece, crate::core::Piece::Key { .. }) { u32::MAX } else { at };
        all.push(format!("{order:010} {piece:?}"));
        Ok(())
    })
    .expect("nobody stops it");
    all.sort();
    all
}

fn files_in(disk: &MemoryDisk, dir: &str) -> Vec<String> {
    let dir = data().join(dir);
    let names = disk.files().into_keys().filter(|path| path.parent() == Some(&dir));
    names.map(|path| path.file_name().expect("a name").to_string_lossy().into_owned()).collect()
}

/// What a reader of everything sees of campaigns.
fn told(disk: &MemoryDisk) -> Result<(Events, Lsn), JournalError> {
    let mut seen = Events::new();
    let mut journal = read_only(disk.disk(), data())?.expect("there is a journal");
    journal.catch_up(
        &mut |lsn, event| {
            if !matches!(event, Event::KeySet { .. } | Event::KeyCounted { .. } | Event::KeyRemoved { .. }) {
                seen.push((lsn.get(), bytes_of(event)));
            }
        },
        &mut |_| (),
    )?;
    Ok((seen, journal.last()))
}

#[test]
fn snapshots_and_history_give_the_state_and_the_story_that_the_segments_gave() {
    let _calm = calm();
    let disk = MemoryDisk::default();
    let mut world = open(&disk).expect("a new journal");
    for round in 1..=6 {
        world.work(150);
        assert_eq!(world.save(), Ok(world.core.applied()), "round {round}");
        world.work(20);
        let after = disk.after_power_cut(|| false);
        let again = open(&after).expect("sound");
        assert_eq!(fingerprint(&again.core), fingerprint(&world.core), "round {round}");
        let (seen, last) = told(&disk).expect("sound");
        assert_eq!((seen, last), (world.told.clone(), world.core.applied()), "round {round}");
        assert_eq!(files_in(&disk, "snapshots").len(), round.min(2));
        assert_eq!(files_in(&disk, "history").len(), usize::from(round > 1));
    }
    let number = |names: Vec<String>| names[0][..8].parse::<u64>().expect("a number");
    let (older, first) = (number(files_in(&disk, "snapshots")), number(files_in(&disk, "journal")));
    assert_eq!(first, older + 1, "all segments that the older snapshot covers are gone, and no other");
}

#[test]
fn a_snapshot_is_made_when_the_segments_behind_the_last_one_are_long_enough() {
    let _calm = calm();
    let disk = MemoryDisk::default();
    let mut world = open_with(&disk, Compaction { when_journal_exceeds: 20_000, ..NEVER_BY_ITSELF }).expect("new");
    let mut made = 0;
    for _ in 0..40 {
        world.work(50);
        world.compactor.turn(&|| NOW, None);
        let figures = world.hooks.watermarks.snapshots.figures();
        let behind = figures.newest.map_or(0, |newest| newest.lsn.get());
        assert!(figures.made >= made && behind <= world.core.applied().get());
        made = figures.made;
        let bytes: usize =
            disk.files().iter().filter(|(path, _)| path.ends_with("seg")).map(|(_, all)| all.len()).sum();
        assert!(bytes < 2 * 20_000 + 5 * 4096, "{bytes}");
    }
    assert!(made >= 5, "{made} snapshots");
    assert_eq!(fingerprint(&open(&disk.after_kill()).expect("sound").core), fingerprint(&world.core));
}

#[test]
fn a_process_killed_or_cut_off_anywhere_while_it_compacts_comes_back_with_the_same_state() {
    let _calm = calm();
    let disk = MemoryDisk::default();
    let mut world = open(&disk).expect("new");
    world.work(120);
    world.save().expect("made");
    world.work(120);
    world.save().expect("made");
    world.work(120);
    let (state, story) = (fingerprint(&world.core), world.told.clone());
    drop(world);
    let before = disk.after_kill();
    for left in 0.. {
        let disk = before.after_kill();
        let mut world = open(&disk).expect("sound");
        disk.faults(|faults| faults.changes_left = Some(left));
        let ticket = world.hooks.watermarks.snapshots.request(Lsn::ZERO);
        world.compactor.turn(&|| NOW, Some(Lsn::ZERO));
        let outcome = world.hooks.watermarks.snapshots.outcome(&ticket).expect("it has come");
        let mut draw = draws(left);
        for after in
            [disk.after_kill(), disk.after_power_cut(|| false), disk.after_power_cut(|| draw().is_multiple_of(2))]
        {
            let again = open(&after).expect("sound");
            assert_eq!(fingerprint(&again.core), state, "after {left} changes: {outcome:?}");
            assert_eq!(told(&after).expect("sound").0, story, "after {left} changes");
        }
        if disk.changes_left() > Some(0) {
            assert!(outcome.is_ok() && left > 10, "{left} {outcome:?}");
            return;
        }
    }
}

#[test]
fn what_a_merge_that_was_cut_short_left_behind_is_not_read_twice_and_goes_with_the_next_snapshot() {
    let _calm = calm();
    let disk = MemoryDisk::default();
    let mut world = open(&disk).expect("new");
    for _ in 0..2 {
        world.work(100);
        world.save().expect("made");
    }
    let before = files_in(&disk, "history");
    let [merged] = &before[..] else { panic!("one file: {before:?}") };
    let left = data().join("history").join(merged);
    let bytes = disk.files()[&left].clone();
    world.work(100);
    world.save().expect("made");
    let there = disk.create(&left).expect("a file");
    there.write_at(&bytes, 0).expect("written");
    assert_eq!(files_in(&disk, "history").len(), 2);
    assert_eq!(told(&disk).expect("sound").0, world.told);
    world.work(10);
    world.save().expect("made");
    assert_eq!(files_in(&disk, "history").len(), 1);
    assert_eq!(told(&disk).expect("sound").0, world.told);
}

#[test]
fn what_a_merge_left_behind_never_outlives_the_history_behind_it() {
    let _calm = calm();
    for draw in [false, true] {
        let disk = MemoryDisk::default();
        let compaction = Compaction { keep_ms: 1_000, ..NEVER_BY_ITSELF };
        let mut world = open_with(&disk, compaction).expect("new");
        for _ in 0..2 {
            world.work(100);
            world.save().expect("made");
        }
        let left = data().join("history").join(&files_in(&disk, "history")[0]);
        let bytes = disk.files()[&left].clone();
        world.work(100);
        world.save().expect("made");
        // A power cut brought back what the merge had removed.
        let there = disk.create(&left).expect("a file");
        there.write_at(&bytes, 0).expect("written");
        there.sync_data().expect("synced");
        disk.sync_dir(&data().join("history")).expect("synced");
        world.compactor.turn(&|| Millis(NOW.0 + 2_000), None);
        assert_eq!(files_in(&disk, "history").len(), 0);
        let kept = files_in(&disk.after_power_cut(|| draw), "history");
        assert!(kept.is_empty() || kept.len() == 1 && !left.ends_with(&kept[0]), "there is a gap behind {kept:?}");
    }
}

#[test]
fn a_journal_that_was_started_and_never_written_has_snapshots_and_no_history() {
    let _calm = calm();
    let disk = MemoryDisk::default();
    drop(open(&disk).expect("new"));
    for _ in 0..3 {
        let mut world = open(&disk).expect("sound");
        assert_eq!(world.save(), Ok(Lsn::ZERO));
    }
    assert_eq!(files_in(&disk, "history").len(), 0);
    let mut world = open(&disk).expect("sound");
    world.work(50);
    assert_eq!(world.save(), Ok(world.core.applied()));
    assert_eq!(told(&disk).expect("sound").0, world.told);
}

#[test]
fn a_damaged_snapshot_is_passed_over_and_two_are_refused_with_the_place() {
    let _calm = calm();
    let disk = MemoryDisk::default();
    let mut world = open(&disk).expect("new");
    for _ in 0..3 {
        world.work(100);
        world.save().expect("made");
    }
    world.work(10);
    let state = fingerprint(&world.core);
    drop(world);
    let files = disk.after_kill().files();
    let snapshots: Vec<PathBuf> =
        files.keys().filter(|path| path.extension().is_some_and(|is| is == "snap")).cloned().collect();
    let [older, newest] = &snapshots[..] else { panic!("two are kept: {snapshots:?}") };
    let broken = |paths: &[&PathBuf]| {
        let mut files = files.clone();
        paths.iter().for_each(|path| files.get_mut(*path).unwrap()[150] ^= 4);
        open(&MemoryDisk::of(&files)).map(|world| fingerprint(&world.core))
    };
    assert_eq!(broken(&[newest]), Ok(state.clone()));
    assert_eq!(broken(&[older]), Ok(state.clone()));
    match broken(&[older, newest]) {
        Err(JournalError::Rot { path, offset, lsn, .. }) => assert!(path == *newest && offset > 0 && lsn > Lsn::ZERO),
        other => panic!("{other:?}"),
    }
    let mut files = files.clone();
    snapshots.iter().for_each(|path| drop(files.remove(path)));
    assert!(matches!(open(&MemoryDisk::of(&files)).map(|_| ()), Err(JournalError::Missing { .. })));
}

#[test]
fn every_flipped_bit_and_every_cut_gives_the_same_state_or_is_refused() {
    let _calm = calm();
    let disk = MemoryDisk::default();
    let mut world = open(&disk).expect("new");
    for _ in 0..3 {
        world.work(12);
        world.save().expect("made");
    }
    world.work(5);
    let (state, story) = (fingerprint(&world.core), world.told.clone());
    world.journal.finish(NOW).expect("a clean stop");
    drop(world.compactor);
    let files = disk.files();
    assert!(files.keys().any(|path| path.starts_with("/data/history")));
    let mut refused = 0;
    let mut check = |path: &Path, change: &dyn Fn(&mut Vec<u8>)| {
        let mut files = files.clone();
        change(files.get_mut(path).unwrap());
        let damaged = MemoryDisk::of(&files);
        match open(&damaged.after_kill()) {
            Ok(again) => assert_eq!(fingerprint(&again.core), state, "{}", path.display()),
            Err(error) => {
                assert!(error.is_damage(), "{error}");
                refused += 1;
            }
        }
        match told(&damaged) {
            Ok((seen, _)) => assert_eq!(seen, story, "{}", path.display()),
            Err(error) => assert!(error.is_damage(), "{error}"),
        }
    };
    for (path, bytes) in &files {
        for byte in 0..bytes.len() {
            (0..8).for_each(|bit| check(path, &|bytes| bytes[byte] ^= 1 << bit));
        }
        (0..bytes.len()).for_each(|len| check(path, &|bytes| bytes.truncate(len)));
    }
    assert!(refused > 100, "{refused}");
}

#[test]
fn a_reader_goes_on_when_its_segments_become_history() {
    let _calm = calm();
    let disk = MemoryDisk::default();
    let mut world = open(&disk).expect("new");
    world.work(200);
    let mut reader = Reader::open(disk.disk(), data(), Lsn::new(1)).expect("a reader");
    let mut watching = read_only(disk.disk(), data()).expect("sound").expect("a journal");
    let (mut seen, mut watched) = (Events::new(), Events::new());
    for round in 0..4 {
        // In the middle of a segment, before it goes away.
        for _ in 0..15 {
            let Some(batch) = reader.next(world.core.applied()).expect("sound") else { break };
            for event in batch.events() {
                let (lsn, event) = event.expect("sound");
                seen.push((lsn.get(), bytes_of(&event)));
            }
        }
        let mut watch = |lsn: Lsn, event: &Event<'_>| watched.push((lsn.get(), bytes_of(event)));
        watching.catch_up(&mut watch, &mut |_| ()).expect("sound");
        world.save().expect("made");
        world.work(100 + round);
    }
    while let Some(batch) = reader.next(world.core.applied()).expect("sound") {
        seen.extend(
            batch.events().map(|event| event.expect("sound")).map(|(lsn, event)| (lsn.get(), bytes_of(&event))),
        );
    }
    let mut watch = |lsn: Lsn, event: &Event<'_>| watched.push((lsn.get(), bytes_of(event)));
    watching.catch_up(&mut watch, &mut |_| ()).expect("sound");
    let of_campaigns =
        |events: &Events| -> Events { events.iter().filter(|(_, bytes)| bytes[0] < 32).cloned().collect() };
    assert_eq!(of_campaigns(&seen), world.told);
    assert_eq!(of_campaigns(&watched), world.told);
}

#[test]
fn a_segment_without_an_event_leaves_no_history_and_no_gap() {
    let _calm = calm();
    let disk = MemoryDisk::default();
    let mut world = open(&disk).expect("new");
    world.work(40);
    world.save().expect("made");
    let story = std::mem::take(&mut world.told);
    drop(world);
    let mut watching = read_only(disk.disk(), data()).expect("sound").expect("a journal");
    let mut watched = Events::new();
    let mut watch = |lsn: Lsn, event: &Event<'_>| watched.push((lsn.get(), bytes_of(event)));
    watching.catch_up(&mut watch, &mut |_| ()).expect("sound");
    // Started again and again, and nobody asks for anything: segments, and nothing in them.
    for _ in 0..3 {
        let mut world = open(&disk).expect("sound");
        world.save().expect("made");
        assert_eq!(told(&disk).expect("sound"), (story.clone(), world.core.applied()));
        watching.catch_up(&mut watch, &mut |_| ()).expect("sound");
    }
    let mut world = open(&disk).expect("sound");
    let number = |name: &String| name[..8].parse::<u64>().expect("a number");
    let (history, first) = (number(&files_in(&disk, "history")[0]), number(&files_in(&disk, "journal")[0]));
    assert!(history + 1 < first, "there are such segments between {history} and {first}");
    world.work(10);
    let all = [story, world.told.clone()].concat();
    assert_eq!(told(&disk).expect("sound"), (all.clone(), world.core.applied()));
    watching.catch_up(&mut watch, &mut |_| ()).expect("sound");
    watched.retain(|(_, bytes)| bytes[0] < 32);
    assert_eq!(watched, all);
}

#[test]
fn history_stays_until_it_is_published_stored_and_old_and_then_the_seats_are_still_known() {
    let _calm = calm();
    let disk = MemoryDisk::default();
    let compaction = Compaction { keep_ms: 1_000, publishes: true, stores: true, ..NEVER_BY_ITSELF };
    let mut world = open_with(&disk, compaction).expect("new");
    for _ in 0..3 {
        world.work(150);
        world.save().expect("made");
    }
    let marks = Arc::clone(&world.hooks.watermarks);
    let kept_after = |world: &mut World, now: i64| {
        world.compactor.turn(&|| Millis(now), None);
        files_in(&disk, "history").len()
    };
    assert_eq!(kept_after(&mut world, 9_000), 1, "not published");
    marks.published.advance(world.core.applied());
    assert_eq!(kept_after(&mut world, 9_000), 1, "not stored");
    marks.stored.advance(world.core.applied());
    assert_eq!(kept_after(&mut world, NOW.0 + 1_000), 1, "not old enough");
    let grants = |events: &Events| -> Events {
        let mut grants: Events = events.iter().filter(|(_, bytes)| [3, 4].contains(&bytes[0])).cloned().collect();
        grants.sort();
        grants
    };
    let story = grants(&world.told);
    assert_eq!(kept_after(&mut world, NOW.0 + 1_001), 0);
    assert_eq!(grants(&told(&disk).expect("sound").0), story, "the snapshot knows who sits where");
    world.work(100);
    world.save().expect("made");
    world.work(100);
    world.save().expect("made");
    assert_eq!(grants(&told(&disk).expect("sound").0), grants(&world.told));
    assert_eq!(fingerprint(&open(&disk.after_kill()).expect("sound").core), fingerprint(&world.core));
}
