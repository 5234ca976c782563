//! Eq. 1, 2, 6, 7, 8 against the reference, with and without floor, and over rounds.

use marginalia_trainer::margin::{AdaptiveMargin, ClassConfidence, softmax};
use marginalia_trainer::{MarginConfig, Schedule, TrainerConfig};
use proptest::prelude::*;
use serde_json::Value;

use crate::reference::{assert_close, case, indices, numbers, optional, rows};

const TOLERANCE: f64 = 1e-5;

fn config(schedule: Schedule, floor: f64) -> MarginConfig {
    MarginConfig { schedule, floor, ..TrainerConfig::released().margin }
}

/// Margins measured at epoch t from the same confidences every epoch.
fn margins_at(config: &MarginConfig, t: u32, mean: &[Option<f64>]) -> Vec<f64> {
    let mut margin = AdaptiveMargin::restore(config, t - 1, vec![0.0; mean.len()]);
    margin.measure(mean);
    margin.margins().to_vec()
}

#[test]
fn confidence_and_schedules_follow_the_equations() {
    let Some(file) = case("confidence_and_schedules_follow_the_equations", "margins.json") else { return };
    let probabilities: Vec<Vec<f64>> = rows(&file["logits"]).iter().map(|row| softmax(row)).collect();
    let classes = probabilities[0].len();
    let measured = ClassConfidence::measure(&probabilities, &indices(&file["labels"]), classes);
    let expected = optional(&file["mean_confidence_of_correct_per_class"]);
    for (found, expected) in measured.mean.iter().zip(&expected) {
        match (found, expected) {
            (Some(found), Some(expected)) => assert!((found - expected).abs() <= TOLERANCE),
            (found, expected) => assert_eq!(found, expected),
        }
    }
    let beta = file["beta"].as_f64().unwrap();
    let check = |by_t: &Value, schedule, floor, name: &str| {
        for (t, expected) in by_t.as_object().unwrap() {
            let config = MarginConfig { beta, ..config(schedule, floor) };
            let found = margins_at(&config, t.parse().unwrap(), &measured.mean);
            for ((found, expected), mean) in found.iter().zip(optional(expected)).zip(&measured.mean) {
                match (mean, expected) {
                    (Some(_), Some(expected)) => assert!((found - expected).abs() <= TOLERANCE, "{name} t={t}"),
                    (None, None) => assert_eq!(*found, config.empty_class, "{name} t={t}"),
                    (None, Some(expected)) => assert!((found - expected).abs() <= TOLERANCE, "{name} t={t}"),
                    (mean, expected) => panic!("{name} t={t}: {mean:?} and {expected:?}"),
                }
            }
        }
    };
    for (name, by_t) in file["schedules"].as_object().unwrap() {
        let schedules = [Schedule::Eq2, Schedule::Eq6, Schedule::Eq7, Schedule::Eq8];
        let number = |name: &str| [2, 6, 7, 8].iter().position(|n| name.contains(&format!("Eq. {n}")));
        check(by_t, schedules[number(name).unwrap()], 0.0, name);
    }
    check(&file["with_floor_0.8_exponential"], Schedule::Eq2, 0.8, "with floor");
}

#[test]
fn floors_and_empty_classes_follow_the_reference() {
    let Some(file) = case("floors_and_empty_classes_follow_the_reference", "margins_floor.json") else { return };
    let mean = optional(&file["mean_confidence_of_right"]);
    let beta = file["beta"].as_f64().unwrap();
    let settings = [("no_floor", 0.0, 0.8), ("floor_0.8", 0.8, 0.8), ("floor_0.8_empty_class_margin_0.6", 0.8, 0.6)];
    for (key, floor, empty_class) in settings {
        for (name, by_t) in file[key].as_object().unwrap() {
            let schedule = match name.as_str() {
                "exponential" => Schedule::Eq2,
                "ratio" => Schedule::Eq6,
                "half_ratio" => Schedule::Eq7,
                "log2" => Schedule::Eq8,
                other => panic!("unknown schedule {other}"),
            };
            for (t, expected) in by_t.as_object().unwrap() {
                let config = MarginConfig { beta, empty_class, ..config(schedule, floor) };
                let found = margins_at(&config, t.parse().unwrap(), &mean);
                assert_close(&found, &numbers(expected), 0.0, TOLERANCE, &format!("{key} {name} t={t}"));
            }
        }
    }
}

#[test]
fn t_runs_on_or_restarts_by_round() {
    let Some(file) = case("t_runs_on_or_restarts_by_round", "margins_floor.json") else { return };
    let restart = &file["restart"];
    let measured: Vec<Vec<Option<f64>>> =
        restart["mean_confidence_of_right_after_each_epoch"].as_array().unwrap().iter().map(optional).collect();
    let mut seen = 0;
    for (name, epochs) in restart.as_object().unwrap().iter().filter(|(_, value)| value[0]["used"].is_array()) {
        let floor = if name.contains("no_floor") { 0.0 } else { 0.8 };
        let restarts = name.starts_with("with_restart");
        let config = MarginConfig { restart_t_each_round: restarts, ..config(Schedule::Eq2, floor) };
        let mut margin = AdaptiveMargin::new(&config, measured[0].len());
        let mut round = 0;
        for (epoch, mean) in epochs.as_array().unwrap().iter().zip(&measured) {
            if epoch["round"].as_u64().unwrap() != round {
                round = epoch["round"].as_u64().unwrap();
                margin.begin_round();
            }
            assert_eq!(u64::from(margin.t()) + 1, epoch["t"].as_u64().unwrap(), "{name}");
            assert_close(margin.margins(), &numbers(&epoch["used"]), 0.0, TOLERANCE, name);
            margin.measure(mean);
            assert_close(margin.margins(), &numbers(&epoch["measured_after"]), 0.0, TOLERANCE, name);
        }
        seen += 1;
    }
    assert!(seen >= 3, "only {seen} cases of rounds in the reference");
}

proptest! {
    #[test]
    fn margins_grow_with_t_and_never_pass_the_confidence(mean in 0.0f64..1.0, t in 1u32..200) {
        let config = config(Schedule::Eq2, 0.0);
        let now = margins_at(&config, t, &[Some(mean)])[0];
        let next = margins_at(&config, t + 1, &[Some(mean)])[0];
        prop_assert!(now <= next && next <= mean);
        let floored = margins_at(&MarginConfig { floor: 0.8, ..config }, t, &[Some(mean)])[0];
        prop_assert_eq!(floored, now.max(0.8));
    }

    #[test]
    fn a_face_is_in_exactly_one_subset(logits in proptest::collection::vec(-5.0f64..5.0, 7), bar in 0.0f64..1.0) {
        let margin = AdaptiveMargin::restore(&config(Schedule::Eq2, 0.0), 1, vec![bar; 7]);
        let probabilities = softmax(&logits);
        let place = margin.place(&probabilities);
        prop_assert_eq!(place.subset_one, place.confidence >= bar);
        prop_assert!(probabilities.iter().all(|p| *p <= place.confidence));
    }
}
