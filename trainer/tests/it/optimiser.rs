//! Adam, EMA, decay and BatchNorm's running statistics against five steps of the reference.

use std::collections::BTreeMap;

use marginalia_trainer::engine::adam::{Update, update};
use marginalia_trainer::engine::batch_norm::Statistics;
use marginalia_trainer::engine::ema;
use proptest::prelude::*;
use serde_json::Value;

use crate::reference::{assert_close, case, floats, numbers, widen};

const TOLERANCE: f64 = 1e-6;
const LEARNING_RATE: f64 = 5e-4;
const EMA_DECAY: f64 = 0.999;
const FACTOR: f64 = 1.0 - 0.02 * LEARNING_RATE;

type Arrays = BTreeMap<String, Vec<f32>>;

fn arrays(value: &Value) -> Arrays {
    value.as_object().unwrap().iter().map(|(name, values)| (name.clone(), floats(values))).collect()
}

fn assert_arrays(found: &Arrays, expected: &Value, what: &str) {
    for (name, expected) in expected.as_object().unwrap() {
        assert_close(&widen(&found[name]), &numbers(expected), TOLERANCE, TOLERANCE, &format!("{what} {name}"));
    }
}

/// The batch of these means and unbiased variances moves the running statistics.
fn move_running(student: &mut Arrays, step: &Value) {
    // With n values the biased variance is (n − 1)/n of the unbiased one.
    let count = 1_000_001;
    let share = (count as f32 - 1.0) / count as f32;
    let statistics = Statistics {
        mean: vec![floats(&step["batch_mean"])],
        variance: vec![floats(&step["batch_var_unbiased"]).into_iter().map(|variance| variance * share).collect()],
        count: vec![count],
    };
    let mut mean = student.remove("bn.running_mean").unwrap();
    statistics.move_running(&mut mean, student.get_mut("bn.running_var").unwrap());
    student.insert("bn.running_mean".to_owned(), mean);
}

#[test]
fn five_steps_follow_the_reference() {
    let Some(file) = case("five_steps_follow_the_reference", "optimizer.json") else { return };
    for decay_buffers in [false, true] {
        let (mut student, mut teacher) = (arrays(&file["start"]["student"]), arrays(&file["start"]["teacher"]));
        let (mut first, mut second) = (BTreeMap::new(), BTreeMap::new());
        for (number, step) in file["steps"].as_array().unwrap().iter().enumerate() {
            move_running(&mut student, step);
            let settings = Update {
                learning_rate: LEARNING_RATE,
                step: number as u64 + 1,
                ema_decay: EMA_DECAY,
                student_factor: FACTOR,
            };
            for (name, gradient) in arrays(&step["gradients"]) {
                let first = first.entry(name.clone()).or_insert_with(|| vec![0.0; gradient.len()]);
                let second = second.entry(name.clone()).or_insert_with(|| vec![0.0; gradient.len()]);
                let (student, teacher) = (student.get_mut(&name).unwrap(), teacher.get_mut(&name).unwrap());
                update(student, &gradient, first, second, teacher, &settings);
            }
            for name in ["bn.running_mean", "bn.running_var"] {
                let factor = if decay_buffers { FACTOR } else { 1.0 };
                ema::update(student.get_mut(name).unwrap(), teacher.get_mut(name).unwrap(), EMA_DECAY, factor);
            }
            let what = format!("step {number}, decay_buffers {decay_buffers}:");
            if decay_buffers {
                let expected = &file["with_decay_buffers"][number];
                assert_arrays(&student, &expected["student"], &what);
                assert_arrays(&teacher, &expected["teacher"], &what);
            } else {
                assert_arrays(&student, &step["student"], &what);
                assert_arrays(&teacher, &step["teacher"], &what);
            }
        }
        for (name, expected) in file["moments_after_5_steps"].as_object().unwrap() {
            let scaled: Vec<f64> = second[name].iter().map(|value| f64::from(*value) * 1e4).collect();
            assert_close(&widen(&first[name]), &numbers(&expected["exp_avg"]), TOLERANCE, TOLERANCE, name);
            assert_close(&scaled, &numbers(&expected["exp_avg_sq_times_1e4"]), 1e-5, TOLERANCE, name);
        }
    }
}

proptest! {
    #[test]
    fn warm_up_only_lowers_the_decay(decay in 0.0f64..1.0, steps in 0u64..100_000) {
        prop_assert!(ema::decay(decay, true, steps) <= decay);
        prop_assert!(ema::decay(decay, true, steps) <= ema::decay(decay, true, steps + 1));
        prop_assert_eq!(ema::decay(decay, false, steps), decay);
    }

    #[test]
    fn teachers_stay_between_themselves_and_the_student(
        student in -2.0f32..2.0, teacher in -2.0f32..2.0, decay in 0.0f64..1.0
    ) {
        let (mut moved_student, mut moved) = ([student], [teacher]);
        ema::update(&mut moved_student, &mut moved, decay, 1.0);
        prop_assert!(moved[0] >= student.min(teacher) - 1e-5 && moved[0] <= student.max(teacher) + 1e-5);
        prop_assert_eq!(moved_student[0], student);
    }
}
