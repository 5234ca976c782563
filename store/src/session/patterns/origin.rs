//! Where a plan's column comes from.
//!
//! In: a plan and a column of its rows. Out: whether it is the `face_id` of a table, as it is. A text may call anything
//! `face_id`.

use datafusion::common::{Column, DFSchema, JoinType};
use datafusion::logical_expr::{Aggregate, Distinct, Expr, Join, LogicalPlan};

/// Whether the column is a table's `face_id`, handed up by name or as a null of an outer join; not where that cannot be seen.
pub(super) fn is_a_tables_face_id(plan: &LogicalPlan, column: &Column) -> bool {
    plan.schema().maybe_index_of_column(column).is_some_and(|place| is_face_id_at(plan, place))
}

fn is_face_id_at(plan: &LogicalPlan, place: usize) -> bool {
    match plan {
        LogicalPlan::TableScan(scan) => match scan.source.get_logical_plan() {
            Some(view) => {
                let name = scan.projected_schema.field(place).name();
                view.schema().index_of_column_by_name(None, name).is_some_and(|place| is_face_id_at(&view, place))
            }
            None => scan.projected_schema.field(place).name() == "face_id",
        },
        LogicalPlan::Projection(projection) => is_face_id_of(&projection.input, projection.expr.get(place)),
        LogicalPlan::Aggregate(Aggregate { input, group_expr, .. }) => is_face_id_of(input, group_expr.get(place)),
        LogicalPlan::SubqueryAlias(alias) => is_face_id_at(&alias.input, place),
        LogicalPlan::Filter(filter) => is_face_id_at(&filter.input, place),
        LogicalPlan::Sort(sort) => is_face_id_at(&sort.input, place),
        LogicalPlan::Limit(limit) => is_face_id_at(&limit.input, place),
        LogicalPlan::Distinct(Distinct::All(input)) => is_face_id_at(input, place),
        LogicalPlan::Window(window) => place < width(window.input.schema()) && is_face_id_at(&window.input, place),
        LogicalPlan::Union(union) => union.inputs.iter().all(|input| is_face_id_at(input, place)),
        LogicalPlan::Join(join) => match side_of(join, place) {
            Some((side, place)) => is_face_id_at(side, place),
            None => false,
        },
        _ => false,
    }
}

/// The input that a join's column comes from, and its place there; none for the mark of a mark join.
fn side_of(join: &Join, place: usize) -> Option<(&LogicalPlan, usize)> {
    let (left, right) = (width(join.left.schema()), width(join.right.schema()));
    let (first, second) = match join.join_type {
        JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full => (left, right),
        JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => (left, 0),
        JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => (0, right),
    };
    match place.checked_sub(first) {
        None => Some((&join.left, place)),
        Some(place) if place < second => Some((&join.right, place)),
        Some(_) => None,
    }
}

fn is_face_id_of(input: &LogicalPlan, expr: Option<&Expr>) -> bool {
    match expr {
        Some(Expr::Alias(alias)) => is_face_id_of(input, Some(&alias.expr)),
        Some(Expr::Column(column)) => is_a_tables_face_id(input, column),
        _ => false,
    }
}

fn width(schema: &DFSchema) -> usize {
    schema.fields().len()
}
