//! ExpW, Expression in the Wild (Zhang et al., "From facial expression recognition to interpersonal relation prediction",
//! IJCV 2018): 91,793 faces in scenes from the web. `label/label.lst` has a line for each, without a header:
//! `image_name face_id top left right bottom confidence label`; the scenes lie in `image/origin`.
//!
//! The box goes top, left, right, bottom, and may reach out of the image. A scene may hold several faces, and the list
//! some lines twice. There is no split: split by image and not by face.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::counts::{KnownCount, part};
use crate::entries::Entries;
use crate::error::Result;
use crate::glimpse::Glimpse;
use crate::image_files::{Meaning, source_of};
use crate::layout::Layout;
use crate::options::{OptionValues, ReaderOption};
use crate::reader::{Item, ReadRequest, Reader, Sink};
use crate::reading::Reading;
use crate::reject::{Reason, Reject};
use crate::said::{SAID_BEFORE, Said};
use crate::split::Split;
use crate::table::Row;

pub(super) struct ExpW;

const NAME: &str = "expw";
const LIST: &str = "label.lst";

const MIN_CONFIDENCE: ReaderOption = ReaderOption {
    name: "min-confidence",
    values: OptionValues::AtLeast(0.0),
    default: "0",
    about: "faces whose box the detector was less sure of are left out",
};

impl Reader for ExpW {
    fn name(&self) -> &'static str {
        NAME
    }

    fn about(&self) -> &'static str {
        "ExpW: a folder or archive with label/label.lst and image/origin, faces cut out by their boxes"
    }

    fn options(&self) -> &'static [ReaderOption] {
        &[MIN_CONFIDENCE]
    }

    fn evidence(&self, glimpse: &Glimpse) -> Option<String> {
        let list = glimpse.named(LIST)?;
        let head = glimpse.head(list);
        let works = head.is_empty() || head.lines().next().is_some_and(|line| Line::parse(line).is_ok());
        works.then(|| format!("`{}` lists faces with their boxes as ExpW does", list.display()))
    }

    fn read(&self, request: &ReadRequest<'_>, sink: Sink<'_>) -> Result<()> {
        let reading = Reading::numbered(request, NAME, NAME)?;
        let no_list = "a folder or archive with label/label.lst and the scenes in image/origin";
        let entries = request.entries(NAME, no_list)?;
        let layout = Layout::of(&entries, |path| path.file_name() == Some(OsStr::new(LIST)))?;
        let list = layout.tables.first().ok_or_else(|| request.refused(NAME, no_list))?;
        let folder = layout.folders.iter().find(|folder| folder.ends_with("origin") || folder.ends_with("image"));
        let no_scenes = "the scenes in image/origin beside label/label.lst";
        let folder = folder.ok_or_else(|| request.refused(NAME, no_scenes))?;
        let content = entries.contents(|path| path == list, &request.limits)?.remove(0).1;
        let list = List { reading, entries: &entries, path: list, folder, text: &String::from_utf8_lossy(&content) };
        let (scenes, told) = list.scenes()?;
        for item in told {
            if sink(item).is_break() {
                return Ok(());
            }
        }
        let faces = scenes.into_iter().map(|(scene, said)| (scene, Meaning::Listed(said))).collect();
        reading.read_listed(&entries, faces, &|_| format!("not listed in {LIST}"), sink)
    }

    fn known_counts(&self) -> &'static [KnownCount] {
        &COUNTS
    }
}

/// The list of faces.
struct List<'l> {
    reading: Reading<'l>,
    entries: &'l Entries,
    /// Paths below the root, of the list and of the folder with the scenes.
    path: &'l Path,
    folder: &'l Path,
    text: &'l str,
}

impl List<'_> {
    /// What the list says of every scene, and the lines that are no face of their own.
    fn scenes(&self) -> Result<(BTreeMap<PathBuf, Said>, Vec<Item>)> {
        let min_confidence: f64 = self.reading.request.options.number(&MIN_CONFIDENCE)?;
        let (mut scenes, mut told) = (BTreeMap::<PathBuf, Said>::new(), Vec::new());
        for (number, line) in (1..).zip(self.text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
            let source = format!("{}#line={number}", source_of(self.entries, self.path));
            let line = match Line::parse(line) {
                Ok(line) => line,
                Err(detail) => {
                    told.push(Item::Reject(Reject { source, reason: Reason::InvalidRow { detail } }));
                    continue;
                }
            };
            let given = self.reading.given.given(line.label, || source.clone())?;
            if line.confidence < min_confidence {
                let why = format!("the box has a confidence of {}, less than {min_confidence}", line.confidence);
                told.push(Item::Skipped { source, why });
                continue;
            }
            let said = scenes.entry(self.folder.join(line.image)).or_default();
            if !said.add(source.clone(), given, line.row()) {
                told.push(Item::Skipped { source, why: SAID_BEFORE.to_owned() });
            }
        }
        Ok((scenes, told))
    }
}

/// One line of the list.
struct Line<'l> {
    image: &'l str,
    top: f64,
    left: f64,
    right: f64,
    bottom: f64,
    confidence: f64,
    label: &'l str,
}

impl<'l> Line<'l> {
    fn parse(line: &'l str) -> std::result::Result<Self, String> {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [image, _, numbers @ .., label] = fields.as_slice() else {
            return Err(format!("{} fields instead of 8", fields.len()));
        };
        let [top, left, right, bottom, confidence] = numbers else {
            return Err(format!("{} fields instead of 8", fields.len()));
        };
        if image.contains(['/', '\\']) {
            return Err(format!("`{image}` is no plain file name"));
        }
        let number = |text: &str| {
            let number = text.parse().ok().filter(|number: &f64| number.is_finite());
            number.ok_or_else(|| format!("`{text}` is no number of a box"))
        };
        let [top, left, right, bottom] = [number(top)?, number(left)?, number(right)?, number(bottom)?];
        if label.parse::<u32>().is_err() {
            return Err(format!("`{label}` is no label"));
        }
        Ok(Self { image, top, left, right, bottom, confidence: number(confidence)?, label })
    }

    fn row(&self) -> Row {
        let bbox = Some([self.left, self.top, self.right - self.left, self.bottom - self.top]);
        Row { label: self.label.to_owned(), bbox, ..Row::default() }
    }
}

const COUNTS: [KnownCount; 7] = part(
    "all faces",
    Split::Train,
    [
        ("anger", 3671),
        ("disgust", 3995),
        ("fear", 1088),
        ("happiness", 30_537),
        ("sadness", 10_559),
        ("surprise", 7060),
        ("neutral", 34_883),
    ],
);
