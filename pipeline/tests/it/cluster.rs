//! A scheduler and an executor on loopback, and what comes over the wire that must not. `tests/cluster/run.py` has the
//! rest, on machines of their own.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ballista_core::execution_plans::{ShuffleReaderExec, ShuffleWriterExec};
use ballista_core::serde::BallistaPhysicalExtensionCodec;
use ballista_core::serde::protobuf::execute_query_params::Query;
use ballista_core::serde::protobuf::execute_query_result::Result as Submitted;
use ballista_core::serde::protobuf::executor_grpc_client::ExecutorGrpcClient;
use ballista_core::serde::protobuf::scheduler_grpc_client::SchedulerGrpcClient;
use ballista_core::serde::protobuf::{ExecuteQueryParams, LaunchMultiTaskParams, MultiTaskDefinition, TaskId};
use datafusion::arrow::datatypes::Schema;
use datafusion::physical_plan::{ExecutionPlan, Partitioning};
use datafusion::prelude::{CsvReadOptions, SessionContext};
use datafusion_proto::bytes::physical_plan_to_bytes_with_extension_codec;
use datafusion_proto::protobuf::physical_plan_node::PhysicalPlanType;
use datafusion_proto::protobuf::{PhysicalExtensionNode, PhysicalPlanNode};
use prost::Message;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::binary::{Bench, write_faces, write_labelled};

struct Cluster {
    bench: Bench,
    roles: Vec<Child>,
    scheduler: String,
    /// Where the executor takes tasks.
    tasks: String,
}

impl Cluster {
    /// Over a corpus of 30 faces, whose every query is for it.
    fn start() -> Self {
        let bench = Bench::new();
        change(&bench, "from_rows = 10000000", "from_rows = 0");
        let inbox = bench.path("inbox");
        write_faces(&inbox, 3, 0..30);
        bench.ok(&["ingest", inbox.to_str().expect("UTF-8")]);
        let (scheduler, executor) = (free_ports(1), free_ports(2));
        let listen = |port: u16| format!("127.0.0.1:{port}");
        let address = format!("df://{}", listen(scheduler));
        let work = bench.path("work");
        let roles = vec![
            bench.start(&["cluster", "scheduler", "--listen", &listen(scheduler)]),
            bench.start(&[
                "cluster",
                "executor",
                "--cluster",
                &address,
                "--listen",
                &listen(executor),
                "--cores",
                "2",
                "--work-dir",
                work.to_str().expect("UTF-8"),
            ]),
        ];
        let cluster = Self { bench, roles, scheduler: address, tasks: listen(executor + 1) };
        let until = Instant::now() + Duration::from_secs(60);
        while !cluster.is_up() {
            assert!(Instant::now() < until, "the executor never came");
            std::thread::sleep(Duration::from_millis(200));
        }
        cluster
    }

    fn is_up(&self) -> bool {
        let output = self.bench.run(&["cluster", "status", "--cluster", &self.scheduler, "--json"]);
        String::from_utf8_lossy(&output.stdout).contains("\"slots\":2")
    }

    /// How many jobs of its are in this state.
    fn jobs(&self, state: &str) -> usize {
        let status = self.bench.json(&["cluster", "status", "--cluster", &self.scheduler]);
        status["jobs"].as_array().expect("jobs").iter().filter(|job| job["status"] == state).count()
    }

    fn waits_for(&self, state: &str, jobs: usize) {
        let until = Instant::now() + Duration::from_secs(60);
        while self.jobs(state) != jobs {
            assert!(Instant::now() < until, "{} jobs are {state}, not {jobs}", self.jobs(state));
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    fn answers(&self) {
        assert!(self.is_up(), "the executor is gone");
        let rows =
            self.bench.json(&["sql", "select count(distinct face_id) as n from faces", "--cluster", &self.scheduler]);
        assert_eq!(rows, json!([{ "n": 30 }]));
    }

    /// What is said to whoever submits this.
    async fn refused(&self, query: Query) -> String {
        let url = self.scheduler.replace("df://", "http://");
        let client = SchedulerGrpcClient::connect(url).await.expect("the scheduler");
        let mut client = client.max_encoding_message_size(64 << 20);
        let session_id = "a stranger".to_owned();
        let query = Some(query);
        let params = ExecuteQueryParams {
            session_id: session_id.clone(),
            settings: Vec::new(),
            operation_id: session_id,
            query,
        };
        match client.execute_query(params).await {
            Err(status) => status.to_string(),
            Ok(answer) => match answer.into_inner().result {
                Some(Submitted::Failure(failure)) => format!("{failure:?}"),
                other => panic!("not refused: {other:?}"),
            },
        }
    }

    async fn refused_plan(&self, plan: Arc<dyn ExecutionPlan>) -> String {
        self.refused(Query::PhysicalPlan(encoded(plan))).await
    }

    /// Sends the executor a task of a job of this name, past the scheduler; whether it took it.
    async fn launch(&self, job_id: &str, plan: Arc<dyn ExecutionPlan>) -> bool {
        let stage = ShuffleWriterExec::try_new(job_id.into(), 1, plan, String::new(), None).expect("a stage");
        let task = MultiTaskDefinition {
            task_ids: vec![TaskId { task_id: 1, task_attempt_num: 0, partition_id: 0 }],
            job_id: job_id.to_owned(),
            stage_id: 1,
            plan: encoded(Arc::new(stage)),
            session_id: "a stranger".to_owned(),
            ..MultiTaskDefinition::default()
        };
        let scheduler_id = self.scheduler.trim_start_matches("df://").to_owned();
        let params = LaunchMultiTaskParams { multi_tasks: vec![task], scheduler_id };
        let mut client = ExecutorGrpcClient::connect(format!("http://{}", self.tasks)).await.expect("the executor");
        client.launch_multi_task(params).await.is_ok()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for role in &mut self.roles {
            let _ = role.kill();
            let _ = role.wait();
        }
    }
}

/// Changes a setting.
fn change(bench: &Bench, from: &str, to: &str) {
    let path = bench.corpus().join("marginalia.toml");
    let text = std::fs::read_to_string(&path).expect("the config");
    assert!(text.contains(from), "{from}");
    std::fs::write(&path, text.replace(from, to)).expect("the config");
}

/// The first of so many ports in a row that nobody has.
fn free_ports(count: u16) -> u16 {
    let bind = |port: u16| TcpListener::bind(("127.0.0.1", port));
    loop {
        let first = bind(0).and_then(|listener| listener.local_addr()).expect("a port").port();
        if (1..count).all(|more| first.checked_add(more).is_some_and(|port| bind(port).is_ok())) {
            return first;
        }
    }
}

fn encoded(plan: Arc<dyn ExecutionPlan>) -> Vec<u8> {
    let codec = BallistaPhysicalExtensionCodec::default();
    physical_plan_to_bytes_with_extension_codec(plan, &codec).expect("bytes").to_vec()
}

/// A plan that reads a file of the executor's machine.
async fn file_read(bench: &Bench) -> Arc<dyn ExecutionPlan> {
    let file = bench.path("secrets.csv");
    std::fs::write(&file, "a\n1\n").expect("a file");
    let frame = SessionContext::new().read_csv(file.to_str().expect("UTF-8"), CsvReadOptions::new()).await;
    frame.expect("a file").create_physical_plan().await.expect("a plan")
}

/// The beginning of a scan of a corpus's table, as the program writes it.
#[derive(Clone, PartialEq, prost::Message)]
struct Scan {
    #[prost(string, tag = "1")]
    uri: String,
    #[prost(uint64, tag = "2")]
    version: u64,
}

fn scan(uri: String) -> Query {
    let node = [b"marginalia/scan/1:".to_vec(), Scan { uri, version: 1 }.encode_to_vec()].concat();
    Query::PhysicalPlan(extension(node, Vec::new()).encode_to_vec())
}

fn extension(node: Vec<u8>, inputs: Vec<PhysicalPlanNode>) -> PhysicalPlanNode {
    let node = PhysicalPlanType::Extension(PhysicalExtensionNode { node, inputs });
    PhysicalPlanNode { physical_plan_type: Some(node) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_stranger_submits_is_refused_and_the_cluster_answers_on() {
    let cluster = Cluster::start();
    cluster.answers();
    let said = cluster.refused_plan(file_read(&cluster.bench).await).await;
    assert!(said.contains("is not allowed here"), "{said}");
    // Rows of whatever machine it names.
    let unknown = Partitioning::UnknownPartitioning(1);
    let reader = ShuffleReaderExec::try_new(1, vec![Vec::new()], Arc::new(Schema::empty()), unknown).expect("a node");
    let said = cluster.refused_plan(Arc::new(reader)).await;
    assert!(said.contains("ShuffleReaderExec is not allowed here"), "{said}");
    let said = cluster.refused(Query::LogicalPlan(vec![10, 0])).await;
    assert!(said.contains("physical plans of marginalia's sessions only"), "{said}");
    cluster.refused(Query::PhysicalPlan(b"no plan at all".to_vec())).await;
    let deep = (0..200).fold(PhysicalPlanNode::default(), |plan, _| extension(Vec::new(), vec![plan]));
    let said = cluster.refused(Query::PhysicalPlan(deep.encode_to_vec())).await;
    assert!(said.contains("recursion limit"), "{said}");
    let said = cluster.refused(Query::PhysicalPlan(vec![0; 20 << 20])).await;
    assert!(said.contains("too large"), "{said}");
    cluster.answers();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scan_made_by_hand_reads_no_table_but_those_of_the_corpus() {
    let cluster = Cluster::start();
    let corpus = cluster.bench.corpus().canonicalize().expect("a folder").display().to_string();
    let known = cluster.refused(scan(format!("{corpus}/tables/faces.lance"))).await;
    assert!(known.contains("a scan of ours without a schema"), "{known}");
    for place in [
        format!("{corpus}/tables/truth.lance"),
        format!("{corpus}/tables/../tables/faces.lance"),
        "s3://elsewhere/tables/faces.lance".to_owned(),
        "/etc/passwd".to_owned(),
    ] {
        let said = cluster.refused(scan(place.clone())).await;
        assert!(said.contains(&format!("{place} is no table that this cluster reads")), "{said}");
    }
    cluster.answers();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_past_the_scheduler_reads_no_file_and_writes_into_the_work_folder_only() {
    let cluster = Cluster::start();
    let rows = |folder: &str| cluster.bench.path(&format!("work/data/{folder}/1/0/data.arrow"));
    let one = SessionContext::new().sql("select 1 as a").await.expect("a query").create_physical_plan().await;
    let one = one.expect("a plan");
    cluster.launch("reads", file_read(&cluster.bench).await).await;
    cluster.launch("../../escaped", one.clone()).await;
    // What is allowed comes last and is done: the others had their turn.
    assert!(cluster.launch("allowed", one).await);
    let until = Instant::now() + Duration::from_secs(60);
    while !rows("allowed").exists() {
        assert!(Instant::now() < until, "the executor took no task");
        std::thread::sleep(Duration::from_millis(100));
    }
    cluster.answers();
    assert!(!rows("reads").exists(), "a file was read");
    assert!(!cluster.bench.path("escaped").exists(), "rows were written outside the work folder");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_corpus_that_the_cluster_was_not_told_of_is_not_read() {
    let (cluster, other) = (Cluster::start(), Bench::new());
    change(&other, "from_rows = 10000000", "from_rows = 0");
    let inbox = other.path("inbox");
    write_faces(&inbox, 4, 0..5);
    other.ok(&["ingest", inbox.to_str().expect("UTF-8")]);
    let output = other.run(&["sql", "select max(face_id) from faces", "--cluster", &cluster.scheduler]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("is no table that this cluster reads"), "{said}");
    cluster.answers();
}

/// With labels and a round, which was trained here.
fn trained() -> Cluster {
    let cluster = Cluster::start();
    let labelled = cluster.bench.path("labelled");
    write_labelled(&labelled, 1, 42);
    cluster.bench.ok(&["import", "imagefolder", labelled.to_str().expect("UTF-8")]);
    cluster.bench.ok(&["train"]);
    cluster
}

#[test]
fn it_is_told_which_queries_travelled_and_those_that_are_too_deep_run_here() {
    let cluster = trained();
    let ask = ["bench", "sql", "--runs", "1", "--cluster", cluster.scheduler.as_str()];
    let told = cluster.bench.json(&ask);
    let on = |query: &str| {
        let queries = told["queries"].as_array().expect("queries");
        queries.iter().find(|one| one["query"] == query).expect(query)["on"].clone()
    };
    assert_eq!(on("predictions by class"), "cluster");
    // Rows that this process computes, and a plan that is too deep to be read.
    assert_eq!(on("queue, top 100"), "here");
    assert_eq!(on("relabel_candidates"), "here");
    let told = cluster.bench.ok(&ask);
    assert!(["cluster", "here"].iter().all(|place| told.contains(place)), "{told}");
    let question = "select face_id from relabel_candidates order by face_id";
    let there = cluster.bench.json(&["sql", question, "--cluster", &cluster.scheduler]);
    assert_eq!(there.as_array().expect("rows"), &cluster.bench.sql(question));
}

/// 30^8 pairs: a job that would take weeks.
const ENDLESS: &str = "select sum(a.width + b.width + c.width + d.width + e.width + f.width + g.width + h.width) \
    from faces a cross join faces b cross join faces c cross join faces d cross join faces e cross join faces f \
    cross join faces g cross join faces h";

#[test]
fn a_query_that_nobody_waits_for_any_more_is_cancelled() {
    let cluster = Cluster::start();
    change(&cluster.bench, "deadline_seconds = 3600", "deadline_seconds = 60");
    change(&cluster.bench, "timeout_seconds = 30", "timeout_seconds = 10");
    let output = cluster.bench.run(&["sql", ENDLESS, "--cluster", &cluster.scheduler]);
    assert!(!output.status.success(), "it ended");
    // Only cancelled jobs fail here.
    cluster.waits_for("Failed", 1);
    change(&cluster.bench, "timeout_seconds = 10", "timeout_seconds = 600");
    let mut asking = cluster.bench.start(&["sql", ENDLESS, "--cluster", &cluster.scheduler]);
    cluster.waits_for("Running", 1);
    kill_process(Pid::from_child(&asking), Signal::INT).expect("a signal");
    assert!(!asking.wait().expect("an end").success());
    cluster.waits_for("Failed", 2);
    // Neither holds one of the two slots any more.
    cluster.answers();
}

#[test]
fn a_round_that_is_stopped_gives_its_job_up_and_goes_on_in_other_chunks() {
    let cluster = trained();
    let bench = &cluster.bench;
    for part in 0..4 {
        let inbox = bench.path(&format!("inbox-{part}"));
        write_faces(&inbox, 10 + part, 0..1000);
        bench.ok(&["ingest", inbox.to_str().expect("UTF-8")]);
    }
    change(bench, "chunk_faces = 200000", "chunk_faces = 1000");
    let train = ["train", "--cluster", cluster.scheduler.as_str(), "--json"];
    let mut driver = bench.command(&train);
    let mut driver = driver.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary runs");
    let mut said = BufReader::new(driver.stdout.take().expect("a pipe")).lines().map_while(Result::ok);
    assert!(said.any(|line| line.contains("pool_scored")), "no chunk was scored");
    // It finishes no task any more: whoever waited for the job would wait long.
    let executor = Pid::from_child(&cluster.roles[1]);
    kill_process(executor, Signal::STOP).expect("a signal");
    kill_process(Pid::from_child(&driver), Signal::INT).expect("a signal");
    let output = driver.wait_with_output().expect("an end");
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(words.contains("the round was stopped before it was done"), "{words}");
    kill_process(executor, Signal::CONT).expect("a signal");
    change(bench, "chunk_faces = 1000", "chunk_faces = 2000");
    bench.ok(&train);
    let rows = bench.sql(
        "select count(*) as n, count(distinct face_id) as faces, max(pool) as pool \
         from predictions p join rounds r on p.round = r.round where r.round = 2",
    );
    let pool = rows[0]["pool"].as_u64().expect("a count");
    assert!(pool > 4000, "{pool}");
    assert_eq!(rows, [json!({ "n": pool, "faces": pool, "pool": pool })]);
}
