//! Plans that differ only in the faces they look for.
//!
//! In: a plan, as a text meant it. Out: the same plan with a marker in the place of the face, and the face. Pages and clients
//! ask for one face after the other (`where face_id = '…'`): their plans have one pattern, and it is optimised once.
//!
//! A marker is a string that no face is called, and no parameter, since the optimiser concludes less from those: it would not
//! carry the condition over to the other side of an outer join. What it concludes from a marker must hold for every face. So
//! a plan has a pattern only if its text holds one string, which a table's `face_id` must equal ([`origin`]); no view
//! compares that with one.

use datafusion::common::exec_err;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::Result;
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::{BinaryExpr, Filter, LogicalPlan, LogicalPlanBuilder, Operator};
use datafusion::prelude::{Expr, col, lit};
use datafusion::scalar::ScalarValue;

mod origin;

/// Items of an open list: as many as the optimiser leaves alone, because fewer become comparisons.
const OPEN: usize = 4;

/// The pattern of a plan whose text holds so many strings, and the face that its marker stands for; the plan itself where it
/// has none.
pub(super) fn split(plan: LogicalPlan, strings: usize) -> Result<(LogicalPlan, Option<String>)> {
    if strings != 1 {
        return Ok((plan, None));
    }
    let mut face = None;
    let pattern = plan.transform_up_with_subqueries(|node| match node {
        LogicalPlan::Filter(Filter { predicate, input, .. }) => {
            let predicate = predicate.transform_up(|expr| Ok(lift(expr, &input, &mut face)))?;
            let filter = LogicalPlan::Filter(Filter::try_new(predicate.data, input)?);
            Ok(Transformed::new_transformed(filter, predicate.transformed))
        }
        _ => Ok(Transformed::no(node)),
    })?;
    Ok((pattern.data, face))
}

/// The plan that an optimised pattern stands for with this face.
pub(super) fn fill(pattern: LogicalPlan, face: &str) -> Result<LogicalPlan> {
    let marker = marker(0);
    replaced(pattern, |expr| if expr == marker { Transformed::yes(lit(face)) } else { Transformed::no(expr) })
}

/// The rows of a plan about some faces; [`fill_list`] says which.
pub(crate) fn with_open_list(plan: LogicalPlan) -> Result<LogicalPlan> {
    LogicalPlanBuilder::from(plan).filter(col("face_id").in_list(open_list(), false))?.build()
}

/// The plan that an optimised pattern with an open list stands for with these faces.
pub(super) fn fill_list(pattern: LogicalPlan, faces: &[Expr]) -> Result<LogicalPlan> {
    let open = open_list();
    let mut filled = false;
    let plan = replaced(pattern, |expr| match expr {
        Expr::InList(InList { expr, list, negated: false }) if list == open => {
            filled = true;
            Transformed::yes(Expr::InList(InList { expr, list: faces.to_vec(), negated: false }))
        }
        other => Transformed::no(other),
    })?;
    if filled { Ok(plan) } else { exec_err!("the plan has no open list") }
}

fn lift(expr: Expr, input: &LogicalPlan, face: &mut Option<String>) -> Transformed<Expr> {
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) => match (*left, *right) {
            (Expr::Column(column), Expr::Literal(ScalarValue::Utf8(Some(wanted)), _))
                if column.name == "face_id" && origin::is_a_tables_face_id(input, &column) =>
            {
                *face = Some(wanted);
                Transformed::yes(Expr::Column(column).eq(marker(0)))
            }
            (left, right) => Transformed::no(left.eq(right)),
        },
        other => Transformed::no(other),
    }
}

fn marker(place: usize) -> Expr {
    lit(format!("\0{place}"))
}

fn open_list() -> Vec<Expr> {
    (0..OPEN).map(marker).collect()
}

/// Columns keep their types, so no schema has to be worked out anew.
fn replaced(plan: LogicalPlan, mut replace: impl FnMut(Expr) -> Transformed<Expr>) -> Result<LogicalPlan> {
    let filled = plan.transform_up_with_subqueries(|node| {
        node.map_expressions(|expr| expr.transform_up(|expr| Ok(replace(expr))))
    })?;
    Ok(filled.data)
}
