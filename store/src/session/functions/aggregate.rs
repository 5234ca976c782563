//! Aggregate functions: from a group's rows to one number.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::utils::SingleRowListArrayBuilder;
use datafusion::error::Result;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::{AggregateOrderSensitivity, format_state_name};
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, Documentation, Signature, Volatility};
use datafusion::scalar::ScalarValue;

use super::Function;

/// What an aggregate takes, and what it keeps of it.
pub(super) struct Shape {
    /// Types of the arguments.
    pub(super) arguments: Vec<DataType>,
    /// Types of the items of the lists that partial answers are handed on as.
    pub(super) state: Vec<DataType>,
    /// Starts a group.
    pub(super) start: fn() -> Box<dyn Accumulator>,
}

/// A function that answers with one number for each group.
pub(super) fn of_group(function: &'static Function, shape: Shape) -> AggregateUDF {
    let signature = Signature::exact(shape.arguments.clone(), Volatility::Immutable);
    let documentation = function.documentation();
    AggregateUDF::new_from_impl(NumberAggregate { function, signature, documentation, shape })
}

/// A part of a partial answer.
pub(super) fn state_list(items: ArrayRef) -> ScalarValue {
    SingleRowListArrayBuilder::new(items).build_list_scalar()
}

struct NumberAggregate {
    function: &'static Function,
    signature: Signature,
    documentation: Documentation,
    shape: Shape,
}

impl fmt::Debug for NumberAggregate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("NumberAggregate").field(&self.function.name).finish()
    }
}

// Everything follows from the name.
impl PartialEq for NumberAggregate {
    fn eq(&self, other: &Self) -> bool {
        self.function.name == other.function.name
    }
}

impl Eq for NumberAggregate {}

impl Hash for NumberAggregate {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.function.name.hash(state);
    }
}

impl AggregateUDFImpl for NumberAggregate {
    fn name(&self) -> &str {
        self.function.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn accumulator(&self, _args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        Ok((self.shape.start)())
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let list = |(position, item): (usize, &DataType)| {
            let name = format_state_name(args.name, &position.to_string());
            let item = Arc::new(Field::new_list_field(item.clone(), true));
            Arc::new(Field::new(name, DataType::List(item), true))
        };
        Ok(self.shape.state.iter().enumerate().map(list).collect())
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(&self.documentation)
    }
}
