//! `faces`: one row per distinct image, append only. The content hash is the key: a repeat is no second row, or where it
//! is one for a while, every view takes the first.

use crate::columns::Timestamp;
use crate::table::table;

table! {
    /// One distinct image.
    Face in Faces {
        /// BLAKE3 of `image`, 64 hex digits.
        face_id: String,
        /// The bytes as they came; a PNG of one fixed setting where a reader made the face from pixels or a crop.
        image: Vec<u8>,
        /// `jpeg`, `png`, `webp` or `bmp`, by content.
        format: String,
        /// Pixels, upright.
        width: u32,
        /// Pixels, upright.
        height: u32,
        /// Name of the stream or data set that brought it first.
        stream: String,
        /// Person, where the source names one.
        subject: Option<String>,
        /// 64-bit perceptual hash of the upright grey image; near-equal images differ in few bits.
        perceptual_hash: u64,
        /// When the picture was taken or its file last changed, where known.
        captured_at: Option<Timestamp>,
        /// When it was admitted.
        ingested_at: Timestamp,
    }
}
