//! Which faces go into which step: a pure function of (seed, round, step), so that a resumed round sees the same ones.

use crate::streams::{Purpose, Streams};
use crate::{Error, Result};

/// Draws batches from one set of faces.
///
/// With equal weights the set is shuffled and dealt out without replacement, the last partial batch of every pass
/// dropped; a set smaller than a batch is dealt out again and again. With unequal weights every face is drawn with a
/// probability proportional to its weight, with replacement.
pub(crate) struct Sampler {
    count: usize,
    batch: usize,
    streams: Streams,
    purpose: Purpose,
    /// Running sums of the weights, where they differ.
    cumulative: Option<Vec<f64>>,
    /// The shuffle in use and its number.
    shuffle: Option<(u64, Vec<u32>)>,
}

impl Sampler {
    /// `weights`: id and weight of every face.
    pub fn new<'a>(
        weights: impl Iterator<Item = (&'a str, f64)>,
        batch: usize,
        streams: Streams,
        purpose: Purpose,
    ) -> Result<Self> {
        let (mut cumulative, mut total, mut first, mut equal) = (Vec::new(), 0.0, None, true);
        for (face_id, weight) in weights {
            if !(weight > 0.0 && weight.is_finite()) {
                return Err(Error::BadWeight { face_id: face_id.to_owned(), weight });
            }
            equal &= *first.get_or_insert(weight) == weight;
            total += weight;
            cumulative.push(total);
        }
        let count = cumulative.len();
        Ok(Self { count, batch, streams, purpose, cumulative: (!equal).then_some(cumulative), shuffle: None })
    }

    /// Positions of the faces of batch `number`, counted from 0 over the round. The set must not be empty.
    pub fn batch(&mut self, number: u64) -> Vec<usize> {
        if let Some(cumulative) = &self.cumulative {
            let mut stream = self.streams.stream(0, 0, self.purpose, number);
            let total = cumulative.last().copied().unwrap_or(0.0);
            let draw = |_| {
                let point = stream.unit() * total;
                cumulative.partition_point(|&sum| sum <= point).min(self.count - 1)
            };
            return (0..self.batch).map(draw).collect();
        }
        let (count, batch) = (self.count as u64, self.batch as u64);
        // Dropping the last partial batch means that a pass deals out a multiple of the batch.
        let dealt = if count >= batch { count / batch * batch } else { count };
        (number * batch..(number + 1) * batch).map(|turn| self.dealt(turn / dealt, (turn % dealt) as usize)).collect()
    }

    /// Place `place` of shuffle `pass`.
    fn dealt(&mut self, pass: u64, place: usize) -> usize {
        if self.shuffle.as_ref().is_none_or(|(number, _)| *number != pass) {
            let order = self.streams.stream(0, 0, self.purpose, pass).permutation(self.count);
            self.shuffle = Some((pass, order));
        }
        self.shuffle.as_ref().and_then(|(_, order)| order.get(place)).map_or(0, |&face| face as usize)
    }
}
