//! Names of people, for those who are not told whose word is whose.
//!
//! In: a session, and who reads it. Out: the same session, in which every name but the reader's own is a pseudonym, always
//! the same one for the same person. It is done where tables are read, below every view and every function, so that no text
//! gets round it; plans, which know tables by their names alone, are the same for all readers.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use arrow::array::{AsArray, StringArray};
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::exec_datafusion_err;
use datafusion::error::Result as EngineResult;
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::prelude::{Expr, SessionContext, ident, lit};
use datafusion::scalar::ScalarValue;

use super::Session;
use super::tables::Tables;
use crate::corpus::Corpus;
use crate::error::{Error, Result};
use crate::guard;
use crate::table::TableId;
use crate::tokens::Role;
use crate::views;

/// Columns that name people.
const NAMES: [(TableId, &str); 4] = [
    (TableId::Labels, "annotator"),
    (TableId::Flags, "annotator"),
    (TableId::SavedQueries, "author"),
    (TableId::AuditLog, "actor"),
];

/// Columns of these tables that names could be found out from: they are told as null. A request's hash is one of its
/// sender's name and of words that can be guessed, and what the audit log is about may be somebody's token.
const CLUES: [(TableId, &str); 2] = [(TableId::Labels, "request_hash"), (TableId::AuditLog, "target")];

/// What the key of pseudonyms is for, so that it is the key of nothing else.
const PURPOSE: &str = "marginalia 2026-11-28 pseudonyms of annotators";

/// Digits of a pseudonym.
const DIGITS: usize = 8;

/// Names as one person is told them.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Pseudonyms {
    key: [u8; 32],
    own: String,
}

impl Pseudonyms {
    /// What stands for this name.
    pub fn of<'a>(&self, name: &'a str) -> Cow<'a, str> {
        if name == self.own {
            return Cow::Borrowed(name);
        }
        let hash = blake3::keyed_hash(&self.key, name.as_bytes()).to_hex();
        Cow::Owned(format!("annotator-{}", &hash[..DIGITS]))
    }
}

impl fmt::Debug for Pseudonyms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pseudonyms").field("own", &self.own).finish_non_exhaustive()
    }
}

impl Corpus {
    /// How the names of others are told to the bearer of a token; none where they are told as they are: to an admin, and
    /// to everybody unless the corpus is blind.
    pub async fn pseudonyms(&self, name: &str, role: Role) -> Result<Option<Pseudonyms>> {
        if !self.options().blind || role == Role::Admin {
            return Ok(None);
        }
        // Whoever had the key could try names. No row of a token ever changes, and nobody is shown the hash in it.
        let grants = self.grants().await?;
        let secret = grants.first().and_then(|grant| grant.hash.as_deref()).unwrap_or_default();
        Ok(Some(Pseudonyms { key: blake3::derive_key(PURPOSE, secret.as_bytes()), own: name.to_owned() }))
    }
}

impl Session {
    /// The same session, told with pseudonyms where there are any.
    pub fn under(self, pseudonyms: Option<Pseudonyms>) -> Result<Self> {
        let Some(pseudonyms) = pseudonyms else { return Ok(self) };
        let mut state = self.context.state();
        let tables = state.config().get_extension::<Tables>();
        let tables = tables.ok_or_else(|| Error::Internal { what: "a session without tables".to_owned() })?;
        let mut tables = Tables::clone(&tables);
        let signature = Signature::any(1, Volatility::Immutable);
        let pseudonym = ScalarUDF::new_from_impl(Pseudonym { pseudonyms, signature });
        for (table, named) in NAMES {
            let Some(known) = tables.get(table.name()).cloned() else { continue };
            let schema = known.schema();
            let told = |column: &str| {
                if column == named {
                    pseudonym.call(vec![ident(column)]).alias(column)
                } else if CLUES.contains(&(table, column)) {
                    lit(ScalarValue::Utf8(None)).alias(column)
                } else {
                    ident(column)
                }
            };
            let columns: Vec<Expr> = schema.fields().iter().map(|field| told(field.name())).collect();
            tables.insert(table.name(), views::view(table.name(), known, columns).map_err(guard::failed)?);
        }
        state.config_mut().set_extension(Arc::new(tables));
        Ok(Self { context: SessionContext::new_with_state(state), ..self })
    }
}

/// The pseudonym of a name, as a function that no text can call.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Pseudonym {
    pseudonyms: Pseudonyms,
    signature: Signature,
}

impl ScalarUDFImpl for Pseudonym {
    fn name(&self) -> &str {
        "pseudonym"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arg_types: &[DataType]) -> EngineResult<DataType> {
        Ok(DataType::Utf8)
    }

    /// As the column that it stands for: plans know that one.
    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> EngineResult<FieldRef> {
        args.arg_fields.first().cloned().ok_or_else(|| exec_datafusion_err!("pseudonym takes one name"))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let names = arrays.first().and_then(|names| names.as_string_opt::<i32>());
        let names = names.ok_or_else(|| exec_datafusion_err!("pseudonym takes one name"))?;
        let told: StringArray = names.iter().map(|name| name.map(|name| self.pseudonyms.of(name))).collect();
        Ok(ColumnarValue::Array(Arc::new(told)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_that_says_who_is_told_with_pseudonyms() {
        for table in TableId::ALL.iter().filter(|table| !table.is_hidden()) {
            for column in table.columns() {
                let is_name = NAMES.contains(&(*table, column.field.name().as_str()));
                assert_eq!(column.doc.starts_with("Who"), is_name, "{table}.{}: {}", column.field.name(), column.doc);
            }
        }
        for (table, clue) in CLUES {
            assert!(NAMES.iter().any(|(named, _)| *named == table), "{table}");
            assert!(table.schema().field_with_name(clue).is_ok_and(|field| field.is_nullable()), "{table}.{clue}");
        }
    }
}
