//! What experiments train on and measure on: sets that come whole, in one folder, or without a split.

use std::path::Path;

use marginalia_datasets::{Classes, SyntheticFaces};
use serde_json::json;

use crate::binary::{Bench, write_labelled};

/// One short training for each data set.
const SHORT: [&str; 6] = ["--labels", "per-class:1", "--seeds", "1", "--methods", "supervised"];

/// A face as a file of any name.
fn write_face(path: &Path, faces: &SyntheticFaces, number: u64) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, faces.face(number).png()).unwrap();
}

/// AffectNet's full release: both lists in one folder, one with a header, and none for testing.
fn write_affectnet(folder: &Path) {
    let numbers = ["neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger"];
    let faces = SyntheticFaces::new(5, 24, &Classes::standard());
    let header =
        "subDirectory_filePath,face_x,face_y,face_width,face_height,facial_landmarks,expression,valence,arousal\n";
    let (mut training, mut validation) = (header.to_owned(), String::new());
    for face in 0..60 {
        let image = format!("{}/{face}.jpg", face % 7);
        write_face(&folder.join("Manually_Annotated_Images").join(&image), &faces, face);
        let class = numbers.iter().position(|class| *class == faces.face(face).class).unwrap();
        let list = if face < 40 { &mut training } else { &mut validation };
        *list += &format!("{image},0,0,24,24,1.5;2.5,{class},-0.1,0.2\n");
    }
    let lists = folder.join("Manually_Annotated_file_lists");
    std::fs::create_dir_all(&lists).unwrap();
    std::fs::write(lists.join("training.csv"), training).unwrap();
    std::fs::write(lists.join("validation.csv"), validation).unwrap();
}

/// Four labelled sequences of CK+: anger, disgust, happiness and surprise, four frames each.
fn write_ck_plus(folder: &Path) {
    let faces = SyntheticFaces::new(6, 24, &Classes::standard());
    for (number, label) in [1, 3, 5, 7].into_iter().enumerate() {
        let (person, sequence) = (format!("S{:03}", number + 10), format!("S{:03}_001", number + 10));
        for frame in 1..=4 {
            let image = format!("cohn-kanade-images/{person}/001/{sequence}_{frame:08}.png");
            write_face(&folder.join(image), &faces, 4 * number as u64 + frame);
        }
        let emotion = folder.join(format!("Emotion/{person}/001"));
        std::fs::create_dir_all(&emotion).unwrap();
        std::fs::write(emotion.join(format!("{sequence}_00000004_emotion.txt")), format!("   {label}.0000000e+00\n"))
            .unwrap();
    }
}

#[test]
fn sets_without_a_test_split_or_without_any_are_measured_on() {
    let bench = Bench::new();
    write_affectnet(&bench.path("AffectNet"));
    write_ck_plus(&bench.path("CK+"));
    let affectnet = format!("affectnet:{}", bench.path("AffectNet").display());
    let ck_plus = format!("ck-plus[frames=1,neutral=labelled]:test={}", bench.path("CK+").display());
    let sets = ["--dataset", "synthetic:250", "--dataset", &affectnet, "--dataset", &ck_plus];
    let text = bench.ok(&[&["experiment", "table2"][..], &sets[..], &SHORT[..]].concat());
    let pairs =
        bench.sql("select distinct dataset, split_part(target, '@', 1) as target from experiments order by 1, 2");
    let named = "ck-plus[frames=1,neutral=labelled]";
    let pair = |(dataset, target): (&str, &str)| json!({"dataset": dataset, "target": target});
    let wanted = [("affectnet", named), ("affectnet", "synthetic"), ("synthetic", "affectnet"), ("synthetic", named)];
    assert_eq!(pairs, wanted.map(pair));
    let on_affectnet = "Trained on synthetic, measured on 20 validation faces of affectnet; 0 faces of other classes left out; \
                        its test split has no labels.";
    assert!(text.contains(on_affectnet), "{text}");
    // The last frame of each sequence, and the first one as neutral.
    let on_ck_plus =
        format!("Trained on synthetic, measured on 8 test faces of {named}; 0 faces of other classes left out.");
    assert!(text.contains(&on_ck_plus), "{text}");
    let own = bench.ok(&[&["experiment", "table1", "--dataset", &affectnet][..], &SHORT[..]].concat());
    assert!(own.contains("faces of its validation split; its test split has no labels"), "{own}");
    // Nothing to train on is no set of its own.
    let refused = bench.run(&["experiment", "table1", "--dataset", &ck_plus]);
    assert_eq!(refused.status.code(), Some(2));
    let wrong = bench.run(&["experiment", "table1", "--dataset", "ck-plus[faces=1]:test=."]);
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("its options are frames, neutral"), "{wrong:?}");
}

#[test]
fn the_same_images_with_other_labels_are_told() {
    let bench = Bench::new();
    write_labelled(&bench.path("train"), 7, 60);
    for test in ["test", "other"] {
        write_labelled(&bench.path(test), 8, 30);
    }
    // One of thirty faces is another class to the other set.
    let happy = std::fs::read_dir(bench.path("other/happiness")).unwrap().next().unwrap().unwrap();
    std::fs::create_dir_all(bench.path("other/neutral")).unwrap();
    std::fs::rename(happy.path(), bench.path("other/neutral").join(happy.file_name())).unwrap();
    let set = |test| format!("imagefolder:{},test={}", bench.path("train").display(), bench.path(test).display());
    let (first, second) = (set("test"), set("other"));
    let sets = ["--dataset", &first, "--dataset", &second];
    let text = bench.ok(&[&["experiment", "table2"][..], &sets[..], &SHORT[..]].concat());
    let told = "**same images, other labels** (100.0 % are in both sets, 96.7 % of those with the same label)";
    assert_eq!(text.matches(told).count(), 2, "{text}");
}

#[test]
fn a_run_is_measured_on_what_it_was_not_measured_on() {
    let bench = Bench::new();
    bench.ok(&[&["experiment", "table1", "--dataset", "synthetic:250"][..], &SHORT[..]].concat());
    let table2 = |other| {
        let sets = ["experiment", "table2", "--dataset", "synthetic:250", "--dataset", other];
        bench.ok(&[&sets[..], &SHORT[..]].concat())
    };
    table2("synthetic:120");
    table2("synthetic:120");
    // Its training, which table 1 made and cleaned up after, and the other set's.
    let counts = "select count(distinct run) as runs, count(*) as measured from experiments";
    assert_eq!(bench.sql(counts), [json!({"runs": 2, "measured": 3})]);
    // A set of the same name with other faces is another target.
    let text = table2("synthetic:150");
    assert!(text.contains("measured on 30 test faces of synthetic-2"), "{text}");
    assert!(text.contains("ada-cm is not among the arms"), "{text}");
    let faces = bench.sql("select faces from experiments where dataset = 'synthetic' order by faces");
    assert_eq!(faces, [24, 30, 50].map(|faces| json!({"faces": faces})));
}

#[test]
fn classes_of_two_sets_are_matched_by_name() {
    let bench = Bench::new();
    write_labelled(&bench.path("other"), 60, 9);
    let other = format!("imagefolder:{0},test={0}", bench.path("other").display());
    // Faces of one folder cannot be trained and tested on: all of them are tested on then.
    let refused = bench.run(&["experiment", "table1", "--dataset", &other]);
    assert_eq!(refused.status.code(), Some(2));
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("imagefolder has no labelled face of split train"), "{said}");
    let args = ["experiment", "table2", "--dataset", "synthetic:250", "--dataset", "synthetic:120"];
    let text = bench.ok(&[&args[..], &SHORT[..]].concat());
    let rows = bench.sql("select dataset, target, faces, baseline_class from experiments order by dataset");
    assert_eq!(rows[0]["dataset"], "synthetic");
    assert!(rows[0]["target"].as_str().unwrap().starts_with("synthetic-2@"), "{rows:?}");
    assert_eq!((&rows[1]["faces"], &rows[0]["faces"]), (&50.into(), &24.into()));
    // The test faces of the smaller set are the first ones of the larger.
    let heading = "## synthetic → synthetic-2\n\nTrained on synthetic, measured on 24 test faces of synthetic-2";
    assert!(text.contains(heading) && text.contains("**same images** (100.0 % are in both sets"), "{text}");
}
