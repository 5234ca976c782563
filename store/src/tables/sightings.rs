//! `sightings`: one row per file or record seen, append only. The watcher's memory, repeats, leakage between splits and
//! label conflicts are queries over it.

use crate::columns::Timestamp;
use crate::table::table;

table! {
    /// One file or record seen.
    Sighting in Sightings {
        /// Path or record, bytes that are not UTF-8 percent-encoded.
        source: String,
        /// BLAKE3 of the source where the face is a crop of it or made from its pixels.
        source_hash: Option<String>,
        /// Left, top, width, height in the source where cropped.
        r#box: Option<Vec<u32>>,
        /// Bytes of the source.
        size: u64,
        /// Last change of the file.
        mtime: Option<Timestamp>,
        /// Inode of the file.
        inode: Option<u64>,
        /// The face it holds; null where it was refused.
        face_id: Option<String>,
        /// `train`, `validation` or `test` where the source says so. A face is in an evaluation split if any sighting is.
        split: Option<String>,
        /// The class the source gives, where it may be known (held-back labels are not).
        given_class: Option<String>,
        /// Data set or stream it was read as.
        dataset: String,
        /// When it was seen.
        seen_at: Timestamp,
    }
}
