//! Ctrl-C and SIGTERM as a token that every long task takes.
//!
//! The first signal cancels the token: tasks finish their step, acknowledge what they committed and end. A second one
//! quits at once with 128 + the signal's number, as a shell expects; nothing acknowledged is lost by that either.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::error::{Error, Result};

const QUIT_BY_INTERRUPT: i32 = 130;
const QUIT_BY_TERMINATE: i32 = 143;

/// Starts to listen and returns the token that the first signal cancels. Call once, inside the runtime.
pub fn on_signals() -> Result<CancellationToken> {
    let interrupt = signal(SignalKind::interrupt()).map_err(Error::Signals)?;
    let terminate = signal(SignalKind::terminate()).map_err(Error::Signals)?;
    let token = CancellationToken::new();
    tokio::spawn(listen(interrupt, terminate, token.clone()));
    Ok(token)
}

async fn listen(mut interrupt: Signal, mut terminate: Signal, token: CancellationToken) {
    loop {
        let code = tokio::select! {
            _ = interrupt.recv() => QUIT_BY_INTERRUPT,
            _ = terminate.recv() => QUIT_BY_TERMINATE,
        };
        if token.is_cancelled() {
            std::process::exit(code);
        }
        tracing::info!("stopping; press Ctrl-C again to quit at once");
        token.cancel();
    }
}
