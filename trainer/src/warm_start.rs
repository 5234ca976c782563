//! The warm start: before the first epoch of a round from scratch, the backbone learns from faces without their labels
//! (SimCLR, Chen et al., ICML 2020).
//!
//! In: a fresh learner and a round's faces, labelled ones too, each as often as any other. Out: a learner whose
//! backbone puts two strong views of a face near each other and away from other faces (InfoNCE over the batch). All
//! else is fresh: the heads are as initialised, and Adam, teacher and counters begin as with weights from a file.
//!
//! The paper's projection head is left out: the loss takes the unit-norm feature that the head of the classes reads.

use candle_core::Tensor;

use crate::Result;
use crate::config::TrainerConfig;
use crate::engine::info_nce::info_nce;
use crate::learner::{Learner, LearnerState};
use crate::loader::{RoundData, UnlabelledFace};
use crate::methods::{Loss, Method, StepBatch, StepOutputs, Views};
use crate::network::{Outputs, Pass};
use crate::report::StepReport;
use crate::steps::Steps;

/// Warms `learner` up before the epoch of `steps`. Returns the faces that could not be decoded.
pub(crate) fn warm_start(
    learner: &mut Learner,
    steps: &Steps,
    observe: &mut dyn FnMut(StepReport),
) -> Result<Vec<String>> {
    let config = TrainerConfig {
        steps_per_epoch: steps.config.warm_start_steps,
        batch_unlabelled: steps.config.batch_labelled + steps.config.batch_unlabelled,
        soft_targets: false,
        ..steps.config.clone()
    };
    let data = without_labels(steps.data);
    let mut method = WarmStart { temperature: config.warm_start_temperature };
    let mut weights = learner.student().state()?;
    let tally = Steps { config: &config, data: &data, epoch: 0, ..*steps }.run(learner, &mut method, observe)?;
    let student = learner.student();
    let (architecture, backend, mut warm) = (*student.architecture(), student.backend().clone(), student.state()?);
    for tensor in architecture.backbone.tensors(architecture.width, architecture.input_channels) {
        weights.extend(warm.remove_entry(&tensor.name));
    }
    *learner = Learner::on(backend, steps.config, architecture, LearnerState::fresh(weights))?;
    Ok(tally.undecodable())
}

/// All faces that a round trains on, as unlabelled ones.
fn without_labels(data: &RoundData) -> RoundData {
    let face = |face_id: &String, index: u64| UnlabelledFace { face_id: face_id.clone(), index, weight: 1.0 };
    let labelled = data.labelled.iter().map(|labelled| face(&labelled.face_id, labelled.index));
    let unlabelled = data.unlabelled.iter().map(|unlabelled| face(&unlabelled.face_id, unlabelled.index));
    RoundData {
        labelled: Vec::new(),
        unlabelled: labelled.chain(unlabelled).collect(),
        validation: Vec::new(),
        source: data.source.clone(),
    }
}

/// InfoNCE over two strong views of every face. It is not in the registry: no class comes of it.
struct WarmStart {
    temperature: f64,
}

impl Method for WarmStart {
    fn name(&self) -> &'static str {
        "warm-start"
    }

    fn views(&self) -> Views {
        Views { weak: 0, strong: 2 }
    }

    fn forward(&mut self, pass: &mut dyn Pass, batch: &StepBatch) -> Result<StepOutputs> {
        let strong = pass.forward(&batch.strong.iter().collect::<Vec<_>>())?;
        let nothing = batch.labelled.flatten_all()?;
        Ok(StepOutputs { labelled: Outputs { features: nothing.clone(), logits: nothing }, weak: Vec::new(), strong })
    }

    fn loss(&mut self, outputs: &StepOutputs, _batch: &StepBatch) -> Result<Loss> {
        let features: Vec<Tensor> = outputs.strong.iter().map(|view| view.features.clone()).collect();
        Loss::weighted(&[("contrastive", info_nce(&features, self.temperature)?, 1.0)], None)
    }

    fn margins(&self) -> Vec<f32> {
        Vec::new()
    }
}
