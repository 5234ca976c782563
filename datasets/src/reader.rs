//! What every data set reader takes and gives. Data goes from a path, entry by entry, into a sink that may stop it;
//! nothing is collected on the way.

use std::ops::ControlFlow;
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::class_map::ClassMap;
use crate::classes::Classes;
use crate::entries::Entries;
use crate::error::{Error, Result};
use crate::glimpse::Glimpse;
use crate::limits::Limits;
use crate::options::{Options, ReaderOption};
use crate::reject::Reject;
use crate::split::Split;

/// One face as the data set has it: bytes not looked at yet, and all that the set says about them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Record {
    /// Where it was seen: the path as given and found, encoded by [`encode_path`](crate::encode_path);
    /// `archive.tar!/inner/path` inside an archive; `file.csv#row=N` for the Nth data row, from 0, of a table that
    /// holds pixels.
    pub source: String,
    /// The file's bytes, or a PNG where the reader made the image (csv pixels, a crop by box, a TIFF).
    pub image: Vec<u8>,
    /// The class by its name in the corpus.
    pub given_class: Option<String>,
    pub split: Option<Split>,
    /// The person, where the data set says who.
    pub subject: Option<String>,
    /// How many people said which class, in the order of the corpus's classes, where the data set keeps that. Their
    /// shares are the soft target; people who said anything else are left out.
    pub votes: Option<Vec<u32>>,
    /// Who labelled it, where a table says who.
    pub annotator: Option<String>,
    /// How long that took, where it says.
    pub lead_time: Option<Duration>,
    /// A person judged this very face, in another tool; otherwise the class is the data set's word.
    pub is_judged_by_person: bool,
    /// The label of a corpus that an export of ours made it from.
    pub label_id: Option<String>,
    /// Somebody changed it there since.
    pub is_changed: bool,
    /// The data set's name.
    pub dataset: String,
    /// Size of the file (of the table, for rows that hold pixels), in bytes.
    pub size: u64,
    pub mtime: Option<SystemTime>,
    pub inode: Option<u64>,
    /// BLAKE3 of what `image` was made from, where the reader made it: the row's pixel text, the uncropped file, or the
    /// TIFF.
    pub source_hash: Option<String>,
    /// The part of the file that `image` shows: x, y, width and height in pixels of the upright image.
    pub bbox: Option<[u32; 4]>,
}

/// What a reader hands to its sink.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "one passes at a time, and nearly all are faces")]
pub enum Item {
    Face(Record),
    /// Should have been a face and is not.
    Reject(Reject),
    /// Was never meant to be one, or is left out on purpose.
    Skipped {
        source: String,
        why: String,
    },
}

/// What to read and how to understand it. Make one with [`ReadRequest::new`] and set what differs.
#[derive(Debug, Clone, Copy)]
pub struct ReadRequest<'a> {
    pub path: &'a Path,
    pub classes: &'a Classes,
    /// What numbers mean as classes; without it a number is an error.
    pub class_map: Option<&'static ClassMap>,
    pub limits: Limits,
    /// Puts every face into this split, whatever the data set says.
    pub split: Option<Split>,
    /// Ignores every class the data set gives: names are neither resolved nor checked.
    pub unlabelled: bool,
    /// What was chosen where the reader leaves a choice; see [`Options::of`].
    pub options: &'a Options,
}

impl<'a> ReadRequest<'a> {
    /// A request with default limits, and the data set's own labels and splits.
    pub fn new(path: &'a Path, classes: &'a Classes) -> Self {
        let (limits, options) = (Limits::default(), Options::none());
        Self { path, classes, class_map: None, limits, split: None, unlabelled: false, options }
    }

    /// The files of a set that is a folder or an archive; `expected` says to whoever gave another path what that is.
    pub(crate) fn entries(&self, reader: &'static str, expected: &'static str) -> Result<Entries> {
        Entries::open(self.path)?.ok_or_else(|| self.refused(reader, expected))
    }

    /// That the path is not what this reader takes.
    pub(crate) fn refused(&self, reader: &'static str, expected: &'static str) -> Error {
        Error::NotADataset { path: self.path.to_owned(), reader, expected }
    }
}

/// Where items go. `Break` stops the reading, which is no error.
pub type Sink<'s> = &'s mut dyn FnMut(Item) -> ControlFlow<()>;

/// A data set format.
pub trait Reader: Send + Sync {
    /// The word for it on the command line.
    fn name(&self) -> &'static str;

    /// One line for people: what layout it reads.
    fn about(&self) -> &'static str;

    /// The choices that it leaves to whoever imports.
    fn options(&self) -> &'static [ReaderOption] {
        &[]
    }

    /// Why a path looks like this format, as a sentence without its full stop; `None` where it does not. Numbers as
    /// folder names are no evidence: they mean another class in every set.
    fn evidence(&self, glimpse: &Glimpse) -> Option<String>;

    /// Whether many data sets share this layout, so that evidence for one set goes before it.
    fn is_general(&self) -> bool {
        false
    }

    /// Reads everything at the request's path into the sink, in an order that is always the same.
    ///
    /// # Errors
    /// What makes the whole undertaking pointless: nothing there, another format, a class nobody knows (found before
    /// the first item), a damaged archive. A bad image or row is an [`Item::Reject`].
    fn read(&self, request: &ReadRequest<'_>, sink: Sink<'_>) -> Result<()>;

    /// Published counts of the data set, if the format belongs to one; see
    /// [`count_differences`](crate::count_differences).
    fn known_counts(&self) -> &'static [crate::counts::KnownCount] {
        &[]
    }
}

/// Every format there is.
pub fn readers() -> &'static [&'static dyn Reader] {
    crate::readers::ALL
}

/// The format of that name, in any case.
///
/// # Errors
/// An unknown name is refused with the list of formats.
pub fn reader(name: &str) -> Result<&'static dyn Reader> {
    readers().iter().copied().find(|reader| reader.name().eq_ignore_ascii_case(name.trim())).ok_or_else(|| {
        let known = readers().iter().map(|reader| reader.name()).collect::<Vec<_>>().join(", ");
        Error::UnknownReader { name: name.to_owned(), known }
    })
}
