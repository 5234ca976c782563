//! Data sets through the command line: recognised by what lies there, read with the choices that were made.

use std::path::Path;

use marginalia_datasets::{Classes, SyntheticFaces};

use crate::binary::Bench;

/// Two people of KDEF, three expressions, three angles.
fn write_kdef(folder: &Path) {
    let faces = SyntheticFaces::new(1, 24, &Classes::standard());
    let mut number = 0;
    for person in ["AF01", "BM02"] {
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
