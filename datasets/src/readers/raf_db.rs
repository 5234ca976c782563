//! RAF-DB's basic subset (Li, Deng and Du, "Reliable crowdsourcing and deep locality-preserving learning for expression
//! recognition in the wild", CVPR 2017), in two forms.
//!
//! - As published: `basic/EmoLabel/list_patition_label.txt` (so misspelt) with lines like `train_00001.jpg 5`, labels
//!   from 1 to 7, and images as `basic/Image/aligned/train_00001_aligned.jpg` or `basic/Image/original/train_00001.jpg`.
//! - As on Kaggle: `DATASET/{train,test}/{1..7}/train_00001_aligned.jpg`.
//!
//! The compound subset has a list of the same name, whose labels mean pairs of expressions: it is refused.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::counts::{KnownCount, joined, part};
use crate::entries::Entries;
use crate::error::{Error, Result};
use crate::glimpse::Glimpse;
use crate::image_files::{Meaning, source_of};
use crate::layout::{Layout, class_and_split};
use crate::options::{OptionValues, ReaderOption};
use crate::reader::{Item, ReadRequest, Reader, Sink};
use crate::reading::{Reading, stem};
use crate::reject::{Reason, Reject};
use crate::said::{SAID_BEFORE, Said};
use crate::split::Split;
use crate::table::Row;

pub(super) struct RafDb;

const NAME: &str = "raf-db";

const IMAGES: ReaderOption = ReaderOption {
    name: "images",
    values: OptionValues::OneOf(&["aligned", "original"]),
    default: "aligned",
    about: "aligned faces of 100×100, or the original photographs, which may show several people",
};

impl Reader for RafDb {
    fn name(&self) -> &'static str {
        NAME
    }

    fn about(&self) -> &'static str {
        "RAF-DB, basic subset: EmoLabel/list_patition_label.txt with Image/aligned, or Kaggle's {train,test}/{1..7}"
    }

    fn options(&self) -> &'static [ReaderOption] {
        &[IMAGES]
    }

    fn evidence(&self, glimpse: &Glimpse) -> Option<String> {
        if let Some(list) = glimpse.find(is_list) {
            return Some(format!("`{}` is RAF-DB's list of labels", list.display()));
        }
        let image = glimpse.image(|stem| stem.strip_suffix("_aligned").is_some_and(|name| split_of(name).is_some()))?;
        Some(format!("`{}` is named as RAF-DB's aligned faces are", image.display()))
    }

    fn read(&self, request: &ReadRequest<'_>, sink: Sink<'_>) -> Result<()> {
        let expected = "a folder or archive with basic/EmoLabel/list_patition_label.txt and basic/Image, or with \
                        Kaggle's {train,test}/{1..7}";
        let entries = request.entries(NAME, expected)?;
        let reading = Reading::numbered(request, NAME, NAME)?;
        let layout = Layout::of(&entries, is_list)?;
        let (compound, basic): (Vec<_>, Vec<_>) = layout.tables.iter().partition(|list| is_compound(&entries, list));
        if let Some(list) = basic.first() {
            return Listed { reading, entries: &entries, layout: &layout, list }.read(sink);
        }
        if let Some(list) = compound.first() {
            return Err(Error::NotThisPart {
                path: entries.root().join(list),
                what: "this is RAF-DB's compound subset, whose 11 classes are pairs of expressions",
                instead: "import the folder `basic` of the same set",
            });
        }
        let is_numbered = |folder: &PathBuf| {
            let inside = folder.join("image");
            let (class, split) = class_and_split(&inside);
            split.is_some() && class.parse::<u32>().is_ok()
        };
        if !layout.folders.iter().any(is_numbered) {
            return Err(request.refused(NAME, expected));
        }
        reading.read_class_folders(&entries, sink)
    }

    fn known_counts(&self) -> &'static [KnownCount] {
        &COUNTS
    }
}

/// The list of labels, also under its name spelt right.
fn is_list(path: &Path) -> bool {
    ["list_patition_label", "list_partition_label"].contains(&stem(path))
}

/// Whether a list belongs to the compound subset, by the nearest folder that says so.
fn is_compound(entries: &Entries, list: &Path) -> bool {
    let path = entries.root().join(list);
    let subset = path.iter().rev().find(|folder| *folder == "basic" || *folder == "compound");
    subset.is_some_and(|subset| subset == "compound")
}

/// `train_00001` and `test_0001` say their split.
fn split_of(name: &str) -> Option<Split> {
    let (split, number) = name.split_once('_')?;
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| Split::parse(split)).flatten()
}

/// The set as published.
struct Listed<'l> {
    reading: Reading<'l>,
    entries: &'l Entries,
    layout: &'l Layout,
    list: &'l Path,
}

impl Listed<'_> {
    fn read(&self, sink: Sink<'_>) -> Result<()> {
        let request = self.reading.request;
        let are_aligned = request.options.word(&IMAGES) == "aligned";
        let subset = self.list.parent().and_then(Path::parent).unwrap_or(Path::new(""));
        let folder = subset.join("Image").join(if are_aligned { "aligned" } else { "original" });
        if !self.layout.folders.contains(&folder) {
            let expected = match are_aligned {
                true => "Image/aligned beside EmoLabel, or images=original with Image/original",
                false => "Image/original beside EmoLabel, or images=aligned with Image/aligned",
            };
            return Err(request.refused(NAME, expected));
        }
        let content = self.entries.contents(|path| path == self.list, &request.limits)?.remove(0).1;
        let (said, told) = self.lines(&String::from_utf8_lossy(&content), &folder, are_aligned)?;
        for item in told {
            if sink(item).is_break() {
                return Ok(());
            }
        }
        let faces = said.into_iter().map(|(image, said)| (image, Meaning::Listed(said))).collect();
        let unlisted = |path: &Path| match path.parent() == Some(folder.as_path()) {
            true => "not in the list of labels".to_owned(),
            false => format!("not one of the {} images", request.options.word(&IMAGES)),
        };
        self.reading.read_listed(self.entries, faces, &unlisted, sink)
    }

    /// What the list says of every image, and the lines that are no image of their own.
    fn lines(&self, text: &str, folder: &Path, are_aligned: bool) -> Result<(BTreeMap<PathBuf, Said>, Vec<Item>)> {
        let (mut images, mut told) = (BTreeMap::<PathBuf, Said>::new(), Vec::new());
        for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
            let source = format!("{}#line={number}", source_of(self.entries, self.list));
            let (name, row) = match listed(line, are_aligned) {
                Ok(listed) => listed,
                Err(detail) => {
                    told.push(Item::Reject(Reject { source, reason: Reason::InvalidRow { detail } }));
                    continue;
                }
            };
            let given = self.reading.given.given(&row.label, || source.clone())?;
            if !images.entry(folder.join(name)).or_default().add(source.clone(), given, row) {
                told.push(Item::Skipped { source, why: SAID_BEFORE.to_owned() });
            }
        }
        Ok((images, told))
    }
}

/// One line of the list: the image's file name and its row, or what is wrong.
fn listed(line: &str, are_aligned: bool) -> std::result::Result<(String, Row), String> {
    let mut fields = line.split_whitespace();
    let (Some(name), Some(label), None) = (fields.next(), fields.next(), fields.next()) else {
        return Err("a line has an image and a label, such as `train_00001.jpg 5`".to_owned());
    };
    let number = label.parse::<i64>().map_err(|_| format!("`{label}` is no label"))?;
    let (before, extension) = name.rsplit_once('.').unwrap_or((name, "jpg"));
    let split = split_of(before).ok_or_else(|| format!("`{name}` does not begin with train_ or test_ and a number"))?;
    let name = if are_aligned { format!("{before}_aligned.{extension}") } else { name.to_owned() };
    let (label, split) = (number.to_string(), split.as_str().to_owned());
    Ok((name, Row { label, split, ..Row::default() }))
}

/// Counts of the paper; the two parts have 12,271 and 3,068 images.
const COUNTS: [KnownCount; 14] = joined(&[
    &part(
        "train",
        Split::Train,
        [
            ("surprise", 1290),
            ("fear", 281),
            ("disgust", 717),
            ("happiness", 4772),
            ("sadness", 1982),
            ("anger", 705),
            ("neutral", 2524),
        ],
    ),
    &part(
        "test",
        Split::Test,
        [
            ("surprise", 329),
            ("fear", 74),
            ("disgust", 160),
            ("happiness", 1185),
            ("sadness", 478),
            ("anger", 162),
            ("neutral", 680),
        ],
    ),
]);
