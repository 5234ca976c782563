//! Who goes first: people do.
//!
//! In: threads whose work comes in bulk (they decode, score, train) in a process that runs while people label. Out: the same
//! threads at a lower priority, which those that they start inherit, so that they take the processor only where nobody else
//! wants it. A label goes from thread to thread a dozen times before it is acknowledged; behind busy cores it would wait for a
//! time slice at each of them.

use std::sync::atomic::{AtomicBool, Ordering};

use rayon::ThreadPoolBuilder;

/// Steps down from the usual priority: a tenth of the processor's time where others want it too.
#[cfg(target_os = "linux")]
const STEPS: i32 = 10;

static PEOPLE_COME_FIRST: AtomicBool = AtomicBool::new(false);

/// From now on bulk work gives way in this process: it serves people, or goes on in the background while others do.
pub fn people_come_first() {
    PEOPLE_COME_FIRST.store(true, Ordering::Relaxed);
    // Where the shared pool runs already its threads stay as they are.
    let _ = ThreadPoolBuilder::new().start_handler(|_| give_way()).build_global();
}

/// Makes this thread give way where people come first. Only Linux knows a priority of one thread; elsewhere it would be that of
/// the whole process.
pub fn give_way() {
    #[cfg(target_os = "linux")]
    if PEOPLE_COME_FIRST.load(Ordering::Relaxed) {
        // Refused, it goes on as it was.
        let _ = rustix::process::nice(STEPS);
    }
}
