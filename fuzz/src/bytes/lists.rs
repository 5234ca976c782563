//! Any bytes as the list, the label or the photograph that a published data set has in one place, by the first byte.

#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use marginalia_fuzz::{only_what_gets_out, read_all};

/// Format, where the bytes go, and where the format expects a photograph.
const PLACES: &[(&str, &str, &str)] = &[
    ("raf-db", "EmoLabel/list_patition_label.txt", "Image/aligned/train_00001_aligned.jpg"),
    ("affectnet", "Manually_Annotated_file_lists/training.csv", "Manually_Annotated_Images/1/a.jpg"),
    ("affectnet", "train_set/annotations/0_exp.npy", "train_set/images/0.jpg"),
    ("expw", "label/label.lst", "image/origin/a.jpg"),
    ("ferplus", "FER2013Train/label.csv", "FER2013Train/fer0000000.png"),
    ("ferplus", "fer2013new.csv", "fer2013.csv"),
    ("ck-plus", "Emotion/S005/001/S005_001_00000011_emotion.txt", "cohn-kanade-images/S005/001/S005_001_00000011.png"),
    ("jaffe", "KA.AN1.39.tiff", "KA.HA1.40.tiff"),
    ("kdef", "AF01/AF01ANS.JPG", "AF01/AF01HAS.JPG"),
];

/// A photograph that decodes.
const PHOTOGRAPH: &[u8] = include_bytes!("../../corpus/image/grey.png");

fuzz_target!(init: only_what_gets_out(), |bytes: &[u8]| {
    let Some((kind, bytes)) = bytes.split_first() else { return };
    let (format, place, photograph) = PLACES[usize::from(*kind) % PLACES.len()];
    let folder = tempfile::tempdir().expect("a folder");
    let write = |place: &str, bytes: &[u8]| {
        let path = folder.path().join(place);
        std::fs::create_dir_all(path.parent().unwrap_or(Path::new("/"))).expect("a folder");
        std::fs::write(path, bytes).expect("a file");
    };
    write(photograph, PHOTOGRAPH);
    write(place, bytes);
    read_all(format, folder.path(), None);
});
