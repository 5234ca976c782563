//! Weights of other people's training: a torchvision ResNet's file becomes a round's first weights.
//!
//! In: a `.safetensors` or `.pth` file, the tensors that the network has, and fresh values for them. Out: the weights,
//! and what was taken, what was turned and what was left. The body must be there whole, in the right shapes and finite,
//! or the file is refused by the name of the tensor; the head is taken where it fits.

mod pth;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device};
use safetensors::SafeTensors;

use crate::backbones::{Role, TensorSpec};
use crate::state_dict::{Array, StateDict};
use crate::{Error, Result};

/// What became of a weights file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoadedWeights {
    pub path: PathBuf,
    /// BLAKE3 of the file, in hex.
    pub hash: String,
    /// Tensors of the network that came from the file.
    pub loaded: Vec<String>,
    /// Of those, the ones that were made to fit, each with what was done.
    pub converted: Vec<(String, &'static str)>,
    /// Tensors of the network that start fresh, each with the reason.
    pub fresh: Vec<(String, String)>,
    /// Tensors of the file that the network has no use for.
    pub left: Vec<String>,
}

/// Reads `path` over `fresh`, the values that tensors start with which the file lacks.
///
/// Names may have the `module.` that `DataParallel` puts in front. A first convolution over three channels is summed
/// into a network of one, and one over one channel is spread over three: on grey faces both give the same sums as
/// before, if all channels are normalised alike. The head (`fc.weight`, `fc.bias`) stays fresh where the file has none,
/// has one of another shape, or says that it was made for other `classes`.
///
/// # Errors
/// A file that cannot be read; a tensor of the body that is missing, has another shape or is not finite, by name.
pub fn load(
    path: &Path,
    tensors: &[TensorSpec],
    classes: &[String],
    fresh: StateDict,
) -> Result<(StateDict, LoadedWeights)> {
    let bytes = read(path)?;
    let (mut given, made_for) = parse(path, &bytes)?;
    let refuse = |problem: String| Error::file(path, problem);
    let mut state = fresh;
    let hash = blake3::hash(&bytes).to_hex().to_string();
    let mut outcome = LoadedWeights { path: path.to_owned(), hash, ..LoadedWeights::default() };
    let head_fits = head_problem(tensors, &given, classes, made_for.as_deref());
    for spec in tensors {
        let found = given.remove(&spec.name).flatten();
        if let (Role::Linear { .. }, Some(reason)) = (spec.role, &head_fits) {
            outcome.fresh.push((spec.name.clone(), reason.clone()));
            continue;
        }
        let array = found.ok_or_else(|| refuse(missing(&spec.name)))?;
        let (array, conversion) = fit(array, spec).map_err(refuse)?;
        if let Some(place) = array.values.iter().position(|value| !value.is_finite()) {
            let value = array.values[place];
            return Err(refuse(format!("tensor `{}` holds {value} at position {place}", spec.name)));
        }
        outcome.converted.extend(conversion.map(|conversion| (spec.name.clone(), conversion)));
        outcome.loaded.push(spec.name.clone());
        state.insert(spec.name.clone(), array);
    }
    outcome.left = given.into_keys().collect();
    Ok((state, outcome))
}

impl fmt::Display for LoadedWeights {
    /// One line for people; BatchNorm's counters, which every file of PyTorch has, are not worth a word.
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let mut parts: Vec<&str> = self.loaded.iter().filter_map(|name| name.split('.').next()).collect();
        parts.dedup();
        write!(f, "{} tensors ({}) from {}", self.loaded.len(), parts.join(", "), self.path.display())?;
        for (name, conversion) in &self.converted {
            write!(f, "; `{name}` {conversion}")?;
        }
        for (name, reason) in &self.fresh {
            write!(f, "; `{name}` starts fresh ({reason})")?;
        }
        let left: Vec<&str> =
            self.left.iter().map(String::as_str).filter(|name| !name.ends_with(".num_batches_tracked")).collect();
        if left.is_empty() { Ok(()) } else { write!(f, "; left in the file: {}", left.join(", ")) }
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    if !path.is_file() {
        return Err(Error::file(
            path,
            "no such file; `init` takes a .safetensors or .pth file of a torchvision ResNet",
        ));
    }
    std::fs::read(path).map_err(Error::io(path))
}

/// The file's tensors by name without `module.`, and the classes it was made for where it says so.
fn parse(path: &Path, bytes: &[u8]) -> Result<(pth::Given, Option<Vec<String>>)> {
    let unreadable = |problem: String| Error::file(path, format!("cannot read weights: {problem}"));
    let (given, classes) = if path.extension().is_some_and(|extension| extension == "safetensors") {
        read_safetensors(bytes).map_err(|problem| unreadable(problem.to_string()))?
    } else {
        (pth::read(bytes).map_err(unreadable)?, None)
    };
    let plain = |name: String| name.strip_prefix("module.").map(str::to_owned).unwrap_or(name);
    Ok((given.into_iter().map(|(name, array)| (plain(name), array)).collect(), classes))
}

fn read_safetensors(bytes: &[u8]) -> candle_core::Result<(pth::Given, Option<Vec<String>>)> {
    let mut given = BTreeMap::new();
    for (name, tensor) in candle_core::safetensors::load_buffer(bytes, &Device::Cpu)? {
        let array = if tensor.dtype().is_float() {
            let values = tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?;
            Some(Array { shape: tensor.dims().to_vec(), values })
        } else {
            None
        };
        given.insert(name, array);
    }
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(candle_core::Error::wrap)?;
    let metadata = header.metadata().as_ref();
    let classes = metadata.and_then(|metadata| serde_json::from_str(metadata.get("classes")?).ok());
    Ok((given, classes))
}

/// Why the file's head is not taken; `None` where it is.
fn head_problem(
    tensors: &[TensorSpec],
    given: &pth::Given,
    classes: &[String],
    made_for: Option<&[String]>,
) -> Option<String> {
    if let Some(made_for) = made_for.filter(|made_for| *made_for != classes) {
        return Some(format!("the file's classes are {}", made_for.join(", ")));
    }
    let head = tensors.iter().filter(|spec| matches!(spec.role, Role::Linear { .. }));
    head.map(|spec| match given.get(&spec.name) {
        Some(Some(array)) if array.shape == spec.shape => None,
        Some(Some(array)) => Some(format!("the file has {:?}, the network {:?}", array.shape, spec.shape)),
        _ => Some("the file has none".to_owned()),
    })
    .find(Option::is_some)
    .flatten()
}

fn missing(name: &str) -> String {
    format!("tensor `{name}` is missing: these are not the weights of this backbone")
}

/// The array in the shape that the network wants, and what was done to it; the error is the problem in words.
fn fit(array: Array, spec: &TensorSpec) -> std::result::Result<(Array, Option<&'static str>), String> {
    if array.shape == spec.shape {
        return Ok((array, None));
    }
    let (&[found_outputs, found, ref found_kernel @ ..], &[outputs, wanted, ref kernel @ ..]) =
        (array.shape.as_slice(), spec.shape.as_slice())
    else {
        return Err(wrong_shape(&array, spec));
    };
    let first = spec.name == "conv1.weight" && found_outputs == outputs && found_kernel == kernel;
    let area: usize = kernel.iter().product();
    let rows = array.values.chunks_exact(found * area);
    let (values, conversion): (Vec<f32>, _) = match (first, found, wanted) {
        (true, 3, 1) => {
            let sum = |row: &[f32]| {
                (0..area).map(|at| (0..3).map(|channel| row[channel * area + at]).sum()).collect::<Vec<f32>>()
            };
            (rows.flat_map(sum).collect(), "summed over its 3 channels")
        }
        (true, 1, 3) => {
            let spread = |row: &[f32]| row.iter().map(|value| value / 3.0).collect::<Vec<f32>>().repeat(3);
            (rows.flat_map(spread).collect(), "spread over 3 channels")
        }
        _ => return Err(wrong_shape(&array, spec)),
    };
    Ok((Array { shape: spec.shape.clone(), values }, Some(conversion)))
}

fn wrong_shape(array: &Array, spec: &TensorSpec) -> String {
    format!("tensor `{}` has shape {:?}, the network wants {:?}", spec.name, array.shape, spec.shape)
}
