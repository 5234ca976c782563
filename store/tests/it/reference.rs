//! The reference page, docs/sql.md: made from the sources, so that it cannot say anything else than they do.

use std::fmt::Write;
use std::path::Path;

use arrow::datatypes::DataType;
use marginalia_store::{FUNCTIONS, FunctionKind, Session, SqlLimits, SqlRuntime, TableId, VIEWS};

use crate::slt::new_corpus;

/// Set to write the page instead of comparing it.
const UPDATE: &str = "UPDATE_DOCS";

const INTRODUCTION: &str = "\
# SQL reference

<!-- Made from the sources by the test sql_reference_is_up_to_date; UPDATE_DOCS=1 writes it anew. -->

`marginalia sql` answers a query over one consistent state of the corpus: now, with `--at-round R` as it was when round R ended,
or with `--at TIME` as it was at that time. Without a query it is a prompt; `\\?` there lists its commands. The language is that of Apache DataFusion with its functions (`SHOW FUNCTIONS`), read-only. Names are in lower case,
times are UTC.

A round's rows show once its number stands in `rounds`; *accepted* rounds are those that the gate let through, and the last
accepted one is what views call current.
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sql_reference_is_up_to_date() {
    let folder = tempfile::tempdir().expect("a folder");
    let corpus = new_corpus(&folder.path().join("corpus")).await;
    let runtime = SqlRuntime::new().expect("SQL threads");
    let snapshot = corpus.snapshot().await.expect("a snapshot");
    let session = Session::open(&runtime, snapshot, SqlLimits::default()).await.expect("a session");
    let page = page(&session).await;
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/sql.md");
    if std::env::var_os(UPDATE).is_some() {
        std::fs::write(&path, &page).expect("docs/sql.md");
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    let differing = page.lines().zip(written.lines()).find(|(new, old)| new != old);
    assert!(
        page == written,
        "docs/sql.md says something else than the sources, first here: {differing:?}; write it anew with\n\
         {UPDATE}=1 cargo nextest run --workspace -E 'test(sql_reference_is_up_to_date)'"
    );
}

async fn page(session: &Session) -> String {
    let mut page = INTRODUCTION.to_owned();
    page.push_str(
        "\n## Functions\n\nExamples are run by a test; those that read tables answer for its small corpus.\n",
    );
    for function in FUNCTIONS {
        let kind = match function.kind() {
            FunctionKind::Scalar => "",
            FunctionKind::Aggregate => "An aggregate. ",
            FunctionKind::Table => "A table function; its arguments are written out. ",
        };
        let answer = function.answer.lines().map(|line| format!("-- {line}\n")).collect::<String>();
        write!(
            page,
            "\n### `{}`\n\n{kind}{}\n\n```sql\n{}\n{answer}```\n",
            function.call, function.doc, function.example
        )
        .expect("a text");
    }
    page.push_str("\n## Views\n");
    for view in VIEWS {
        let schema = session.schema_of(&format!("select * from {}", view.name)).await.expect(view.name);
        let types = schema.fields().iter().map(|field| kind_of(field.data_type()));
        let rows =
            view.columns().into_iter().zip(types).map(|((name, doc), kind)| (name.to_owned(), kind, doc)).collect();
        section(&mut page, view.name, &view.doc(), rows);
    }
    page.push_str("\n## Tables\n");
    let of_rounds =
        "Predictions, queue entries, features, margins and epochs are read through the views of their names.";
    write!(page, "\nWhat all of that is made from. {of_rounds}\n").expect("a text");
    let classes = vec![
        ("position".to_owned(), "integer".to_owned(), "Place in lists of probabilities, from 0."),
        ("expression".to_owned(), "text".to_owned(), "Name."),
    ];
    section(&mut page, "classes", "One class of the corpus.", classes);
    for table in TableId::ALL.iter().filter(|table| !table.is_hidden() && !table.is_round_scoped()) {
        let columns = table.columns().into_iter();
        let rows = columns.map(|one| (one.field.name().clone(), kind_of(one.field.data_type()), one.doc)).collect();
        section(&mut page, table.name(), table.doc(), rows);
    }
    page
}

fn section(page: &mut String, name: &str, doc: &str, rows: Vec<(String, String, &str)>) {
    write!(page, "\n### `{name}`\n\n{doc}\n\n| column | type | what it says |\n| --- | --- | --- |\n").expect("a text");
    for (name, kind, doc) in rows {
        writeln!(page, "| `{name}` | {kind} | {} |", doc.replace('|', "\\|")).expect("a text");
    }
}

/// A type in a user's words.
fn kind_of(data_type: &DataType) -> String {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "text".to_owned(),
        DataType::Boolean => "boolean".to_owned(),
        DataType::Timestamp(..) => "time".to_owned(),
        DataType::Binary | DataType::LargeBinary => "bytes".to_owned(),
        DataType::List(item) => format!("list of {}", kind_of(item.data_type())),
        DataType::FixedSizeList(item, length) => format!("{length} × {}", kind_of(item.data_type())),
        whole if whole.is_integer() => "integer".to_owned(),
        number if number.is_numeric() => "number".to_owned(),
        other => other.to_string(),
    }
}
