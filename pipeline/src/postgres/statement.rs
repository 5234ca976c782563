//! What a statement asks for: rows, or something about the connection.
//!
//! In: a text. Out: what PostgreSQL's grammar makes of it. Everything that is not about the connection goes on as a query,
//! and the session's walls say which of those only read.

use std::sync::Arc;

use datafusion::sql::sqlparser::ast::{
    CloseCursor, Declare, DeclareType, DiscardObject, Expr, FetchDirection, ObjectName, Reset, Set,
    Statement as SqlStatement, ValueWithSpan,
};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion_postgres::pgwire::error::{PgWireError, PgWireResult};
use marginalia_store::Pace;

use super::failure::{code, error, of_store};
use super::listener::Server;
use super::{introspection, settings};

/// One statement.
#[derive(Clone, Debug)]
pub enum Statement {
    /// To be planned.
    Query(Box<SqlStatement>),
    /// The beginning or end of a transaction.
    Boundary(Boundary),
    /// Means nothing here; the tag says that it was heard.
    Noted(&'static str),
    /// A setting; none takes it back.
    Set {
        /// As written.
        name: String,
        /// Its value.
        value: Option<String>,
    },
    /// All settings as they were.
    ResetAll,
    /// The connection as it was after the login.
    DiscardAll,
    /// A setting's value.
    Show(String),
    /// A cursor to open.
    Declare {
        /// Its name.
        name: String,
        /// Whether it outlives the transaction.
        hold: bool,
        /// What it is for.
        query: Box<SqlStatement>,
    },
    /// Rows of a cursor.
    Fetch {
        /// Its name.
        name: String,
        /// How many; none for all.
        rows: Option<usize>,
    },
    /// A cursor to close; none for all.
    CloseCursor(Option<String>),
    /// A prepared statement to drop; none for all.
    Deallocate(Option<String>),
}

/// Where a transaction begins or ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Boundary {
    /// `BEGIN`.
    Begin,
    /// `COMMIT`.
    Commit,
    /// `ROLLBACK`.
    Rollback,
    /// `ROLLBACK TO`.
    BackToSavepoint,
}

/// The statements of a text, in order.
pub(super) async fn parse(server: &Arc<Server>, sql: &str, pace: Pace) -> PgWireResult<Vec<Statement>> {
    let (runtime, limits) = (server.sessions.runtime(), server.sessions.limits());
    let parser = server.clone();
    let parse = move |text: &str| {
        let mut statements = parser.parser.parse(text)?;
        statements.iter_mut().for_each(introspection::simplify);
        Ok(statements)
    };
    let parsed = runtime.parse(sql, PostgreSqlDialect {}, limits, pace, parse).await.map_err(of_store)?;
    parsed.into_iter().map(Statement::new).collect()
}

impl Statement {
    fn new(statement: SqlStatement) -> PgWireResult<Self> {
        Ok(match statement {
            SqlStatement::StartTransaction { .. } => Self::Boundary(Boundary::Begin),
            SqlStatement::Commit { .. } => Self::Boundary(Boundary::Commit),
            SqlStatement::Rollback { savepoint: None, .. } => Self::Boundary(Boundary::Rollback),
            SqlStatement::Rollback { .. } => Self::Boundary(Boundary::BackToSavepoint),
            SqlStatement::Savepoint { .. } => Self::Noted("SAVEPOINT"),
            SqlStatement::ReleaseSavepoint { .. } => Self::Noted("RELEASE"),
            SqlStatement::UNLISTEN { .. } => Self::Noted("UNLISTEN"),
            SqlStatement::Set(set) => Self::set(set)?,
            SqlStatement::Reset(reset) => match reset.reset {
                Reset::ALL => Self::ResetAll,
                Reset::ConfigurationParameter(name) => Self::Set { name: name.to_string(), value: None },
            },
            SqlStatement::Discard { object_type: DiscardObject::ALL } => Self::DiscardAll,
            SqlStatement::Discard { .. } => Self::Noted("DISCARD"),
            SqlStatement::ShowVariable { variable } => {
                let words: Vec<String> = variable.iter().map(|word| word.value.to_lowercase()).collect();
                match settings::known(&words.join(" ")) {
                    true => Self::Show(words.join(" ")),
                    false => Self::Query(Box::new(SqlStatement::ShowVariable { variable })),
                }
            }
            SqlStatement::Declare { stmts } => Self::declare(stmts)?,
            SqlStatement::Fetch { name, direction, .. } => Self::Fetch { name: name.value, rows: rows(&direction)? },
            SqlStatement::Close { cursor: CloseCursor::All } => Self::CloseCursor(None),
            SqlStatement::Close { cursor: CloseCursor::Specific { name } } => Self::CloseCursor(Some(name.value)),
            SqlStatement::Deallocate { name, .. } => {
                let all = name.quote_style.is_none() && name.value.eq_ignore_ascii_case("all");
                Self::Deallocate((!all).then_some(name.value))
            }
            other => Self::Query(Box::new(other)),
        })
    }

    fn set(set: Set) -> PgWireResult<Self> {
        let (name, value) = match set {
            Set::SingleAssignment { variable, values, .. } => (last_part(&variable), setting(&values)),
            Set::SetTimeZone { value, .. } => ("timezone".to_owned(), setting(&[value])),
            Set::SetNames { charset_name, .. } => ("client_encoding".to_owned(), Some(charset_name.value)),
            // One state, read only, is what every transaction gets, and that is as strict as any of them.
            Set::SetTransaction { .. } => return Ok(Self::Noted("SET")),
            other => return Err(refused(other.to_string().trim_start_matches("SET "))),
        };
        Ok(Self::Set { name, value })
    }

    fn declare(declared: Vec<Declare>) -> PgWireResult<Self> {
        let mut declared = declared.into_iter();
        match (declared.next(), declared.next()) {
            (
                Some(Declare {
                    names,
                    for_query: Some(query),
                    declare_type: Some(DeclareType::Cursor),
                    scroll,
                    hold,
                    ..
                }),
                None,
            ) if names.len() == 1 => {
                if scroll == Some(true) {
                    return Err(error(code::NOT_SUPPORTED, "cursors here only go forward; leave SCROLL out"));
                }
                let name = names.into_iter().next().map(|name| name.value).unwrap_or_default();
                let query = Box::new(SqlStatement::Query(query));
                Ok(Self::Declare { name, hold: hold == Some(true), query })
            }
            _ => Err(error(code::SYNTAX, "only DECLARE name CURSOR FOR query is understood")),
        }
    }

    /// What is to be planned before it can be described or run.
    pub fn query(&self) -> Option<&SqlStatement> {
        match self {
            Self::Query(query) | Self::Declare { query, .. } => Some(query),
            _ => None,
        }
    }

    /// First word of the tag that tells of its success, where it answers with rows.
    pub fn tag(&self) -> &'static str {
        match self {
            Self::Query(query) => match query.as_ref() {
                SqlStatement::Explain { .. } | SqlStatement::ExplainTable { .. } => "EXPLAIN",
                SqlStatement::Query(_) => "SELECT",
                _ => "SHOW",
            },
            Self::Fetch { .. } => "FETCH",
            _ => "SHOW",
        }
    }
}

/// A setting that is not to be changed from outside.
pub fn refused(what: &str) -> PgWireError {
    error(
        code::NOT_SUPPORTED,
        format!(
            "query refused: SET {what} is not allowed: only settings of the client can be set ({})",
            settings::names()
        ),
    )
}

fn rows(direction: &FetchDirection) -> PgWireResult<Option<usize>> {
    let number = |limit: &ValueWithSpan| {
        let number = limit.value.to_string().parse::<usize>().ok();
        number.ok_or_else(|| error(code::SYNTAX, format!("FETCH {limit} is not understood; name a number or ALL")))
    };
    match direction {
        FetchDirection::Next | FetchDirection::Forward { limit: None } => Ok(Some(1)),
        FetchDirection::Count { limit } | FetchDirection::Forward { limit: Some(limit) } => number(limit).map(Some),
        FetchDirection::All | FetchDirection::ForwardAll => Ok(None),
        _ => Err(error(code::NOT_SUPPORTED, "cursors here only go forward")),
    }
}

/// A setting's name without what stands before a dot.
fn last_part(name: &ObjectName) -> String {
    match name.0.as_slice() {
        [one] => one.as_ident().map_or_else(|| one.to_string(), |ident| ident.value.clone()),
        _ => name.to_string(),
    }
}

/// The value of a setting as plain text; none for DEFAULT.
fn setting(values: &[Expr]) -> Option<String> {
    let text = |value: &Expr| match value {
        Expr::Value(value) => value.value.clone().into_string().unwrap_or_else(|| value.to_string()),
        Expr::Identifier(ident) => ident.value.clone(),
        other => other.to_string(),
    };
    let text = values.iter().map(text).collect::<Vec<_>>().join(", ");
    (!text.eq_ignore_ascii_case("default")).then_some(text)
}
