//! The functions `predict` and `score`: in SQL what a round stores, and nothing else than checkpoints of the corpus.

use crate::binary::{Bench, write_faces, write_labelled};

/// A corpus with a round, and how its checkpoint is named.
pub fn trained() -> (Bench, String) {
    let bench = Bench::new();
    let (labelled, inbox) = (bench.path("labelled"), bench.path("inbox"));
    write_labelled(&labelled, 1, 42);
    write_faces(&inbox, 2, 0..30);
    bench.ok(&["import", "imagefolder", labelled.to_str().expect("UTF-8")]);
    bench.ok(&["ingest", inbox.to_str().expect("UTF-8")]);
    bench.ok(&["train"]);
    let rows = bench.sql("select checkpoint, checkpoint_hash from rounds");
    let text = |key: &str| rows[0][key].as_str().expect(key).to_owned();
    let named = format!("'{}', '{}'", text("checkpoint"), text("checkpoint_hash"));
    (bench, named)
}

#[test]
fn sql_says_of_a_face_what_its_round_stored() {
    let (bench, checkpoint) = trained();
    let rows = bench.sql(&format!(
        "select p.expression, p.confidence, p.entropy, p.top2_gap, p.probabilities, p.mutual_information, said \
         from (select face_id, score(image, {checkpoint}) as said from faces) join predictions p using (face_id)"
    ));
    assert_eq!(rows.len(), 30);
    for row in &rows {
        for key in ["expression", "confidence", "entropy", "top2_gap", "probabilities", "mutual_information"] {
            assert_eq!(row["said"][key], row[key], "{key}: {row}");
        }
        assert!(row["said"]["feature"].as_array().is_some_and(|feature| !feature.is_empty()), "{row}");
    }
    let rows = bench.sql(&format!(
        "select predict(image, {checkpoint})['confidence'] as confidence, predict(X'00ff', {checkpoint}) as broken, \
         predict(null, {checkpoint}) as nothing from faces limit 1"
    ));
    assert!(
        rows[0]["confidence"].is_number() && rows[0].get("broken").is_none_or(serde_json::Value::is_null),
        "{rows:?}"
    );
    assert!(rows[0].get("nothing").is_none_or(serde_json::Value::is_null), "{rows:?}");
}

#[test]
fn nothing_but_the_checkpoint_that_was_meant_is_read() {
    let (bench, checkpoint) = trained();
    let refused = |arguments: &str| {
        let output = bench.run(&["sql", &format!("select predict(image, {arguments}) from faces")]);
        assert!(!output.status.success(), "{arguments}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let (place, hash) = checkpoint.split_once(", ").expect("two texts");
    let said = refused(&format!("{place}, '{}'", "0".repeat(64)));
    assert!(said.contains("it is another one"), "{said}");
    for foreign in ["/etc", "../outside", "tables/faces.lance", "checkpoints/../../x", "s3://elsewhere/checkpoints/1"] {
        let said = refused(&format!("'{foreign}', {hash}"));
        assert!(said.contains("is no checkpoint of"), "{foreign}: {said}");
    }
    let said = refused(&format!("format, {hash}"));
    assert!(said.contains("in quotes, written out"), "{said}");
}

#[cfg(not(feature = "cluster"))]
#[test]
fn a_build_without_the_cluster_says_how_to_get_one() {
    let bench = Bench::new();
    for command in [
        &["sql", "select 1", "--cluster", "df://127.0.0.1:50050"][..],
        &["train", "--cluster", "df://127.0.0.1:50050"],
        &["cluster", "status", "--cluster", "df://127.0.0.1:50050"],
        &["cluster", "scheduler"],
    ] {
        let output = bench.run(command);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("cargo build --features cluster"), "{command:?}: {said}");
        assert_eq!(output.status.code(), Some(2), "{command:?}");
    }
    let output = bench.run(&["sql", "select 1", "--cluster", "127.0.0.1:50050"]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("write df://HOST:PORT"));
}
