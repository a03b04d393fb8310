//! # rank - who waits for whom on a processor
//! Where processors are few, the loop and the journal's writer share theirs with everybody else: they come first; stream, sink
//! and stories step back; the compactor takes what is left. Each word is for the thread that says it and for those that it
//! starts afterwards.
//! May use: nothing.

use std::mem::size_of;

use libc::sched_attr;

/// Of those who step back, and of who takes what is left.
const BEHIND: i32 = 10;
const LAST: i32 = 19;

/// The shortest slice there is. Since Linux 6.12 who has a shorter slice interrupts who has a longer one when he wakes;
/// otherwise even a thread far behind finishes its own, some milliseconds, while an answer waits.
/// <https://docs.kernel.org/scheduler/sched-eevdf.html>
const SLICE_NANOS: u64 = 100_000;

/// Runs as soon as it wakes. Where the system does not know that, or does not permit it, it waits its turn as before.
pub fn first() {
    let Some(mut attributes) = attributes() else { return };
    // Somebody may have given the process another class (chrt): he knows better.
    if attributes.sched_policy == libc::SCHED_OTHER.unsigned_abs() {
        attributes.sched_runtime = SLICE_NANOS;
        set(&attributes);
    }
}

/// Steps back.
pub fn behind() {
    let _as_before = rustix::process::setpriority_process(None, BEHIND);
}

/// Takes what is left.
pub fn last() {
    let _as_before = rustix::process::setpriority_process(None, LAST);
}

/// How this thread is scheduled.
#[expect(unsafe_code, reason = "no library has this system call")]
fn attributes() -> Option<sched_attr> {
    let size = u32::try_from(size_of::<sched_attr>()).expect("a small structure");
    let mut attributes = sched_attr {
        size,
        sched_policy: 0,
        sched_flags: 0,
        sched_nice: 0,
        sched_priority: 0,
        sched_runtime: 0,
        sched_deadline: 0,
        sched_period: 0,
    };
    // SAFETY: the system writes at most `size` bytes, which are there.
    let failed = unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut attributes, size, 0) };
    (failed == 0).then_some(attributes)
}

#[expect(unsafe_code, reason = "no library has this system call")]
fn set(attributes: &sched_attr) {
    // SAFETY: the system reads `attributes.size` bytes, which are there.
    let _as_before = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const *attributes, 0) };
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "each test is about a thread of its own")]
mod tests {
    use super::*;

    #[test]
    fn who_comes_first_keeps_his_class_and_priority_and_has_the_shortest_slice() {
        let thread = std::thread::spawn(|| {
            let before = attributes().expect("Linux tells");
            first();
            (before, attributes().expect("Linux tells"))
        });
        let (before, after) = thread.join().expect("it does not panic");
        assert_eq!((after.sched_policy, after.sched_nice), (before.sched_policy, before.sched_nice));
        let release = rustix::system::uname().release().to_string_lossy().into_owned();
        let mut numbers = release.split(['.', '-']).filter_map(|number| number.parse::<u32>().ok());
        let knows = (numbers.next(), numbers.next()) >= (Some(6), Some(12));
        assert_eq!(after.sched_runtime, if knows { SLICE_NANOS } else { before.sched_runtime }, "Linux {release}");
    }

    #[test]
    fn who_steps_back_does_so_alone() {
        let nice = || attributes().expect("Linux tells").sched_nice;
        let before = nice();
        for (word, expected) in [(behind as fn(), BEHIND), (last, LAST)] {
            let there = std::thread::spawn(move || {
                word();
                nice()
            });
            assert_eq!((there.join().expect("it does not panic"), nice()), (expected, before));
        }
    }
}
