//! What clients are told when something does not work: a message and the code that drivers make an exception of.

use datafusion_postgres::pgwire::error::{ErrorInfo, PgWireError};
use marginalia_store::Error as StoreError;

/// Codes of PostgreSQL, by what they say there.
pub mod code {
    pub const PROTOCOL_VIOLATION: &str = "08P01";
    pub const NOT_SUPPORTED: &str = "0A000";
    pub const BAD_PARAMETER: &str = "22023";
    pub const NO_TRANSACTION: &str = "25P01";
    pub const TRANSACTION_FAILED: &str = "25P02";
    pub const TRANSACTION_TOO_OLD: &str = "25P03";
    pub const NO_SUCH_STATEMENT: &str = "26000";
    pub const NOT_ADMITTED: &str = "28000";
    pub const WRONG_PASSWORD: &str = "28P01";
    pub const NO_SUCH_CURSOR: &str = "34000";
    pub const SYNTAX: &str = "42000";
    pub const DUPLICATE_CURSOR: &str = "42P03";
    pub const DUPLICATE_STATEMENT: &str = "42P05";
    pub const OUT_OF_MEMORY: &str = "53200";
    pub const TOO_MANY: &str = "53000";
    pub const TOO_MUCH: &str = "54000";
    pub const STOPPED: &str = "57014";
    pub const REVOKED: &str = "57P01";
    pub const BUG: &str = "XX000";
}

/// A statement that does not work; the connection goes on.
pub fn error(code: &str, message: impl Into<String>) -> PgWireError {
    PgWireError::UserError(Box::new(ErrorInfo::new("ERROR".to_owned(), code.to_owned(), message.into())))
}

/// Something that ends the connection.
pub fn fatal(code: &str, message: impl Into<String>) -> PgWireError {
    PgWireError::UserError(Box::new(ErrorInfo::new("FATAL".to_owned(), code.to_owned(), message.into())))
}

/// The store's words, under the code that fits.
pub fn of_store(failed: StoreError) -> PgWireError {
    let code = match &failed {
        StoreError::QueryRefused { .. } => code::NOT_SUPPORTED,
        StoreError::QueryFailed { .. } => code::SYNTAX,
        StoreError::QueryTimeout { .. } => code::STOPPED,
        StoreError::QueryTooLarge { .. } => code::OUT_OF_MEMORY,
        StoreError::QueryTurnedAway(_) => code::TOO_MANY,
        _ => {
            tracing::error!("a statement of a PostgreSQL client failed: {failed}");
            code::BUG
        }
    };
    error(code, failed.to_string())
}

/// What is sent for it, as something that ends the connection.
pub fn as_fatal(failed: PgWireError) -> PgWireError {
    match failed {
        PgWireError::IoError(_) => failed,
        other => {
            let info = ErrorInfo::from(other);
            fatal(&info.code, info.message)
        }
    }
}
