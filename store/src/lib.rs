//! Where everything lasts.
//!
//! A corpus is a folder of Lance tables, or the same in an object store. Rows come in through one writer per table
//! ([`Corpus::writer`]) and are acknowledged after they lie on the disk; a round comes in through a [`RoundWriter`] and shows
//! once its marker stands; answers go out through a [`Snapshot`] and the read-only SQL [`Session`] over it. Modules in the
//! order data flows: what a table is, how rows get in, how rounds commit, how readers look, how the whole is kept in order.

mod audit_log;
mod backup;
mod cadence;
mod clock;
pub mod columns;
mod commit;
mod compaction;
mod contention;
mod copies;
mod corpus;
mod error;
mod failpoint;
mod forget;
mod guard;
mod home;
mod id_ranges;
mod known;
mod lance_log;
mod lease;
pub mod locks;
pub mod log;
mod lookup;
mod maintenance;
mod moment;
mod newest;
mod objects;
mod pins;
mod repair;
mod room;
mod round;
mod seen;
mod session;
mod snapshot;
mod table;
pub mod tables;
mod tokens;
mod tombstones;
mod trial;
mod value_filter;
mod verify;
mod version_files;
mod views;
mod writer;
mod writers;

pub use audit_log::Actor;
pub use backup::{BackupReport, restore};
pub use columns::{FEATURE_LENGTH, Feature, Timestamp};
pub use copies::Dedup;
pub use corpus::{Audit, Corpus, Options};
pub use error::{Error, Result};
pub use failpoint::{FailPoint, FailPoints};
pub use forget::ForgetCost;
pub use home::Home;
pub use id_ranges::{IdRange, id_ranges};
pub use lookup::is_face_id;
pub use maintenance::{Care, CareReport, Effort};
pub use moment::Moment;
pub use repair::SetAside;
pub use round::{RoundPlan, RoundWriter, write_whole};
pub use seen::{FileKey, SeenFiles};
pub use session::{
    Answer, Cluster, Extras, FUNCTIONS, FragmentGroup, Function, FunctionKind, Held, LanceScan, Pace, Prepared,
    Pseudonyms, Scan, Session, SqlLimits, SqlRuntime, TableCaches, TableRead, cooperative_joins, engine_runtime,
    engine_state,
};
pub use snapshot::{Snapshot, Versions};
pub use table::{ColumnInfo, Table, TableId};
pub use tokens::{Grant, Role, SALT_BYTES, SCRAM_ITERATIONS, Scram};
pub use verify::{Finding, VerifyOptions, VerifyReport};
pub use views::{VIEWS, View};
pub use writer::{Acknowledged, Writer};
pub use writers::{Announced, WritingProcess};

/// Version of the schemas that this build writes; it reads every one from 1 up to it. A table of an older version gets the
/// columns that it lacks, all null, before its first row is written.
///
/// 2: `queue_entries.expression`, tables `erasures` and `tombstones`. 3: table `tokens`. 4: tables `projections`,
/// `flags`, `saved_queries` and `audit_log`. 5: table `experiments`, `predictions.mutual_information`. 6: `validation_nll`,
/// `validation_brier`, `validation_ece`, `validation_ece_equal_mass` and `temperature` of `epochs`.
pub const SCHEMA_VERSION: u32 = 6;
