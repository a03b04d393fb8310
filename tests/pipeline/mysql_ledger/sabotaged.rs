//! Promises broken on purpose: the tests beside this one would notice.

use std::sync::PoisonError;

use super::faults::begun;
use super::proxy::Fault;
use super::{PEACE, count, grants, open, settings, store, there, unavailable};
use crate::peers::mariadb;
use coupon_gate::ledger::LedgerError;
use coupon_gate::sabotage::{Sabotage, arm, disarm};

/// Runs `scene` with `promise` broken, alone.
fn broken<T>(promise: Sabotage, scene: impl FnOnce() -> T) -> T {
    let _alone = PEACE.write().unwrap_or_else(PoisonError::into_inner);
    arm(promise);
    let result = scene();
    disarm(promise);
    result
}

#[test]
fn without_compare_and_set_a_zombie_stores() {
    let stored = broken(Sabotage::NoCompareAndSet, || {
        let database = mariadb::shared().database();
        let (_proxy, mut old, mut position) = begun(&database);
        let mut new = open(&settings(&database));
        let seen = there(&mut *new);
        new.claim("you", &[seen], &[]).unwrap();
        store(&mut *old, &mut position, &grants(3..=4))
    });
    assert_eq!(stored, Ok(()), "a promise that is kept says TakenOver");
}

#[test]
fn with_its_position_outside_of_the_transaction_a_batch_is_in_twice() {
    let (position, rows, again) = broken(Sabotage::PositionOutsideTransaction, || {
        let database = mariadb::shared().database();
        let (proxy, mut ledger, mut position) = begun(&database);
        proxy.spoil("COMMIT", Fault::LoseAnswer);
        unavailable(store(&mut *ledger, &mut position, &grants(3..=4)));
        ledger.open().unwrap();
        (there(&mut *ledger).next, count(&database), store(&mut *ledger, &mut position, &grants(3..=4)))
    });
    assert_eq!((position, rows), (3, 4), "the rows are in and the position does not know");
    assert!(matches!(again, Err(LedgerError::Refused(_))), "only the keys of the table are left: {again:?}");
}
