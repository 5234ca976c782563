//! Who may try: the listening socket, and how many connections it has.
//!
//! Every connection is a task of its own. It ends with its client: a second handle on the socket tells when that has gone,
//! and the task is dropped with whatever it was answering.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use datafusion_postgres::datafusion_pg_catalog::sql::PostgresCompatibilityParser;
use datafusion_postgres::pgwire::api::auth::sasl::scram::random_nonce;
use datafusion_postgres::pgwire::api::{ConnectionManager, RandomPidSecretKeyGenerator};
use marginalia_store::Corpus;
use tokio::io::Interest;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::connection;
use super::sessions::Sessions;
use crate::console::{Opened, sql_limits};
use crate::error::{Error, Result};
use crate::tls::Tls;

/// Connections at a time.
const MAX_CONNECTIONS: usize = 100;
/// How often to look whether a client has gone.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Pause after the system refused a connection: mostly it has no file descriptor left.
const PAUSE: Duration = Duration::from_millis(200);

/// Whom the door opens for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Door {
    /// Everybody on this machine: nobody ever made a token.
    ThisMachine,
    /// Holders of a token.
    Tokens,
}

/// What all connections share.
pub(super) struct Server {
    pub corpus: Corpus,
    pub sessions: Sessions,
    pub parser: PostgresCompatibilityParser,
    pub cancels: Arc<ConnectionManager>,
    pub pids: RandomPidSecretKeyGenerator,
    pub tls: Option<Tls>,
    /// Whether only this machine can connect.
    pub loopback: bool,
    /// How long a transaction or a cursor may look at one state: as long as versions are kept.
    pub held: Duration,
    /// Makes the salts of users that do not exist, which are as constant as others.
    pub salts: String,
}

/// A socket that listens.
pub struct Listener {
    socket: TcpListener,
    server: Arc<Server>,
    /// Where it listens.
    pub address: SocketAddr,
    /// Whom it lets in now.
    pub door: Door,
}

impl Listener {
    /// Listens on `address`, `HOST:PORT`.
    ///
    /// # Errors
    /// [`Error::Listen`]; [`Error::OpenDoor`] beyond loopback while no token is good.
    pub async fn bind(opened: &Opened, address: &str, tls: Option<Tls>) -> Result<Self> {
        let failed = |source| Error::Listen { address: address.to_owned(), source };
        let socket = TcpListener::bind(address).await.map_err(failed)?;
        let local = socket.local_addr().map_err(failed)?;
        let loopback = local.ip().is_loopback();
        let grants = opened.corpus.grants().await?;
        if !loopback && grants.iter().all(|grant| grant.revoked_at.is_some()) {
            return Err(Error::OpenDoor { address: local });
        }
        let door = if loopback && grants.is_empty() { Door::ThisMachine } else { Door::Tokens };
        let limits = sql_limits(&opened.config.sql);
        let server = Server {
            corpus: opened.corpus.clone(),
            sessions: Sessions::new(opened.corpus.clone(), opened.sql.clone(), limits),
            parser: PostgresCompatibilityParser::new(),
            cancels: Arc::new(ConnectionManager::new()),
            pids: RandomPidSecretKeyGenerator::default(),
            tls,
            loopback,
            held: Duration::from_secs(60 * opened.config.store.keep_untagged_minutes),
            salts: random_nonce(),
        };
        Ok(Self { socket, server: Arc::new(server), address: local, door })
    }

    /// Answers until the token is cancelled; connections end with it.
    pub async fn serve(self, token: CancellationToken) {
        let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                () = token.cancelled() => return,
                Some(ended) = connections.join_next(), if !connections.is_empty() => {
                    if let Err(error) = ended {
                        tracing::error!("bug: a connection of a PostgreSQL client ended early: {error}");
                    }
                    continue;
                }
                accepted = self.socket.accept() => accepted,
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!("{}: no connection: {error}", self.address);
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            };
            let Ok(place) = places.clone().try_acquire_owned() else {
                tracing::warn!("{peer} was turned away: {MAX_CONNECTIONS} connections are open");
                continue;
            };
            let server = self.server.clone();
            connections.spawn(async move {
                let _place = place;
                if let Err(error) = attend(stream, server).await {
                    tracing::debug!("{peer}: {error}");
                }
            });
        }
    }
}

/// One connection, for as long as its client is there.
async fn attend(stream: TcpStream, server: Arc<Server>) -> std::io::Result<()> {
    let stream = stream.into_std()?;
    let watched = TcpStream::from_std(stream.try_clone()?)?;
    let stream = TcpStream::from_std(stream)?;
    tokio::select! {
        ended = connection::converse(stream, server) => ended,
        () = gone(&watched) => Ok(()),
    }
}

/// Returns when the other end has closed the connection. Whoever reads it sees that only between two statements.
async fn gone(stream: &TcpStream) {
    loop {
        match stream.ready(Interest::READABLE).await {
            Ok(ready) if !ready.is_read_closed() && !ready.is_error() => tokio::time::sleep(LOOK_EVERY).await,
            // What it sent before it went, a cancel request say, is still heard.
            _ => return tokio::time::sleep(LOOK_EVERY).await,
        }
    }
}
