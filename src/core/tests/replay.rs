//! Whoever replays the events sees what the one who recorded them saw.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::campaigns::TERMS;
use super::{Gate, told};
use crate::core::{
    Alteration, AlteredTime, Command, Core, Deadline, Decision, Dropping, ExpireIf, Set, SetAnswer, SetIf, Terms,
    TtlForm, Users, View,
};
use crate::ids::{Db, Seat};

const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];
const VALUES: [&str; 5] = ["", "1", "text", "-7", "0.5"];

/// What to do: an action and the choices it makes.
type Step = (u8, usize, usize, i64);

fn take(gate: &mut Gate, step: Step) {
    match step {
        (13, first, _, 7) => gate.purge(NAMES[first].as_bytes()),
        _ => gate.ask(command(step)),
    };
}

fn command((action, first, second, number): Step) -> Command<'static> {
    let (db, key, other) = (Db((first % 2) as u8), NAMES[first].as_bytes(), NAMES[second].as_bytes());
    let bytes = VALUES[second].as_bytes();
    let deadline = Deadline::In { amount: number, seconds: false, command: "set" };
    let users = if first < 3 { Users::Int } else { Users::Any };
    match action {
        0 => Command::Add { db, key, step: number },
        1 => Command::Append { db, key, bytes },
        2 => Command::SetRange { db, key, offset: number, bytes },
        3 => Command::Set(Set {
            db,
            key,
            value: bytes,
            only_if: [SetIf::Always, SetIf::Missing, SetIf::Exists][second % 3],
            deadline: if number > 0 { deadline } else { Deadline::Keep },
            answer: SetAnswer::Old,
        }),
        4 => Command::AddFloat { db, key, step: b"0.25" },
        5 => Command::Remove { db, keys: vec![key, other, key] },
        6 => Command::Rename { db, from: key, to: other, only_if_none: number > 0 },
        7 => Command::Expire { db, key, deadline, only_if: ExpireIf::default() },
        8 => Command::Persist { db, key },
        9 => Command::SetMany { db, pairs: vec![(key, bytes), (other, b"m")], only_if_none: number > 0 },
        10 => Command::GetAndExpire { db, key, deadline },
        11 if number == 5 => Command::Flush { db: Some(db) },
        11 | 12 => {
            let per_user = 1 + second as u16 % 3;
            let hold = if number % 2 == 0 { 3 + first as u32 * 4 } else { 0 };
            let terms = Terms { limit: 4, per_user, no_id: number > 6, hold, users, ..TERMS };
            Command::Create { campaign: key, terms }
        }
        13 if number % 4 == 1 => {
            let close = [Some(AlteredTime::Now), Some(AlteredTime::None), None][second % 3];
            let limit = Some(number.cast_unsigned() as u32 % 5);
            let per_user = [None, Some(1), Some(2), Some(3)][first % 4];
            let change = Alteration { limit, per_user, close, ..Alteration::default() };
            Command::Alter { campaign: key, change, by: bytes.into() }
        }
        13 if number == 5 => Command::Drop { campaign: key, how: Dropping::Forced },
        14 if number == 3 => {
            let user = |index: usize| VALUES[index % 5].as_bytes();
            let seats = vec![(user(second), Seat::new(1 + first as u32)), (user(second + 1), Seat::new(2))];
            Command::Seed { campaign: key, seats }
        }
        15 if number % 3 == 1 => {
            let seat = (number > 4).then(|| Seat::new(1 + first as u32 % 4));
            Command::Cancel { campaign: key, user: VALUES[second].as_bytes(), seat, flat: false }
        }
        15 if number % 3 == 0 => {
            let seat = (number > 4).then(|| Seat::new(1 + first as u32 % 4));
            Command::Confirm { campaign: key, user: VALUES[second].as_bytes(), seat, flat: false }
        }
        13..=15 => {
            let request = [&b""[..], b"", b"x", b"y", b"z"][number.unsigned_abs() as usize % 5];
            Command::Claim { campaign: key, user: VALUES[second].as_bytes(), request, flat: false }
        }
        _ => Command::GetAndRemove { db, key },
    }
}

/// All that can be asked of a core, as text.
fn seen(core: &Core, view: &View) -> BTreeMap<String, String> {
    let mut seen = BTreeMap::new();
    let mut ask = |command: Command<'_>| {
        let name = format!("{command:?}");
        let Decision::Answer { reply, depends } = core.decide(command, view) else { panic!("{name} only reads") };
        seen.insert(name, format!("{} {depends}", told(&reply)));
    };
    for name in NAMES.map(str::as_bytes) {
        for db in [Db(0), Db(1)] {
            ask(Command::Type { db, key: name });
            ask(Command::Get { db, key: name });
            ask(Command::TimeToLive { db, key: name, form: TtlForm::UnixMillis });
        }
        ask(Command::CampaignInfo { campaign: name });
        ask(Command::Seats { campaign: name, first: 1, count: 10 });
        for user in VALUES {
            ask(Command::Status { campaign: name, user: user.as_bytes() });
        }
    }
    for (db, keys, expires) in core.keyspaces() {
        ask(Command::Size { db });
        assert!(expires <= keys);
    }
    ask(Command::Campaigns);
    seen.insert("keyspaces".into(), format!("{:?}", core.keyspaces().collect::<Vec<_>>()));
    let deadlines = (core.next_deadline(), core.next_hold_deadline());
    seen.insert("rest".into(), format!("{} {} {deadlines:?}", core.applied(), core.newest_at().0));
    seen.insert("due".into(), format!("{:?}", core.due_holds(view.now, 100)));
    seen.insert("campaigns".into(), format!("{:?}", core.campaigns().collect::<Vec<_>>()));
    seen
}

/// The same state, put together from the pieces of `core` under another secret.
fn restored(core: &Core) -> Core {
    let mut restoring = Core::new(5).restoring();
    core.pieces(&mut |piece| restoring.take(&piece)).expect("the pieces of a sound state agree");
    restoring.finish(core.marks()).expect("the pieces of a sound state agree")
}

/// What of it may not depend on when expired keys are removed: all but positions and counts.
fn values(core: &Core, view: &View) -> Vec<String> {
    let rows = NAMES.iter().flat_map(|name| [Db(0), Db(1)].map(|db| (db, name.as_bytes())));
    rows.map(|(db, key)| {
        let tell = |command| match core.decide(command, view) {
            Decision::Answer { reply, .. } | Decision::Record { reply, .. } => told(&reply),
        };
        let form = TtlForm::UnixMillis;
        format!("{} {}", tell(Command::Get { db, key }), tell(Command::TimeToLive { db, key, form }))
    })
    .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_replayed_core_answers_like_the_first(
        steps in prop::collection::vec((0u8..18, 0usize..5, 0usize..5, -3i64..12), 1..120),
        deferred_from in 0usize..60,
    ) {
        let mut gate = Gate::new();
        for (turn, step) in steps.into_iter().enumerate() {
            take(&mut gate, step);
            gate.wait(1);
            if turn % 7 == 0 {
                gate.expire(2);
            }
            gate.core.sweep(3);
        }
        let mut again = Core::new(99);
        for (lsn, owned) in &gate.journal {
            again.evolve(*lsn, &owned.event());
        }
        prop_assert_eq!(seen(&again, &gate.view), seen(&gate.core, &gate.view));
        let mut later = Core::new(98);
        for (place, (lsn, owned)) in gate.journal.iter().enumerate() {
            if place == deferred_from {
                later.defer_users();
            }
            later.evolve(*lsn, &owned.event());
        }
        later.index_users();
        prop_assert_eq!(seen(&later, &gate.view), seen(&gate.core, &gate.view));
        // Among those of one deadline the secret decides.
        let [again, first] = [&again, &gate.core].map(|core| {
            let mut due = core.due(gate.view.now, 100);
            due.sort();
            due
        });
        prop_assert_eq!(again, first);
    }

    #[test]
    fn a_core_put_together_from_pieces_answers_like_the_first_and_goes_on_like_it(
        steps in prop::collection::vec((0u8..18, 0usize..5, 0usize..5, -3i64..12), 1..120),
        image_at in 0usize..120,
    ) {
        let mut gate = Gate::new();
        let mut other = None;
        for (turn, step) in steps.into_iter().enumerate() {
            if turn == image_at {
                let restored = restored(&gate.core);
                prop_assert_eq!(seen(&restored, &gate.view), seen(&gate.core, &gate.view));
                other = Some((restored, gate.journal.len()));
            }
            take(&mut gate, step);
            gate.wait(1);
            if turn % 7 == 0 {
                gate.expire(2);
            }
        }
        let (mut other, from) = other.unwrap_or_else(|| (restored(&gate.core), gate.journal.len()));
        for (lsn, owned) in &gate.journal[from..] {
            other.evolve(*lsn, &owned.event());
        }
        prop_assert_eq!(seen(&other, &gate.view), seen(&gate.core, &gate.view));
    }

    #[test]
    fn answers_do_not_depend_on_when_expired_keys_are_removed(
        steps in prop::collection::vec((0u8..11, 0usize..5, 0usize..5, -3i64..12), 1..80),
    ) {
        let (mut eager, mut lazy) = (Gate::new(), Gate::new());
        for step in steps {
            prop_assert_eq!(eager.ask(command(step)), lazy.ask(command(step)), "{:?}", command(step));
            eager.wait(1);
            lazy.wait(1);
            eager.expire(100);
            prop_assert_eq!(values(&eager.core, &eager.view), values(&lazy.core, &lazy.view));
        }
    }
}
