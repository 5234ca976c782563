//! What the lists of a data set say of an image. In go their lines with the classes they give, out comes a row for
//! each face. A line that repeats another is told apart from one that contradicts it: which of two classes is right
//! nobody can say, so that a face with both has none.

use crate::given_class::Given;
use crate::reject::Reason;
use crate::table::Row;

/// Why a line was left out that says what another has said.
pub(crate) const SAID_BEFORE: &str = "the same face stands in the list before";

/// The faces of one image, in the order in which they are first listed.
#[derive(Debug, Default)]
pub(crate) struct Said {
    faces: Vec<Vec<Line>>,
}

/// The first line that gives a face its class.
#[derive(Debug)]
struct Line {
    source: String,
    given: Given,
    row: Row,
}

impl Said {
    /// Takes a line in; `false` where the same was said before. A row that differs in more than its class is another
    /// face or another person's word.
    pub(crate) fn add(&mut self, source: String, given: Given, row: Row) -> bool {
        let line = Line { source, given, row };
        let is_same_face = |lines: &&mut Vec<Line>| lines.iter().any(|before| before.row.is_same_face(&line.row));
        match self.faces.iter_mut().find(is_same_face) {
            None => self.faces.push(vec![line]),
            Some(lines) if lines.iter().any(|before| before.given == line.given) => return false,
            Some(lines) => lines.push(line),
        }
        true
    }

    /// Each face's row, or that its lines disagree.
    pub(crate) fn faces(self) -> impl Iterator<Item = std::result::Result<Row, Reason>> {
        self.faces.into_iter().map(|lines| match <[Line; 1]>::try_from(lines) {
            Ok([line]) => Ok(line.row),
            Err(lines) => {
                let said: Vec<_> =
                    lines.iter().map(|line| format!("`{}` in {}", line.row.label, line.source)).collect();
                let detail = format!("its labels disagree, {}; keep the one that is right", said.join(" and "));
                Err(Reason::NoLabel { detail })
            }
        })
    }
}
