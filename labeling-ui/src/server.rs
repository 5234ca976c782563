//! The port: connections in, answers out, and an orderly end.
//!
//! So many connections are open at a time; others wait until one is free. One that sends no request for half a minute,
//! or takes longer for the head of one, is closed, and a tenth of that is all a connection gets while half of them are
//! taken: so nobody holds the door shut with open hands.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::extract::ConnectInfo;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::error::{Error, Result};

/// Pause after the system refused a connection, as when no more files may be open.
const PAUSE: Duration = Duration::from_millis(200);

/// Connections that the system keeps waiting for this process to take them.
const WAITING: u32 = 4096;

/// Bounds on connections.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Connections open at a time.
    pub connections: usize,
    /// How long the head of a request may take, and how long a connection may be idle; a tenth for those that come
    /// while half of the connections are taken.
    pub head: Duration,
    /// How long requests under way may take once the end was asked for.
    pub grace: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        // For the 1,024 files that a process may have open at least.
        Self { connections: 256, head: Duration::from_secs(30), grace: Duration::from_secs(10) }
    }
}

/// Bytes both ways.
pub trait Connection: AsyncRead + AsyncWrite + Send + Unpin {}

impl<C: AsyncRead + AsyncWrite + Send + Unpin> Connection for C {}

/// Makes a connection secure before anything is said on it.
#[async_trait]
pub trait Secure: Send + Sync + 'static {
    /// The same connection, secured.
    async fn secure(&self, connection: TcpStream) -> io::Result<Box<dyn Connection>>;
}

impl Bounds {
    /// For a process that may have so many files open: a quarter of them may be connections.
    pub fn of_files(files: usize) -> Self {
        let connections = (files / 4).clamp(64, WAITING as usize);
        Self { connections, ..Self::default() }
    }

    fn head_of(&self, free: usize) -> Duration {
        if free < self.connections / 2 { self.head / 10 } else { self.head }
    }
}

/// Opens the port; 0 takes any that is free.
pub async fn listen(address: SocketAddr) -> Result<TcpListener> {
    let opened = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        socket.set_reuseaddr(cfg!(unix))?;
        socket.bind(address)?;
        socket.listen(WAITING)
    };
    opened().map_err(|source| Error::Listen { address, source })
}

/// Serves until the token is cancelled: from then on no connection is taken, event streams end, and requests under way
/// have a while to finish. What is cut off after that was not acknowledged, and may be sent again.
pub async fn serve(
    listener: TcpListener,
    secure: Option<Arc<dyn Secure>>,
    router: Router,
    bounds: Bounds,
    cancel: CancellationToken,
) {
    let free = Arc::new(Semaphore::new(bounds.connections));
    let mut connections = JoinSet::new();
    while let Some((stream, peer, permit)) = next(&listener, &free, &cancel).await {
        let (secure, router, cancel) = (secure.clone(), router.clone(), cancel.clone());
        let head = bounds.head_of(free.available_permits());
        connections.spawn(async move {
            answer(stream, peer, secure, router, head, cancel).await;
            drop(permit);
        });
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    let ended = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(bounds.grace, ended).await.is_err() {
        let seconds = bounds.grace.as_secs();
        tracing::warn!("requests were cut off: they took longer than {seconds} s after the end was asked for");
    }
}

/// The next connection; none once the end was asked for.
async fn next(
    listener: &TcpListener,
    free: &Arc<Semaphore>,
    cancel: &CancellationToken,
) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let accepted = async {
        let permit = free.clone().acquire_owned().await.ok()?;
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => return Some((stream, peer, permit)),
                // Gone before it was taken: the next one.
                Err(error) if is_of_the_connection(&error) => {}
                Err(error) => {
                    tracing::warn!("no connection can be taken: {error}");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    };
    tokio::select! {
        accepted = accepted => accepted,
        () = cancel.cancelled() => None,
    }
}

fn is_of_the_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

async fn answer(
    stream: TcpStream,
    peer: SocketAddr,
    secure: Option<Arc<dyn Secure>>,
    router: Router,
    head: Duration,
    cancel: CancellationToken,
) {
    // Answers are small and people wait for them.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!("TCP_NODELAY: {error}");
    }
    let Some(secure) = secure else { return speak(stream, peer, router, head, cancel).await };
    match tokio::time::timeout(head, secure.secure(stream)).await {
        Ok(Ok(secured)) => speak(secured, peer, router, head, cancel).await,
        Ok(Err(error)) => tracing::debug!("{peer} did not come by TLS: {error}"),
        Err(_) => tracing::debug!("{peer} took too long to come by TLS"),
    }
}

async fn speak(
    connection: impl Connection + 'static,
    peer: SocketAddr,
    router: Router,
    head: Duration,
    cancel: CancellationToken,
) {
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        router.clone().oneshot(request)
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(head);
    let mut spoken = pin!(builder.serve_connection(TokioIo::new(connection), service));
    let ended = tokio::select! {
        ended = spoken.as_mut() => ended,
        () = cancel.cancelled() => {
            spoken.as_mut().graceful_shutdown();
            spoken.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!("{peer}: {error}");
    }
}
