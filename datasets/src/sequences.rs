//! Sequences of frames that begin with a neutral face and end at the height of an expression (CK+, Oulu-CASIA).

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use crate::candidate::has_image_extension;
use crate::entries::{Entries, Found};
use crate::error::Result;
use crate::options::{OptionValues, ReaderOption};
use crate::reading::stem;

/// How many frames from the end show the expression.
pub(crate) const FRAMES: ReaderOption = ReaderOption {
    name: "frames",
    values: OptionValues::Whole(1, 100),
    default: "3",
    about: "how many frames from the end of each sequence are read with its expression",
};

/// Frames by sequence, in the order they were taken, whatever order they are met in. Their numbers may begin anywhere
/// and have gaps.
#[derive(Debug)]
pub(crate) struct Sequences {
    frames: BTreeMap<PathBuf, Vec<(u64, PathBuf)>>,
}

/// The frames that are used of one sequence.
#[derive(Debug)]
pub(crate) struct Ends<'s> {
    /// Folder, or whatever else stands for the sequence.
    pub sequence: &'s Path,
    /// Where it begins; `None` where that frame is among the last ones.
    pub first: Option<&'s Path>,
    pub last: Vec<&'s Path>,
}

impl Sequences {
    /// Every image file for which `sequence_of` has a sequence.
    pub(crate) fn of(entries: &Entries, sequence_of: impl Fn(&Path) -> Option<PathBuf>) -> Result<Self> {
        let mut frames: BTreeMap<PathBuf, Vec<(u64, PathBuf)>> = BTreeMap::new();
        entries.visit(&mut |found| {
            if let Found::File(entry) = found
                && has_image_extension(&entry.path)
                && let Some(sequence) = sequence_of(&entry.path)
            {
                frames.entry(sequence).or_default().push((frame_number(&entry.path), entry.path));
            }
            Ok(ControlFlow::Continue(()))
        })?;
        frames.values_mut().for_each(|frames| frames.sort());
        Ok(Self { frames })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Every frame.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.frames.values().flatten().map(|(_, path)| path.as_path())
    }

    /// The first frame and the last `count` of every sequence.
    pub(crate) fn ends(&self, count: usize) -> impl Iterator<Item = Ends<'_>> {
        self.frames.iter().map(move |(sequence, frames)| {
            let (before, last) = frames.split_at(frames.len().saturating_sub(count));
            Ends {
                sequence,
                first: before.first().map(|(_, path)| path.as_path()),
                last: last.iter().map(|(_, path)| path.as_path()).collect(),
            }
        })
    }
}

/// The number that a file name ends with; 0 without one.
fn frame_number(frame: &Path) -> u64 {
    let name = stem(frame);
    let digits = name.len() - name.trim_end_matches(|c: char| c.is_ascii_digit()).len();
    name[name.len() - digits..].parse().unwrap_or(0)
}
