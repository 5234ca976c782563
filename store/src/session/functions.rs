//! Functions of our own, where SQL has none: what a curriculum, an audit or a comparison of annotators computes.
//!
//! In: a registry, one file and one line each. Out: the engine's scalar, aggregate and table functions, and their
//! documentation, from which the reference page is made; every example in it is run by a test. Lance evaluates filters
//! inside its own reader, these functions among them: they look at nothing but their arguments, and a value that they
//! cannot use gives null, never an error or a panic.

mod aggregate;
mod arguments;
mod badge;
mod choice;
mod coreset;
mod cosine_distance;
mod diverse;
mod ece;
mod entropy;
mod flips;
mod hamming;
mod krippendorff_alpha;
mod margin_distance;
mod maxherding;
mod nearest;
mod scalar;
mod template;
mod top2_gap;
mod typiclust;
mod vectors;
mod wilson;

use std::sync::Arc;

use datafusion::catalog::TableFunctionImpl;
use datafusion::logical_expr::{AggregateUDF, DocSection, Documentation, ScalarUDF};
use datafusion::prelude::SessionContext;
use datafusion::scalar::ScalarValue;

use crate::session::names::Planner;
use crate::snapshot::Snapshot;
use template::Template;

/// Every function, in the order of the reference page.
pub const FUNCTIONS: &[Function] = &[
    entropy::FUNCTION,
    top2_gap::FUNCTION,
    margin_distance::FUNCTION,
    wilson::LOW,
    wilson::HIGH,
    hamming::FUNCTION,
    cosine_distance::FUNCTION,
    ece::FUNCTION,
    krippendorff_alpha::FUNCTION,
    nearest::FUNCTION,
    diverse::FUNCTION,
    coreset::FUNCTION,
    maxherding::FUNCTION,
    badge::FUNCTION,
    typiclust::FUNCTION,
    flips::FUNCTION,
];

/// One function: its documentation, and how it is made.
#[derive(Clone, Copy, Debug)]
pub struct Function {
    /// What it is called.
    pub name: &'static str,
    /// How it is called, with the names of its arguments.
    pub call: &'static str,
    /// What it answers, and when with null.
    pub doc: &'static str,
    /// A query that uses it.
    pub example: &'static str,
    /// What the query answers: a line per row, its cells parted by blanks. Functions that read tables answer for the
    /// corpus of the tests.
    pub answer: &'static str,
    make: Make,
}

/// What kind of function it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FunctionKind {
    /// One answer for each row.
    Scalar,
    /// One answer for each group.
    Aggregate,
    /// Rows, for `FROM`; its arguments are literals.
    Table,
}

#[derive(Clone, Copy, Debug)]
enum Make {
    Scalar(fn(&'static Function) -> ScalarUDF),
    Aggregate(fn(&'static Function) -> AggregateUDF),
    /// From what the snapshot knows.
    Table(fn(&Snapshot) -> Arc<dyn TableFunctionImpl>),
    /// From a query over tables and views, its parameters still open.
    Query {
        sql: &'static str,
        make: fn(Template, &Snapshot) -> Arc<dyn TableFunctionImpl>,
    },
}

impl Function {
    /// What kind it is.
    pub fn kind(&self) -> FunctionKind {
        match self.make {
            Make::Scalar(_) => FunctionKind::Scalar,
            Make::Aggregate(_) => FunctionKind::Aggregate,
            Make::Table(_) | Make::Query { .. } => FunctionKind::Table,
        }
    }

    /// For the engine, which shows it in `information_schema.routines`.
    fn documentation(&self) -> Documentation {
        let section = DocSection { include: true, label: "Marginalia", description: None };
        Documentation::builder(section, self.doc, self.call).with_sql_example(self.example).build()
    }
}

/// The scalar functions; one of them takes the name of an engine's that does the same.
pub(super) fn scalar_functions() -> impl Iterator<Item = Arc<ScalarUDF>> {
    FUNCTIONS.iter().filter_map(|function| match function.make {
        Make::Scalar(make) => Some(Arc::new(make(function))),
        _ => None,
    })
}

/// The aggregate functions.
pub(super) fn aggregate_functions() -> impl Iterator<Item = Arc<AggregateUDF>> {
    FUNCTIONS.iter().filter_map(|function| match function.make {
        Make::Aggregate(make) => Some(Arc::new(make(function))),
        _ => None,
    })
}

/// Gives a session its table functions. `parameters` are those of the views; tables and views have their names already.
pub(super) fn register_tables(
    context: &SessionContext,
    snapshot: &Snapshot,
    planner: &Planner,
    parameters: &[(&'static str, ScalarValue)],
) {
    for function in FUNCTIONS {
        let table = match function.make {
            Make::Table(make) => make(snapshot),
            Make::Query { sql, make } => make(Template::new(planner, sql, parameters), snapshot),
            Make::Scalar(_) | Make::Aggregate(_) => continue,
        };
        context.register_udtf(function.name, table);
    }
}
