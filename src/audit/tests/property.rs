//! Any world that is right is green; any one change to it is red.

use proptest::prelude::*;

use super::*;

/// A world to build.
#[derive(Clone, Debug)]
struct Plan {
    partitions: u32,
    key: Key,
    value: Value,
    from_topic: bool,
    /// For each campaign: text users, and a shadow or not.
    campaigns: Vec<(bool, bool)>,
    /// To which campaign each grant goes.
    grants: Vec<u8>,
}

fn plans() -> impl Strategy<Value = Plan> {
    let keys = prop_oneof![Just(Key::Campaign), Just(Key::User), Just(Key::None)];
    let campaigns = proptest::collection::vec((any::<bool>(), prop::bool::weighted(0.2)), 1..5);
    let grants = proptest::collection::vec(any::<u8>(), 1..60);
    (1..4u32, keys, any::<bool>(), any::<bool>(), campaigns, grants).prop_map(
        |(partitions, key, json, from_topic, campaigns, grants)| {
            let any = campaigns.iter().any(|(any, _)| *any);
            let value = if json || any { Value::Json } else { Value::Long };
            Plan { partitions, key, value, from_topic, campaigns, grants }
        },
    )
}

/// One thing to do to a world. The number chooses which grant.
#[derive(Clone, Copy, Debug)]
enum Change {
    NoRow,
    RowUser,
    RowSeat,
    RowSeq,
    RowLog,
    NewRow,
    NoRecord,
    RecordUser,
    RecordSeat,
    NewRecord,
    JournalTwice,
}

fn changes() -> impl Strategy<Value = Change> {
    prop_oneof![
        Just(Change::NoRow),
        Just(Change::RowUser),
        Just(Change::RowSeat),
        Just(Change::RowSeq),
        Just(Change::RowLog),
        Just(Change::NewRow),
        Just(Change::NoRecord),
        Just(Change::RecordUser),
        Just(Change::RecordSeat),
        Just(Change::NewRecord),
        Just(Change::JournalTwice),
    ]
}

/// Builds the world; with a change of the topic at the grant `at`.
fn build(plan: &Plan, change: Option<Change>, at: usize) -> World {
    let mut world = World::new(plan.partitions, plan.key, plan.value);
    let names: Vec<String> = (0..plan.campaigns.len()).map(|index| format!("c{index}")).collect();
    let ids: Vec<CampaignId> = plan
        .campaigns
        .iter()
        .zip(&names)
        .map(|((any, shadow), name)| world.create(name, 100, if *any { Users::Any } else { Users::Int }, *shadow))
        .collect();
    let mut seats = vec![0; names.len()];
    for choice in &plan.grants {
        let index = usize::from(*choice) % names.len();
        seats[index] += 1;
        let seat: u32 = seats[index];
        let text = format!("user-{seat}");
        let number = i64::from(seat);
        let (any, shadow) = plan.campaigns[index];
        // Every third user of a text campaign looks like a number.
        let digits = number.to_string();
        let user = match any {
            true if seat.is_multiple_of(3) => User::Any(digits.as_bytes()),
            true => User::Any(text.as_bytes()),
            false => User::Int(number),
        };
        let grant = world.grant(ids[index], &names[index], seat, user);
        if !shadow {
            world.grants.push(grant);
        }
    }
    let grants = world.grants.clone();
    for (index, grant) in grants.iter().enumerate() {
        let (partition, mut record) = world.record(grant);
        match change.filter(|_| index == at) {
            Some(Change::NoRecord) => continue,
            Some(Change::RecordUser) => grant_in(&mut record).user = GrantUser::Int(-7),
            Some(Change::RecordSeat) => grant_in(&mut record).seat = 4000,
            Some(Change::NewRecord) => {
                world.send(partition, &record);
                record.prev = record.entry.seq();
                let grant = grant_in(&mut record);
                (grant.seq, grant.seat) = (Lsn::new(1 << 40), 4000);
            }
            Some(
                Change::NoRow
                | Change::RowUser
                | Change::RowSeat
                | Change::RowSeq
                | Change::RowLog
                | Change::NewRow
                | Change::JournalTwice,
            )
            | None => {}
        }
        world.send(partition, &record);
    }
    if plan.from_topic {
        world.store_from_topic(&grants)
    } else {
        world.store_from_journal(&grants)
    }
    world
}

fn plant(world: &mut World, change: Change, at: usize) {
    let grant = world.grants[at].clone();
    let place = format!("WHERE campaign = '{}' AND seat = {}", grant.campaign, grant.seat);
    match change {
        Change::NoRow => world.sql(&format!("DELETE FROM coupon_grant {place}")),
        Change::RowUser => world.sql(&format!("UPDATE coupon_grant SET user_id = '-7' {place}")),
        Change::RowSeat => world.sql(&format!("UPDATE coupon_grant SET seat = 4000 {place}")),
        Change::RowSeq => world.sql(&format!("UPDATE coupon_grant SET seq = seq + 100000 {place}")),
        Change::RowLog => world.sql(&format!("UPDATE coupon_grant SET log_id = '{OTHER_LOG}' {place}")),
        Change::NewRow => world.sql(&format!(
            "INSERT INTO coupon_grant SELECT campaign, 4000, '-7', nth, granted_at, log_id, 100000 FROM coupon_grant {place}"
        )),
        Change::JournalTwice => {
            let user = User::Int(-7);
            let id: u32 = grant.campaign[1..].parse().unwrap();
            world.grant(CampaignId(id), &grant.campaign, grant.seat, user);
        }
        Change::NoRecord | Change::RecordUser | Change::RecordSeat | Change::NewRecord => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_world_that_is_right_is_green_and_any_one_change_is_red(
        plan in plans(), change in changes(), choice in any::<prop::sample::Index>(),
    ) {
        let mut world = build(&plan, None, 0);
        let report = world.audit();
        prop_assert_eq!(report.verdict(), "all agree, complete", "{}", report);
        if !world.grants.is_empty() {
            let at = choice.index(world.grants.len());
            drop(world);
            let mut world = build(&plan, Some(change), at);
            plant(&mut world, change, at);
            let report = world.audit();
            let last_one = matches!(change, Change::NoRecord) && report.pending() > 0;
            prop_assert!(!report.findings.is_empty() || last_one, "{:?} at {}: {}", change, at, report);
        }
    }
}
