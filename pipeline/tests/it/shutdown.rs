//! Signals end the work through the token.

use std::time::Duration;

use marginalia::shutdown::on_signals;
use rustix::process::{Signal, getpid, kill_process};

#[tokio::test]
async fn the_first_signal_cancels_the_token() {
    let token = on_signals().unwrap();
    assert!(!token.is_cancelled());
    kill_process(getpid(), Signal::TERM).unwrap();
    tokio::time::timeout(Duration::from_secs(30), token.cancelled()).await.expect("the signal cancels the token");
}
