//! Data sets through the command line: recognised by what lies there, read with the choices that were made.

use std::path::Path;

use marginalia_datasets::{Classes, SyntheticFaces};

use crate::binary::{Bench, write_labelled};

/// Two people of KDEF, three expressions, three angles.
fn write_kdef(folder: &Path) {
    write_people(folder, &["AF01", "BM02"]);
}

/// People of KDEF by session, sex and number.
fn write_people(folder: &Path, people: &[&str]) {
    let faces = SyntheticFaces::new(1, 24, &Classes::standard());
    let mut number = 0;
    for person in people {
        std::fs::create_dir_all(folder.join(person)).unwrap();
        for expression in ["AN", "HA", "NE"] {
            for angle in ["S", "HL", "FR"] {
                let path = folder.join(person).join(format!("{person}{expression}{angle}.JPG"));
                std::fs::write(path, faces.face(number).png()).unwrap();
                number += 1;
            }
        }
    }
}

#[test]
fn a_data_set_is_recognised_and_read_as_it_was_chosen() {
    let bench = Bench::new();
    let folder = bench.path("KDEF");
    write_kdef(&folder);
    let folder = folder.to_str().unwrap();
    let output = bench.run(&["import", "auto", folder, "--option", "angle=frontal"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    assert!(said.contains("kdef: `AF01/AF01ANFR.JPG` is named as KDEF's photographs are"), "{said}");
    let rows = bench.sql("select subject, count(*) as n from faces group by subject order by subject");
    assert_eq!((rows.len(), &rows[0]["n"], &rows[1]["n"]), (2, &3.into(), &3.into()), "{rows:?}");
    assert_eq!(bench.count("select count(*) from current_labels where expression in ('anger', 'happiness')"), 4);
    // The whole set: what was there is not there twice.
    assert_eq!(bench.json(&["import", "kdef", folder])["new_faces"], 12);
}

#[test]
fn a_person_is_held_out_with_all_faces_or_with_none() {
    let bench = Bench::new();
    let people: Vec<String> = (1..=12).map(|n| format!("A{}{n:02}", if n % 2 == 0 { "F" } else { "M" })).collect();
    let both_sessions: Vec<String> =
        people.iter().flat_map(|name| [name.clone(), format!("B{}", &name[1..])]).collect();
    write_people(&bench.path("KDEF"), &both_sessions.iter().map(String::as_str).collect::<Vec<_>>());
    let folder = bench.path("KDEF");
    let by_subject = ["import", "kdef", folder.to_str().unwrap(), "--hold-out", "test:40%", "--split-by", "subject"];
    let summary = bench.json(&by_subject);
    let held_out = summary["held_out"].as_u64().unwrap();
    assert!(held_out > 0 && held_out < 12 * 18, "{summary}");
    let sides = "select f.subject from faces f join sightings s on f.face_id = s.face_id \
                 group by f.subject having count(distinct coalesce(s.split, 'train')) > 1";
    assert_eq!(bench.sql(sides), Vec::<serde_json::Value>::new());
    // Where nobody is named, nobody can be kept apart.
    write_labelled(&bench.path("labelled"), 3, 14);
    let nameless = bench.path("labelled");
    let args = ["import", "imagefolder", nameless.to_str().unwrap(), "--hold-out", "test:40%", "--split-by", "subject"];
    let output = bench.run(&args);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("leave --split-by out"));
}

#[test]
fn votes_come_with_their_labels() {
    let bench = Bench::new();
    let folder = bench.path("ferplus/FER2013Train");
    std::fs::create_dir_all(&folder).unwrap();
    let faces = SyntheticFaces::new(1, 48, &Classes::standard());
    let mut rows = String::new();
    for (number, votes) in ["0,9,0,0,1,0,0,0,0,0", "4,0,0,6,0,0,0,0,0,0"].iter().enumerate() {
        std::fs::write(folder.join(format!("fer000000{number}.png")), faces.face(number as u64).png()).unwrap();
        rows += &format!("fer000000{number}.png,\"(0, 0, 48, 48)\",{votes}\n");
    }
    std::fs::write(folder.join("label.csv"), rows).unwrap();
    bench.ok(&["import", "ferplus", bench.path("ferplus").to_str().unwrap()]);
    let labels = bench.sql("select expression, votes from current_labels order by expression");
    let classes = bench.sql("select expression from class_balance");
    assert_eq!(labels.len(), 2, "{labels:?}");
    assert_eq!((&labels[0]["expression"], &labels[1]["expression"]), (&"happiness".into(), &"sadness".into()));
    for label in &labels {
        let votes: Vec<u64> = serde_json::from_value(label["votes"].clone()).unwrap();
        assert_eq!((votes.len(), votes.iter().sum::<u64>()), (classes.len(), 10), "{label}");
    }
}

#[test]
fn what_cannot_be_read_is_told_with_the_choices_there_are() {
    let bench = Bench::new();
    write_kdef(&bench.path("KDEF"));
    std::fs::create_dir_all(bench.path("numbers/3")).unwrap();
    std::fs::copy(bench.path("KDEF/AF01/AF01ANS.JPG"), bench.path("numbers/3/a.png")).unwrap();
    let (kdef, numbers) = (bench.path("KDEF"), bench.path("numbers"));
    let (kdef, numbers) = (kdef.to_str().unwrap(), numbers.to_str().unwrap());
    let cases: [(&[&str], &str); 4] = [
        (&["import", "kdef", kdef, "--option", "angle=side"], "all, half, frontal"),
        (&["import", "kdef", kdef, "--option", "frames=3"], "its options are angle"),
        (&["import", "kdef", kdef, "--option", "angle"], "NAME=VALUE"),
        (&["import", "auto", numbers], "mean another class in every data set"),
    ];
    for (args, words) in cases {
        let output = bench.run(args);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {said}");
        assert!(said.contains(words), "{args:?}: {said}");
    }
}
