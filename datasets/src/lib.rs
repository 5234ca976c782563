//! Where faces come from. A [`Reader`] turns a folder, archive or table into [`Record`]s; [`admit`] turns a record's
//! bytes into a [`Face`] or says why not. Along the way: class names and numbers, splits, label budgets and seeded
//! draws, groups of near copies, and synthetic faces for when there are no real ones.
//!
//! ```
//! use std::ops::ControlFlow;
//! use marginalia_datasets::{Classes, Item, Limits, ReadRequest, admit, reader};
//!
//! # let folder = tempfile::tempdir()?;
//! # std::fs::create_dir(folder.path().join("happy"))?;
//! # let face = marginalia_datasets::SyntheticFaces::new(1, 48, &Classes::standard()).face(0);
//! # std::fs::write(folder.path().join("happy/1.png"), face.png())?;
//! # let path = folder.path();
//! let classes = Classes::standard();
//! let mut seen = Vec::new();
//! reader("imagefolder")?.read(&ReadRequest::new(path, &classes), &mut |item| {
//!     if let Item::Face(record) = item {
//!         match admit(record.image, &Limits::default()) {
//!             Ok(face) => seen.push((face.face_id, record.given_class)),
//!             Err(reason) => eprintln!("{}: {reason}", record.source),
//!         }
//!     }
//!     ControlFlow::Continue(())
//! })?;
//! assert_eq!(seen[0].1.as_deref(), Some("happiness"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod error;

// What labels mean.
mod class_map;
mod classes;
mod given_class;
mod split;

// Files, one after the other.
mod archive;
mod candidate;
mod entries;
mod file;
mod glimpse;
mod source;

// Data sets.
mod counts;
mod image_files;
mod layout;
mod lines;
mod listed;
mod npy;
mod options;
mod pixel_text;
mod reader;
mod readers;
mod reading;
mod recognise;
mod said;
mod sequences;
mod subject;
mod table;
mod vote_table;
mod votes;

// Admission: bytes to faces.
mod admission;
mod decode;
mod encode;
mod format;
mod limits;
mod perceptual;
mod reject;
mod thumbnail;
mod tiff;

// Choosing among faces.
mod draw;
mod groups;
mod labels;
mod near;

mod synthetic;

pub use admission::{Face, admit, face_id};
pub use candidate::{Candidate, has_image_extension, skip_reason};
pub use class_map::ClassMap;
pub use classes::Classes;
pub use counts::{CountDifference, KnownCount, count_differences};
pub use decode::decode;
pub use draw::{Draw, draw_key};
pub use encode::encode_png;
pub use entries::{Entries, Entry, FileFacts, Found};
pub use error::{Error, Place, Result};
pub use file::{FileContent, read_file};
pub use format::Format;
pub use glimpse::Glimpse;
pub use groups::groups_sharing;
pub use labels::LabelBudget;
pub use limits::Limits;
pub use near::near_groups;
pub use options::{OptionValues, Options, ReaderOption};
pub use perceptual::{PERCEPTUAL_HASH, perceptual_hash};
pub use reader::{Item, ReadRequest, Reader, Record, Sink, reader, readers};
pub use recognise::{Recognised, recognise};
pub use reject::{Reason, Reject};
pub use source::{decode_path, encode_path};
pub use split::{HoldOut, Split};
pub use synthetic::{SyntheticFace, SyntheticFaces};
pub use thumbnail::thumbnail;
