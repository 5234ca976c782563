//! Any bytes as one image: refused or admitted, within the limits, twice the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use marginalia_datasets::{admit, decode};
use marginalia_fuzz::{LIMITS, only_what_gets_out};

fuzz_target!(init: only_what_gets_out(), |bytes: &[u8]| {
    let first = admit(bytes.to_vec(), &LIMITS);
    assert_eq!(first, admit(bytes.to_vec(), &LIMITS));
    match (first, decode(bytes, &LIMITS)) {
        (Ok(face), Ok(pixels)) => {
            assert!(face.width <= LIMITS.max_side && face.height <= LIMITS.max_side);
            assert_eq!((face.width, face.height), pixels.dimensions());
            assert_eq!(face.image, bytes);
        }
        (Err(_), Err(_)) => {}
        (admitted, decoded) => panic!("admission and decoder disagree: {admitted:?}, {}", decoded.is_ok()),
    }
});
