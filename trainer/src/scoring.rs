//! A checkpoint's teacher as a judge of faces: pool scoring and single predictions.
//!
//! In: a checkpoint folder, then face ids and image bytes. Out: probabilities, confidence, entropy, gap and feature per
//! face. Scoring needs nothing else of the trainer, and gives the same numbers in every process: the draws of a face's
//! weak views are named by (face id, checkpoint hash, view number).

use std::path::Path;

use image::RgbImage;
use rayon::ThreadPool;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::calibration::{logits_of, scaled_softmax};
use crate::checkpoint::{Teacher, load_teacher};
use crate::device::Backend;
use crate::disagreement::Head;
use crate::inference::Inference;
use crate::learner::thread_pool;
use crate::loader::{decode_face, plain_planes, weak_planes};
use crate::margin::{largest, softmax_rows};
use crate::network::Outputs;
use crate::streams::Streams;
use crate::{Result, state_dict::StateDict};

/// What the teacher thinks of one face.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// Mean over the views, in class order.
    pub probabilities: Vec<f32>,
    /// The likeliest class; ties go to the lowest.
    pub class: usize,
    /// Its probability.
    pub confidence: f32,
    /// −Σ p ln p.
    pub entropy: f32,
    /// Largest probability minus second largest.
    pub top2_gap: f32,
    /// How much the head disagrees with itself under dropout, in nats; none of a single plain view.
    pub mutual_information: Option<f32>,
    /// Mean feature over the views, of length 1.
    pub feature: Vec<f32>,
}

impl Score {
    /// The confidence under `temperature` ([`crate::calibration`]), of the same class. It is not to be compared with
    /// margins, which are measured on raw confidences.
    pub fn calibrated_confidence(&self, temperature: f64) -> f32 {
        let probabilities: Vec<f64> = self.probabilities.iter().map(|p| f64::from(*p)).collect();
        scaled_softmax(&logits_of(&probabilities), temperature)[self.class] as f32
    }
}

/// A score and the logits that it comes from, in class order.
pub type WithLogits = (Score, Vec<f32>);

/// A loaded teacher.
pub struct Scorer {
    teacher: Teacher,
    inference: Inference,
    head: Head,
    pool: ThreadPool,
}

impl Scorer {
    /// Loads the teacher of the checkpoint folder `directory`, to score on all cores.
    pub fn load(directory: &Path) -> Result<Self> {
        Self::load_with_threads(directory, 0)
    }

    /// As [`load`](Self::load), on `threads` threads (0 = all cores).
    pub fn load_with_threads(directory: &Path, threads: usize) -> Result<Self> {
        Self::load_on(Backend::Engine, directory, threads)
    }

    /// As [`load`](Self::load), the network on `backend`; `threads` then decode and make views.
    pub fn load_on(backend: Backend, directory: &Path, threads: usize) -> Result<Self> {
        let mut teacher = load_teacher(directory)?;
        let weights: StateDict = std::mem::take(&mut teacher.weights);
        let inference = Inference::new(teacher.architecture, backend, &weights)?;
        // They are there: the network was made of them.
        let numbers = |name: &str| weights.get(name).map(|array| array.values.as_slice()).unwrap_or_default();
        let head = Head::new(numbers("fc.weight"), numbers("fc.bias"), teacher.architecture.feature_scale);
        Ok(Self { teacher, inference, head, pool: thread_pool(threads, "scorer")? })
    }

    /// Class names, in the order of the probabilities.
    pub fn classes(&self) -> &[String] {
        &self.teacher.classes
    }

    /// The margin of every class by which the pool is split.
    pub fn margins(&self) -> &[f32] {
        &self.teacher.margins
    }

    /// BLAKE3 of the teacher's file, in hex.
    pub fn hash(&self) -> &str {
        &self.teacher.hash
    }

    /// The round that made the checkpoint.
    pub fn round(&self) -> u32 {
        self.teacher.round
    }

    /// The method that made the checkpoint.
    pub fn method(&self) -> &str {
        &self.teacher.method
    }

    /// Length of a feature.
    pub fn feature_size(&self) -> usize {
        self.teacher.architecture.feature_size()
    }

    /// Whether a score belongs to subset I (a pseudo-label) or II (a question for people).
    pub fn is_subset_one(&self, score: &Score) -> bool {
        score.confidence >= self.teacher.margins[score.class]
    }

    /// Scores faces, given as (face id, image bytes), on the checkpoint's number of weak views; `None` for a face that
    /// cannot be decoded.
    pub fn score<I, B>(&self, faces: &[(I, B)]) -> Result<Vec<Option<Score>>>
    where
        I: AsRef<str> + Sync,
        B: AsRef<[u8]> + Sync,
    {
        let (input, hash, views) = (self.teacher.input, &self.teacher.hash, self.teacher.k_weak);
        let planes = |(face_id, image): &(I, B)| {
            let face = self.decode(image.as_ref())?;
            let view = |view| weak_planes(&face, input, &mut Streams::of_face(face_id.as_ref(), hash, view));
            Some((0..views as u64).flat_map(view).collect())
        };
        let mut scores = self.in_batches(faces, views, planes, |outputs| scores(outputs, views))?;
        self.pool.install(|| {
            scores.par_iter_mut().zip(faces).for_each(|(score, (face_id, _))| {
                if let Some(score) = score {
                    let mut masks = Streams::of_masks(face_id.as_ref(), hash);
                    score.mutual_information = Some(self.head.mutual_information(&score.feature, &mut masks));
                }
            });
        });
        Ok(scores)
    }

    /// Scores images on one plain view; `None` for one that cannot be decoded.
    pub fn predict<B: AsRef<[u8]> + Sync>(&self, images: &[B]) -> Result<Vec<Option<Score>>> {
        self.in_batches(images, 1, |image| self.plain(image.as_ref()), |outputs| scores(outputs, 1))
    }

    /// As [`predict`](Self::predict), each with its logits in class order: a temperature is fitted on these, and they
    /// are what torchvision gives for the same weights.
    pub fn predict_with_logits<B: AsRef<[u8]> + Sync>(&self, images: &[B]) -> Result<Vec<Option<WithLogits>>> {
        self.in_batches(
            images,
            1,
            |image| self.plain(image.as_ref()),
            |outputs| Ok(scores(outputs, 1)?.into_iter().zip(outputs.logits.to_vec2::<f32>()?).collect()),
        )
    }

    fn plain(&self, image: &[u8]) -> Option<Vec<f32>> {
        Some(plain_planes(&self.decode(image)?, self.teacher.input))
    }

    fn decode(&self, image: &[u8]) -> Option<RgbImage> {
        decode_face(image, self.teacher.input)
    }

    /// Makes every item's views, sends them through in batches, and puts the answers back in order.
    fn in_batches<T: Sync, A: Clone + Send>(
        &self,
        items: &[T],
        views: usize,
        planes: impl Fn(&T) -> Option<Vec<f32>> + Sync,
        answers: impl Fn(&Outputs) -> Result<Vec<A>> + Sync,
    ) -> Result<Vec<Option<A>>> {
        let per_batch = (self.teacher.batch / views).max(1);
        let batches = items.chunks(per_batch).map(|items| {
            self.pool.install(|| {
                let planes: Vec<Option<Vec<f32>>> = items.par_iter().map(&planes).collect();
                self.answer(planes, views, &answers)
            })
        });
        Ok(batches.collect::<Result<Vec<_>>>()?.concat())
    }

    fn answer<A: Clone>(
        &self,
        planes: Vec<Option<Vec<f32>>>,
        views: usize,
        answers: impl Fn(&Outputs) -> Result<Vec<A>>,
    ) -> Result<Vec<Option<A>>> {
        let count = planes.iter().flatten().count() * views;
        let decodable: Vec<bool> = planes.iter().map(Option::is_some).collect();
        if count == 0 {
            return Ok(vec![None; planes.len()]);
        }
        let numbers = planes.into_iter().flatten().collect::<Vec<_>>().concat();
        let outputs = self.inference.forward(&self.teacher.input.tensor(numbers, count)?)?;
        let mut answers = answers(&outputs)?.into_iter();
        Ok(decodable.into_iter().map(|decodable| if decodable { answers.next() } else { None }).collect())
    }
}

/// A score for every `views` rows of outputs.
fn scores(outputs: &Outputs, views: usize) -> Result<Vec<Score>> {
    let probabilities = softmax_rows(&outputs.logits)?;
    let features = outputs.features.to_vec2::<f32>()?;
    Ok(probabilities.chunks(views).zip(features.chunks(views)).map(|(p, f)| score(p, f)).collect())
}

/// From the probabilities and features of one face's views.
fn score(probabilities: &[Vec<f64>], features: &[Vec<f32>]) -> Score {
    let views = probabilities.len() as f64;
    let mean: Vec<f64> = (0..probabilities[0].len())
        .map(|class| probabilities.iter().map(|row| row[class]).sum::<f64>() / views)
        .collect();
    let (class, confidence) = largest(&mean);
    let second = mean.iter().enumerate().filter(|(other, _)| *other != class).map(|(_, p)| *p).fold(0.0, f64::max);
    let entropy: f64 = mean.iter().filter(|p| **p > 0.0).map(|p| -p * p.ln()).sum();
    let sum: Vec<f64> =
        (0..features[0].len()).map(|place| features.iter().map(|row| f64::from(row[place])).sum()).collect();
    let length = sum.iter().map(|value| value * value).sum::<f64>().sqrt().max(f64::MIN_POSITIVE);
    Score {
        probabilities: mean.iter().map(|p| *p as f32).collect(),
        class,
        confidence: confidence as f32,
        entropy: entropy as f32,
        top2_gap: (confidence - second) as f32,
        mutual_information: None,
        feature: sum.iter().map(|value| (value / length) as f32).collect(),
    }
}
