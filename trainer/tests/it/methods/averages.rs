//! What methods share: mixing, sharpening, alignment, moving averages, growing terms.

use std::sync::Arc;

use candle_core::{Device, Tensor};
use marginalia_trainer::alignment::{Alignment, column_means};
use marginalia_trainer::methods::{self, grown, labelled_shares};
use marginalia_trainer::mixing::{Mixing, sharpen};
use marginalia_trainer::streams::{Purpose, Stream, Streams};
use marginalia_trainer::{AlignmentTarget, Error, LabelledFace, RoundData, TrainerConfig};
use proptest::prelude::*;

use crate::reference::assert_close;
use crate::synthetic::Images;

fn stream(seed: u64) -> Stream {
    Streams::new(seed, 1).stream(1, 1, Purpose::Method, 0)
}

#[test]
fn beta_draws_have_the_moments_of_their_distribution() {
    for alpha in [0.1, 0.5, 0.75, 1.0, 4.0] {
        let mut stream = stream(3);
        let draws: Vec<f64> = (0..20_000).map(|_| stream.beta(alpha)).collect();
        let mean = draws.iter().sum::<f64>() / draws.len() as f64;
        let variance = draws.iter().map(|draw| (draw - mean).powi(2)).sum::<f64>() / draws.len() as f64;
        // Of Beta(α, α): a half, and 1 / (4 (2 α + 1)). Five standard errors are below these bounds.
        assert!((mean - 0.5).abs() < 0.02, "α {alpha}: mean {mean}");
        assert!((variance - 0.25 / (2.0 * alpha + 1.0)).abs() < 0.01, "α {alpha}: variance {variance}");
        assert!(draws.iter().all(|draw| (0.0..=1.0).contains(draw)));
    }
}

#[test]
fn averages_forget_within_a_short_round() {
    let mut average = TrainerConfig::streaming().moving_average;
    assert_close(&[average.momentum(500)], &[0.98], 1e-12, 0.0, "500 steps");
    assert_eq!(average.momentum(1_000_000), 0.999);
    assert_eq!(average.momentum(1), 0.0);
    average.spans_per_round = 0.0;
    assert_eq!(average.momentum(1), 0.999);
    assert_eq!(TrainerConfig::released().moving_average.momentum(10), 0.999);
}

#[test]
fn terms_grow_over_their_part_of_the_round() {
    let found = [grown(0.0, 0.4), grown(0.1, 0.4), grown(0.4, 0.4), grown(0.9, 0.4), grown(0.0, 0.0)];
    assert_close(&found, &[0.0, 0.25, 1.0, 1.0, 1.0], 1e-12, 1e-12, "grown");
}

#[test]
fn labelled_shares_are_the_target_once_they_are_known() {
    let face = |class: usize| LabelledFace { face_id: class.to_string(), index: 0, class, target: None, weight: 1.0 };
    let labelled = [0, 0, 0, 2].map(face).to_vec();
    let source = Arc::new(Images(Vec::new()));
    let data = RoundData { labelled, unlabelled: Vec::new(), validation: Vec::new(), source };
    let shares = labelled_shares(&data, 3);
    assert_eq!(shares, [0.75, 0.0, 0.25]);

    let config = TrainerConfig::released();
    let mut alignment = Alignment::new(AlignmentTarget::Labelled, &config, 3);
    let rows = vec![vec![0.5, 0.25, 0.25], vec![0.1, 0.7, 0.2]];
    assert_eq!(alignment.align(&rows), rows, "without a target nothing changes");
    assert!(alignment.state().is_null());
    alignment.begin_epoch(shares);
    // The first batch is its own mean: 0.3, 0.475, 0.225.
    let expected = [0.5 * 0.75 / 0.3, 0.25 * 0.0, 0.25 * 0.25 / 0.225];
    let sum: f64 = expected.iter().sum();
    let found = alignment.align(&rows).remove(0);
    assert_close(&found, &expected.map(|value| value / sum), 1e-5, 1e-5, "aligned");

    let refused = alignment.restore(&serde_json::json!([0.5, 0.5]), 3).unwrap_err();
    assert!(refused.contains("2 classes for 3"), "{refused}");
}

#[test]
fn shares_to_align_to_are_one_per_class() {
    let mut config = TrainerConfig { method: "softmatch".to_owned(), ..TrainerConfig::default() };
    config.softmatch.alignment = AlignmentTarget::Shares;
    let refused = |shares: &[f64]| {
        let config = TrainerConfig { alignment_shares: shares.to_vec(), ..config.clone() };
        config.validate().and_then(|()| methods::build(&config, 3).map(drop)).err()
    };
    assert!(refused(&[0.5, 0.25, 0.25]).is_none());
    for shares in [&[][..], &[0.5, 0.5], &[0.5, 0.5, 0.5], &[1.5, -0.25, -0.25]] {
        match refused(shares) {
            Some(Error::Setting { key, valid, .. }) => {
                assert!(key == "alignment_shares" && valid.contains("per class"))
            }
            other => panic!("{shares:?}: {other:?}"),
        }
    }
}

fn probabilities() -> impl Strategy<Value = Vec<Vec<f64>>> {
    let row = proptest::collection::vec(0.01f64..1.0, 5).prop_map(|row| {
        let sum: f64 = row.iter().sum();
        row.into_iter().map(|value| value / sum).collect::<Vec<f64>>()
    });
    proptest::collection::vec(row, 1..8)
}

proptest! {
    #[test]
    fn mixing_keeps_sums_and_stays_near_the_row_in_its_place(
        numbers in proptest::collection::vec(-1.0f32..1.0, 12), seed in 0u64..1000, alpha in 0.05f64..10.0,
    ) {
        let view = |part: &[f32]| Tensor::from_slice(part, (part.len(), 1), &Device::Cpu).unwrap();
        let views = [view(&numbers[..4]), view(&numbers[4..])];
        let mixing = Mixing::draw(alpha, 12, &mut stream(seed));
        prop_assert!((0.5..=1.0).contains(&mixing.share()));
        let mixed = mixing.mix(&views.iter().collect::<Vec<_>>(), &views).unwrap();
        prop_assert_eq!(mixed.views.iter().map(|view| view.dim(0).unwrap()).collect::<Vec<_>>(), [4, 8]);
        let flat = |views: &[Tensor]| Tensor::cat(views, 0).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let found = flat(&mixed.views);
        prop_assert_eq!(&found, &flat(&mixed.targets));
        // Every row is partner of exactly one.
        prop_assert!((found.iter().sum::<f32>() - numbers.iter().sum::<f32>()).abs() < 1e-4);
        let reach = 2.0 * (1.0 - mixing.share() as f32) + 1e-5;
        prop_assert!(found.iter().zip(&numbers).all(|(found, number)| (found - number).abs() <= reach));
    }

    #[test]
    fn sharpening_keeps_the_order_and_raises_the_largest(rows in probabilities(), temperature in 0.1f64..0.9) {
        let sharpened = sharpen(&rows, temperature);
        for (sharp, row) in sharpened.iter().zip(&rows) {
            prop_assert!((sharp.iter().sum::<f64>() - 1.0).abs() < 1e-9);
            let highest = |row: &[f64]| row.iter().copied().fold(0.0, f64::max);
            prop_assert!(highest(sharp) >= highest(row) - 1e-12);
            for (a, b) in (0..row.len()).flat_map(|a| (0..a).map(move |b| (a, b))) {
                prop_assert!((row[a] - row[b]) * (sharp[a] - sharp[b]) >= -1e-15);
            }
        }
        for (same, row) in sharpen(&rows, 1.0).iter().zip(&rows) {
            prop_assert!(same.iter().zip(row).all(|(same, value)| (same - value).abs() < 1e-12));
        }
    }

    #[test]
    fn alignment_leaves_predictions_that_have_their_target(rows in probabilities()) {
        let mut config = TrainerConfig::released();
        config.alignment_shares = column_means(&rows);
        let aligned = Alignment::new(AlignmentTarget::Shares, &config, 5).align(&rows);
        for (aligned, row) in aligned.iter().zip(&rows) {
            prop_assert!(aligned.iter().zip(row).all(|(aligned, value)| (aligned - value).abs() < 1e-9));
        }
    }
}
