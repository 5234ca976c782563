//! From a round's faces to batches of views, on threads of their own, ahead of the step by a bounded number of batches.
//!
//! In: a [`FaceSource`] and lists of faces. Out: [`StepBatch`]es in order. What a batch holds depends on (seed, round,
//! epoch, step) alone, never on timing. A face that cannot be decoded is replaced by another of its set and reported.

use std::sync::Arc;
use std::sync::mpsc::SyncSender;

use candle_core::Tensor;
use image::RgbImage;
use marginalia_datasets::{Limits, decode};
use rayon::prelude::*;

use crate::config::TrainerConfig;
use crate::engine::cross_entropy::vote_shares;
use crate::methods::{StepBatch, Views};
use crate::sampler::Sampler;
use crate::streams::{Purpose, Stream, Streams};
use crate::views::pixels::Input;
use crate::views::{Strong, Weak};
use crate::{Error, Result};

/// Where image bytes come from. `indices` may come in any order and repeat; the answer has one image per index.
pub trait FaceSource: Send + Sync {
    /// The bytes of the images at `indices`, in that order.
    fn images(&self, indices: &[u64]) -> std::result::Result<Vec<Vec<u8>>, Box<dyn std::error::Error + Send + Sync>>;
}

/// A face with a class.
#[derive(Clone, Debug, PartialEq)]
pub struct LabelledFace {
    pub face_id: String,
    /// Its index in the source.
    pub index: u64,
    /// Its class as a position in the class list.
    pub class: usize,
    /// What it teaches where `soft_targets` is on: shares of the classes, or people's votes for them, which are divided
    /// by their sum. `None` = the class alone.
    pub target: Option<Vec<f32>>,
    /// Relative sampling probability, above 0.
    pub weight: f64,
}

impl LabelledFace {
    /// Refuses a class or a target that is not one of `classes` classes.
    fn check(&self, classes: usize) -> Result<()> {
        if self.class >= classes {
            return Err(Error::ClassOutOfRange { face_id: self.face_id.clone(), class: self.class, classes });
        }
        let is_valid = |target: &&Vec<f32>| {
            let is_share = |share: &f32| *share >= 0.0 && share.is_finite();
            target.len() == classes && target.iter().all(is_share) && target.iter().any(|share| *share > 0.0)
        };
        match self.target.as_ref().filter(|target| !is_valid(target)) {
            Some(target) => Err(Error::BadTarget { face_id: self.face_id.clone(), target: target.clone(), classes }),
            None => Ok(()),
        }
    }

    /// Its target, or all on its class.
    fn votes(&self, classes: usize) -> Vec<f64> {
        match &self.target {
            Some(target) => target.iter().map(|&share| f64::from(share)).collect(),
            None => (0..classes).map(|class| if class == self.class { 1.0 } else { 0.0 }).collect(),
        }
    }
}

/// A face without a class.
#[derive(Clone, Debug, PartialEq)]
pub struct UnlabelledFace {
    pub face_id: String,
    /// Its index in the source.
    pub index: u64,
    /// Relative sampling probability, above 0.
    pub weight: f64,
}

/// The faces of one round.
#[derive(Clone)]
pub struct RoundData {
    /// S.
    pub labelled: Vec<LabelledFace>,
    /// U, without S.
    pub unlabelled: Vec<UnlabelledFace>,
    /// Held out: measured after every epoch, never trained on.
    pub validation: Vec<LabelledFace>,
    pub source: Arc<dyn FaceSource>,
}

impl RoundData {
    /// Refuses faces that no round can go by; `views` are those of unlabelled faces.
    pub(crate) fn check(&self, classes: usize, views: Views) -> Result<()> {
        if self.labelled.is_empty() {
            let remedy = "label or import some faces first";
            return Err(Error::NoFaces { set: "labelled", remedy });
        }
        if self.unlabelled.is_empty() && views.any() {
            let remedy = "ingest unlabelled faces, or train with method `supervised`";
            return Err(Error::NoFaces { set: "unlabelled", remedy });
        }
        self.labelled.iter().chain(&self.validation).try_for_each(|face| face.check(classes))
    }
}

/// Faces fetched from the source in one call: so many images, as they came, lie in memory beside the batches.
const FETCH: usize = 256;
/// Replacements tried for one undecodable face before giving up.
const ATTEMPTS: u64 = 32;
/// Streams of one face's views are this far apart; strong views start in the middle.
const VIEW_ITEMS: u64 = 64;

/// One step's batch, and the faces that could not be decoded on the way.
pub(crate) struct Loaded {
    pub batch: StepBatch,
    /// Ids of the batch's faces, labelled ones first.
    pub faces: Vec<String>,
    pub undecodable: Vec<String>,
}

/// Makes the batches of one epoch. A set that is empty has no part in them.
pub(crate) struct Loader<'a> {
    pub data: &'a RoundData,
    pub config: &'a TrainerConfig,
    pub classes: usize,
    pub streams: Streams,
    pub views: Views,
    /// From 1; 0 = the warm start before.
    pub epoch: u32,
}

/// A face of a batch: which set, and where in it.
#[derive(Clone, Copy)]
struct Slot {
    labelled: bool,
    position: usize,
}

/// A face's views as numbers, and the face that was really used.
struct Prepared {
    position: usize,
    planes: Vec<Vec<f32>>,
    undecodable: Vec<String>,
}

impl Loader<'_> {
    /// Sends the epoch's batches until done, or until nobody listens.
    pub fn run(self, sender: SyncSender<Result<Loaded>>) {
        if let Err(error) = self.send_batches(&sender) {
            let _ = sender.send(Err(error));
        }
    }

    fn send_batches(&self, sender: &SyncSender<Result<Loaded>>) -> Result<()> {
        let pool = crate::learner::thread_pool(self.config.loader_threads, "loader")?;
        let mut labelled = self.labelled_sampler()?;
        let mut unlabelled = self.unlabelled_sampler()?;
        let steps = self.config.steps_per_epoch;
        let done = u64::from(self.epochs_before()) * u64::from(steps);
        let per_step = self.config.batch_labelled + if self.views.any() { self.config.batch_unlabelled } else { 0 };
        let steps_per_fetch = (FETCH / per_step).max(1) as u32;
        for first in (1..=steps).step_by(steps_per_fetch as usize) {
            let group: Vec<Vec<Slot>> = (first..=steps.min(first + steps_per_fetch - 1))
                .map(|step| {
                    let number = done + u64::from(step - 1);
                    let slot = |labelled| move |position| Slot { labelled, position };
                    let mut slots: Vec<Slot> = Vec::new();
                    if !self.data.labelled.is_empty() {
                        slots.extend(labelled.batch(number).into_iter().map(slot(true)));
                    }
                    if self.views.any() {
                        slots.extend(unlabelled.batch(number).into_iter().map(slot(false)));
                    }
                    slots
                })
                .collect();
            let indices: Vec<u64> = group.iter().flatten().map(|slot| self.index(*slot)).collect();
            let mut images = fetch(self.data.source.as_ref(), &indices)?.into_iter();
            for (step, slots) in (first..).zip(group) {
                let images: Vec<Vec<u8>> = images.by_ref().take(slots.len()).collect();
                let loaded = pool.install(|| self.load(step, &slots, &images))?;
                if sender.send(Ok(loaded)).is_err() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn labelled_sampler(&self) -> Result<Sampler> {
        let weights = self.data.labelled.iter().map(|face| (face.face_id.as_str(), face.weight));
        Sampler::new(weights, self.config.batch_labelled, self.streams, Purpose::LabelledOrder)
    }

    fn unlabelled_sampler(&self) -> Result<Sampler> {
        let weights = self.data.unlabelled.iter().map(|face| (face.face_id.as_str(), face.weight));
        let purpose = if self.epoch == 0 { Purpose::WarmStartOrder } else { Purpose::UnlabelledOrder };
        Sampler::new(weights, self.config.batch_unlabelled, self.streams, purpose)
    }

    fn epochs_before(&self) -> u32 {
        self.epoch.saturating_sub(1)
    }

    fn index(&self, slot: Slot) -> u64 {
        if slot.labelled { self.data.labelled[slot.position].index } else { self.data.unlabelled[slot.position].index }
    }

    fn face_id(&self, slot: Slot) -> &str {
        if slot.labelled {
            &self.data.labelled[slot.position].face_id
        } else {
            &self.data.unlabelled[slot.position].face_id
        }
    }

    /// Decodes and augments one step's faces, and puts the views together.
    fn load(&self, step: u32, slots: &[Slot], images: &[Vec<u8>]) -> Result<Loaded> {
        let prepared = slots
            .par_iter()
            .zip(images)
            .enumerate()
            .map(|(place, (slot, image))| self.prepare(step, place as u64, *slot, image))
            .collect::<Result<Vec<Prepared>>>()?;
        let (labelled, unlabelled) = prepared.split_at(slots.iter().filter(|slot| slot.labelled).count());
        let input = Input::new(self.config);
        let view = |faces: &[Prepared], view: usize| {
            let numbers = faces.iter().map(|face| face.planes[view].as_slice()).collect::<Vec<_>>().concat();
            input.tensor(numbers, faces.len())
        };
        let weak = if unlabelled.is_empty() { 0 } else { self.views.weak };
        let strong = if unlabelled.is_empty() { 0 } else { self.views.strong };
        let done = f64::from(self.epochs_before()) + f64::from(step - 1) / f64::from(self.config.steps_per_epoch);
        let batch = StepBatch {
            labelled: view(labelled, 0)?,
            labels: labelled.iter().map(|face| self.data.labelled[face.position].class as u32).collect(),
            soft: self.soft_targets(labelled)?,
            weak: (0..weak).map(|number| view(unlabelled, number)).collect::<Result<_>>()?,
            strong: (weak..weak + strong).map(|number| view(unlabelled, number)).collect::<Result<_>>()?,
            unlabelled_ids: unlabelled.iter().map(|face| self.data.unlabelled[face.position].face_id.clone()).collect(),
            progress: done / f64::from(self.config.epochs_per_round),
        };
        let undecodable = prepared.iter().flat_map(|face| face.undecodable.iter().cloned()).collect();
        let labelled = labelled.iter().map(|face| self.data.labelled[face.position].face_id.clone());
        let faces = labelled.chain(batch.unlabelled_ids.iter().cloned()).collect();
        Ok(Loaded { batch, faces, undecodable })
    }

    /// What these faces teach, where that is more than a class.
    fn soft_targets(&self, labelled: &[Prepared]) -> Result<Option<Tensor>> {
        if !self.config.soft_targets {
            return Ok(None);
        }
        let votes = |face: &Prepared| self.data.labelled[face.position].votes(self.classes);
        Ok(Some(vote_shares(&labelled.iter().map(votes).collect::<Vec<_>>(), 0.0)?))
    }

    /// One face's views; an undecodable face is replaced by one drawn from its set.
    fn prepare(&self, step: u32, place: u64, mut slot: Slot, image: &[u8]) -> Result<Prepared> {
        let mut undecodable = Vec::new();
        let mut replacements = self.streams.stream(self.epoch, step, Purpose::Replacement, place);
        let input = Input::new(self.config);
        let mut face = decode_face(image, input);
        let face = loop {
            if let Some(face) = face {
                break face;
            }
            undecodable.push(self.face_id(slot).to_owned());
            let (set, count) = if slot.labelled {
                ("labelled", self.data.labelled.len())
            } else {
                ("unlabelled", self.data.unlabelled.len())
            };
            if undecodable.len() as u64 > ATTEMPTS {
                let face_id = self.face_id(slot).to_owned();
                return Err(Error::Undecodable { set, attempts: undecodable.len(), face_id });
            }
            slot.position = replacements.below(count);
            let image = fetch(self.data.source.as_ref(), &[self.index(slot)])?;
            face = image.first().and_then(|image| decode_face(image, input));
        };
        let purpose = if slot.labelled { Purpose::LabelledViews } else { Purpose::UnlabelledViews };
        let stream = |view: u64| self.streams.stream(self.epoch, step, purpose, place * VIEW_ITEMS + view);
        let side = input.side as u32;
        let (weak, strong) = if slot.labelled { (1, 0) } else { (self.views.weak, self.views.strong) };
        let weak = (0..weak as u64).map(|view| planes(&Weak::draw(&mut stream(view), side).apply(&face), input));
        let strong = (0..strong as u64).map(|view| {
            let draws = &mut stream(VIEW_ITEMS / 2 + view);
            planes(&Strong::draw(draws, face.width(), face.height(), side).apply(&face), input)
        });
        Ok(Prepared { position: slot.position, planes: weak.chain(strong).collect(), undecodable })
    }
}

fn planes(view: &RgbImage, input: Input) -> Vec<f32> {
    let mut numbers = Vec::with_capacity(view.as_raw().len());
    input.append_planes(view, &mut numbers);
    numbers
}

/// A weak view's numbers, for measuring and scoring.
pub(crate) fn weak_planes(face: &RgbImage, input: Input, stream: &mut Stream) -> Vec<f32> {
    planes(&Weak::draw(stream, input.side as u32).apply(face), input)
}

/// The plain view's numbers.
pub(crate) fn plain_planes(face: &RgbImage, input: Input) -> Vec<f32> {
    planes(&input.plain(face), input)
}

/// The face in the network's colours; `None` where it cannot be decoded.
pub(crate) fn decode_face(image: &[u8], input: Input) -> Option<RgbImage> {
    match decode(image, &Limits::default()) {
        Ok(face) => Some(input.colours(face)),
        Err(reason) => {
            tracing::debug!(%reason, "a face could not be decoded");
            None
        }
    }
}

/// The images at `indices`, checked to be as many.
pub(crate) fn fetch(source: &dyn FaceSource, indices: &[u64]) -> Result<Vec<Vec<u8>>> {
    let images = source.images(indices).map_err(Error::Source)?;
    if images.len() != indices.len() {
        return Err(Error::ShortSource { wanted: indices.len(), found: images.len() });
    }
    Ok(images)
}
