//! Images that a table lists: a row and the folder it belongs to become a record.

use std::fs;
use std::path::{Component, Path, PathBuf};

use image::DynamicImage;

use crate::admission::face_id;
use crate::decode::decode_upright;
use crate::encode::encode_png;
use crate::error::{Error, Result};
use crate::file::{FileContent, read_file, unreadable};
use crate::given_class::{Given, GivenClasses};
use crate::limits::Limits;
use crate::reader::{Item, ReadRequest, Record};
use crate::reject::{Reason, Reject};
use crate::source::encode_path;
use crate::split::Split;
use crate::table::Row;

/// A folder whose images are listed in a table. No row reaches a file outside it.
#[derive(Debug)]
pub(crate) struct ListedFolder {
    folder: PathBuf,
    /// The folder with every link resolved, to compare with.
    canonical: PathBuf,
}

impl ListedFolder {
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        let canonical = fs::canonicalize(folder).map_err(Error::io(folder))?;
        Ok(Self { folder: folder.to_owned(), canonical })
    }

    /// The source of a row's image.
    pub(crate) fn source(&self, row: &Row) -> String {
        encode_path(&self.folder.join(&row.path))
    }

    /// Reads a row's image. Links within the folder are fine, links and `..` out of it are not.
    pub(crate) fn read(&self, row: &Row, limits: &Limits) -> std::result::Result<FileContent, Reason> {
        if leaves(&row.path) {
            return Err(Reason::OutsideFolder);
        }
        let path = fs::canonicalize(self.folder.join(&row.path)).map_err(|error| unreadable(&error))?;
        if !path.starts_with(&self.canonical) {
            return Err(Reason::OutsideFolder);
        }
        read_file(&path, limits)
    }
}

/// Whether a relative path climbs above its start by its words alone.
fn leaves(path: &Path) -> bool {
    let mut depth = 0i64;
    for component in path.components() {
        match component {
            Component::ParentDir => depth -= 1,
            Component::Normal(_) => depth += 1,
            // An absolute path is judged by where it leads.
            Component::RootDir | Component::Prefix(_) => return false,
            Component::CurDir => {}
        }
        if depth < 0 {
            return true;
        }
    }
    false
}

/// The item of one row, its image already read. `fallback` is the split where the row names none.
pub(crate) fn item_of(
    row: &Row,
    content: std::result::Result<FileContent, Reason>,
    source: String,
    dataset: &str,
    fallback: Option<Split>,
    request: &ReadRequest<'_>,
) -> Result<Item> {
    let given = match GivenClasses::of(request).given(&row.label, || source.clone())? {
        Given::LeftOut(why) => return Ok(Item::Skipped { source, why }),
        Given::Class(class) => class,
    };
    let made = content.and_then(|content| {
        let named = match row.split.as_str() {
            "" => None,
            text => {
                Some(Split::parse(text).ok_or_else(|| Reason::InvalidRow { detail: format!("`{text}` is no split") })?)
            }
        };
        let mut record = Record {
            source: source.clone(),
            given_class: given,
            split: request.split.or(named).or(fallback),
            subject: some_text(&row.subject),
            annotator: some_text(&row.annotator),
            dataset: dataset.to_owned(),
            size: content.size,
            mtime: content.mtime,
            inode: content.inode,
            ..Record::default()
        };
        match row.bbox {
            None => record.image = content.bytes,
            Some(bbox) => crop_into(&mut record, content.bytes, bbox, &request.limits)?,
        }
        Ok(record)
    });
    Ok(made.map_or_else(|reason| Item::Reject(Reject { source, reason }), Item::Face))
}

/// Cuts the box out of the upright image. A box around all of it changes nothing, so the file's own bytes stay.
fn crop_into(record: &mut Record, file: Vec<u8>, bbox: [f64; 4], limits: &Limits) -> std::result::Result<(), Reason> {
    let (_, pixels) = decode_upright(&file, limits)?;
    let [x, y, width, height] = clip(bbox, &pixels)?;
    if [x, y, width, height] == [0, 0, pixels.width(), pixels.height()] {
        record.image = file;
        return Ok(());
    }
    record.image = encode_png(&pixels.crop_imm(x, y, width, height));
    record.source_hash = Some(face_id(&file));
    record.bbox = Some([x, y, width, height]);
    Ok(())
}

/// The part of a box that lies inside the image, in whole pixels.
fn clip(bbox: [f64; 4], pixels: &DynamicImage) -> std::result::Result<[u32; 4], Reason> {
    let [x, y, width, height] = bbox.map(f64::round);
    let across = |value: f64| value.clamp(0.0, f64::from(pixels.width())) as u32;
    let down = |value: f64| value.clamp(0.0, f64::from(pixels.height())) as u32;
    let (left, top, right, bottom) = (across(x), down(y), across(x + width), down(y + height));
    if right <= left || bottom <= top {
        let bbox = [x, y, width, height].map(|value| value as i64);
        return Err(Reason::InvalidBox { bbox, width: pixels.width(), height: pixels.height() });
    }
    Ok([left, top, right - left, bottom - top])
}

fn some_text(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}
