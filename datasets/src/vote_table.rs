//! FER+'s `fer2013new.csv`: `Usage,Image name` and ten columns of votes, one row for each row of FER2013.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::split::Split;
use crate::table::{TableStream, column, open_csv};
use crate::votes::{CHOICES, Votes};

/// The table, read row by row.
pub(crate) struct VoteTable {
    path: PathBuf,
    csv: csv::Reader<TableStream<BufReader<File>>>,
    part: usize,
    name: usize,
    choices: [usize; CHOICES.len()],
    row: csv::ByteRecord,
}

/// One row.
#[derive(Debug, Clone)]
pub(crate) struct VoteRow {
    /// `Training`, `PublicTest` or `PrivateTest`.
    pub part: String,
    /// `fer0000000.png`; empty where nobody saw a face. No row number, and not distinct.
    pub name: String,
    pub votes: std::result::Result<Votes, String>,
}

impl VoteTable {
    /// # Errors
    /// A table that cannot be read or lacks one of FER+'s columns.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map(BufReader::new).map_err(Error::io(path))?;
        let (csv, header) = open_csv(path, file)?;
        let missing = |wanted| Error::MissingColumn { path: path.to_owned(), wanted, found: header.join(", ") };
        let part = column(&header, &["usage"]).ok_or_else(|| missing("`Usage`"))?;
        let name = column(&header, &["image name"]).ok_or_else(|| missing("`Image name`"))?;
        let mut choices = [0; CHOICES.len()];
        for (i, choice) in CHOICES.iter().enumerate() {
            choices[i] = column(&header, &[choice]).ok_or_else(|| missing(choice))?;
        }
        Ok(Self { path: path.to_owned(), csv, part, name, choices, row: csv::ByteRecord::new() })
    }

    /// The next row, or `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<VoteRow>> {
        let more = self.csv.read_byte_record(&mut self.row);
        if !more.map_err(|source| Error::Table { path: self.path.clone(), source })? {
            return Ok(None);
        }
        let field = |i: usize| self.row.get(i).unwrap_or_default();
        let text = |i: usize| String::from_utf8_lossy(field(i)).trim().to_owned();
        let votes = Votes::parse(self.choices.iter().map(|&i| field(i)));
        Ok(Some(VoteRow { part: text(self.part), name: text(self.name), votes }))
    }
}

/// The split that FER+ reads a part of FER2013 as.
pub(crate) fn split_of_part(part: &str) -> Option<Split> {
    match part.to_ascii_lowercase().as_str() {
        "training" => Some(Split::Train),
        "publictest" => Some(Split::Validation),
        "privatetest" => Some(Split::Test),
        _ => None,
    }
}
