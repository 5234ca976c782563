//! One optimiser step on one parameter: Adam, then the EMA teacher, then the student's decay, in a single pass.

use rayon::prelude::*;

use super::simd::vectorise;

/// Adam's β₁, β₂ and ε (PyTorch's defaults).
pub(crate) const BETA1: f64 = 0.9;
pub(crate) const BETA2: f64 = 0.999;
pub(crate) const EPSILON: f32 = 1e-8;

/// Values a thread takes at a time.
const CHUNK: usize = 16 * 1024;

/// What is the same for every parameter of a step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Update {
    /// Adam's learning rate.
    pub learning_rate: f64,
    /// Adam's step number, from 1, for the bias correction.
    pub step: u64,
    /// The teacher keeps this share of itself.
    pub ema_decay: f64,
    /// The student's parameters are multiplied by this after the teacher has moved.
    pub student_factor: f64,
}

/// Moves `parameter` by Adam (first and second moments are updated, never decayed), then `teacher` towards it, then
/// multiplies `parameter` by the student's factor. All slices have one length.
pub fn update(
    parameter: &mut [f32],
    gradient: &[f32],
    first: &mut [f32],
    second: &mut [f32],
    teacher: &mut [f32],
    update: &Update,
) {
    let step = update.step.min(i32::MAX as u64) as i32;
    let step_size = (update.learning_rate / (1.0 - BETA1.powi(step))) as f32;
    let correction = (1.0 / (1.0 - BETA2.powi(step)).sqrt()) as f32;
    let (keep, take) = (update.ema_decay as f32, (1.0 - update.ema_decay) as f32);
    let factor = update.student_factor as f32;
    // Subtracted in double precision: in single, 1 - 0.999 is off by 1e-5 of itself.
    let (keep1, take1) = (BETA1 as f32, (1.0 - BETA1) as f32);
    let (keep2, take2) = (BETA2 as f32, (1.0 - BETA2) as f32);
    parameter
        .par_chunks_mut(CHUNK)
        .zip(gradient.par_chunks(CHUNK))
        .zip(first.par_chunks_mut(CHUNK).zip(second.par_chunks_mut(CHUNK)))
        .zip(teacher.par_chunks_mut(CHUNK))
        .for_each(|(((parameter, gradient), (first, second)), teacher)| {
            vectorise(
                #[inline(always)]
                || {
                    let values = parameter.iter_mut().zip(gradient).zip(first.iter_mut().zip(second)).zip(teacher);
                    for (((parameter, gradient), (first, second)), teacher) in values {
                        *first = keep1 * *first + take1 * gradient;
                        *second = keep2 * *second + take2 * gradient * gradient;
                        let moved = *parameter - step_size * *first / (second.sqrt() * correction + EPSILON);
                        *teacher = keep * *teacher + take * moved;
                        *parameter = moved * factor;
                    }
                },
            );
        });
}
