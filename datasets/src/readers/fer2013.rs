//! FER2013 (Goodfellow et al., ICML 2013 challenges in representation learning): 48×48 grey, seven classes, in the
//! two forms that circulate.
//!
//! - A csv with the columns `emotion`, `pixels` and `Usage` in any order (`fer2013.csv`, `icml_face_data.csv`,
//!   `train.csv`, `test.csv`), alone, in a folder or in an archive. Each row becomes a grey PNG.
//! - Images as `<class>/Training_1.jpg` or `train/<class>/Training_1.jpg` in a folder or an archive. The file name's
//!   prefix tells the parts apart that Kaggle's `test` folder mixes.
//!
//! `Training` is read as train, `PublicTest` and `PrivateTest` as test.

use std::fs::File;
use std::io::Read;
use std::ops::ControlFlow;
use std::path::Path;

use crate::admission::face_id;
use crate::candidate::{Candidate, NO_IMAGE};
use crate::counts::KnownCount;
use crate::encode::encode_grey_png;
use crate::entries::{Entries, Entry, FileFacts, Found};
use crate::error::{Error, Result};
use crate::given_class::Given;
use crate::glimpse::Glimpse;
use crate::layout::{Layout, class_and_split};
use crate::pixel_text::parse_pixels;
use crate::reader::{Item, ReadRequest, Reader, Record, Sink};
use crate::reading::{Reading, stem};
use crate::reject::{Reason, Reject};
use crate::source::encode_path;
use crate::split::Split;
use crate::table::{Row, column, open_csv};

pub(super) struct Fer2013;

const NAME: &str = "fer2013";

impl Reader for Fer2013 {
    fn name(&self) -> &'static str {
        NAME
    }

    fn about(&self) -> &'static str {
        "FER2013: fer2013.csv or icml_face_data.csv, or its images in class folders; also inside .tar, .tar.gz or .zip"
    }

    fn evidence(&self, glimpse: &Glimpse) -> Option<String> {
        let table = glimpse.find(|path| is_csv(path) && (is_published(path) || has_pixels(path, &glimpse.head(path))));
        if let Some(table) = table {
            return Some(format!("`{}` is a table of pixels", table.display()));
        }
        let image = glimpse.image(|stem| PARTS.iter().any(|part| numbered(stem, part)))?;
        Some(format!("`{}` is named as FER2013's images are", image.display()))
    }

    fn read(&self, request: &ReadRequest<'_>, sink: Sink<'_>) -> Result<()> {
        let reading = Reading::numbered(request, NAME, NAME)?;
        if let Some(entries) = Entries::open(request.path)? {
            return read_entries(&entries, &reading, sink);
        }
        if !is_csv(request.path) {
            let expected = "a csv with the columns emotion, pixels and Usage, or images in class folders";
            return Err(request.refused(NAME, expected));
        }
        let file = File::open(request.path).map_err(Error::io(request.path))?;
        let facts = FileFacts::of(&file).map_err(Error::io(request.path))?;
        let table = Table { path: request.path, source: encode_path(request.path), facts, reading };
        table.read(file, sink).map(|_| ())
    }

    fn known_counts(&self) -> &'static [KnownCount] {
        &COUNTS
    }
}

fn read_entries(entries: &Entries, reading: &Reading<'_>, sink: Sink<'_>) -> Result<()> {
    // Tables are met as they come; only what folder names say can be checked beforehand.
    Layout::of(entries, |_| false)?.check_classes(entries, &reading.given)?;
    entries.visit(&mut |found| match found {
        Found::Skipped { source, why } => Ok(sink(Item::Skipped { source, why: why.to_owned() })),
        Found::Reject(reject) => Ok(sink(Item::Reject(reject))),
        Found::File(entry) if is_csv(&entry.path) => read_table_entry(entry, reading, sink),
        Found::File(entry) => Ok(sink(image_item(entry, reading)?)),
    })
}

/// A csv beside other files: read if it holds pixels, passed over if it is something else (FER+'s votes, a submission).
fn read_table_entry(entry: Entry<'_>, reading: &Reading<'_>, sink: Sink<'_>) -> Result<ControlFlow<()>> {
    let (path, source) = (entry.path.clone(), entry.source.clone());
    let (stream, facts) = match entry.stream() {
        Ok(opened) => opened,
        Err(reason) => return Ok(sink(Item::Reject(Reject { source, reason }))),
    };
    let table = Table { path: &path, source, facts, reading: *reading };
    match table.read(stream, sink) {
        Err(Error::MissingColumn { .. }) => {
            Ok(sink(Item::Skipped { source: table.source, why: "a table without a column `pixels`".to_owned() }))
        }
        other => other,
    }
}

/// An image file: class from its folder, split from its name, then from its folder.
fn image_item(entry: Entry<'_>, reading: &Reading<'_>) -> Result<Item> {
    let (path, source) = (entry.path.clone(), entry.source.clone());
    let content = match Candidate::read(entry, &reading.request.limits) {
        Ok(Candidate::Image(content)) => content,
        Ok(Candidate::Other) => return Ok(Item::Skipped { source, why: NO_IMAGE.to_owned() }),
        Err(reason) => return Ok(Item::Reject(Reject { source, reason })),
    };
    let (class, folder_split) = class_and_split(&path);
    let split = stem(&path).split('_').next().and_then(Split::parse).or(folder_split).unwrap_or(Split::Train);
    let row = Row { label: class.to_owned(), ..Row::default() };
    reading.item(&row, || Ok(content), source, Some(split))
}

/// A csv of pixels.
struct Table<'t> {
    path: &'t Path,
    source: String,
    facts: FileFacts,
    reading: Reading<'t>,
}

impl Table<'_> {
    fn read(&self, stream: impl Read, sink: Sink<'_>) -> Result<ControlFlow<()>> {
        let (mut csv, header) = open_csv(self.path, stream)?;
        let Some(pixels) = column(&header, &["pixels"]) else {
            let (path, wanted) = (self.path.to_owned(), "`pixels`");
            return Err(Error::MissingColumn { path, wanted, found: header.join(", ") });
        };
        let (emotion, usage) = (column(&header, &["emotion"]), column(&header, &["usage"]));
        // `train.csv` and `test.csv` of the challenge say it in their names only.
        let named = self.path.file_stem().and_then(|stem| stem.to_str()).and_then(Split::parse);
        let mut row = csv::ByteRecord::new();
        let mut number = 0u64;
        while csv.read_byte_record(&mut row).map_err(|source| Error::Table { path: self.path.to_owned(), source })? {
            let field = |column: Option<usize>| column.and_then(|i| row.get(i)).unwrap_or_default().trim_ascii();
            let text = |column| String::from_utf8_lossy(field(column)).into_owned();
            let source = format!("{}#row={number}", self.source);
            let item = match self.record(field(Some(pixels)), &text(emotion), &text(usage), named, &source) {
                Ok(Ok(record)) => Item::Face(record),
                Ok(Err(why)) => Item::Skipped { source, why },
                Err(reason) => Item::Reject(Reject { source, reason }),
            };
            if sink(item).is_break() {
                return Ok(ControlFlow::Break(()));
            }
            number += 1;
        }
        Ok(ControlFlow::Continue(()))
    }

    /// The record of one row, or why it is left out.
    fn record(
        &self,
        pixels: &[u8],
        emotion: &str,
        usage: &str,
        named: Option<Split>,
        source: &str,
    ) -> std::result::Result<std::result::Result<Record, String>, Reason> {
        let invalid = |detail: String| Reason::InvalidRow { detail };
        // One wrong row in 36,000 should not cost the others, so here an unknown class is a reject.
        let given = self.reading.given.given(emotion, || "this row".to_owned()).map_err(|error| invalid(error.to_string()))?;
        let given_class = match given {
            Given::LeftOut(why) => return Ok(Err(why)),
            Given::Class(class) => class,
        };
        let used = match usage {
            "" => named,
            usage => Some(Split::parse(usage).ok_or_else(|| invalid(format!("`{usage}` is no usage that is known")))?),
        };
        Ok(Ok(Record {
            source: source.to_owned(),
            image: encode_grey_png(&parse_pixels(pixels)?),
            given_class,
            split: Some(self.reading.request.split.or(used).unwrap_or(Split::Train)),
            dataset: NAME.to_owned(),
            size: self.facts.size,
            mtime: self.facts.mtime,
            inode: self.facts.inode,
            source_hash: Some(face_id(pixels)),
            ..Record::default()
        }))
    }
}

fn is_csv(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv"))
}

/// Whether a table has the name it was published under; inside archives that is all that is seen of it.
fn is_published(path: &Path) -> bool {
    ["fer2013", "icml_face_data"].contains(&stem(path))
}

fn has_pixels(path: &Path, head: &str) -> bool {
    open_csv(path, head.as_bytes()).is_ok_and(|(_, header)| column(&header, &["pixels"]).is_some())
}

/// The parts of the set, as file names begin with them.
const PARTS: [&str; 3] = ["Training", "PublicTest", "PrivateTest"];

fn numbered(stem: &str, part: &str) -> bool {
    let number = stem.strip_prefix(part).and_then(|rest| rest.strip_prefix('_'));
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

const fn count(part: &'static str, split: Split, class: &'static str, count: usize) -> KnownCount {
    KnownCount { part, split, class, count }
}

/// Counted on the published files.
const COUNTS: [KnownCount; 21] = [
    count("Training", Split::Train, "anger", 3995),
    count("Training", Split::Train, "disgust", 436),
    count("Training", Split::Train, "fear", 4097),
    count("Training", Split::Train, "happiness", 7215),
    count("Training", Split::Train, "neutral", 4965),
    count("Training", Split::Train, "sadness", 4830),
    count("Training", Split::Train, "surprise", 3171),
    count("PublicTest", Split::Test, "anger", 467),
    count("PublicTest", Split::Test, "disgust", 56),
    count("PublicTest", Split::Test, "fear", 496),
    count("PublicTest", Split::Test, "happiness", 895),
    count("PublicTest", Split::Test, "neutral", 607),
    count("PublicTest", Split::Test, "sadness", 653),
    count("PublicTest", Split::Test, "surprise", 415),
    count("PrivateTest", Split::Test, "anger", 491),
    count("PrivateTest", Split::Test, "disgust", 55),
    count("PrivateTest", Split::Test, "fear", 528),
    count("PrivateTest", Split::Test, "happiness", 879),
    count("PrivateTest", Split::Test, "neutral", 626),
    count("PrivateTest", Split::Test, "sadness", 594),
    count("PrivateTest", Split::Test, "surprise", 416),
];
