//! Answers as clients read them: columns described, batches turned into rows one by one.
//!
//! In: an answer of the store. Out: rows, as many as are asked for; the rest waits where it is, so that memory does not
//! grow with an answer.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion_postgres::arrow_pg::datatypes::arrow_schema_to_pg_fields;
use datafusion_postgres::arrow_pg::row_encoder::RowEncoder;
use datafusion_postgres::pgwire::api::Type;
use datafusion_postgres::pgwire::api::portal::Format;
use datafusion_postgres::pgwire::api::results::{FieldFormat, FieldInfo};
use datafusion_postgres::pgwire::error::PgWireResult;
use datafusion_postgres::pgwire::messages::data::{DataRow, RowDescription};
use marginalia_store::Answer;
use tokio::time::Instant;

use super::failure::{code, error, of_store};
use super::settings::Settings;

/// Columns of an answer, as they are sent.
pub type Fields = Arc<Vec<FieldInfo>>;

/// An answer, and what was read of it and not sent yet.
pub struct Rows {
    answer: Answer,
    schema: SchemaRef,
    rest: Option<RecordBatch>,
}

impl Rows {
    /// An answer to a statement that was described with these columns: they are what its rows are sent as.
    pub fn new(answer: Answer, schema: SchemaRef) -> Self {
        Self { answer, schema, rest: None }
    }

    /// Columns of the answer.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// At most so many rows, by then; none at the end.
    pub async fn next(&mut self, most: usize, by: Instant) -> PgWireResult<Option<RecordBatch>> {
        let batch = match self.rest.take() {
            Some(rest) => rest,
            None => match self.answer.next_by(by).await.map_err(of_store)? {
                Some(batch) => batch,
                None => return Ok(None),
            },
        };
        if batch.num_rows() <= most {
            return Ok(Some(batch));
        }
        self.rest = Some(batch.slice(most, batch.num_rows() - most));
        Ok(Some(batch.slice(0, most)))
    }
}

/// How columns of these types are sent.
///
/// # Errors
/// Where PostgreSQL has no such type.
pub fn fields(schema: &SchemaRef, format: &Format, settings: &Settings) -> PgWireResult<Fields> {
    arrow_schema_to_pg_fields(&sent(schema), format, Some(Arc::new(settings.format()))).map(Arc::new)
}

/// The one column of a setting that is shown.
pub fn text_field(name: &str) -> Fields {
    Arc::new(vec![FieldInfo::new(name.to_owned(), None, None, Type::TEXT, FieldFormat::Text)])
}

/// The message that describes columns.
pub fn described(fields: &Fields) -> RowDescription {
    RowDescription::new(fields.iter().map(Into::into).collect())
}

/// The rows of a batch of an answer with these columns, in turn.
///
/// A value that the encoder does not know makes it panic; here that is an error of the statement.
pub fn encoded(
    batch: &RecordBatch,
    schema: &SchemaRef,
    fields: &Fields,
) -> PgWireResult<impl Iterator<Item = PgWireResult<DataRow>> + use<>> {
    let sent = sent(schema);
    let cast_to = |(column, field): (&ArrayRef, &Arc<Field>)| match column.data_type() == field.data_type() {
        true => Ok(column.clone()),
        false => cast(column, field.data_type()),
    };
    let columns = batch.columns().iter().zip(sent.fields()).map(cast_to).collect::<Result<Vec<_>, _>>();
    let batch = columns.and_then(|columns| RecordBatch::try_new(Arc::new(sent), columns));
    let batch = batch.map_err(|failed| error(code::BUG, failed.to_string()))?;
    let mut encoder = RowEncoder::new(batch, fields.clone());
    Ok(std::iter::from_fn(move || {
        let row = catch_unwind(AssertUnwindSafe(|| encoder.next_row()));
        row.unwrap_or_else(|_| {
            Some(Err(error(code::NOT_SUPPORTED, "a value of this answer cannot be sent; cast it to text")))
        })
    }))
}

/// Columns as they are sent.
fn sent(schema: &SchemaRef) -> Schema {
    Schema::new(schema.fields().iter().map(|field| widened(field).with_nullable(true)).collect::<Vec<_>>())
}

/// Half-precision numbers are sent as single ones: PostgreSQL has none, and the encoder no way for them.
fn widened(field: &Field) -> Field {
    let wide = |field: &Arc<Field>| Arc::new(widened(field));
    let data_type = match field.data_type() {
        DataType::Float16 => DataType::Float32,
        DataType::List(item) => DataType::List(wide(item)),
        DataType::LargeList(item) => DataType::LargeList(wide(item)),
        DataType::FixedSizeList(item, length) => DataType::FixedSizeList(wide(item), *length),
        other => other.clone(),
    };
    field.clone().with_data_type(data_type)
}
