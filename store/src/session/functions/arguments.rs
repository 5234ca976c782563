//! Arguments of table functions: literals, because the tables are made before any row is read.

use datafusion::common::plan_err;
use datafusion::error::Result;
use datafusion::prelude::Expr;
use datafusion::scalar::ScalarValue;

use super::Function;

/// Refuses a call with fewer or more arguments.
pub(super) fn count(function: &Function, args: &[Expr], allowed: std::ops::RangeInclusive<usize>) -> Result<()> {
    if allowed.contains(&args.len()) {
        return Ok(());
    }
    plan_err!("{} was given {} arguments", function.call, args.len())
}

/// A whole number between 1 and `most`.
pub(super) fn number(function: &Function, name: &str, arg: &Expr, most: u64) -> Result<u64> {
    let value = match arg {
        Expr::Literal(ScalarValue::Int64(Some(value)), _) => u64::try_from(*value).ok(),
        Expr::Literal(ScalarValue::UInt64(Some(value)), _) => Some(*value),
        Expr::Literal(ScalarValue::Int32(Some(value)), _) => u64::try_from(*value).ok(),
        Expr::Literal(ScalarValue::UInt32(Some(value)), _) => Some(u64::from(*value)),
        _ => None,
    };
    match value {
        Some(value) if (1..=most).contains(&value) => Ok(value),
        _ => plan_err!("{}: {name} is a whole number from 1 to {most}, written out; it is {arg}", function.call),
    }
}

/// A text.
pub(super) fn text(function: &Function, name: &str, arg: &Expr) -> Result<String> {
    let value = match arg {
        Expr::Literal(value, _) => value.try_as_str().flatten(),
        _ => None,
    };
    match value {
        Some(text) => Ok(text.to_owned()),
        None => plan_err!("{}: {name} is a text in quotes, written out; it is {arg}", function.call),
    }
}
