//! However tables are read, for plans of this process or of other machines, a question has the same rows.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::Result;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::{ExecutionPlan, SendableRecordBatchStream, execute_stream};
use datafusion::prelude::SessionConfig;
use marginalia_store::{Care, Cluster, Corpus, Extras, LanceScan, Scan, Session, SqlLimits, SqlRuntime, VIEWS};
use serde_json::json;

use crate::slt::{cells, insert, new_corpus};

/// Other machines, in this process: they get a plan's reads as plain data and open the tables themselves.
#[derive(Debug, Default)]
struct Elsewhere {
    taken: AtomicUsize,
}

#[async_trait]
impl Cluster for Elsewhere {
    fn settings(&self) -> SessionConfig {
        let mut config = SessionConfig::new().with_round_robin_repartition(false);
        config.options_mut().optimizer.prefer_hash_join = false;
        config.options_mut().optimizer.enable_dynamic_filter_pushdown = false;
        config.options_mut().optimizer.enable_physical_uncorrelated_scalar_subquery = false;
        config
    }

    fn least_rows(&self) -> u64 {
        1
    }

    async fn slots(&self) -> Result<usize> {
        Ok(2)
    }

    async fn run(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        config: &SessionConfig,
    ) -> Result<Option<SendableRecordBatchStream>> {
        if plan.exists(|node| Ok(["StreamingTableExec", "ScanExec"].contains(&node.name())))? {
            return Ok(None);
        }
        let plan = plan.transform_up(|node| match node.downcast_ref::<LanceScan>() {
            Some(scan) => {
                let scan: Arc<dyn ExecutionPlan> = Arc::new(LanceScan::new(scan.read().clone()));
                Ok(Transformed::yes(scan))
            }
            None => Ok(Transformed::no(node)),
        })?;
        self.taken.fetch_add(1, Ordering::Relaxed);
        let context = TaskContext::default().with_session_config(config.clone());
        Ok(Some(execute_stream(plan.data, Arc::new(context))?))
    }
}

struct Both {
    here: Session,
    there: Session,
    elsewhere: Arc<Elsewhere>,
}

impl Both {
    async fn over(corpus: &Corpus) -> Self {
        let elsewhere = Arc::new(Elsewhere::default());
        let extras = Extras { cluster: Some(elsewhere.clone()), ..Extras::default() };
        let runtimes = [SqlRuntime::new(), SqlRuntime::with(|| Box::new(()), extras)];
        let mut sessions = Vec::new();
        for runtime in runtimes {
            let snapshot = corpus.snapshot().await.expect("a snapshot");
            let runtime = runtime.expect("SQL threads");
            sessions.push(Session::open(&runtime, snapshot, SqlLimits::default()).await.expect("a session"));
        }
        let (there, here) = (sessions.pop().expect("two"), sessions.pop().expect("two"));
        Self { here, there, elsewhere }
    }

    /// How many plans went elsewhere for a text, whose rows are the same.
    async fn compared(&self, sql: &str) -> usize {
        let before = self.elsewhere.taken.load(Ordering::Relaxed);
        let [here, there] = [rows(&self.here, sql).await, rows(&self.there, sql).await];
        assert_eq!(here, there, "{sql}");
        self.elsewhere.taken.load(Ordering::Relaxed) - before
    }
}

/// A line per row, sorted.
async fn rows(session: &Session, sql: &str) -> Vec<String> {
    let batches = session.query(sql).await.expect(sql).collect().await.expect(sql);
    let mut rows: Vec<String> = batches.iter().flat_map(cells).map(|row| row.join(" ")).collect();
    rows.sort_unstable();
    rows
}

/// Faces, predictions and labels in several commits, so that the tables have several fragments.
async fn in_fragments(corpus: &Corpus) {
    for part in 0..5 {
        let ids: Vec<String> = (0..4).map(|i| format!("{part}{i}")).collect();
        let faces = ids.iter().map(|id| json!({"face_id": id, "perceptual_hash": 7}));
        insert(corpus, "faces", faces.collect()).await;
        let sightings = ids.iter().map(|id| json!({"face_id": id, "source": format!("{id}.png")}));
        insert(corpus, "sightings", sightings.collect()).await;
        let predictions = ids.iter().enumerate().map(|(i, id)| {
            // Numbers whose sums are the same in any order.
            let (confidence, subset) = if i % 2 == 0 { (0.875, "I") } else { (0.5, "II") };
            json!({"round": 1, "face_id": id, "expression": "neutral", "confidence": confidence, "margin": 0.75,
                   "subset": subset, "probabilities": [confidence, 0.25, 0.25]})
        });
        insert(corpus, "predictions", predictions.collect()).await;
        let label = json!({"label_id": ids[0], "face_id": ids[0], "expression": "sadness", "annotator": "ann",
                           "origin": "human"});
        insert(corpus, "labels", vec![label]).await;
    }
    insert(corpus, "queue_entries", vec![json!({"round": 1, "face_id": "01", "rank": 1, "lane": "queue"})]).await;
    insert(corpus, "rounds", vec![json!({"round": 1, "accepted": true})]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_view_has_the_same_rows_elsewhere() {
    let folder = tempfile::tempdir().expect("a folder");
    let corpus = new_corpus(&folder.path().join("corpus")).await;
    in_fragments(&corpus).await;
    let both = Both::over(&corpus).await;
    let mut taken = 0;
    for view in VIEWS {
        taken += both.compared(&format!("select * from {}", view.name)).await;
    }
    assert!(taken > VIEWS.len() / 2, "{taken} of {} views went elsewhere", VIEWS.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn filters_limits_and_joins_travel() {
    let folder = tempfile::tempdir().expect("a folder");
    let corpus = new_corpus(&folder.path().join("corpus")).await;
    in_fragments(&corpus).await;
    let both = Both::over(&corpus).await;
    for sql in [
        "select face_id from predictions where confidence > 0.6 and subset = 'I'",
        "select count(*) from (select face_id from faces where face_id > '1' limit 7)",
        "select count(*) from faces a cross join predictions b where a.face_id < b.face_id",
        "select a.face_id, b.label_id from faces a left join labels b on a.face_id > b.face_id and a.face_id < '2'",
        "select face_id from faces where face_id not in (select face_id from labels)",
        "select concat(face_id, expression) || subset, [confidence] from predictions",
        "select expression, subset, count(*), avg(confidence) from predictions group by cube(expression, subset)",
        "select face_id, row_number() over (partition by subset order by face_id) from predictions",
        "select c.position, count(l.label_id) from classes c left join labels l on c.expression = l.expression group by 1",
    ] {
        assert_eq!(both.compared(sql).await, 1, "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_index_or_the_manifest_answers_or_must_mind_nulls_stays_here() {
    let folder = tempfile::tempdir().expect("a folder");
    let corpus = new_corpus(&folder.path().join("corpus")).await;
    in_fragments(&corpus).await;
    let both = Both::over(&corpus).await;
    for sql in [
        "select perceptual_hash from faces where face_id = '12'",
        "select perceptual_hash from faces where face_id in ('12', '30')",
        "select count(*) from faces",
        "select face_id from queue order by rank limit 2",
        "select face_id from faces where face_id not in (select retracts from labels)",
        "select 1",
    ] {
        assert_eq!(both.compared(sql).await, 0, "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_way_to_read_gives_the_same_rows() {
    let folder = tempfile::tempdir().expect("a folder");
    let corpus = new_corpus(&folder.path().join("corpus")).await;
    in_fragments(&corpus).await;
    // So many that several threads read them.
    for part in ["x", "y"] {
        let many = (0..40_000).map(|n| json!({"face_id": format!("{part}{n}"), "source": format!("{part}/{n}.png")}));
        insert(&corpus, "sightings", many.collect()).await;
    }
    assert_eq!(corpus.care(Care::default()).await.expect("a pass").indexed.len(), 2, "source and face_id");
    let snapshot = corpus.snapshot().await.expect("a snapshot");
    let runtime = SqlRuntime::new().expect("SQL threads");
    let session = Session::open(&runtime, snapshot, SqlLimits::default()).await.expect("a session");
    let of_view = VIEWS.iter().map(|view| format!("select * from {}", view.name));
    let others = [
        "select count(*), count(distinct face_id), min(source) from sightings",
        "select source from sightings where face_id = 'x31999'",
        "select face_id from sightings where face_id in ('y7', 'x8', '41') and source > 'x'",
        "select count(*) from (select source from sightings limit 70000)",
    ];
    for sql in of_view.chain(others.map(str::to_owned)) {
        let expected = rows(&session.reading(Scan::Provider), &sql).await;
        for scan in [Scan::Shared, Scan::Groups(1), Scan::Groups(3)] {
            assert_eq!(rows(&session.reading(scan), &sql).await, expected, "{scan:?}: {sql}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_tables_are_read_by_several_threads_and_look_ups_by_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let corpus = new_corpus(&folder.path().join("corpus")).await;
    for part in 0..2 {
        let many = (0..40_000).map(|n| json!({"face_id": format!("{part} {n}"), "source": "x"}));
        insert(&corpus, "sightings", many.collect()).await;
    }
    let snapshot = corpus.snapshot().await.expect("a snapshot");
    let runtime = SqlRuntime::new().expect("SQL threads");
    let session = Session::open(&runtime, snapshot, SqlLimits::default()).await.expect("a session");
    let plan = async |scan: Scan, sql: &str| rows(&session.reading(scan), &format!("explain {sql}")).await.concat();
    let grouped = "select source, count(face_id) from sightings group by source";
    // What comes in one stream is dealt out behind the read.
    for (scan, leaf, is_dealt_out) in
        [(Scan::Provider, "LanceRead", true), (Scan::Shared, "LanceRead", false), (Scan::Groups(1), "groups=2", false)]
    {
        let plan = plan(scan, grouped).await;
        assert!(plan.contains(leaf), "{scan:?}: {plan}");
        assert_eq!(plan.contains("RoundRobinBatch"), is_dealt_out, "{scan:?}: {plan}");
    }
    let looked_up = plan(Scan::Groups(1), "select source from sightings where face_id = '1 7'").await;
    assert!(looked_up.contains("groups=1"), "{looked_up}");
}
