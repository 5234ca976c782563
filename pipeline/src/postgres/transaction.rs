//! Transactions: which state the statements of a block see.
//!
//! Outside a block every statement sees the newest state of the corpus. Inside one all see the state that the first of them
//! saw, for as long as versions are kept. There is nothing to commit and nothing to take back. Whoever is not told the
//! names of others sees the same states with pseudonyms.

use std::sync::Arc;
use std::time::{Duration, Instant};

use datafusion_postgres::pgwire::error::PgWireResult;
use datafusion_postgres::pgwire::messages::response::TransactionStatus;
use marginalia_store::Session;

use super::connection::Connection;
use super::failure::{code, error, of_store};
use super::statement::Boundary;

/// What every block promises, in PostgreSQL's words.
pub const ISOLATION: &str = "repeatable read";

/// Where a connection stands.
pub struct Transaction {
    status: TransactionStatus,
    seen: Option<(Session, Instant)>,
}

impl Default for Transaction {
    fn default() -> Self {
        Self { status: TransactionStatus::Idle, seen: None }
    }
}

impl Transaction {
    /// What clients are told of it.
    pub fn status(&self) -> TransactionStatus {
        self.status
    }

    /// Whether there is a block.
    pub fn is_open(&self) -> bool {
        self.status != TransactionStatus::Idle
    }

    /// A statement failed: of a block nothing but its end works any more.
    pub fn fail(&mut self) {
        self.status = self.status.to_error_state();
    }

    /// Refuses what has no place in a block that failed.
    pub fn refuse_if_failed(&self) -> PgWireResult<()> {
        match self.status {
            TransactionStatus::Error => Err(error(
                code::TRANSACTION_FAILED,
                "a statement of this transaction failed; nothing but ROLLBACK (or COMMIT, which does the same) works now",
            )),
            _ => Ok(()),
        }
    }

    /// The state of the block, if it has seen one; `held` is how long it may.
    fn state(&self, held: Duration) -> PgWireResult<Option<Session>> {
        match &self.seen {
            Some((_, since)) if since.elapsed() > held => Err(error(
                code::TRANSACTION_TOO_OLD,
                format!(
                    "this transaction has looked at one state of the corpus for more than {} minutes \
                     (store.keep_untagged_minutes); end it and begin another",
                    held.as_secs() / 60
                ),
            )),
            Some((session, _)) => Ok(Some(session.clone())),
            None => Ok(None),
        }
    }
}

impl Connection {
    /// The session of a statement that begins now.
    pub(super) async fn session(&mut self) -> PgWireResult<Session> {
        if let Some(session) = self.transaction.state(self.server.held)? {
            return Ok(session);
        }
        let mut session = self.server.sessions.newest().await?;
        if let Some(grant) = &self.login.grant {
            let pseudonyms = self.server.corpus.pseudonyms(&grant.name, grant.role).await.map_err(of_store)?;
            session = session.under(pseudonyms).map_err(of_store)?;
        }
        // Plans hold on to the state that they were made for.
        if self.planned_on.as_ref().is_none_or(|snapshot| !Arc::ptr_eq(snapshot, session.snapshot())) {
            self.statements.values().for_each(|statement| statement.forget_plan());
            self.planned_on = Some(session.snapshot().clone());
        }
        if self.transaction.is_open() {
            self.transaction.seen = Some((session.clone(), Instant::now()));
        }
        Ok(session)
    }

    /// Begins or ends a block; returns the tag that says so.
    pub(super) fn cross(&mut self, boundary: Boundary) -> PgWireResult<&'static str> {
        let failed = self.transaction.status == TransactionStatus::Error;
        match boundary {
            Boundary::Begin => {
                self.transaction.refuse_if_failed()?;
                self.transaction.status = TransactionStatus::Transaction;
                Ok("BEGIN")
            }
            // Nothing was changed since, so going back to a savepoint only means that the block works again.
            Boundary::BackToSavepoint => {
                if !self.transaction.is_open() {
                    return Err(error(code::NO_TRANSACTION, "there is no transaction, and so no savepoint"));
                }
                self.transaction.status = TransactionStatus::Transaction;
                Ok("ROLLBACK")
            }
            Boundary::Commit | Boundary::Rollback => {
                self.transaction = Transaction::default();
                self.portals.clear();
                self.cursors.end_transaction();
                Ok(if boundary == Boundary::Rollback || failed { "ROLLBACK" } else { "COMMIT" })
            }
        }
    }
}
