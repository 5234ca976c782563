//! Plans of what was asked before.
//!
//! In: a text, or the pattern of a plan. Out: its optimised plan, while it is remembered. Pages and dashboards ask the same
//! few things again and again, and planning views of views takes longer than many of them take to compute. A plan over names
//! stays right as long as the names have the same columns and the views the same parameters. Not remembered are plans that
//! mean something else each time they run (`now()`, `random()`: the optimiser writes the time of planning into them), and
//! those that hold on to one snapshot.

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, PoisonError};

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::datasource::source_as_provider;
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, LogicalPlan, Volatility};

use super::queue::Queue;
use super::tables::Named;

/// Plans remembered.
const KEPT: usize = 64;

/// What a plan is remembered as.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Key {
    /// By a text.
    Text(String),
    /// By what several texts have in common.
    Pattern(Box<LogicalPlan>),
}

/// The plans asked for last, newest first.
#[derive(Default)]
pub(super) struct Plans {
    kept: Mutex<VecDeque<(u64, Key, LogicalPlan)>>,
    hasher: RandomState,
}

impl Plans {
    /// The optimised plan, if it was asked for lately.
    pub fn of(&self, key: &Key) -> Option<LogicalPlan> {
        let hash = self.hasher.hash_one(key);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let place = kept.iter().position(|(other, known, _)| *other == hash && known == key)?;
        let known = kept.remove(place)?;
        let plan = known.2.clone();
        kept.push_front(known);
        Some(plan)
    }

    /// Remembers an optimised plan instead of the one that was not asked for the longest.
    pub fn keep(&self, key: Key, plan: LogicalPlan) {
        let hash = self.hasher.hash_one(&key);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|(other, known, _)| *other != hash || *known != key);
        kept.push_front((hash, key, plan));
        kept.truncate(KEPT);
    }
}

/// Whether a plan, not optimised yet, means the same whenever it runs, in whichever session.
pub(super) fn is_lasting(plan: &LogicalPlan) -> Result<bool> {
    let mut lasting = true;
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            lasting &= match scan.source.get_logical_plan() {
                Some(view) => is_lasting(&view)?,
                None => {
                    let table = source_as_provider(&scan.source)?;
                    table.downcast_ref::<Named>().is_some() || table.downcast_ref::<Queue>().is_some()
                }
            };
        }
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                lasting &= match expr {
                    Expr::ScalarFunction(call) => call.func.signature().volatility == Volatility::Immutable,
                    _ => true,
                };
                Ok(if lasting { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
            })
        })
    })?;
    Ok(lasting)
}
