//! The curriculum: which faces a round trains on and in what order people see the rest, as SQL that users can read and
//! change.
//!
//! In: three files of the corpus (written by `init`), or the name of an order of the queue that is shipped ([`orders`]), and
//! a session. Out: rows of face ids with weights or reasons, checked for their columns. The text that ran is stored with the
//! round.

pub mod orders;

use std::path::Path;

use datafusion::arrow::datatypes::DataType;
use datafusion::scalar::ScalarValue;
use marginalia_store::Session;
use serde::{Deserialize, Serialize};

use crate::config::{CurriculumConfig, RoundConfig};
use crate::error::{Error, Result};

/// Default texts by the name of their key in `[curriculum]`.
const DEFAULTS: [(&str, &str); 3] = [
    ("labelled", include_str!("labelled.sql")),
    ("unlabelled", include_str!("unlabelled.sql")),
    ("queue", orders::DEFAULT),
];

/// The three texts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Curriculum {
    /// Where they come from.
    #[serde(default)]
    pub files: CurriculumConfig,
    /// Chooses S.
    pub labelled: String,
    /// Chooses U.
    pub unlabelled: String,
    /// Orders subset II.
    pub queue: String,
}

/// Values that the texts may name as `$seed`, `$max_unlabelled`, `$max_labelled`, `$queue_top`.
#[derive(Clone, Copy, Debug)]
pub struct Parameters {
    /// The round's seed.
    pub seed: u64,
    /// Bound of S.
    pub max_labelled: u64,
    /// Bound of U.
    pub max_unlabelled: u64,
    /// Bound of the materialised queue.
    pub queue_top: u64,
}

/// A labelled face of S.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct LabelledRow {
    /// The face.
    pub face_id: String,
    /// Its class.
    pub expression: String,
    /// Relative sampling probability.
    pub weight: f64,
}

/// An unlabelled face of U.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct UnlabelledRow {
    /// The face.
    pub face_id: String,
    /// Relative sampling probability.
    pub weight: f64,
}

/// A face of the queue.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct QueueRow {
    /// The face.
    pub face_id: String,
    /// Why it stands there.
    pub reason: String,
}

/// Writes the default files where they do not exist.
pub fn write_defaults(corpus: &Path, config: &CurriculumConfig) -> Result<()> {
    for (key, text) in DEFAULTS {
        let path = corpus.join(source(config, key));
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
        }
        if !path.exists() {
            std::fs::write(&path, text).map_err(Error::io(&path))?;
        }
    }
    Ok(())
}

/// The files of a corpus that a curriculum is read from.
pub fn files(config: &CurriculumConfig) -> impl Iterator<Item = &str> {
    DEFAULTS.into_iter().map(|(key, _)| source(config, key)).filter(|source| orders::find(source).is_none())
}

fn source<'a>(config: &'a CurriculumConfig, key: &str) -> &'a str {
    match key {
        "labelled" => &config.labelled,
        "unlabelled" => &config.unlabelled,
        _ => &config.queue,
    }
}

impl Curriculum {
    /// The texts of a corpus.
    pub fn load(corpus: &Path, config: &CurriculumConfig) -> Result<Self> {
        let read = |file: &str| {
            let path = corpus.join(file);
            std::fs::read_to_string(&path).map_err(Error::io(&path))
        };
        let queue = match orders::find(&config.queue) {
            Some(shipped) => shipped.to_owned(),
            None => read(&config.queue)?,
        };
        let (labelled, unlabelled) = (read(&config.labelled)?, read(&config.unlabelled)?);
        Ok(Self { files: config.clone(), labelled, unlabelled, queue })
    }

    /// The three, with their names.
    pub fn texts(&self) -> [(&'static str, &str); 3] {
        [("labelled", &self.labelled), ("unlabelled", &self.unlabelled), ("queue", &self.queue)]
    }

    /// Plans every text and compares its columns with what is asked.
    ///
    /// # Errors
    /// [`Error::Curriculum`] that names the file, the line or the column, and what it should be.
    pub async fn check(&self, session: &Session) -> Result<()> {
        for (name, text) in self.texts() {
            let wrong = |problem| self.wrong(name, problem);
            let schema = session.schema_of(text).await.map_err(|error| wrong(error.to_string()))?;
            let wanted: &[(&str, bool)] = match name {
                "labelled" => &[("face_id", true), ("expression", true), ("weight", false)],
                "unlabelled" => &[("face_id", true), ("weight", false)],
                _ => &[("face_id", true), ("reason", true)],
            };
            for (column, is_text) in wanted {
                let Ok(field) = schema.field_with_name(column) else {
                    return Err(wrong(format!("it has no column {column}; select one of that name")));
                };
                if *is_text != is_string(field.data_type()) || (!is_text && !field.data_type().is_numeric()) {
                    let kind = if *is_text { "text" } else { "a number" };
                    return Err(wrong(format!("column {column} is {}, it has to be {kind}", field.data_type())));
                }
            }
        }
        Ok(())
    }

    /// S, in the order of the ids.
    pub async fn labelled(&self, session: &Session, parameters: Parameters) -> Result<Vec<LabelledRow>> {
        let sql = format!(
            "select face_id, expression, cast(weight as double) as weight from ({}) order by face_id",
            inner(&self.labelled)
        );
        let rows = self.run(session, "labelled", &sql, parameters).await?;
        self.weighed("labelled", rows, |row: &LabelledRow| (&row.face_id, row.weight))
    }

    /// U, in the order of the ids.
    pub async fn unlabelled(&self, session: &Session, parameters: Parameters) -> Result<Vec<UnlabelledRow>> {
        let sql = format!(
            "select face_id, cast(weight as double) as weight from ({}) order by face_id",
            inner(&self.unlabelled)
        );
        let rows = self.run(session, "unlabelled", &sql, parameters).await?;
        self.weighed("unlabelled", rows, |row: &UnlabelledRow| (&row.face_id, row.weight))
    }

    /// Subset II in the order of the queue.
    pub async fn queue(&self, session: &Session, parameters: Parameters) -> Result<Vec<QueueRow>> {
        self.run(session, "queue", &self.queue, parameters).await
    }

    async fn run<T: serde::de::DeserializeOwned>(
        &self,
        session: &Session,
        name: &'static str,
        sql: &str,
        parameters: Parameters,
    ) -> Result<Vec<T>> {
        use marginalia_store::Error as Store;
        let failed = |error: Store| match error {
            Store::QueryRefused { .. } | Store::QueryFailed { .. } | Store::QueryTooLarge { .. } => {
                self.wrong(name, error.to_string())
            }
            other => Error::Store(other),
        };
        session.query_trusted(sql, parameters.values(sql)).await.map_err(failed)?.rows().await.map_err(failed)
    }

    /// Faces of positive weight, each once; a weight that is no number or negative stops the round.
    fn weighed<T>(&self, name: &'static str, mut rows: Vec<T>, of: impl Fn(&T) -> (&String, f64)) -> Result<Vec<T>> {
        for row in &rows {
            let (face_id, weight) = of(row);
            if !weight.is_finite() || weight < 0.0 {
                let problem = format!("face {face_id} has weight {weight}; weights are finite and not negative");
                return Err(self.wrong(name, problem));
            }
        }
        rows.retain(|row| of(row).1 > 0.0);
        rows.dedup_by(|a, b| of(a).0 == of(b).0);
        Ok(rows)
    }

    fn wrong(&self, name: &str, problem: String) -> Error {
        Error::Curriculum { file: source(&self.files, name).to_owned(), problem }
    }
}

impl Parameters {
    /// The parameters of a round; a bound of 0 means none.
    pub fn new(config: &RoundConfig, seed: u64) -> Self {
        let bound = |n: u64| if n == 0 { i64::MAX as u64 } else { n };
        Self {
            seed,
            max_labelled: bound(config.max_labelled),
            max_unlabelled: bound(config.max_unlabelled),
            queue_top: config.queue_top as u64,
        }
    }

    /// Those that the text names; the engine refuses values for names that are not there.
    fn values(self, text: &str) -> Vec<(&'static str, ScalarValue)> {
        let all = [
            ("seed", self.seed),
            ("max_labelled", self.max_labelled),
            ("max_unlabelled", self.max_unlabelled),
            ("queue_top", self.queue_top),
        ];
        let value = |n: u64| ScalarValue::Int64(Some(i64::try_from(n).unwrap_or(i64::MAX)));
        all.into_iter()
            .filter(|(name, _)| text.contains(&format!("${name}")))
            .map(|(name, n)| (name, value(n)))
            .collect()
    }
}

fn is_string(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

/// A text as a sub-query: a semicolon at the end would end the outer one too early.
fn inner(text: &str) -> String {
    format!("{}\n", text.trim_end().trim_end_matches(';'))
}
