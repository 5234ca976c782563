//! Folders of images, the form that Hugging Face's `imagefolder` reads too: `{train,validation,test}/<class>/x.png` or
//! `<class>/x.png`, or images beside a `metadata.csv` or `metadata.jsonl` that lists them by `file_name`. A folder, or
//! the same inside an archive.
//!
//! The class is the folder right above the file. Files at the root or right in a split's folder have no class. Where
//! there is metadata, it alone gives classes, for its folder and all below. In a folder its rows are read as they come,
//! in an archive they are gathered by file first; those that repeat or contradict others are told.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use crate::candidate::{Candidate, NO_IMAGE, has_image_extension};
use crate::classes::expression_of;
use crate::entries::{Entries, Entry, Found};
use crate::error::{Error, Result};
use crate::given_class::GivenClasses;
use crate::glimpse::Glimpse;
use crate::image_files::missing;
use crate::layout::{Layout, class_and_split};
use crate::lines::{Line, visit_lines};
use crate::listed::ListedFolder;
use crate::reader::{Item, ReadRequest, Reader, Sink};
use crate::reading::{Reading, stem};
use crate::reject::Reject;
use crate::said::{SAID_BEFORE, Said};
use crate::source::encode_path;
use crate::subject::subject_in;
use crate::table::{Row, RowVisit, visit_rows};

pub(super) struct ImageFolder;

/// Metadata inside an archive is held in memory, because an archive cannot be opened at any file; so it has a bound.
const MAX_METADATA_BYTES: u64 = 64 << 20;

impl Reader for ImageFolder {
    fn name(&self) -> &'static str {
        "imagefolder"
    }

    fn about(&self) -> &'static str {
        "images in folders named after classes, or beside a metadata.csv or .jsonl; a folder, .tar, .tar.gz or .zip"
    }

    fn evidence(&self, glimpse: &Glimpse) -> Option<String> {
        let metadata = glimpse.find(is_metadata);
        if let Some(metadata) = metadata.filter(|_| glimpse.images().next().is_some()) {
            return Some(format!("`{}` lists the images beside it", metadata.display()));
        }
        let classes: BTreeSet<&str> =
            glimpse.images().map(|image| class_and_split(image).0).filter(|class| expression_of(class).is_some()).collect();
        let named: Vec<String> = classes.iter().take(3).map(|class| format!("`{class}`")).collect();
        (classes.len() > 1).then(|| format!("its folders are named after classes: {}", named.join(", ")))
    }

    fn is_general(&self) -> bool {
        true
    }

    fn read(&self, request: &ReadRequest<'_>, sink: Sink<'_>) -> Result<()> {
        let entries = request.entries("imagefolder", "a folder, .tar, .tar.gz or .zip of images")?;
        let layout = Layout::of(&entries, is_metadata)?;
        let dataset = dataset_name(request.path);
        let reading = Reading::of(request, &dataset);
        layout.check_classes(&entries, &reading.given)?;
        let (rows, told) = rows_in_archive(&entries, &layout, request)?;
        for item in told {
            if sink(item).is_break() {
                return Ok(());
            }
        }
        let mut tree = Tree { reading, entries: &entries, rows };
        let mut unlisted = 0i64;
        let mut stopped = false;
        entries.visit(&mut |found| {
            let flow = match found {
                Found::Skipped { source, why } => sink(Item::Skipped { source, why: why.to_owned() }),
                Found::Reject(reject) => sink(Item::Reject(reject)),
                Found::File(entry) if is_metadata(&entry.path) => tree.table_in_folder(&entry.path, &mut unlisted, sink)?,
                Found::File(entry) => match layout.table_for(&entry.path) {
                    None => sink(tree.by_folder(entry)?),
                    Some(_) if entries.is_folder() => {
                        unlisted += i64::from(has_image_extension(&entry.path));
                        ControlFlow::Continue(())
                    }
                    Some(_) => tree.by_rows_in_archive(entry, sink)?,
                },
            };
            stopped = flow.is_break();
            Ok(flow)
        })?;
        for path in tree.rows.into_keys() {
            if stopped {
                break;
            }
            stopped = sink(missing(&entries, &path)).is_break();
        }
        if unlisted > 0 && !stopped {
            let why = format!("images beside metadata that does not list them: {unlisted}");
            // The last item: whether the sink wants more makes no difference.
            let _ = sink(Item::Skipped { source: encode_path(request.path), why });
        }
        Ok(())
    }
}

/// A folder or archive that is being read.
struct Tree<'r> {
    reading: Reading<'r>,
    entries: &'r Entries,
    /// What metadata says of the files of an archive that were not met yet, by path.
    rows: BTreeMap<PathBuf, Said>,
}

impl Tree<'_> {
    /// A file that no metadata speaks for: its folders say what it is.
    fn by_folder(&self, entry: Entry<'_>) -> Result<Item> {
        let (path, source) = (entry.path.clone(), entry.source.clone());
        let content = match Candidate::read(entry, &self.reading.request.limits) {
            Ok(Candidate::Image(content)) => content,
            Ok(Candidate::Other) => return Ok(Item::Skipped { source, why: NO_IMAGE.to_owned() }),
            Err(reason) => return Ok(Item::Reject(Reject { source, reason })),
        };
        let (class, split) = class_and_split(&path);
        let subject = subject_in(stem(&path)).unwrap_or_default();
        let row = Row { label: class.to_owned(), subject, ..Row::default() };
        self.reading.item(&row, || Ok(content), source, split)
    }

    /// Everything that a metadata table lists, read from the folder. Each file found is taken off `unlisted`.
    fn table_in_folder(&self, table: &Path, unlisted: &mut i64, sink: Sink<'_>) -> Result<ControlFlow<()>> {
        if !self.entries.is_folder() {
            return Ok(ControlFlow::Continue(()));
        }
        let full = self.entries.root().join(table);
        let folder = ListedFolder::open(full.parent().unwrap_or(self.entries.root()))?;
        let rows = |visit: RowVisit<'_>| visit_rows(&full, File::open(&full).map_err(Error::io(&full))?, visit);
        let (_, split) = class_and_split(table);
        let mut flow = ControlFlow::Continue(());
        visit_lines(&full, &rows, &self.reading.given, &mut |line| {
            if let Line::Face(row) | Line::Contradicted(row, _) = &line {
                *unlisted -= i64::from(folder.holds(row));
            }
            flow = sink(self.reading.line_item(line, &folder, split)?);
            Ok(flow)
        })?;
        Ok(flow)
    }

    /// A file in an archive, in whose folder or above a metadata table stands.
    fn by_rows_in_archive(&mut self, entry: Entry<'_>, sink: Sink<'_>) -> Result<ControlFlow<()>> {
        let (path, source) = (entry.path.clone(), entry.source.clone());
        let Some(said) = self.rows.remove(&path) else {
            return Ok(sink(Item::Skipped { source, why: "not listed in the metadata".to_owned() }));
        };
        let (_, split) = class_and_split(&path);
        let content = entry.read(&self.reading.request.limits);
        for face in said.faces() {
            let item = match face {
                Ok(row) => self.reading.item(&row, || content.clone(), source.clone(), split)?,
                Err(reason) => Item::Reject(Reject { source: source.clone(), reason }),
            };
            if sink(item).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}

/// Checks the labels of every metadata table before anything is read. Out comes, of an archive, what they say of every
/// file, and the lines that are no face of their own.
fn rows_in_archive(
    entries: &Entries,
    layout: &Layout,
    request: &ReadRequest<'_>,
) -> Result<(BTreeMap<PathBuf, Said>, Vec<Item>)> {
    let (mut rows, mut told) = (BTreeMap::<PathBuf, Said>::new(), Vec::new());
    let given = GivenClasses::of(request);
    if layout.tables.is_empty() {
        return Ok((rows, told));
    }
    entries.visit(&mut |found| {
        let Found::File(entry) = found else { return Ok(ControlFlow::Continue(())) };
        if !is_metadata(&entry.path) {
            return Ok(ControlFlow::Continue(()));
        }
        let full = entries.root().join(&entry.path);
        let source = entry.source.clone();
        if entry.path.extension().is_some_and(|extension| extension == "parquet") {
            let expected = "metadata.csv or metadata.jsonl; in Python: pandas.read_parquet(…).to_csv(…, index=False)";
            return Err(Error::NotADataset { path: full, reader: "imagefolder", expected });
        }
        let folder = entry.path.parent().unwrap_or(Path::new("")).to_owned();
        let keep = !entries.is_folder();
        let (stream, facts) = entry.stream().map_err(|reason| Error::Unreadable { path: full.clone(), reason })?;
        if keep && facts.size > MAX_METADATA_BYTES {
            return Err(Error::TableTooLarge { path: full, limit: MAX_METADATA_BYTES });
        }
        visit_rows(&full, stream.take(if keep { MAX_METADATA_BYTES } else { u64::MAX }), &mut |line, row| {
            let source = format!("{source}#line={line}");
            match row {
                Ok(row) => {
                    let given = given.given(&row.label, || format!("{}, line {line}", encode_path(&full)))?;
                    if keep && !rows.entry(folder.join(&row.path)).or_default().add(source.clone(), given, row) {
                        told.push(Item::Skipped { source, why: SAID_BEFORE.to_owned() });
                    }
                }
                Err(reason) if keep => told.push(Item::Reject(Reject { source, reason })),
                // In a folder it is told where it is met.
                Err(_) => {}
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(ControlFlow::Continue(()))
    })?;
    Ok((rows, told))
}

fn is_metadata(path: &Path) -> bool {
    ["metadata.csv", "metadata.jsonl", "metadata.parquet"].iter().any(|name| path.file_name().is_some_and(|n| n == *name))
}

/// The name of the folder or archive, without what says how it is packed.
fn dataset_name(path: &Path) -> String {
    // `.` and `..` have a name only once resolved.
    let resolved = path.file_name().is_none().then(|| path.canonicalize().ok()).flatten();
    let name = resolved.as_deref().unwrap_or(path).file_name().map_or_else(String::new, |name| encode_path(Path::new(name)));
    let packed = [".tar.gz", ".tgz", ".tar", ".zip"].into_iter().find(|end| name.to_ascii_lowercase().ends_with(end));
    name[..name.len() - packed.map_or(0, str::len)].to_owned()
}
