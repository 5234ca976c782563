//! How much the head disagrees with itself under dropout: the mutual information between a face's class and the model.
//!
//! BALD (Houlsby et al. 2011), with dropout as the draws of the model (Gal, Islam and Ghahramani 2017): H(mean p) −
//! mean H(p) over passes of the head, each with half of the feature dropped. The feature is normalised after dropout,
//! so that dropping from the unit-norm feature gives what dropping from the pooled one would: the body is passed once.

use crate::margin::softmax;
use crate::streams::Stream;

/// Passes of the head.
const PASSES: usize = 10;

/// The last layer as plain numbers.
pub(crate) struct Head {
    /// One row a class.
    weight: Vec<Vec<f32>>,
    bias: Vec<f32>,
    feature_scale: f64,
}

impl Head {
    /// `weight` holds as many numbers per class as a feature has.
    pub fn new(weight: &[f32], bias: &[f32], feature_scale: f64) -> Self {
        let width = weight.len() / bias.len().max(1);
        let weight = weight.chunks(width.max(1)).map(<[f32]>::to_vec).collect();
        Self { weight, bias: bias.to_vec(), feature_scale }
    }

    /// Nats, 0 or more; `feature` is of length 1.
    pub fn mutual_information(&self, feature: &[f32], stream: &mut Stream) -> f32 {
        let passes: Vec<Vec<f64>> = (0..PASSES).map(|_| self.pass(feature, stream)).collect();
        let classes = self.bias.len();
        let mean: Vec<f64> =
            (0..classes).map(|class| passes.iter().map(|p| p[class]).sum::<f64>() / PASSES as f64).collect();
        let within = passes.iter().map(|p| entropy(p)).sum::<f64>() / PASSES as f64;
        (entropy(&mean) - within).max(0.0) as f32
    }

    /// Probabilities under one mask.
    fn pass(&self, feature: &[f32], stream: &mut Stream) -> Vec<f64> {
        let mut kept = feature.to_vec();
        for values in kept.chunks_mut(64) {
            let bits = stream.bits();
            values.iter_mut().enumerate().filter(|(at, _)| (bits >> at) & 1 == 0).for_each(|(_, value)| *value = 0.0);
        }
        let length = kept.iter().map(|value| value * value).sum::<f32>().sqrt().max(f32::MIN_POSITIVE);
        let scale = self.feature_scale / f64::from(length);
        let logit = |(row, bias): (&Vec<f32>, &f32)| {
            let sum: f32 = row.iter().zip(&kept).map(|(weight, value)| weight * value).sum();
            scale * f64::from(sum) + f64::from(*bias)
        };
        softmax(&self.weight.iter().zip(&self.bias).map(logit).collect::<Vec<_>>())
    }
}

fn entropy(probabilities: &[f64]) -> f64 {
    probabilities.iter().filter(|p| **p > 0.0).map(|p| -p * p.ln()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::streams::Streams;

    fn of(weight: &[f32], feature: &[f32]) -> f32 {
        Head::new(weight, &[0.0, 0.0], 16.0).mutual_information(feature, &mut Streams::of_masks("a", "b"))
    }

    #[test]
    fn only_what_dropout_changes_is_disagreement() {
        let (ones, zeros) = ([1.0; 4], [0.0; 4]);
        let feature = [8f32.sqrt().recip(); 8];
        // Half of the feature speaks for each class: which half loses more decides.
        let undecided = of(&[ones, zeros, zeros, ones].concat(), &feature);
        assert!(undecided > 0.1 && undecided < 2f32.ln(), "{undecided}");
        // All of it speaks for the first class: hardly anything is left to disagree about.
        let agreed = of(&[ones, ones, zeros, zeros].concat(), &feature);
        assert!(agreed < undecided / 4.0, "{agreed} and {undecided}");
        // Nothing is known whatever is dropped: hard to tell, and no disagreement.
        assert!(of(&[0.0; 16], &feature) < 1e-6);
    }
}
