//! Tables that list images and may be too large to hold. In goes a table, which is gone through more than once. Out
//! comes each face that it lists, once: lines that repeat or contradict others are told apart as [`Said`] does it. Held
//! are a number for every line, and the lines about faces that have more than one.

use std::collections::{BTreeMap, HashSet};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use crate::error::Result;
use crate::given_class::GivenClasses;
use crate::reader::Item;
use crate::reject::{Reason, Reject};
use crate::said::{SAID_BEFORE, Said};
use crate::source::encode_path;
use crate::table::{Row, RowVisit};

/// What a line of a table comes to.
pub(crate) enum Line {
    /// A face.
    Face(Row),
    /// The first of several that disagree about a face.
    Contradicted(Row, Reason),
    /// No face of its own.
    Other(Item),
}

/// Goes through the rows of a table, from the first whenever it is called.
pub(crate) type Rows<'r> = &'r dyn Fn(RowVisit<'_>) -> Result<()>;

/// Visits the lines of a table until the visitor breaks or fails.
///
/// # Errors
/// The visitor's own, a table that cannot be read and a class that nobody knows.
pub(crate) fn visit_lines(
    table: &Path,
    rows: Rows<'_>,
    given: &GivenClasses<'_>,
    visit: &mut dyn FnMut(Line) -> Result<ControlFlow<()>>,
) -> Result<()> {
    let source = |line: u64| format!("{}#line={line}", encode_path(table));
    let repeated = repeated(rows)?;
    let (mut said, mut repeats) = (BTreeMap::<PathBuf, Said>::new(), HashSet::new());
    if !repeated.is_empty() {
        rows(&mut |line, row| {
            if let Ok(row) = row
                && repeated.contains(&row.face_hash())
            {
                let class = given.given(&row.label, || source(line))?;
                if !said.entry(row.path.clone()).or_default().add(source(line), class, row) {
                    repeats.insert(line);
                }
            }
            Ok(ControlFlow::Continue(()))
        })?;
    }
    rows(&mut |line, row| {
        let row = match row {
            Err(reason) => return visit(Line::Other(Item::Reject(Reject { source: source(line), reason }))),
            Ok(_) if repeats.contains(&line) => {
                return visit(Line::Other(Item::Skipped { source: source(line), why: SAID_BEFORE.to_owned() }));
            }
            Ok(row) if !repeated.contains(&row.face_hash()) => return visit(Line::Face(row)),
            Ok(row) => row,
        };
        // The first line about an image speaks for all that are held, so that a later one finds nothing.
        for face in said.remove(&row.path).into_iter().flat_map(Said::faces) {
            let line = face.map_or_else(|reason| Line::Contradicted(row.clone(), reason), Line::Face);
            if visit(line)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    })
}

/// Hashes of the faces that more than one row is about.
fn repeated(rows: Rows<'_>) -> Result<HashSet<u64>> {
    let mut hashes = Vec::new();
    rows(&mut |_, row| {
        if let Ok(row) = row {
            hashes.push(row.face_hash());
        }
        Ok(ControlFlow::Continue(()))
    })?;
    hashes.sort_unstable();
    Ok(hashes.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).collect())
}
