//! An upload: who sends it and under what name, and what came of it, as it is answered.

use schemars::JsonSchema;
use serde::Serialize;

use super::shapes::one_of;
use crate::admission::{Admitted, Upload};
use crate::face_id::FaceId;

/// Of several images those that the answer names; beyond, it counts them.
pub(super) const MOST_NAMED: usize = 10_000;

/// Characters of a name.
const NAME_CHARS: usize = 255;

/// Who sends images.
pub(super) struct Sender<'a> {
    /// The name of their token, if they have one.
    pub name: Option<&'a str>,
    /// Stream of the new faces.
    pub stream: String,
}

impl Sender<'_> {
    /// Where an image of theirs was seen, for `sightings` and `rejects`: `upload@ada:a.png`, without a token
    /// `upload:a.png`.
    pub fn source(&self, image: &str) -> String {
        match self.name {
            Some(name) => format!("upload@{name}:{}", tidy(image)),
            None => format!("upload:{}", tidy(image)),
        }
    }

    /// An image of theirs that was seen there.
    pub fn upload(&self, source: String, image: Vec<u8>) -> Upload {
        Upload { source, stream: self.stream.clone(), image }
    }
}

/// What came of an upload: of one image, or of several.
#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
#[schemars(transform = one_of)]
pub(super) enum Uploaded {
    One {
        #[schemars(with = "FaceId")]
        face_id: String,
        new: bool,
    },
    Several {
        /// Faces that were not known.
        new: usize,
        /// Faces that were.
        known: usize,
        /// What is no face.
        refused: usize,
        /// One for each image, in order: a face, or the reason of its refusal. The first of them, where there are many.
        #[schemars(length(max = MOST_NAMED))]
        images: Vec<Image>,
    },
}

/// One of several images.
#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline, transform = one_of)]
pub(super) enum Image {
    Face {
        source: String,
        #[schemars(with = "FaceId")]
        face_id: String,
        new: bool,
    },
    Refused {
        source: String,
        reason: String,
        detail: String,
    },
}

impl Image {
    /// What is said of it.
    pub fn of(source: String, admitted: Admitted) -> Self {
        match admitted {
            Admitted::Face { face_id, is_new } => Self::Face { source, face_id, new: is_new },
            Admitted::Refused { code, reason } => Self::Refused { source, reason: code, detail: reason },
        }
    }
}

/// A name that is stored as it is shown: of one line, of some length, and nothing else is believed of it.
pub(super) fn tidy(name: &str) -> String {
    name.chars().map(|c| if c.is_control() { '_' } else { c }).take(NAME_CHARS).collect()
}
