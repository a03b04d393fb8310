//! Grants that came back in the part that is lost, or of which the journal has the grant alone.

use super::*;
use crate::grant::{Entry, Return};
use crate::kafka::memory::MemoryCluster;
use crate::kafka::{NewTopic, Outgoing};
use crate::wire::kafka::{EntryRecord, Key, Value, encode};

const TOPICS: Topics<'_> = Topics { grants: "coupon_create", returns: Some("coupon_cancel") };

/// A gate that was set back, and what the world knows of it.
struct Lost {
    gate: Gate,
    entries: Vec<Entry>,
}

impl Lost {
    fn claim(&mut self, user: i64) -> u32 {
        let seat = self.gate.claim("spring", user);
        self.entries.extend(self.gate.granted.pop().map(Entry::from));
        seat
    }

    fn cancel(&mut self, user: i64) {
        let text = user.to_string();
        let (campaign, user_text) = (b"spring".as_slice(), text.as_bytes());
        let (_, seq) = self.gate.run(Command::Cancel { campaign, user: user_text, seat: None, flat: false });
        let is_his = |entry: &&Entry| *entry.user() == GrantUser::Int(user) && matches!(entry, Entry::Grant { .. });
        let of = self.entries.iter().rev().find(is_his).expect("he has a seat").clone();
        let (campaign, seat) = (Arc::clone(of.campaign()), of.seat());
        let user = of.user().clone();
        self.entries.push(Entry::Return(Return {
            log: LOG,
            seq,
            grant: of.seq(),
            campaign,
            seat,
            user,
            nth: 1,
            at: NOW,
        }));
    }
}

/// The disk has seats 1 to 5. In the world 2 came back and went to 12, 5 came back and stayed free, 6 was granted and came
/// back; the disk as it would be without the loss comes last.
fn set_back_with_returns() -> (MemoryDisk, Vec<Entry>, MemoryDisk) {
    let disk = MemoryDisk::default();
    let mut gate = Gate::open(&disk);
    gate.create("spring", 10, Users::Int);
    let mut lost = Lost { gate, entries: Vec::new() };
    for user in 1..=5 {
        lost.claim(user);
    }
    let Lost { gate, entries } = lost;
    gate.stop();
    let copy = disk.after_kill();
    let mut lost = Lost { gate: Gate::open(&disk), entries };
    lost.cancel(2);
    assert_eq!(lost.claim(12), 2);
    assert_eq!(lost.claim(6), 6);
    lost.cancel(5);
    lost.cancel(6);
    assert_eq!(lost.claim(15), 5);
    lost.cancel(15);
    let Lost { gate, entries } = lost;
    gate.stop();
    (copy, entries, disk)
}

fn plan_of(disk: &MemoryDisk, entries: &[Entry]) -> Result<Plan, CatchUpError> {
    let mut intake = Intake::new(Known::read(&disk.disk(), data(), &OPTIONS)?, None);
    entries.iter().rev().for_each(|entry| intake.take(entry.clone()));
    Plan::make(intake.close()?, Hints::default(), NOW)
}

#[test]
fn seats_end_as_the_world_has_them_and_later_returns_name_what_the_world_knows() {
    let _calm = calm();
    let (disk, entries, whole) = set_back_with_returns();
    let plan = plan_of(&disk, &entries).expect("nothing contradicts");
    assert_eq!((plan.seats.len(), plan.agreed), (7, 5));
    let touched = plan.campaigns().next().unwrap();
    assert_eq!((touched.grants, touched.returns), (3, 4));
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    apply::apply(&shared, data(), OPTIONS, &plan).expect("the disk is sound");

    let mut gate = Gate::open(&disk);
    assert_eq!(seats(&gate.core, "spring"), seats(&Gate::open(&whole).core, "spring"));
    let id = gate.core.campaign_id(b"spring").unwrap();
    assert_eq!(gate.core.last_return(id), entries.last().unwrap().seq());
    assert_eq!(gate.claim("spring", 77), 5);
    let view = View { now: NOW, ..View::default() };
    let cancel = Command::Cancel { campaign: b"spring", user: b"12", seat: None, flat: false };
    let Decision::Record { group, .. } = gate.core.decide(cancel, &view) else { panic!("he has it") };
    let Event::Returned { grant, .. } = group.events()[0] else { panic!("{group:?}") };
    assert_eq!(grant, entries[6].seq());
    gate.stop();

    let again = plan_of(&disk, &entries).expect("it agrees now");
    assert!(again.is_empty());
    assert_eq!(again.agreed, 12);
}

#[test]
fn both_topics_are_read() {
    let _calm = calm();
    let (disk, entries, _) = set_back_with_returns();
    let cluster = MemoryCluster::with_topic(TOPICS.grants, 2);
    let topic = NewTopic { name: TOPICS.returns.unwrap().into(), partitions: 2, replication: None };
    cluster.clone().create(&topic).unwrap();
    for entry in &entries {
        let (key, value, headers) =
            encode(&EntryRecord { entry: entry.clone(), prev: Lsn::ZERO }, Key::Campaign, Value::Json);
        let topic = if matches!(entry, Entry::Grant { .. }) { TOPICS.grants } else { TOPICS.returns.unwrap() };
        let partition = Key::Campaign.partition(entry, 2);
        cluster.add(topic, Outgoing { topic: 0, partition, at: NOW, key, value, headers });
    }
    let intake = || Intake::new(Known::read(&disk.disk(), data(), &OPTIONS).expect("sound"), None);
    let mut found = intake();
    world::read_topics(&mut cluster.clone(), TOPICS, &mut found).expect("it can be read");
    assert_eq!(Plan::make(found.close().unwrap(), Hints::default(), NOW).expect("nothing contradicts").seats.len(), 7);
    let mut found = intake();
    world::read_topics(&mut cluster.clone(), Topics { returns: None, ..TOPICS }, &mut found).expect("it can be read");
    let Err(error) = Plan::make(found.close().unwrap(), Hints::default(), NOW) else {
        panic!("seat 2 is granted twice")
    };
    assert!(error.to_string().contains("seat 2 user 12"), "{error}");
}

#[test]
fn a_return_of_what_was_never_granted_or_was_another_contradicts() {
    let _calm = calm();
    let (disk, entries, _) = set_back_with_returns();
    let with = |change: fn(&mut Return)| {
        let mut entries = entries.clone();
        let Some(Entry::Return(back)) = entries.get_mut(5) else { panic!("the first return") };
        change(back);
        plan_of(&disk, &entries).err().map_or_else(String::new, |error| error.to_string())
    };
    assert_eq!(with(|_| ()), "");
    let told = "comes back from whom it was granted to";
    for change in [
        |back: &mut Return| back.grant = Lsn::new(2),
        |back: &mut Return| back.seat = 9,
        |back: &mut Return| back.user = GrantUser::Int(9),
        |back: &mut Return| back.nth = 2,
    ] {
        assert!(with(change).contains(told), "{}", with(change));
    }
    let told = with(|back| back.seq = Lsn::new(3));
    assert!(told.contains("at seq 3 the journal has campaign spring seat 2"), "{told}");
}

#[test]
fn a_return_that_nobody_has_is_missed_by_the_grant_that_came_after_it() {
    let _calm = calm();
    let (disk, mut entries, _) = set_back_with_returns();
    let (row, missed) = (entries[10].clone(), entries[9].seq());
    let Entry::Grant { after, .. } = &mut entries[10] else { panic!("seat 5, the second time") };
    *after = missed;
    assert_eq!(plan_of(&disk, &entries).expect("nothing contradicts").seats.len(), 7);
    entries.remove(9);
    // The ledger, which does not say after what a grant came, tells of it before or after the topic does.
    for row_at in [0, entries.len()] {
        let mut entries = entries.clone();
        entries.insert(row_at, row.clone());
        let Err(error) = plan_of(&disk, &entries) else { panic!("seat 6 would be somebody's again") };
        assert!(error.to_string().contains(&format!("granted after a return (seq {missed})")), "{error}");
    }
}
