//! A journal set back, and one that is gone: both end where the world stood.

use super::*;
use crate::settings::CampaignUsers;

fn told(name: &str, limit: u32, users: CampaignUsers) -> CampaignTerms {
    CampaignTerms { name: name.into(), limit, per_user: 1, no_id: false, users, open: None, close: None, hold: 0 }
}

#[test]
fn a_journal_set_back_gets_its_grants_back_and_claims_go_on_behind_them() {
    let _calm = calm();
    let (disk, world) = set_back();
    let highest = world.iter().map(|grant| grant.seq).max().unwrap();
    let done = catch_up(&disk, &world, &[told("summer", 50, CampaignUsers::Any)]).expect("nothing contradicts");
    assert_eq!((done.agreed, done.seats.len(), done.last), (10, 50, Lsn::new(12)));
    let mut gate = Gate::open(&disk);
    assert_eq!(gate.core.applied(), done.end());
    assert_eq!(
        (1..=40)
            .map(|user| gate
                .core
                .seats_of(gate.core.campaign_id(b"spring").unwrap(), crate::ids::User::Int(100 + user))[0]
                .get())
            .collect::<Vec<_>>(),
        (1..=40).collect::<Vec<_>>()
    );
    assert_eq!(gate.claim("spring", 900), 41);
    assert_eq!(gate.claim("summer", 900), 21);
    assert!(gate.granted.iter().all(|grant| grant.seq > highest), "no seq is used twice");
}

#[test]
fn a_limit_that_was_raised_after_the_copy_is_told_by_the_file() {
    let _calm = calm();
    let (disk, mut world) = set_back();
    let last = world.last().unwrap().seq.get();
    world.extend((41..=110).map(|seat| grant("spring", seat, 1000 + i64::from(seat), last + u64::from(seat))));
    let short =
        catch_up(&disk, &world, &[told("spring", 109, CampaignUsers::Int)]).err().expect("110 of 109").to_string();
    assert!(short.contains("the file with the terms says that the campaign has 109 seats"), "{short}");
    let done = catch_up(&disk, &world, &[told("spring", 120, CampaignUsers::Int)]).expect("nothing contradicts");
    let mut gate = Gate::open(&disk);
    assert_eq!(gate.core.applied(), done.end());
    let spring = gate.core.campaign(gate.core.campaign_id(b"spring").unwrap()).unwrap();
    assert_eq!((spring.terms.limit, spring.granted), (120, 110));
    assert_eq!(gate.claim("spring", 5000), 111);
}

#[test]
fn users_come_back_with_all_their_seats_where_the_file_says_that_they_may_have_them() {
    let _calm = calm();
    let (disk, mut world) = set_back();
    let last = world.last().unwrap().seq.get();
    let several = |campaign, seat, user, nth, seq| Grant { nth, ..grant(campaign, seat, user, last + seq) };
    world.extend([
        several("spring", 41, 101, 2, 1),
        several("spring", 42, 101, 3, 2),
        several("spring", 43, 140, 2, 3),
    ]);
    world.extend((1..=6).map(|seat| several("autumn", seat, 7, seat as u16, 3 + u64::from(seat))));
    let few = catch_up(&disk, &world, &[]).err().expect("2 of 1").to_string();
    assert!(few.contains("that user has 1 seats, and PERUSER is 1; if it was altered to more later"), "{few}");
    let spring = CampaignTerms { per_user: 3, ..told("spring", 50, CampaignUsers::Int) };
    let done = catch_up(&disk, &world, &[spring]).expect("nothing contradicts");
    let gate = Gate::open(&disk);
    assert_eq!(gate.core.applied(), done.end());
    let of = |name: &[u8], user| {
        let id = gate.core.campaign_id(name).unwrap();
        (gate.core.campaign(id).unwrap().terms, gate.core.seats_of(id, crate::ids::User::Int(user)))
    };
    let (terms, seats) = of(b"spring", 101);
    assert_eq!((terms.limit, terms.per_user), (100, 3));
    assert_eq!(seats.iter().map(|seat| seat.get()).collect::<Vec<_>>(), [1, 41, 42]);
    let (terms, seats) = of(b"autumn", 7);
    assert_eq!((terms.limit, terms.per_user, terms.close, seats.len()), (6, 6, Some(NOW), 6), "nobody kept its terms");
    drop(gate);
    world.push(several("spring", 44, 140, 2, 200));
    let spring = CampaignTerms { per_user: 9, ..told("spring", 50, CampaignUsers::Int) };
    let twice = catch_up(&disk, &world, &[spring]).err().expect("the second seat is there").to_string();
    assert!(twice.contains("seat 44 user 140 nth 2: never more than PERUSER for a user"), "{twice}");
}

#[test]
fn it_lacks_nothing_afterwards_and_says_so() {
    let _calm = calm();
    let (disk, mut world) = set_back();
    catch_up(&disk, &world, &[]).expect("nothing contradicts");
    let mut gate = Gate::open(&disk);
    gate.claims("spring", 901..=905);
    world.extend(gate.stop());
    let before = disk.files();
    let again = catch_up(&disk, &world, &[]).expect("nothing contradicts");
    assert!(again.is_empty() && again.agreed == 65 && again.end() == again.last);
    assert_eq!(disk.files(), before);
}

#[test]
fn a_journal_set_back_twice_is_brought_up_to_date_twice() {
    let _calm = calm();
    let (disk, mut world) = set_back();
    catch_up(&disk, &world, &[]).expect("nothing contradicts");
    let copy = disk.after_kill();
    let mut gate = Gate::open(&disk);
    gate.claims("spring", 901..=905);
    world.extend(gate.stop());
    let done = catch_up(&copy, &world, &[]).expect("what was imported is known by its seq");
    assert_eq!((done.agreed, done.seats.len()), (60, 5));
    assert_eq!(seats(&Gate::open(&copy).core, "spring"), seats(&Gate::open(&disk).core, "spring"));
}

#[test]
fn a_journal_that_is_gone_comes_back_under_its_own_name() {
    let _calm = calm();
    let (_, world) = set_back();
    let disk = MemoryDisk::default();
    let done =
        catch_up(&disk, &world, &[told("spring", 100, CampaignUsers::Int), told("winter", 5, CampaignUsers::Int)])
            .expect("nothing contradicts");
    assert_eq!((done.log, done.seats.len()), (LOG, 60));
    assert_eq!(done.idle_terms, ["winter"], "nobody has a seat of it");
    assert_eq!(Journal::open(Arc::new(disk.clone()), data(), OPTIONS).expect("there").log_id(), LOG);
    let mut gate = Gate::open(&disk);
    assert_eq!(gate.claim("spring", 900), 41, "its terms were told");
    let summer = gate.core.campaign(gate.core.campaign_id(b"summer").unwrap()).unwrap();
    assert_eq!((summer.terms.limit, summer.terms.close, summer.granted), (20, Some(NOW), 20), "nobody told its terms");
    assert_eq!(summer.terms.users, Users::Int, "all its users are numbers");
    let (reply, _) = gate.run(Command::Claim { campaign: b"summer", user: b"900", request: b"", flat: false });
    assert!(reply.contains("Closed"), "{reply}");
    assert!(
        gate.run(Command::Claim { campaign: b"summer", user: b"501", request: b"", flat: false }).0.contains("Already")
    );
}

#[test]
fn positions_without_a_grant_are_left_out_too() {
    let _calm = calm();
    let (disk, world) = set_back();
    let mut intake = Intake::new(Known::read(&disk.disk(), data(), &OPTIONS).unwrap(), None);
    world[..10].iter().for_each(|grant| intake.take(grant.clone().into()));
    assert!(Plan::make(intake.close().unwrap(), Hints::default(), NOW).unwrap().is_empty());

    let stored = crate::ledger::Position {
        source: crate::ledger::journal_source(LOG),
        kpart: 0,
        next: 31,
        log: LOG,
        last_seq: world[9].seq,
        hole: false,
        epoch: 1,
        owner: String::new(),
        beat: String::new(),
    };
    let mut intake = Intake::new(Known::read(&disk.disk(), data(), &OPTIONS).unwrap(), None);
    world[..10].iter().for_each(|grant| intake.take(grant.clone().into()));
    assert_eq!(intake.take_positions(&[stored]), world[9].seq);
    let plan = Plan::make(intake.close().unwrap(), Hints::default(), NOW).unwrap();
    assert_eq!((plan.skip_to, plan.end(), plan.seats.len()), (Some(Lsn::new(30)), Lsn::new(30), 0));
}

#[test]
fn one_position_ahead_is_enough_to_leave_two_out() {
    let _calm = calm();
    let (disk, mut world) = set_back();
    world.truncate(10);
    world.push(grant("spring", 11, 111, 13));
    let done = catch_up(&disk, &world, &[]).expect("nothing contradicts");
    assert_eq!((done.last, done.end()), (Lsn::new(12), Lsn::new(15)));
    assert_eq!(Gate::open(&disk).claim("spring", 900), 12);
}

#[test]
fn a_directory_held_back_for_no_reason_that_lasts_is_let_go() {
    let _calm = calm();
    let (disk, world) = set_back();
    journal::hold(&disk, data(), "a backup").unwrap();
    catch_up(&disk, &world[..10], &[]).expect("it lacks nothing");
    assert_eq!(journal::held_because(&disk, data()).unwrap(), None);
}

fn from_nobody(data: &std::path::Path, ledger: crate::settings::Ledger) -> CatchUpSettings {
    CatchUpSettings {
        world: crate::settings::World {
            data: data.to_owned(),
            kafka: None,
            ledger,
            ledger_users: crate::settings::LedgerUsers::Bigint,
            log: crate::settings::LogLevels { default: tracing::level_filters::LevelFilter::OFF, rooms: Vec::new() },
            log_format: crate::settings::LogFormat::Text,
        },
        from: CatchUpFrom::Nobody,
        log_id: None,
        campaigns: Vec::new(),
        seeded: Vec::new(),
        dry_run: false,
    }
}

#[test]
fn where_nobody_knows_more_a_held_directory_is_let_go_as_it_is() {
    use crate::journal::scribe::Scribe;
    use crate::settings::Ledger;
    let _calm = calm();
    let home = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let mut scribe = Scribe::open(&disk, home.path()).unwrap();
    scribe.create(0, "spring", 9, Users::Int);
    scribe.grant(0, 1..=3);
    scribe.stop();
    journal::hold(&RealDisk, home.path(), "a backup").unwrap();

    let path = home.path().join("ledger.db");
    crate::ledger::LedgerSettings::new(crate::ledger::LedgerAt::Sqlite(path.clone())).to_write().open().unwrap();
    let refused = run(&from_nobody(home.path(), Ledger::Sqlite(path.clone()))).unwrap_err();
    assert!(matches!(refused, CatchUpError::SomebodyKnows(_)) && refused.exit() == Exit::Usage, "{refused}");
    assert!(refused.to_string().contains("ledger.db"), "{refused}");
    assert!(journal::held_because(&RealDisk, home.path()).unwrap().is_some());

    std::fs::remove_file(path).unwrap();
    let report = run(&from_nobody(home.path(), Ledger::None)).unwrap().to_string();
    assert!(report.contains("next lsn: 5"), "{report}");
    assert_eq!(journal::held_because(&RealDisk, home.path()).unwrap(), None);
}

#[test]
fn what_became_of_holds_in_the_lost_part_comes_back() {
    let _calm = calm();
    let disk = MemoryDisk::default();
    let mut gate = Gate::open(&disk);
    let terms = Terms { limit: 9, hold: 1_000, ..Terms::DEFAULT };
    gate.run(Command::Create { campaign: b"spring", terms });
    assert_eq!([1, 2, 3, 4].map(|user| gate.hold("spring", user)), [1, 2, 3, 4]);
    gate.confirm("spring", 1, 1);
    let mut world = gate.stop();
    let copy = disk.after_kill();
    let mut gate = Gate::open(&disk);
    gate.confirm("spring", 3, 3);
    gate.end_hold("spring", 2, 2);
    assert_eq!(gate.hold("spring", 7), 2);
    assert_eq!(gate.hold("spring", 2), 5);
    gate.confirm("spring", 5, 2);
    assert_eq!(gate.hold("spring", 8), 6);
    assert_eq!(gate.hold("spring", 9), 7);
    gate.confirm("spring", 7, 9);
    gate.confirm("spring", 2, 7);
    world.extend(gate.stop());
    catch_up(&copy, &world, &[]).expect("nothing contradicts");
    let mut gate = Gate::open(&copy);
    let at = gate.core.campaign_id(b"spring").unwrap();
    let there = (1..=7).map(|seat| {
        let held = gate.core.is_held(at, Seat::new(seat))?;
        Some((gate.core.user_at(at, Seat::new(seat)), held))
    });
    let user = |user, held| Some((User::Int(user), held));
    let seats = [user(1, false), user(7, false), user(3, false), user(4, true), user(2, false), None, user(9, false)];
    assert_eq!(there.collect::<Vec<_>>(), seats, "the hold of user 8 is forgotten, nobody was told of it by the world");
    assert_eq!(gate.hold("spring", 8), 6);
    assert_eq!(gate.hold("spring", 10), 8);

    // Where nobody knows the terms, missing seats may be lost ones.
    let told = CampaignTerms { hold: 1_000, ..told("spring", 9, CampaignUsers::Int) };
    let gone = MemoryDisk::default();
    let without = plan(&gone, &world, &[]).map(|_| ()).unwrap_err().to_string();
    assert!(without.contains("if it has HOLD, tell its terms with --campaigns"), "{without}");
    catch_up(&gone, &world, &[told]).expect("nothing contradicts");
    let gate = Gate::open(&gone);
    let facts = gate.core.campaign(gate.core.campaign_id(b"spring").unwrap()).unwrap();
    assert_eq!((facts.granted, facts.held, facts.remaining, facts.terms.hold), (5, 0, 4, 1_000));
}

#[test]
fn a_hold_is_found_however_the_world_writes_its_user() {
    let _calm = calm();
    for users in [Users::Any, Users::Int] {
        let user = |text: &'static str| match users {
            Users::Any => User::Any(text.as_bytes()),
            Users::Int => User::Int(text.parse().unwrap()),
        };
        let disk = MemoryDisk::default();
        let mut gate = Gate::open(&disk);
        let terms = Terms { limit: 9, hold: 1_000, users, ..Terms::DEFAULT };
        gate.run(Command::Create { campaign: b"spring", terms });
        assert_eq!([1, 2, 3, 4, 42].map(|user| gate.hold("spring", user)), [1, 2, 3, 4, 5]);
        gate.confirm("spring", 1, 1);
        let mut world = gate.stop();
        let copy = disk.after_kill();
        let mut gate = Gate::open(&disk);
        let campaign = gate.core.campaign_id(b"spring").unwrap();
        for (seat, user) in [(2, user("2")), (5, user("42"))] {
            gate.put(&Event::HoldEnded { campaign, seat: Seat::new(seat), user, at: NOW, expired: true });
        }
        assert_eq!(gate.hold("spring", 42), 2);
        gate.confirm("spring", 2, 42);
        world.extend(gate.stop());
        if users == Users::Int {
            // A ledger whose column is text.
            world.last_mut().unwrap().user = GrantUser::Any(b"42"[..].into());
        }
        catch_up(&copy, &world, &[]).unwrap_or_else(|error| panic!("{users:?}: {error}"));
        let gate = Gate::open(&copy);
        let at = |seat| (gate.core.is_held(campaign, Seat::new(seat)), gate.core.user_at(campaign, Seat::new(seat)));
        assert_eq!(at(2), (Some(false), user("42")));
        assert_eq!(gate.core.is_held(campaign, Seat::new(5)), None, "his hold is over");
        assert_eq!(gate.core.is_held(campaign, Seat::new(4)), Some(true), "nothing contradicts this one");
    }
}

#[test]
fn a_hold_that_the_file_tells_lets_seats_be_free_also_where_the_journal_has_the_campaign_without() {
    let _calm = calm();
    let (disk, mut world) = set_back();
    let last = world.last().unwrap().seq.get();
    world.push(grant("spring", 43, 999, last + 1));
    let without = plan(&disk, &world, &[told("spring", 100, CampaignUsers::Int)]).map(|_| ()).unwrap_err().to_string();
    assert!(without.contains("seats 41 to 42 of that campaign stand neither"), "{without}");
    let with = CampaignTerms { hold: 1_000, ..told("spring", 100, CampaignUsers::Int) };
    catch_up(&disk, &world, &[with]).expect("nothing contradicts");
    let gate = Gate::open(&disk);
    let spring = gate.core.campaign_id(b"spring").unwrap();
    let there = [41, 42, 43].map(|seat| gate.core.is_held(spring, Seat::new(seat)));
    assert_eq!(there, [None, None, Some(false)]);
}

#[test]
fn seats_that_another_system_has_left_free_are_missed_until_the_operator_says_so() {
    let _calm = calm();
    let disk = MemoryDisk::default();
    let mut gate = Gate::open(&disk);
    gate.run(Command::Create { campaign: b"spring", terms: Terms { limit: 9, ..Terms::DEFAULT } });
    let seats = vec![(&b"11"[..], Seat::new(4)), (b"12", Seat::new(2))];
    let (_, last) = gate.run(Command::Seed { campaign: b"spring", seats });
    gate.granted.extend([grant("spring", 4, 11, last.prev().get()), grant("spring", 2, 12, last.get())]);
    assert_eq!(gate.claim("spring", 13), 1);
    let world = gate.stop();
    let gone = MemoryDisk::default();
    let without = plan(&gone, &world, &[]).map(|_| ()).unwrap_err().to_string();
    assert!(without.contains("if GATE.SEED left them free, say --seeded spring"), "{without}");
    let hints = Hints { seeded: &["spring".to_owned(), "sprnig".to_owned()], ..Hints::default() };
    let mut intake = Intake::new(Known::read(&gone.disk(), data(), &OPTIONS).expect("sound"), None);
    world.iter().for_each(|grant| intake.take(grant.clone().into()));
    let plan = Plan::make(intake.close().unwrap(), hints, NOW).expect("nothing contradicts");
    assert_eq!(plan.idle_seeded, ["sprnig"]);
    let told = Report::new(&from_nobody(data(), crate::settings::Ledger::None), &plan).to_string();
    assert!(told.contains("campaign sprnig of --seeded: neither the journal nor"), "{told}");
    assert!(told.contains("grants brought in: 3; grants and returns in the journal before: 0"), "{told}");
    apply::apply(&gone.disk(), data(), OPTIONS, &plan).expect("it can be written");
    let gate = Gate::open(&gone);
    let at = gate.core.campaign_id(b"spring").unwrap();
    let users = [1, 2, 4].map(|seat| gate.core.user_at(at, Seat::new(seat)));
    assert_eq!(users, [13, 12, 11].map(User::Int));
    assert_eq!(gate.core.is_held(at, Seat::new(3)), None);
}

#[test]
fn seats_of_a_user_come_back_in_the_order_in_which_he_confirmed_them() {
    let _calm = calm();
    let disk = MemoryDisk::default();
    let mut gate = Gate::open(&disk);
    let terms = Terms { limit: 9, per_user: 3, hold: 1_000, ..Terms::DEFAULT };
    gate.run(Command::Create { campaign: b"spring", terms });
    assert_eq!(["a", "b", "c"].map(|request| gate.hold_as("spring", 1, request)), [1, 2, 3]);
    let mut world = gate.stop();
    let copy = disk.after_kill();
    let mut gate = Gate::open(&disk);
    gate.confirm_nth("spring", 2, 1, 2);
    gate.confirm_nth("spring", 1, 1, 1);
    world.extend(gate.stop());
    catch_up(&copy, &world, &[]).expect("nothing contradicts");
    let gate = Gate::open(&copy);
    let at = gate.core.campaign_id(b"spring").unwrap();
    let held = [1, 2, 3].map(|seat| gate.core.is_held(at, Seat::new(seat)));
    assert_eq!(held, [Some(false), Some(false), Some(true)], "the third is still held, nothing says otherwise");
    assert_eq!(gate.core.seats_of(at, User::Int(1)), [1, 2, 3].map(Seat::new));

    let told = CampaignTerms { hold: 1_000, per_user: 3, ..told("spring", 9, CampaignUsers::Int) };
    let gone = MemoryDisk::default();
    catch_up(&gone, &world, &[told]).expect("nothing contradicts");
    let gate = Gate::open(&gone);
    let at = gate.core.campaign_id(b"spring").unwrap();
    assert_eq!(gate.core.seats_of(at, User::Int(1)), [1, 2].map(Seat::new));
}
