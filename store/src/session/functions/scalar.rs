//! Scalar functions that answer with one number: from a list of numbers, or from several numbers.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array};
use arrow::datatypes::{DataType, Float64Type};
use datafusion::common::plan_err;
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::scalar::ScalarValue;

use super::{Function, vectors};

/// Null where nothing sensible can be said.
type Compute = fn(&[f64]) -> Option<f64>;

/// A function of one list of numbers.
pub(super) fn of_vector(function: &'static Function, compute: Compute) -> ScalarUDF {
    NumberFunction::make(function, Signature::user_defined(Volatility::Immutable), Input::Vector, compute)
}

/// A function of `count` numbers.
pub(super) fn of_numbers(function: &'static Function, count: usize, compute: Compute) -> ScalarUDF {
    let signature = Signature::exact(vec![DataType::Float64; count], Volatility::Immutable);
    NumberFunction::make(function, signature, Input::Numbers, compute)
}

/// Answers as a column, or as one value where all arguments are constant.
pub(super) fn answer(args: &ScalarFunctionArgs, answers: ArrayRef) -> Result<ColumnarValue> {
    let is_constant = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
    if is_constant && !answers.is_empty() {
        return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&answers, 0)?));
    }
    Ok(ColumnarValue::Array(answers))
}

#[derive(Clone, Copy)]
enum Input {
    Vector,
    Numbers,
}

struct NumberFunction {
    function: &'static Function,
    signature: Signature,
    documentation: Documentation,
    input: Input,
    compute: Compute,
}

impl NumberFunction {
    fn make(function: &'static Function, signature: Signature, input: Input, compute: Compute) -> ScalarUDF {
        let documentation = function.documentation();
        ScalarUDF::new_from_impl(Self { function, signature, documentation, input, compute })
    }
}

impl fmt::Debug for NumberFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("NumberFunction").field(&self.function.name).finish()
    }
}

// Everything follows from the name.
impl PartialEq for NumberFunction {
    fn eq(&self, other: &Self) -> bool {
        self.function.name == other.function.name
    }
}

impl Eq for NumberFunction {}

impl Hash for NumberFunction {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.function.name.hash(state);
    }
}

impl ScalarUDFImpl for NumberFunction {
    fn name(&self) -> &str {
        self.function.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        match arg_types {
            [list] if vectors::is_vector(list) => Ok(vec![list.clone()]),
            [other] => plan_err!("{} takes a list of numbers, not {other}", self.function.call),
            _ => plan_err!("{} takes one argument, {} were given", self.function.call, arg_types.len()),
        }
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(&self.documentation)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let answers = match (self.input, arrays.as_slice()) {
            (Input::Vector, [lists]) => vectors::map(lists, self.compute)?,
            _ => by_row(&arrays, self.compute),
        };
        answer(&args, Arc::new(answers))
    }
}

/// Null where an argument is null, NaN or infinite.
fn by_row(arrays: &[ArrayRef], compute: Compute) -> Float64Array {
    let columns: Vec<&Float64Array> = arrays.iter().map(|array| array.as_primitive::<Float64Type>()).collect();
    let mut arguments = vec![0.0; columns.len()];
    let mut answers = Float64Array::builder(arrays.first().map_or(0, |array| array.len()));
    for row in 0..arrays.first().map_or(0, |array| array.len()) {
        let mut is_known = true;
        for (argument, column) in arguments.iter_mut().zip(&columns) {
            *argument = column.value(row);
            is_known &= column.is_valid(row) && argument.is_finite();
        }
        answers.append_option(if is_known { compute(&arguments) } else { None }.filter(|answer| answer.is_finite()));
    }
    answers.finish()
}
