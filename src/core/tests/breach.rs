//! What a journal may not hold is named beforehand: exactly what `evolve` ends the process for.

use std::panic::{AssertUnwindSafe, catch_unwind};

use proptest::prelude::*;

use super::NOW;
use super::campaigns::TERMS;
use crate::core::{Core, Event, Terms, Users};
use crate::ids::{CampaignId, Db, Lsn, Millis, Seat, User};
use crate::limits;

const NAMES: [&[u8]; 5] = [b"a", b"b", b"c", b"", &[b'x'; limits::CAMPAIGN_NAME_BYTES_MAX + 1]];

/// Any event, sensible or not: a kind and the choices it makes.
fn event((kind, first, second, number): (u8, usize, usize, u32)) -> Event<'static> {
    let (db, key, other) = (Db([0, 0, 1, 15, 16][first]), NAMES[second % 3], NAMES[first % 3]);
    let (campaign, seat) = (CampaignId(number % 3), Seat::new(1 + number % 4));
    let at = Millis([NOW.0, NOW.0, NOW.0, -1, 1 << 48][first]);
    let user = if second == 4 { User::Any(b"7") } else { User::Int(i64::from(number / 4 % 5)) };
    let expires = if number.is_multiple_of(2) { Millis::NEVER } else { NOW };
    match kind {
        0 => {
            let users = if number.is_multiple_of(5) { Users::Any } else { Users::Int };
            let terms = Terms { limit: 3, per_user: 1 + (number % 3) as u16, users, ..TERMS };
            Event::CampaignCreated { id: campaign, name: NAMES[second], terms, at: NOW }
        }
        1 => Event::CampaignDropped { id: campaign, at: NOW, purged: false },
        2..=5 => {
            let (nth, request) = ([1, 1, 2, 3, 0][second], [&b""[..], b"", b"id", b"id", b""][first]);
            Event::Granted { campaign, seat, user, nth, request, at, after: Lsn::ZERO }
        }
        17 => {
            let until = Millis(at.0.saturating_add(i64::from(number % 3)));
            let nth = [1, 1, 2, 3, 0][second];
            Event::Held { campaign, seat, user, nth, request: [&b""[..], b"id"][first % 2], at, until }
        }
        18 | 19 => Event::Confirmed { campaign, seat, user, nth: [1, 1, 2, 3, 0][second], at, after: Lsn::ZERO },
        21 | 22 => Event::Returned {
            campaign,
            seat,
            user,
            nth: [1, 1, 2, 3, 0][second],
            at,
            grant: Lsn::new(u64::from(number / 7 % 6)),
            seq: number.is_multiple_of(3).then_some(Lsn::new(3)),
        },
        20 => Event::HoldEnded { campaign, seat, user, at, expired: number.is_multiple_of(2) },
        6 => Event::Imported {
            campaign,
            seat,
            user,
            nth: 1 + (second / 3) as u16,
            at,
            seq: Some(Lsn::new(1)),
            after: Lsn::ZERO,
        },
        7 => Event::Skipped { upto: Lsn::new(u64::from(number % 40)) },
        16 => {
            let to = Terms { limit: number % 4, per_user: (number % 3) as u16, ..TERMS }.alterable();
            Event::CampaignAltered { id: campaign, to, at: NOW, by: b"ops".into() }
        }
        8 => Event::KeySet { db, key, value: NAMES[first].into(), expires },
        9 | 10 => Event::KeyCounted { db, key, value: 7 },
        11 => {
            let offset = if number == 3 { u32::MAX } else { number };
            Event::KeyPatched { db, key, offset, bytes: b"patch" }
        }
        12 => Event::KeyExpirySet { db, key, expires },
        13 => Event::KeyRemoved { db, key, expired: number.is_multiple_of(2) },
        14 => Event::KeyRenamed { db, from: key, to: other },
        _ => Event::Flushed { db: (first < 4).then_some(db) },
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn a_breach_is_named_exactly_where_evolve_would_end_the_process(
        steps in prop::collection::vec((0u8..23, 0usize..5, 0usize..5, 0u32..60), 1..60),
    ) {
        let mut core = Core::new(5);
        let mut accepted = Vec::new();
        for step in steps {
            let (lsn, event) = (core.applied().next(), event(step));
            if let Some(breach) = core.breach(lsn, &event) {
                // What ends may be half changed: it is tried on another one.
                let mut twin = Core::new(5);
                accepted.iter().for_each(|(lsn, event)| twin.evolve(*lsn, event));
                prop_assert!(ends(&mut twin, lsn, &event), "{event:?} was said to break: {breach}");
            } else {
                core.evolve(lsn, &event);
                accepted.push((lsn, event));
            }
        }
    }
}

/// Whether `evolve` ends the process, as a test sees it.
fn ends(core: &mut Core, lsn: Lsn, event: &Event<'_>) -> bool {
    catch_unwind(AssertUnwindSafe(|| core.evolve(lsn, event))).is_err()
}

#[test]
fn a_position_out_of_turn_is_a_breach() {
    let core = Core::new(5);
    let event = Event::KeyCounted { db: Db(0), key: b"n", value: 1 };
    assert_eq!(core.breach(Lsn::new(1), &event), None);
    for lsn in [0, 2] {
        assert_eq!(core.breach(Lsn::new(lsn), &event), Some("each change has the next position"));
    }
}

#[test]
fn a_value_beyond_its_bound_is_a_breach() {
    let core = Core::new(5);
    let value = vec![0; limits::VALUE_BYTES_MAX + 1];
    let event = Event::KeySet { db: Db(0), key: b"k", value: value.into(), expires: Millis::NEVER };
    assert_eq!(core.breach(Lsn::new(1), &event), Some("values are bounded"));
}
