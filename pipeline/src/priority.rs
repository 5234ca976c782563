//! Who goes first: people do.
//!
//! In: threads whose work comes in bulk (they decode, score, train) or answers questions over the tables, in a process that
//! runs while people label. Out: the same threads at a lower priority, which those that they start inherit, so that they take
//! the processor only where nobody else wants it. A label goes from thread to thread a dozen times before it is acknowledged;
//! behind busy cores it would wait for a time slice at each of them.

use std::sync::atomic::{AtomicBool, Ordering};

use rayon::ThreadPoolBuilder;

/// Steps down from the usual priority for bulk work: a tenth of the processor's time where others want it too.
#[cfg(target_os = "linux")]
const BULK: i32 = 10;
/// The same for questions over the tables: a third.
#[cfg(target_os = "linux")]
const QUESTIONS: i32 = 5;

static PEOPLE_COME_FIRST: AtomicBool = AtomicBool::new(false);

/// From now on bulk work gives way in this process, and questions do a little: it serves people, or goes on in the background
/// while others do. Before the corpus is opened, since threads stay as they were when they started.
pub fn people_come_first() {
    PEOPLE_COME_FIRST.store(true, Ordering::Relaxed);
    // Where the shared pool runs already its threads stay as they are.
    let _ = ThreadPoolBuilder::new().start_handler(|_| give_way()).build_global();
}

/// Makes this thread give way where people come first.
pub fn give_way() {
    #[cfg(target_os = "linux")]
    step_down(BULK);
}

/// Makes this thread let what people wait for at every face pass, and stay ahead of bulk work.
pub fn let_pass() {
    #[cfg(target_os = "linux")]
    step_down(QUESTIONS);
}

/// Only Linux knows a priority of one thread; elsewhere it would be that of the whole process.
#[cfg(target_os = "linux")]
fn step_down(steps: i32) {
    use rustix::process::{getpriority_process, setpriority_process};
    let is_ahead = || getpriority_process(None).is_ok_and(|now| now < steps);
    if PEOPLE_COME_FIRST.load(Ordering::Relaxed) && is_ahead() {
        // Refused, it goes on as it was.
        let _ = setpriority_process(None, steps);
    }
}
