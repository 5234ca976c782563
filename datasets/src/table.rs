//! Tables that list images: csv with `,`, `;` or tab, or one JSON object per line. Out come rows under one set of
//! column names, whatever the file calls them.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{BufRead, BufReader, Cursor, Read};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::reject::Reason;
use crate::source::os_string;

/// One row: an image and what is said about it. Text is empty where a column is missing.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Row {
    pub path: PathBuf,
    pub label: String,
    pub split: String,
    pub subject: String,
    pub annotator: String,
    /// x, y, width and height as written.
    pub bbox: Option<[f64; 4]>,
    /// As [`Record::votes`](crate::Record::votes).
    pub votes: Option<Vec<u32>>,
}

impl Row {
    /// Whether both are one person's word on one face, if they are about one image. The class may differ.
    pub(crate) fn is_same_face(&self, other: &Self) -> bool {
        self.bbox == other.bbox
            && self.annotator == other.annotator
            && self.split == other.split
            && self.subject == other.subject
    }

    /// The same for rows about one image and [the same face](Self::is_same_face).
    pub(crate) fn face_hash(&self) -> u64 {
        let bbox = self.bbox.map(|sides| sides.map(f64::to_bits));
        let mut hasher = DefaultHasher::new();
        (&self.path, bbox, &self.annotator, &self.split, &self.subject).hash(&mut hasher);
        hasher.finish()
    }
}

/// Visits rows with their line numbers, from 1. A row that does not work comes as a reason.
pub(crate) type RowVisit<'v> = &'v mut dyn FnMut(u64, std::result::Result<Row, Reason>) -> Result<ControlFlow<()>>;

const PATH: &[&str] =
    &["path", "file_name", "image", "filename", "file", "image_path", "image_name", "subdirectory_filepath"];
const LABEL: &[&str] = &["label", "expression", "emotion", "class"];
const SPLIT: &[&str] = &["split", "usage", "partition", "original_split"];
const SUBJECT: &[&str] = &["subject", "subject_id", "person", "identity", "participant"];
const ANNOTATOR: &[&str] = &["annotator", "annotator_id", "rater"];
const BOX: [&[&str]; 4] = [&["x", "face_x"], &["y", "face_y"], &["width", "face_width"], &["height", "face_height"]];

/// Whether a file name is one of a table.
pub(crate) fn is_table(path: &Path) -> bool {
    path.extension().is_some_and(|extension| {
        ["csv", "tsv", "txt", "jsonl"].iter().any(|known| extension.eq_ignore_ascii_case(known))
    })
}

/// Reads a table row by row; the extension `jsonl` says JSON lines, all else is csv.
///
/// # Errors
/// A table without a path column, or that cannot be read at all, and the visitor's own.
pub(crate) fn visit_rows(table: &Path, stream: impl Read, visit: RowVisit<'_>) -> Result<()> {
    match table.extension() {
        Some(extension) if extension.eq_ignore_ascii_case("jsonl") => visit_json(table, stream, visit),
        _ => visit_csv(table, stream, visit),
    }
}

/// Whether the beginning of a table shows a column for the images' paths.
pub(crate) fn lists_images(table: &Path, head: &str) -> bool {
    if table.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("jsonl")) {
        return head.lines().next().is_some_and(|line| json_row(line).is_ok());
    }
    open_csv(table, head.as_bytes()).is_ok_and(|(_, header)| column(&header, PATH).is_some())
}

/// A stream whose beginning was looked at.
pub(crate) type TableStream<R> = std::io::Chain<Cursor<Vec<u8>>, R>;

/// A csv reader past byte order mark and header, and the header's names trimmed and in lower case.
pub(crate) fn open_csv<R: Read>(table: &Path, mut stream: R) -> Result<(csv::Reader<TableStream<R>>, Vec<String>)> {
    let mut head = Vec::new();
    stream.by_ref().take(1 << 16).read_to_end(&mut head).map_err(Error::io(table))?;
    if head.starts_with(b"\xEF\xBB\xBF") {
        head.drain(..3);
    }
    let delimiter = delimiter_of(head.split(|&byte| byte == b'\n').next().unwrap_or_default());
    let mut csv = csv::ReaderBuilder::new()
        .delimiter(delimiter)
        .flexible(true)
        .buffer_capacity(1 << 16)
        .from_reader(Cursor::new(head).chain(stream));
    let header = csv.byte_headers().map_err(|source| Error::Table { path: table.to_owned(), source })?;
    let names = header.iter().map(|name| String::from_utf8_lossy(name).trim().to_lowercase()).collect();
    Ok((csv, names))
}

/// Where a column stands, under the first of its names that the header has.
pub(crate) fn column(header: &[String], names: &[&str]) -> Option<usize> {
    names.iter().find_map(|name| header.iter().position(|known| known == name))
}

/// The delimiter that the header line uses most, outside quotes.
fn delimiter_of(header: &[u8]) -> u8 {
    let count = |delimiter: u8| {
        let mut quoted = false;
        let mut counted = 0;
        for &byte in header {
            quoted ^= byte == b'"';
            counted += usize::from(byte == delimiter && !quoted);
        }
        counted
    };
    // The last of equals wins: the comma.
    [b'\t', b';', b','].into_iter().max_by_key(|&delimiter| count(delimiter)).unwrap_or(b',')
}

fn visit_csv(table: &Path, stream: impl Read, visit: RowVisit<'_>) -> Result<()> {
    let (mut csv, header) = open_csv(table, stream)?;
    let Some(path) = column(&header, PATH) else {
        let wanted = "for the image's path (path, file_name, image or filename)";
        return Err(Error::MissingColumn { path: table.to_owned(), wanted, found: header.join(", ") });
    };
    let [label, split, subject, annotator] = [LABEL, SPLIT, SUBJECT, ANNOTATOR].map(|names| column(&header, names));
    let bbox = BOX.map(|names| column(&header, names));
    let mut record = csv::ByteRecord::new();
    loop {
        match csv.read_byte_record(&mut record) {
            Ok(true) => {}
            Ok(false) => return Ok(()),
            Err(source) => return Err(Error::Table { path: table.to_owned(), source }),
        }
        let line = record.position().map_or(0, csv::Position::line);
        let bytes = |column: Option<usize>| column.and_then(|i| record.get(i)).unwrap_or_default().trim_ascii();
        let text = |column| String::from_utf8_lossy(bytes(column)).into_owned();
        let row = parse_box(bbox.map(text)).and_then(|bbox| {
            let path = path_of(bytes(Some(path)))?;
            let (label, split, subject, annotator) = (text(label), text(split), text(subject), text(annotator));
            Ok(Row { path, label, split, subject, annotator, bbox, votes: None })
        });
        if visit(line, row)?.is_break() {
            return Ok(());
        }
    }
}

fn visit_json(table: &Path, stream: impl Read, visit: RowVisit<'_>) -> Result<()> {
    for (i, line) in BufReader::new(stream).lines().enumerate() {
        let line = line.map_err(Error::io(table))?;
        let line = line.trim_start_matches('\u{FEFF}').trim();
        if line.is_empty() {
            continue;
        }
        if visit(i as u64 + 1, json_row(line))?.is_break() {
            break;
        }
    }
    Ok(())
}

fn json_row(line: &str) -> std::result::Result<Row, Reason> {
    let invalid = |detail: String| Reason::InvalidRow { detail };
    let value: serde_json::Value = serde_json::from_str(line).map_err(|error| invalid(error.to_string()))?;
    let object = value.as_object().ok_or_else(|| invalid("not a JSON object".to_owned()))?;
    let field = |names: &[&str]| {
        let found = names.iter().find_map(|name| object.iter().find(|(key, _)| key.trim().eq_ignore_ascii_case(name)));
        found.map(|(_, value)| value)
    };
    let text = |names| match field(names) {
        None | Some(serde_json::Value::Null) => String::new(),
        Some(serde_json::Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    let bbox = match field(&["bbox", "box"]).and_then(|value| value.as_array()) {
        Some(values) if values.len() == 4 => parse_box([0, 1, 2, 3].map(|i| values[i].to_string()))?,
        Some(_) => return Err(invalid("a box has four numbers: x, y, width, height".to_owned())),
        None => parse_box(BOX.map(text))?,
    };
    Ok(Row {
        path: path_of(text(PATH).as_bytes())?,
        label: text(LABEL),
        split: text(SPLIT),
        subject: text(SUBJECT),
        annotator: text(ANNOTATOR),
        bbox,
        votes: None,
    })
}

/// Windows' separators are understood: tables travel further than the machine they were written on.
fn path_of(bytes: &[u8]) -> std::result::Result<PathBuf, Reason> {
    if bytes.is_empty() {
        return Err(Reason::InvalidRow { detail: "it names no image".to_owned() });
    }
    let bytes = bytes.iter().map(|&byte| if byte == b'\\' { b'/' } else { byte }).collect();
    Ok(PathBuf::from(os_string(bytes)))
}

fn parse_box(texts: [String; 4]) -> std::result::Result<Option<[f64; 4]>, Reason> {
    if texts.iter().all(String::is_empty) {
        return Ok(None);
    }
    let mut bbox = [0.0; 4];
    for (value, text) in bbox.iter_mut().zip(&texts) {
        *value = text.parse().ok().filter(|value: &f64| value.is_finite()).ok_or_else(|| Reason::InvalidRow {
            detail: format!("the box needs numbers for x, y, width and height, not `{}`", texts.join(", ")),
        })?;
    }
    Ok(Some(bbox))
}
