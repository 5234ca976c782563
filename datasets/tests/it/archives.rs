//! Archives are read like the folders they hold, and nothing in them reaches out.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use flate2::write::GzEncoder;
use marginalia_datasets::{Classes, Error, ReadRequest};

use crate::miniatures;
use crate::support::{folder, jpeg, read, rejects, skipped};

const FILES: [(&str, u32); 4] =
    [("set/test/sad/b.jpg", 2), ("set/train/happy/a.jpg", 1), ("set/train/happy/.DS_Store", 3), ("set/notes.txt", 4)];

fn tar_of(files: &[(&str, Vec<u8>)]) -> tar::Builder<Vec<u8>> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mtime(1_000_000);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, &bytes[..]).unwrap();
    }
    tar
}

fn content(name: &str, seed: u32) -> Vec<u8> {
    if name.ends_with(".txt") { b"words".to_vec() } else { jpeg(seed) }
}

fn tar() -> Vec<u8> {
    let files: Vec<_> = FILES.iter().map(|(name, seed)| (*name, content(name, *seed))).collect();
    tar_of(&files).into_inner().unwrap()
}

fn zip_of(files: &[(&str, Vec<u8>)], path: &Path) {
    let mut zip = zip::ZipWriter::new(File::create(path).unwrap());
    for (name, bytes) in files {
        zip.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap();
}

#[test]
fn every_kind_of_archive_reads_like_a_folder() {
    let folder = folder(&[("set.tar", tar())]);
    let at = |name: &str| folder.path().join(name);
    let mut gzip = GzEncoder::new(File::create(at("set.tar.gz")).unwrap(), flate2::Compression::fast());
    gzip.write_all(&tar()).unwrap();
    gzip.finish().unwrap();
    std::fs::copy(at("set.tar.gz"), at("set.tgz")).unwrap();
    let files: Vec<_> = FILES.iter().map(|(name, seed)| (*name, content(name, *seed))).collect();
    zip_of(&files, &at("set.zip"));
    let classes = Classes::standard();
    for name in ["set.tar", "set.tar.gz", "set.tgz", "set.zip"] {
        let all = read("imagefolder", &ReadRequest::new(&at(name), &classes)).unwrap();
        assert_eq!(all.summary(), ["b.jpg sadness test", "a.jpg happiness train"], "{name}");
        assert_eq!(all.faces[1].source, format!("{}!/set/train/happy/a.jpg", at(name).display()));
        assert_eq!((&all.faces[1].image, all.faces[1].size), (&jpeg(1), jpeg(1).len() as u64));
        assert_eq!(all.faces[1].dataset, "set");
        assert_eq!(all.faces[1].mtime.is_some(), name != "set.zip");
        assert_eq!(all.skipped.len(), 2, "{name}");
        let fer = read("fer2013", &ReadRequest::new(&at(name), &classes)).unwrap();
        assert_eq!(fer.summary(), all.summary());
    }
}

#[test]
fn metadata_in_an_archive_speaks_for_its_files() {
    let rows = b"file_name,label\nb.jpg,fear\na.jpg,anger\n".to_vec();
    let files =
        [("train/a.jpg", jpeg(1)), ("train/b.jpg", jpeg(2)), ("train/c.jpg", jpeg(3)), ("train/metadata.csv", rows)];
    let folder = folder(&[("set.tar", tar_of(&files).into_inner().unwrap())]);
    let classes = Classes::standard();
    let all = read("imagefolder", &ReadRequest::new(&folder.path().join("set.tar"), &classes)).unwrap();
    assert_eq!(all.summary(), ["a.jpg anger train", "b.jpg fear train"]);
    assert_eq!(all.skipped[0].1, "not listed in the metadata");
}

#[test]
fn rows_of_metadata_in_an_archive_are_all_told() {
    let csv = "file_name,label,annotator,x,y,width,height\n\
        a.jpg,anger,,,,,\n\
        b.jpg,fear,,,,,\n\
        a.jpg,ANGRY,,,,,\n\
        b.jpg,sad,,,,,\n\
        c.jpg,fear,anna,,,,\n\
        c.jpg,sad,ben,,,,\n\
        d.jpg,fear,,0,0,16,16\n\
        d.jpg,sad,,16,16,16,16\n\
        e.jpg,fear,,0,,,\n\
        missing.jpg,fear,,,,,\n";
    let image = |name, seed| (name, jpeg(seed));
    let images =
        [image("t/a.jpg", 1), image("t/b.jpg", 2), image("t/c.jpg", 3), image("t/d.jpg", 4), image("t/e.jpg", 5)];
    let files = [&images[..], &[("t/metadata.csv", csv.as_bytes().to_vec())]].concat();
    let folder = folder(&[("set.tar", tar_of(&files).into_inner().unwrap())]);
    let (path, classes) = (folder.path().join("set.tar"), Classes::standard());
    let all = read("imagefolder", &ReadRequest::new(&path, &classes)).unwrap();
    // Two people may differ, and two boxes are two faces.
    assert_eq!(all.summary(), ["a.jpg anger -", "c.jpg fear -", "c.jpg sadness -", "d.jpg fear -", "d.jpg sadness -"]);
    let line = |number| format!("{}!/t/metadata.csv#line={number}", path.display());
    let (second, fourth) = (line(3), line(5));
    let disagree = format!("its labels disagree, `fear` in {second} and `sad` in {fourth}; keep the one that is right");
    assert_eq!(
        rejects(&all),
        [
            "metadata.csv#line=10: the row does not work: the box needs numbers for x, y, width and height, not `0, , , `",
            &format!("b.jpg: the image has no label that can be read: {disagree}"),
            "missing.jpg: the file cannot be read: no such file",
        ]
    );
    assert_eq!(
        skipped(&all),
        ["e.jpg: not listed in the metadata", "metadata.csv#line=4: the same face stands in the list before"]
    );
}

#[test]
fn pixels_in_an_archive_are_streamed() {
    let pixels = vec!["7"; 2304].join(" ");
    let csv = format!("emotion,pixels,Usage\n3,{pixels},Training\n").into_bytes();
    let folder = folder(&[("fer2013.tar", tar_of(&[("fer2013/fer2013.csv", csv)]).into_inner().unwrap())]);
    let (path, classes) = (folder.path().join("fer2013.tar"), Classes::standard());
    let all = read("fer2013", &ReadRequest::new(&path, &classes)).unwrap();
    assert_eq!(all.faces[0].source, format!("{}!/fer2013/fer2013.csv#row=0", path.display()));
    assert_eq!(all.faces[0].given_class.as_deref(), Some("happiness"));
}

#[test]
fn entries_that_climb_out_and_links_are_passed_over() {
    let mut tar = tar_of(&[("happy/1.jpg", jpeg(1))]);
    for (name, kind) in [("happy/link.jpg", tar::EntryType::Symlink), ("happy/hard.jpg", tar::EntryType::Link)] {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(0);
        tar.append_link(&mut header, name, "/etc/passwd").unwrap();
    }
    for name in ["../outside.jpg", "/absolute.jpg", "happy/../../up.jpg"] {
        // The builder refuses such names, so the header is filled in by hand.
        let mut header = tar::Header::new_gnu();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_size(jpeg(2).len() as u64);
        header.set_entry_type(tar::EntryType::Regular);
        header.set_cksum();
        tar.append(&header, &jpeg(2)[..]).unwrap();
    }
    let folder = folder(&[("set.tar", tar.into_inner().unwrap())]);
    let zip = folder.path().join("set.zip");
    zip_of(&[("happy/1.jpg", jpeg(1)), ("../outside.jpg", jpeg(2)), ("happy\\..\\..\\up.jpg", jpeg(2))], &zip);
    let classes = Classes::standard();
    for (name, passed_over) in [("set.tar", 5), ("set.zip", 2)] {
        let all = read("imagefolder", &ReadRequest::new(&folder.path().join(name), &classes)).unwrap();
        assert_eq!(all.summary(), ["1.jpg happiness -"], "{name}");
        assert_eq!(all.skipped.len(), passed_over, "{name}: {:?}", all.skipped);
    }
}

#[test]
fn an_entry_over_the_limit_is_a_reject() {
    let folder = folder(&[(
        "set.tar",
        tar_of(&[("happy/1.jpg", vec![0; 9000]), ("happy/2.jpg", jpeg(1))]).into_inner().unwrap(),
    )]);
    let (path, classes) = (folder.path().join("set.tar"), Classes::standard());
    let mut request = ReadRequest::new(&path, &classes);
    request.limits.max_file_bytes = 8000;
    let all = read("imagefolder", &request).unwrap();
    assert_eq!(all.summary(), ["2.jpg happiness -"]);
    assert_eq!(all.rejects[0].code(), "too_many_bytes");
}

#[test]
fn a_damaged_archive_is_an_error() {
    let whole = tar();
    let folder = folder(&[("cut.tar", whole[..700].to_vec()), ("cut.zip", b"PK\x03\x04 and nothing".to_vec())]);
    let mut gzip = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&whole).unwrap();
    let gzip = gzip.finish().unwrap();
    crate::support::write(folder.path(), "cut.tar.gz", &gzip[..gzip.len() / 2]);
    let classes = Classes::standard();
    for name in ["cut.tar", "cut.zip", "cut.tar.gz"] {
        let result = read("imagefolder", &ReadRequest::new(&folder.path().join(name), &classes));
        assert!(matches!(result, Err(Error::Archive { .. })), "{name}: {result:?}");
    }
}

#[test]
fn every_set_is_read_from_an_archive_as_from_its_folder() {
    let mut sets = miniatures::sets();
    // Its lists and its annotations are read from folders alone.
    sets.retain(|(format, _)| *format != "affectnet");
    let classes = Classes::with_contempt();
    let archives = folder(&[]);
    for (i, (format, set)) in sets.iter().enumerate() {
        let archive = archives.path().join(format!("{i}.tar"));
        let mut tar = tar::Builder::new(File::create(&archive).unwrap());
        tar.append_dir_all("set", set.path()).unwrap();
        tar.finish().unwrap();
        let [of_folder, of_archive] = [set.path(), &archive].map(|path| {
            let all =
                read(format, &ReadRequest::new(path, &classes)).unwrap_or_else(|error| panic!("{format}: {error}"));
            let images = all.faces.iter().map(|face| (face.image.clone(), face.bbox, face.votes.clone()));
            let mut faces: Vec<_> = crate::support::faces(&all).into_iter().zip(images).collect();
            let mut rejects = crate::support::rejects(&all);
            faces.sort();
            rejects.sort();
            (faces, rejects)
        });
        assert!(!of_folder.0.is_empty(), "{format}");
        assert!(of_folder == of_archive, "{format}: {:?} {:?}", of_folder.1, of_archive.1);
    }
}
