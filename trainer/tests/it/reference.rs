//! The folder of reference cases, and the generator their inputs come from.

use std::path::{Path, PathBuf};

use marginalia_trainer::state_dict::Array;
use serde_json::Value;

/// The reference folder; `None` (with a line on stderr) where none is set and the default one is missing.
pub fn folder(test: &str) -> Option<PathBuf> {
    if let Ok(folder) = std::env::var("MARGINALIA_REFERENCE") {
        let folder = absolute(Path::new(&folder));
        assert!(folder.is_dir(), "MARGINALIA_REFERENCE names {}, which is no folder", folder.display());
        return Some(folder);
    }
    let folder = absolute(Path::new("../shared/reference"));
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("SKIPPED (no reference folder): {test}");
    None
}

/// One file of it, parsed.
pub fn case(test: &str, file: &str) -> Option<Value> {
    let path = folder(test)?.join(file);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    Some(serde_json::from_str(&text).unwrap())
}

/// Relative paths count from the workspace root.
fn absolute(path: &Path) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// Numbers of a (nested) list, row-major; also of `{"shape", "data"}`.
pub fn numbers(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(values) => values.iter().flat_map(numbers).collect(),
        Value::Object(object) => numbers(&object["data"]),
        Value::Null => Vec::new(),
        number => vec![number.as_f64().unwrap_or_else(|| panic!("not a number: {number}"))],
    }
}

pub fn floats(value: &Value) -> Vec<f32> {
    numbers(value).into_iter().map(|value| value as f32).collect()
}

pub fn indices(value: &Value) -> Vec<usize> {
    numbers(value).into_iter().map(|value| value as usize).collect()
}

pub fn labels(value: &Value) -> Vec<u32> {
    numbers(value).into_iter().map(|value| value as u32).collect()
}

/// Rows of a list of lists.
pub fn rows(value: &Value) -> Vec<Vec<f64>> {
    value.as_array().unwrap().iter().map(numbers).collect()
}

/// Numbers or nulls.
pub fn optional(value: &Value) -> Vec<Option<f64>> {
    value.as_array().unwrap().iter().map(Value::as_f64).collect()
}

pub fn shape(value: &Value) -> Vec<usize> {
    indices(&value["shape"])
}

/// Each pair within `relative` of the expected or `absolute`.
pub fn assert_close(found: &[f64], expected: &[f64], relative: f64, absolute: f64, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}: length");
    for (place, (found, expected)) in found.iter().zip(expected).enumerate() {
        let allowed = absolute.max(relative * expected.abs());
        let off = (found - expected).abs();
        assert!(off <= allowed, "{what}[{place}]: {found} instead of {expected} (off by {off:e}, allowed {allowed:e})");
    }
}

pub fn widen(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&value| f64::from(value)).collect()
}

/// The generator: splitmix64 from fnv1a64(name) XOR seed, top 24 bits.
pub fn uniform(name: &str, seed: u64, count: usize) -> Vec<f32> {
    let hash = name
        .bytes()
        .fold(0xCBF2_9CE4_8422_2325u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3));
    let mut state = hash ^ seed;
    (0..count)
        .map(|_| {
            state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut mixed = state;
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            mixed ^= mixed >> 31;
            (mixed >> 40) as f32 / (1u32 << 24) as f32
        })
        .collect()
}

/// (2u − 1) · s in row-major order.
pub fn generated(name: &str, seed: u64, shape: &[usize], scale: f64) -> Array {
    let scale = scale as f32;
    let values = uniform(name, seed, shape.iter().product());
    Array { shape: shape.to_vec(), values: values.into_iter().map(|u| (2.0 * u - 1.0) * scale).collect() }
}
