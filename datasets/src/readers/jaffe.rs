//! JAFFE (Lyons et al., "Coding facial expressions with Gabor wavelets", FG 1998): 213 posed photographs of ten Japanese
//! women, 256×256, as `KA.AN1.39.tiff`: person, expression and take, running number. Some of the files are grey, some
//! have a palette. The class is the posed one; the ratings that come with the set differ for some.
//!
//! There is no split: leave one person out.

use std::path::Path;

use crate::counts::{KnownCount, part};
use crate::error::Result;
use crate::glimpse::Glimpse;
use crate::image_files::Meaning;
use crate::reader::{ReadRequest, Reader, Sink};
use crate::reading::{Reading, stem};
use crate::reject::Reason;
use crate::split::Split;
use crate::subject::jaffe_name;

pub(super) struct Jaffe;

const NAME: &str = "jaffe";

impl Reader for Jaffe {
    fn name(&self) -> &'static str {
        NAME
    }

    fn about(&self) -> &'static str {
        "JAFFE: a folder or archive of its photographs, KA.AN1.39.tiff"
    }

    fn evidence(&self, glimpse: &Glimpse) -> Option<String> {
        let image = glimpse.image(|stem| jaffe_name(stem).is_some())?;
        Some(format!("`{}` is named as JAFFE's photographs are", image.display()))
    }

    fn read(&self, request: &ReadRequest<'_>, sink: Sink<'_>) -> Result<()> {
        let reading = Reading::of(request, NAME);
        let entries = request.entries(NAME, "a folder or archive of photographs named like KA.AN1.39.tiff")?;
        reading.read_files(&entries, &mut meaning, sink).map(|_| ())
    }

    fn known_counts(&self) -> &'static [KnownCount] {
        &COUNTS
    }
}

fn meaning(path: &Path) -> Meaning {
    match jaffe_name(stem(path)) {
        Some(name) => Meaning::face(name.expression, None, Some(name.subject)),
        None => Meaning::Reject(Reason::InvalidName {
            detail: "JAFFE's names are person, expression with take, and number, KA.AN1.39".to_owned(),
        }),
    }
}

/// Counted on the published files.
const COUNTS: [KnownCount; 7] = part(
    "all photographs",
    Split::Train,
    [
        ("anger", 30),
        ("disgust", 29),
        ("fear", 32),
        ("happiness", 31),
        ("neutral", 30),
        ("sadness", 31),
        ("surprise", 30),
    ],
);
