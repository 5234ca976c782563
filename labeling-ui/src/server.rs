//! The port: connections in, answers out, and an orderly end.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::serve::ListenerExt;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::error::{Error, Result};

/// Opens the port; 0 takes any that is free.
pub async fn listen(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|source| Error::Listen { address, source })
}

/// Serves until the token is cancelled: from then on no connection is taken, event streams end, and requests under way
/// have `grace` to finish. What is cut off after that was not acknowledged, and may be sent again.
pub async fn serve(listener: TcpListener, router: Router, grace: Duration, cancel: CancellationToken) -> Result<()> {
    let address = listener
        .local_addr()
        .map_err(|source| Error::Listen { address: SocketAddr::from(([0, 0, 0, 0], 0)), source })?;
    // Answers are small and people wait for them.
    let listener = listener.tap_io(|connection| {
        if let Err(error) = connection.set_nodelay(true) {
            tracing::debug!("TCP_NODELAY: {error}");
        }
    });
    let served = axum::serve(listener, router).with_graceful_shutdown(cancel.clone().cancelled_owned()).into_future();
    let out_of_time = async {
        cancel.cancelled().await;
        tokio::time::sleep(grace).await;
    };
    tokio::select! {
        ended = served => ended.map_err(|source| Error::Listen { address, source }),
        () = out_of_time => {
            tracing::warn!("requests were cut off: they took longer than {} s after the end was asked for", grace.as_secs());
            Ok(())
        }
    }
}
