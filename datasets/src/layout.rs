//! What folder names say: `{train,validation,test}/<class>/x.png`, with or without the split.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use crate::candidate::has_image_extension;
use crate::entries::{Entries, Found};
use crate::error::Result;
use crate::given_class::GivenClasses;
use crate::source::encode_path;
use crate::split::Split;

/// The class text (the parent folder, empty where files lie at the root or right in a split's folder) and the split
/// (the nearest folder that names one) of a path below the data set's root.
pub(crate) fn class_and_split(path: &Path) -> (&str, Option<Split>) {
    let mut folders = path.parent().into_iter().flat_map(|folder| folder.iter().rev());
    let named = |folder: &std::ffi::OsStr| folder.to_str().and_then(Split::parse);
    let Some(parent) = folders.next() else {
        return ("", None);
    };
    if let Some(split) = named(parent) {
        return ("", Some(split));
    }
    // A name that is not UTF-8 is no class; the replacement shows up in the error.
    (parent.to_str().unwrap_or("\u{FFFD}"), folders.find_map(named))
}

/// Every folder of a data set that holds images by name, and the tables among its files.
#[derive(Debug, Default)]
pub(crate) struct Layout {
    pub folders: BTreeSet<PathBuf>,
    pub tables: Vec<PathBuf>,
}

impl Layout {
    /// Goes through the names without opening a file (a `.tar.gz` has to be unpacked in passing, once more than for
    /// the reading itself). `is_table` says which files are tables to remember.
    pub(crate) fn of(entries: &Entries, is_table: impl Fn(&Path) -> bool) -> Result<Self> {
        let mut layout = Self::default();
        entries.visit(&mut |found| {
            if let Found::File(entry) = found {
                if is_table(&entry.path) {
                    layout.tables.push(entry.path);
                } else if has_image_extension(&entry.path) {
                    let folder = entry.path.parent().unwrap_or(Path::new(""));
                    if !layout.folders.contains(folder) {
                        layout.folders.insert(folder.to_owned());
                    }
                }
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(layout)
    }

    /// Whether a table stands in the file's folder or above it: then the table speaks for the file.
    pub(crate) fn table_for(&self, path: &Path) -> Option<&Path> {
        let above = |table: &&PathBuf| table.parent().is_some_and(|folder| path.starts_with(folder));
        self.tables.iter().filter(above).max_by_key(|table| table.components().count()).map(PathBuf::as_path)
    }

    /// Refuses a data set with a class folder that nobody knows, before anything of it is read.
    pub(crate) fn check_classes(&self, entries: &Entries, given: &GivenClasses<'_>) -> Result<()> {
        for folder in &self.folders {
            let inside = folder.join("image");
            if self.table_for(&inside).is_none() {
                let (class, _) = class_and_split(&inside);
                given.given(class, || format!("folder {}", encode_path(&entries.root().join(folder))))?;
            }
        }
        Ok(())
    }
}
