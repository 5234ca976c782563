//! Faces out of numbers: drawn portraits with a known expression, for demonstrations, tests and benchmarks where real
//! faces may not go.
//!
//! A face is a pure function of seed and index. People come back with other expressions, poses and light; the
//! intensity of an expression varies and borrows from others, so that some faces are as ambiguous as real ones are.
//! Nothing here resembles a living person, and accuracy on it says nothing about accuracy on people.

mod canvas;
mod expression;
mod person;
mod portrait;

use std::io::Cursor;

use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, RgbImage};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::classes::Classes;
use crate::encode::encode_png;
use expression::Expression;
use person::Person;

/// An endless supply of faces.
#[derive(Debug, Clone)]
pub struct SyntheticFaces {
    seed: u64,
    side: u32,
    classes: Vec<String>,
    /// Running sums of the classes' shares.
    shares: Vec<f64>,
}

/// One drawn face.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyntheticFace {
    /// The class it was drawn as, one of the corpus's names.
    pub class: String,
    /// Who it is; the same person comes back with other expressions.
    pub subject: String,
    pub image: RgbImage,
}

/// So many consecutive faces share a group of people …
const FACES_PER_GROUP: u64 = 4096;
/// … of this size: eight faces a person.
const PEOPLE_PER_GROUP: u64 = 512;

impl SyntheticFaces {
    /// Square faces of `side` pixels, at least 16. Classes are as unevenly frequent as in photographs from the web:
    /// much happiness, little disgust. A class that is none of the known expressions gets an expression of its own,
    /// made of its name.
    pub fn new(seed: u64, side: u32, classes: &Classes) -> Self {
        let mut sum = 0.0;
        let add = |name: &String| {
            sum += Expression::share(name);
            sum
        };
        let shares = classes.names().iter().map(add).collect();
        Self { seed, side: side.max(16), classes: classes.names().to_vec(), shares }
    }

    /// Face number `index`, the same in every run.
    pub fn face(&self, index: u64) -> SyntheticFace {
        let mut rng = random(self.seed, "face", index);
        let total = self.shares.last().copied().unwrap_or_default();
        let draw = rng.random_range(0.0..total);
        let class = self.shares.partition_point(|&share| share <= draw).min(self.classes.len() - 1);
        let number = index / FACES_PER_GROUP * PEOPLE_PER_GROUP + rng.random_range(0..PEOPLE_PER_GROUP);
        let person = Person::new(&mut random(self.seed, "person", number));
        let expression = Expression::of(&self.classes[class], &mut rng);
        SyntheticFace {
            class: self.classes[class].clone(),
            subject: format!("synthetic-{}-{number}", self.seed),
            image: portrait::draw(&person, &expression, self.side, &mut rng),
        }
    }
}

impl SyntheticFace {
    /// The face as a PNG file, grey if it is grey.
    pub fn png(&self) -> Vec<u8> {
        encode_png(&DynamicImage::ImageRgb8(self.image.clone()))
    }

    /// The face as a JPEG file; quality from 1 to 100.
    pub fn jpeg(&self, quality: u8) -> Vec<u8> {
        let mut jpeg = Cursor::new(Vec::new());
        let grey = self.image.pixels().all(|pixel| pixel.0[0] == pixel.0[1] && pixel.0[1] == pixel.0[2]);
        let image = DynamicImage::ImageRgb8(self.image.clone());
        let image = if grey { DynamicImage::ImageLuma8(image.into_luma8()) } else { image };
        // Memory takes every write, and both colour types are JPEG's own.
        image
            .write_with_encoder(JpegEncoder::new_with_quality(&mut jpeg, quality.clamp(1, 100)))
            .unwrap_or_else(|error| unreachable!("JPEG into memory: {error}"));
        jpeg.into_inner()
    }
}

/// A generator of its own for every purpose and number: face 7 does not depend on whether face 6 was drawn.
fn random(seed: u64, purpose: &str, number: u64) -> ChaCha8Rng {
    let mut hasher = blake3::Hasher::new_derive_key("marginalia synthetic faces 1");
    hasher.update(&seed.to_le_bytes()).update(&number.to_le_bytes()).update(purpose.as_bytes());
    ChaCha8Rng::from_seed(*hasher.finalize().as_bytes())
}
