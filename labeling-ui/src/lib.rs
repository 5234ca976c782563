//! Where people judge.
//!
//! In: the corpus's queue, and what people say about the faces in it. Out: tasks in the order people should see them,
//! and rows of `labels`, each acknowledged after it lies on the disk. This crate knows the store's API and never Lance.

mod error;
mod judgement;
mod queue;

pub use error::{Error, Result};
pub use judgement::{Answer, Judge, Judgement, Lane, Origin};
pub use queue::{Task, queue};
