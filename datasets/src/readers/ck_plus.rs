//! CK+, the extended Cohn-Kanade set (Lucey et al., CVPR workshops 2010), in two forms.
//!
//! - Sequences: `cohn-kanade-images/S005/001/S005_001_00000011.png` and, for 327 of the 593, a label in
//!   `Emotion/S005/001/S005_001_00000011_emotion.txt`. They run from neutral to the height of the expression: the last
//!   frames are read with its class. A sequence without a label is unlabelled, not neutral. That the first frame is
//!   neutral is a convention, and read so only where it is asked for.
//! - CK+48, which circulates: `CK+48/anger/S010_004_00000017.png`, the last three frames of the labelled sequences.
//!
//! There is no split: fold by person. The frames of a sequence are near copies.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use crate::candidate::has_image_extension;
use crate::counts::{KnownCount, joined, part, times};
use crate::entries::Entries;
use crate::error::{Error, Result};
use crate::glimpse::Glimpse;
use crate::image_files::{Meaning, source_of};
use crate::layout::class_and_split;
use crate::options::{OptionValues, ReaderOption};
use crate::reader::{Item, ReadRequest, Reader, Sink};
use crate::reading::{Reading, stem};
use crate::reject::Reason;
use crate::said::Said;
use crate::sequences::{FRAMES, Sequences};
use crate::split::Split;
use crate::subject::ck_plus_name;
use crate::table::Row;

pub(super) struct CkPlus;

const NAME: &str = "ck-plus";
const LABEL_END: &str = "_emotion";

const NEUTRAL: ReaderOption = ReaderOption {
    name: "neutral",
    values: OptionValues::OneOf(&["none", "labelled", "all"]),
    default: "none",
    about: "whether the first frames of the labelled or of all sequences are read as neutral, a convention and no label",
};

impl Reader for CkPlus {
    fn name(&self) -> &'static str {
        NAME
    }

    fn about(&self) -> &'static str {
        "CK+: cohn-kanade-images with Emotion beside it, or CK+48's class folders; a folder or archive"
    }

    fn options(&self) -> &'static [ReaderOption] {
        &[FRAMES, NEUTRAL]
    }

    fn evidence(&self, glimpse: &Glimpse) -> Option<String> {
        let frame = glimpse.image(|stem| ck_plus_name(stem).is_some())?;
        Some(format!("`{}` is named as CK+'s frames are", frame.display()))
    }

    fn read(&self, request: &ReadRequest<'_>, sink: Sink<'_>) -> Result<()> {
        let expected = "frames named like S005_001_00000011.png, in folders of sequences or of classes";
        let entries = request.entries(NAME, expected)?;
        let sequences = Sequences::of(&entries, sequence_of)?;
        if sequences.is_empty() {
            return Err(request.refused(NAME, expected));
        }
        let files = label_files(&entries, request)?;
        let are_folders_classes = files.is_empty() && !sequences.paths().any(lies_in_sequence);
        if are_folders_classes {
            if request.options.word(&NEUTRAL) != "none" {
                let valid = "none for CK+48, which has the last frames of its sequences only".to_owned();
                let value = request.options.word(&NEUTRAL).to_owned();
                return Err(Error::InvalidOptionValue { name: NEUTRAL.name, value, valid });
            }
            let reading = Reading::of(request, NAME);
            let label = |frame: &Path| -> Label { Ok(class_and_split(frame).0.to_owned()) };
            return read_ends(&reading, &entries, &sequences, &label, sink);
        }
        if files.is_empty() && !request.unlabelled {
            return Err(request.refused(NAME, "the folder Emotion beside cohn-kanade-images, or --unlabelled"));
        }
        let reading = Reading::numbered(request, NAME, "ck+")?;
        let (labels, told) = labels_in(files, &reading)?;
        for item in told {
            if sink(item).is_break() {
                return Ok(());
            }
        }
        let label = |frame: &Path| -> Label {
            let sequence = ck_plus_name(stem(frame)).map(|name| name.sequence);
            sequence.and_then(|sequence| labels.get(sequence)).cloned().unwrap_or_else(|| Ok(String::new()))
        };
        read_ends(&reading, &entries, &sequences, &label, sink)
    }

    fn known_counts(&self) -> &'static [KnownCount] {
        &COUNTS
    }
}

/// Whether a frame lies in the folder of its sequence, `S005/001/S005_001_00000011.png`.
fn lies_in_sequence(frame: &Path) -> bool {
    let folder = frame.parent().unwrap_or(Path::new(""));
    ck_plus_name(stem(frame)).is_some_and(|name| folder.ends_with(name.sequence.replace('_', "/")))
}

/// The sequence of a frame, named in the frame's folder.
fn sequence_of(frame: &Path) -> Option<PathBuf> {
    ck_plus_name(stem(frame)).map(|name| frame.with_file_name(name.sequence))
}

/// The label of a sequence; empty where it has none, a reason where it has two.
type Label = std::result::Result<String, Reason>;

/// A file with the label of a sequence.
struct LabelFile {
    source: String,
    sequence: String,
    /// As written.
    label: String,
}

fn label_files(entries: &Entries, request: &ReadRequest<'_>) -> Result<Vec<LabelFile>> {
    let labelled = |path: &Path| ck_plus_name(stem(path).strip_suffix(LABEL_END)?).map(|name| name.sequence.to_owned());
    let is_label = |path: &Path| !has_image_extension(path) && labelled(path).is_some();
    let files = entries.contents(is_label, &request.limits)?.into_iter();
    let file = |(path, content): (PathBuf, Vec<u8>)| {
        let label = String::from_utf8_lossy(&content).trim().to_owned();
        Some(LabelFile { source: source_of(entries, &path), sequence: labelled(&path)?, label })
    };
    Ok(files.filter_map(file).collect())
}

/// Labels by sequence, and the files that repeat another.
fn labels_in(files: Vec<LabelFile>, reading: &Reading<'_>) -> Result<(HashMap<String, Label>, Vec<Item>)> {
    let (mut sequences, mut told) = (HashMap::<String, Said>::new(), Vec::new());
    for LabelFile { source, sequence, label } in files {
        let given = reading.given.given(&label, || source.clone())?;
        let row = Row { label, ..Row::default() };
        if !sequences.entry(sequence).or_default().add(source.clone(), given, row) {
            told.push(Item::Skipped { source, why: "another file says the same of the sequence".to_owned() });
        }
    }
    let label = |(sequence, said): (String, Said)| Some((sequence, said.faces().next()?.map(|row| row.label)));
    Ok((sequences.into_iter().filter_map(label).collect(), told))
}

/// Reads the last frames of every sequence with its label, and first frames as neutral where they are wanted.
fn read_ends(
    reading: &Reading<'_>,
    entries: &Entries,
    sequences: &Sequences,
    label_of: &dyn Fn(&Path) -> Label,
    sink: Sink<'_>,
) -> Result<()> {
    let options = reading.request.options;
    let neutral = options.word(&NEUTRAL);
    let mut frames: BTreeMap<PathBuf, Meaning> = BTreeMap::new();
    for ends in sequences.ends(options.number(&FRAMES)?) {
        let Some(label) = ends.last.last().map(|frame| label_of(frame)) else { continue };
        if let Ok(label) = &label {
            reading.given.given(label, || source_of(entries, ends.sequence))?;
        }
        let is_neutral = neutral == "all" || (neutral == "labelled" && label != Ok(String::new()));
        let first = ends.first.filter(|_| is_neutral).map(|frame| (frame, Ok("neutral".to_owned())));
        for (frame, label) in first.into_iter().chain(ends.last.iter().map(|frame| (*frame, label.clone()))) {
            let subject = ck_plus_name(stem(frame)).map(|name| name.subject);
            let meaning = label.map_or_else(Meaning::Reject, |label| Meaning::face(&label, None, subject));
            frames.insert(frame.to_owned(), meaning);
        }
    }
    let unlisted = |path: &Path| match ck_plus_name(stem(path)) {
        Some(_) => "a frame of its sequence that is not asked for".to_owned(),
        None => "not named as CK+'s frames are".to_owned(),
    };
    reading.read_listed(entries, frames, &unlisted, sink)
}

/// The labelled sequences; counted on the published labels.
const ONE_FRAME: [KnownCount; 7] = part(
    "1 frame of each sequence",
    Split::Train,
    [
        ("anger", 45),
        ("contempt", 18),
        ("disgust", 59),
        ("fear", 25),
        ("happiness", 69),
        ("sadness", 28),
        ("surprise", 83),
    ],
);

/// Whatever number of frames is read is a sum of these.
const COUNTS: [KnownCount; 23] = joined(&[
    &ONE_FRAME,
    &times("2 frames of each sequence", 2, ONE_FRAME),
    &times("4 frames of each sequence", 4, ONE_FRAME),
    &part("first frames of labelled sequences", Split::Train, [("neutral", 327)]),
    &part("first frames of other sequences", Split::Train, [("neutral", 266)]),
]);
