//! Killed after any change to the disk, the next run ends where this one would have; no gate decides in between.

use super::*;

/// Whether a gate that is started over this disk would know that it is older than the world, or need not.
fn is_safe(disk: &MemoryDisk, before: Lsn, complete: &str) -> bool {
    let held = journal::held_because(disk, data()).expect("readable").is_some();
    let known = Known::read(&disk.disk(), data(), &OPTIONS).expect("sound");
    held || known.last == before || seats(&known.core, "spring") == complete
}

fn killed_at_every_change(disk: &MemoryDisk, world: &[Grant]) {
    let whole = disk.after_kill();
    catch_up(&whole, world, &[]).expect("nothing contradicts");
    let before = Known::read(&disk.disk(), data(), &OPTIONS).expect("sound").last;
    let expected = Known::read(&whole.disk(), data(), &OPTIONS).expect("sound").core;
    let expected = ["spring", "summer"].map(|campaign| seats(&expected, campaign));
    let mut kills = 0;
    for left in 0.. {
        let failing = disk.after_kill();
        failing.faults(|faults| faults.changes_left = Some(left));
        let failed = catch_up(&failing, world, &[]).is_err();
        let mut seed = left;
        let crashed = [
            failing.after_kill(),
            failing.after_power_cut(|| false),
            failing.after_power_cut(|| {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                seed >> 63 == 0
            }),
        ];
        for (how, crashed) in crashed.into_iter().enumerate() {
            assert!(is_safe(&crashed, before, &expected[0]), "killed after {left} changes ({how})");
            let again = catch_up(&crashed, world, &[]).unwrap_or_else(|error| panic!("{left} ({how}): {error}"));
            assert_eq!(again.agreed as usize + again.seats.len(), world.len(), "killed after {left} changes ({how})");
            let core = Gate::open(&crashed).core;
            let there = ["spring", "summer"].map(|campaign| seats(&core, campaign));
            assert_eq!(there, expected, "killed after {left} changes ({how})");
            assert_eq!(journal::held_because(&crashed, data()), Ok(None));
            assert!(plan(&crashed, world, &[]).expect("nothing contradicts").is_empty());
        }
        if !failed {
            break;
        }
        kills += 1;
    }
    assert!(kills > 15, "hold, segments, batches, finish, let go: each can be the last: {kills}");
}

#[test]
fn a_journal_set_back_is_brought_up_to_date_whenever_it_is_killed() {
    let _calm = calm();
    let (disk, world) = set_back();
    killed_at_every_change(&disk, &world);
}

#[test]
fn a_journal_that_is_gone_comes_back_whenever_it_is_killed() {
    let _calm = calm();
    let (_, world) = set_back();
    killed_at_every_change(&MemoryDisk::default(), &world);
}

#[cfg(feature = "sabotage")]
#[test]
fn a_catch_up_that_holds_nobody_back_is_noticed() {
    use crate::sabotage::{Sabotage, peace};
    let unsafe_moments = peace::broken(Sabotage::CatchUpUnheld, || {
        let (disk, world) = set_back();
        let before = Known::read(&disk.disk(), data(), &OPTIONS).expect("sound").last;
        let whole = disk.after_kill();
        catch_up(&whole, &world, &[]).expect("nothing contradicts");
        let complete = seats(&Gate::open(&whole).core, "spring");
        let killed = (0..60).map(|left| {
            let failing = disk.after_kill();
            failing.faults(|faults| faults.changes_left = Some(left));
            let _cut_short = catch_up(&failing, &world, &[]);
            failing.after_kill()
        });
        killed.filter(|disk| !is_safe(disk, before, &complete)).count()
    });
    assert!(unsafe_moments > 0, "a gate started in between would grant seats a second time");
}
