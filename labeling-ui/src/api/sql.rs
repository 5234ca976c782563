//! `POST /api/sql`: one question, behind the same walls as `marginalia sql`, answered as it is computed.
//!
//! The answer is JSON, or an Arrow IPC stream or Parquet where `Accept` asks for it. What goes wrong before the first
//! rows is a problem of its own; what goes wrong later breaks the body off, so that a part is never taken for the
//! whole.

use std::future::ready;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::ipc::writer::StreamWriter;
use arrow::json::WriterBuilder;
use arrow::json::writer::LineDelimited;
use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::errors::ParquetError;
use datafusion::parquet::file::properties::WriterProperties;
use futures::stream::{once, try_unfold};
use futures::{Stream, StreamExt};
use marginalia_store::{Answer, Moment};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::caller::Caller;
use super::operation::Operation;
use super::problem::Problem;
use super::{Api, body};
use crate::error::{Error, Result};

/// The type of an Arrow IPC stream.
pub(super) const ARROW_STREAM: &str = "application/vnd.apache.arrow.stream";
/// The type of a Parquet file.
pub(super) const PARQUET: &str = "application/vnd.apache.parquet";

/// Rows of a row group: what of a Parquet file is in memory at a time.
const GROUP_ROWS: usize = 65_536;

/// `POST /api/sql`.
pub(super) fn describe_answer() -> Operation {
    let summary = "One SELECT, read-only, within the bounds of [sql]; answered as it is computed. An answer that \
                   breaks off is not whole.";
    let busy = "As many queries run as are answered side by side, here and over PostgreSQL together, and none ended for \
                half of [sql].timeout_seconds.";
    Operation::new("sql", summary)
        .body::<Question>()
        .answers_shaped(200, "JSON, or an Arrow IPC stream or Parquet where Accept names it.", table)
        .or_in(ARROW_STREAM)
        .or_in(PARQUET)
        .problem(404, "No such round.")
        .problem(410, "The round's tables are gone.")
        .problem(422, "query_refused, query_failed, query_timeout or query_too_large.")
        .problem(503, "The body took too long to arrive.")
        .problem(429, busy)
}

/// What [`Writer::Json`] writes.
fn table(generator: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "required": ["columns", "rows"],
        "properties": {
            "columns": generator.subschema_for::<Vec<Column>>(),
            "rows": { "type": "array", "items": { "type": "object" } },
        },
    })
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
struct Question {
    query: String,
    /// The tables as they were when this round was committed.
    at_round: Option<u32>,
    /// The tables as they were at this time: 2026-11-24T10:00 (UTC), or with an offset.
    at: Option<String>,
}

/// A column of an answer.
#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
struct Column<'a> {
    name: &'a str,
    #[serde(rename = "type")]
    kind: String,
}

impl Question {
    fn moment(&self) -> std::result::Result<Moment, Problem> {
        match (self.at_round, &self.at) {
            (Some(_), Some(_)) => {
                let detail = "at_round and at name two moments; leave one of them out.";
                Err(Problem::new(StatusCode::BAD_REQUEST, "two_moments", detail))
            }
            (Some(round), None) => Ok(Moment::Round(round)),
            (None, Some(time)) => Ok(Moment::Time(time.parse()?)),
            (None, None) => Ok(Moment::Now),
        }
    }
}

/// Answers a question.
pub(super) async fn answer(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    request: Request,
) -> std::result::Result<Response, Problem> {
    let body = body::whole(request, &api).await?;
    let question: Question = body::json(&headers, &body)?;
    let session = api.seen_by(&caller, question.moment()?).await?;
    let form = Form::wanted(&headers);
    let mut answer = session.query(&question.query).await?;
    let mut writer = Writer::new(&answer.schema, form)?;
    // Most of what can go wrong has gone wrong once the first rows are written.
    let first = match answer.next().await? {
        Some(batch) => writer.write(&batch)?,
        None => Bytes::new(),
    };
    let body = Body::from_stream(written(first, answer, writer));
    Ok(([(header::CONTENT_TYPE, form.content_type())], body).into_response())
}

#[derive(Clone, Copy)]
enum Form {
    Arrow,
    Json,
    Parquet,
}

impl Form {
    /// The first but JSON that is asked for by name.
    fn wanted(headers: &HeaderMap) -> Self {
        let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let essences = accepted.flat_map(|value| value.split(',')).filter_map(|value| value.split(';').next());
        let named = |essence: &str| {
            let mut forms = [Self::Arrow, Self::Parquet].into_iter();
            forms.find(|form| essence.trim().eq_ignore_ascii_case(form.content_type()))
        };
        essences.filter_map(named).next().unwrap_or(Self::Json)
    }

    fn content_type(self) -> &'static str {
        match self {
            Self::Arrow => ARROW_STREAM,
            Self::Json => "application/json",
            Self::Parquet => PARQUET,
        }
    }
}

/// The body: the first part, a part for each batch behind it, an end. Dropping it stops the query.
fn written(first: Bytes, answer: Answer, writer: Writer) -> impl Stream<Item = Result<Bytes>> + Send {
    let rest = try_unfold(Some((answer, writer)), |state| async move {
        let Some((mut answer, mut writer)) = state else { return Ok::<_, Error>(None) };
        match answer.next().await? {
            Some(batch) => {
                let bytes = writer.write(&batch)?;
                Ok(Some((bytes, Some((answer, writer)))))
            }
            None => Ok(Some((writer.finish()?, None))),
        }
    });
    once(ready(Ok(first))).chain(rest)
}

/// Turns batches into bytes.
enum Writer {
    Arrow(StreamWriter<Vec<u8>>),
    Parquet(Box<ArrowWriter<Vec<u8>>>),
    Json {
        /// What comes before the next row.
        before: Vec<u8>,
    },
}

impl Writer {
    fn new(schema: &SchemaRef, form: Form) -> Result<Self> {
        Ok(match form {
            Form::Arrow => {
                Self::Arrow(StreamWriter::try_new(Vec::new(), schema).map_err(marginalia_store::Error::from)?)
            }
            Form::Parquet => {
                let properties = WriterProperties::builder().set_max_row_group_row_count(Some(GROUP_ROWS)).build();
                let writer = ArrowWriter::try_new(Vec::new(), schema.clone(), Some(properties));
                Self::Parquet(Box::new(writer.map_err(unwritable)?))
            }
            Form::Json => {
                let fields = schema.fields().iter();
                let columns: Vec<Column> =
                    fields.map(|field| Column { name: field.name(), kind: field.data_type().to_string() }).collect();
                Self::Json { before: format!("{{\"columns\":{},\"rows\":[", json!(columns)).into_bytes() }
            }
        })
    }

    fn write(&mut self, batch: &RecordBatch) -> Result<Bytes> {
        match self {
            Self::Arrow(writer) => {
                writer.write(batch).map_err(marginalia_store::Error::from)?;
                Ok(std::mem::take(writer.get_mut()).into())
            }
            Self::Parquet(writer) => {
                writer.write(batch).map_err(unwritable)?;
                Ok(std::mem::take(writer.inner_mut()).into())
            }
            Self::Json { before } => {
                let mut lines = WriterBuilder::new().with_explicit_nulls(true).build::<_, LineDelimited>(Vec::new());
                lines.write(batch).map_err(marginalia_store::Error::from)?;
                let mut bytes = Vec::new();
                for line in lines.into_inner().split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                    bytes.append(before);
                    bytes.extend_from_slice(line);
                    before.push(b',');
                }
                Ok(bytes.into())
            }
        }
    }

    fn finish(self) -> Result<Bytes> {
        match self {
            Self::Arrow(mut writer) => {
                writer.finish().map_err(marginalia_store::Error::from)?;
                Ok(writer.into_inner().map_err(marginalia_store::Error::from)?.into())
            }
            Self::Parquet(writer) => Ok(writer.into_inner().map_err(unwritable)?.into()),
            Self::Json { mut before } => {
                // After a row a comma waits that has nothing to part.
                if before == b"," {
                    before.clear();
                }
                before.extend_from_slice(b"]}");
                Ok(before.into())
            }
        }
    }
}

/// Memory takes every byte: what fails is a type that Parquet has not, and the question can ask for another.
fn unwritable(error: ParquetError) -> Error {
    marginalia_store::Error::QueryFailed { message: error.to_string() }.into()
}
