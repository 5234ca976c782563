//! FlexMatch (Zhang et al., NeurIPS 2021): FixMatch with a threshold per class that follows how far it is learnt.
//!
//! σ_c = unlabelled faces whose latest sure prediction (max p_w ≥ τ) was c; n = faces that never had one;
//! β_c = σ_c / max(max σ, n) with warm-up, σ_c / max σ without; τ_c = τ β_c / (2 − β_c), the paper's convex mapping.
//! L = L_s + λ · 1/U Σ 1[max p_w ≥ τ_argmax] H(argmax p_w, p_s), with thresholds from before the batch, which then
//! writes down its own sure predictions. A class that was never predicted surely has threshold 0: all of it is
//! accepted, in the pool too.
//!
//! The memory is per face, by its id, so that it stays right while the pool grows; faces that left U are forgotten.

use std::collections::{BTreeMap, HashSet};

use serde_json::{Value, json};

use super::supervised::supervised_loss;
use super::{Loss, Method, Split, StepBatch, StepOutputs, Views, mean_probabilities, restored};
use crate::Result;
use crate::config::TrainerConfig;
use crate::loader::RoundData;

/// The method and what it remembers of every face; the pool is split by its class thresholds.
pub struct FlexMatch {
    threshold: f64,
    warm_up: bool,
    weight: f64,
    /// Class of a face's latest sure prediction.
    selected: BTreeMap<String, u32>,
    /// σ: faces of each class in `selected`.
    counts: Vec<usize>,
    /// Faces of U.
    pool: usize,
}

pub(super) fn build(config: &TrainerConfig, classes: usize) -> Box<dyn Method> {
    Box::new(FlexMatch {
        threshold: config.threshold,
        warm_up: config.flexmatch.warm_up,
        weight: config.weights.unlabelled,
        selected: BTreeMap::new(),
        counts: vec![0; classes],
        pool: 0,
    })
}

impl Method for FlexMatch {
    fn name(&self) -> &'static str {
        "flexmatch"
    }

    fn views(&self) -> Views {
        Views { weak: 1, strong: 1 }
    }

    fn loss(&mut self, outputs: &StepOutputs, batch: &StepBatch) -> Result<Loss> {
        let split = Split::by(&mean_probabilities(&outputs.weak)?, &self.thresholds());
        self.remember(&split, &batch.unlabelled_ids);
        let supervised = supervised_loss(&outputs.labelled, batch)?;
        let unlabelled = split.cross_entropy(&outputs.strong[0].logits)?;
        Loss::weighted(&[("supervised", supervised, 1.0), ("unlabelled", unlabelled, self.weight)], Some(split))
    }

    fn begin_epoch(&mut self, data: &RoundData) {
        let faces: HashSet<&str> = data.unlabelled.iter().map(|face| face.face_id.as_str()).collect();
        self.pool = faces.len();
        self.selected.retain(|face_id, _| faces.contains(face_id.as_str()));
        self.count();
    }

    fn margins(&self) -> Vec<f32> {
        self.thresholds().iter().map(|&threshold| threshold as f32).collect()
    }

    fn state(&self) -> Value {
        json!({"selected": self.selected, "pool": self.pool})
    }

    fn restore(&mut self, state: &Value) -> std::result::Result<(), String> {
        let selected: BTreeMap<String, u32> = restored(state, "selected")?;
        if let Some((face_id, class)) = selected.iter().find(|(_, class)| **class as usize >= self.counts.len()) {
            return Err(format!("face {face_id} was predicted as class {class} of {}", self.counts.len()));
        }
        (self.selected, self.pool) = (selected, restored(state, "pool")?);
        self.count();
        Ok(())
    }
}

impl FlexMatch {
    /// τ_c of every class.
    fn thresholds(&self) -> Vec<f64> {
        let most = self.counts.iter().copied().max().unwrap_or(0);
        let never = self.pool.saturating_sub(self.selected.len());
        let denominator = if self.warm_up { most.max(never) } else { most };
        let threshold = |&count: &usize| {
            let learnt = if denominator == 0 { 0.0 } else { count as f64 / denominator as f64 };
            self.threshold * learnt / (2.0 - learnt)
        };
        self.counts.iter().map(threshold).collect()
    }

    /// Writes down the classes of predictions at or above τ; the others leave what was known.
    fn remember(&mut self, split: &Split, face_ids: &[String]) {
        for ((face_id, &class), &confidence) in face_ids.iter().zip(&split.pseudo_labels).zip(&split.confidences) {
            if confidence < self.threshold {
                continue;
            }
            if let Some(before) = self.selected.insert(face_id.clone(), class) {
                self.counts[before as usize] -= 1;
            }
            self.counts[class as usize] += 1;
        }
    }

    fn count(&mut self) {
        self.counts.fill(0);
        self.selected.values().for_each(|&class| self.counts[class as usize] += 1);
    }
}
