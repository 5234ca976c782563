//! The memory that queries have together: enough for a plan of many operators, and for a small query beside a large one.

use std::sync::Arc;
use std::time::Duration;

use futures::future::try_join_all;
use marginalia_store::{Error, Session, SqlLimits, SqlRuntime};

use crate::slt::new_corpus;

async fn session(folder: &tempfile::TempDir, megabytes: usize) -> Session {
    let corpus = new_corpus(&folder.path().join("corpus")).await;
    let limits = SqlLimits { memory_bytes: megabytes << 20, timeout: Duration::from_secs(600), ..SqlLimits::default() };
    Session::open(&SqlRuntime::new().unwrap(), corpus.snapshot().await.unwrap(), limits).await.unwrap()
}

async fn rows(session: &Session, sql: &str) -> Result<usize, Error> {
    Ok(session.query(sql).await?.collect().await?.iter().map(|batch| batch.num_rows()).sum())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operators_that_hold_nothing_take_nothing_from_others() {
    let folder = tempfile::tempdir().unwrap();
    let session = session(&folder, 64).await;
    // One keeps some megabytes of numbers, which no hundredth of the memory would hold, the others next to nothing.
    let median = "select value % 10 as k, percentile_cont(0.5) within group (order by value) as m \
                  from generate_series(1, 300000) group by 1";
    let few = "select value % 3 as k, cast(max(value) as double) as m from generate_series(1, 10) group by 1";
    let sql = [vec![median], vec![few; 40]].concat().join(" union all ");
    let one = async || rows(&session, &sql).await;
    assert_eq!(try_join_all([one(), one()]).await.unwrap(), [130; 2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_small_query_has_its_share_beside_a_large_one() {
    let folder = tempfile::tempdir().unwrap();
    let session = Arc::new(session(&folder, 64).await);
    let large = "select value, repeat('x', 200) as x from generate_series(1, 500000) order by value % 1000, value";
    let sorting = tokio::spawn({
        let session = session.clone();
        async move { rows(&session, large).await }
    });
    let mut small = 0;
    while !sorting.is_finished() {
        let sql = "select value % 100 as k, count(*) as n from generate_series(1, 1000) group by 1 order by 1";
        assert_eq!(rows(&session, sql).await.unwrap(), 100);
        small += 1;
    }
    assert_eq!(sorting.await.unwrap().unwrap(), 500_000);
    assert!(small > 0);
}

/// Each of the two would take all there is: what they cannot have they sort on the disk, and what comes after them runs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_first_rows_leave_room_for_the_rest_of_their_query() {
    let folder = tempfile::tempdir().unwrap();
    let session = session(&folder, 64).await;
    let first = |order: &str| {
        format!(
            "select id, x from (select value % 300000 as id, repeat('x', 40) || cast(value as varchar) as x, \
             row_number() over (partition by value % 300000 order by value {order}) as place \
             from generate_series(1, 600000)) where place = 1"
        )
    };
    let sql = format!("select id from (({}) union all ({})) order by random()", first("asc"), first("desc"));
    assert_eq!(rows(&session, &sql).await.unwrap(), 600_000);
}
