//! What the API needs of the rest of the program to take faces in and to show them small: only the pipeline decodes
//! images.

use async_trait::async_trait;

use crate::error::Result;

/// An image that somebody sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    /// Where it came from, for the tables `sightings` and `rejects`.
    pub source: String,
    /// The stream its face belongs to.
    pub stream: String,
    /// The bytes as they came.
    pub image: Vec<u8>,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admitted {
    /// It is a face of the corpus, on the disk.
    Face {
        /// Which.
        face_id: String,
        /// Whether the corpus did not have it before.
        is_new: bool,
    },
    /// It was refused; the reason stands in `rejects`.
    Refused {
        /// Short stable code, such as `truncated`.
        code: String,
        /// The reason for people.
        reason: String,
    },
}

/// The door for images, the same that the watched folders go through.
#[async_trait]
pub trait Admission: Send + Sync + 'static {
    /// Takes images in, all in one commit, and says what became of each, in their order. Returns after all of it lies
    /// on the disk: faces, sightings and reasons of refusal.
    async fn admit(&self, uploads: Vec<Upload>) -> Result<Vec<Admitted>>;

    /// An image as a PNG at most `side` pixels wide and high; none where it is no larger anyway, or does not decode.
    async fn thumbnail(&self, image: Vec<u8>, side: u32) -> Result<Option<Vec<u8>>>;
}
