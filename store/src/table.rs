//! What a table is: a name, a schema with a version, and a row struct that turns into record batches and back.
//!
//! In: a `table!` declaration with documented columns. Out: a row struct and its [`Table`] implementation. The schema
//! carries its version in its metadata, so that a corpus written by an older build says what it is.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, new_null_array};
use arrow::datatypes::{Field, Schema, SchemaRef};

use crate::columns::Column;
use crate::error::{Error, Result};

/// Key of the schema version in every table's schema metadata.
pub const SCHEMA_VERSION_KEY: &str = "marginalia:schema_version";

/// A row of one of the corpus's tables.
pub trait Table: Clone + Send + Sync + 'static {
    /// Which table the row belongs to.
    const ID: TableId;
    /// Columns in order, with their documentation.
    fn columns() -> Vec<ColumnInfo>;
    /// One batch from many rows.
    fn to_batch(rows: &[Self]) -> Result<RecordBatch>;
    /// The rows of a batch that has this table's columns (in any order, possibly more).
    fn from_batch(batch: &RecordBatch) -> Result<Vec<Self>>;

    /// The table's Arrow schema, with the schema version in its metadata.
    fn schema() -> SchemaRef {
        schema_of(&Self::columns())
    }
}

/// A column as users meet it.
#[derive(Clone, Debug)]
pub struct ColumnInfo {
    /// Arrow field.
    pub field: Field,
    /// One sentence for the reference page.
    pub doc: &'static str,
}

/// The schema that these columns make.
pub(crate) fn schema_of(columns: &[ColumnInfo]) -> SchemaRef {
    let fields: Vec<Field> = columns.iter().map(|c| c.field.clone()).collect();
    let version = crate::SCHEMA_VERSION.to_string();
    Arc::new(Schema::new_with_metadata(fields, HashMap::from([(SCHEMA_VERSION_KEY.to_owned(), version)])))
}

/// How Lance is to encode a column, where its own choice is a bad one: ids are hashes, and looking for patterns in them
/// costs time at every commit and saves nothing.
pub(crate) fn encoding(column: &str) -> HashMap<String, String> {
    match column {
        "face_id" | "label_id" | "flag_id" | "source_hash" => {
            HashMap::from([("lance-encoding:compression".to_owned(), "none".to_owned())])
        }
        _ => HashMap::new(),
    }
}

/// Names a column that a batch lacks; only a foreign or broken table can get here.
pub(crate) fn column<'a>(batch: &'a RecordBatch, table: TableId, name: &str) -> Result<&'a ArrayRef> {
    batch.column_by_name(name).ok_or_else(|| Error::MissingColumn { table, column: name.to_owned() })
}

/// A column of a batch; nulls where a table of an older schema version lacks it.
pub(crate) fn column_or_nulls<C: Column>(batch: &RecordBatch, table: TableId, name: &str) -> Result<ArrayRef> {
    match batch.column_by_name(name) {
        None if C::NULLABLE => Ok(new_null_array(&C::data_type(), batch.num_rows())),
        _ => column(batch, table, name).cloned(),
    }
}

/// Declares a table: the row struct, its columns with their docs, and the conversions.
macro_rules! table {
    ($(#[$meta:meta])* $row:ident in $id:ident { $($(#[doc = $doc:literal])+ $column:ident : $type:ty),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $row {
            $($(#[doc = $doc])+ pub $column: $type,)*
        }

        impl $crate::table::Table for $row {
            const ID: $crate::table::TableId = $crate::table::TableId::$id;

            fn columns() -> Vec<$crate::table::ColumnInfo> {
                use $crate::columns::Column;
                vec![$($crate::table::ColumnInfo {
                    field: arrow::datatypes::Field::new(
                        stringify!($column).trim_start_matches("r#"),
                        <$type as Column>::data_type(),
                        <$type as Column>::NULLABLE,
                    )
                    .with_metadata($crate::table::encoding(stringify!($column))),
                    doc: concat!($($doc),+).trim_ascii(),
                }),*]
            }

            fn to_batch(rows: &[Self]) -> $crate::error::Result<arrow::array::RecordBatch> {
                use $crate::columns::Column;
                let columns = vec![$(<$type as Column>::build(rows.iter().map(|row| &row.$column))),*];
                Ok(arrow::array::RecordBatch::try_new(<Self as $crate::table::Table>::schema(), columns)?)
            }

            fn from_batch(batch: &arrow::array::RecordBatch) -> $crate::error::Result<Vec<Self>> {
                use $crate::columns::Column;
                $(let $column = $crate::table::column_or_nulls::<$type>(
                    batch, <Self as $crate::table::Table>::ID, stringify!($column).trim_start_matches("r#"))?;)*
                Ok((0..batch.num_rows())
                    .map(|i| Self { $($column: <$type as Column>::read($column.as_ref(), i)),* })
                    .collect())
            }
        }
    };
}
pub(crate) use table;

macro_rules! table_ids {
    ($($(#[doc = $doc:literal])+ $id:ident = $name:literal, row $row:ty;)*) => {
        /// The tables of a corpus.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum TableId { $($(#[doc = $doc])+ $id),* }

        impl TableId {
            /// Every table.
            pub const ALL: &'static [TableId] = &[$(TableId::$id),*];

            /// Name of the table, and of its folder under `tables/`.
            pub fn name(self) -> &'static str {
                match self { $(TableId::$id => $name),* }
            }

            /// The schema this build writes.
            pub fn schema(self) -> SchemaRef {
                match self { $(TableId::$id => <$row as Table>::schema()),* }
            }

            /// Columns with their documentation.
            pub fn columns(self) -> Vec<ColumnInfo> {
                match self { $(TableId::$id => <$row as Table>::columns()),* }
            }

            /// What one row is.
            pub fn doc(self) -> &'static str {
                match self { $(TableId::$id => concat!($($doc),+).trim_ascii()),* }
            }
        }
    };
}

table_ids! {
    /// One finished round: the commit marker.
    Rounds = "rounds", row crate::tables::rounds::Round;
    /// One distinct image.
    Faces = "faces", row crate::tables::faces::Face;
    /// One file or record seen.
    Sightings = "sightings", row crate::tables::sightings::Sighting;
    /// One judgement.
    Labels = "labels", row crate::tables::labels::Label;
    /// One face scored by one round's teacher.
    Predictions = "predictions", row crate::tables::predictions::Prediction;
    /// One place in the top of a round's queue.
    QueueEntries = "queue_entries", row crate::tables::queue_entries::QueueEntry;
    /// One face's feature under one round's teacher.
    Embeddings = "embeddings", row crate::tables::embeddings::Embedding;
    /// One class's margin after one epoch.
    Margins = "margins", row crate::tables::margins::Margin;
    /// One training epoch.
    Epochs = "epochs", row crate::tables::epochs::Epoch;
    /// One refused input.
    Rejects = "rejects", row crate::tables::rejects::Reject;
    /// One time that faces were forgotten.
    Erasures = "erasures", row crate::tables::erasures::Erasure;
    /// One face that was forgotten, as a keyed hash.
    Tombstones = "tombstones", row crate::tables::tombstones::Tombstone;
    /// One hidden label, for simulation only.
    Truth = "truth", row crate::tables::truth::Truth;
    /// One token made, or taken back.
    Tokens = "tokens", row crate::tables::tokens::Token;
    /// One face's place on the map of one round.
    Projections = "projections", row crate::tables::projections::Projection;
    /// One flag set on a face, or taken off.
    Flags = "flags", row crate::tables::flags::Flag;
    /// One query saved, changed, or removed.
    SavedQueries = "saved_queries", row crate::tables::saved_queries::SavedQuery;
    /// One run of an experiment, measured on one data set.
    Experiments = "experiments", row crate::tables::experiments::Experiment;
    /// One change that somebody asked for.
    AuditLog = "audit_log", row crate::tables::audit_log::AuditEntry;
}

impl TableId {
    /// Tables that SQL never sees: the simulation's hidden labels, who was forgotten, and who may come in.
    pub fn is_hidden(self) -> bool {
        matches!(self, TableId::Truth | TableId::Tombstones | TableId::Tokens)
    }

    /// Tables whose rows count only once their round's marker stands.
    pub fn is_round_scoped(self) -> bool {
        matches!(
            self,
            TableId::Predictions
                | TableId::QueueEntries
                | TableId::Embeddings
                | TableId::Projections
                | TableId::Margins
                | TableId::Epochs
        )
    }
}

impl std::fmt::Display for TableId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
