//! Named places where a round or a forgetting can die, so that a test can make it die at each of them.

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::table::TableId;

/// A place where a process may die.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailPoint {
    /// The plan is written, nothing else.
    AfterPlan,
    /// The read versions are pinned.
    AfterPin,
    /// Epochs and margins are written.
    AfterEpochs,
    /// Some predictions are written.
    AfterPredictions,
    /// Embeddings are written.
    AfterEmbeddings,
    /// The queue's top is written.
    AfterQueue,
    /// The map is written.
    AfterProjections,
    /// Everything is written but the marker.
    BeforeMarker,
    /// The marker stands, the written versions are not pinned yet.
    AfterMarker,
    /// A table was rewritten without the faces that are forgotten; its old versions are still there.
    ForgottenIn(TableId),
}

impl FailPoint {
    /// Those of a round, in the order it passes them.
    pub const ROUND: &'static [FailPoint] = &[
        FailPoint::AfterPlan,
        FailPoint::AfterPin,
        FailPoint::AfterEpochs,
        FailPoint::AfterPredictions,
        FailPoint::AfterEmbeddings,
        FailPoint::AfterQueue,
        FailPoint::AfterProjections,
        FailPoint::BeforeMarker,
        FailPoint::AfterMarker,
    ];
}

/// Decides at each place whether to go on.
#[derive(Clone, Default)]
pub struct FailPoints(Option<Arc<dyn Fn(FailPoint) -> bool + Send + Sync>>);

impl FailPoints {
    /// Dies wherever `dies` says so.
    pub fn new(dies: impl Fn(FailPoint) -> bool + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(dies)))
    }

    /// An error where the round is to die here.
    pub(crate) fn pass(&self, place: FailPoint) -> Result<()> {
        match &self.0 {
            Some(dies) if dies(place) => Err(Error::Internal { what: format!("died at {place:?}, as a test wished") }),
            _ => Ok(()),
        }
    }
}

impl std::fmt::Debug for FailPoints {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_some() { "FailPoints(set)" } else { "FailPoints(none)" })
    }
}
