//! Statements that somebody else's parser made, planned once and run any number of times.
//!
//! In: a text and a parser of another dialect, then each statement that it finds. Out: plans behind the same walls as
//! [`Session::query`]: size and shape before the parser sees the text, only questions, the plan verified, a deadline on
//! everything. Parameters get a type here: what the plan says, else what the client says, else text.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, SchemaRef};
use datafusion::common::ParamValues;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::expr::Placeholder;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan};
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::Statement as SqlStatement;
use datafusion::sql::sqlparser::dialect::Dialect;
use datafusion::sql::sqlparser::parser::ParserError;

use super::answer::{self, Answer, Deadline, Pace, Work};
use super::runtime::{Origin, SqlRuntime};
use super::{Session, SqlLimits};
use crate::error::{Error, Result};
use crate::guard;
use crate::snapshot::Snapshot;

/// Most parameters of a statement.
const MAX_PARAMETERS: usize = 10_000;

/// A planned statement; cheap to clone.
#[derive(Clone)]
pub struct Prepared {
    session: Session,
    plan: LogicalPlan,
    sql: Arc<str>,
    /// What its optimised plan is remembered as: another dialect may mean something else by the same text.
    key: Arc<str>,
    /// Columns of its answer.
    pub schema: SchemaRef,
    /// Types of `$1`, `$2`, …
    pub parameters: Vec<DataType>,
}

impl SqlRuntime {
    /// Parses a text with a parser of the caller's, on the SQL threads, once its tokens have passed the walls. A dropped
    /// call stops there.
    ///
    /// # Errors
    /// `QueryRefused` by the walls, `QueryFailed` by the parser, `QueryTimeout`.
    pub async fn parse<T, F>(
        &self,
        sql: &str,
        dialect: impl Dialect + Send + 'static,
        limits: &SqlLimits,
        pace: Pace,
        parser: F,
    ) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&str) -> std::result::Result<T, ParserError> + Send + 'static,
    {
        let (text, limits) = (sql.to_owned(), limits.clone());
        answer::plan(self, sql, Deadline::new(pace, self.track()), async move {
            guard::text(&text, &dialect, &limits)?;
            parser(&text).map_err(|error| Error::QueryFailed { message: error.to_string() })
        })
        .await
    }
}

impl Session {
    /// Plans a statement; `sql` is how messages show it, `hints` the types that its sender gives `$1`, `$2`, …
    ///
    /// # Errors
    /// As [`Session::query`].
    pub async fn prepare(
        &self,
        sql: Arc<str>,
        statement: SqlStatement,
        hints: Vec<Option<DataType>>,
        pace: Pace,
    ) -> Result<Prepared> {
        let deadline = Deadline::new(pace, self.runtime.track());
        let (session, text) = (self.clone(), sql.clone());
        answer::plan(&self.runtime, &text, deadline, async move {
            let words = statement.to_string();
            let word = words.split_whitespace().next().map(str::to_uppercase);
            let statement = Statement::Statement(Box::new(statement));
            guard::question(&statement, word)?;
            let plan = session.context.state().statement_to_plan(statement).await.map_err(guard::failed)?;
            guard::plan(&plan)?;
            let parameters = parameters(&plan, &hints)?;
            let plan = with_types(plan, &parameters).map_err(guard::failed)?;
            let schema = plan.schema().inner().clone();
            Ok(Prepared { session, plan, sql, key: format!("prepared: {words}").into(), schema, parameters })
        })
        .await
    }
}

impl Prepared {
    /// Answers it, with these values for its parameters.
    ///
    /// # Errors
    /// As [`Session::query`].
    pub async fn run(&self, values: ParamValues, pace: Pace) -> Result<Answer> {
        let session = self.session.clone();
        let deadline = Deadline::new(pace, session.runtime.track());
        let max_rows = session.limits.max_rows;
        let work = Work { sql: self.sql.to_string(), max_rows, deadline: Some(deadline.clone()) };
        let (plan, key, state) = (self.plan.clone(), self.key.clone(), session.context.state());
        let has_parameters = !self.parameters.is_empty();
        let runtime = session.runtime.clone();
        let sql = self.sql.clone();
        let run = async move {
            let plan = match has_parameters {
                true => {
                    let plan = plan.with_param_values(values).map_err(guard::failed)?;
                    session.optimised(&state, plan, &sql, None)?
                }
                false => session.remembered(&state, &key, async { Ok(plan) }).await?,
            };
            session.stream(&state, plan, deadline.running).await
        };
        Answer::start(&runtime, Origin::People, work, run).await
    }

    /// What it looks at.
    pub fn snapshot(&self) -> &Arc<Snapshot> {
        &self.session.snapshot
    }
}

/// A type for every parameter up to the highest one.
fn parameters(plan: &LogicalPlan, hints: &[Option<DataType>]) -> Result<Vec<DataType>> {
    let mut known = plan.get_parameter_types().map_err(guard::failed)?;
    for (name, used_as) in uses(plan).map_err(guard::failed)? {
        let known = known.entry(name).or_default();
        *known = known.take().or(Some(used_as));
    }
    let mut types = Vec::new();
    for (name, known) in known {
        let number = name.trim_start_matches('$').parse::<usize>().ok().filter(|n| (1..=MAX_PARAMETERS).contains(n));
        let Some(number) = number else {
            return Err(Error::QueryRefused {
                reason: format!(
                    "parameter {name} cannot be given a value; parameters are $1, $2 up to ${MAX_PARAMETERS}"
                ),
            });
        };
        types.resize(types.len().max(number), None);
        types[number - 1] = known;
    }
    let hint = |i: usize| hints.get(i).cloned().flatten();
    Ok(types.into_iter().enumerate().map(|(i, known)| known.or_else(|| hint(i)).unwrap_or(DataType::Utf8)).collect())
}

/// Types that the engine does not say: of `$1::int`, and of `x = ANY($1)`, a list of what x is.
fn uses(plan: &LogicalPlan) -> datafusion::error::Result<HashMap<String, DataType>> {
    let mut uses = HashMap::new();
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                match expr {
                    Expr::Cast(cast) => {
                        if let Expr::Placeholder(placeholder) = cast.expr.as_ref() {
                            uses.insert(placeholder.id.clone(), cast.field.data_type().clone());
                        }
                    }
                    Expr::ScalarFunction(call) if call.name() == "array_has" => {
                        if let [Expr::Placeholder(placeholder), item] = call.args.as_slice() {
                            let inputs = node.inputs();
                            let item = inputs.first().and_then(|input| item.get_type(input.schema()).ok());
                            let item = Field::new_list_field(item.unwrap_or(DataType::Utf8), true);
                            uses.insert(placeholder.id.clone(), DataType::List(Arc::new(item)));
                        }
                    }
                    _ => {}
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(uses)
}

/// The plan, its columns included, with every parameter typed.
fn with_types(plan: LogicalPlan, types: &[DataType]) -> datafusion::error::Result<LogicalPlan> {
    if types.is_empty() {
        return Ok(plan);
    }
    let typed = |expr: Expr| match expr {
        Expr::Placeholder(Placeholder { id, field: None }) => {
            let known =
                id.trim_start_matches('$').parse::<usize>().ok().and_then(|number| types.get(number.checked_sub(1)?));
            let field = known.map(|known| Arc::new(Field::new("", known.clone(), true)));
            Ok(Transformed::yes(Expr::Placeholder(Placeholder { id, field })))
        }
        other => Ok(Transformed::no(other)),
    };
    // Children come first; above one that changed every node has to look at its columns anew.
    let mut changed = false;
    let plan = plan.transform_up_with_subqueries(|node| {
        let node = node.map_expressions(|expr| expr.transform_up(typed))?;
        changed |= node.transformed;
        match changed {
            true => Ok(Transformed::yes(node.data.recompute_schema()?)),
            false => Ok(node),
        }
    })?;
    Ok(plan.data)
}
