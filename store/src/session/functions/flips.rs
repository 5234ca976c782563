//! `flips`: the view of that name, between any two rounds.

use std::sync::Arc;

use datafusion::catalog::{TableFunctionArgs, TableFunctionImpl, TableProvider};
use datafusion::common::plan_err;
use datafusion::datasource::ViewTable;
use datafusion::error::Result;
use datafusion::scalar::ScalarValue;

use super::template::Template;
use super::{Function, Make, arguments};

pub(super) const FUNCTION: Function = Function {
    name: "flips",
    call: "flips(from_round, to_round)",
    doc: "Faces whose class changed between two accepted rounds, with the columns of the view `flips`, which compares \
          the last two. Faces that only one of the rounds scored are not among them.",
    example: "select face_id, from_expression, to_expression from flips(1, 2) order by face_id",
    answer: "b neutral sadness",
    make: Make::Query {
        sql: include_str!("../../views/flips.sql"),
        make: |template, snapshot| {
            let accepted = snapshot.rounds().iter().filter(|round| round.accepted).map(|round| round.round).collect();
            Arc::new(Flips { template, accepted })
        },
    },
};

#[derive(Debug)]
struct Flips {
    template: Template,
    accepted: Vec<u32>,
}

impl TableFunctionImpl for Flips {
    fn call_with_args(&self, args: TableFunctionArgs) -> Result<Arc<dyn TableProvider>> {
        arguments::count(&FUNCTION, args.exprs(), 2..=2)?;
        let mut rounds = Vec::with_capacity(2);
        for (name, arg) in ["from_round", "to_round"].into_iter().zip(args.exprs()) {
            let round = arguments::number(&FUNCTION, name, arg, u64::from(u32::MAX))?;
            if !self.accepted.iter().any(|accepted| u64::from(*accepted) == round) {
                let accepted: Vec<String> = self.accepted.iter().map(u32::to_string).collect();
                return plan_err!("no accepted round {round}; there are: {}", accepted.join(", "));
            }
            rounds.push(ScalarValue::Int64(i64::try_from(round).ok()));
        }
        let names = ["previous_round", "current_round"];
        let plan = self.template.with(names.into_iter().zip(rounds).collect())?;
        Ok(Arc::new(ViewTable::new(plan, None)))
    }
}
