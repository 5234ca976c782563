//! What there is to ask: tables, views and functions with what they say, from the same texts as the reference page.

use marginalia_store::{FUNCTIONS, Session, TableId, VIEWS};

use crate::error::{Error, Result};
use crate::tables::table;

/// A table or view.
struct Entry {
    name: &'static str,
    doc: String,
    /// Name, type and text of each.
    columns: Vec<[String; 3]>,
}

/// Everything that can be queried.
pub struct Catalogue {
    entries: Vec<Entry>,
}

impl Catalogue {
    /// What a session has.
    pub async fn of(session: &Session) -> Result<Self> {
        let mut entries = Vec::new();
        for view in VIEWS {
            let schema = session.schema_of(&format!("select * from {}", view.name)).await?;
            let columns = view.columns().into_iter().zip(schema.fields());
            let columns = columns.map(|((name, doc), field)| row(name, field.data_type(), doc)).collect();
            entries.push(Entry { name: view.name, doc: view.doc(), columns });
        }
        for id in TableId::ALL.iter().filter(|id| !id.is_hidden() && !id.is_round_scoped()) {
            let columns = id.columns().into_iter();
            let columns = columns.map(|one| row(one.field.name(), one.field.data_type(), one.doc)).collect();
            entries.push(Entry { name: id.name(), doc: id.doc().to_owned(), columns });
        }
        Ok(Self { entries })
    }

    /// All names, for completion.
    pub fn names(&self) -> Vec<String> {
        let columns = self.entries.iter().flat_map(|entry| entry.columns.iter().map(|[name, ..]| name.clone()));
        let functions = FUNCTIONS.iter().map(|function| function.name.to_owned());
        self.entries.iter().map(|entry| entry.name.to_owned()).chain(columns).chain(functions).collect()
    }

    /// Every table and view with its first sentence.
    pub fn list(&self) -> String {
        let rows = self.entries.iter().map(|entry| vec![entry.name.to_owned(), first_sentence(&entry.doc)]);
        table(&["name", "one row is"], &[], rows).to_string()
    }

    /// Every function of our own.
    pub fn functions(&self) -> String {
        let rows = FUNCTIONS.iter().map(|function| vec![function.call.to_owned(), first_sentence(function.doc)]);
        table(&["function", "what it says"], &[], rows).to_string()
    }

    /// One table or view.
    ///
    /// # Errors
    /// [`Error::NoSuchTable`].
    pub fn describe(&self, name: &str) -> Result<String> {
        let found = self.entries.iter().find(|entry| entry.name == name);
        let entry = found.ok_or_else(|| Error::NoSuchTable { name: name.to_owned() })?;
        let columns = table(&["column", "type", "what it says"], &[], entry.columns.iter().map(|row| row.to_vec()));
        Ok(format!("{}\n{columns}", entry.doc))
    }
}

fn row(name: &str, kind: &datafusion::arrow::datatypes::DataType, doc: &str) -> [String; 3] {
    [name.to_owned(), kind.to_string(), doc.to_owned()]
}

fn first_sentence(text: &str) -> String {
    text.find(['.', ':', ';']).map_or(text, |end| &text[..end]).to_owned()
}
