//! Which corpus a command works on: the one it names, the one the environment names, or the one it stands in.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::config::FILE_NAME;
use crate::error::{Error, Result};

/// The environment variable that names a corpus.
pub const CORPUS_VARIABLE: &str = "MARGINALIA_CORPUS";

/// Finds the corpus: `explicit` (`--corpus`), else `MARGINALIA_CORPUS`, else the folder at or above the current one that
/// holds `marginalia.toml`. A path is absolute, a URI as given.
pub fn find_corpus(explicit: Option<&Path>) -> Result<PathBuf> {
    let here = std::env::current_dir().map_err(Error::io("."))?;
    locate_corpus(explicit, std::env::var_os(CORPUS_VARIABLE), &here)
}

/// As [`find_corpus`], with the environment given.
pub fn locate_corpus(explicit: Option<&Path>, variable: Option<OsString>, here: &Path) -> Result<PathBuf> {
    let variable = variable.filter(|value| !value.is_empty()).map(PathBuf::from);
    let named =
        explicit.map(|path| ("--corpus", path.to_path_buf())).or_else(|| variable.map(|path| (CORPUS_VARIABLE, path)));
    match named {
        Some((origin, path)) => named_corpus(origin, path, here),
        None => here
            .ancestors()
            .find(|folder| folder.join(FILE_NAME).is_file())
            .map(Path::to_path_buf)
            .ok_or_else(|| Error::NoCorpusAbove { path: here.to_path_buf() }),
    }
}

fn named_corpus(origin: &'static str, path: PathBuf, here: &Path) -> Result<PathBuf> {
    // Whether a URI holds a corpus is asked of its store.
    if path.to_str().is_some_and(|text| text.contains("://")) {
        return Ok(path);
    }
    let folder = here.join(&path);
    let problem = if folder.join(FILE_NAME).is_file() {
        return Ok(folder);
    } else if folder.is_dir() {
        "holds no marginalia.toml"
    } else if folder.exists() {
        "is not a folder"
    } else {
        "does not exist"
    };
    Err(Error::NotACorpus { origin, path, problem })
}
