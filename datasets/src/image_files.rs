//! Data sets of image files: a reader says by path what each image is, and here the files are visited, read and handed
//! on. Files that are no images by name (labels, landmarks, read-me files) describe the set and are passed over.

use std::collections::{BTreeMap, HashSet};
use std::iter;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use crate::candidate::{Candidate, NO_IMAGE, has_image_extension};
use crate::entries::{Entries, Entry, Found};
use crate::error::Result;
use crate::layout::class_and_split;
use crate::reader::{Item, Sink};
use crate::reading::{Reading, stem};
use crate::reject::{Reason, Reject};
use crate::said::Said;
use crate::source::{archive_source, encode_path};
use crate::split::Split;
use crate::subject::subject_in;
use crate::table::Row;

/// What a reader makes of an image file.
#[derive(Debug)]
pub(crate) enum Meaning {
    /// It shows one face.
    Face(Row),
    /// It shows the faces that lists speak of, each an item of its own.
    Listed(Said),
    /// It is left out, for this reason.
    Skip(String),
    /// It cannot be used.
    Reject(Reason),
}

impl Meaning {
    /// One face of this class, split and person, as far as they are known.
    pub(crate) fn face(label: &str, split: Option<Split>, subject: Option<&str>) -> Self {
        Self::Face(Row {
            label: label.to_owned(),
            split: split.map_or_else(String::new, |split| split.as_str().to_owned()),
            subject: subject.unwrap_or_default().to_owned(),
            ..Row::default()
        })
    }

    pub(crate) fn skip(why: &str) -> Self {
        Self::Skip(why.to_owned())
    }
}

impl Reading<'_> {
    /// Refuses a data set with a class that nobody knows, by paths alone and before anything of it is read.
    pub(crate) fn check_files(&self, entries: &Entries, meaning: impl Fn(&Path) -> Meaning) -> Result<()> {
        let mut known = HashSet::new();
        entries.visit(&mut |found| {
            if let Found::File(entry) = found
                && has_image_extension(&entry.path)
                && let Meaning::Face(row) = meaning(&entry.path)
                && !known.contains(&row.label)
            {
                self.given.given(&row.label, || entry.source.clone())?;
                known.insert(row.label);
            }
            Ok(ControlFlow::Continue(()))
        })
    }

    /// Reads every image file as `meaning` has it. Says whether the sink wants more.
    pub(crate) fn read_files(
        &self,
        entries: &Entries,
        meaning: &mut dyn FnMut(&Path) -> Meaning,
        sink: Sink<'_>,
    ) -> Result<ControlFlow<()>> {
        let mut last = ControlFlow::Continue(());
        entries.visit(&mut |found| {
            let flow = match found {
                Found::Skipped { source, why } => sink(Item::Skipped { source, why: why.to_owned() }),
                Found::Reject(reject) => sink(Item::Reject(reject)),
                Found::File(entry) if !has_image_extension(&entry.path) => ControlFlow::Continue(()),
                Found::File(entry) => match meaning(&entry.path) {
                    Meaning::Face(row) => self.read_faces(entry, iter::once(Ok(row)), sink)?,
                    Meaning::Listed(said) => self.read_faces(entry, said.faces(), sink)?,
                    Meaning::Skip(why) => sink(Item::Skipped { source: entry.source, why }),
                    Meaning::Reject(reason) => sink(Item::Reject(Reject { source: entry.source, reason })),
                },
            };
            last = flow;
            Ok(flow)
        })?;
        Ok(last)
    }

    /// Every image of a list: what each shows, by path below the root. Images that are not listed are skipped, and what is
    /// listed and nowhere to be found is rejected at the end.
    pub(crate) fn read_listed(
        &self,
        entries: &Entries,
        mut listed: BTreeMap<PathBuf, Meaning>,
        unlisted: &dyn Fn(&Path) -> String,
        sink: Sink<'_>,
    ) -> Result<()> {
        let mut meaning = |path: &Path| listed.remove(path).unwrap_or_else(|| Meaning::Skip(unlisted(path)));
        let mut last = self.read_files(entries, &mut meaning, sink)?;
        for path in listed.into_keys() {
            if last.is_break() {
                break;
            }
            last = sink(missing(entries, &path));
        }
        Ok(())
    }

    /// Class folders, `{train,validation,test}/<class>/x.png` or `<class>/x.png`.
    pub(crate) fn read_class_folders(&self, entries: &Entries, sink: Sink<'_>) -> Result<()> {
        let meaning = |path: &Path| {
            let (class, split) = class_and_split(path);
            Meaning::face(class, split, subject_in(stem(path)).as_deref())
        };
        self.check_files(entries, meaning)?;
        self.read_files(entries, &mut { meaning }, sink).map(|_| ())
    }

    /// The faces of one file, which is read once.
    fn read_faces(
        &self,
        entry: Entry<'_>,
        faces: impl Iterator<Item = std::result::Result<Row, Reason>>,
        sink: Sink<'_>,
    ) -> Result<ControlFlow<()>> {
        let source = entry.source.clone();
        let content = match Candidate::read(entry, &self.request.limits) {
            Ok(Candidate::Image(content)) => content,
            Ok(Candidate::Other) => return Ok(sink(Item::Skipped { source, why: NO_IMAGE.to_owned() })),
            Err(reason) => return Ok(sink(Item::Reject(Reject { source, reason }))),
        };
        for face in faces {
            let item = match face {
                Ok(row) => self.item(&row, || Ok(content.clone()), source.clone(), None)?,
                Err(reason) => Item::Reject(Reject { source: source.clone(), reason }),
            };
            if sink(item).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}

/// That a list names an image which is nowhere to be found.
pub(crate) fn missing(entries: &Entries, path: &Path) -> Item {
    let reason = Reason::Unreadable { detail: "no such file".to_owned() };
    Item::Reject(Reject { source: source_of(entries, path), reason })
}

/// The source that a file has or would have.
pub(crate) fn source_of(entries: &Entries, path: &Path) -> String {
    match entries.is_folder() {
        true => encode_path(&entries.root().join(path)),
        false => archive_source(entries.root(), path),
    }
}
