//! Views, by examples: every file of `tests/slt` runs over its own small corpus on disk.
//!
//! `statement ok` with `insert into TABLE {json} {json} …` appends rows through the public API, with columns that are
//! left out null or zero and features that are too short filled up with zeros; `set judgements_per_face = N` opens the
//! corpus anew under that setting; everything else is a query to a session over what was written so far.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Schema, SchemaRef};
use arrow::json::ReaderBuilder;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use async_trait::async_trait;
use marginalia_store::{Corpus, Error, Options, Session, SqlLimits, SqlRuntime, Table, VIEWS, tables};
use serde_json::{Map, Value, json};
use sqllogictest::{AsyncDB, DBOutput, DefaultColumnType, Runner};

/// Classes of every corpus here.
pub const CLASSES: [&str; 3] = ["neutral", "happiness", "sadness"];

/// A new corpus in `folder`.
pub async fn new_corpus(folder: &Path) -> Corpus {
    let classes = CLASSES.map(str::to_owned);
    Corpus::init(folder, &classes, Options::default()).await.expect("a corpus")
}

/// Appends JSON rows; columns that are left out are null, or zero where they may not be null, and so are the last items of a
/// feature.
pub async fn insert(corpus: &Corpus, table: &str, rows: Vec<Value>) {
    match table {
        "faces" => append::<tables::faces::Face>(corpus, rows).await,
        "sightings" => append::<tables::sightings::Sighting>(corpus, rows).await,
        "labels" => append::<tables::labels::Label>(corpus, rows).await,
        "flags" => append::<tables::flags::Flag>(corpus, rows).await,
        "projections" => append::<tables::projections::Projection>(corpus, rows).await,
        "audit_log" => append::<tables::audit_log::AuditEntry>(corpus, rows).await,
        "predictions" => append::<tables::predictions::Prediction>(corpus, rows).await,
        "queue_entries" => append::<tables::queue_entries::QueueEntry>(corpus, rows).await,
        "embeddings" => append::<tables::embeddings::Embedding>(corpus, rows).await,
        "margins" => append::<tables::margins::Margin>(corpus, rows).await,
        "epochs" => append::<tables::epochs::Epoch>(corpus, rows).await,
        "rounds" => append::<tables::rounds::Round>(corpus, rows).await,
        "rejects" => append::<tables::rejects::Reject>(corpus, rows).await,
        "truth" => append::<tables::truth::Truth>(corpus, rows).await,
        other => panic!("no table {other}"),
    }
}

async fn append<T: Table>(corpus: &Corpus, rows: Vec<Value>) {
    let rows = T::from_batch(&batch(T::schema(), rows)).expect("rows of the table's columns");
    corpus.writer::<T>().append(rows).await.expect("an acknowledged append");
}

fn batch(schema: SchemaRef, rows: Vec<Value>) -> RecordBatch {
    let rows: Vec<Value> = rows.into_iter().map(|row| filled(&schema, row)).collect();
    let mut decoder = ReaderBuilder::new(schema).with_strict_mode(true).build_decoder().expect("a decoder");
    decoder.serialize(&rows).expect("rows that fit the table");
    decoder.flush().expect("rows that fit the table").expect("at least one row")
}

fn filled(schema: &Schema, row: Value) -> Value {
    let Value::Object(mut row) = row else { panic!("a row is a JSON object, not {row}") };
    for field in schema.fields().iter().filter(|field| !field.is_nullable()) {
        let zero = match field.data_type() {
            DataType::Utf8 | DataType::LargeBinary => json!(""),
            DataType::Boolean => json!(false),
            DataType::List(_) => json!([]),
            DataType::FixedSizeList(_, length) => json!(vec![0.0; *length as usize]),
            _ => json!(0),
        };
        let value = row.entry(field.name().clone()).or_insert(zero);
        if let (DataType::FixedSizeList(_, length), Value::Array(items)) = (field.data_type(), value) {
            items.resize(*length as usize, json!(0.0));
        }
    }
    Value::Object(Map::from_iter(row))
}

struct Database {
    corpus: Corpus,
    runtime: SqlRuntime,
    session: Option<Session>,
}

#[async_trait]
impl AsyncDB for Database {
    type Error = Error;
    type ColumnType = DefaultColumnType;

    async fn run(&mut self, sql: &str) -> Result<DBOutput<DefaultColumnType>, Error> {
        if let Some(insertion) = sql.strip_prefix("insert into ") {
            let (table, rows) = insertion.split_once(char::is_whitespace).expect("insert into TABLE {json} …");
            let rows: Vec<Value> =
                serde_json::Deserializer::from_str(rows).into_iter().collect::<Result<_, _>>().expect("JSON rows");
            let count = rows.len() as u64;
            insert(&self.corpus, table, rows).await;
            self.session = None;
            return Ok(DBOutput::StatementComplete(count));
        }
        if let Some(people) = sql.strip_prefix("set judgements_per_face = ") {
            let options = Options { judgements_per_face: people.parse().expect("a number"), ..Options::default() };
            self.corpus = Corpus::open(self.corpus.path(), options).await?;
            self.session = None;
            return Ok(DBOutput::StatementComplete(0));
        }
        if self.session.is_none() {
            let snapshot = self.corpus.snapshot().await?;
            self.session = Some(Session::open(&self.runtime, snapshot, SqlLimits::default()).await?);
        }
        let session = self.session.as_ref().expect("opened above");
        let answer = session.query(sql).await?;
        let types = answer.schema.fields().iter().map(|field| column_type(field.data_type())).collect();
        let rows = answer.collect().await?.iter().flat_map(cells).collect();
        Ok(DBOutput::Rows { types, rows })
    }

    async fn shutdown(&mut self) {
        self.session = None;
    }
}

fn column_type(data_type: &DataType) -> DefaultColumnType {
    match data_type {
        data_type if data_type.is_integer() => DefaultColumnType::Integer,
        data_type if data_type.is_floating() => DefaultColumnType::FloatingPoint,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => DefaultColumnType::Text,
        _ => DefaultColumnType::Any,
    }
}

/// Rows as people see them.
pub fn cells(batch: &RecordBatch) -> Vec<Vec<String>> {
    let options = FormatOptions::default().with_null("NULL");
    let columns: Vec<_> =
        batch.columns().iter().map(|column| ArrayFormatter::try_new(column, &options).expect("a formatter")).collect();
    let cell = |column: &ArrayFormatter<'_>, row| match column.value(row).to_string() {
        empty if empty.is_empty() => "(empty)".to_owned(),
        text => text,
    };
    (0..batch.num_rows()).map(|row| columns.iter().map(|column| cell(column, row)).collect()).collect()
}

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/slt");
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).expect("tests/slt").map(|e| e.expect("entry").path()).collect();
    files.sort();
    files
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_file() {
    let files = files();
    assert!(files.len() >= 8, "only {} files in tests/slt", files.len());
    let runtime = SqlRuntime::new().expect("SQL threads");
    let mut failures = Vec::new();
    for file in files {
        let folder = tempfile::tempdir().expect("a folder");
        let corpus = Arc::new(new_corpus(&folder.path().join("corpus")).await);
        let runtime = runtime.clone();
        let mut runner = Runner::new(move || {
            let database = Database { corpus: corpus.as_ref().clone(), runtime: runtime.clone(), session: None };
            async move { Ok(database) }
        });
        runner.with_column_validator(sqllogictest::strict_column_validator);
        if let Err(error) = runner.run_file_async(&file).await {
            failures.push(format!("{error}"));
        }
        runner.shutdown_async().await;
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn every_view_has_its_file() {
    let files = files();
    let named = |view: &str| files.iter().any(|file| file.file_stem().is_some_and(|stem| stem == view));
    let missing: Vec<&str> = VIEWS.iter().map(|view| view.name).filter(|view| !named(view)).collect();
    assert!(missing.is_empty(), "views without an .slt file of their name: {missing:?}");
}
