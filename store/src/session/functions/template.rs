//! A query with open parameters, planned once for a session, when the function is first called: what a table function answers
//! with is the same plan with its arguments put in. It may read tables that have no name of their own.

use std::sync::{Arc, OnceLock};

use datafusion::error::Result as EngineResult;
use datafusion::logical_expr::LogicalPlan;
use datafusion::scalar::ScalarValue;

use crate::session::names::Planner;

#[derive(Clone, Debug)]
pub(super) struct Template {
    planner: Planner,
    sql: &'static str,
    plan: Arc<OnceLock<LogicalPlan>>,
    parameters: Vec<(&'static str, ScalarValue)>,
}

impl Template {
    pub(super) fn new(planner: &Planner, sql: &'static str, parameters: &[(&'static str, ScalarValue)]) -> Self {
        Self { planner: planner.clone(), sql, plan: Arc::default(), parameters: parameters.to_vec() }
    }

    /// The plan, with these values for parameters and the session's for all others.
    pub(super) fn with(&self, values: Vec<(&'static str, ScalarValue)>) -> EngineResult<LogicalPlan> {
        let plan = match self.plan.get() {
            Some(plan) => plan.clone(),
            None => {
                let plan = self.planner.plan(self.sql)?;
                self.plan.get_or_init(|| plan).clone()
            }
        };
        let others = self.parameters.iter().filter(|(name, _)| values.iter().all(|(given, _)| given != name));
        let all: Vec<_> = others.cloned().chain(values.iter().cloned()).collect();
        plan.with_param_values(all)
    }
}
