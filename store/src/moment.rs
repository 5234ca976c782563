//! Which state of a corpus to look at: now, as a round left it, or as it was at a time.
//!
//! In: a [`Moment`]. Out: a snapshot, or which states are still there. A version that was cleaned up leaves a gap in its
//! table's numbers: the state at a time is known where the last version before it and the next one are neighbours.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime};
use lance::Dataset;

use crate::columns::Timestamp;
use crate::corpus::Corpus;
use crate::error::{Error, Result};
use crate::pins;
use crate::snapshot::{Snapshot, Versions};
use crate::table::TableId;

/// A state of a corpus.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Moment {
    /// All that is committed.
    #[default]
    Now,
    /// When the marker of this round was committed.
    Round(u32),
    /// At this time, by the clock of those who wrote.
    Time(Timestamp),
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Now => write!(f, "now"),
            Self::Round(round) => write!(f, "round {round}"),
            Self::Time(time) => write!(f, "{time} UTC"),
        }
    }
}

/// `2026-11-24`, `2026-11-24T10:00`, `2026-11-24 10:00:30.5`, in UTC unless an offset follows: `2026-11-24T10:00:00+01:00`.
impl FromStr for Timestamp {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let text = text.trim();
        let local = ["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S%.f"]
            .iter()
            .find_map(|form| NaiveDateTime::parse_from_str(text, form).ok());
        let day = || NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().map(|day| day.and_time(NaiveTime::MIN));
        let time = match local.or_else(day) {
            Some(time) => Some(time.and_utc()),
            None => DateTime::parse_from_rfc3339(text).ok().map(|time| time.to_utc()),
        };
        time.map(|time| Self(time.timestamp_micros())).ok_or_else(|| Error::NoTime(text.to_owned()))
    }
}

/// The version of a table that was the newest at a time.
enum At {
    Version(u64),
    /// The table was not there yet.
    Before,
    /// Some version between the last one that is there and that time was cleaned up.
    Gone,
}

impl Corpus {
    /// The tables at a moment.
    ///
    /// # Errors
    /// [`Error::NoSuchRound`], [`Error::RoundNotKept`], and for times before the corpus or that were cleaned up
    /// [`Error::TimeNotKept`], which names the nearest states that are there.
    pub async fn snapshot_of(&self, moment: Moment) -> Result<Arc<Snapshot>> {
        match moment {
            Moment::Now => self.snapshot().await,
            Moment::Round(round) => self.snapshot_at_round(round).await,
            Moment::Time(time) => self.snapshot_at_time(time).await,
        }
    }

    async fn snapshot_at_time(&self, time: Timestamp) -> Result<Arc<Snapshot>> {
        let mut versions = Versions::new();
        for table in TableId::ALL {
            let written = written(&*self.log().latest(*table).await?, *table).await?;
            match newest_at(&written, time) {
                At::Version(version) => versions.insert(*table, version),
                // A table that a later build added was as empty then as when it was made.
                At::Before if *table != TableId::Faces => versions.insert(*table, written.first().map_or(1, |it| it.0)),
                At::Before | At::Gone => return Err(self.time_not_kept(time).await?),
            };
        }
        self.snapshot_at(&versions).await
    }

    /// What there is instead of a state that is gone: the rounds around it, and since when all is there.
    async fn time_not_kept(&self, time: Timestamp) -> Result<Error> {
        let now = self.snapshot().await?;
        let kept = pins::kept_rounds(now.open(TableId::Rounds)?).await?;
        let rounds = || now.rounds().iter().filter(|round| kept.contains(&round.round));
        let before = rounds().rfind(|round| round.finished_at <= time);
        let after = rounds().find(|round| round.finished_at > time);
        let mut since = Timestamp(i64::MIN);
        for table in TableId::ALL {
            let written = written(now.open(*table)?, *table).await?;
            let gap = written.windows(2).rposition(|two| two[0].0 + 1 != two[1].0);
            let first = written.get(gap.map_or(0, |gap| gap + 1));
            since = first.map_or(since, |(_, written)| since.max(*written));
        }
        let around = before.into_iter().chain(after);
        let mut nearest: Vec<String> =
            around.map(|round| format!("round {} ({}, --at-round {0})", round.round, round.finished_at)).collect();
        nearest.push(format!("any time from {since} on"));
        Ok(Error::TimeNotKept { time, nearest: nearest.join(", ") })
    }
}

/// Versions of a table with the times they were written, in order.
async fn written(dataset: &Dataset, table: TableId) -> Result<Vec<(u64, Timestamp)>> {
    let versions = dataset.versions().await.map_err(Error::table(table))?;
    let mut written: Vec<(u64, Timestamp)> = versions
        .into_iter()
        .map(|version| (version.version, Timestamp(version.timestamp.timestamp_micros())))
        .collect();
    written.sort_unstable();
    Ok(written)
}

fn newest_at(written: &[(u64, Timestamp)], time: Timestamp) -> At {
    match written.iter().rposition(|(_, at)| *at <= time) {
        None if written.first().is_none_or(|(version, _)| *version == 1) => At::Before,
        None => At::Gone,
        Some(place) => match (written[place].0, written.get(place + 1)) {
            (version, Some((next, _))) if *next != version + 1 => At::Gone,
            (version, _) => At::Version(version),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_as_people_write_them() {
        let same = ["2026-11-24T10:00", "2026-11-24 10:00:00", "2026-11-24T10:00:00Z", "2026-11-24T11:00:00.0+01:00"];
        for text in same {
            assert_eq!(text.parse::<Timestamp>().expect(text).to_string(), "2026-11-24 10:00:00", "{text}");
        }
        assert_eq!("2026-11-24".parse::<Timestamp>().expect("a day").to_string(), "2026-11-24 00:00:00");
        for text in ["", "yesterday", "24.11.2026", "2026-13-01", "2026-11-24T25:00"] {
            assert!(text.parse::<Timestamp>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_gap_hides_what_was_in_it() {
        let written = [(3, 30), (4, 40), (9, 90), (10, 100)].map(|(version, at)| (version, Timestamp(at)));
        let at = |time| match newest_at(&written, Timestamp(time)) {
            At::Version(version) => Some(version),
            At::Before | At::Gone => None,
        };
        let found = [29, 30, 39, 40, 89, 90, 99, 100, 1000].map(at);
        assert_eq!(found, [None, Some(3), Some(3), None, None, Some(9), Some(9), Some(10), Some(10)]);
    }
}
