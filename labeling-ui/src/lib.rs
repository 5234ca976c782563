//! Where people judge.
//!
//! In: the corpus's queue, and what people say about the faces in it. Out: tasks in the order people should see them,
//! and rows of `labels`, each acknowledged after it lies on the disk. [`api`] is both over HTTP; what it needs of the
//! rest of the program stands here as traits: [`Admission`] lets faces in, [`Rounds`] starts rounds, [`Access`] knows
//! who presents a token. This crate knows the store's API and never Lance.

mod error;
mod face_id;

// Judging.
mod desk;
mod flags;
mod judgement;
mod leases;
mod once;
mod queue;

// What is known, for whoever asks.
mod pictures;
mod reading;
mod saved_queries;
mod status;
mod story;

// Over HTTP.
mod access;
mod admission;
pub mod api;
mod events;
mod metrics;
mod page;
mod rounds;
mod server;

pub use access::{Access, Gate, Identity, Role};
pub use admission::{Admission, Admitted, Upload};
pub use desk::{Desk, NothingToDo, Served};
pub use error::{Error, Result};
pub use events::{Events, Reception, Told, watch};
pub use judgement::{Answer, Judge, Judgement, Lane, Origin};
pub use leases::{Lease, Leases};
pub use metrics::Metrics;
pub use once::{RequestKey, Submission};
pub use queue::{Place, Task, queue};
pub use reading::Reading;
pub use rounds::Rounds;
pub use server::{Bounds, Connection, Secure, listen, serve};
pub use status::{ClassCount, Status};
pub use story::{CorpusEntry, GivenLabel, Prediction, QueuePlace, Seen, Story};
