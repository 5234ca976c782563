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

use image::GrayImage;

use crate::admission::face_id;
use crate::candidate::{Candidate, NO_IMAGE};
use crate::class_map::ClassMap;
use crate::counts::KnownCount;
use crate::encode::encode_grey_png;
use crate::entries::{Entries, Entry, FileFacts, Found};
use crate::error::{Error, Result};
use crate::given_class::{Given, GivenClasses};
use crate::layout::{Layout, class_and_split};
use crate::reader::{Item, ReadRequest, Reader, Record, Sink};
use crate::reject::{Reason, Reject};
use crate::source::encode_path;
use crate::split::Split;
use crate::table::{column, open_csv};

pub(super) struct Fer2013;

const NAME: &str = "fer2013";
const SIDE: u32 = 48;

impl Reader for Fer2013 {
    fn name(&self) -> &'static str {
        NAME
    }

    fn about(&self) -> &'static str {
        "FER2013: fer2013.csv or icml_face_data.csv, or its images in class folders; also inside .tar, .tar.gz or .zip"
    }

    fn read(&self, request: &ReadRequest<'_>, sink: Sink<'_>) -> Result<()> {
        let given = GivenClasses::of(request).or_class_map(ClassMap::named(NAME)?);
        if let Some(entries) = Entries::open(request.path)? {
            return read_entries(&entries, request, &given, sink);
        }
        if !is_csv(request.path) {
            let expected = "a csv with the columns emotion, pixels and Usage, or images in class folders";
            return Err(Error::NotADataset { path: request.path.to_owned(), reader: NAME, expected });
        }
        let file = File::open(request.path).map_err(Error::io(request.path))?;
        let facts = FileFacts::of(&file).map_err(Error::io(request.path))?;
        let table = Table { path: request.path, source: encode_path(request.path), facts, request, given: &given };
        table.read(file, sink).map(|_| ())
    }

    fn known_counts(&self) -> &'static [KnownCount] {
        &COUNTS
    }
}

fn read_entries(entries: &Entries, request: &ReadRequest<'_>, given: &GivenClasses<'_>, sink: Sink<'_>) -> Result<()> {
    // Tables are met as they come; only what folder names say can be checked beforehand.
    Layout::of(entries, |_| false)?.check_classes(entries, given)?;
    entries.visit(&mut |found| match found {
        Found::Skipped { source, why } => Ok(sink(Item::Skipped { source, why: why.to_owned() })),
        Found::Reject(reject) => Ok(sink(Item::Reject(reject))),
        Found::File(entry) if is_csv(&entry.path) => read_table_entry(entry, request, given, sink),
        Found::File(entry) => Ok(sink(image_item(entry, request, given)?)),
    })
}

/// A csv beside other files: read if it holds pixels, passed over if it is something else (FER+'s votes, a submission).
fn read_table_entry(
    entry: Entry<'_>,
    request: &ReadRequest<'_>,
    given: &GivenClasses<'_>,
    sink: Sink<'_>,
) -> Result<ControlFlow<()>> {
    let (path, source) = (entry.path.clone(), entry.source.clone());
    let (stream, facts) = match entry.stream() {
        Ok(opened) => opened,
        Err(reason) => return Ok(sink(Item::Reject(Reject { source, reason }))),
    };
    let table = Table { path: &path, source, facts, request, given };
    match table.read(stream, sink) {
        Err(Error::MissingColumn { .. }) => {
            Ok(sink(Item::Skipped { source: table.source, why: "a table without a column `pixels`".to_owned() }))
        }
        other => other,
    }
}

/// An image file: class from its folder, split from its name, then from its folder.
fn image_item(entry: Entry<'_>, request: &ReadRequest<'_>, given: &GivenClasses<'_>) -> Result<Item> {
    let (path, source) = (entry.path.clone(), entry.source.clone());
    let content = match Candidate::read(entry, &request.limits) {
        Ok(Candidate::Image(content)) => content,
        Ok(Candidate::Other) => return Ok(Item::Skipped { source, why: NO_IMAGE.to_owned() }),
        Err(reason) => return Ok(Item::Reject(Reject { source, reason })),
    };
    let (class, folder_split) = class_and_split(&path);
    let given_class = match given.given(class, || source.clone())? {
        Given::LeftOut(why) => return Ok(Item::Skipped { source, why }),
        Given::Class(class) => class,
    };
    let prefix = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.split('_').next());
    let split = prefix.and_then(Split::parse).or(folder_split).unwrap_or(Split::Train);
    Ok(Item::Face(Record {
        source,
        image: content.bytes,
        given_class,
        split: Some(request.split.unwrap_or(split)),
        dataset: NAME.to_owned(),
        size: content.size,
        mtime: content.mtime,
        inode: content.inode,
        ..Record::default()
    }))
}

/// A csv of pixels.
struct Table<'t> {
    path: &'t Path,
    source: String,
    facts: FileFacts,
    request: &'t ReadRequest<'t>,
    given: &'t GivenClasses<'t>,
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
        let given = self.given.given(emotion, || "this row".to_owned()).map_err(|error| invalid(error.to_string()))?;
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
            split: Some(self.request.split.or(used).unwrap_or(Split::Train)),
            dataset: NAME.to_owned(),
            size: self.facts.size,
            mtime: self.facts.mtime,
            inode: self.facts.inode,
            source_hash: Some(face_id(pixels)),
            ..Record::default()
        }))
    }
}

/// 2,304 numbers from 0 to 255, row by row.
fn parse_pixels(text: &[u8]) -> std::result::Result<GrayImage, Reason> {
    let invalid = |detail: String| Reason::InvalidRow { detail };
    let wanted = (SIDE * SIDE) as usize;
    let mut pixels = Vec::with_capacity(wanted);
    for number in text.split(u8::is_ascii_whitespace).filter(|number| !number.is_empty()) {
        let value = std::str::from_utf8(number).ok().and_then(|number| number.parse::<u8>().ok());
        let value = value.ok_or_else(|| {
            let number: String = String::from_utf8_lossy(number).chars().take(20).collect();
            invalid(format!("`{number}` is no pixel; pixels are whole numbers from 0 to 255"))
        })?;
        if pixels.len() == wanted {
            return Err(invalid(format!("more than {wanted} pixels")));
        }
        pixels.push(value);
    }
    let count = pixels.len();
    GrayImage::from_raw(SIDE, SIDE, pixels).ok_or_else(|| invalid(format!("{count} pixels instead of {wanted}")))
}

fn is_csv(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv"))
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
