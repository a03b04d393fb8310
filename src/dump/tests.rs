//! What a journal in memory looks like as lines.

use std::borrow::Cow;
use std::path::Path;
use std::sync::{Arc, RwLockReadGuard};

use super::*;
use crate::core::Users;
use crate::ids::{Db, User};
use crate::journal::memory::MemoryDisk;
use crate::journal::scribe::{NOW, Scribe};

struct World {
    memory: MemoryDisk,
    disk: Arc<dyn Disk>,
    scribe: Scribe,
    _calm: RwLockReadGuard<'static, ()>,
}

fn data() -> &'static Path {
    Path::new("/data")
}

impl World {
    fn new() -> World {
        let calm = crate::sabotage::peace::keep();
        let memory = MemoryDisk::default();
        let disk: Arc<dyn Disk> = Arc::new(memory.clone());
        let scribe = Scribe::open(&disk, data()).unwrap();
        World { memory, disk, scribe, _calm: calm }
    }

    /// `spring` with 40 grants in several segments, `summer` with one of a user with a name, and keys between.
    fn full() -> World {
        let mut world = World::new();
        world.scribe.create(0, "spring", 100, Users::Int);
        world.scribe.grant(0, 1..=20);
        world.scribe.create(1, "summer", 5, Users::Any);
        let (campaign, seat, user) = (CampaignId(1), crate::ids::Seat::new(1), User::Any(b"ann\xff"));
        world.scribe.write(&[Event::Granted { campaign, seat, user, nth: 1, request: b"", at: NOW, after: Lsn::ZERO }]);
        world.scribe.set("k", b"value");
        world.scribe.grant(0, 21..=40);
        world
    }

    fn dump(&self, wanted: &Wanted) -> Result<Vec<String>, DumpError> {
        let mut out = Vec::new();
        run(&self.disk, data(), wanted, &mut out)?;
        Ok(lines(&out))
    }
}

fn lines(out: &[u8]) -> Vec<String> {
    String::from_utf8(out.to_vec()).unwrap().lines().map(str::to_owned).collect()
}

fn json() -> Wanted {
    Wanted { json: true, ..Wanted::default() }
}

#[test]
fn every_kind_of_event_has_its_line_and_its_object() {
    let mut world = World::new();
    let (campaign, seat) = (CampaignId(0), crate::ids::Seat::new(1));
    let db = Db(3);
    world.scribe.create(0, "spring", 9, Users::Int);
    world.scribe.write(&[
        Event::Granted { campaign, seat, user: User::Int(-42), nth: 1, request: b"", at: NOW, after: Lsn::ZERO },
        Event::Imported {
            campaign,
            seat,
            user: User::Any(b"a b"),
            nth: 1,
            at: NOW,
            seq: Some(Lsn::new(77)),
            after: Lsn::ZERO,
        },
        Event::CampaignAltered {
            id: campaign,
            to: crate::core::Alterable { limit: 8, per_user: 1, open: None, close: Some(NOW) },
            at: NOW,
            by: b"127.0.0.1:5 ops".into(),
        },
        Event::CampaignDropped { id: campaign, at: NOW, purged: false },
        Event::KeySet { db, key: b"k", value: Cow::Borrowed(&[b'v'; 70]), expires: Millis(0) },
        Event::KeySet { db, key: b"\xff", value: Cow::Borrowed(b"\xfe"), expires: Millis::NEVER },
        Event::KeyCounted { db, key: b"n", value: -7 },
        Event::KeyPatched { db, key: b"k", offset: 4, bytes: b"p\n" },
        Event::KeyExpirySet { db, key: b"k", expires: NOW },
        Event::KeyExpirySet { db, key: b"k", expires: Millis::NEVER },
        Event::KeyRemoved { db, key: b"k", expired: false },
        Event::KeyRemoved { db, key: b"k", expired: true },
        Event::KeyRenamed { db, from: b"n", to: b"m" },
        Event::Flushed { db: Some(db) },
        Event::Flushed { db: None },
    ]);
    let at = "2024-11-22T04:33:20.123Z";
    let expected = [
        "created campaign=spring limit=9 users=int shadow=no",
        "granted campaign=spring seat=1 user=-42",
        "imported campaign=spring seat=1 user=\"a b\" seq=77",
        "altered campaign=spring limit=8 close=2024-11-22T04:33:20.123Z by=\"127.0.0.1:5 ops\"",
        "dropped campaign=spring",
        &format!("set db=3 key=\"k\" bytes=70 value=\"{}\"... expires=1970-01-01T00:00:00.000Z", "v".repeat(64)),
        "set db=3 key=\"\\xff\" bytes=1 value=\"\\xfe\"",
        "counted db=3 key=\"n\" value=-7",
        "patched db=3 key=\"k\" offset=4 bytes=2 value=\"p\\n\"",
        "expires db=3 key=\"k\" expires=2024-11-22T04:33:20.123Z",
        "persists db=3 key=\"k\"",
        "removed db=3 key=\"k\"",
        "expired db=3 key=\"k\"",
        "renamed db=3 key=\"n\" to=\"m\"",
        "flushed db=3",
        "flushed",
    ];
    let expected: Vec<String> = (1..).zip(expected).map(|(lsn, line)| format!("{lsn} {at} {line}")).collect();
    assert_eq!(world.dump(&Wanted::default()).unwrap(), expected);

    let objects = world.dump(&json()).unwrap();
    assert_eq!(objects.len(), 16);
    let at = NOW.0;
    for (index, object) in [
        (
            0,
            format!(
                r#"{{"at":{at},"campaign":"spring","limit":9,"lsn":1,"shadow":false,"users":"int","what":"created"}}"#
            ),
        ),
        (1, format!(r#"{{"at":{at},"campaign":"spring","lsn":2,"seat":1,"user":"-42","what":"granted"}}"#)),
        (
            3,
            format!(
                r#"{{"at":{at},"by":"127.0.0.1:5 ops","campaign":"spring","close":{at},"limit":8,"lsn":4,"what":"altered"}}"#
            ),
        ),
        (6, format!(r#"{{"at":{at},"db":3,"key":{{"hex":"ff"}},"lsn":7,"value":{{"hex":"fe"}},"what":"set"}}"#)),
        (7, format!(r#"{{"at":{at},"db":3,"key":"n","lsn":8,"value":-7,"what":"counted"}}"#)),
        (9, format!(r#"{{"at":{at},"db":3,"expires":{at},"key":"k","lsn":10,"what":"expires"}}"#)),
    ] {
        assert_eq!(objects[index], object);
    }
}

#[test]
fn bounds_campaign_and_user_choose_what_is_shown() {
    let world = World::full();
    let all = world.dump(&Wanted::default()).unwrap();
    assert_eq!(all.len(), 44);
    let part = |from, to| Wanted { from: Some(Lsn::new(from)), to: Some(Lsn::new(to)), ..Wanted::default() };
    for (from, to) in [(1, 1), (1, 44), (7, 30), (44, 44), (44, 99), (0, 3)] {
        let shown = world.dump(&part(from, to)).unwrap();
        assert_eq!(shown, all[from.max(1) as usize - 1..to.min(44) as usize], "{from} to {to}");
    }
    assert_eq!(world.dump(&part(45, 99)).unwrap(), [""; 0]);

    let of = |campaign: &str, user: Option<&str>| Wanted {
        campaign: Some(campaign.into()),
        user: user.map(str::to_owned),
        ..Wanted::default()
    };
    assert_eq!(world.dump(&of("spring", None)).unwrap().len(), 41);
    let summer = world.dump(&of("summer", None)).unwrap();
    assert!(summer.len() == 2 && summer[1].ends_with("granted campaign=summer seat=1 user=\"ann\\xff\""), "{summer:?}");
    let one = world.dump(&of("spring", Some("1033"))).unwrap();
    assert!(one.len() == 1 && one[0].ends_with("seat=33 user=1033"), "{one:?}");
    let named = Wanted { user: Some("ann\\xff".into()), ..Wanted::default() };
    assert_eq!(world.dump(&named).unwrap(), summer[1..]);
    assert_eq!(world.dump(&of("spring", Some("7"))).unwrap(), [""; 0]);

    let refused = world.dump(&of("autumn", None)).unwrap_err();
    assert_eq!(
        (refused.exit(), refused.to_string().as_str()),
        (Exit::Usage, "dump: the journal knows no campaign autumn")
    );
}

#[test]
fn what_stands_before_a_damage_is_printed_and_the_damage_told() {
    let world = World::full();
    let mut files = world.memory.files();
    let second = data().join("journal/00000002.seg");
    files.get_mut(&second).unwrap()[700] ^= 1;
    let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::of(&files));
    let mut out = Vec::new();
    let error = run(&disk, data(), &Wanted::default(), &mut out).unwrap_err();
    assert!(error.to_string().contains("00000002.seg:") && error.exit() == Exit::Damaged, "{error}");
    let shown = lines(&out);
    assert!(shown.len() > 20 && shown.len() < 44, "{}", shown.len());
    assert_eq!(shown, world.dump(&Wanted::default()).unwrap()[..shown.len()]);
    let missing = Wanted { campaign: Some("autumn".into()), ..Wanted::default() };
    let error = run(&disk, data(), &missing, &mut Vec::new()).unwrap_err();
    assert_eq!(error.exit(), Exit::Damaged, "it may stand behind the damage");
}

#[test]
fn a_directory_without_a_journal_is_told() {
    let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::default());
    let error = run(&disk, data(), &Wanted::default(), &mut Vec::new()).unwrap_err();
    assert!(matches!(error, DumpError::NoJournal(_)) && error.exit() == Exit::Surroundings);
}

/// Takes so many bytes, and is gone then.
struct Pipe(usize);

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.checked_sub(bytes.len()).ok_or(ErrorKind::BrokenPipe)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_reader_that_goes_away_is_no_failure_and_a_full_disk_is_one() {
    let world = World::full();
    run(&world.disk, data(), &Wanted::default(), &mut Pipe(200)).unwrap();
    let error = run(&world.disk, data(), &Wanted::default(), &mut io::Cursor::new(&mut [0; 100][..])).unwrap_err();
    assert!(matches!(error, DumpError::Output(_)) && error.exit() == Exit::Surroundings, "{error}");
}

#[test]
fn history_is_told_and_what_it_left_out_is_not() {
    let mut world = World::full();
    let before = world.dump(&Wanted::default()).unwrap();
    for seats in [41..=50, 51..=60, 61..=70] {
        world.scribe.grant(0, seats);
        world.scribe.save();
    }
    assert!(world.memory.files().keys().any(|path| path.starts_with(data().join("history"))), "there is history");
    let spring = Wanted { campaign: Some("spring".into()), ..Wanted::default() };
    let told = world.dump(&spring).unwrap();
    assert_eq!(told.len(), 71, "created, and 70 grants");
    let grants = |lines: &[String]| -> Vec<String> {
        lines.iter().filter(|line| line.contains(" granted campaign=spring")).cloned().collect()
    };
    assert_eq!(grants(&told)[..40], grants(&before), "the same lines");
    let all = world.dump(&Wanted::default()).unwrap();
    assert!(!all.iter().any(|line| line.contains("key=\"k\"")), "keys are left out of history");
    assert_eq!(all.iter().filter(|line| line.contains("campaign=spring")).cloned().collect::<Vec<_>>(), told);
}

#[test]
fn a_dump_of_a_running_gate_ends_where_it_was() {
    let mut world = World::full();
    assert_eq!(world.dump(&Wanted::default()).unwrap().len(), 44);
    world.scribe.grant(0, 41..=60);
    assert_eq!(world.dump(&Wanted::default()).unwrap().len(), 64);
    world.scribe.stop();
    let mut out = Vec::new();
    run(&world.disk, data(), &json(), &mut out).unwrap();
    assert_eq!(lines(&out).len(), 64);
}
