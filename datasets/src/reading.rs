//! From what a data set says of an image to an item: the one way that all readers of image files take.

use std::path::Path;

use image::DynamicImage;

use crate::admission::face_id;
use crate::class_map::ClassMap;
use crate::decode::decode_upright;
use crate::encode::encode_png;
use crate::error::Result;
use crate::file::FileContent;
use crate::given_class::{Given, GivenClasses};
use crate::limits::Limits;
use crate::lines::Line;
use crate::listed::ListedFolder;
use crate::reader::{Item, ReadRequest, Record};
use crate::reject::{Reason, Reject};
use crate::split::Split;
use crate::table::Row;
use crate::tiff::{decode_tiff, is_tiff};

/// One reading of a data set: what was asked for, what class texts mean in it, and the set's name.
#[derive(Clone, Copy)]
pub(crate) struct Reading<'r> {
    pub request: &'r ReadRequest<'r>,
    pub given: GivenClasses<'r>,
    pub dataset: &'r str,
}

impl<'r> Reading<'r> {
    /// A reading of a set whose classes are words.
    pub(crate) fn of(request: &'r ReadRequest<'r>, dataset: &'r str) -> Self {
        Self { request, given: GivenClasses::of(request), dataset }
    }

    /// A reading of a set that numbers its classes by this map; one that the user named goes first.
    pub(crate) fn numbered(request: &'r ReadRequest<'r>, dataset: &'r str, map: &str) -> Result<Self> {
        Ok(Self { request, given: GivenClasses::of(request).or_class_map(ClassMap::named(map)?), dataset })
    }

    /// The item of one row. `content` is asked for only if the face is wanted; `fallback` is the split where the row
    /// names none.
    ///
    /// # Errors
    /// A class nobody knows.
    pub(crate) fn item(
        &self,
        row: &Row,
        content: impl FnOnce() -> std::result::Result<FileContent, Reason>,
        source: String,
        fallback: Option<Split>,
    ) -> Result<Item> {
        let given_class = match self.given.given(&row.label, || source.clone())? {
            Given::LeftOut(why) => return Ok(Item::Skipped { source, why }),
            Given::Class(class) => class,
        };
        let made = content().and_then(|content| {
            let mut record = Record {
                source: source.clone(),
                votes: row.votes.clone().filter(|_| given_class.is_some()),
                given_class,
                split: self.request.split.or(split_of(row)?).or(fallback),
                subject: some_text(&row.subject),
                annotator: some_text(&row.annotator),
                dataset: self.dataset.to_owned(),
                size: content.size,
                mtime: content.mtime,
                inode: content.inode,
                ..Record::default()
            };
            image_into(&mut record, content.bytes, row.bbox, &self.request.limits)?;
            Ok(record)
        });
        Ok(made.map_or_else(|reason| Item::Reject(Reject { source, reason }), Item::Face))
    }

    /// The item of a line of a table, whose images lie in `folder`.
    ///
    /// # Errors
    /// As [`Reading::item`].
    pub(crate) fn line_item(&self, line: Line, folder: &ListedFolder, fallback: Option<Split>) -> Result<Item> {
        match line {
            Line::Face(row) => {
                self.item(&row, || folder.read(&row, &self.request.limits), folder.source(&row), fallback)
            }
            Line::Contradicted(row, reason) => Ok(Item::Reject(Reject { source: folder.source(&row), reason })),
            Line::Other(item) => Ok(item),
        }
    }
}

/// Puts the image of a record in place: the file's own bytes, or a PNG where only a part of it is meant or the file is
/// a TIFF. A box around all of the image changes nothing.
fn image_into(
    record: &mut Record,
    file: Vec<u8>,
    bbox: Option<[f64; 4]>,
    limits: &Limits,
) -> std::result::Result<(), Reason> {
    let is_tiff = is_tiff(&file);
    if bbox.is_none() && !is_tiff {
        record.image = file;
        return Ok(());
    }
    let pixels = if is_tiff { decode_tiff(&file, limits)? } else { decode_upright(&file, limits)?.1 };
    let whole = [0, 0, pixels.width(), pixels.height()];
    let part = bbox.map_or(Ok(whole), |bbox| clip(bbox, &pixels))?;
    if part == whole && !is_tiff {
        record.image = file;
        return Ok(());
    }
    let [x, y, width, height] = part;
    record.image = encode_png(&pixels.crop_imm(x, y, width, height));
    record.source_hash = Some(face_id(&file));
    record.bbox = (part != whole).then_some(part);
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

fn split_of(row: &Row) -> std::result::Result<Option<Split>, Reason> {
    match row.split.as_str() {
        "" => Ok(None),
        text => match Split::parse(text) {
            None => Err(Reason::InvalidRow { detail: format!("`{text}` is no split") }),
            split => Ok(split),
        },
    }
}

fn some_text(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

/// The name of a file without its extension, where it is text.
pub(crate) fn stem(path: &Path) -> &str {
    path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default()
}
