//! FreeMatch (Wang et al., ICLR 2023): thresholds from the predictions themselves, and fairness between classes.
//!
//! With moving averages τ of mean max p_w (Eq. 5), p̃ of mean p_w (Eq. 6) and h̃ of the histogram of argmax p_w,
//! updated before use:
//! τ_c = τ p̃_c / max p̃ (Eq. 7); L_u = 1/U Σ 1[max p_w ≥ τ_argmax] H(argmax p_w, p_s) (Eq. 8);
//! L_f = Σ_c a_c ln b_c (section 3.2), a = norm(p̃ / h̃), b = norm(mean p_s / histogram of argmax p_s) over accepted
//! faces; a class that a histogram lacks counts 0. L = L_s + λ L_u + w L_f: L_f is minus a cross-entropy, so that a
//! positive w pushes away from the present histogram. No gradient goes into the weak view. 0.999 remembers more steps
//! than a short round has, and τ would stay near 1/C: see `moving_average.spans_per_round`.

use candle_core::{D, DType, Device, Tensor};
use candle_nn::ops::log_softmax;
use serde_json::{Value, json};

use super::supervised::supervised_loss;
use super::{Loss, Method, Split, StepBatch, StepOutputs, Views, mean_probabilities, restored};
use crate::Result;
use crate::alignment::{column_means, moved, normalised};
use crate::config::TrainerConfig;
use crate::engine::storage::tensor;
use crate::margin::{largest, softmax_rows};

/// Keeps ln b finite where a class is absent.
const EPSILON: f64 = 1e-12;

/// The method and its averages; the pool is split by its class thresholds.
pub struct FreeMatch {
    momentum: f64,
    weight: f64,
    fairness: f64,
    averages: Averages,
}

#[derive(Clone)]
struct Averages {
    /// τ.
    threshold: f64,
    /// p̃.
    prediction: Vec<f64>,
    /// h̃.
    histogram: Vec<f64>,
}

pub(super) fn build(config: &TrainerConfig, classes: usize) -> Box<dyn Method> {
    let chance = 1.0 / classes as f64;
    Box::new(FreeMatch {
        momentum: config.moving_average.momentum(config.steps_per_round()),
        weight: config.weights.unlabelled,
        fairness: config.freematch.fairness,
        averages: Averages { threshold: chance, prediction: vec![chance; classes], histogram: vec![chance; classes] },
    })
}

impl Method for FreeMatch {
    fn name(&self) -> &'static str {
        "freematch"
    }

    fn views(&self) -> Views {
        Views { weak: 1, strong: 1 }
    }

    fn loss(&mut self, outputs: &StepOutputs, batch: &StepBatch) -> Result<Loss> {
        let probabilities = mean_probabilities(&outputs.weak)?;
        self.averages.observe(&probabilities, self.momentum);
        let split = Split::by(&probabilities, &self.averages.thresholds());
        let strong = &outputs.strong[0].logits;
        let supervised = supervised_loss(&outputs.labelled, batch)?;
        let unlabelled = split.cross_entropy(strong)?;
        let fairness = self.averages.fairness(strong, &split)?;
        let terms = [
            ("supervised", supervised, 1.0),
            ("unlabelled", unlabelled, self.weight),
            ("fairness", fairness, self.fairness),
        ];
        Loss::weighted(&terms, Some(split))
    }

    fn margins(&self) -> Vec<f32> {
        self.averages.thresholds().iter().map(|&threshold| threshold as f32).collect()
    }

    fn state(&self) -> Value {
        let Averages { threshold, prediction, histogram } = &self.averages;
        json!({"threshold": threshold, "p_model": prediction, "histogram": histogram})
    }

    fn restore(&mut self, state: &Value) -> std::result::Result<(), String> {
        let averages = Averages {
            threshold: restored(state, "threshold")?,
            prediction: restored(state, "p_model")?,
            histogram: restored(state, "histogram")?,
        };
        let classes = self.averages.prediction.len();
        if [averages.prediction.len(), averages.histogram.len()] != [classes; 2] {
            return Err(format!("averages of another number of classes than {classes}"));
        }
        self.averages = averages;
        Ok(())
    }
}

impl Averages {
    fn observe(&mut self, probabilities: &[Vec<f64>], momentum: f64) {
        let places: Vec<(usize, f64)> = probabilities.iter().map(|row| largest(row)).collect();
        let sure: f64 = places.iter().map(|(_, confidence)| confidence).sum();
        let mean = sure / places.len().max(1) as f64;
        self.threshold = momentum * self.threshold + (1.0 - momentum) * mean;
        let (prediction, histogram) = (std::mem::take(&mut self.prediction), std::mem::take(&mut self.histogram));
        let shares = shares(places.iter().map(|(class, _)| *class), histogram.len());
        self.prediction = moved(Some(prediction), &column_means(probabilities), momentum);
        self.histogram = moved(Some(histogram), &shares, momentum);
    }

    /// τ_c of every class.
    fn thresholds(&self) -> Vec<f64> {
        let most = self.prediction.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
        self.prediction.iter().map(|prediction| self.threshold * (prediction / most)).collect()
    }

    /// L_f over the accepted strong rows; 0 without gradient where there are none.
    fn fairness(&self, strong: &Tensor, split: &Split) -> Result<Tensor> {
        let accepted = split.accepted();
        if accepted == 0 {
            return Ok(Tensor::zeros((), DType::F32, &Device::Cpu)?);
        }
        let classes = self.prediction.len();
        let predicted = softmax_rows(strong)?.into_iter().zip(&split.subset_one).filter(|(_, accepted)| **accepted);
        let histogram = shares(predicted.map(|(row, _)| largest(&row).0), classes);
        let a = normalised(ratio(&self.prediction, &self.histogram));
        let weights: Vec<f32> = split.mask().iter().map(|mask| mask / accepted as f32).collect();
        let probabilities = log_softmax(strong, D::Minus1)?.exp()?;
        let mean = tensor(weights, (1, split.subset_one.len()))?.matmul(&probabilities)?;
        let scaled = mean.mul(&row(&ratio(&vec![1.0; classes], &histogram))?)?;
        let b = scaled.broadcast_div(&scaled.sum_keepdim(D::Minus1)?)?;
        Ok((b + EPSILON)?.log()?.mul(&row(&a)?)?.sum_all()?)
    }
}

/// The share of every class among some.
fn shares(predicted: impl Iterator<Item = usize>, classes: usize) -> Vec<f64> {
    let mut counts = vec![0.0; classes];
    predicted.for_each(|class| counts[class] += 1.0);
    normalised(counts)
}

/// numerator / denominator, 0 where the denominator is.
fn ratio(numerator: &[f64], denominator: &[f64]) -> Vec<f64> {
    let divide = |(n, d): (&f64, &f64)| if *d > 0.0 { n / d } else { 0.0 };
    numerator.iter().zip(denominator).map(divide).collect()
}

fn row(numbers: &[f64]) -> candle_core::Result<Tensor> {
    tensor(numbers.iter().map(|&number| number as f32).collect(), (1, numbers.len()))
}
