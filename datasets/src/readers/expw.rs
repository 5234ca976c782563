//! ExpW, Expression in the Wild (Zhang et al., "From facial expression recognition to interpersonal relation prediction",
//! IJCV 2018): 91,793 faces in scenes from the web. `label/label.lst` has a line for each, without a header:
//! `image_name face_id top left right bottom confidence label`; the scenes lie in `image/origin`.
//!
//! The box goes top, left, right, bottom, and may reach out of the image. A scene may hold several faces, and the list
//! some lines twice. There is no split: split by image and not by face.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::ops::ControlFlow;
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
        let scenes = layout.folders.iter().find(|folder| folder.ends_with("origin") || folder.ends_with("image"));
        let no_scenes = "the scenes in image/origin beside label/label.lst";
        let scenes = scenes.ok_or_else(|| request.refused(NAME, no_scenes))?;
        let content = entries.contents(|path| path == list, &request.limits)?.remove(0).1;
        let list = List { reading, entries: &entries, path: list, scenes, text: &String::from_utf8_lossy(&content) };
        list.check()?;
        let Some(rows) = list.rows(sink)? else { return Ok(()) };
        let faces = rows.into_iter().map(|(scene, rows)| (scene, Meaning::Faces(rows))).collect();
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
    scenes: &'l Path,
    text: &'l str,
}

impl List<'_> {
    /// Every line that says something, with its number from 1.
    fn lines(&self) -> impl Iterator<Item = (String, &str)> {
        let lines = self.text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        lines.map(|(i, line)| (format!("{}#line={}", source_of(self.entries, self.path), i + 1), line))
    }

    /// Refuses a list with a class that nobody knows.
    fn check(&self) -> Result<()> {
        for (source, line) in self.lines() {
            if let Ok(line) = Line::parse(line) {
                self.reading.given.given(line.label, || source)?;
            }
        }
        Ok(())
    }

    /// The faces by scene. Lines that are no face of their own are told to the sink; `None` where it wants no more.
    fn rows(&self, sink: Sink<'_>) -> Result<Option<BTreeMap<PathBuf, Vec<Row>>>> {
        let min_confidence: f64 = self.reading.request.options.number(&MIN_CONFIDENCE)?;
        let mut rows: BTreeMap<PathBuf, Vec<Row>> = BTreeMap::new();
        for (source, line) in self.lines() {
            let item = match Line::parse(line) {
                Err(detail) => Item::Reject(Reject { source, reason: Reason::InvalidRow { detail } }),
                Ok(line) if line.confidence < min_confidence => {
                    let why = format!("the box has a confidence of {}, less than {min_confidence}", line.confidence);
                    Item::Skipped { source, why }
                }
                Ok(line) => {
                    let row = line.row();
                    let faces = rows.entry(self.scenes.join(line.image)).or_default();
                    if !faces.contains(&row) {
                        faces.push(row);
                        continue;
                    }
                    Item::Skipped { source, why: "the same face stands in the list before".to_owned() }
                }
            };
            if sink(item) == ControlFlow::Break(()) {
                return Ok(None);
            }
        }
        Ok(Some(rows))
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
