//! Where every random number comes from: a ChaCha stream named by (seed, round, epoch, step, purpose, item).
//!
//! No stream depends on how much another one was read, so the loader may run ahead, a face may be skipped and a round
//! may resume in the middle without changing any other number.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// What a stream's numbers are used for. The names go into the seed: renaming one changes the numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// First weights; item = tensor.
    Initialisation,
    /// Order of labelled faces; item = pass over the set, or step for weighted sampling.
    LabelledOrder,
    /// Order of unlabelled faces; items as above.
    UnlabelledOrder,
    /// Order of all faces in the warm start; items as above.
    WarmStartOrder,
    /// Views of labelled faces; item = slot in the batch and view.
    LabelledViews,
    /// Views of unlabelled faces; items as above.
    UnlabelledViews,
    /// The face that stands in for an undecodable one; item = slot.
    Replacement,
    /// Dropout masks; item = forward pass within the step.
    Dropout,
    /// Draws of a method (mixing, permutations); item = the method's own.
    Method,
    /// The weak view on which class confidences are measured; item = position in the set.
    Measurement,
}

impl Purpose {
    fn name(self) -> &'static str {
        match self {
            Purpose::Initialisation => "initialisation",
            Purpose::LabelledOrder => "labelled order",
            Purpose::UnlabelledOrder => "unlabelled order",
            Purpose::WarmStartOrder => "warm start order",
            Purpose::LabelledViews => "labelled views",
            Purpose::UnlabelledViews => "unlabelled views",
            Purpose::Replacement => "replacement",
            Purpose::Dropout => "dropout",
            Purpose::Method => "method",
            Purpose::Measurement => "measurement",
        }
    }
}

/// The streams of one round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Streams {
    seed: u64,
    round: u32,
}

impl Streams {
    /// The streams of `round` under `seed`.
    pub fn new(seed: u64, round: u32) -> Self {
        Self { seed, round }
    }

    /// The stream for one purpose at one step of one epoch.
    pub fn stream(&self, epoch: u32, step: u32, purpose: Purpose, item: u64) -> Stream {
        let mut hasher = blake3::Hasher::new_derive_key("marginalia trainer stream 1");
        hasher.update(&self.seed.to_le_bytes());
        hasher.update(&self.round.to_le_bytes());
        hasher.update(&epoch.to_le_bytes());
        hasher.update(&step.to_le_bytes());
        hasher.update(&item.to_le_bytes());
        hasher.update(purpose.name().as_bytes());
        Stream(ChaCha8Rng::from_seed(*hasher.finalize().as_bytes()))
    }

    /// The stream of one view of one face under one checkpoint, for scoring: the same in every process.
    pub fn of_face(face_id: &str, checkpoint: &str, view: u64) -> Stream {
        Self::scoring("marginalia scoring view 1", face_id, checkpoint, view)
    }

    /// The stream of the masks under which the head is asked about one face, for scoring.
    pub fn of_masks(face_id: &str, checkpoint: &str) -> Stream {
        Self::scoring("marginalia scoring masks 1", face_id, checkpoint, 0)
    }

    fn scoring(context: &str, face_id: &str, checkpoint: &str, view: u64) -> Stream {
        let mut hasher = blake3::Hasher::new_derive_key(context);
        hasher.update(&(face_id.len() as u64).to_le_bytes());
        hasher.update(face_id.as_bytes());
        hasher.update(&(checkpoint.len() as u64).to_le_bytes());
        hasher.update(checkpoint.as_bytes());
        hasher.update(&view.to_le_bytes());
        Stream(ChaCha8Rng::from_seed(*hasher.finalize().as_bytes()))
    }
}

/// A sequence of random numbers. The conversions are our own, so that no library update changes a result.
#[derive(Clone, Debug)]
pub struct Stream(ChaCha8Rng);

impl Stream {
    /// Uniform in [0, 1), with 53 bits.
    pub fn unit(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// 64 fair bits.
    pub fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Uniform in [low, high).
    pub fn uniform(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// Uniform in 0..n; `n` must not be 0.
    pub fn below(&mut self, n: usize) -> usize {
        // 128-bit multiplication maps 64 random bits to 0..n with a bias below n / 2^64.
        ((u128::from(self.0.next_u64()) * n as u128) >> 64) as usize
    }

    /// A standard normal number (Box–Muller).
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }

    /// From Beta(α, α), α above 0, in 0..=1: a / (a + b) of two Gamma(α) numbers.
    pub fn beta(&mut self, alpha: f64) -> f64 {
        let (a, b) = (self.gamma(alpha), self.gamma(alpha));
        // Both vanish only for an α far below those that settings allow.
        if a + b > 0.0 { a / (a + b) } else { 1.0 }
    }

    /// From Gamma(shape, 1), shape above 0 (Marsaglia and Tsang, 2000); below 1 by way of Gamma(shape + 1).
    pub fn gamma(&mut self, shape: f64) -> f64 {
        if shape < 1.0 {
            let larger = self.gamma(shape + 1.0);
            return larger * (1.0 - self.unit()).powf(1.0 / shape);
        }
        let d = shape - 1.0 / 3.0;
        let c = 1.0 / (9.0 * d).sqrt();
        loop {
            let x = self.normal();
            let v = (1.0 + c * x).powi(3);
            if v > 0.0 && (1.0 - self.unit()).ln() < 0.5 * x * x + d - d * v + d * v.ln() {
                return d * v;
            }
        }
    }

    /// A random order of 0..n (Fisher–Yates).
    pub fn permutation(&mut self, n: usize) -> Vec<u32> {
        let mut order: Vec<u32> = (0..n as u32).collect();
        for last in (1..n).rev() {
            order.swap(last, self.below(last + 1));
        }
        order
    }
}
