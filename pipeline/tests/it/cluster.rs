//! A scheduler and an executor on loopback, and what comes over the wire that must not. `tests/cluster/run.py` has the
//! rest, on machines of their own.

use std::net::TcpListener;
use std::process::Child;
use std::time::{Duration, Instant};

use ballista_core::serde::protobuf::ExecuteQueryParams;
use ballista_core::serde::protobuf::execute_query_params::Query;
use ballista_core::serde::protobuf::execute_query_result::Result as Submitted;
use ballista_core::serde::protobuf::scheduler_grpc_client::SchedulerGrpcClient;
use datafusion::prelude::{CsvReadOptions, SessionContext};
use datafusion_proto::bytes::physical_plan_to_bytes;
use serde_json::json;

use crate::binary::{Bench, write_faces};

struct Cluster {
    bench: Bench,
    roles: Vec<Child>,
    scheduler: String,
}

impl Cluster {
    /// Over a corpus of 30 faces, whose every query is for it.
    fn start() -> Self {
        let bench = Bench::new();
        let path = bench.corpus().join("marginalia.toml");
        let text = std::fs::read_to_string(&path).expect("the config");
        std::fs::write(&path, text.replace("from_rows = 10000000", "from_rows = 0")).expect("the config");
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
        let cluster = Self { bench, roles, scheduler: address };
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

    fn answers(&self) {
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
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for role in &mut self.roles {
            let _ = role.kill();
            let _ = role.wait();
        }
    }
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_stranger_submits_is_refused_and_the_cluster_answers_on() {
    let cluster = Cluster::start();
    cluster.answers();
    let file = cluster.bench.path("secrets.csv");
    std::fs::write(&file, "a\n1\n").expect("a file");
    let frame = SessionContext::new().read_csv(file.to_str().expect("UTF-8"), CsvReadOptions::new()).await;
    let plan = frame.expect("a file").create_physical_plan().await.expect("a plan");
    let bytes = physical_plan_to_bytes(plan).expect("bytes").to_vec();
    let said = cluster.refused(Query::PhysicalPlan(bytes)).await;
    assert!(said.contains("is not allowed here"), "{said}");
    let said = cluster.refused(Query::LogicalPlan(vec![10, 0])).await;
    assert!(said.contains("physical plans of marginalia's sessions only"), "{said}");
    cluster.refused(Query::PhysicalPlan(b"no plan at all".to_vec())).await;
    let said = cluster.refused(Query::PhysicalPlan(vec![0; 20 << 20])).await;
    assert!(said.contains("too large"), "{said}");
    cluster.answers();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_corpus_that_the_cluster_was_not_told_of_is_not_read() {
    let (cluster, other) = (Cluster::start(), Bench::new());
    let path = other.corpus().join("marginalia.toml");
    let text = std::fs::read_to_string(&path).expect("the config");
    std::fs::write(&path, text.replace("from_rows = 10000000", "from_rows = 0")).expect("the config");
    let inbox = other.path("inbox");
    write_faces(&inbox, 4, 0..5);
    other.ok(&["ingest", inbox.to_str().expect("UTF-8")]);
    let output = other.run(&["sql", "select max(face_id) from faces", "--cluster", &cluster.scheduler]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("is no table that this cluster reads"), "{said}");
    cluster.answers();
}
