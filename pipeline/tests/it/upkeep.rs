//! What keeps a corpus for years, through the command line: forgetting, backups, broken files, a full disk.

use std::path::{Path, PathBuf};

use crate::binary::{Bench, write_faces, write_labelled};

fn newest_manifest(table: &Path) -> PathBuf {
    let manifests = std::fs::read_dir(table.join("_versions")).unwrap().map(|entry| entry.unwrap().path());
    manifests.filter(|path| path.extension().is_some_and(|ending| ending == "manifest")).min().unwrap()
}

#[test]
fn a_forgotten_face_is_refused_when_it_comes_again() {
    let bench = Bench::new();
    let inbox = bench.path("inbox");
    write_faces(&inbox, 2, 0..20);
    bench.ok(&["ingest", inbox.to_str().unwrap()]);
    let face = bench.sql("select face_id from sightings where source like '%000007.png'")[0]["face_id"].clone();
    let face = face.as_str().unwrap();
    bench.ok(&["label", face, "fear", "--annotator", "ada"]);
    let told = bench.ok(&["forget", &face[..12], "--dry-run"]);
    assert!(told.contains("1 of faces") && told.contains("1 of labels") && told.contains("000007.png"), "{told}");
    assert!(told.contains("nothing was changed"), "{told}");
    assert_eq!(bench.count("select count(*) from faces"), 20);
    let done = bench.json(&["forget", &face[..12], "--reason", "asked to"]);
    assert_eq!(done["faces"], 1);
    assert_eq!(bench.count("select count(*) from faces"), 19);
    let erased = bench.sql("select faces, reason from erasures");
    assert_eq!((erased[0]["faces"].as_u64(), erased[0]["reason"].as_str()), (Some(1), Some("asked to")));
    assert!(!bench.run(&["explain", face]).status.success());
    // The file is still there, and is met again.
    let counts = bench.json(&["ingest", inbox.to_str().unwrap()]);
    assert_eq!((counts["new"].as_u64(), counts["rejected"].as_u64()), (Some(0), Some(1)));
    assert_eq!(bench.sql("select code from rejects")[0]["code"], "forgotten");
    assert_eq!(bench.count("select count(*) from faces"), 19);
    // As it would be with its data set.
    std::fs::create_dir_all(bench.path("set/fear")).unwrap();
    std::fs::copy(inbox.join("000007.png"), bench.path("set/fear/a.png")).unwrap();
    let summary = bench.json(&["import", "imagefolder", bench.path("set").to_str().unwrap()]);
    assert_eq!((summary["new_faces"].as_u64(), summary["rejected"].as_u64()), (Some(0), Some(1)));
    bench.ok(&["verify"]);
    let unknown = bench.run(&["forget", "0123456789abcdef"]);
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("no face 0123456789abcdef"));
}

#[test]
fn a_backup_becomes_the_same_corpus() {
    let bench = Bench::new();
    write_labelled(&bench.path("labelled"), 1, 40);
    bench.ok(&["import", "imagefolder", bench.path("labelled").to_str().unwrap()]);
    let copy = bench.path("copy");
    let first = bench.json(&["backup", copy.to_str().unwrap()]);
    assert_eq!(first["verified"], 40);
    bench.ok(&["label", bench.sql("select face_id from faces limit 1")[0]["face_id"].as_str().unwrap(), "fear"]);
    bench.ok(&["backup", copy.to_str().unwrap()]);
    let restored = bench.path("restored");
    bench.ok(&["restore", copy.to_str().unwrap(), restored.to_str().unwrap()]);
    let query = "select * from corpus order by face_id";
    let there = bench.json(&["--corpus", restored.to_str().unwrap(), "sql", query]);
    assert_eq!(there, bench.json(&["sql", query]));
    assert_eq!(there.as_array().unwrap().len(), 40);
    let refused = bench.run(&["restore", copy.to_str().unwrap(), restored.to_str().unwrap()]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("is not empty"));
}

#[test]
fn a_broken_version_is_set_aside_and_said() {
    let bench = Bench::new();
    write_faces(&bench.path("inbox"), 2, 0..5);
    bench.ok(&["ingest", bench.path("inbox").to_str().unwrap()]);
    let faces = bench.sql("select face_id from faces order by face_id");
    for face in &faces[..2] {
        bench.ok(&["label", face["face_id"].as_str().unwrap(), "fear"]);
    }
    let manifest = newest_manifest(&bench.corpus().join("tables/labels.lance"));
    let bytes = std::fs::read(&manifest).unwrap();
    std::fs::write(&manifest, &bytes[..bytes.len() / 2]).unwrap();
    let status = bench.run(&["status"]);
    assert!(status.status.success());
    let said = String::from_utf8_lossy(&status.stderr).into_owned() + &String::from_utf8_lossy(&status.stdout);
    assert!(said.contains("was set aside") && said.contains(".manifest.broken"), "{said}");
    assert_eq!(bench.count("select count(*) from labels"), 1);
    let verified = bench.ok(&["verify"]);
    assert!(verified.contains("set aside by an earlier repair") && verified.ends_with("clean\n"), "{verified}");
}

#[test]
fn a_byte_that_changed_on_disk_is_found() {
    let bench = Bench::new();
    write_faces(&bench.path("inbox"), 2, 0..5);
    bench.ok(&["ingest", bench.path("inbox").to_str().unwrap()]);
    let data =
        std::fs::read_dir(bench.corpus().join("tables/faces.lance/data")).unwrap().next().unwrap().unwrap().path();
    let image = std::fs::read(bench.path("inbox/000002.png")).unwrap();
    let mut bytes = std::fs::read(&data).unwrap();
    let middle = &image[image.len() / 2..image.len() / 2 + 16];
    let at = bytes.windows(16).position(|window| window == middle).expect("the image, as it came");
    bytes[at] ^= 1;
    std::fs::write(&data, bytes).unwrap();
    let verified = bench.run(&["verify"]);
    assert_eq!(verified.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&verified.stdout).contains("hash_differs"), "{verified:?}");
    // A sample of all is all.
    assert_eq!(bench.run(&["verify", "--sample", "100%"]).status.code(), Some(1));
    assert_eq!(bench.run(&["verify", "--sample", "0"]).status.code(), Some(2));
}

#[test]
fn without_room_faces_are_refused_and_labels_are_not() {
    let bench = Bench::new();
    write_faces(&bench.path("inbox"), 2, 0..5);
    bench.ok(&["ingest", bench.path("inbox").to_str().unwrap()]);
    let config = bench.corpus().join("marginalia.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.replace("reserve_mb = 64", "reserve_mb = 1048576")).unwrap();
    write_faces(&bench.path("inbox"), 2, 5..8);
    let refused = bench.run(&["ingest", bench.path("inbox").to_str().unwrap()]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("no room for new faces"), "{refused:?}");
    assert!(bench.ok(&["status"]).contains("no room for new faces"));
    let face = bench.sql("select face_id from faces limit 1")[0]["face_id"].as_str().unwrap().to_owned();
    bench.ok(&["label", &face, "fear"]);
    // Room again: what was refused comes in.
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.replace("reserve_mb = 1048576", "reserve_mb = 1")).unwrap();
    assert_eq!(bench.json(&["ingest", bench.path("inbox").to_str().unwrap()])["new"], 3);
}
