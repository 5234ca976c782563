//! A query with open parameters, planned once for a session: what a table function answers with is the same plan with its
//! arguments put in. It may read tables that have no name of their own.

use datafusion::error::Result as EngineResult;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::SessionContext;
use datafusion::scalar::ScalarValue;

use crate::error::Result;
use crate::guard;

#[derive(Clone, Debug)]
pub(super) struct Template {
    plan: LogicalPlan,
    parameters: Vec<(&'static str, ScalarValue)>,
}

impl Template {
    pub(super) async fn plan(
        context: &SessionContext,
        sql: &str,
        parameters: &[(&'static str, ScalarValue)],
    ) -> Result<Self> {
        let plan = context.state().create_logical_plan(sql).await.map_err(guard::failed)?;
        Ok(Self { plan, parameters: parameters.to_vec() })
    }

    /// The plan, with these values for parameters and the session's for all others.
    pub(super) fn with(&self, values: Vec<(&'static str, ScalarValue)>) -> EngineResult<LogicalPlan> {
        let others = self.parameters.iter().filter(|(name, _)| values.iter().all(|(given, _)| given != name));
        let all: Vec<_> = others.cloned().chain(values.iter().cloned()).collect();
        self.plan.clone().with_param_values(all)
    }
}
