//! Named arrays of one model, and the safetensors file they are kept in.
//!
//! The file is written here, not by the `safetensors` crate, because that crate keeps metadata in a hash map: two saves
//! of one model would differ in bytes, and a checkpoint is named by its hash. It is read by that crate.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{Device, Tensor};
use safetensors::{Dtype, SafeTensors};
use serde_json::{Map, Value, json};

use crate::{Error, Result};

/// Numbers and their shape, row-major.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Array {
    pub shape: Vec<usize>,
    pub values: Vec<f32>,
}

impl Array {
    /// As a tensor without history.
    pub fn tensor(&self) -> Result<Tensor> {
        Ok(Tensor::from_slice(&self.values, self.shape.as_slice(), &Device::Cpu)?)
    }
}

/// The arrays of one model by torchvision's names, in order of name.
pub type StateDict = BTreeMap<String, Array>;

/// One entry of a file.
#[derive(Clone, Debug, PartialEq)]
pub enum Entry {
    /// Single-precision numbers.
    Float(Array),
    /// One counter (a scalar of 64 bits).
    Counter(i64),
    /// Anything else, as bytes.
    Bytes(Vec<u8>),
}

/// A safetensors file: text metadata and named entries.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TensorFile {
    pub metadata: BTreeMap<String, String>,
    pub entries: BTreeMap<String, Entry>,
}

impl TensorFile {
    /// The file's bytes: the same content always gives the same bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut header = Map::new();
        header.insert("__metadata__".to_owned(), json!(self.metadata));
        // Wide types come first, so that every tensor is aligned.
        let width = |entry: &Entry| match entry {
            Entry::Counter(_) => 0,
            Entry::Float(_) => 1,
            Entry::Bytes(_) => 2,
        };
        let mut ordered: Vec<(&String, &Entry)> = self.entries.iter().collect();
        ordered.sort_by_key(|(_, entry)| width(entry));
        let mut data = Vec::new();
        for (name, entry) in ordered {
            let start = data.len();
            let (dtype, shape) = match entry {
                Entry::Float(array) => {
                    data.reserve(array.values.len() * 4);
                    array.values.iter().for_each(|value| data.extend_from_slice(&value.to_le_bytes()));
                    ("F32", array.shape.clone())
                }
                Entry::Counter(value) => {
                    data.extend_from_slice(&value.to_le_bytes());
                    ("I64", Vec::new())
                }
                Entry::Bytes(bytes) => {
                    data.extend_from_slice(bytes);
                    ("U8", vec![bytes.len()])
                }
            };
            header.insert(name.clone(), json!({"dtype": dtype, "shape": shape, "data_offsets": [start, data.len()]}));
        }
        let mut text = Value::Object(header).to_string().into_bytes();
        text.resize(text.len().next_multiple_of(8), b' ');
        let mut file = Vec::with_capacity(8 + text.len() + data.len());
        file.extend_from_slice(&(text.len() as u64).to_le_bytes());
        file.extend_from_slice(&text);
        file.extend_from_slice(&data);
        file
    }

    /// Reads a whole file; `path` is for messages.
    pub fn from_bytes(bytes: &[u8], path: &Path) -> Result<Self> {
        let broken = |problem: String| Error::file(path, format!("not a usable safetensors file: {problem}"));
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(|error| broken(error.to_string()))?;
        let metadata = header.metadata().clone().unwrap_or_default().into_iter().collect();
        let tensors = SafeTensors::deserialize(bytes).map_err(|error| broken(error.to_string()))?;
        let mut entries = BTreeMap::new();
        for (name, view) in tensors.tensors() {
            let data = view.data();
            let entry = match view.dtype() {
                Dtype::F32 => {
                    let values =
                        data.chunks_exact(4).map(|bytes| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]));
                    Entry::Float(Array { shape: view.shape().to_vec(), values: values.collect() })
                }
                Dtype::I64 if data.len() == 8 => {
                    Entry::Counter(data.iter().rev().fold(0, |value, &byte| value << 8 | i64::from(byte)))
                }
                Dtype::U8 => Entry::Bytes(data.to_vec()),
                other => return Err(broken(format!("tensor `{name}` is {other:?}; expected F32"))),
            };
            entries.insert(name, entry);
        }
        Ok(Self { metadata, entries })
    }

    /// Reads the file at `path`.
    pub fn read(path: &Path) -> Result<Self> {
        Self::from_bytes(&std::fs::read(path).map_err(Error::io(path))?, path)
    }

    /// Adds a model's arrays under `prefix`.
    pub fn add_state(&mut self, prefix: &str, state: &StateDict) {
        for (name, array) in state {
            self.entries.insert(format!("{prefix}{name}"), Entry::Float(array.clone()));
        }
    }

    /// The arrays under `prefix`, by the names behind it.
    pub fn take_state(&mut self, prefix: &str) -> StateDict {
        let names: Vec<String> = self.entries.keys().filter(|name| name.starts_with(prefix)).cloned().collect();
        let mut state = StateDict::new();
        for name in names {
            if let Some(Entry::Float(array)) = self.entries.get_mut(&name) {
                state.insert(name[prefix.len()..].to_owned(), std::mem::take(array));
                self.entries.remove(&name);
            }
        }
        state
    }
}
