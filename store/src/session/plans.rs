//! Plans of texts that were asked before.
//!
//! In: a text. Out: its optimised plan, while the session remembers it. Pages and dashboards ask the same few texts again and
//! again, and planning views of views takes longer than many of them take to compute; the tables of a session never change,
//! so a plan stays right. Not remembered are plans that mean something else each time they run (`now()`, `random()`): the
//! optimiser writes the time of planning into them.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, LogicalPlan, Volatility};

/// Texts remembered.
const KEPT: usize = 32;

/// The texts asked last, newest first.
#[derive(Default)]
pub(super) struct Plans {
    kept: Mutex<VecDeque<(String, LogicalPlan)>>,
}

impl Plans {
    /// The plan of a text, if it was asked lately.
    pub fn of(&self, sql: &str) -> Option<LogicalPlan> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let place = kept.iter().position(|(text, _)| text == sql)?;
        let known = kept.remove(place)?;
        let plan = known.1.clone();
        kept.push_front(known);
        Some(plan)
    }

    /// Remembers an optimised plan instead of the one that was not asked for the longest.
    pub fn keep(&self, sql: &str, plan: LogicalPlan) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|(text, _)| text != sql);
        kept.push_front((sql.to_owned(), plan));
        kept.truncate(KEPT);
    }
}

/// Whether a plan, not optimised yet, means the same whenever it runs.
pub(super) fn is_constant(plan: &LogicalPlan) -> Result<bool> {
    let mut constant = true;
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node
            && let Some(view) = scan.source.get_logical_plan()
        {
            constant &= is_constant(&view)?;
        }
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                constant &= match expr {
                    Expr::ScalarFunction(call) => call.func.signature().volatility == Volatility::Immutable,
                    _ => true,
                };
                Ok(if constant { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
            })
        })
    })?;
    Ok(constant)
}
