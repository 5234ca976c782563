//! Adam, EMA teacher and decay on a device.
//!
//! All parameters lie one behind the other in one tensor, as do their moments and the teacher: a step is a dozen
//! operations over eleven million numbers instead of a thousand over few.

use std::collections::BTreeMap;

use candle_core::{Device, Result, Tensor, Var, bail};

use super::tape::Gradients;
use crate::engine::adam::{BETA1, BETA2, EPSILON, Update};
use crate::state_dict::{Array, StateDict};

/// Numbers summed at a time in looking for those that are not finite.
const ROW: usize = 1024;

/// The optimiser's numbers, and the parameters they belong to.
pub struct Optimiser {
    spans: Vec<Span>,
    student: Tensor,
    first: Tensor,
    second: Tensor,
    teacher: Tensor,
}

/// Where a parameter lies.
struct Span {
    name: String,
    variable: Var,
    start: usize,
    length: usize,
}

impl Span {
    fn of(&self, flat: &Tensor) -> Result<Tensor> {
        flat.narrow(0, self.start, self.length)
    }
}

impl Optimiser {
    /// For `parameters`, whose first and second moments and teacher are `states`.
    pub fn new(parameters: &BTreeMap<String, Var>, states: [&StateDict; 3], device: &Device) -> Result<Self> {
        let mut start = 0;
        let spans = parameters.iter().map(|(name, variable)| {
            let span = Span { name: name.clone(), variable: variable.clone(), start, length: variable.elem_count() };
            start += span.length;
            span
        });
        let spans: Vec<Span> = spans.collect();
        let flat = |state: &StateDict| {
            let mut numbers = Vec::with_capacity(start);
            for span in &spans {
                match state.get(&span.name).filter(|array| array.values.len() == span.length) {
                    Some(array) => numbers.extend_from_slice(&array.values),
                    None => bail!("no optimiser state for `{}`", span.name),
                }
            }
            Tensor::from_vec(numbers, start, device)
        };
        let [first, second, teacher] = states.map(flat);
        let flattened = spans.iter().map(|span| span.variable.detach().flatten_all()).collect::<Result<Vec<_>>>()?;
        let student = Tensor::cat(&flattened, 0)?;
        Ok(Self { student, first: first?, second: second?, teacher: teacher?, spans })
    }

    /// Moves parameters, moments and teacher. A parameter without a gradient is not moved by Adam.
    pub fn update(&mut self, gradients: &Gradients, update: &Update) -> Result<()> {
        let mut unreached = Vec::new();
        let pieces = self.spans.iter().map(|span| match gradients.of(&span.variable) {
            Some(gradient) => gradient.flatten_all(),
            None => {
                unreached.push(span);
                span.of(&self.student)?.zeros_like()
            }
        });
        let gradient = Tensor::cat(&pieces.collect::<Result<Vec<_>>>()?, 0)?;
        let step = update.step.min(i32::MAX as u64) as i32;
        let step_size = update.learning_rate / (1.0 - BETA1.powi(step));
        let correction = 1.0 / (1.0 - BETA2.powi(step)).sqrt();
        let first = ((&self.first * BETA1)? + (&gradient * (1.0 - BETA1))?)?;
        let second = ((&self.second * BETA2)? + (gradient.sqr()? * (1.0 - BETA2))?)?;
        let deviation = second.sqrt()?.affine(correction, f64::from(EPSILON))?;
        let moved = (&self.student - ((&first * step_size)? / deviation)?)?;
        for span in unreached {
            for (now, before) in [(&first, &self.first), (&second, &self.second), (&moved, &self.student)] {
                now.slice_set(&span.of(before)?, 0, span.start)?;
            }
        }
        self.teacher = ((&self.teacher * update.ema_decay)? + (&moved * (1.0 - update.ema_decay))?)?;
        self.student = (moved * update.student_factor)?;
        (self.first, self.second) = (first, second);
        for span in &self.spans {
            span.variable.set(&span.of(&self.student)?.reshape(span.variable.shape())?)?;
        }
        Ok(())
    }

    /// Whether all parameters are finite: 0 times anything else is not 0. One row of them per sum, so that they are
    /// summed side by side.
    pub fn is_finite(&self) -> Result<bool> {
        let zeros = (&self.student * 0.0)?;
        let (whole, all) = (zeros.elem_count() / ROW * ROW, zeros.elem_count());
        // Of nothing a device has no sum.
        let sums = match whole {
            0 => Vec::new(),
            _ => zeros.narrow(0, 0, whole)?.reshape((whole / ROW, ROW))?.sum(1)?.to_vec1::<f32>()?,
        };
        let rest = if whole < all { zeros.narrow(0, whole, all - whole)?.to_vec1::<f32>()? } else { Vec::new() };
        Ok(sums.into_iter().chain(rest).all(|number| number == 0.0))
    }

    /// First and second moments, brought to the processor.
    pub fn moments(&self) -> Result<[StateDict; 2]> {
        Ok([self.read(&self.first)?, self.read(&self.second)?])
    }

    /// The teacher's parameters, brought to the processor.
    pub fn teacher(&self) -> Result<StateDict> {
        self.read(&self.teacher)
    }

    fn read(&self, flat: &Tensor) -> Result<StateDict> {
        let numbers = flat.to_vec1::<f32>()?;
        let array = |span: &Span| {
            let values = numbers[span.start..][..span.length].to_vec();
            (span.name.clone(), Array { shape: span.variable.dims().to_vec(), values })
        };
        Ok(self.spans.iter().map(array).collect())
    }
}
