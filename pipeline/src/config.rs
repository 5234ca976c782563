//! The settings of a corpus: `marginalia.toml` comes in, a checked [`Config`] goes out.
//!
//! The fields' documentation is short because `config/default.toml` is the reference: it names every key with its
//! meaning, unit and range, `init` writes it, and a test proves that it says what [`Config::default`] does. Unknown keys
//! and values out of range are errors that name file and line, so that a typing slip never becomes a silent default.

mod cluster;
mod corpus;
mod every;
mod keys;
mod validate;

use std::path::Path;
use std::time::Duration;

use marginalia_datasets::{Classes, Limits};
use marginalia_store::Dedup;
use marginalia_trainer::TrainerConfig;
use serde::{Deserialize, Serialize};

pub use self::cluster::ClusterConfig;
pub use self::corpus::{CORPUS_VARIABLE, find_corpus, locate_corpus};
pub use self::every::Every;
use crate::error::{Error, Place, Result};

/// Name of the config file, which makes a folder a corpus.
pub const FILE_NAME: &str = "marginalia.toml";

/// The commented default file, as `init` writes it.
pub const DEFAULT_TEXT: &str = include_str!("config/default.toml");

/// Every setting of a corpus.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Expressions in the order of the number keys.
    pub classes: Vec<String>,
    /// How files become faces.
    pub ingest: IngestConfig,
    /// How a model learns.
    pub train: TrainerConfig,
    /// When a round starts and what it takes in.
    pub round: RoundConfig,
    /// The SQL files that choose faces.
    pub curriculum: CurriculumConfig,
    /// Bounds on queries.
    pub sql: SqlConfig,
    /// How tables are written and kept.
    pub store: StoreConfig,
    /// The machines beside this one.
    pub cluster: ClusterConfig,
}

/// `[ingest]`: how files become faces.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IngestConfig {
    /// Stillness after which a file is taken, in milliseconds.
    pub settle_ms: u64,
    /// Pause between two full scans, in seconds.
    pub scan_every_seconds: u64,
    /// Whether to poll instead of asking for change notices.
    pub poll: Poll,
    /// Pause between two scans while polling, in seconds.
    pub poll_every_seconds: u64,
    /// How long faces are gathered for one batch, in milliseconds.
    pub batch_window_ms: u64,
    /// Most faces in a batch.
    pub batch_faces: usize,
    /// How a face is kept from being stored twice.
    pub dedup: Dedup,
    /// Largest file, in MB.
    pub max_file_mb: u64,
    /// Shortest side of a face, pixels.
    pub min_side: u32,
    /// Longest side of an image, in pixels.
    pub max_side: u32,
    /// Most memory a decoded image may need, in MB.
    pub max_decoded_mb: u64,
    /// Names that are passed over, with `*` and `?`.
    pub ignore: Vec<String>,
}

/// Whether folders are polled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Poll {
    /// Where there are no change notices.
    #[default]
    Auto,
    /// Everywhere.
    Always,
    /// Nowhere.
    Never,
}

/// `[round]`: when a round starts, what it takes in, and what becomes of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RoundConfig {
    /// New faces that start a round; 0 = never for this reason.
    pub trigger_new_faces: u64,
    /// New labels that start a round; 0 = never for this reason.
    pub trigger_new_labels: u64,
    /// Time that starts a round.
    pub trigger_every: Every,
    /// Labels that every class needs before the first round.
    pub min_labels_per_class: u64,
    /// Labels that are enough for the first round however they are spread; 0 = wait for every class.
    pub min_labels_total: u64,
    /// Rounds that can be looked back at in full.
    pub keep_rounds: u32,
    /// Loss of macro-F1 on the validation split beyond which a checkpoint is not used.
    pub gate_macro_f1_loss: f64,
    /// Most labelled faces a round trains on; 0 = all.
    pub max_labelled: u64,
    /// Most unlabelled faces a round trains on; 0 = all.
    pub max_unlabelled: u64,
    /// Most faces a round scores; 0 = the whole pool.
    pub max_scored: u64,
    /// Share of subset I that people check blindly.
    pub audit_share: f64,
    /// Audited precision below which a class loses its pseudo-labels; 0 = never.
    pub audit_target: f64,
    /// Faces of a class that an audit must have judged before it decides.
    pub audit_min_faces: u32,
    /// People who judge a face before it leaves the queue.
    pub judgements_per_face: u32,
    /// Whether only admins are told whose word is whose.
    pub blind: bool,
    /// Labelled faces that are shown once more for every face of the queue; 0 = none.
    pub relabel_share: f64,
    /// Faces of the queue that are written down with a round.
    pub queue_top: usize,
    /// Faces up to which all features are kept.
    pub embeddings_limit: u64,
    /// Faces on a round's map; a sample where there are more; 0 = no map.
    pub map_faces: u64,
    /// Faces scored together.
    pub score_batch: usize,
    /// Whether TensorBoard event files are written.
    pub tensorboard: bool,
}

/// `[curriculum]`: the SQL files that choose faces, relative to the corpus.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CurriculumConfig {
    /// The labelled set S with weights.
    pub labelled: String,
    /// The unlabelled set U with weights.
    pub unlabelled: String,
    /// The order in which people see faces: a file, or the name of one that is shipped.
    pub queue: String,
}

/// `[sql]`: bounds on a query that people type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SqlConfig {
    /// Memory of all running queries, in MB.
    pub memory_mb: u64,
    /// Deadline of a query, in seconds.
    pub timeout_seconds: u64,
    /// Longest text, in KB.
    pub max_text_kb: u64,
}

/// `[store]`: how tables are written and kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StoreConfig {
    /// How long rows of faces are gathered for one commit, in milliseconds.
    pub commit_window_ms: u64,
    /// What acknowledged means.
    pub durability: Durability,
    /// Room that new faces leave on the disk, in MB; 0 = none.
    pub reserve_mb: u64,
    /// Pause between two compactions, in seconds.
    pub maintenance_every_seconds: u64,
    /// Pause between two clean-ups, in seconds.
    pub cleanup_every_seconds: u64,
    /// How long a version that no round names is kept, in minutes.
    pub keep_untagged_minutes: u64,
    /// Memory for indices, in MB.
    pub index_cache_mb: u64,
    /// Memory for table metadata, in MB.
    pub metadata_cache_mb: u64,
}

/// What an acknowledged write survives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// A power cut.
    #[default]
    Commit,
    /// A killed process.
    Os,
}

impl Config {
    /// Reads and checks a config file; for a folder, the `marginalia.toml` in it.
    pub fn load(path: &Path) -> Result<Self> {
        let file = if path.is_dir() { path.join(FILE_NAME) } else { path.to_path_buf() };
        let text = std::fs::read_to_string(&file).map_err(Error::io(&file))?;
        Self::read(&text, Some(&file))
    }

    /// Reads and checks the text of a config file.
    pub fn parse(text: &str) -> Result<Self> {
        Self::read(text, None)
    }

    /// Checks every value. Reading does it too; this is for values that a command line has changed since.
    pub fn validate(&self) -> Result<()> {
        validate::check(self).map_err(|invalid| invalid.at(Place::default()))
    }

    /// The classes as the other crates take them.
    pub fn class_list(&self) -> Result<Classes> {
        Ok(Classes::new(self.classes.iter())?)
    }

    fn read(text: &str, file: Option<&Path>) -> Result<Self> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let lines = keys::check(text, file)?;
        let config: Self = toml::from_str(text).map_err(|error| keys::syntax(text, file, &error))?;
        validate::check(&config).map_err(|invalid| {
            let line = lines.get(&invalid.key).copied();
            invalid.at(Place { file: file.map(Path::to_path_buf), line })
        })?;
        Ok(config)
    }
}

impl IngestConfig {
    /// What admission refuses, in the units it counts in.
    pub fn limits(&self) -> Limits {
        Limits {
            max_file_bytes: self.max_file_mb << 20,
            min_side: self.min_side,
            max_side: self.max_side,
            max_decoded_bytes: self.max_decoded_mb << 20,
        }
    }

    /// How long faces are gathered for one batch.
    pub fn batch_window(&self) -> Duration {
        Duration::from_millis(self.batch_window_ms)
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            classes: Classes::standard().names().to_vec(),
            ingest: IngestConfig::default(),
            train: TrainerConfig::default(),
            round: RoundConfig::default(),
            curriculum: CurriculumConfig::default(),
            sql: SqlConfig::default(),
            store: StoreConfig::default(),
            cluster: ClusterConfig::default(),
        }
    }
}

impl Default for IngestConfig {
    fn default() -> Self {
        Self {
            settle_ms: 200,
            scan_every_seconds: 300,
            poll: Poll::Auto,
            poll_every_seconds: 2,
            batch_window_ms: 100,
            batch_faces: 4096,
            dedup: Dedup::default(),
            max_file_mb: 32,
            min_side: 8,
            max_side: 8192,
            max_decoded_mb: 256,
            ignore: [".*", "*.tmp", "*.part", "*.crdownload"].map(str::to_owned).to_vec(),
        }
    }
}

impl Default for RoundConfig {
    fn default() -> Self {
        Self {
            trigger_new_faces: 1000,
            trigger_new_labels: 50,
            trigger_every: Every::default(),
            min_labels_per_class: 20,
            min_labels_total: 500,
            keep_rounds: 20,
            gate_macro_f1_loss: 0.05,
            max_labelled: 0,
            max_unlabelled: 20_000,
            max_scored: 0,
            audit_share: 0.05,
            audit_target: 0.5,
            audit_min_faces: 10,
            judgements_per_face: 1,
            blind: false,
            relabel_share: 0.1,
            map_faces: 10_000,
            queue_top: 1000,
            embeddings_limit: 200_000,
            score_batch: 256,
            tensorboard: false,
        }
    }
}

impl Default for CurriculumConfig {
    fn default() -> Self {
        Self {
            labelled: "curriculum/labelled.sql".to_owned(),
            unlabelled: "curriculum/unlabelled.sql".to_owned(),
            queue: "curriculum/queue.sql".to_owned(),
        }
    }
}

impl Default for SqlConfig {
    fn default() -> Self {
        Self { memory_mb: 512, timeout_seconds: 30, max_text_kb: 64 }
    }
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self {
            commit_window_ms: 0,
            durability: Durability::Commit,
            reserve_mb: 64,
            maintenance_every_seconds: 60,
            cleanup_every_seconds: 300,
            keep_untagged_minutes: 10,
            index_cache_mb: 128,
            metadata_cache_mb: 64,
        }
    }
}
