//! The extended protocol: statements prepared, given values, and run in as many steps as the client likes.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use datafusion::arrow::datatypes::{DataType, Field, SchemaRef, TimeUnit};
use datafusion::common::ParamValues;
use datafusion_postgres::arrow_pg::datatypes::df::deserialize_parameters;
use datafusion_postgres::arrow_pg::datatypes::into_pg_type;
use datafusion_postgres::pgwire::api::Type;
use datafusion_postgres::pgwire::api::portal::{Format, Portal as BoundPortal};
use datafusion_postgres::pgwire::api::stmt::StoredStatement;
use datafusion_postgres::pgwire::error::PgWireResult;
use datafusion_postgres::pgwire::messages::PgWireBackendMessage;
use datafusion_postgres::pgwire::messages::data::{NoData, ParameterDescription};
use datafusion_postgres::pgwire::messages::extendedquery::{
    Bind, BindComplete, Close, CloseComplete, Describe, Execute, Parse, ParseComplete, PortalSuspended,
    TARGET_TYPE_BYTE_STATEMENT,
};
use futures::SinkExt;
use marginalia_store::{Pace, Prepared as Planned, Session};

use super::connection::Connection;
use super::failure::{code, error, of_store};
use super::rows::{Fields, Rows, described, fields, text_field};
use super::simple::Delivery;
use super::statement::{self, Statement};

/// Prepared statements a client may have; drivers keep a hundred or two.
const MAX_STATEMENTS: usize = 500;
/// Portals a client may have.
const MAX_PORTALS: usize = 50;

/// A statement that was parsed; it is planned anew when the corpus has changed.
pub struct Prepared {
    sql: Arc<str>,
    statement: Option<Statement>,
    /// Types of its parameters, as the client gave them.
    types: Vec<Option<Type>>,
    /// Columns and types of parameters, the same in every state; known once it was planned.
    described: OnceLock<(SchemaRef, Vec<DataType>)>,
    planned: Mutex<Option<Planned>>,
}

/// A statement with values for its parameters, and how far it has been read.
pub struct Portal {
    prepared: Arc<Prepared>,
    values: ParamValues,
    format: Format,
    progress: Progress,
}

enum Progress {
    NotBegun,
    Open(Rows),
    Ended,
}

impl Prepared {
    pub fn new(sql: &str, statement: Option<Statement>, types: Vec<Option<Type>>) -> Self {
        Self { sql: sql.into(), statement, types, described: OnceLock::new(), planned: Mutex::new(None) }
    }

    /// What it asks for; none where the text was empty.
    pub fn statement(&self) -> Option<&Statement> {
        self.statement.as_ref()
    }

    /// Its plan over the state of a session.
    pub async fn planned(&self, session: &Session, pace: Pace) -> PgWireResult<Planned> {
        let known = self.plan().clone();
        if let Some(planned) = known.filter(|planned| Arc::ptr_eq(planned.snapshot(), session.snapshot())) {
            return Ok(planned);
        }
        let query = self.statement.as_ref().and_then(Statement::query);
        let query = query.ok_or_else(|| error(code::BUG, "bug: a statement without a query was to be planned"))?;
        let hints = self.types.iter().map(|given| given.as_ref().and_then(engine_type)).collect();
        let new = session.prepare(self.sql.clone(), query.clone(), hints, pace).await.map_err(of_store)?;
        self.described.get_or_init(|| (new.schema.clone(), new.parameters.clone()));
        *self.plan() = Some(new.clone());
        Ok(new)
    }

    /// Lets go of a plan, and with it of the state that it looks at.
    pub fn forget_plan(&self) {
        *self.plan() = None;
    }

    fn plan(&self) -> MutexGuard<'_, Option<Planned>> {
        self.planned.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Types of its parameters as the engine has them.
    fn parameters(&self) -> &[DataType] {
        self.described.get().map_or(&[], |(_, parameters)| parameters)
    }
}

impl Connection {
    pub(super) async fn parse(&mut self, parse: Parse) -> PgWireResult<()> {
        let name = parse.name.unwrap_or_default();
        if !name.is_empty() && self.statements.contains_key(&name) {
            let message = format!("there is a prepared statement {name:?} already; close it first");
            return Err(error(code::DUPLICATE_STATEMENT, message));
        }
        if self.statements.len() >= MAX_STATEMENTS {
            let message = format!("{MAX_STATEMENTS} statements are prepared; DEALLOCATE some");
            return Err(error(code::TOO_MUCH, message));
        }
        let pace = self.pace();
        let mut statements = statement::parse(&self.server, &parse.query, pace).await?;
        if statements.len() > 1 {
            let message = "several statements cannot be prepared as one; send them one at a time";
            return Err(error(code::SYNTAX, message));
        }
        let statement = statements.pop();
        if !matches!(statement, None | Some(Statement::Boundary(_))) {
            self.transaction.refuse_if_failed()?;
        }
        let known = |oid: &u32| Type::from_oid(*oid).filter(|given| *given != Type::UNKNOWN);
        let prepared = Prepared::new(&parse.query, statement, parse.type_oids.iter().map(known).collect());
        if prepared.statement().is_some_and(|statement| statement.query().is_some()) {
            let session = self.session().await?;
            prepared.planned(&session, pace).await?;
        }
        self.statements.insert(name, Arc::new(prepared));
        Ok(self.socket.feed(PgWireBackendMessage::ParseComplete(ParseComplete::new())).await?)
    }

    pub(super) async fn bind(&mut self, bind: Bind) -> PgWireResult<()> {
        let name = bind.portal_name.clone().unwrap_or_default();
        let prepared = self.prepared(bind.statement_name.as_deref())?;
        if !matches!(prepared.statement(), None | Some(Statement::Boundary(_))) {
            self.transaction.refuse_if_failed()?;
        }
        if name.is_empty() {
            self.portals.remove("");
        }
        if self.portals.contains_key(&name) {
            return Err(error(code::DUPLICATE_CURSOR, format!("there is a portal {name:?} already; close it first")));
        }
        if self.portals.len() >= MAX_PORTALS {
            return Err(error(code::TOO_MUCH, format!("{MAX_PORTALS} portals are open; close some")));
        }
        let types = prepared.parameters();
        let columns = self.columns(&prepared, &Format::UnifiedText)?.map_or(0, |fields| fields.len());
        fits("parameters", bind.parameter_format_codes.len(), bind.parameters.len())?;
        fits("columns", bind.result_column_format_codes.len(), columns)?;
        if bind.parameters.len() != types.len() {
            let message = format!("the statement has {} parameters, {} came", types.len(), bind.parameters.len());
            return Err(error(code::PROTOCOL_VIOLATION, message));
        }
        let stored = Arc::new(StoredStatement::new(String::new(), (), prepared.types.clone()));
        let bound = BoundPortal::try_new(&bind, stored)?;
        let types: Vec<Option<&DataType>> = types.iter().map(Some).collect();
        let values = catch_unwind(AssertUnwindSafe(|| deserialize_parameters(&bound, &types)));
        let values = values.unwrap_or_else(|_| Err(error(code::BAD_PARAMETER, "a parameter cannot be read")))?;
        let portal = Portal { prepared, values, format: bound.result_column_format, progress: Progress::NotBegun };
        self.portals.insert(name, portal);
        Ok(self.socket.feed(PgWireBackendMessage::BindComplete(BindComplete::new())).await?)
    }

    pub(super) async fn describe(&mut self, describe: Describe) -> PgWireResult<()> {
        let name = describe.name.as_deref();
        let columns = if describe.target_type == TARGET_TYPE_BYTE_STATEMENT {
            let prepared = self.prepared(name)?;
            let given = |i: usize| prepared.types.get(i).cloned().flatten();
            let mut oids = Vec::new();
            for (i, known) in prepared.parameters().iter().enumerate() {
                oids.push(given(i).map_or_else(|| into_pg_type(known), Ok)?.oid());
            }
            self.socket.feed(PgWireBackendMessage::ParameterDescription(ParameterDescription::new(oids))).await?;
            self.columns(&prepared, &Format::UnifiedText)?
        } else {
            match self.portals.get(name.unwrap_or_default()) {
                Some(portal) => {
                    let (prepared, format) = (portal.prepared.clone(), portal.format.clone());
                    self.columns(&prepared, &format)?
                }
                // Drivers describe a cursor of SQL as a portal, which it is in PostgreSQL.
                None => {
                    let cursor = self.cursors.get(name.unwrap_or_default())?;
                    Some(fields(cursor.rows.schema(), &Format::UnifiedText, &self.login.settings)?)
                }
            }
        };
        let message = match columns {
            Some(columns) => PgWireBackendMessage::RowDescription(described(&columns)),
            None => PgWireBackendMessage::NoData(NoData::new()),
        };
        Ok(self.socket.feed(message).await?)
    }

    pub(super) async fn execute(&mut self, execute: Execute) -> PgWireResult<()> {
        let name = execute.name.unwrap_or_default();
        let missing = || error(code::NO_SUCH_CURSOR, format!("there is no portal {name:?}"));
        // Put back below, unless reading it fails.
        let mut portal = self.portals.remove(&name).ok_or_else(missing)?;
        let pace = self.pace();
        let most = usize::try_from(execute.max_rows).ok().filter(|most| *most > 0);
        let prepared = portal.prepared.clone();
        match prepared.statement() {
            Some(statement @ Statement::Query(_)) => {
                self.transaction.refuse_if_failed()?;
                self.step(&mut portal, statement.tag(), most, pace).await?;
            }
            _ => self.perform(&prepared, portal.values.clone(), &portal.format, false, pace).await?,
        }
        self.portals.insert(name, portal);
        Ok(())
    }

    /// Sends the next rows of a portal, at most so many.
    async fn step(&mut self, portal: &mut Portal, tag: &str, most: Option<usize>, pace: Pace) -> PgWireResult<()> {
        let mut rows = match std::mem::replace(&mut portal.progress, Progress::Ended) {
            Progress::NotBegun => {
                let held = most.map(|_| self.server.held);
                self.open(&portal.prepared, portal.values.clone(), Pace { held, ..pace }).await?
            }
            Progress::Open(rows) => rows,
            Progress::Ended => return self.complete(format!("{tag} 0")).await,
        };
        let delivery = Delivery { format: &portal.format, describe: false, most, by: pace.until() };
        let (sent, more) = self.deliver(&mut rows, delivery).await?;
        if more {
            portal.progress = Progress::Open(rows);
            return Ok(self.socket.feed(PgWireBackendMessage::PortalSuspended(PortalSuspended::new())).await?);
        }
        self.complete(format!("{tag} {sent}")).await
    }

    pub(super) async fn close(&mut self, close: Close) -> PgWireResult<()> {
        let name = close.name.unwrap_or_default();
        if close.target_type == TARGET_TYPE_BYTE_STATEMENT {
            self.statements.remove(&name);
        } else {
            self.portals.remove(&name);
        }
        Ok(self.socket.feed(PgWireBackendMessage::CloseComplete(CloseComplete::new())).await?)
    }

    fn prepared(&self, name: Option<&str>) -> PgWireResult<Arc<Prepared>> {
        let name = name.unwrap_or_default();
        let missing = || error(code::NO_SUCH_STATEMENT, format!("there is no prepared statement {name:?}"));
        self.statements.get(name).cloned().ok_or_else(missing)
    }

    /// Columns that a statement answers with; none where it answers with a tag alone.
    fn columns(&self, prepared: &Prepared, format: &Format) -> PgWireResult<Option<Fields>> {
        let settings = &self.login.settings;
        match prepared.statement() {
            Some(Statement::Query(_)) => match prepared.described.get() {
                Some((schema, _)) => fields(schema, format, settings).map(Some),
                None => Ok(None),
            },
            Some(Statement::Fetch { name, .. }) => {
                fields(self.cursors.get(name)?.rows.schema(), format, settings).map(Some)
            }
            Some(Statement::Show(name)) => Ok(Some(text_field(name))),
            _ => Ok(None),
        }
    }
}

/// One format for all, or one for each; anything else would be read past its end.
fn fits(what: &str, formats: usize, of: usize) -> PgWireResult<()> {
    match formats {
        0 | 1 => Ok(()),
        formats if formats == of => Ok(()),
        formats => Err(error(code::PROTOCOL_VIOLATION, format!("{formats} formats came for {of} {what}"))),
    }
}

/// The engine's type for one that a client gave.
fn engine_type(given: &Type) -> Option<DataType> {
    let list = |item: DataType| DataType::List(Arc::new(Field::new_list_field(item, true)));
    Some(match *given {
        Type::BOOL => DataType::Boolean,
        Type::INT2 => DataType::Int16,
        Type::INT4 => DataType::Int32,
        Type::INT8 => DataType::Int64,
        Type::FLOAT4 => DataType::Float32,
        Type::FLOAT8 => DataType::Float64,
        Type::NUMERIC => DataType::Decimal128(38, 10),
        Type::TEXT | Type::VARCHAR => DataType::Utf8,
        Type::BYTEA => DataType::Binary,
        Type::DATE => DataType::Date32,
        Type::TIMESTAMP => DataType::Timestamp(TimeUnit::Microsecond, None),
        Type::TIMESTAMPTZ => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        Type::BOOL_ARRAY => list(DataType::Boolean),
        Type::INT2_ARRAY => list(DataType::Int16),
        Type::INT4_ARRAY => list(DataType::Int32),
        Type::INT8_ARRAY => list(DataType::Int64),
        Type::FLOAT4_ARRAY => list(DataType::Float32),
        Type::FLOAT8_ARRAY => list(DataType::Float64),
        Type::TEXT_ARRAY | Type::VARCHAR_ARRAY => list(DataType::Utf8),
        _ => return None,
    })
}
