//! Positions left out, journals of a given name, and a word that holds claims back: what catching up rests on.

use super::*;
use crate::ids::LogId;

const LOG: LogId = LogId([7; 16]);

impl Run {
    /// Leaves out positions up to `upto`, in as many batches as that takes.
    fn skip(&mut self, upto: u64) {
        self.settle();
        while self.next() <= upto {
            self.room(RECORD);
            let (lsn, event) = self.journal.skip(Lsn::new(upto));
            let Event::Skipped { upto: skipped } = event else { panic!("a skip is a skip") };
            self.events.push((lsn.get(), bytes_of(&event)));
            wait_for("an answer", || {
                self.journal.seal(NOW);
                self.journal.answerable().covers(skipped)
            });
            self.skipped_to = skipped.get();
        }
    }

    /// The next position.
    fn next(&self) -> u64 {
        self.events.last().map_or(0, |(lsn, _)| *lsn).max(self.skipped_to).max(self.replayed.last_lsn.get()) + 1
    }
}

/// What a skip's record takes at most.
const RECORD: usize = 64;

#[test]
fn a_skip_leaves_positions_out_and_the_next_event_stands_behind_them() {
    let _calm = calm();
    let disk = MemoryDisk::default();
    let mut run = start(&disk, always()).expect("a new journal");
    run.commit(1);
    run.skip(20);
    assert_eq!(run.hooks.watermarks.durable.get(), Lsn::new(20));
    assert_eq!(run.commit(2), Lsn::new(21));
    let killed = start(&disk.after_kill(), always()).expect("sound");
    assert_eq!((killed.replayed.last_lsn, &killed.events), (Lsn::new(21), &run.events));
    run.journal.finish(NOW).expect("a clean stop");
    let stopped = start(&disk, always()).expect("sound");
    assert_eq!((stopped.replayed.last_lsn, &stopped.events), (Lsn::new(21), &killed.events));
}

#[test]
fn more_positions_than_a_batch_can_count_are_left_out_in_several_batches() {
    let _calm = calm();
    let disk = MemoryDisk::default();
    let mut run = start(&disk, always()).expect("a new journal");
    let far = (1 << 33) + 5;
    run.commit(1);
    run.skip(far);
    assert!(run.events.len() > 3, "several skips");
    assert_eq!(run.commit(1), Lsn::new(far + 1));
    let again = start(&disk.after_kill(), always()).expect("sound");
    assert_eq!((again.replayed.last_lsn, again.events), (Lsn::new(far + 1), run.events));
}

#[test]
fn nothing_of_an_event_before_a_skip_is_amended_and_what_stands_behind_it_is() {
    let _calm = calm();
    let disk = MemoryDisk::default();
    let mut run = start(&disk, always()).expect("a new journal");
    let (before, event) = run.journal.skip(Lsn::new(9));
    run.events.push((before.get(), bytes_of(&event)));
    for lsn in 1..=12 {
        assert!(!run.journal.amend(Lsn::new(lsn), &counted(b"n", 2)), "{lsn}");
    }
    wait_for("an answer", || {
        run.journal.seal(NOW);
        run.journal.answerable().covers(Lsn::new(9))
    });
    run.skipped_to = 9;
    let lsn = run.append(&counted(b"n", 1));
    assert_eq!(lsn, Lsn::new(10));
    assert!(run.journal.amend(lsn, &counted(b"n", 2)));
}

#[test]
fn kills_and_power_cuts_around_a_skip_lose_nothing_that_was_durable() {
    let _calm = calm();
    for seed in 0..60 {
        let mut draw = draws(seed);
        let mut disk = MemoryDisk::default();
        let mut written = Events::new();
        let mut known = Lsn::ZERO;
        for _ in 0..5 {
            let mut run = start(&disk, always()).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
            assert_eq!(run.events[..], written[..run.events.len()], "seed {seed}");
            assert!(run.replayed.last_lsn >= known, "seed {seed}: {} of {known}", run.replayed.last_lsn);
            for _ in 0..draw() % 6 {
                match draw() % 3 {
                    0 => run.skip(run.next() + 1 + draw() % 1000),
                    _ => drop(run.put((draw() % 900) as usize)),
                }
            }
            if draw().is_multiple_of(2) {
                run.journal.seal(NOW);
            }
            known = run.hooks.watermarks.durable.get();
            written = run.events.clone();
            disk = match draw().is_multiple_of(2) {
                true => disk.after_kill(),
                false => disk.after_power_cut(|| draw().is_multiple_of(2)),
            };
        }
    }
}

#[test]
fn a_reader_begins_within_positions_that_were_left_out() {
    let _calm = calm();
    let disk = MemoryDisk::default();
    let mut run = start(&disk, always()).expect("a new journal");
    run.commit(1);
    run.skip(10);
    run.commit(2);
    let last = Lsn::new(11);
    for from in 1..=12 {
        let mut reader = Reader::open(disk.disk(), data(), Lsn::new(from)).expect("there");
        let mut seen = Events::new();
        let mut upto = from.saturating_sub(1);
        while let Some(batch) = reader.next(last).expect("sound") {
            assert_eq!(batch.first.get(), upto + 1, "from {from}: positions follow each other");
            upto = batch.last.get();
            seen.extend(batch.events().map(|record| record.map(|(lsn, e)| (lsn.get(), bytes_of(&e))).unwrap()));
        }
        let expected: Events = run.events.iter().filter(|(lsn, _)| *lsn >= from).cloned().collect();
        assert_eq!(seen, expected, "from {from}");
        assert_eq!(upto, from.saturating_sub(1).max(11), "from {from}");
    }
    let mut reader = Reader::open(disk.disk(), data(), Lsn::new(2)).expect("there");
    assert_eq!(reader.next(Lsn::new(9)), Ok(None), "a batch is delivered whole");
}

#[test]
fn a_new_journal_takes_the_name_it_is_given_and_one_that_is_there_keeps_its_own() {
    let _calm = calm();
    let disk = MemoryDisk::default();
    let open = |log| Journal::open_as(disk.disk(), data(), always(), log);
    let journal = open(LOG).expect("a new journal");
    assert_eq!(journal.log_id(), LOG);
    let hooks = start(&MemoryDisk::default(), always()).expect("a new journal").hooks;
    drop(journal.replay_into(&mut |_, _| (), hooks, &mut |_| ()).expect("an empty journal"));
    assert_eq!(Journal::open(disk.disk(), data(), always()).expect("there").log_id(), LOG);
    assert_eq!(open(LOG).expect("the same").log_id(), LOG);
    let refused = open(LogId([8; 16])).expect_err("another");
    assert!(matches!(refused, JournalError::OtherLog { log: LOG, .. }) && !refused.is_damage(), "{refused}");
}

#[test]
fn a_look_sees_what_a_start_would_and_changes_nothing() {
    let _calm = calm();
    let seen = |disk: &MemoryDisk| {
        let before = disk.files();
        let mut core = Core::new(7);
        let looked = look(disk, data(), &always(), &mut core, &mut |_| ());
        let events = core.applied();
        assert_eq!(disk.files(), before);
        looked.map(|found| found.map(|(log, replayed)| (log, replayed.last_lsn, replayed.torn.is_some(), events)))
    };
    assert_eq!(seen(&MemoryDisk::default()), Ok(None));
    let nowhere = look(&RealDisk, Path::new("/nonexistent"), &always(), &mut Core::new(7), &mut |_| ());
    assert_eq!(nowhere, Ok(None));
    let disk = MemoryDisk::default();
    let mut run = start(&disk, always()).expect("a new journal");
    run.commit(1);
    run.skip(9);
    let log = Journal::open(disk.disk(), data(), always()).expect("there").log_id();
    assert_eq!(seen(&disk.after_kill()), Ok(Some((log, Lsn::new(9), false, Lsn::new(9)))));
    let mut files = disk.after_kill().files();
    files.get_mut(&seg(1)).unwrap()[2 * BLOCK as usize + 90] ^= 1;
    assert_eq!(seen(&MemoryDisk::of(&files)), Ok(Some((log, Lsn::new(1), true, Lsn::new(1)))));
    run.commit(1);
    let mut files = disk.after_kill().files();
    files.get_mut(&seg(1)).unwrap()[BLOCK as usize + 90] ^= 1;
    assert!(matches!(seen(&MemoryDisk::of(&files)), Err(JournalError::Rot { .. })));
}

#[test]
fn claims_are_held_back_from_the_first_word_to_the_last_through_power_cuts() {
    let disk = MemoryDisk::default();
    let because = |disk: &MemoryDisk| held_because(disk, data()).expect("readable");
    assert_eq!(because(&disk), None);
    hold(&disk, data(), "on it\n").expect("written");
    assert_eq!(because(&disk.after_power_cut(|| false)).as_deref(), Some("on it"));
    let_go(&disk, data()).expect("removed");
    assert_eq!(because(&disk.after_power_cut(|| false)), None);
    let_go(&disk, data()).expect("nothing to remove");
}
