//! `ece`: how far confidences are from the share of right answers. The same bins as the trainer's metric.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Float64Array};
use arrow::datatypes::{DataType, Float64Type};
use datafusion::common::exec_err;
use datafusion::error::Result;
use datafusion::logical_expr::Accumulator;
use datafusion::scalar::ScalarValue;

use super::aggregate::{self, Shape};
use super::{Function, Make};

/// Bins of equal width (Guo et al. 2017).
const BINS: usize = 15;

pub(super) const FUNCTION: Function = Function {
    name: "ece",
    call: "ece(confidence, correct)",
    doc: "Expected calibration error of a group: Σ n_b/N · |accuracy_b − confidence_b| over 15 bins of equal width, \
          bin b holding b/15 < confidence ≤ (b + 1)/15 (Guo et al. 2017); what `evaluate` reports. Rows in which one \
          of the two is null or NaN are left out; null where none is left.",
    example: "select round(ece(confidence, correct), 4) from (values (0.9, true), (0.92, false), (0.4, false)) as \
          t(confidence, correct)",
    answer: "0.4067",
    make: Make::Aggregate(|function| {
        let arguments = vec![DataType::Float64, DataType::Boolean];
        aggregate::of_group(
            function,
            Shape { arguments, state: vec![DataType::Float64], start: || Box::<Bins>::default() },
        )
    }),
};

#[derive(Clone, Copy, Debug, Default)]
struct Bin {
    count: f64,
    confidence: f64,
    right: f64,
}

/// A group's rows by bin.
#[derive(Debug, Default)]
struct Bins([Bin; BINS]);

impl Bins {
    fn add(&mut self, confidence: f64, is_right: bool) {
        let number = (1..BINS).take_while(|&bin| confidence > bin as f64 / BINS as f64).count();
        let bin = &mut self.0[number];
        bin.count += 1.0;
        bin.confidence += confidence;
        bin.right += f64::from(u8::from(is_right));
    }
}

impl Accumulator for Bins {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let [confidences, correct] = values else { return exec_err!("{} takes two arguments", FUNCTION.call) };
        for (confidence, is_right) in confidences.as_primitive::<Float64Type>().iter().zip(correct.as_boolean()) {
            if let (Some(confidence), Some(is_right)) = (confidence, is_right)
                && confidence.is_finite()
            {
                self.add(confidence, is_right);
            }
        }
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let total: f64 = self.0.iter().map(|bin| bin.count).sum();
        let filled = self.0.iter().filter(|bin| bin.count > 0.0);
        let error = filled.fold(0.0, |error, bin| {
            error + bin.count / total * (bin.right / bin.count - bin.confidence / bin.count).abs()
        });
        Ok(ScalarValue::Float64((total > 0.0).then_some(error)))
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let numbers = self.0.iter().flat_map(|bin| [bin.count, bin.confidence, bin.right]);
        Ok(vec![aggregate::state_list(Arc::new(Float64Array::from_iter_values(numbers)))])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let Some(states) = states.first() else { return Ok(()) };
        for state in states.as_list::<i32>().iter().flatten() {
            for (bin, numbers) in self.0.iter_mut().zip(state.as_primitive::<Float64Type>().values().chunks_exact(3)) {
                bin.count += numbers[0];
                bin.confidence += numbers[1];
                bin.right += numbers[2];
            }
        }
        Ok(())
    }
}
