//! The teacher as an exponential moving average of the student.

/// Decay after `steps` optimiser steps: min(decay, (1 + s) / (10 + s)) with warm-up, so that a young teacher does not
/// consist of its random start.
pub fn decay(decay: f64, warmup: bool, steps: u64) -> f64 {
    if warmup { decay.min((1.0 + steps as f64) / (10.0 + steps as f64)) } else { decay }
}

/// teacher = decay · teacher + (1 − decay) · student, then student = factor · student.
pub fn update(student: &mut [f32], teacher: &mut [f32], decay: f64, factor: f64) {
    let (keep, take, factor) = (decay as f32, (1.0 - decay) as f32, factor as f32);
    for (student, teacher) in student.iter_mut().zip(teacher) {
        *teacher = keep * *teacher + take * *student;
        *student *= factor;
    }
}
