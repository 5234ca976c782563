//! Seeded draws that do not depend on the order of arrival.
//!
//! Every face gets a key from a seed and its `face_id`; a draw of N is the N smallest keys. Two readers that meet the
//! same faces in another order, or a corpus that grows between them, agree on every face they both hold.

use std::collections::BTreeSet;

/// The key by which a face stands in the draw of this seed: the first 16 bytes of BLAKE3 under a key made of the seed.
pub fn draw_key(seed: u64, face_id: &str) -> [u8; 16] {
    draw_key_for("labels", seed, face_id)
}

/// Keys of different purposes must not agree, or whoever is held out would also be first in the label budget.
pub(crate) fn draw_key_for(purpose: &str, seed: u64, face_id: &str) -> [u8; 16] {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    let purpose_bytes = purpose.len().min(24);
    key[8..8 + purpose_bytes].copy_from_slice(&purpose.as_bytes()[..purpose_bytes]);
    let mut draw = [0; 16];
    draw.copy_from_slice(&blake3::keyed_hash(&key, face_id.as_bytes()).as_bytes()[..16]);
    draw
}

/// The first `limit` faces of a draw out of a stream of any length, in memory that depends on `limit` alone.
#[derive(Debug, Clone)]
pub struct Draw {
    seed: u64,
    limit: usize,
    faces: BTreeSet<([u8; 16], String)>,
}

impl Draw {
    pub fn new(seed: u64, limit: usize) -> Self {
        Self { seed, limit, faces: BTreeSet::new() }
    }

    /// Takes note of a face. Offering one face twice counts once.
    pub fn offer(&mut self, face_id: &str) {
        let key = draw_key(self.seed, face_id);
        if self.faces.len() >= self.limit && self.faces.last().is_none_or(|(largest, _)| key > *largest) {
            return;
        }
        self.faces.insert((key, face_id.to_owned()));
        if self.faces.len() > self.limit {
            self.faces.pop_last();
        }
    }

    /// The drawn faces in the order of the draw.
    pub fn into_faces(self) -> Vec<String> {
        self.faces.into_iter().map(|(_, face_id)| face_id).collect()
    }
}
