//! FER+ in its forms, and its modes.

use std::collections::BTreeMap;

use marginalia_datasets::{Classes, ReadRequest, Split, count_differences, reader};
use proptest::prelude::*;

use crate::support::{faces, folder, jpeg, png, read, read_with, real_data, refusal, rejects, skipped};

const HEADER: &str = "Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF";

fn pixels(start: u32) -> String {
    (0..2304).map(|i| ((i + start) % 256).to_string()).collect::<Vec<_>>().join(" ")
}

/// `fer2013.csv` with these parts, one row each.
fn fer2013(parts: &[&str]) -> Vec<u8> {
    let rows = parts.iter().enumerate().map(|(i, part)| format!("{},{},{part}\n", i % 7, pixels(i as u32)));
    format!("emotion,pixels,Usage\n{}", rows.collect::<String>()).into()
}

/// Votes and pixels. The names are no row numbers, and one row has none.
pub fn rows() -> tempfile::TempDir {
    let votes = [
        "Training,fer0000000.png,4,0,0,1,5,0,0,0,0,0",
        "Training,,0,0,0,0,0,0,0,0,0,10",
        "Training,fer0000001.png,6,0,1,1,0,0,0,0,2,0",
        "PublicTest,fer0028638.png,0,0,0,0,0,0,2,8,0,0",
        "PrivateTest,fer0032220.png,3,0,0,3,3,0,0,0,1,0",
        "PrivateTest,fer0032220.png,0,10,x,0,0,0,0,0,0,0",
    ];
    let parts = ["Training", "Training", "Training", "PublicTest", "PrivateTest", "PrivateTest"];
    folder(&[("fer2013new.csv", format!("{HEADER}\n{}\n", votes.join("\n")).into()), ("fer2013.csv", fer2013(&parts))])
}

/// What FER+'s own script makes.
pub fn training_form() -> tempfile::TempDir {
    folder(&[
        (
            "data/FER2013Train/label.csv",
            "fer0000000.png,\"(0, 0, 48, 48)\",8,0,0,0,2,0,0,0,0,0\n\
            fer0000002.png,\"(0, 0, 48, 48)\",0,0,0,0,0,0,0,0,9,1\nfer0000003.png,\"(0, 0, 48, 48)\",1,2\n\
            ,\"(0, 0, 48, 48)\",0,0,0,0,0,0,0,0,0,10\n"
                .into(),
        ),
        ("data/FER2013Train/fer0000000.png", png(1)),
        ("data/FER2013Train/fer0000002.png", png(2)),
        ("data/FER2013Train/fer0000003.png", png(3)),
        ("data/FER2013Train/fer0000004.png", png(4)),
        ("data/FER2013Valid/label.csv", "fer0028638.png,\"(0, 0, 48, 48)\",0,10,0,0,0,0,0,0,0,0\n".into()),
        ("data/FER2013Valid/fer0028638.png", png(5)),
        (
            "data/FER2013Test/label.csv",
            "fer0032220.png,\"(0, 0, 48, 48)\",0,0,0,0,0,0,9,1,0,0\n\
            fer0032221.png,\"(0, 0, 48, 48)\",0,0,0,0,0,0,9,1,0,0\n"
                .into(),
        ),
        ("data/FER2013Test/fer0032220.png", png(6)),
    ])
}

#[test]
fn votes_and_pixels_are_joined_row_by_row() {
    let set = rows();
    let all = read("ferplus", &ReadRequest::new(set.path(), &Classes::with_contempt())).unwrap();
    assert_eq!(
        faces(&all),
        [
            "fer2013.csv#row=0 anger train -",
            "fer2013.csv#row=2 neutral train -",
            "fer2013.csv#row=3 contempt validation -"
        ]
    );
    let fer2013 = read("fer2013", &ReadRequest::new(&set.path().join("fer2013.csv"), &Classes::standard())).unwrap();
    assert_eq!(all.faces[2].image, fer2013.faces[3].image);
    assert_eq!(all.faces[2].source_hash, fer2013.faces[3].source_hash);
    assert_eq!(all.faces[2].dataset, "ferplus");
    // neutral happiness sadness surprise fear disgust anger contempt
    assert_eq!(all.faces[0].votes, Some(vec![4, 0, 1, 0, 0, 0, 5, 0]));
    assert_eq!(
        skipped(&all),
        ["fer2013.csv#row=1: most votes say `no face`", "fer2013.csv#row=4: no class holds enough of the votes"]
    );
    assert_eq!(
        rejects(&all),
        ["fer2013.csv#row=5: the image has no label that can be read: `x` is no number of votes"]
    );
    let standard = Classes::standard();
    let seven = read("ferplus", &ReadRequest::new(set.path(), &standard)).unwrap();
    assert_eq!(seven.faces.len(), 2);
    assert_eq!(seven.faces[0].votes, Some(vec![4, 0, 1, 0, 0, 0, 5]));
    let request = ReadRequest { unlabelled: true, split: Some(Split::Test), ..ReadRequest::new(set.path(), &standard) };
    let unlabelled = read("ferplus", &request).unwrap();
    assert_eq!(unlabelled.faces.len(), 6);
    assert!(unlabelled.faces.iter().all(|face| face.given_class.is_none() && face.votes.is_none()));
    assert!(unlabelled.faces.iter().all(|face| face.split == Some(Split::Test)));
}

#[test]
fn the_modes_are_those_of_the_released_code() {
    // Votes in FER+'s order, and what remains of them as `class count` in each mode.
    let cases: [(&str, [&str; 3]); 9] = [
        ("6,0,1,1,0,0,0,0,2,0", ["neutral", "neutral 6", "neutral 1"]),
        ("4,0,0,1,3,2,0,0,0,0", ["-", "neutral 4 anger 3", "neutral 1 anger 1"]),
        ("5,5,0,0,0,0,0,0,0,0", ["-", "neutral 5 happiness 5", "neutral 1 happiness 1"]),
        // Single votes count as slips.
        ("1,1,1,1,1,1,1,1,1,1", ["-", "-", "-"]),
        ("1,0,0,9,0,0,0,0,0,0", ["sadness", "sadness 9", "sadness 1"]),
        // Unknown ends the distribution, and its votes still count among all.
        ("4,0,0,0,0,0,0,0,3,3", ["-", "-", "neutral 1"]),
        ("6,0,0,0,0,0,0,0,4,0", ["neutral", "neutral 6", "neutral 1"]),
        ("0,3,0,0,0,0,0,0,7,0", ["-", "-", "-"]),
        // Four equals are more than three classes; multi_target wants 30 % for each.
        ("0,0,3,3,3,3,0,0,0,0", ["-", "-", "-"]),
    ];
    let rows: Vec<String> = cases.iter().map(|(votes, _)| format!("Training,fer0000000.png,{votes}\n")).collect();
    let set = folder(&[
        ("fer2013new.csv", format!("{HEADER}\n{}", rows.concat()).into()),
        ("fer2013.csv", fer2013(&["Training"; 9])),
    ]);
    let classes = Classes::with_contempt();
    for (i, mode) in ["majority", "crossentropy", "multi_target"].into_iter().enumerate() {
        let all = read_with("ferplus", set.path(), &classes, &[&format!("votes={mode}")]).unwrap();
        let mut found = vec!["-".to_owned(); cases.len()];
        for face in &all.faces {
            let row: usize = face.source.rsplit('=').next().unwrap().parse().unwrap();
            let votes = face.votes.as_ref().unwrap().iter().enumerate().filter(|(_, count)| **count > 0);
            found[row] = match mode {
                "majority" => face.given_class.clone().unwrap(),
                _ => votes.map(|(i, count)| format!("{} {count}", classes.name(i))).collect::<Vec<_>>().join(" "),
            };
        }
        assert_eq!(found, cases.map(|(_, wanted)| wanted[i].to_owned()), "{mode}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    /// In every mode what is kept was voted for, and the label has the most votes of it.
    #[test]
    fn kept_votes_were_cast(cast in prop::collection::vec(prop::array::uniform10(0u32..7), 1..40)) {
        let line = |votes: &[u32; 10]| votes.map(|count| count.to_string()).join(",");
        let rows: String = cast.iter().map(|votes| format!("Training,,{}\n", line(votes))).collect();
        let set = folder(&[
            ("fer2013new.csv", format!("{HEADER}\n{rows}").into()),
            ("fer2013.csv", fer2013(&vec!["Training"; cast.len()])),
        ]);
        // The corpus's classes in the order of FER+'s columns.
        let order = ["neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt"];
        let classes = Classes::new(order).unwrap();
        for mode in ["majority", "probability", "multi_target"] {
            let all = read_with("ferplus", set.path(), &classes, &[&format!("votes={mode}")]).unwrap();
            prop_assert_eq!(all.faces.len() + all.skipped.len(), cast.len());
            for face in &all.faces {
                let row: usize = face.source.rsplit('=').next().unwrap().parse().unwrap();
                let (kept, cast) = (face.votes.as_ref().unwrap(), &cast[row]);
                let label = order.iter().position(|class| face.given_class.as_deref() == Some(class)).unwrap();
                prop_assert!(kept.iter().zip(cast).all(|(kept, cast)| kept <= cast));
                prop_assert_eq!(kept.iter().max(), Some(&kept[label]));
                prop_assert!(cast[label] > 1 && cast[label] == *cast.iter().max().unwrap());
                let counted: u32 = cast.iter().filter(|count| **count > 1).sum();
                prop_assert!(mode != "majority" || 2 * cast[label] > counted);
            }
        }
    }
}

#[test]
fn the_folders_of_the_training_form_are_read_with_their_label_tables() {
    let set = training_form();
    let all = read("ferplus", &ReadRequest::new(set.path(), &Classes::with_contempt())).unwrap();
    assert_eq!(
        faces(&all),
        ["fer0032220.png fear test -", "fer0000000.png neutral train -", "fer0028638.png happiness validation -"]
    );
    assert_eq!(skipped(&all), ["fer0000002.png: most votes say `unknown`", "fer0000004.png: not listed in label.csv"]);
    assert_eq!(
        rejects(&all),
        [
            "label.csv#line=4: the row does not work: `` is no image's name",
            "fer0000003.png: the image has no label that can be read: `(0, 0, 48, 48)` is no number of votes",
            "fer0032221.png: the file cannot be read: no such file",
        ]
    );
}

#[test]
fn of_two_lines_with_one_name_the_later_holds_as_its_image_does() {
    let labels = "fer0000000.png,\"(0, 0, 48, 48)\",8,0,0,0,2,0,0,0,0,0\n\
        fer0000001.png,\"(0, 0, 48, 48)\",8,0,0,0,2,0,0,0,0,0\n\
        fer0000000.png,\"(0, 0, 48, 48)\",0,0,0,9,1,0,0,0,0,0\n";
    let set = folder(&[
        ("FER2013Train/label.csv", labels.into()),
        ("FER2013Train/fer0000000.png", png(1)),
        ("FER2013Train/fer0000001.png", png(2)),
    ]);
    let all = read("ferplus", &ReadRequest::new(set.path(), &Classes::standard())).unwrap();
    assert_eq!(faces(&all), ["fer0000000.png sadness train -", "fer0000001.png neutral train -"]);
    let why = "a later line has the same name, whose image was written over this one's";
    assert_eq!(skipped(&all), [format!("label.csv#line=1: {why}")]);
}

#[test]
fn tables_that_are_not_the_same_rows_are_refused() {
    let refused = |set: &tempfile::TempDir| {
        refusal(read("ferplus", &ReadRequest::new(set.path(), &Classes::standard())), set.path())
    };
    let [other, short, long] = [&["Training", "PublicTest"][..], &["Training"], &["Training"; 3]].map(|parts| {
        let votes = "Training,a.png,9,0,0,0,0,0,0,0,0,0\nTraining,b.png,9,0,0,0,0,0,0,0,0,0\n";
        folder(&[("fer2013new.csv", format!("{HEADER}\n{votes}").into()), ("fer2013.csv", fer2013(parts))])
    });
    let columns = folder(&[("fer2013new.csv", "Usage,neutral\n".into()), ("fer2013.csv", fer2013(&["Training"]))]);
    let alone = folder(&[("fer2013new.csv", HEADER.into())]);
    let messages = [&other, &short, &long, &columns, &alone].map(refused);
    insta::assert_snapshot!(messages.join("\n"));
}

#[test]
fn files_are_known_by_name_where_a_table_says_so() {
    let set = folder(&[
        (
            "ferplus-labels.csv",
            format!(
                "{HEADER}\nTraining,fer0000000.png,0,9,0,0,0,0,0,0,0,0\n\
            Training,fer0000001.png,0,9,0,0,0,0,0,0,0,0\nPublicTest,fer0028638.png,0,0,0,9,0,0,0,0,0,0\n\
            Training,fer0000002.png,0,0,0,0,9,0,0,0,0,0\nTraining,fer0000003.png,9,0,0,0,0,0,0,0,0,0\n"
            )
            .into(),
        ),
        (
            "ferplus-files.csv",
            "image_name,split,file,identical\nfer0000000.png,train,angry/Training_1.jpg,1\n\
            fer0000001.png,train,angry/Training_2.jpg,2\nfer0028638.png,publictest,sad/PublicTest_3.jpg,1\n\
            fer0000009.png,train,angry/Training_4.jpg,1\n\
            fer0000002.png,train,angry/Training_6.jpg,1\nfer0000003.png,train,sad/Training_6.jpg,1\n\
            fer0000002.png,train,sad/Training_7.jpg,1\nfer0000003.png,train,sad/Training_7.jpg,1\n"
                .into(),
        ),
        ("train/angry/Training_1.jpg", jpeg(1)),
        ("train/angry/Training_2.jpg", jpeg(2)),
        ("train/angry/Training_4.jpg", jpeg(4)),
        ("train/angry/Training_5.jpg", jpeg(5)),
        // One name, two images.
        ("train/angry/Training_6.jpg", jpeg(6)),
        ("train/sad/Training_6.jpg", jpeg(7)),
        ("train/sad/Training_7.jpg", jpeg(8)),
        ("test/sad/PublicTest_3.jpg", jpeg(3)),
    ]);
    let all = read("ferplus", &ReadRequest::new(set.path(), &Classes::standard())).unwrap();
    assert_eq!(
        faces(&all),
        [
            "PublicTest_3.jpg sadness validation -",
            "Training_1.jpg happiness train -",
            "Training_6.jpg anger train -",
            "Training_6.jpg neutral train -",
        ]
    );
    assert_eq!(
        skipped(&all),
        [
            "Training_2.jpg: others have the same image, so the votes are not its own",
            "Training_5.jpg: not listed in ferplus-files.csv",
            "Training_7.jpg: others have the same image, so the votes are not its own",
        ]
    );
    assert_eq!(rejects(&all), ["Training_4.jpg: the image has no label that can be read: no votes for fer0000009.png"]);
}

/// The published votes, joined with pixels that are made up: what is counted are the votes.
#[test]
fn every_mode_has_the_published_counts() {
    let Some(data) = real_data("every_mode_has_the_published_counts") else { return };
    let published = std::fs::read_to_string(data.join("ferplus-labels.csv")).unwrap();
    let rows: Vec<&str> = published.lines().filter(|row| row.starts_with("PublicTest")).collect();
    assert_eq!(rows.len(), 3589);
    let flat = format!("0,{},PublicTest\n", vec!["7"; 2304].join(" "));
    let set = folder(&[
        ("fer2013new.csv", format!("{HEADER}\n{}\n", rows.join("\n")).into()),
        ("fer2013.csv", format!("emotion,pixels,Usage\n{}", flat.repeat(rows.len())).into()),
    ]);
    for (mode, kept) in [("majority", 3199), ("probability", 3505), ("multi_target", 3472)] {
        let all = read_with("ferplus", set.path(), &Classes::with_contempt(), &[&format!("votes={mode}")]).unwrap();
        assert_eq!((all.faces.len(), all.rejects.len()), (kept, 0), "{mode}");
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        all.faces.iter().for_each(|face| *counts.entry(face.given_class.as_deref().unwrap()).or_default() += 1);
        let counts: Vec<(&str, usize)> = counts.into_iter().collect();
        let known = reader("ferplus").unwrap().known_counts().iter();
        let known: Vec<_> = known.filter(|count| count.part == format!("PublicTest, {mode}")).copied().collect();
        assert_eq!(count_differences(&known, &counts), [], "{mode}");
    }
}

/// The published images of the public test, known by name.
#[test]
fn published_image_files_get_their_votes() {
    let Some(data) = real_data("published_image_files_get_their_votes") else { return };
    let classes = Classes::with_contempt();
    let all = read("ferplus", &ReadRequest::new(&data.join("fer2013-publictest.tar"), &classes)).unwrap();
    assert_eq!(all.faces.len() + all.skipped.len(), 3589);
    let alone = all.skipped.iter().filter(|(_, why)| why.contains("same image") || why.contains("not listed")).count();
    assert_eq!((alone, all.rejects.len()), (3589 - 3527, 0));
    assert!(all.faces.iter().all(|face| face.split == Some(Split::Validation) && face.votes.is_some()));
    // Most of FER2013's own labels are the majority's.
    let same = all.faces.iter().filter(|face| {
        let folder = face.source.rsplit(['/', '!']).nth(1).unwrap_or_default();
        classes.resolve(folder).ok() == face.given_class.as_deref()
    });
    let share = same.count() as f64 / all.faces.len() as f64;
    assert!((0.6..0.9).contains(&share), "{share}");
}
