//! The first row of each group: the same rows as by sorting, in memory and beyond it.

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use arrow::util::pretty::pretty_format_batches;
use marginalia_store::{Session, SqlLimits, SqlRuntime};

use crate::slt::new_corpus;

async fn session(memory_bytes: usize) -> (tempfile::TempDir, Session) {
    let folder = tempfile::tempdir().unwrap();
    let corpus = new_corpus(&folder.path().join("corpus")).await;
    let limits = SqlLimits { memory_bytes, ..SqlLimits::default() };
    let snapshot = corpus.snapshot().await.unwrap();
    let session = Session::open(&SqlRuntime::new().unwrap(), snapshot, limits).await.unwrap();
    (folder, session)
}

async fn number(session: &Session, sql: &str) -> i64 {
    let batches = session.query(sql).await.expect(sql).collect().await.expect(sql);
    batches[0].column(0).as_primitive::<Int64Type>().value(0)
}

async fn plan(session: &Session, sql: &str) -> String {
    let batches = session.query(&format!("explain {sql}")).await.expect(sql).collect().await.expect(sql);
    pretty_format_batches(&batches).unwrap().to_string()
}

/// Rows with keys of several types, some null, some shared by many rows, and values to order by that repeat.
fn rows(count: u64) -> String {
    format!(
        "select value as id, value % 7 as few, nullif(value % 5, 0) as some, md5(cast(value % {half} as varchar)) as name,
                cast(value % 11 as double) as size, case when value % 3 = 0 then null else cast(value % 4 as varchar) end as word
         from generate_series(1, {count})",
        half = (count / 2).max(1),
    )
}

const ORDERS: [(&str, &str); 5] = [
    ("name", "size desc, id"),
    ("few", "word nulls first, id desc"),
    ("some", "word desc nulls last, size, id"),
    ("some, name", "id"),
    ("few, some, word", "size, name desc, id"),
];

async fn agree(session: &Session, count: u64) {
    let rows = rows(count);
    for (keys, order) in ORDERS {
        let placed = |of: &str| {
            format!(
                "select id, size, word from (select *, row_number() over (partition by {keys} order by {order}) as place
                 from ({rows})) where {of}"
            )
        };
        // The engine's own way: the rule knows no such condition.
        let (ours, theirs) = (placed("place = 1"), placed("place < 2"));
        assert!(plan(session, &ours).await.contains("FirstRowsExec"), "{keys}");
        assert!(!plan(session, &theirs).await.contains("FirstRowsExec"), "{keys}");
        let differ =
            format!("select count(*) from ((({ours}) except ({theirs})) union all (({theirs}) except ({ours})))");
        assert_eq!(number(session, &differ).await, 0, "{keys} by {order}");
        let counted = |sql: &str| format!("select count(*) from ({sql})");
        assert_eq!(
            number(session, &counted(&ours)).await,
            number(session, &counted(&theirs)).await,
            "{keys} by {order}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn they_are_those_that_sorting_finds() {
    let (_folder, session) = session(512 << 20).await;
    for count in [0, 1, 2, 100, 20_000] {
        agree(&session, count).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_fit_is_sorted_on_the_disk() {
    let (_folder, small) = session(96 << 20).await;
    let sql = format!(
        "select count(*), min(place), sum(id) from (select id, row_number() over (partition by name order by id) as place
         from ({})) where place = 1",
        rows(1_200_000)
    );
    let (_folder, large) = session(512 << 20).await;
    let answer = |session: Session, sql: String| async move {
        pretty_format_batches(&session.query(&sql).await.unwrap().collect().await.unwrap()).unwrap().to_string()
    };
    let expected = answer(large, sql.clone()).await;
    assert!(expected.replace(' ', "").contains("|600000|1|180000300000|"), "{expected}");
    assert_eq!(answer(small, sql).await.replace(' ', ""), expected.replace(' ', ""));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_conditions_stay() {
    let (_folder, session) = session(512 << 20).await;
    let rows = rows(1000);
    let sql = format!(
        "select count(*) from (select *, row_number() over (partition by few order by id desc) as place from ({rows}))
         where place = 1 and size > 3"
    );
    assert!(plan(&session, &sql).await.contains("FirstRowsExec"));
    let expected = format!(
        "select count(*) from (select few, max(id) as id from ({rows}) group by few) l join ({rows}) r on l.id = r.id
         where r.size > 3"
    );
    assert_eq!(number(&session, &sql).await, number(&session, &expected).await);
    for view in ["first_predictions", "current_labels", "out_of_sample_predictions"] {
        assert!(plan(&session, &format!("select * from {view}")).await.contains("FirstRowsExec"), "{view}");
    }
}
