//! Oulu-CASIA NIR&VIS (Zhao et al., "Facial expression recognition from near-infrared videos", 2011): sequences of 80
//! people in visible light and near infra-red under three lights, from neutral to the height of the expression:
//! `B_OriginalImg/{NI,VL}/{Strong,Weak,Dark}/P001/{Anger,…}/000.jpeg`. The class is the folder.
//!
//! There is no split: fold by person, and keep infra-red and visible light of one person in one fold.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::candidate::has_image_extension;
use crate::counts::{KnownCount, joined, part, times};
use crate::entries::Entries;
use crate::error::Result;
use crate::glimpse::Glimpse;
use crate::image_files::{Meaning, source_of};
use crate::options::{OptionValues, ReaderOption};
use crate::reader::{ReadRequest, Reader, Sink};
use crate::reading::Reading;
use crate::sequences::{FRAMES, Sequences};
use crate::split::Split;

pub(super) struct OuluCasia;

const NAME: &str = "oulu-casia";

const CAMERA: ReaderOption = ReaderOption {
    name: "camera",
    values: OptionValues::OneOf(&["vl", "ni", "both"]),
    default: "vl",
    about: "visible light, near infra-red, or both",
};

const LIGHT: ReaderOption = ReaderOption {
    name: "light",
    values: OptionValues::OneOf(&["strong", "weak", "dark", "all"]),
    default: "strong",
    about: "under which light",
};

const NEUTRAL: ReaderOption = ReaderOption {
    name: "neutral",
    values: OptionValues::OneOf(&["none", "first"]),
    default: "none",
    about: "whether the first frame of each sequence is read as neutral, a convention and no label of the set",
};

impl Reader for OuluCasia {
    fn name(&self) -> &'static str {
        NAME
    }

    fn about(&self) -> &'static str {
        "Oulu-CASIA: a folder or archive with {NI,VL}/{Strong,Weak,Dark}/P001/Anger/000.jpeg"
    }

    fn options(&self) -> &'static [ReaderOption] {
        &[FRAMES, NEUTRAL, CAMERA, LIGHT]
    }

    fn evidence(&self, glimpse: &Glimpse) -> Option<String> {
        let frame = glimpse.find(|path| has_image_extension(path) && Place::of(path).is_some())?;
        Some(format!("`{}` lies where Oulu-CASIA's frames do: camera, light, person, class", frame.display()))
    }

    fn read(&self, request: &ReadRequest<'_>, sink: Sink<'_>) -> Result<()> {
        let reading = Reading::of(request, NAME);
        let expected = "a folder or archive with {NI,VL}/{Strong,Weak,Dark}/P001/Anger/000.jpeg";
        let entries = request.entries(NAME, expected)?;
        let sequences = Sequences::of(&entries, |frame| sequence_of(frame, request))?;
        if sequences.is_empty() {
            return Err(request.refused(NAME, expected));
        }
        let wanted = wanted_frames(&reading, &entries, &sequences)?;
        reading.read_listed(&entries, wanted, &unlisted, sink)
    }

    fn known_counts(&self) -> &'static [KnownCount] {
        &COUNTS
    }
}

/// What the folders of a frame say.
struct Place<'p> {
    camera: &'p str,
    light: &'p str,
    subject: &'p str,
    class: &'p str,
}

impl<'p> Place<'p> {
    fn of(path: &'p Path) -> Option<Self> {
        let mut folders = path.parent()?.iter().rev().map(|folder| folder.to_str());
        let (class, subject, light, camera) = (folders.next()??, folders.next()??, folders.next()??, folders.next()??);
        let works = ["NI", "VL"].contains(&camera)
            && ["Strong", "Weak", "Dark"].contains(&light)
            && subject.strip_prefix('P').is_some_and(|number| number.len() == 3 && number.parse::<u16>().is_ok());
        works.then_some(Self { camera, light, subject, class })
    }

    fn is_wanted(&self, request: &ReadRequest<'_>) -> bool {
        let (camera, light) = (request.options.word(&CAMERA), request.options.word(&LIGHT));
        (camera == "both" || self.camera.eq_ignore_ascii_case(camera))
            && (light == "all" || self.light.eq_ignore_ascii_case(light))
    }
}

/// The folder of a frame, if it is one that is asked for.
fn sequence_of(frame: &Path, request: &ReadRequest<'_>) -> Option<PathBuf> {
    let is_wanted = Place::of(frame)?.is_wanted(request);
    frame.parent().filter(|_| is_wanted).map(Path::to_owned)
}

/// The last frames of every sequence, and the first ones as neutral where that is wanted.
fn wanted_frames(
    reading: &Reading<'_>,
    entries: &Entries,
    sequences: &Sequences,
) -> Result<BTreeMap<PathBuf, Meaning>> {
    let options = reading.request.options;
    let with_neutral = options.word(&NEUTRAL) == "first";
    let mut rows = BTreeMap::new();
    for ends in sequences.ends(options.number(&FRAMES)?) {
        let neutral = ends.first.filter(|_| with_neutral).map(|frame| (frame, Some("neutral")));
        for (frame, class) in neutral.into_iter().chain(ends.last.iter().map(|frame| (*frame, None))) {
            if let Some(place) = Place::of(frame) {
                let label = class.unwrap_or(place.class);
                let folder = || source_of(entries, ends.sequence);
                reading.given.given(label, folder)?;
                rows.insert(frame.to_owned(), Meaning::face(label, None, Some(place.subject)));
            }
        }
    }
    Ok(rows)
}

fn unlisted(path: &Path) -> String {
    match Place::of(path) {
        Some(_) => "a frame, camera or light that is not asked for".to_owned(),
        None => "not a frame under NI or VL".to_owned(),
    }
}

/// 80 people. Whatever number of frames, cameras and lights is read is a sum of these.
const ONE_FRAME: [KnownCount; 6] = part(
    "1 frame of each sequence",
    Split::Train,
    [("anger", 80), ("disgust", 80), ("fear", 80), ("happiness", 80), ("sadness", 80), ("surprise", 80)],
);

const FIRST_FRAMES: [KnownCount; 1] = part("first frames", Split::Train, [("neutral", 480)]);

const COUNTS: [KnownCount; 33] = joined(&[
    &ONE_FRAME,
    &times("2 frames of each sequence", 2, ONE_FRAME),
    &times("4 frames of each sequence", 4, ONE_FRAME),
    &times("8 frames of each sequence", 8, ONE_FRAME),
    &times("16 frames of each sequence", 16, ONE_FRAME),
    &FIRST_FRAMES,
    &times("first frames of 2 cameras or lights", 2, FIRST_FRAMES),
    &times("first frames of 4 cameras or lights", 4, FIRST_FRAMES),
]);
