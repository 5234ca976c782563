//! Folders of images, with class folders or with metadata.

use std::ops::ControlFlow;

use marginalia_datasets::{ClassMap, Classes, Error, Item, ReadRequest, Split, reader};

use crate::support::{folder, jpeg, png, read, rejects, skipped, write};

#[test]
fn class_and_split_come_from_the_folders() {
    let folder = folder(&[
        ("train/happy/1.jpg", jpeg(1)),
        ("train/Angry/2.PNG", png(2)),
        ("valid/sad/3.jpg", jpeg(3)),
        ("test/afraid/deep/happy/4.jpg", jpeg(4)),
        ("test/5.jpg", jpeg(5)),
        ("neutral/6.jpg", jpeg(6)),
        ("7.jpg", jpeg(7)),
    ]);
    let classes = Classes::standard();
    let all = read("imagefolder", &ReadRequest::new(folder.path(), &classes)).unwrap();
    assert_eq!(
        all.summary(),
        [
            "7.jpg - -",
            "6.jpg neutral -",
            "5.jpg - test",
            "4.jpg happiness test",
            "2.PNG anger train",
            "1.jpg happiness train",
            "3.jpg sadness validation",
        ]
    );
    let first = &all.faces[5];
    assert_eq!(first.image, jpeg(1));
    assert_eq!(first.source, format!("{}/train/happy/1.jpg", folder.path().display()));
    assert_eq!(first.size, jpeg(1).len() as u64);
    assert_eq!(first.dataset, folder.path().file_name().unwrap().to_str().unwrap());
    assert!(first.mtime.is_some());
    assert!(all.rejects.is_empty() && all.skipped.is_empty());
}

#[test]
fn the_request_can_overrule_splits_and_labels() {
    let folder = folder(&[("test/happy/1.jpg", jpeg(1)), ("whatever/2.jpg", jpeg(2))]);
    let classes = Classes::standard();
    let request =
        ReadRequest { unlabelled: true, split: Some(Split::Validation), ..ReadRequest::new(folder.path(), &classes) };
    assert_eq!(read("imagefolder", &request).unwrap().summary(), ["1.jpg - validation", "2.jpg - validation"]);
}

#[test]
fn an_unknown_class_stops_everything_before_the_first_face() {
    let folder = folder(&[("happy/1.jpg", jpeg(1)), ("sleepy/2.jpg", jpeg(2))]);
    let classes = Classes::standard();
    let mut items = 0;
    let result = reader("imagefolder").unwrap().read(&ReadRequest::new(folder.path(), &classes), &mut |_| {
        items += 1;
        ControlFlow::Continue(())
    });
    assert!(matches!(result, Err(Error::UnknownClass { ref text, .. }) if text == "sleepy"), "{result:?}");
    assert_eq!(items, 0);
}

#[test]
fn numbers_as_folders_need_a_class_map() {
    let folder = folder(&[("train/1/a.jpg", jpeg(1)), ("train/7/b.jpg", jpeg(2))]);
    let classes = Classes::standard();
    let request = ReadRequest::new(folder.path(), &classes);
    assert!(matches!(read("imagefolder", &request), Err(Error::NumberAsClass { .. })));
    let raf = ReadRequest { class_map: Some(ClassMap::named("raf-db").unwrap()), ..request };
    assert_eq!(read("imagefolder", &raf).unwrap().summary(), ["a.jpg surprise train", "b.jpg neutral train"]);
    write(folder.path(), "train/8/c.jpg", &jpeg(3));
    assert!(matches!(read("imagefolder", &raf), Err(Error::NumberNotInClassMap { number: 8, .. })));
}

#[test]
fn expressions_the_corpus_does_not_have_are_left_out_with_a_word() {
    let folder = folder(&[("7/a.jpg", jpeg(1)), ("0/b.jpg", jpeg(2)), ("9/c.jpg", jpeg(3))]);
    let (seven, eight) = (Classes::standard(), Classes::with_contempt());
    let map = Some(ClassMap::named("affectnet").unwrap());
    let all = read("imagefolder", &ReadRequest { class_map: map, ..ReadRequest::new(folder.path(), &seven) }).unwrap();
    assert_eq!(all.summary(), ["b.jpg neutral -"]);
    let why: Vec<&str> = all.skipped.iter().map(|(_, why)| why.as_str()).collect();
    assert_eq!(why, ["`contempt` is not one of the classes here", "affectnet marks it as `uncertain`"]);
    let all = read("imagefolder", &ReadRequest { class_map: map, ..ReadRequest::new(folder.path(), &eight) }).unwrap();
    assert_eq!(all.summary(), ["b.jpg neutral -", "a.jpg contempt -"]);
}

#[test]
fn what_is_no_image_is_passed_over_and_counted() {
    let folder = folder(&[
        ("happy/1.jpg", jpeg(1)),
        ("happy/no_extension", jpeg(2)),
        ("happy/.DS_Store", b"x".to_vec()),
        ("happy/._1.jpg", b"x".to_vec()),
        ("happy/Thumbs.db", b"x".to_vec()),
        ("__MACOSX/happy/1.jpg", jpeg(3)),
        (".cache/odd/1.jpg", jpeg(4)),
        ("happy/labels.txt", b"just words".to_vec()),
    ]);
    let classes = Classes::standard();
    let all = read("imagefolder", &ReadRequest::new(folder.path(), &classes)).unwrap();
    assert_eq!(all.summary(), ["1.jpg happiness -", "no_extension happiness -"]);
    assert_eq!(all.skipped.len(), 6);
}

#[cfg(unix)]
#[test]
fn links_are_never_followed_and_pipes_never_opened() {
    use std::os::unix::fs::symlink;
    let outside = folder(&[("secret.jpg", jpeg(9))]);
    let folder = folder(&[("happy/1.jpg", jpeg(1))]);
    let at = |name: &str| folder.path().join("happy").join(name);
    symlink(outside.path().join("secret.jpg"), at("link.jpg")).unwrap();
    symlink(outside.path(), at("folder_link")).unwrap();
    symlink("nowhere.jpg", at("broken.jpg")).unwrap();
    symlink("loop.jpg", at("loop.jpg")).unwrap();
    symlink("..", at("up")).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(at("pipe.jpg")).status().unwrap().success());
    let classes = Classes::standard();
    let all = read("imagefolder", &ReadRequest::new(folder.path(), &classes)).unwrap();
    assert_eq!(all.summary(), ["1.jpg happiness -"]);
    assert_eq!(all.skipped.len(), 6);
    assert!(all.rejects.is_empty());
}

#[test]
fn files_over_the_limit_are_rejects_and_the_rest_goes_on() {
    let folder = folder(&[("happy/1.jpg", vec![0; 5000]), ("happy/2.jpg", jpeg(1))]);
    let classes = Classes::standard();
    let mut request = ReadRequest::new(folder.path(), &classes);
    request.limits.max_file_bytes = 4000;
    let all = read("imagefolder", &request).unwrap();
    assert_eq!(all.summary(), ["2.jpg happiness -"]);
    assert_eq!(all.rejects[0].code(), "too_many_bytes");
}

#[test]
fn the_sink_can_stop_the_reading() {
    let files: Vec<(String, Vec<u8>)> = (0..20).map(|i| (format!("happy/{i:02}.jpg"), jpeg(i))).collect();
    let files: Vec<(&str, Vec<u8>)> = files.iter().map(|(name, bytes)| (name.as_str(), bytes.clone())).collect();
    let folder = folder(&files);
    let classes = Classes::standard();
    let mut seen = 0;
    let stop_at_three = &mut |_: Item| {
        seen += 1;
        if seen == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    reader("imagefolder").unwrap().read(&ReadRequest::new(folder.path(), &classes), stop_at_three).unwrap();
    assert_eq!(seen, 3);
}

#[test]
fn metadata_speaks_for_its_folder_and_those_below() {
    let csv =
        "file_name,label,subject\na.jpg,happy,anna\nsub/b.jpg,sad,ben\nmissing.jpg,sad,\n../test/anger/d.jpg,anger,\n";
    let json = "{\"file_name\": \"e.png\", \"expression\": \"fear\"}\n\n{\"file_name\": \"f.png\"}\nnot json\n";
    let folder = folder(&[
        ("train/metadata.csv", csv.into()),
        ("train/a.jpg", jpeg(1)),
        ("train/sub/b.jpg", jpeg(2)),
        ("train/nobody/c.jpg", jpeg(3)),
        ("test/anger/d.jpg", jpeg(4)),
        ("more/metadata.jsonl", json.into()),
        ("more/e.png", png(5)),
        ("more/f.png", png(6)),
    ]);
    let classes = Classes::standard();
    let all = read("imagefolder", &ReadRequest::new(folder.path(), &classes)).unwrap();
    assert_eq!(
        all.summary(),
        ["e.png fear -", "f.png - -", "d.jpg anger test", "a.jpg happiness train", "b.jpg sadness train"]
    );
    assert_eq!(all.faces[3].subject.as_deref(), Some("anna"));
    let codes: Vec<&str> = all.rejects.iter().map(|reject| reject.code()).collect();
    assert_eq!(codes, ["invalid_row", "unreadable", "outside_folder"]);
    assert_eq!(all.skipped.len(), 1);
    assert_eq!(all.skipped[0].1, "images beside metadata that does not list them: 1");
}

#[test]
fn a_face_that_metadata_has_twice_is_read_once_or_not_at_all() {
    let csv = "file_name,label\na.jpg,fear\nb.jpg,fear\na.jpg,afraid\nb.jpg,sad\n";
    let folder = folder(&[
        ("train/metadata.csv", csv.into()),
        ("train/a.jpg", jpeg(1)),
        ("train/b.jpg", jpeg(2)),
        ("train/c.jpg", jpeg(3)),
    ]);
    let classes = Classes::standard();
    let all = read("imagefolder", &ReadRequest::new(folder.path(), &classes)).unwrap();
    assert_eq!(all.summary(), ["a.jpg fear train"]);
    let table = folder.path().join("train/metadata.csv");
    let line = |number| format!("{}#line={number}", table.display());
    let (third, fifth) = (line(3), line(5));
    let disagree = format!("its labels disagree, `fear` in {third} and `sad` in {fifth}; keep the one that is right");
    assert_eq!(rejects(&all), [format!("b.jpg: the image has no label that can be read: {disagree}")]);
    let name = folder.path().file_name().unwrap().to_str().unwrap();
    let mut told = [
        "metadata.csv#line=4: the same face stands in the list before".to_owned(),
        format!("{name}: images beside metadata that does not list them: 1"),
    ];
    told.sort();
    assert_eq!(skipped(&all), told);
}

#[test]
fn an_unknown_label_in_metadata_stops_everything_before_the_first_face() {
    let folder = folder(&[("metadata.csv", "file_name,label\na.jpg,happy\na.jpg,7\n".into()), ("a.jpg", jpeg(1))]);
    let classes = Classes::standard();
    let error = read("imagefolder", &ReadRequest::new(folder.path(), &classes)).unwrap_err();
    assert!(matches!(error, Error::NumberAsClass { .. }), "{error}");
    assert!(error.to_string().contains("metadata.csv, line 3"), "{error}");
}

#[test]
fn file_names_that_hold_a_person_give_the_subject() {
    let folder = folder(&[
        ("anger/S010_004_00000017.png", png(1)),
        ("anger/BM07ANHL.JPG", jpeg(2)),
        ("anger/KA.AN1.39.png", png(3)),
        ("anger/S010_004.png", png(4)),
        ("anger/ABCDEFGH.jpg", jpeg(5)),
    ]);
    let classes = Classes::standard();
    let all = read("imagefolder", &ReadRequest::new(folder.path(), &classes)).unwrap();
    let subjects: Vec<Option<&str>> = all.faces.iter().map(|face| face.subject.as_deref()).collect();
    assert_eq!(subjects, [None, Some("M07"), Some("KA"), None, Some("S010")]);
}

#[test]
fn a_parquet_table_is_refused_with_the_way_out() {
    let folder = folder(&[("metadata.parquet", b"PAR1".to_vec()), ("happy/1.jpg", jpeg(1))]);
    let classes = Classes::standard();
    let error = read("imagefolder", &ReadRequest::new(folder.path(), &classes)).unwrap_err();
    assert!(error.to_string().contains("to_csv"), "{error}");
}

#[test]
fn a_path_that_is_nothing_of_the_kind_is_an_error() {
    let folder = folder(&[("a.jpg", jpeg(1))]);
    let classes = Classes::standard();
    let request = |name: &str| read("imagefolder", &ReadRequest::new(&folder.path().join(name), &classes)).map(|_| ());
    assert!(matches!(request("a.jpg"), Err(Error::NotADataset { .. })));
    assert!(matches!(request("nowhere"), Err(Error::Io { .. })));
}
