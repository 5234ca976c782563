//! A table that lists images: `path,label` and optionally `split`, `subject`, `annotator` and a face box
//! `x,y,width,height`, separated by `,`, `;` or tab, or JSON lines. Paths are relative to the table.
//! Annotators may differ about a face; lines that differ in nothing but the class contradict each other.

use std::fs::{self, File};
use std::io::BufReader;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::given_class::GivenClasses;
use crate::glimpse::Glimpse;
use crate::lines::visit_lines;
use crate::listed::ListedFolder;
use crate::reader::{ReadRequest, Reader, Sink};
use crate::reading::{Reading, stem};
use crate::source::encode_path;
use crate::table::{RowVisit, is_table, lists_images, visit_rows};

pub(super) struct Manifest;

impl Reader for Manifest {
    fn name(&self) -> &'static str {
        "manifest"
    }

    fn about(&self) -> &'static str {
        "a .csv, .tsv or .jsonl table of image paths with labels, splits, subjects and face boxes"
    }

    fn evidence(&self, glimpse: &Glimpse) -> Option<String> {
        let table = glimpse.find(|path| {
            let is_named = glimpse.is_file() || (stem(path) == "manifest" && path.parent() == Some(Path::new("")));
            is_named && is_table(path) && lists_images(path, &glimpse.head(path))
        })?;
        Some(format!("`{}` is a table with a column for the images' paths", table.display()))
    }

    fn is_general(&self) -> bool {
        true
    }

    fn read(&self, request: &ReadRequest<'_>, sink: Sink<'_>) -> Result<()> {
        let table = table_at(request.path)?;
        let folder = ListedFolder::open(parent_of(&table))?;
        check_labels(&table, request)?;
        let dataset = table.file_stem().map_or_else(String::new, |stem| encode_path(Path::new(stem)));
        let reading = Reading::of(request, &dataset);
        let rows = |visit: RowVisit<'_>| visit_rows(&table, open(&table)?, visit);
        visit_lines(&table, &rows, &reading.given, &mut |line| Ok(sink(reading.line_item(line, &folder, None)?)))
    }
}

/// The table itself, or `manifest.csv` (`.tsv`, `.jsonl`) in a folder.
fn table_at(path: &Path) -> Result<PathBuf> {
    let metadata = fs::metadata(path).map_err(Error::io(path))?;
    if metadata.is_file() && is_table(path) {
        return Ok(path.to_owned());
    }
    let inside = ["manifest.csv", "manifest.tsv", "manifest.jsonl"].map(|name| path.join(name));
    inside.into_iter().find(|table| metadata.is_dir() && table.is_file()).ok_or_else(|| Error::NotADataset {
        path: path.to_owned(),
        reader: "manifest",
        expected: "a .csv, .tsv or .jsonl table that lists images, or a folder with a manifest.csv",
    })
}

/// Refuses a table with a label that nobody knows, before anything of it is read.
fn check_labels(table: &Path, request: &ReadRequest<'_>) -> Result<()> {
    let given = GivenClasses::of(request);
    visit_rows(table, open(table)?, &mut |line, row| {
        if let Ok(row) = row {
            given.given(&row.label, || format!("{}, line {line}", encode_path(table)))?;
        }
        Ok(ControlFlow::Continue(()))
    })
}

fn open(table: &Path) -> Result<BufReader<File>> {
    File::open(table).map(BufReader::new).map_err(Error::io(table))
}

/// The folder of a file; the current one where the path is a bare name.
fn parent_of(table: &Path) -> &Path {
    match table.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}
