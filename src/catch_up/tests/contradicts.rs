//! Where anything contradicts or is missing it is named, and nothing is changed.

use super::*;

#[test]
fn what_contradicts_is_named_and_nothing_is_changed() {
    let _calm = calm();
    let (disk, world) = set_back();
    let before = disk.files();
    let last = world.last().unwrap().seq.get();
    type Change = fn(&mut Vec<Grant>, u64);
    let cases: [(Change, &str); 11] = [
        (
            |world, _| world[3].user = GrantUser::Int(999),
            "at seq 5 the journal has campaign spring seat 4 user 104, the other side campaign spring seat 4 user 999",
        ),
        (|world, _| world[3].seat = 5, "the other side campaign spring seat 5 user 104"),
        (|world, _| world[3].campaign = "other".into(), "the other side campaign other seat 4"),
        (
            |world, _| world.push(grant("spring", 41, 999, 12)),
            "at seq 12 the journal has no grant, the other side has campaign spring seat 41 user 999",
        ),
        (|world, _| drop(world.remove(10)), "seat 11 of that campaign stand neither in the journal nor here"),
        (
            |world, _| world.retain(|grant| &*grant.campaign != "summer" || grant.seat > 5),
            "seats 1 to 5 of that campaign",
        ),
        (|world, last| world.push(grant("spring", 10, 999, last + 1)), "has that seat out under another seq"),
        (|world, last| world.push(grant("spring", 41, 101, last + 1)), "that user has seat 1 already"),
        (
            |world, _| world.push(Grant { user: GrantUser::Int(998), ..world[20].clone() }),
            "the other side has two grants",
        ),
        (|world, last| world.push(grant("spring", 41, 999, last << 50)), "no journal has such a seq"),
        (|world, _| world.last_mut().unwrap().user = GrantUser::Any(b"ann"[..].into()), "this user is no such number"),
    ];
    for (change, named) in cases {
        let mut world = world.clone();
        change(&mut world, last);
        let error = catch_up(&disk, &world, &[]).err().unwrap_or_else(|| panic!("not refused: {named}"));
        let told = error.to_string();
        assert!(told.contains(named) && told.ends_with("nothing was changed"), "{named}:\n{told}");
        assert_eq!(error.exit(), Exit::Difference);
        assert_eq!(disk.files(), before, "{named}");
    }
}

#[test]
fn a_seat_beyond_the_limit_of_its_campaign_is_named() {
    let _calm = calm();
    let (disk, mut world) = set_back();
    let last = world.last().unwrap().seq.get();
    world.extend((41..=101).map(|seat| grant("spring", seat, 1000 + i64::from(seat), last + u64::from(seat))));
    let told = catch_up(&disk, &world, &[]).err().expect("101 of 100").to_string();
    assert!(told.contains("seat 101") && told.contains("the journal says that the campaign has 100 seats"), "{told}");
    assert!(told.contains("tell its limit with --campaigns"), "{told}");
    let terms = CampaignTerms {
        hold: 0,
        name: "summer".into(),
        limit: 19,
        per_user: 1,
        no_id: false,
        users: crate::settings::CampaignUsers::Int,
        open: None,
        close: None,
    };
    let told = catch_up(&disk, &world, &[terms]).err().expect("20 of 19").to_string();
    assert!(told.contains("the file with the terms says that the campaign has 19 seats"), "{told}");
}

#[test]
fn a_gate_that_went_on_after_it_was_set_back_contradicts() {
    let _calm = calm();
    let (disk, world) = set_back();
    let mut gate = Gate::open(&disk);
    gate.claims("spring", 901..=903);
    gate.stop();
    let told = catch_up(&disk, &world, &[]).err().expect("seat 11 is out twice").to_string();
    assert!(told.contains("seat 12 user 902, the other side campaign spring seat 11 user 111"), "{told}");
    assert!(!told.contains("stand neither"), "what follows from it is not told: {told}");
}

#[test]
fn a_campaign_that_the_journal_dropped_gets_no_later_grants() {
    let _calm = calm();
    let (disk, world) = set_back();
    let mut gate = Gate::open(&disk);
    gate.run(Command::Drop { campaign: b"spring", how: crate::core::Dropping::Forced });
    gate.stop();
    let told = catch_up(&disk, &world, &[]).err().expect("dropped").to_string();
    assert!(told.contains("campaign spring was dropped in the journal"), "{told}");
}

#[test]
fn a_key_in_the_place_of_a_lost_campaign_is_named() {
    let _calm = calm();
    let (disk, world) = set_back();
    let mut gate = Gate::open(&disk);
    gate.run(Command::Add { db: Db(0), key: b"summer", step: 1 });
    gate.stop();
    let told = catch_up(&disk, &world, &[]).err().expect("a key").to_string();
    assert!(told.contains("campaign summer cannot be created in the journal"), "{told}");
}

#[test]
fn which_journal_it_is_must_be_clear() {
    let _calm = calm();
    let (disk, mut world) = set_back();
    let other = LogId([8; 16]);
    world.push(Grant { log: other, ..grant("autumn", 1, 1, 5) });
    assert_eq!(plan(&disk, &world, &[]).expect("the journal has a name").seats.len(), 50);
    let nowhere = MemoryDisk::default();
    let several = plan(&nowhere, &world, &[]).err().expect("two journals");
    let told = several.to_string();
    assert!(matches!(several, CatchUpError::SeveralLogs(_)) && told.contains("--log-id"), "{told}");
    let counted = |log, entries| format!("{log} ({entries} grants and returns)");
    assert!(told.contains(&counted(LOG, 60)) && told.contains(&counted(other, 1)), "{told}");
    let mut intake = Intake::new(Known::read(&nowhere.disk(), data(), &OPTIONS).unwrap(), Some(other));
    world.iter().for_each(|grant| intake.take(grant.clone().into()));
    assert_eq!(Plan::make(intake.close().unwrap(), Hints::default(), NOW).unwrap().log, other);
    let others = plan(&disk, &world[60..], &[]).err().expect("none of this journal");
    assert!(matches!(others, CatchUpError::OtherLogs(LOG, _)), "{others}");
    assert!(matches!(plan(&nowhere, &[], &[]).err(), Some(CatchUpError::Nothing)));
}
