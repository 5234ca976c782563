//! One connection: messages in, answers out, from the login to the end.
//!
//! A statement that fails is answered with an error and the connection goes on; a panic ends the connection and nothing
//! else. A cancel request ends what is being answered, rows that are on their way included.

use std::collections::HashMap;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use datafusion_postgres::pgwire::api::ClientInfo;
use datafusion_postgres::pgwire::error::{ErrorInfo, PgWireError, PgWireResult};
use datafusion_postgres::pgwire::messages::response::{CommandComplete, EmptyQueryResponse, ReadyForQuery};
use datafusion_postgres::pgwire::messages::{PgWireBackendMessage, PgWireFrontendMessage};
use datafusion_postgres::pgwire::tokio::server::{MaybeTls, PgWireMessageServerCodec, negotiate_tls};
use futures::{SinkExt, Stream};
use marginalia_store::Snapshot;
use tokio::net::TcpStream;
use tokio_util::codec::Framed;

use super::cursors::Cursors;
use super::extended::{Portal, Prepared};
use super::failure::{as_fatal, code, fatal, of_store};
use super::listener::Server;
use super::login::{Login, log_in};
use super::transaction::Transaction;

/// A connection's two directions.
pub type Socket = Framed<MaybeTls, PgWireMessageServerCodec<()>>;

/// Longest message, bytes: a text, or the parameters of a statement.
const MAX_MESSAGE: usize = 8 << 20;
/// How long TLS may take to begin.
const HANDSHAKE: Duration = Duration::from_secs(20);
/// How long an error may take to get to a client that does not read.
const LAST_WORDS: Duration = Duration::from_secs(20);

/// A client that is logged in, and what it has open.
pub struct Connection {
    pub(super) socket: Socket,
    pub(super) server: Arc<Server>,
    pub(super) login: Login,
    pub(super) transaction: Transaction,
    pub(super) statements: HashMap<String, Arc<Prepared>>,
    /// The state that plans of these were made for last.
    pub(super) planned_on: Option<Arc<Snapshot>>,
    pub(super) portals: HashMap<String, Portal>,
    pub(super) cursors: Cursors,
}

/// Talks with a client until one of the two ends it.
pub(super) async fn converse(stream: TcpStream, server: Arc<Server>) -> io::Result<()> {
    let acceptor = server.tls.as_ref().map(|tls| tls.for_postgres());
    let negotiated = tokio::time::timeout(HANDSHAKE, negotiate_tls(stream, acceptor)).await;
    // Too slow, or TLS where there is none.
    let Ok(Some(mut socket)) = negotiated.unwrap_or(Ok(None)) else { return Ok(()) };
    // Sent before TLS began, by whoever sits between: it must not count as said under its protection.
    if socket.is_secure() && !socket.read_buffer().is_empty() {
        return Ok(());
    }
    let login = match log_in(&mut socket, &server).await {
        Ok(Some(login)) => login,
        Ok(None) => return Ok(()),
        Err(failed) => return say(&mut socket, as_fatal(failed)).await.map(drop),
    };
    let connection = Connection {
        socket,
        server,
        login,
        transaction: Transaction::default(),
        statements: HashMap::new(),
        planned_on: None,
        portals: HashMap::new(),
        cursors: Cursors::default(),
    };
    connection.run().await
}

impl Connection {
    async fn run(mut self) -> io::Result<()> {
        self.ready().await?;
        // After an error in the extended protocol everything up to the next Sync is void.
        let mut until_sync = false;
        loop {
            let message = match next_message(&mut self.socket, MAX_MESSAGE).await {
                Ok(Some(message)) => message,
                Ok(None) => return Ok(()),
                Err(failed) => return say(&mut self.socket, as_fatal(failed)).await.map(drop),
            };
            let extended = message.is_extended_query();
            match message {
                PgWireFrontendMessage::Terminate(_) => return Ok(()),
                PgWireFrontendMessage::Sync(_) => {
                    until_sync = false;
                    self.end_implicit_transaction();
                    self.ready().await?;
                    continue;
                }
                _ if until_sync => continue,
                _ => {}
            }
            if let Err(failed) = self.attend(message).await {
                self.transaction.fail();
                if say(&mut self.socket, failed).await? {
                    return Ok(());
                }
                until_sync = extended;
                if !extended {
                    self.end_implicit_transaction();
                    self.ready().await?;
                }
            }
        }
    }

    /// Does what a message asks for, unless somebody cancels it.
    async fn attend(&mut self, message: PgWireFrontendMessage) -> PgWireResult<()> {
        let handle = self.login.cancels.clone();
        let cancelled = handle.start_query().await;
        tokio::select! {
            done = self.dispatch(message) => done,
            Ok(()) = cancelled => Err(PgWireError::QueryCanceled),
        }
    }

    async fn dispatch(&mut self, message: PgWireFrontendMessage) -> PgWireResult<()> {
        match message {
            PgWireFrontendMessage::Query(query) => {
                self.still_good().await?;
                self.query(&query.query).await?;
                self.end_implicit_transaction();
                Ok(self.ready().await?)
            }
            PgWireFrontendMessage::Parse(parse) => {
                self.still_good().await?;
                self.parse(parse).await
            }
            PgWireFrontendMessage::Bind(bind) => self.bind(bind).await,
            PgWireFrontendMessage::Describe(describe) => self.describe(describe).await,
            PgWireFrontendMessage::Execute(execute) => {
                self.still_good().await?;
                self.execute(execute).await
            }
            PgWireFrontendMessage::Close(close) => self.close(close).await,
            PgWireFrontendMessage::Flush(_) => Ok(self.socket.flush().await?),
            // What is left of a COPY that was refused.
            PgWireFrontendMessage::CopyData(_)
            | PgWireFrontendMessage::CopyDone(_)
            | PgWireFrontendMessage::CopyFail(_) => Ok(()),
            _ => Err(fatal(code::PROTOCOL_VIOLATION, "this message has no place after the login")),
        }
    }

    /// A token that is taken back ends the connections it opened.
    async fn still_good(&self) -> PgWireResult<()> {
        let Some(grant) = &self.login.grant else { return Ok(()) };
        let grants = self.server.corpus.grants().await.map_err(of_store)?;
        match grants.iter().any(|now| now.token_id == grant.token_id && now.revoked_at.is_none()) {
            true => Ok(()),
            false => Err(fatal(code::REVOKED, format!("the token {} was revoked", grant.name))),
        }
    }

    /// Outside a transaction block everything that a statement opened ends with it.
    fn end_implicit_transaction(&mut self) {
        if !self.transaction.is_open() {
            self.portals.clear();
        }
    }

    pub(super) async fn complete(&mut self, tag: impl Into<String>) -> PgWireResult<()> {
        let message = PgWireBackendMessage::CommandComplete(CommandComplete::new(tag.into()));
        Ok(self.socket.feed(message).await?)
    }

    pub(super) async fn nothing_asked(&mut self) -> PgWireResult<()> {
        Ok(self.socket.feed(PgWireBackendMessage::EmptyQueryResponse(EmptyQueryResponse::new())).await?)
    }

    async fn ready(&mut self) -> io::Result<()> {
        let status = self.transaction.status();
        self.socket.send(PgWireBackendMessage::ReadyForQuery(ReadyForQuery::new(status))).await
    }
}

/// The next message; none where the client has gone.
///
/// # Errors
/// Where it does not read, or is longer than `most` bytes: pgwire itself would wait for a gigabyte.
pub(super) async fn next_message(socket: &mut Socket, most: usize) -> PgWireResult<Option<PgWireFrontendMessage>> {
    let next = std::future::poll_fn(|context| match Pin::new(&mut *socket).poll_next(context) {
        Poll::Pending if socket.read_buffer().len() > most => {
            let message = format!("a message is longer than {most} bytes");
            Poll::Ready(Some(Err(fatal(code::PROTOCOL_VIOLATION, message))))
        }
        other => other,
    });
    next.await.transpose()
}

/// Tells the client what went wrong; says whether that was the end.
async fn say(socket: &mut Socket, failed: PgWireError) -> io::Result<bool> {
    if let PgWireError::IoError(error) = failed {
        return Err(error);
    }
    let info = ErrorInfo::from(failed);
    let is_fatal = info.is_fatal();
    let said = socket.send(PgWireBackendMessage::ErrorResponse(info.into()));
    match tokio::time::timeout(LAST_WORDS, said).await {
        Ok(said) => said.map(|()| is_fatal),
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}
