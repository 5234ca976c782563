//! The simple protocol: a text with any number of statements, answered one after the other; and what both protocols do
//! with a statement that is no query.

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::ParamValues;
use datafusion_postgres::pgwire::api::portal::Format;
use datafusion_postgres::pgwire::api::results::DataRowEncoder;
use datafusion_postgres::pgwire::error::PgWireResult;
use datafusion_postgres::pgwire::messages::PgWireBackendMessage;
use datafusion_postgres::pgwire::messages::startup::ParameterStatus;
use futures::SinkExt;
use marginalia_store::Pace;
use tokio::time::{Instant, timeout_at};

use super::connection::Connection;
use super::cursors::Cursor;
use super::extended::Prepared;
use super::failure::{code, error, of_store};
use super::rows::{Fields, Rows, described, encoded, fields, text_field};
use super::statement::{self, Statement};

/// How rows go out.
pub(super) struct Delivery<'a> {
    /// Text or binary, by column.
    pub format: &'a Format,
    /// Whether the columns are described first.
    pub describe: bool,
    /// Most rows; none for all.
    pub most: Option<usize>,
    /// By when the last of them must be gone.
    pub by: Instant,
}

impl Connection {
    /// Answers a text.
    pub(super) async fn query(&mut self, sql: &str) -> PgWireResult<()> {
        // They belong to the extended protocol and end with the next text.
        self.statements.remove("");
        self.portals.remove("");
        let statements = statement::parse(&self.server, sql, self.pace()).await?;
        if statements.is_empty() {
            return self.nothing_asked().await;
        }
        for statement in statements {
            let pace = self.pace();
            let prepared = Prepared::new(sql, Some(statement), Vec::new());
            self.perform(&prepared, ParamValues::List(Vec::new()), &Format::UnifiedText, true, pace).await?;
        }
        Ok(())
    }

    /// Time for a statement that begins now.
    pub(super) fn pace(&self) -> Pace {
        Pace::within(self.login.settings.timeout(self.server.sessions.limits().timeout))
    }

    /// Does all of a statement.
    pub(super) async fn perform(
        &mut self,
        prepared: &Prepared,
        values: ParamValues,
        format: &Format,
        describe: bool,
        pace: Pace,
    ) -> PgWireResult<()> {
        let Some(statement) = prepared.statement() else { return self.nothing_asked().await };
        if !matches!(statement, Statement::Boundary(_)) {
            self.transaction.refuse_if_failed()?;
        }
        let delivery = Delivery { format, describe, most: None, by: pace.until() };
        match statement {
            Statement::Query(_) => {
                let mut rows = self.open(prepared, values, pace).await?;
                let (sent, _) = self.deliver(&mut rows, delivery).await?;
                self.complete(format!("{} {sent}", statement.tag())).await
            }
            Statement::Declare { name, hold, .. } => {
                self.cursors.check_new(name, *hold, self.transaction.is_open())?;
                let rows = self.open(prepared, values, Pace { held: Some(self.server.held), ..pace }).await?;
                self.cursors.insert(name.clone(), Cursor { rows, hold: *hold });
                self.complete("DECLARE CURSOR").await
            }
            Statement::Fetch { name, rows: most } => {
                let mut cursor = self.cursors.take(name)?;
                let (sent, _) = self.deliver(&mut cursor.rows, Delivery { most: *most, ..delivery }).await?;
                self.cursors.insert(name.clone(), cursor);
                self.complete(format!("{} {sent}", statement.tag())).await
            }
            Statement::Show(name) => {
                let value = self.login.settings.show(name);
                self.show(name, &value, describe).await
            }
            other => self.note(other).await,
        }
    }

    /// What changes the connection and answers nothing.
    async fn note(&mut self, statement: &Statement) -> PgWireResult<()> {
        let tag = match statement {
            Statement::Boundary(boundary) => self.cross(*boundary)?,
            Statement::Noted(tag) => tag,
            Statement::Set { name, value } => {
                let told = self.login.settings.set(name, value.as_deref())?;
                self.tell(told).await?;
                if value.is_some() { "SET" } else { "RESET" }
            }
            Statement::ResetAll => {
                let told = self.login.settings.reset();
                self.tell(told).await?;
                "RESET"
            }
            Statement::DiscardAll => {
                let told = self.login.settings.reset();
                self.tell(told).await?;
                self.cursors.close(None)?;
                self.statements.clear();
                "DISCARD ALL"
            }
            Statement::CloseCursor(name) => {
                self.cursors.close(name.as_deref())?;
                if name.is_some() { "CLOSE CURSOR" } else { "CLOSE CURSOR ALL" }
            }
            Statement::Deallocate(Some(name)) => {
                let missing = || error(code::NO_SUCH_STATEMENT, format!("there is no prepared statement {name:?}"));
                self.statements.remove(name).ok_or_else(missing)?;
                "DEALLOCATE"
            }
            Statement::Deallocate(None) => {
                self.statements.clear();
                "DEALLOCATE ALL"
            }
            _ => return Err(error(code::BUG, "bug: a statement with an answer was to be noted; please report it")),
        };
        self.complete(tag).await
    }

    async fn tell(&mut self, told: impl IntoIterator<Item = (&'static str, String)>) -> PgWireResult<()> {
        for (name, value) in told {
            let status = ParameterStatus::new(name.to_owned(), value);
            self.socket.feed(PgWireBackendMessage::ParameterStatus(status)).await?;
        }
        Ok(())
    }

    async fn show(&mut self, name: &str, value: &str, describe: bool) -> PgWireResult<()> {
        let fields = text_field(&name.replace(' ', "_"));
        if describe {
            self.socket.feed(PgWireBackendMessage::RowDescription(described(&fields))).await?;
        }
        let mut encoder = DataRowEncoder::new(fields);
        encoder.encode_field(&Some(value))?;
        self.socket.feed(PgWireBackendMessage::DataRow(encoder.take_row())).await?;
        self.complete("SHOW").await
    }

    /// Runs a query, on the state that this statement sees.
    pub(super) async fn open(&mut self, prepared: &Prepared, values: ParamValues, pace: Pace) -> PgWireResult<Rows> {
        let session = self.session().await?;
        let planned = prepared.planned(&session, pace).await?;
        let answer = planned.run(values, pace).await.map_err(of_store)?;
        Ok(Rows::new(answer, planned.schema))
    }

    /// Sends rows as they come; returns how many, and whether there may be more.
    pub(super) async fn deliver(&mut self, rows: &mut Rows, delivery: Delivery<'_>) -> PgWireResult<(usize, bool)> {
        let fields = fields(rows.schema(), delivery.format, &self.login.settings)?;
        if delivery.describe {
            self.socket.feed(PgWireBackendMessage::RowDescription(described(&fields))).await?;
        }
        let (by, mut sent) = (delivery.by, 0);
        while let left @ 1.. = delivery.most.map_or(usize::MAX, |most| most - sent) {
            let Some(batch) = rows.next(left, by).await? else { return Ok((sent, false)) };
            sent += batch.num_rows();
            // A client that does not read is no reason to hold an answer for ever.
            let written = timeout_at(by, self.write(&batch, rows.schema(), &fields)).await;
            written.unwrap_or_else(|_| Err(error(code::STOPPED, "the client took too long to read the answer")))?;
        }
        Ok((sent, true))
    }

    async fn write(&mut self, batch: &RecordBatch, schema: &SchemaRef, fields: &Fields) -> PgWireResult<()> {
        for row in encoded(batch, schema, fields)? {
            self.socket.feed(PgWireBackendMessage::DataRow(row?)).await?;
        }
        Ok(())
    }
}
