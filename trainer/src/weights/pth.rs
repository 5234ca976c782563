//! PyTorch's `.pth`: the zip archive of today, and the plain stream of pickles from before version 1.6, which older
//! face networks (MS-Celeb-1M's among them) still come in.
//!
//! In: a file's bytes. Out: its tensors by name, in single precision. Nothing of the file is executed: the pickle is
//! read as data, by candle. What candle's own loader lacks is here: the older stream, strided tensors (weights saved in
//! `channels_last` are), and problems that name their tensor.

use std::collections::BTreeMap;
use std::io::{Cursor, Read};

use candle_core::pickle::{Object, Stack};
use candle_core::{DType, Device, Tensor};
use zip::ZipArchive;

use crate::state_dict::Array;

/// Tensors by name; `None` for one that holds no floating-point numbers.
pub(super) type Given = BTreeMap<String, Option<Array>>;
/// A problem in words.
type Problem = String;

/// How the older stream begins: torch's magic number, pickled.
const OLD_MAGIC: [u8; 15] = *b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19\x2e";
/// Keys under which training scripts keep the weights beside other things.
const NESTED: [&str; 4] = ["state_dict", "model_state_dict", "model", "net"];

/// Reads every tensor of the file's state dict: its top, or what lies under `state_dict`, `model_state_dict`, `model`
/// or `net`.
pub(super) fn read(bytes: &[u8]) -> Result<Given, Problem> {
    let file = if bytes.starts_with(&OLD_MAGIC) { old_stream(bytes)? } else { archive(bytes)? };
    let state = state_dict(file.object)?;
    let named = state.into_iter().filter_map(|(name, value)| match (name, stored(&value)) {
        (Object::Unicode(name), Some(stored)) => Some((name, stored)),
        _ => None,
    });
    let read = |(name, stored): (String, Stored)| {
        let array = stored.read(&file.storages).map_err(|problem| format!("tensor `{name}`: {problem}"))?;
        Ok((name, array))
    };
    named.map(read).collect()
}

/// A file taken apart: what was pickled, and the bytes of every storage it refers to.
struct Contents {
    object: Object,
    storages: BTreeMap<String, Vec<u8>>,
}

/// `…/data.pkl` and `…/data/KEY` in a zip archive.
fn archive(bytes: &[u8]) -> Result<Contents, Problem> {
    let damaged = |problem: &dyn std::fmt::Display| format!("not a file of PyTorch: {problem}");
    let mut zip = ZipArchive::new(Cursor::new(bytes)).map_err(|problem| damaged(&problem))?;
    let (mut pickled, mut storages) = (None, BTreeMap::new());
    for number in 0..zip.len() {
        let mut entry = zip.by_index(number).map_err(|problem| damaged(&problem))?;
        let name = entry.name().map_err(|problem| damaged(&problem))?.into_owned();
        let Some((_, path)) = name.split_once('/') else { continue };
        // torch does not compress, so nothing in the archive is longer than the archive.
        let mut content = Vec::new();
        entry.by_ref().take(bytes.len() as u64).read_to_end(&mut content).map_err(|problem| damaged(&problem))?;
        match (path, path.strip_prefix("data/")) {
            ("data.pkl", _) => pickled = Some(content),
            ("byteorder", _) if content != b"little" => return Err("the file is big-endian".to_owned()),
            (_, Some(key)) => _ = storages.insert(key.to_owned(), content),
            _ => {}
        }
    }
    let pickled = pickled.ok_or_else(|| damaged(&"the archive has no data.pkl"))?;
    Ok(Contents { object: unpickle(&mut pickled.as_slice())?, storages })
}

/// Magic number, protocol, system, object, storage keys, each pickled; then per key a count of 64 bits and the numbers.
fn old_stream(bytes: &[u8]) -> Result<Contents, Problem> {
    let mut rest = &bytes[OLD_MAGIC.len()..];
    let (_protocol, _system) = (unpickle(&mut rest)?, unpickle(&mut rest)?);
    let object = unpickle(&mut rest)?;
    let Object::List(keys) = unpickle(&mut rest)? else { return Err("the list of storages is missing".to_owned()) };
    let mut kinds = BTreeMap::new();
    collect_kinds(&object, &mut kinds);
    let mut storages = BTreeMap::new();
    for key in keys {
        let Object::Unicode(key) = key else { return Err("a storage has no name".to_owned()) };
        let kind = kinds.get(&key).ok_or_else(|| format!("nothing refers to storage {key}"))?;
        let cut = || format!("the file ends within storage {key}");
        let (count, after) = rest.split_first_chunk::<8>().ok_or_else(cut)?;
        let length = usize::try_from(u64::from_le_bytes(*count)).ok().and_then(|count| count.checked_mul(width(kind)?));
        let (content, after) = after.split_at_checked(length.ok_or_else(cut)?).ok_or_else(cut)?;
        storages.insert(key, content.to_vec());
        rest = after;
    }
    Ok(Contents { object, storages })
}

fn unpickle(bytes: &mut &[u8]) -> Result<Object, Problem> {
    let mut stack = Stack::empty();
    stack.read_loop(bytes).and_then(|()| stack.finalize()).map_err(|problem| format!("unreadable pickle: {problem}"))
}

/// The dictionary that holds tensors.
fn state_dict(object: Object) -> Result<Vec<(Object, Object)>, Problem> {
    let Object::Dict(items) = object else {
        return Err("the file holds a whole object, not its weights: save `model.state_dict()` instead".to_owned());
    };
    let has_tensors = |items: &[(Object, Object)]| items.iter().any(|(_, value)| stored(value).is_some());
    // Scores and the like may lie beside the weights as tensors too, so the dictionaries within come first.
    for name in NESTED {
        let named = |(key, _): &&(Object, Object)| matches!(key, Object::Unicode(key) if key == name);
        if let Some((_, Object::Dict(inner))) = items.iter().find(named)
            && has_tensors(inner)
        {
            return Ok(inner.clone());
        }
    }
    if has_tensors(&items) {
        return Ok(items);
    }
    Err(format!("no tensors at the top of the file, nor under {}", NESTED.map(|name| format!("`{name}`")).join(", ")))
}

/// A tensor as it is pickled: a view of a storage.
struct Stored {
    /// torch's name of the storage's type.
    kind: String,
    key: String,
    offset: usize,
    shape: Vec<usize>,
    strides: Vec<usize>,
}

/// What a pickled value says if it is a tensor or a parameter.
fn stored(value: &Object) -> Option<Stored> {
    let Object::Reduce { callable, args } = value else { return None };
    let (Object::Class { class_name, .. }, Object::Tuple(args)) = (&**callable, &**args) else { return None };
    match (class_name.as_str(), args.as_slice()) {
        ("_rebuild_parameter", [tensor, ..]) => stored(tensor),
        ("_rebuild_tensor_v2", [storage, offset, Object::Tuple(shape), Object::Tuple(strides), ..]) => {
            let (kind, key) = storage_name(storage)?;
            let numbers = |values: &[Object]| values.iter().map(number).collect::<Option<Vec<usize>>>();
            let (shape, strides) = (numbers(shape)?, numbers(strides)?);
            Some(Stored { kind, key, offset: number(offset)?, shape, strides })
        }
        _ => None,
    }
}

/// Type and key of `('storage', type, key, device, count)`.
fn storage_name(object: &Object) -> Option<(String, String)> {
    let Object::PersistentLoad(id) = object else { return None };
    let Object::Tuple(parts) = &**id else { return None };
    let [_, Object::Class { class_name, .. }, Object::Unicode(key), ..] = parts.as_slice() else { return None };
    Some((class_name.clone(), key.clone()))
}

fn number(object: &Object) -> Option<usize> {
    match object {
        Object::Int(value) => usize::try_from(*value).ok(),
        Object::Long(value) => usize::try_from(*value).ok(),
        _ => None,
    }
}

/// The type of every storage anywhere in the object, optimiser states and the like included.
fn collect_kinds(object: &Object, kinds: &mut BTreeMap<String, String>) {
    if let Some((kind, key)) = storage_name(object) {
        kinds.insert(key, kind);
        return;
    }
    match object {
        Object::Tuple(items) | Object::List(items) => items.iter().for_each(|item| collect_kinds(item, kinds)),
        Object::Dict(items) => items.iter().for_each(|(_, value)| collect_kinds(value, kinds)),
        Object::Reduce { callable, args } | Object::Build { callable, args } => {
            collect_kinds(callable, kinds);
            collect_kinds(args, kinds);
        }
        _ => {}
    }
}

/// Bytes of one number in a storage of this type.
fn width(kind: &str) -> Option<usize> {
    match kind {
        "DoubleStorage" | "LongStorage" => Some(8),
        "FloatStorage" | "IntStorage" => Some(4),
        "HalfStorage" | "BFloat16Storage" | "ShortStorage" => Some(2),
        "ByteStorage" | "CharStorage" | "BoolStorage" => Some(1),
        _ => None,
    }
}

impl Stored {
    /// Row-major numbers; `None` where they are not floating-point.
    fn read(&self, storages: &BTreeMap<String, Vec<u8>>) -> Result<Option<Array>, Problem> {
        let dtype = match self.kind.as_str() {
            "FloatStorage" => DType::F32,
            "DoubleStorage" => DType::F64,
            "HalfStorage" => DType::F16,
            "BFloat16Storage" => DType::BF16,
            _ => return Ok(None),
        };
        let bytes = storages.get(&self.key).ok_or("its numbers are not in the file")?;
        let size = dtype.size_in_bytes();
        let bytes = &bytes[..bytes.len() / size * size];
        let numbers = Tensor::from_raw_buffer(bytes, dtype, &[bytes.len() / size], &Device::Cpu)
            .and_then(|numbers| numbers.to_dtype(DType::F32)?.to_vec1::<f32>())
            .map_err(|problem| problem.to_string())?;
        let values = self.gather(&numbers).ok_or("its numbers go beyond its storage")?;
        Ok(Some(Array { shape: self.shape.clone(), values }))
    }

    /// The view's numbers in row-major order; `None` where it reaches beyond the storage.
    fn gather(&self, numbers: &[f32]) -> Option<Vec<f32>> {
        let count = self.shape.iter().try_fold(1usize, |count, side| count.checked_mul(*side))?;
        if self.shape.len() != self.strides.len() || count > numbers.len() {
            return None;
        }
        let mut values = Vec::with_capacity(count);
        let mut index = vec![0usize; self.shape.len()];
        for _ in 0..count {
            let reach = |(index, stride): (&usize, &usize)| index.checked_mul(*stride);
            let place =
                index.iter().zip(&self.strides).map(reach).try_fold(self.offset, |sum, at| sum.checked_add(at?));
            values.push(*numbers.get(place?)?);
            for (index, side) in index.iter_mut().zip(&self.shape).rev() {
                *index += 1;
                if *index < *side {
                    break;
                }
                *index = 0;
            }
        }
        Some(values)
    }
}
