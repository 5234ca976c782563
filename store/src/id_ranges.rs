//! Ranges of ids: how work on all faces is cut into pieces of about equal size.
//!
//! In: how many pieces. Out: as many ranges of equal width that together hold every id. Ids are hashes, so each range holds
//! about as many faces, and every table has an index that answers a condition on it: memory and work are those of the piece.

/// A range of ids, from `low` on and up to, but without, `high`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdRange {
    low: String,
    high: Option<String>,
}

impl IdRange {
    /// The SQL condition that a face is in it.
    pub fn condition(&self) -> String {
        match &self.high {
            Some(high) => format!("face_id >= '{}' and face_id < '{high}'", self.low),
            None => format!("face_id >= '{}'", self.low),
        }
    }

    /// Whether no id behind this one is in it.
    pub fn ends_before(&self, face_id: &str) -> bool {
        self.high.as_deref().is_some_and(|high| high <= face_id)
    }
}

/// So many ranges, in order.
pub fn id_ranges(count: u64) -> impl Iterator<Item = IdRange> {
    let bound = move |i: u64| format!("{:08x}", (u128::from(i) << 32) / u128::from(count));
    (0..count).map(move |i| IdRange { low: bound(i), high: (i + 1 < count).then(|| bound(i + 1)) })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_id_is_in_exactly_one(count in 1_u64..5000, id in "[0-9a-f]{64}") {
            let holds = |range: &IdRange| range.low <= id && range.high.as_ref().is_none_or(|high| id < *high);
            prop_assert_eq!(id_ranges(count).filter(holds).count(), 1);
            prop_assert_eq!(id_ranges(count).count() as u64, count);
        }
    }
}
