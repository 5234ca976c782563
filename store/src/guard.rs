//! The walls before planning: what a SQL text may be before the engine sees it.
//!
//! In: text from anybody. Out: one parsed statement that only reads, or a refusal that says what to do instead. Parsing,
//! planning and even dropping a plan recurse over it, and a stack overflow ends the process without unwinding; so
//! size is counted on the tokens, which needs no recursion, before anything is parsed.

mod failure;

use std::collections::HashMap;
use std::ops::ControlFlow;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::execution::context::SQLOptions;
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::sql::parser::{DFParserBuilder, Statement};
use datafusion::sql::sqlparser::ast::{Expr as SqlExpr, ObjectName, Query, Statement as SqlStatement, Visit, Visitor};
use datafusion::sql::sqlparser::dialect::{Dialect, GenericDialect};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};

use crate::error::{Error, Result};
use crate::session::SqlLimits;
pub(crate) use failure::{failed, failed_in};

/// Deepest nesting of parentheses, brackets and CASE.
const MAX_NESTING: usize = 64;
/// Recursion the parser may use; every level of nesting takes a few.
const PARSER_RECURSION: usize = 8 * MAX_NESTING;
/// Most tables a query may read, WITH parts counted where they stand and at every use.
const MAX_RELATIONS: u64 = 100;
/// Most nodes an expression may have once the names in it stand for what they were computed from.
const MAX_EXPRESSION: u64 = 10_000;
/// Most combinations of columns that a GROUP BY may ask for; CUBE over n columns makes 2ⁿ.
const MAX_GROUPINGS: u64 = 1024;
/// Parts of a dotted name that count for nothing: catalog, schema, table, column.
const NAME_PARTS: usize = 4;

/// The one statement in `sql`, if it is small enough and only reads.
///
/// # Errors
/// [`Error::QueryRefused`] with what to do instead; [`Error::QueryFailed`] where the text does not parse.
pub(crate) fn statement(sql: &str, limits: &SqlLimits) -> Result<Statement> {
    let tokens = text(sql, &GenericDialect {}, limits)?;
    let first_word = tokens.iter().find_map(|t| match &t.token {
        Token::Word(word) => Some(word.value.to_uppercase()),
        _ => None,
    });
    let mut statements = DFParserBuilder::new(tokens)
        .with_recursion_limit(PARSER_RECURSION)
        .build()
        .and_then(|mut parser| parser.parse_statements())
        .map_err(failed)?;
    let statement = match (statements.pop_front(), statements.is_empty()) {
        (Some(statement), true) => statement,
        (None, _) => return refuse("there is no statement in it".to_owned()),
        (Some(_), false) => return refuse("it holds several statements; send them one at a time".to_owned()),
    };
    question(&statement, first_word)?;
    Ok(statement)
}

/// The first wall: the tokens of a text that is short enough, and in which nothing is too deep or too wide to be parsed.
pub(crate) fn text(sql: &str, dialect: &dyn Dialect, limits: &SqlLimits) -> Result<Vec<TokenWithSpan>> {
    if sql.len() > limits.max_text_bytes {
        return refuse(format!(
            "its text has {} bytes, at most {} are taken; put long lists into a table of their own",
            sql.len(),
            limits.max_text_bytes
        ));
    }
    let tokens = Tokenizer::new(dialect, sql)
        .tokenize_with_location()
        .map_err(|error| Error::QueryFailed { message: error.to_string() })?;
    count(&tokens, limits)?;
    Ok(tokens)
}

/// How many strings a text holds, of whatever kind, parameters among them; many where nobody can count them.
pub(crate) fn strings(sql: &str) -> usize {
    let is_string = |token: &Token| match token {
        Token::Placeholder(_) => true,
        Token::Word(_) | Token::Whitespace(_) => false,
        other => other.to_string().contains('\''),
    };
    let tokens = Tokenizer::new(&GenericDialect {}, sql).tokenize();
    tokens.map_or(usize::MAX, |tokens| tokens.iter().filter(|token| is_string(token)).count())
}

/// Refuses a statement that does more than read, or reads too much at once; `word` names it.
pub(crate) fn question(statement: &Statement, word: Option<String>) -> Result<()> {
    if !only_reads(statement) {
        let word = word.unwrap_or_else(|| "this statement".to_owned());
        return refuse(format!("{word} is not allowed: {READ_ONLY}"));
    }
    relations(statement)
}

/// The second wall, on the plan: whatever the text looked like, nothing that writes or changes settings runs.
pub(crate) fn plan(plan: &LogicalPlan) -> Result<()> {
    let only_reads = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
    only_reads.verify_plan(plan).map_err(|error| Error::QueryRefused {
        reason: format!("{}; {READ_ONLY}", error.strip_backtrace().trim_start_matches("Error during planning: ")),
    })?;
    let largest = expanded(plan).into_iter().max().unwrap_or(0);
    if largest > MAX_EXPRESSION {
        return refuse(format!(
            "an expression in it has more than {MAX_EXPRESSION} parts once its names are replaced by what they stand \
             for; use each computed column only once or twice"
        ));
    }
    Ok(())
}

/// Refuses a plan with a parameter that has no value; it would fail late and in other words.
pub(crate) fn complete(plan: &LogicalPlan) -> Result<()> {
    match plan.get_parameter_names().map_err(failed)?.into_iter().min() {
        Some(name) => refuse(format!("parameter {name} has no value; write the value itself")),
        None => Ok(()),
    }
}

/// Size of each output column's expression after the optimiser has pushed it down as far as it can: it replaces names by
/// what they were computed from, so forty nested `select s + s as s` would grow to a million million nodes. The last
/// number is the largest of all below.
fn expanded(plan: &LogicalPlan) -> Vec<u64> {
    let inputs = plan.inputs();
    let below: Vec<Vec<u64>> = inputs.iter().map(|input| expanded(input)).collect();
    let size = |expr: &Expr| expression_size(expr, &inputs, &below);
    let width = plan.schema().fields().len();
    let mut sizes: Vec<u64> = match plan {
        LogicalPlan::Projection(projection) => projection.expr.iter().map(size).collect(),
        LogicalPlan::Aggregate(aggregate) => aggregate.group_expr.iter().map(size).collect(),
        LogicalPlan::Union(_) => {
            (0..width).map(|i| below.iter().filter_map(|input| input.get(i)).copied().max().unwrap_or(1)).collect()
        }
        // Everything else hands its inputs' columns on, first to last.
        _ => below.iter().flat_map(|input| &input[..input.len() - 1]).copied().collect(),
    };
    sizes.resize(width, 1);
    let own = plan.expressions().iter().map(size).max().unwrap_or(0);
    let largest = below.iter().filter_map(|input| input.last()).chain(&sizes).copied().max().unwrap_or(0);
    sizes.push(largest.max(own));
    sizes
}

fn expression_size(expr: &Expr, inputs: &[&LogicalPlan], below: &[Vec<u64>]) -> u64 {
    let mut size = 0_u64;
    let _ = expr.apply(|node| {
        let node = match node {
            Expr::Column(column) => inputs.iter().zip(below).find_map(|(input, sizes)| {
                input.schema().maybe_index_of_column(column).and_then(|i| sizes.get(i).copied())
            }),
            Expr::ScalarSubquery(subquery) => expanded(&subquery.subquery).last().copied(),
            Expr::InSubquery(inside) => expanded(&inside.subquery.subquery).last().copied(),
            Expr::Exists(exists) => expanded(&exists.subquery.subquery).last().copied(),
            _ => None,
        };
        size = size.saturating_add(node.unwrap_or(1));
        Ok(TreeNodeRecursion::Continue)
    });
    size
}

/// What is said about everything that is not a question.
const READ_ONLY: &str = "SQL here only reads (SELECT, EXPLAIN, SHOW TABLES, DESCRIBE); labels are given with \
                         `marginalia label` or on the page, files are written with `marginalia export`";

fn refuse<T>(reason: String) -> Result<T> {
    Err(Error::QueryRefused { reason })
}

/// Counts what makes plans deep or wide.
fn count(tokens: &[TokenWithSpan], limits: &SqlLimits) -> Result<()> {
    let mut operators = 0;
    let mut cases = 0_usize;
    let mut name_parts = 0;
    let mut lists = vec![0_usize];
    for TokenWithSpan { token, .. } in tokens {
        match token {
            Token::LParen | Token::LBracket => lists.push(0),
            Token::RParen | Token::RBracket if lists.len() > 1 => drop(lists.pop()),
            Token::Comma => {
                if let Some(items) = lists.last_mut() {
                    *items += 1;
                }
            }
            Token::Word(word) if word.keyword == Keyword::CASE => cases += 1,
            Token::Word(word) if word.keyword == Keyword::END => cases = cases.saturating_sub(1),
            _ => {}
        }
        name_parts = match token {
            Token::Period => name_parts + 1,
            Token::Word(_) => name_parts,
            _ => 0,
        };
        operators += usize::from(is_operator(token) || (*token == Token::Period && name_parts >= NAME_PARTS));
        if operators > limits.max_operators {
            return refuse(format!(
                "it has more than {} operators (+, AND, OR, UNION, JOIN, WHEN and their like); use IN (…) or a join \
                 instead of a long chain",
                limits.max_operators
            ));
        }
        if lists.last().is_some_and(|items| *items >= limits.max_list_items) {
            return refuse(format!("a list in it has more than {} items; use a join", limits.max_list_items));
        }
        if lists.len() + cases > MAX_NESTING {
            return refuse(format!("it is nested deeper than {MAX_NESTING} levels; use WITH to name its parts"));
        }
    }
    Ok(())
}

/// Whether a token makes an expression or a plan one level deeper.
fn is_operator(token: &Token) -> bool {
    use Keyword as K;
    match token {
        Token::Word(word) => matches!(
            word.keyword,
            K::AND
                | K::OR
                | K::XOR
                | K::NOT
                | K::IS
                | K::IN
                | K::BETWEEN
                | K::LIKE
                | K::ILIKE
                | K::RLIKE
                | K::REGEXP
                | K::SIMILAR
                | K::DIV
                | K::COLLATE
                | K::AT
                | K::OVERLAPS
                | K::WHEN
                | K::UNION
                | K::INTERSECT
                | K::EXCEPT
                | K::MINUS
                | K::JOIN
                | K::APPLY
        ),
        // By spelling, so that an operator of a later parser is counted too.
        other => {
            let text = other.to_string();
            !text.is_empty() && text.chars().all(|c| "+-*/%=<>!|&^~#@?:[".contains(c))
        }
    }
}

fn only_reads(statement: &Statement) -> bool {
    match statement {
        Statement::Statement(inner) => sql_only_reads(inner),
        Statement::Explain(explain) => only_reads(&explain.statement),
        Statement::CreateExternalTable(_) | Statement::CopyTo(_) | Statement::Reset(_) => false,
    }
}

fn sql_only_reads(statement: &SqlStatement) -> bool {
    match statement {
        SqlStatement::Query(_)
        | SqlStatement::ShowTables { .. }
        | SqlStatement::ShowColumns { .. }
        | SqlStatement::ShowFunctions { .. }
        | SqlStatement::ShowVariable { .. }
        | SqlStatement::ShowCreate { .. }
        | SqlStatement::ExplainTable { .. } => true,
        SqlStatement::Explain { statement, .. } => sql_only_reads(statement),
        _ => false,
    }
}

/// Refuses statements that read too many tables or group in too many ways. Thirty doublings in a WITH are a short text and a billion plan nodes.
fn relations(statement: &Statement) -> Result<()> {
    let statement = match statement {
        Statement::Statement(inner) => inner,
        Statement::Explain(explain) => return relations(&explain.statement),
        _ => return Ok(()),
    };
    let mut counter = Relations { groupings: 1, ..Relations::default() };
    if statement.visit(&mut counter).is_break() {
        return refuse(
            "WITH RECURSIVE is not allowed; generate_series(…) and joins do what it is mostly used for".into(),
        );
    }
    if counter.total > MAX_RELATIONS {
        return refuse(format!(
            "it reads {} tables, WITH parts counted at every use; at most {MAX_RELATIONS} are taken",
            counter.total
        ));
    }
    if counter.groupings > MAX_GROUPINGS {
        return refuse(format!("its CUBE, ROLLUP and GROUPING SETS make more than {MAX_GROUPINGS} groupings"));
    }
    Ok(())
}

/// Counts tables, a WITH part at every use as many as it holds.
#[derive(Default)]
struct Relations {
    /// WITH parts by address of their query, until they were counted.
    parts: HashMap<*const Query, String>,
    /// What a name costs; the most expensive where it is used twice.
    cost: HashMap<String, u64>,
    /// One running sum for every query around the place where the visitor stands.
    sums: Vec<u64>,
    total: u64,
    /// Combinations that grouping sets make, multiplied over the whole statement.
    groupings: u64,
}

impl Visitor for Relations {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        if let Some(with) = &query.with {
            if with.recursive {
                return ControlFlow::Break(());
            }
            for part in &with.cte_tables {
                let query: *const Query = part.query.as_ref();
                self.parts.insert(query, part.alias.name.value.to_lowercase());
            }
        }
        self.sums.push(0);
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        let sum = self.sums.pop().unwrap_or(0);
        if let Some(name) = self.parts.remove(&std::ptr::from_ref(query)) {
            let cost = self.cost.entry(name).or_default();
            *cost = sum.max(*cost);
        }
        // A part counts where it stands too: it is planned even if nothing uses it.
        self.add(sum);
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &SqlExpr) -> ControlFlow<()> {
        let factor = match expr {
            SqlExpr::Cube(columns) => 1_u64.checked_shl(columns.len() as u32).unwrap_or(u64::MAX),
            SqlExpr::Rollup(columns) => columns.len() as u64 + 1,
            SqlExpr::GroupingSets(sets) => sets.len() as u64,
            _ => 1,
        };
        self.groupings = self.groupings.saturating_mul(factor.max(1));
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<()> {
        let name = relation.0.last().and_then(|part| part.as_ident()).map(|ident| ident.value.to_lowercase());
        let cost = name.and_then(|name| self.cost.get(&name)).copied().unwrap_or(1);
        self.add(cost.max(1));
        ControlFlow::Continue(())
    }
}

impl Relations {
    fn add(&mut self, cost: u64) {
        let sum = self.sums.last_mut().unwrap_or(&mut self.total);
        *sum = sum.saturating_add(cost);
    }
}
