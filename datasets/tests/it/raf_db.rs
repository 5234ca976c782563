//! RAF-DB in its forms.

use marginalia_datasets::{Classes, ReadRequest, Split, reader};

use crate::support::{faces, folder, jpeg, read, read_with, refusal, rejects, skipped, write};

const LIST: &str = "train_00001.jpg 5\ntrain_00002.jpg 1\ntrain_00003.jpg 7\ntest_0001.jpg 4\ntest_0002.jpg 6\n\
    nonsense\ntrain_00004.jpg five\nvalid 3\n";

/// As published, with the aligned and the original images.
pub fn published() -> tempfile::TempDir {
    let mut files = vec![
        ("basic/EmoLabel/list_patition_label.txt", LIST.into()),
        ("basic/Annotation/manual/train_00001_manu_attri.txt", "12.5\t33.1\n".into()),
        ("basic/Image/aligned/._train_00001_aligned.jpg", b"Mac OS X".to_vec()),
        ("basic/Image/aligned/.DS_Store", b"Bud1".to_vec()),
    ];
    for (i, name) in ["train_00001", "train_00002", "test_0001", "test_0002", "test_0009"].into_iter().enumerate() {
        let aligned = format!("basic/Image/aligned/{name}_aligned.jpg").leak();
        let original = format!("basic/Image/original/{name}.jpg").leak();
        files.push((aligned, jpeg(i as u32)));
        files.push((original, jpeg(10 + i as u32)));
    }
    folder(&files)
}

/// As on Kaggle.
pub fn kaggle() -> tempfile::TempDir {
    folder(&[
        ("DATASET/train/1/train_00002_aligned.jpg", jpeg(1)),
        ("DATASET/train/5/train_00001_aligned.jpg", jpeg(2)),
        ("DATASET/test/4/test_0001_aligned.jpg", jpeg(3)),
        ("train_labels.csv", "image,label\ntrain_00001_aligned.jpg,5\n".into()),
        ("test_labels.csv", "image,label\ntest_0001_aligned.jpg,4\n".into()),
    ])
}

#[test]
fn the_list_gives_classes_and_splits_of_the_aligned_faces() {
    let (set, classes) = (published(), Classes::standard());
    // The set's folder, the one above and an image's folder's are all the same to it.
    for path in [set.path().to_owned(), set.path().join("basic")] {
        let all = read("raf-db", &ReadRequest::new(&path, &classes)).unwrap();
        assert_eq!(
            faces(&all),
            [
                "test_0001_aligned.jpg happiness test -",
                "test_0002_aligned.jpg anger test -",
                "train_00001_aligned.jpg sadness train -",
                "train_00002_aligned.jpg surprise train -",
            ]
        );
        assert_eq!(all.faces[2].image, jpeg(0));
        assert_eq!(all.faces[2].dataset, "raf-db");
        assert_eq!(
            rejects(&all),
            [
                "list_patition_label.txt#line=6: the row does not work: a line has an image and a label, such as `train_00001.jpg 5`",
                "list_patition_label.txt#line=7: the row does not work: `five` is no label",
                "list_patition_label.txt#line=8: the row does not work: `valid` does not begin with train_ or test_ and a number",
                "train_00003_aligned.jpg: the file cannot be read: no such file",
            ]
        );
        let skipped = skipped(&all);
        assert_eq!(skipped.len(), 8, "{skipped:?}");
        assert!(skipped.contains(&"test_0009_aligned.jpg: not in the list of labels".to_owned()));
        assert!(skipped.contains(&"train_00001.jpg: not one of the aligned images".to_owned()));
    }
}

#[test]
fn an_image_that_the_list_has_twice_is_read_once_or_not_at_all() {
    let (set, classes) = (published(), Classes::standard());
    let list = "train_00001.jpg 5\ntrain_00002.jpg 1\n\ntrain_00001.jpg 5\ntrain_00002.jpg 2\ntrain_00002.jpg 1\n";
    write(set.path(), "basic/EmoLabel/list_patition_label.txt", list.as_bytes());
    let all = read("raf-db", &ReadRequest::new(set.path(), &classes)).unwrap();
    assert_eq!(faces(&all), ["train_00001_aligned.jpg sadness train -"]);
    let line = |number| format!("{}/basic/EmoLabel/list_patition_label.txt#line={number}", set.path().display());
    assert_eq!(
        rejects(&all),
        [format!(
            "train_00002_aligned.jpg: the image has no label that can be read: its labels disagree, `1` in {} and `2` in {}; \
             keep the one that is right",
            line(2),
            line(5)
        )]
    );
    let skipped = skipped(&all);
    for line in [4, 6] {
        let told = format!("list_patition_label.txt#line={line}: the same face stands in the list before");
        assert!(skipped.contains(&told), "{skipped:?}");
    }
    // Where labels are not read nothing disagrees.
    let request = ReadRequest { unlabelled: true, ..ReadRequest::new(set.path(), &classes) };
    let all = read("raf-db", &request).unwrap();
    assert_eq!(faces(&all), ["train_00001_aligned.jpg - train -", "train_00002_aligned.jpg - train -"]);
    assert!(rejects(&all).is_empty());
}

#[test]
fn the_original_photographs_are_a_choice() {
    let (set, classes) = (published(), Classes::standard());
    let all = read_with("raf-db", set.path(), &classes, &["images=original"]).unwrap();
    let first = "test_0001.jpg happiness test -";
    assert_eq!((faces(&all)[0].as_str(), all.faces.len()), (first, 4));
    assert_eq!(all.faces[2].image, jpeg(10));
}

#[test]
fn in_numbered_folders_the_numbers_count_from_one() {
    let (set, classes) = (kaggle(), Classes::standard());
    let all = read("raf-db", &ReadRequest::new(set.path(), &classes)).unwrap();
    assert_eq!(
        faces(&all),
        [
            "test_0001_aligned.jpg happiness test -",
            "train_00002_aligned.jpg surprise train -",
            "train_00001_aligned.jpg sadness train -",
        ]
    );
    let request =
        ReadRequest { split: Some(Split::Validation), unlabelled: true, ..ReadRequest::new(set.path(), &classes) };
    let all = read("raf-db", &request).unwrap();
    assert!(all.faces.iter().all(|face| face.given_class.is_none() && face.split == Some(Split::Validation)));
}

#[test]
fn what_is_not_the_basic_subset_is_refused() {
    let classes = Classes::standard();
    let refused =
        |set: &tempfile::TempDir| refusal(read("raf-db", &ReadRequest::new(set.path(), &classes)), set.path());
    let compound = folder(&[
        ("compound/EmoLabel/list_patition_label.txt", "train_0001.jpg 6\ntrain_0002.jpg 10\n".into()),
        ("compound/Image/aligned/train_0001_aligned.jpg", jpeg(1)),
    ]);
    let renamed = folder(&[
        ("RAF/EmoLabel/list_patition_label.txt", "train_0001.jpg 6\ntrain_0002.jpg 10\n".into()),
        ("RAF/Image/aligned/train_0001_aligned.jpg", jpeg(1)),
    ]);
    let without_images = folder(&[("basic/EmoLabel/list_patition_label.txt", LIST.into())]);
    let from_zero = folder(&[("train/0/train_00001_aligned.jpg", jpeg(1))]);
    let other = folder(&[("happy/1.jpg", jpeg(1))]);
    let messages = [&compound, &renamed, &without_images, &from_zero, &other].map(refused);
    insta::assert_snapshot!(messages.join("\n"));
    // Beside the basic subset, the compound one is passed over.
    let both = published();
    write(both.path(), "compound/EmoLabel/list_patition_label.txt", b"train_0001.jpg 10\n");
    write(both.path(), "compound/Image/aligned/train_0001_aligned.jpg", &jpeg(1));
    let all = read("raf-db", &ReadRequest::new(both.path(), &classes)).unwrap();
    assert_eq!(all.faces.len(), 4);
}

#[test]
fn the_published_counts_add_up() {
    let known = reader("raf-db").unwrap().known_counts();
    let sum = |split| known.iter().filter(|count| count.split == split).map(|count| count.count).sum::<usize>();
    assert_eq!((sum(Split::Train), sum(Split::Test)), (12_271, 3068));
}
