//! What the targets share: limits that keep an input cheap, and a reading of a whole data set.

#[cfg(feature = "texts")]
pub mod table;

use std::ops::ControlFlow;
use std::path::Path;

use marginalia_datasets::{ClassMap, Classes, Item, Limits, ReadRequest, admit, reader};

/// Small enough that no input is slow: what is tried is whether the limits hold.
pub const LIMITS: Limits = Limits { max_file_bytes: 1 << 20, min_side: 1, max_side: 1024, max_decoded_bytes: 4 << 20 };

/// Panics inside a decoder are caught where it is called, and are a reason of refusal; only those that get out are findings.
pub fn only_what_gets_out() {
    std::panic::set_hook(Box::new(|_| ()));
}

/// Reads a path as a data set of this format, and looks at every face of it.
pub fn read_all(format: &str, path: &Path, numbers_mean: Option<&'static ClassMap>) {
    let classes = Classes::standard();
    let mut request = ReadRequest::new(path, &classes);
    request.limits = LIMITS;
    request.class_map = numbers_mean;
    let Ok(reader) = reader(format) else { panic!("no reader {format}") };
    // An error is an answer too, as long as it comes.
    let _ = reader.read(&request, &mut |item| {
        if let Item::Face(record) = item {
            assert!(record.image.len() as u64 <= LIMITS.max_file_bytes.max(LIMITS.max_decoded_bytes));
            let _ = admit(record.image, &LIMITS);
        }
        ControlFlow::Continue(())
    });
}
