//! KDEF (Lundqvist, Flykt and Öhman, The Karolinska Directed Emotional Faces, 1998): 70 people, seven expressions, five
//! angles, two sessions, 562×762, as `KDEF/AF01/AF01ANS.JPG`: session, sex and number, expression, angle.
//!
//! Sessions A and B show the same person. There is no split: split by person.

use std::path::Path;

use crate::counts::{KnownCount, joined, part, times};
use crate::error::Result;
use crate::glimpse::Glimpse;
use crate::image_files::Meaning;
use crate::options::{OptionValues, ReaderOption};
use crate::reader::{ReadRequest, Reader, Sink};
use crate::reading::{Reading, stem};
use crate::reject::Reason;
use crate::split::Split;
use crate::subject::kdef_name;

pub(super) struct Kdef;

const NAME: &str = "kdef";

const ANGLE: ReaderOption = ReaderOption {
    name: "angle",
    values: OptionValues::OneOf(&["all", "half", "frontal"]),
    default: "all",
    about: "photographs from all five angles, without the full profiles, or from the front only",
};

impl Reader for Kdef {
    fn name(&self) -> &'static str {
        NAME
    }

    fn about(&self) -> &'static str {
        "KDEF: a folder or archive of its photographs, AF01/AF01ANS.JPG"
    }

    fn options(&self) -> &'static [ReaderOption] {
        &[ANGLE]
    }

    fn evidence(&self, glimpse: &Glimpse) -> Option<String> {
        let image = glimpse.image(|stem| kdef_name(&stem.to_ascii_uppercase()).is_some())?;
        Some(format!("`{}` is named as KDEF's photographs are", image.display()))
    }

    fn read(&self, request: &ReadRequest<'_>, sink: Sink<'_>) -> Result<()> {
        let reading = Reading::of(request, NAME);
        let entries = request.entries(NAME, "a folder or archive of photographs named like AF01ANS.JPG")?;
        let angles: &[&str] = match request.options.word(&ANGLE) {
            "frontal" => &["S"],
            "half" => &["HL", "S", "HR"],
            _ => &["FL", "HL", "S", "HR", "FR"],
        };
        reading.read_files(&entries, &mut |path| meaning(path, angles), sink).map(|_| ())
    }

    fn known_counts(&self) -> &'static [KnownCount] {
        &COUNTS
    }
}

fn meaning(path: &Path, angles: &[&str]) -> Meaning {
    match kdef_name(&stem(path).to_ascii_uppercase()) {
        Some(name) if angles.contains(&name.angle) => Meaning::face(name.expression, None, Some(name.subject)),
        Some(name) => Meaning::Skip(format!("the angle {} is not asked for", name.angle)),
        None => Meaning::Reject(Reason::InvalidName {
            detail: "KDEF's names are session, sex and number, expression and angle, AF01ANS".to_owned(),
        }),
    }
}

/// 70 people in two sessions, for each angle and expression.
const STRAIGHT: [KnownCount; 7] = part(
    "straight",
    Split::Train,
    [
        ("fear", 140),
        ("anger", 140),
        ("disgust", 140),
        ("happiness", 140),
        ("neutral", 140),
        ("sadness", 140),
        ("surprise", 140),
    ],
);

const COUNTS: [KnownCount; 35] = joined(&[
    &STRAIGHT,
    &times("half left", 1, STRAIGHT),
    &times("half right", 1, STRAIGHT),
    &times("full left", 1, STRAIGHT),
    &times("full right", 1, STRAIGHT),
]);
