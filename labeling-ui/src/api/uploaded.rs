//! What came of an upload, as it is answered.

use schemars::JsonSchema;
use serde::Serialize;

use super::shapes::one_of;
use crate::admission::Admitted;
use crate::face_id::FaceId;

/// Images of an archive that the answer names; beyond, it counts them.
pub(super) const MOST_NAMED: usize = 10_000;

/// What came of an upload: of one image, or of the several of a form or an archive.
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
        /// Of an archive: faces that were not known.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schemars(with = "usize")]
        new: Option<usize>,
        /// Of an archive: faces that were.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schemars(with = "usize")]
        known: Option<usize>,
        /// Of an archive: files that are no faces.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schemars(with = "usize")]
        refused: Option<usize>,
        /// One for each part, in order: a face, or the reason of its refusal. Of an archive the first of them.
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
