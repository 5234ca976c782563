//! `hamming`: how much two perceptual hashes differ.

use std::sync::Arc;

use arrow::array::AsArray;
use arrow::compute::binary;
use arrow::datatypes::{DataType, Int64Type, UInt64Type};
use datafusion::common::{exec_err, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::{Function, Make, scalar};

pub(super) const FUNCTION: Function = Function {
    name: "hamming",
    call: "hamming(a, b)",
    doc: "In how many of their 64 bits two hashes differ, such as `faces.perceptual_hash`: recompressed copies of a \
          picture differ in at most 4, different faces hardly ever in so few. Null where one is null.",
    example: "select hamming(6, 3), hamming(18446744073709551615, 0)",
    answer: "2 64",
    make: Make::Scalar(|function| {
        let signature = Signature::user_defined(Volatility::Immutable);
        ScalarUDF::new_from_impl(Hamming { signature, documentation: function.documentation() })
    }),
};

#[derive(Debug, PartialEq, Eq, Hash)]
struct Hamming {
    signature: Signature,
    documentation: Documentation,
}

impl ScalarUDFImpl for Hamming {
    fn name(&self) -> &str {
        FUNCTION.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int64)
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        if arg_types.len() != 2 || !arg_types.iter().all(|one| one.is_integer() || one.is_null()) {
            return plan_err!("{} takes two whole numbers that are not negative", FUNCTION.call);
        }
        Ok(vec![DataType::UInt64; 2])
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(&self.documentation)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let [a, b] = arrays.as_slice() else { return exec_err!("{} takes two arguments", FUNCTION.call) };
        let (a, b) = (a.as_primitive::<UInt64Type>(), b.as_primitive::<UInt64Type>());
        let differing = binary::<_, _, _, Int64Type>(a, b, |a, b| i64::from((a ^ b).count_ones()))?;
        scalar::answer(&args, Arc::new(differing))
    }
}
