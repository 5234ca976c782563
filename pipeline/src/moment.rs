//! The state of a corpus that a command looks at.

use marginalia_store::{Moment, Timestamp};

/// Arguments of commands that can look back.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct MomentArgs {
    /// The tables as they were when this round was committed
    #[arg(long, value_name = "R")]
    pub at_round: Option<u32>,
    /// The tables as they were at this time: 2026-11-24T10:00 (UTC), or with an offset
    #[arg(long, value_name = "TIME", conflicts_with = "at_round")]
    pub at: Option<Timestamp>,
}

impl MomentArgs {
    /// What they say.
    pub fn moment(&self) -> Moment {
        match (self.at_round, self.at) {
            (Some(round), _) => Moment::Round(round),
            (None, Some(time)) => Moment::Time(time),
            (None, None) => Moment::Now,
        }
    }
}
