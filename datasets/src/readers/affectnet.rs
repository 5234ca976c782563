//! AffectNet (Mollahosseini, Hasani and Mahoor, IEEE Transactions on Affective Computing 2017), in three forms.
//!
//! - Full release: `Manually_Annotated_file_lists/{training,validation}.csv`, with or without a header, and images in
//!   `Manually_Annotated_Images/<dir>/<hash>.jpg`, from which the face is cut out by its box. The automatically annotated
//!   list holds a machine's labels and is never read.
//! - Reduced release: `{train_set,val_set}/images/<n>.jpg` with `annotations/<n>_exp.npy` of one value each.
//! - Copies: `{train,val,test}/{0..7}/*.jpg`, whose split is not the official one.
//!
//! Eight classes or seven: what the corpus has no class for (contempt) and what is no expression (8 to 10) is skipped.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use crate::counts::{KnownCount, joined, part};
use crate::entries::Entries;
use crate::error::{Error, Result};
use crate::file::read_file;
use crate::glimpse::Glimpse;
use crate::image_files::Meaning;
use crate::layout::{Layout, class_and_split};
use crate::lines::visit_lines;
use crate::listed::ListedFolder;
use crate::npy::single_value;
use crate::reader::{Item, ReadRequest, Reader, Sink};
use crate::reading::{Reading, stem};
use crate::reject::Reason;
use crate::source::encode_path;
use crate::split::Split;
use crate::table::{RowVisit, visit_rows};

pub(super) struct AffectNet;

const NAME: &str = "affectnet";
const MANUAL_LISTS: &str = "Manually_Annotated_file_lists";
const MANUAL_IMAGES: &str = "Manually_Annotated_Images";
const AUTOMATIC_LISTS: &str = "Automatically_Annotated_file_lists";
const LABEL_END: &str = "_exp";

/// What a list has for a header, where it has one.
const HEADER: &str = "subDirectory_filePath,face_x,face_y,face_width,face_height,facial_landmarks,expression,\
                      valence,arousal\n";

impl Reader for AffectNet {
    fn name(&self) -> &'static str {
        NAME
    }

    fn about(&self) -> &'static str {
        "AffectNet: Manually_Annotated_file_lists with its images, {train_set,val_set}/{images,annotations}, or \
         {train,val}/{0..7}"
    }

    fn evidence(&self, glimpse: &Glimpse) -> Option<String> {
        if let Some(list) = glimpse.folder(MANUAL_LISTS).or_else(|| glimpse.folder(AUTOMATIC_LISTS)) {
            return Some(format!("`{}` is one of AffectNet's lists", list.display()));
        }
        let label = glimpse.find(|path| {
            let is_label = stem(path).ends_with(LABEL_END) && path.extension().is_some_and(|extension| extension == "npy");
            is_label && path.parent().is_some_and(|folder| folder.ends_with("annotations"))
        })?;
        Some(format!("`{}` is a label as AffectNet's reduced release has them", label.display()))
    }

    fn read(&self, request: &ReadRequest<'_>, sink: Sink<'_>) -> Result<()> {
        let any_form = "a folder with Manually_Annotated_file_lists and Manually_Annotated_Images, with train_set and \
                        val_set, or with {train,val}/{0..7}; archives only of the last form, so unpack the others";
        let entries = request.entries(NAME, any_form)?;
        let reading = Reading::numbered(request, NAME, NAME)?;
        if entries.is_folder() {
            let automatic = folder_named(request.path, AUTOMATIC_LISTS);
            if let Some(lists) = folder_named(request.path, MANUAL_LISTS) {
                let images = folder_named(request.path, MANUAL_IMAGES);
                let no_images = "Manually_Annotated_Images beside the lists";
                let images = images.ok_or_else(|| request.refused(NAME, no_images))?;
                return read_lists(&reading, &lists, &images, automatic.as_deref(), sink);
            }
            if let Some(path) = automatic {
                return Err(Error::NotThisPart { path, what: AUTOMATIC, instead: AUTOMATIC_INSTEAD });
            }
            let parts = reduced_parts(request.path);
            if !parts.is_empty() {
                return read_reduced(&reading, &parts, sink);
            }
        }
        let layout = Layout::of(&entries, |_| false)?;
        let is_numbered = |folder: &PathBuf| class_and_split(&folder.join("image")).0.parse::<u32>().is_ok();
        if !layout.folders.iter().any(is_numbered) {
            return Err(request.refused(NAME, any_form));
        }
        reading.read_class_folders(&entries, sink)
    }

    fn known_counts(&self) -> &'static [KnownCount] {
        &COUNTS
    }
}

const AUTOMATIC: &str = "these are AffectNet's automatically annotated lists, whose labels are a machine's";
const AUTOMATIC_INSTEAD: &str = "import the manually annotated ones, or these images without labels: \
                                 import imagefolder …/Automatically_Annotated_Images --unlabelled";

/// A folder of this name at the path or up to two levels below, where the releases have them.
fn folder_named(path: &Path, name: &str) -> Option<PathBuf> {
    let below = WalkDir::new(path).max_depth(2).sort_by_file_name().into_iter().flatten();
    let mut found = below.filter(|entry| entry.file_type().is_dir() && entry.file_name() == name);
    found.next().map(walkdir::DirEntry::into_path)
}

/// Reads the manually annotated lists, row by row.
fn read_lists(
    reading: &Reading<'_>,
    lists: &Path,
    images: &Path,
    automatic: Option<&Path>,
    sink: Sink<'_>,
) -> Result<()> {
    let known = [("training.csv", Split::Train), ("validation.csv", Split::Validation)];
    let found: Vec<(PathBuf, Split)> =
        known.into_iter().map(|(name, split)| (lists.join(name), split)).filter(|(list, _)| list.is_file()).collect();
    if found.is_empty() {
        let expected = "training.csv and validation.csv";
        return Err(Error::NotADataset { path: lists.to_owned(), reader: NAME, expected });
    }
    for (list, _) in &found {
        visit_list(list, &mut |line, row| {
            if let Ok(row) = row {
                reading.given.given(&row.label, || format!("{}, line {line}", encode_path(list)))?;
            }
            Ok(ControlFlow::Continue(()))
        })?;
    }
    if let Some(path) = automatic
        && sink(Item::Skipped { source: encode_path(path), why: AUTOMATIC.to_owned() }).is_break()
    {
        return Ok(());
    }
    let folder = ListedFolder::open(images)?;
    let mut last = ControlFlow::Continue(());
    for (list, split) in &found {
        if last.is_break() {
            break;
        }
        let rows = |visit: RowVisit<'_>| visit_list(list, visit);
        visit_lines(list, &rows, &reading.given, &mut |line| {
            last = sink(reading.line_item(line, &folder, Some(*split))?);
            Ok(last)
        })?;
    }
    Ok(())
}

/// Rows of a list, which has a header or has none: then its seventh field, the expression, is a number.
fn visit_list(list: &Path, visit: RowVisit<'_>) -> Result<()> {
    let mut stream = BufReader::with_capacity(1 << 16, File::open(list).map_err(Error::io(list))?);
    let head = stream.fill_buf().map_err(Error::io(list))?;
    let mut first = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(head);
    let mut row = csv::ByteRecord::new();
    first.read_byte_record(&mut row).map_err(|source| Error::Table { path: list.to_owned(), source })?;
    let expression = row.get(6).map(|field| String::from_utf8_lossy(field).trim().to_owned());
    let has_header = expression.is_none_or(|field| field.parse::<f64>().is_err());
    let header = if has_header { "" } else { HEADER };
    let mut renumbered = |line: u64, row| visit(line - u64::from(!has_header), row);
    visit_rows(list, header.as_bytes().chain(stream), &mut renumbered)
}

/// A part of the reduced release.
struct ReducedPart {
    folder: PathBuf,
    split: Option<Split>,
}

/// `train_set` and `val_set`, at the path itself or up to one level below.
fn reduced_parts(path: &Path) -> Vec<ReducedPart> {
    let walk = WalkDir::new(path).max_depth(2).sort_by_file_name().into_iter();
    // The folders of the images themselves are large and lead nowhere.
    let is_large = |entry: &walkdir::DirEntry| entry.file_name() == "images" || entry.file_name() == "annotations";
    let folders = walk.filter_entry(|entry| entry.depth() == 0 || (entry.file_type().is_dir() && !is_large(entry)));
    let folders = folders.flatten().map(walkdir::DirEntry::into_path);
    let is_part = |folder: &PathBuf| folder.join("images").is_dir() && folder.join("annotations").is_dir();
    let part = |folder: PathBuf| {
        let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let split = Split::parse(name.strip_suffix("_set").unwrap_or(name));
        ReducedPart { folder, split }
    };
    folders.filter(is_part).map(part).collect()
}

fn read_reduced(reading: &Reading<'_>, parts: &[ReducedPart], sink: Sink<'_>) -> Result<()> {
    for part in parts {
        let annotations = part.folder.join("annotations");
        let images = part.folder.join("images");
        let Some(entries) = Entries::open(&images)? else { continue };
        let mut meaning = |image: &Path| match label_of(reading, &annotations, image) {
            Ok(label) => Meaning::face(&label, part.split, None),
            Err(detail) => Meaning::Reject(Reason::NoLabel { detail }),
        };
        if reading.read_files(&entries, &mut meaning, sink)?.is_break() {
            break;
        }
    }
    Ok(())
}

/// The number beside an image, or what is wrong with it. A wrong one costs this image only: there is no list to check
/// beforehand.
fn label_of(reading: &Reading<'_>, annotations: &Path, image: &Path) -> std::result::Result<String, String> {
    if reading.request.unlabelled {
        return Ok(String::new());
    }
    let name = format!("{}{LABEL_END}.npy", stem(image));
    let file = read_file(&annotations.join(&name), &reading.request.limits);
    let file = file.map_err(|reason| format!("annotations/{name}: {reason}"))?;
    let label = single_value(&file.bytes).map_err(|detail| format!("annotations/{name}: {detail}"))?;
    let label = label.trim().to_owned();
    if label.is_empty() {
        return Err(format!("annotations/{name} is empty"));
    }
    reading.given.given(&label, || format!("annotations/{name}")).map_err(|error| error.to_string())?;
    Ok(label)
}

/// The manually annotated set; 287,651 training images with eight classes.
const COUNTS: [KnownCount; 16] = joined(&[
    &part(
        "manually annotated training set",
        Split::Train,
        [
            ("neutral", 74_874),
            ("happiness", 134_415),
            ("sadness", 25_459),
            ("surprise", 14_090),
            ("fear", 6378),
            ("disgust", 3803),
            ("anger", 24_882),
            ("contempt", 3750),
        ],
    ),
    &part(
        "validation set",
        Split::Validation,
        [
            ("neutral", 500),
            ("happiness", 500),
            ("sadness", 500),
            ("surprise", 500),
            ("fear", 500),
            ("disgust", 500),
            ("anger", 500),
            ("contempt", 500),
        ],
    ),
]);
