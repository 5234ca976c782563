//! Groups that grow together.

use std::collections::HashMap;

/// The groups joined that share a key. For each place the smallest place of its group, in and out.
///
/// # Panics
/// If there are more than `u32::MAX` places, or a group that is none of them.
pub fn groups_sharing(groups: &[u32], keys: &[Option<&str>]) -> Vec<u32> {
    let count = u32::try_from(groups.len()).unwrap_or_else(|_| panic!("more than {} places", u32::MAX));
    let mut joined = Groups::apart(count);
    let mut first_with: HashMap<&str, u32> = HashMap::new();
    for (place, (group, key)) in (0..count).zip(groups.iter().zip(keys)) {
        joined.join(*group, place);
        if let Some(key) = key {
            joined.join(*first_with.entry(key).or_insert(place), place);
        }
    }
    (0..count).map(|place| joined.root(place)).collect()
}

/// Union-find whose roots are the smallest members.
pub(crate) struct Groups(Vec<u32>);

impl Groups {
    /// Every place by itself.
    pub(crate) fn apart(count: u32) -> Self {
        Self((0..count).collect())
    }

    pub(crate) fn root(&mut self, mut place: u32) -> u32 {
        while self.0[place as usize] != place {
            let above = self.0[place as usize];
            self.0[place as usize] = self.0[above as usize];
            place = above;
        }
        place
    }

    pub(crate) fn join(&mut self, a: u32, b: u32) {
        let (a, b) = (self.root(a), self.root(b));
        self.0[a.max(b) as usize] = a.min(b);
    }
}
