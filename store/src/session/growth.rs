//! A wall around functions whose output may be far larger than their input.
//!
//! In: the engine's functions. Out: the same functions, which refuse a call whose result would be too large. The engine's
//! memory pool does not see what an expression allocates: `repeat('x', 1e10)`, or thirty times `s || s`, would take the
//! process down before any operator had asked for a byte.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::compute::kernels::length::length;
use arrow::datatypes::{DataType, FieldRef, Int64Type};
use datafusion::common::{DFSchema, exec_datafusion_err};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::SessionStateDefaults;
use datafusion::functions::core::planner::CoreFunctionPlanner;
use datafusion::functions_nested::planner::NestedFunctionPlanner;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{
    AggregateUDF, BinaryExpr, ColumnarValue, Expr, Operator, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, Volatility,
};
use datafusion::sql::sqlparser::ast::BinaryOperator;

use super::BATCH_ROWS;

/// Largest result of one call, over all rows of a batch.
const MAX_BYTES: u64 = 256 << 20;

/// Functions left out: the first two make lists of any length from two numbers (their table forms stream and stay), the
/// next two name types of any fixed size, the last two take any number as the size of a sketch (`median`,
/// `percentile_cont` and `approx_median` stay).
const WITHHELD: &[&str] = &[
    "range",
    "generate_series",
    "arrow_cast",
    "arrow_try_cast",
    "approx_percentile_cont",
    "approx_percentile_cont_with_weight",
];

/// The engine's scalar functions as sessions get them.
pub(super) fn scalar_functions() -> Vec<Arc<ScalarUDF>> {
    let mut functions = SessionStateDefaults::default_scalar_functions();
    functions.retain(|function| !WITHHELD.contains(&function.name()));
    for function in &mut functions {
        if let Some((_, estimate)) = GROWING.iter().find(|(name, _)| *name == function.name()) {
            *function = Arc::new(ScalarUDF::new_from_impl(Bounded { inner: function.clone(), estimate: *estimate }));
        }
    }
    functions
}

/// The engine's aggregate functions as sessions get them.
pub(super) fn aggregate_functions() -> Vec<Arc<AggregateUDF>> {
    let mut functions = SessionStateDefaults::default_aggregate_functions();
    functions.retain(|function| !WITHHELD.contains(&function.name()));
    functions
}

/// The engine's expression planners as sessions get them: ours first, so that `||`, `[…]` and `overlay` are bounded too.
pub(super) fn expr_planners() -> Vec<Arc<dyn ExprPlanner>> {
    let mut planners: Vec<Arc<dyn ExprPlanner>> = vec![Arc::new(BoundedOperators)];
    planners.extend(SessionStateDefaults::default_expr_planners());
    planners
}

/// Upper bound of a call's result in bytes.
type Estimate = fn(&[ArrayRef]) -> Result<u64>;

const GROWING: &[(&str, Estimate)] = &[
    ("repeat", |args| by_row(args, |bytes, numbers, _| bytes[0].saturating_mul(numbers[1]))),
    ("lpad", |args| by_row(args, |bytes, numbers, _| bytes[0].saturating_add(numbers[1].saturating_mul(4)))),
    ("rpad", |args| by_row(args, |bytes, numbers, _| bytes[0].saturating_add(numbers[1].saturating_mul(4)))),
    ("replace", |args| {
        by_row(args, |bytes, _, _| {
            let hits = bytes[0] / bytes[1].max(1) + 1;
            bytes[0].saturating_add(hits.saturating_mul(bytes[2]))
        })
    }),
    ("regexp_replace", |args| {
        // Every character may match, and every reference in the replacement may stand for all that matched.
        by_row(args, |bytes, _, _| (bytes[0] + 1).saturating_mul(bytes[2] + 1).saturating_mul(2))
    }),
    ("array_to_string", |args| {
        let separators = by_row(args, |bytes, _, items| items[0].saturating_mul(bytes[1]))?;
        Ok(separators.saturating_add(total(args)?))
    }),
    ("array_repeat", |args| {
        let each = args.first().map_or(Ok(0), size)? / rows(args).max(1) + 16;
        by_row(args, |_, numbers, _| numbers[1].saturating_mul(each))
    }),
    ("array_resize", |args| {
        let each = args.get(2).map_or(Ok(0), size)? / rows(args).max(1) + 16;
        Ok(total(args)?.saturating_add(by_row(args, |_, numbers, _| numbers[1].saturating_mul(each))?))
    }),
    ("array_replace", with_replaced_items),
    ("array_replace_n", with_replaced_items),
    ("array_replace_all", with_replaced_items),
    ("concat", total),
    ("concat_ws", twice),
    ("encode", twice),
    ("overlay", twice),
    ("array_concat", total),
    ("array_append", total),
    ("array_prepend", total),
    ("make_array", total),
];

fn rows(args: &[ArrayRef]) -> u64 {
    args.first().map_or(0, |array| array.len() as u64)
}

fn total(args: &[ArrayRef]) -> Result<u64> {
    args.iter().try_fold(0, |sum: u64, array| Ok(sum.saturating_add(size(array)?)))
}

fn twice(args: &[ArrayRef]) -> Result<u64> {
    Ok(total(args)?.saturating_mul(2))
}

/// A list every item of which may become the third argument, a number, a text or a list.
fn with_replaced_items(args: &[ArrayRef]) -> Result<u64> {
    let replaced = by_row(args, |bytes, _, items| {
        items[0].saturating_mul(bytes[2].saturating_add(items[2].saturating_add(1).saturating_mul(16)))
    })?;
    Ok(total(args)?.saturating_add(replaced))
}

/// Bytes that a copy of the array would take.
fn size(array: &ArrayRef) -> Result<u64> {
    if is_bytes(array.data_type()) {
        return Ok(lengths(array)?.iter().fold(0, |sum: u64, bytes| sum.saturating_add(*bytes)));
    }
    Ok(array.to_data().get_slice_memory_size()? as u64)
}

/// Texts, and what some functions take them for.
fn is_bytes(data_type: &DataType) -> bool {
    use DataType::{Binary, BinaryView, LargeBinary, LargeUtf8, Utf8, Utf8View};
    matches!(data_type, Utf8 | LargeUtf8 | Utf8View | Binary | LargeBinary | BinaryView)
}

/// Bytes of each text or binary, or items of each list.
fn lengths(array: &ArrayRef) -> Result<Vec<u64>> {
    numbers(&length(array.as_ref())?)
}

/// Each number, 0 for nulls and negatives.
fn numbers(array: &ArrayRef) -> Result<Vec<u64>> {
    let array = cast(array, &DataType::Int64)?;
    let array = array.as_primitive::<Int64Type>();
    Ok((0..array.len()).map(|i| if array.is_valid(i) { array.value(i).max(0) as u64 } else { 0 }).collect())
}

/// Sums an estimate over the rows; it is given bytes of texts, numbers, and items of lists, 0 where an argument is
/// something else.
fn by_row(args: &[ArrayRef], estimate: impl Fn(&[u64; 4], &[u64; 4], &[u64; 4]) -> u64) -> Result<u64> {
    let mut kinds = [const { Vec::new() }; 3];
    for array in args.iter().take(4) {
        let zeros = || vec![0; array.len()];
        let data_type = array.data_type();
        let is_list = matches!(
            data_type,
            DataType::List(_) | DataType::LargeList(_) | DataType::ListView(_) | DataType::FixedSizeList(..)
        );
        kinds[0].push(if is_bytes(data_type) { lengths(array)? } else { zeros() });
        kinds[1].push(if data_type.is_numeric() { numbers(array)? } else { zeros() });
        kinds[2].push(if is_list { lengths(array)? } else { zeros() });
    }
    let mut sum = 0_u64;
    for row in 0..rows(args) as usize {
        let pick = |kind: &Vec<Vec<u64>>| std::array::from_fn(|i| kind.get(i).map_or(0, |column| column[row]));
        sum = sum.saturating_add(estimate(&pick(&kinds[0]), &pick(&kinds[1]), &pick(&kinds[2])));
    }
    Ok(sum)
}

/// How often the result will stand in a batch: a constant is repeated for every row.
fn copies(args: &ScalarFunctionArgs) -> u64 {
    let constant = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
    if constant { args.number_rows.max(BATCH_ROWS) as u64 } else { 1 }
}

fn refuse_above(bytes: u64, what: &str) -> Result<()> {
    if bytes <= MAX_BYTES {
        return Ok(());
    }
    let (megabytes, most) = (bytes >> 20, MAX_BYTES >> 20);
    Err(DataFusionError::ResourcesExhausted(format!(
        "{what} would make {megabytes} MB at once, at most {most} are made"
    )))
}

/// A function that first looks how large its result may become.
struct Bounded {
    inner: Arc<ScalarUDF>,
    estimate: Estimate,
}

impl fmt::Debug for Bounded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Bounded").field(&self.inner.name()).finish()
    }
}

// The estimate follows from the function.
impl PartialEq for Bounded {
    fn eq(&self, other: &Self) -> bool {
        self.inner == other.inner
    }
}

impl Eq for Bounded {}

impl Hash for Bounded {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.inner.hash(state);
    }
}

impl ScalarUDFImpl for Bounded {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        self.inner.schema_name(args)
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        self.inner.inner().return_type(arg_types)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        self.inner.return_field_from_args(args)
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.coerce_types(arg_types)
    }

    fn documentation(&self) -> Option<&datafusion::logical_expr::Documentation> {
        self.inner.documentation()
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        // An argument of a type that has no size here is the function's own to refuse.
        if let Ok(bytes) = ColumnarValue::values_to_arrays(&args.args).and_then(|arrays| (self.estimate)(&arrays)) {
            refuse_above(bytes.saturating_mul(copies(&args)), self.name())?;
        }
        self.inner.invoke_with_args(args)
    }
}

/// `||`, `[…]` and `overlay`, checked after each use: they at most double their operands, so one step too many is still
/// small.
#[derive(Debug)]
struct BoundedOperators;

impl ExprPlanner for BoundedOperators {
    fn plan_binary_op(&self, expr: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        if expr.op != BinaryOperator::StringConcat {
            return Ok(PlannerResult::Original(expr));
        }
        let planned = match NestedFunctionPlanner.plan_binary_op(expr, schema)? {
            PlannerResult::Planned(list) => list,
            PlannerResult::Original(RawBinaryExpr { left, right, .. }) => {
                Expr::BinaryExpr(BinaryExpr::new(Box::new(left), Operator::StringConcat, Box::new(right)))
            }
        };
        Ok(PlannerResult::Planned(within_bounds(planned)))
    }

    fn plan_array_literal(&self, items: Vec<Expr>, schema: &DFSchema) -> Result<PlannerResult<Vec<Expr>>> {
        Ok(bounded(NestedFunctionPlanner.plan_array_literal(items, schema)?))
    }

    fn plan_overlay(&self, args: Vec<Expr>) -> Result<PlannerResult<Vec<Expr>>> {
        Ok(bounded(CoreFunctionPlanner::default().plan_overlay(args)?))
    }
}

fn bounded(planned: PlannerResult<Vec<Expr>>) -> PlannerResult<Vec<Expr>> {
    match planned {
        PlannerResult::Planned(value) => PlannerResult::Planned(within_bounds(value)),
        original => original,
    }
}

fn within_bounds(value: Expr) -> Expr {
    Expr::ScalarFunction(ScalarFunction::new_udf(within_bounds_function(), vec![value]))
}

/// The function that is called around `||`, `[…]` and `overlay`.
pub(super) fn within_bounds_function() -> Arc<ScalarUDF> {
    let function = WithinBounds { signature: Signature::any(1, Volatility::Immutable) };
    Arc::new(ScalarUDF::new_from_impl(function))
}

/// Its argument, if that is small enough.
#[derive(Debug, PartialEq, Eq, Hash)]
struct WithinBounds {
    signature: Signature,
}

impl ScalarUDFImpl for WithinBounds {
    fn name(&self) -> &str {
        "within_bounds"
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        Ok(args.iter().map(|arg| arg.schema_name().to_string()).collect())
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        arg_types.first().cloned().ok_or_else(|| exec_datafusion_err!("within_bounds takes one argument"))
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        args.arg_fields.first().cloned().ok_or_else(|| exec_datafusion_err!("within_bounds takes one argument"))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let copies = copies(&args);
        let value = args.args.into_iter().next();
        let value = value.ok_or_else(|| exec_datafusion_err!("within_bounds takes one argument"))?;
        let array = match &value {
            ColumnarValue::Array(array) => array.clone(),
            ColumnarValue::Scalar(scalar) => scalar.to_array()?,
        };
        refuse_above(size(&array)?.saturating_mul(copies), "joining texts or lists")?;
        Ok(value)
    }
}
