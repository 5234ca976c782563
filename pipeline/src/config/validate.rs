//! The valid range of every setting.

use std::path::{Component, Path};

use marginalia_datasets::Classes;

use crate::cluster::Address;
use crate::config::{ClusterConfig, Config, CurriculumConfig, IngestConfig, RoundConfig, SqlConfig, StoreConfig};
use crate::curriculum::orders;
use crate::error::{Error, Place};

/// The most a count may be where nothing else bounds it: a slip of the keyboard, not a wish.
const COUNT: u64 = 1_000_000_000;
/// A day in seconds: no pause is longer.
const DAY: u64 = 86_400;
/// A tebibyte in MB: no cache is larger.
const TEBIBYTE: u64 = 1 << 20;

/// A setting out of its range.
pub(super) struct Invalid {
    /// Dotted path.
    pub key: String,
    value: String,
    valid: String,
}

impl Invalid {
    fn new(key: &str, value: impl ToString, valid: impl Into<String>) -> Self {
        Self { key: key.to_owned(), value: value.to_string(), valid: valid.into() }
    }

    pub(super) fn at(self, place: Place) -> Error {
        Error::Setting { place, key: self.key, value: self.value, valid: self.valid }
    }
}

type Checked = Result<(), Invalid>;

/// Checks every value and stops at the first that is out of its range.
pub(super) fn check(config: &Config) -> Checked {
    classes(config)?;
    ingest(&config.ingest)?;
    train(config)?;
    round(&config.round)?;
    curriculum(&config.curriculum)?;
    sql(&config.sql)?;
    store(&config.store)?;
    cluster(&config.cluster)
}

/// The data sets know what makes a class list; their words are put under our key.
fn classes(config: &Config) -> Checked {
    use marginalia_datasets::Error as Datasets;
    Classes::new(config.classes.iter()).map(|_| ()).map_err(|error| match error {
        Datasets::InvalidClasses { names, problem } => {
            Invalid::new("classes", names, format!("two or more different expressions ({problem})"))
        }
        other => Invalid::new("classes", config.classes.join(","), other.to_string()),
    })
}

fn ingest(ingest: &IngestConfig) -> Checked {
    within("ingest.settle_ms", ingest.settle_ms, 1, 60_000, "milliseconds")?;
    within("ingest.scan_every_seconds", ingest.scan_every_seconds, 1, DAY, "seconds")?;
    within("ingest.poll_every_seconds", ingest.poll_every_seconds, 1, DAY, "seconds")?;
    within("ingest.batch_window_ms", ingest.batch_window_ms, 1, 60_000, "milliseconds")?;
    within("ingest.batch_faces", ingest.batch_faces as u64, 1, 65_536, "faces")?;
    within("ingest.max_file_mb", ingest.max_file_mb, 1, 1024, "MB")?;
    within("ingest.min_side", ingest.min_side.into(), 1, 1024, "pixels")?;
    within("ingest.max_side", ingest.max_side.into(), 16, 65_535, "pixels")?;
    within("ingest.max_decoded_mb", ingest.max_decoded_mb, 1, 4096, "MB")?;
    match ingest.ignore.iter().find(|pattern| pattern.is_empty() || pattern.contains('/')) {
        Some(pattern) => Err(Invalid::new(
            "ingest.ignore",
            format!("`{pattern}`"),
            "patterns for one file or folder name, such as \"*.tmp\", without /",
        )),
        None => Ok(()),
    }
}

/// The trainer checks its own settings; its words are put under our key.
fn train(config: &Config) -> Checked {
    use marginalia_trainer::Error as Trainer;
    config.train.validate().map_err(|error| match error {
        Trainer::Setting { key, value, valid } => Invalid::new(&format!("train.{key}"), value, valid),
        Trainer::UnknownMethod { name, known } => Invalid::new("train.method", name, known),
        Trainer::UnknownBackbone { name, known } => Invalid::new("train.backbone", name, known),
        other => Invalid::new("train", "not usable", other.to_string()),
    })
}

fn round(round: &RoundConfig) -> Checked {
    within("round.trigger_new_faces", round.trigger_new_faces, 0, COUNT, "faces, 0 = never")?;
    within("round.trigger_new_labels", round.trigger_new_labels, 0, COUNT, "labels, 0 = never")?;
    within("round.min_labels_per_class", round.min_labels_per_class, 1, 1_000_000, "labels")?;
    within("round.min_labels_total", round.min_labels_total, 0, COUNT, "labels, 0 = wait for every class")?;
    within("round.keep_rounds", round.keep_rounds.into(), 1, 10_000, "rounds")?;
    share("round.gate_macro_f1_loss", round.gate_macro_f1_loss)?;
    within("round.max_labelled", round.max_labelled, 0, COUNT, "faces, 0 = all")?;
    within("round.max_unlabelled", round.max_unlabelled, 0, COUNT, "faces, 0 = all")?;
    within("round.max_scored", round.max_scored, 0, COUNT, "faces, 0 = the whole pool")?;
    share("round.audit_share", round.audit_share)?;
    share("round.audit_target", round.audit_target)?;
    within("round.judgements_per_face", round.judgements_per_face.into(), 1, 20, "people")?;
    share("round.relabel_share", round.relabel_share)?;
    within("round.map_faces", round.map_faces, 0, 200_000, "faces")?;
    within("round.audit_min_faces", round.audit_min_faces.into(), 1, 1_000_000, "faces")?;
    within("round.queue_top", round.queue_top as u64, 1, 1_000_000, "faces")?;
    within("round.embeddings_limit", round.embeddings_limit, 0, 100_000_000, "faces")?;
    within("round.score_batch", round.score_batch as u64, 1, 4096, "faces")
}

fn curriculum(curriculum: &CurriculumConfig) -> Checked {
    let inside = |key: &str, text: &str| {
        let path = Path::new(text);
        let mut parts = path.components();
        if !text.is_empty() && parts.all(|part| matches!(part, Component::Normal(_) | Component::CurDir)) {
            return Ok(());
        }
        Err(Invalid::new(key, format!("`{text}`"), "a path relative to the corpus that stays inside it"))
    };
    inside("curriculum.labelled", &curriculum.labelled)?;
    inside("curriculum.unlabelled", &curriculum.unlabelled)?;
    let shipped: Vec<&str> = orders::ORDERS.iter().map(|(name, _)| *name).collect();
    if shipped.contains(&curriculum.queue.as_str()) {
        return Ok(());
    }
    if !curriculum.queue.contains(['.', '/']) {
        let valid = format!("a file of the corpus, or one of {}", shipped.join(", "));
        return Err(Invalid::new("curriculum.queue", format!("`{}`", curriculum.queue), valid));
    }
    inside("curriculum.queue", &curriculum.queue)
}

fn sql(sql: &SqlConfig) -> Checked {
    within("sql.memory_mb", sql.memory_mb, 16, TEBIBYTE, "MB")?;
    within("sql.timeout_seconds", sql.timeout_seconds, 1, DAY, "seconds")?;
    within("sql.max_text_kb", sql.max_text_kb, 1, 1024, "KB")
}

fn store(store: &StoreConfig) -> Checked {
    within("store.commit_window_ms", store.commit_window_ms, 0, 10_000, "milliseconds")?;
    within("store.reserve_mb", store.reserve_mb, 0, TEBIBYTE, "MB, 0 = none")?;
    within("store.maintenance_every_seconds", store.maintenance_every_seconds, 1, DAY, "seconds")?;
    within("store.cleanup_every_seconds", store.cleanup_every_seconds, 1, DAY, "seconds")?;
    within("store.keep_untagged_minutes", store.keep_untagged_minutes, 1, 525_600, "minutes")?;
    within("store.index_cache_mb", store.index_cache_mb, 1, TEBIBYTE, "MB")?;
    within("store.metadata_cache_mb", store.metadata_cache_mb, 1, TEBIBYTE, "MB")
}

fn cluster(cluster: &ClusterConfig) -> Checked {
    within("cluster.from_rows", cluster.from_rows, 0, COUNT, "rows")?;
    within("cluster.deadline_seconds", cluster.deadline_seconds, 1, DAY, "seconds")?;
    within("cluster.chunk_faces", cluster.chunk_faces, 1000, 100_000_000, "faces")?;
    if !cluster.scheduler.is_empty() && cluster.scheduler.parse::<Address>().is_err() {
        let valid = "df://HOST:PORT, such as df://10.0.0.1:50050, or nothing";
        return Err(Invalid::new("cluster.scheduler", format!("`{}`", cluster.scheduler), valid));
    }
    let files = [&cluster.tls_cert, &cluster.tls_key, &cluster.tls_ca];
    match files.iter().filter(|file| !file.is_empty()).count() {
        0 | 3 => Ok(()),
        some => Err(Invalid::new(
            "cluster.tls_cert",
            format!("{some} of three files"),
            "tls_cert, tls_key and tls_ca together, or none",
        )),
    }
}

fn within(key: &str, value: u64, low: u64, high: u64, unit: &str) -> Checked {
    if (low..=high).contains(&value) {
        Ok(())
    } else {
        Err(Invalid::new(key, value, format!("{low} to {high} {unit}")))
    }
}

fn share(key: &str, value: f64) -> Checked {
    if (0.0..=1.0).contains(&value) { Ok(()) } else { Err(Invalid::new(key, value, "0 to 1")) }
}
