//! # sabotage - promises that can be broken on purpose
//! Switches, off unless the feature `sabotage` is built in and a test arms one: they show that a check can fail.
//! May use: nothing.

/// A promise to break.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    /// Answers leave as soon as their event is in memory.
    ReplyAtStaged,
    /// A batch counts as durable without a sync.
    SkipFsync,
    /// What recovery read is not written again: it may be in the page cache only.
    TrustPageCache,
    /// Damage below the durable mark is cut like a torn tail.
    IgnoreMark,
    /// Batches are accepted whatever came before them.
    IgnoreChain,
    /// The sink's position moves outside of the transaction that stores the rows.
    PositionOutsideTransaction,
    /// The sink moves its position without looking whether it is still its own.
    NoCompareAndSet,
    /// The sink resumes at its position whatever its journal says there.
    ResumeUnchecked,
    /// The sink stores what stands behind missing records.
    HoleIgnored,
    /// The stream resumes where its checkpoint says, without reading the tail of the topic back.
    NoTailReadBack,
    /// A Kafka client that says that all brokers are gone is kept, whether it ever comes back or not.
    ClientsAreKept,
    /// What was sent counts as published.
    PublishedTakenForGranted,
    /// A gate does not look whether Kafka or the ledger is ahead of its journal.
    IgnoreTheWorld,
    /// A journal is brought up to date without holding claims back meanwhile.
    CatchUpUnheld,
    /// A snapshot lacks the last event that it says it covers.
    SnapshotOneShort,
    /// A snapshot has campaigns as they were created, not as they were altered.
    ForgetAltered,
    /// A snapshot does not say which claim got a seat.
    ForgetRequests,
    /// Segments go as soon as a snapshot covers them, before they are history.
    FreeEarly,
    /// History goes when its time is over, whoever still needs it.
    ForgetUnstored,
    /// Answers that change nothing leave whatever they tell of.
    ReadsUnheld,
    /// A claim is told the seat before its own.
    WrongSeat,
    /// The gate's clock follows the wall at once.
    ClockSteps,
    /// The name of a new segment is not synced.
    SkipSyncDir,
    /// Batches are accepted whatever their checksums say.
    IgnoreChecksum,
    /// Who reads the journal passes over the last batch of a segment.
    DropLastBatch,
    /// The stream goes on one position behind the next one.
    StreamOneLate,
    /// The stream sends the last record of a partition once more.
    StreamOneEarly,
    /// The sink goes on one position behind the next one.
    SinkOneLate,
    /// The stream publishes into a topic that another gate has filled.
    AcceptForeignLog,
    /// The sink stores a return before its grant, and a grant before the return that freed its seat, as they come.
    ReturnsUnordered,
    /// A hold stays when its time is over, until its user asks.
    KeepHolds,
    /// A hold ends before its time is over.
    HoldsEndEarly,
    /// A snapshot has seats that are held as granted.
    ForgetHolds,
    /// A seat that came back stays out until the next start.
    SeatsStayOut,
    /// A cancel that is sent again is answered as if it were the first.
    ReturnTwice,
    /// A snapshot does not say that seats came back.
    ForgetReturns,
    /// A snapshot does not say which names purged campaigns had, nor who took one of those.
    ForgetPurged,
    /// A snapshot does not say which seats another system has granted.
    ForgetSeeds,
}

#[cfg(feature = "sabotage")]
impl Sabotage {
    const ALL: &[Sabotage] = &[
        Sabotage::ReplyAtStaged,
        Sabotage::SkipFsync,
        Sabotage::TrustPageCache,
        Sabotage::IgnoreMark,
        Sabotage::IgnoreChain,
        Sabotage::PositionOutsideTransaction,
        Sabotage::NoCompareAndSet,
        Sabotage::ResumeUnchecked,
        Sabotage::HoleIgnored,
        Sabotage::NoTailReadBack,
        Sabotage::ClientsAreKept,
        Sabotage::PublishedTakenForGranted,
        Sabotage::IgnoreTheWorld,
        Sabotage::CatchUpUnheld,
        Sabotage::SnapshotOneShort,
        Sabotage::ForgetAltered,
        Sabotage::ForgetRequests,
        Sabotage::FreeEarly,
        Sabotage::ForgetUnstored,
        Sabotage::ReadsUnheld,
        Sabotage::WrongSeat,
        Sabotage::ClockSteps,
        Sabotage::SkipSyncDir,
        Sabotage::IgnoreChecksum,
        Sabotage::DropLastBatch,
        Sabotage::StreamOneLate,
        Sabotage::StreamOneEarly,
        Sabotage::SinkOneLate,
        Sabotage::AcceptForeignLog,
        Sabotage::ReturnsUnordered,
        Sabotage::KeepHolds,
        Sabotage::HoldsEndEarly,
        Sabotage::ForgetHolds,
        Sabotage::SeatsStayOut,
        Sabotage::ReturnTwice,
        Sabotage::ForgetReturns,
        Sabotage::ForgetPurged,
        Sabotage::ForgetSeeds,
    ];
}

#[cfg(feature = "sabotage")]
mod switches {
    use super::Sabotage;
    use std::sync::atomic::{AtomicU64, Ordering};

    static ARMED: AtomicU64 = AtomicU64::new(0);

    /// Whether this promise is to be broken.
    pub fn on(which: Sabotage) -> bool {
        ARMED.load(Ordering::Relaxed) & (1 << which as u64) != 0
    }

    /// Breaks the promise that the environment names, if it names one: `SABOTAGE=NoTailReadBack`. For a test that breaks
    /// one of another process.
    pub fn arm_from_environment() {
        if let Ok(name) = std::env::var("SABOTAGE") {
            let which = Sabotage::ALL.iter().find(|which| format!("{which:?}") == name);
            arm(*which.unwrap_or_else(|| panic!("SABOTAGE={name} is no promise")));
        }
    }

    /// Breaks it from here on, in the whole process.
    pub fn arm(which: Sabotage) {
        ARMED.fetch_or(1 << which as u64, Ordering::Relaxed);
    }

    /// Keeps it again.
    pub fn disarm(which: Sabotage) {
        ARMED.fetch_and(!(1 << which as u64), Ordering::Relaxed);
    }
}

#[cfg(feature = "sabotage")]
pub use switches::{arm, arm_from_environment, disarm, on};

/// Whether this promise is to be broken: never, without the feature.
#[cfg(not(feature = "sabotage"))]
pub const fn on(_which: Sabotage) -> bool {
    false
}

/// A switch breaks the whole process, and tests share one: whoever relies on kept promises holds this meanwhile.
#[cfg(test)]
pub mod peace {
    use std::sync::{PoisonError, RwLock, RwLockReadGuard};

    static PEACE: RwLock<()> = RwLock::new(());

    /// No promise is broken while this is held.
    pub fn keep() -> RwLockReadGuard<'static, ()> {
        PEACE.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `scene` with `promise` broken, alone in the process.
    #[cfg(feature = "sabotage")]
    pub fn broken<T>(promise: super::Sabotage, scene: impl FnOnce() -> T) -> T {
        let _alone = PEACE.write().unwrap_or_else(PoisonError::into_inner);
        super::arm(promise);
        let result = scene();
        super::disarm(promise);
        result
    }
}
