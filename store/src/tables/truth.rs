//! `truth`: hidden labels of an import with `--keep-truth`, opened by simulation and demo only; in no view, no export.

use crate::table::table;

table! {
    /// One hidden label.
    Truth in Truth {
        /// The face.
        face_id: String,
        /// Its class.
        expression: String,
    }
}
