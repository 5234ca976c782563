//! Whether weights are still numbers.
//!
//! A finite loss does not say so: a gradient may overflow where the loss did not, and a ReLU turns NaN into 0. So after
//! every step the parameters themselves are looked at, which costs about a hundredth of it; an Adam step over a
//! gradient that is not finite leaves a parameter that is not. On a device one sum says whether all are well; only
//! where it says no do they come to the processor to be named.

use candle_core::{Storage, Var, bail};
use rayon::prelude::*;

use crate::Result;
use crate::learner::{Learner, LearnerState};
use crate::state_dict::StateDict;

/// Numbers looked at before the first bad one ends the search; within a chunk there is no branch.
const CHUNK: usize = 4096;

/// The first parameter or running statistic of the student, by name, that is not finite.
pub(crate) fn not_finite_in_student(learner: &Learner) -> Result<Option<String>> {
    let student = learner.student();
    match learner.is_finite_on_device()? {
        Some(true) => return Ok(not_finite(student.buffers())),
        Some(false) => return Ok(not_finite(&student.state()?)),
        None => {}
    }
    let bad = student
        .parameters()
        .par_iter()
        .map(|(name, parameter)| Ok((!var_is_finite(parameter)?).then(|| name.clone())))
        .collect::<Result<Vec<Option<String>>>>()?;
    Ok(bad.into_iter().flatten().next().or_else(|| not_finite(student.buffers())))
}

/// The first tensor of everything a checkpoint keeps that is not finite.
pub(crate) fn not_finite_in_state(state: &LearnerState) -> Option<String> {
    let part = |part: &str, state: &StateDict| not_finite(state).map(|name| format!("{part}.{name}"));
    part("student", &state.student)
        .or_else(|| part("teacher", &state.teacher))
        .or_else(|| part("adam.m", &state.moments.first))
        .or_else(|| part("adam.v", &state.moments.second))
}

fn not_finite(state: &StateDict) -> Option<String> {
    state.iter().find(|(_, array)| !all_finite(&array.values)).map(|(name, _)| name.clone())
}

fn var_is_finite(parameter: &Var) -> candle_core::Result<bool> {
    let (storage, layout) = parameter.storage_and_layout();
    let (Storage::Cpu(numbers), Some((start, end))) = (&*storage, layout.contiguous_offsets()) else {
        bail!("a parameter is not contiguous on the processor");
    };
    Ok(all_finite(&numbers.as_slice::<f32>()?[start..end]))
}

fn all_finite(values: &[f32]) -> bool {
    values.chunks(CHUNK).all(|chunk| chunk.iter().fold(true, |finite, value| finite & value.is_finite()))
}
