//! What a training leaves on disk: `teacher.safetensors` for everyone, `state.safetensors` to go on from.
//!
//! The teacher's file holds torchvision's keys only and loads in PyTorch with `strict=True`; what else scoring needs
//! stands in its metadata. The state's file is complete by itself (it repeats the teacher), so that a crash between the
//! two renames leaves a training that can be resumed. Each file is written aside, synced and renamed.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use marginalia_datasets::Classes;
use serde_json::{Value, json};

use crate::config::TrainerConfig;
use crate::learner::{LearnerState, Moments};
use crate::network::{AUXILIARY, Architecture, check_file};
use crate::state_dict::{Entry, StateDict, TensorFile};
use crate::views::pixels::Input;
use crate::{Error, Result, backbones};

/// The teacher's file within a checkpoint.
pub const TEACHER_FILE: &str = "teacher.safetensors";
/// The state's file within a checkpoint.
pub const STATE_FILE: &str = "state.safetensors";
/// Version of both layouts.
const LAYOUT: &str = "1";

/// A saved checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckpointInfo {
    pub directory: PathBuf,
    /// BLAKE3 of `teacher.safetensors`, in hex: the checkpoint's name everywhere.
    pub hash: String,
    /// Bytes of both files.
    pub bytes: u64,
}

/// Where a training stands.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TrainingState {
    pub config: TrainerConfig,
    pub classes: Vec<String>,
    pub round: u32,
    /// Epochs of this round that are done.
    pub epoch: u32,
    /// Number of the last epoch over all rounds (or this one, where t restarts).
    pub t: u32,
    pub method: Value,
    /// Mean confidence per class after the last epoch.
    pub mean_confidence: Vec<Option<f64>>,
    /// Whether the warm start is still to come.
    pub is_cold: bool,
    /// Margins in force for splitting the pool.
    pub margins: Vec<f32>,
    pub learner: LearnerState,
}

/// What scoring reads from a teacher's file.
pub(crate) struct Teacher {
    pub architecture: Architecture,
    pub weights: StateDict,
    pub classes: Vec<String>,
    pub input: Input,
    pub k_weak: usize,
    pub batch: usize,
    pub margins: Vec<f32>,
    pub method: String,
    pub round: u32,
    pub hash: String,
}

/// Saves both files into `directory`, which is made where missing.
pub(crate) fn save(state: &TrainingState, directory: &Path) -> Result<CheckpointInfo> {
    fs::create_dir_all(directory).map_err(Error::io(directory))?;
    let teacher = teacher_file(state).to_bytes();
    let full = state_file(state).to_bytes();
    write_atomically(&directory.join(TEACHER_FILE), &teacher)?;
    write_atomically(&directory.join(STATE_FILE), &full)?;
    Ok(CheckpointInfo {
        directory: directory.to_owned(),
        hash: blake3::hash(&teacher).to_hex().to_string(),
        bytes: (teacher.len() + full.len()) as u64,
    })
}

fn teacher_file(state: &TrainingState) -> TensorFile {
    let config = &state.config;
    let mut file = TensorFile::default();
    let mut put = |key: &str, value: String| file.metadata.insert(key.to_owned(), value);
    put("format", "pt".to_owned());
    put("marginalia", LAYOUT.to_owned());
    put("backbone", config.backbone.clone());
    put("width", config.width.to_string());
    put("classes", json!(state.classes).to_string());
    put("image_size", config.image_size.to_string());
    put("input_channels", config.input_channels.to_string());
    put("channel_order", json!(config.channel_order).as_str().unwrap_or_default().to_owned());
    let (mean, deviation) = Input::new(config).normalisation();
    put("mean", json!(mean).to_string());
    put("std", json!(deviation).to_string());
    put("feature_scale", config.feature_scale.to_string());
    put("k_weak", config.k_weak.to_string());
    put("batch_scoring", config.batch_scoring.to_string());
    put("method", config.method.clone());
    put("margins", json!(state.margins).to_string());
    put("round", state.round.to_string());
    put("epoch", state.epoch.to_string());
    file.add_state("", &state.learner.teacher);
    AUXILIARY.iter().for_each(|name| drop(file.entries.remove(*name)));
    add_batch_counters(&mut file, &state.learner);
    file
}

/// torchvision's BatchNorm has a counter of batches beside its statistics; `strict=True` asks for it.
fn add_batch_counters(file: &mut TensorFile, learner: &LearnerState) {
    for name in learner.teacher.keys() {
        if let Some(layer) = name.strip_suffix(".running_mean") {
            let counter = Entry::Counter(learner.batches.min(i64::MAX as u64) as i64);
            file.entries.insert(format!("{layer}.num_batches_tracked"), counter);
        }
    }
}

fn state_file(state: &TrainingState) -> TensorFile {
    let mut file = TensorFile::default();
    let standing = json!({
        "config": state.config,
        "classes": state.classes,
        "round": state.round,
        "epoch": state.epoch,
        "t": state.t,
        "mean_confidence": state.mean_confidence,
        "is_cold": state.is_cold,
        "margins": state.margins,
        "steps": state.learner.steps,
        "batches": state.learner.batches,
    });
    file.metadata.insert("format".to_owned(), "pt".to_owned());
    file.metadata.insert("marginalia".to_owned(), LAYOUT.to_owned());
    file.metadata.insert("training".to_owned(), standing.to_string());
    file.add_state("student.", &state.learner.student);
    file.add_state("teacher.", &state.learner.teacher);
    file.add_state("adam.m.", &state.learner.moments.first);
    file.add_state("adam.v.", &state.learner.moments.second);
    // A method may keep something per face, too much for a header.
    file.entries.insert("method".to_owned(), Entry::Bytes(state.method.to_string().into_bytes()));
    file
}

/// Reads the state's file of a checkpoint and checks it against its own configuration.
pub(crate) fn load_state(directory: &Path) -> Result<TrainingState> {
    let path = directory.join(STATE_FILE);
    let mut file = TensorFile::read(&path)?;
    let broken = |problem: String| Error::file(&path, problem);
    let text = file.metadata.get("training").ok_or_else(|| broken("not a training state of marginalia".to_owned()))?;
    let standing: Value = serde_json::from_str(text).map_err(|error| broken(error.to_string()))?;
    let number = |key: &str| standing[key].as_u64().ok_or_else(|| broken(format!("`{key}` is not a number")));
    let config: TrainerConfig = field(&standing, "config").map_err(broken)?;
    let classes: Vec<String> = field(&standing, "classes").map_err(broken)?;
    let method = match file.entries.get("method") {
        Some(Entry::Bytes(bytes)) => serde_json::from_slice(bytes).map_err(|error| broken(error.to_string()))?,
        _ => return Err(broken("the method's state is missing".to_owned())),
    };
    let learner = LearnerState {
        student: file.take_state("student."),
        teacher: file.take_state("teacher."),
        moments: Moments { first: file.take_state("adam.m."), second: file.take_state("adam.v.") },
        steps: number("steps")?,
        batches: number("batches")?,
    };
    let architecture = Architecture::new(&config, classes.len())?;
    check_file(&architecture, &learner.student, &path)?;
    check_file(&architecture, &learner.teacher, &path)?;
    check_moments(&architecture, &learner.moments).map_err(broken)?;
    Ok(TrainingState {
        round: number("round")? as u32,
        epoch: number("epoch")? as u32,
        t: number("t")? as u32,
        mean_confidence: mean_confidence(&standing).map_err(broken)?,
        // Older states do not say so.
        is_cold: standing["is_cold"].as_bool().unwrap_or(false),
        margins: field(&standing, "margins").map_err(broken)?,
        config,
        classes,
        method,
        learner,
    })
}

fn check_moments(architecture: &Architecture, moments: &Moments) -> std::result::Result<(), String> {
    for spec in architecture.tensors().iter().filter(|spec| spec.role.is_trained()) {
        for moment in [&moments.first, &moments.second] {
            if moment.get(&spec.name).is_none_or(|array| array.shape != spec.shape) {
                return Err(format!("Adam's moments of `{}` are missing or have another shape", spec.name));
            }
        }
    }
    Ok(())
}

/// Reads the teacher's file of a checkpoint.
pub(crate) fn load_teacher(directory: &Path) -> Result<Teacher> {
    let path = directory.join(TEACHER_FILE);
    let bytes = fs::read(&path).map_err(Error::io(&path))?;
    let mut file = TensorFile::from_bytes(&bytes, &path)?;
    let broken = |problem: String| Error::file(&path, problem);
    let text = |key: &str| -> Result<&str> {
        let value = file.metadata.get(key).map(String::as_str);
        value.ok_or_else(|| broken(format!("metadata `{key}` is missing: not a teacher of marginalia")))
    };
    let parsed = |key: &str| -> Result<Value> {
        serde_json::from_str(text(key)?).map_err(|error| broken(format!("metadata `{key}`: {error}")))
    };
    let size = |key: &str| -> Result<usize> {
        text(key)?.parse().map_err(|_| broken(format!("metadata `{key}` is not a number")))
    };
    let decimal = |key: &str| -> Result<f64> {
        text(key)?.parse().map_err(|_| broken(format!("metadata `{key}` is not a number")))
    };
    let bad = |error: serde_json::Error| broken(error.to_string());
    let classes: Vec<String> = serde_json::from_value(parsed("classes")?).map_err(bad)?;
    // Older teachers do not say so.
    let input_channels = if file.metadata.contains_key("input_channels") { size("input_channels")? } else { 3 };
    let architecture = Architecture {
        backbone: backbones::named(text("backbone")?)?,
        width: decimal("width")?,
        input_channels,
        classes: classes.len(),
        feature_scale: decimal("feature_scale")?,
        auxiliary: 0,
    };
    let teacher = Teacher {
        architecture,
        weights: StateDict::new(),
        input: Input {
            side: size("image_size")?,
            channels: input_channels,
            order: serde_json::from_value(json!(text("channel_order")?)).map_err(bad)?,
        },
        k_weak: size("k_weak")?.max(1),
        batch: size("batch_scoring")?.max(1),
        margins: serde_json::from_value(parsed("margins")?).map_err(bad)?,
        method: text("method")?.to_owned(),
        round: size("round")? as u32,
        hash: blake3::hash(&bytes).to_hex().to_string(),
        classes,
    };
    if teacher.margins.len() != teacher.classes.len() {
        return Err(broken(format!("{} margins for {} classes", teacher.margins.len(), teacher.classes.len())));
    }
    let weights = file.take_state("");
    check_file(&teacher.architecture, &weights, &path)?;
    Ok(Teacher { weights, ..teacher })
}

/// The classes of a saved training.
pub(crate) fn classes(names: &[String], directory: &Path) -> Result<Classes> {
    Classes::new(names.iter().cloned()).map_err(|error| Error::file(directory.join(STATE_FILE), error))
}

/// An older state holds the numbers' bits beside a text that may have lost the last one.
fn mean_confidence(standing: &Value) -> std::result::Result<Vec<Option<f64>>, String> {
    match field::<Option<Vec<Option<u64>>>>(standing, "mean_confidence_bits")? {
        Some(bits) => Ok(bits.into_iter().map(|bits| bits.map(f64::from_bits)).collect()),
        None => field(standing, "mean_confidence"),
    }
}

fn field<T: serde::de::DeserializeOwned>(standing: &Value, key: &str) -> std::result::Result<T, String> {
    serde_json::from_value(standing[key].clone()).map_err(|error| format!("`{key}`: {error}"))
}

/// Writes aside, syncs, renames, syncs the folder: afterwards the file is there whole, whatever happens to the machine.
fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".tmp");
    let aside = path.with_file_name(name);
    let mut file = File::create(&aside).map_err(Error::io(&aside))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(Error::io(&aside))?;
    fs::rename(&aside, path).map_err(Error::io(path))?;
    if let (true, Some(folder)) = (cfg!(unix), path.parent()) {
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(Error::io(folder))?;
    }
    Ok(())
}
