//! What drivers ask the catalog for and the engine cannot plan, put so that it can, with the same answer.
//!
//! In: a statement as PostgreSQL's grammar has it. Out: the same where it is a question of a person. Drivers ask for
//! constraints, indices, sequences and collations, which a corpus does not have, in ways that the engine cannot plan: those
//! questions become ones without rows. `LIKE … ESCAPE` becomes a `LIKE` with the one escape sign that the engine knows.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, Ident, Join, JoinOperator, Query, Select, SelectItem, SetExpr, Statement, TableFactor, Value, VisitMut,
    VisitorMut, visit_expressions,
};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;

/// Tables of the catalog that have no rows, or none that a column of a corpus refers to.
const EMPTY: &[&str] = &["pg_attrdef", "pg_collation", "pg_constraint", "pg_index", "pg_sequence"];

/// What the engine cannot plan, by the words that give it away.
const UNPLANNABLE: &[&str] =
    &["unnest(", "generate_subscripts(", "json_build_object(", "pg_get_indexdef(", "pg_get_serial_sequence("];

/// How a table is stored, which drivers ask in a question of its own; the tables of a corpus have nothing to say to it.
const STORAGE: &str = "pg_class.reloptions";

/// Puts a statement so that it can be planned.
pub fn simplify(statement: &mut Statement) {
    let _ = statement.visit(&mut Simplify);
}

struct Simplify;

impl VisitorMut for Simplify {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        if let SetExpr::Select(select) = query.body.as_ref()
            && let text = select.to_string()
            && (text.contains(STORAGE) || (has_no_rows(select) && UNPLANNABLE.iter().any(|word| text.contains(word))))
            && let Some(without_rows) = without_rows(select)
        {
            *query = without_rows;
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let replaced = match expr {
            Expr::Subquery(query) => scalar(query),
            Expr::Like { pattern, escape_char, .. } | Expr::ILike { pattern, escape_char, .. } => {
                if let Some(Value::SingleQuotedString(sign)) = escape_char.as_ref().map(|sign| &sign.value)
                    && let Some(escaped) = escaped(pattern, sign)
                {
                    **pattern = escaped;
                    *escape_char = None;
                }
                None
            }
            _ => None,
        };
        if let Some(replaced) = replaced {
            *expr = replaced;
        }
        ControlFlow::Continue(())
    }
}

/// A question for one value: of a table without rows it is null; of a type, which is found by its key, the engine wants
/// to be told that there is one at most.
fn scalar(query: &mut Query) -> Option<Expr> {
    let SetExpr::Select(select) = query.body.as_mut() else { return None };
    if has_no_rows(select) {
        return expression("NULL");
    }
    let of_type = tables(select).eq(["pg_type"]);
    if let [SelectItem::UnnamedExpr(column @ Expr::CompoundIdentifier(_))] = select.projection.as_mut_slice()
        && of_type
        && let Some(one) = expression(&format!("max({column})"))
    {
        *column = one;
        query.limit_clause = None;
    }
    None
}

/// Whether a SELECT reads or joins a table of the catalog that has no rows, itself or in a query that it reads from.
fn has_no_rows(select: &Select) -> bool {
    relations(select).any(|relation| match relation {
        TableFactor::Derived { subquery, .. } => match subquery.body.as_ref() {
            SetExpr::Select(select) => has_no_rows(select),
            _ => false,
        },
        other => of_catalog(other).is_some_and(|table| EMPTY.contains(&table)),
    })
}

/// Names of the catalog's tables that a SELECT reads first or joins.
fn tables(select: &Select) -> impl Iterator<Item = &str> {
    relations(select).filter_map(of_catalog)
}

/// What a SELECT reads first or joins, so that without rows in it there are none at all.
fn relations(select: &Select) -> impl Iterator<Item = &TableFactor> {
    select.from.iter().flat_map(|from| {
        [&from.relation].into_iter().chain(from.joins.iter().filter(|join| !is_outer(join)).map(|join| &join.relation))
    })
}

fn is_outer(join: &Join) -> bool {
    !matches!(join.join_operator, JoinOperator::Join(_) | JoinOperator::Inner(_) | JoinOperator::CrossJoin(_))
}

fn of_catalog(table: &TableFactor) -> Option<&str> {
    let TableFactor::Table { name, .. } = table else { return None };
    let parts: Vec<&Ident> = name.0.iter().filter_map(|part| part.as_ident()).collect();
    match parts.as_slice() {
        [schema, table] if schema.value == "pg_catalog" => Some(table.value.as_str()),
        _ => None,
    }
}

/// A question with the same columns and parameters, and no rows.
fn without_rows(select: &Select) -> Option<Query> {
    let columns: Option<Vec<String>> = select
        .projection
        .iter()
        .enumerate()
        .map(|(i, item)| match item {
            SelectItem::ExprWithAlias { alias, .. } => Some(format!("NULL AS {alias}")),
            SelectItem::UnnamedExpr(Expr::CompoundIdentifier(parts)) => Some(format!("NULL AS {}", parts.last()?)),
            SelectItem::UnnamedExpr(Expr::Identifier(name)) => Some(format!("NULL AS {name}")),
            SelectItem::UnnamedExpr(_) => Some(format!("NULL AS column_{i}")),
            _ => None,
        })
        .collect();
    let given: String = parameters(select).iter().map(|parameter| format!(" AND {parameter} IS NULL")).collect();
    let text = format!("SELECT {} WHERE false{given}", columns?.join(", "));
    Parser::new(&PostgreSqlDialect {}).try_with_sql(&text).ok()?.parse_query().ok().map(|query| *query)
}

/// The parameters in a SELECT: the client gives each a value, whether anything asks for it or not.
fn parameters(select: &Select) -> BTreeSet<String> {
    let mut parameters = BTreeSet::new();
    let _ = visit_expressions(select, |expr| {
        if let Expr::Value(value) = expr
            && let Value::Placeholder(name) = &value.value
        {
            parameters.insert(name.clone());
        }
        ControlFlow::<()>::Continue(())
    });
    parameters
}

/// A pattern with the engine's escape sign for another. A doubled sign stands for itself.
fn escaped(pattern: &Expr, sign: &str) -> Option<Expr> {
    if sign.chars().count() != 1 || sign == "\\" {
        return None;
    }
    let quoted = sign.replace('\'', "''");
    expression(&format!(
        "replace(replace(replace(replace({pattern}, '\\', '\\\\'), '{quoted}{quoted}', chr(1)), '{quoted}', '\\'), chr(1), \
         '{quoted}')"
    ))
}

fn expression(text: &str) -> Option<Expr> {
    Parser::new(&PostgreSqlDialect {}).try_with_sql(text).ok()?.parse_expr().ok()
}
