//! FER+ (Barsoum et al., ICMI 2016): ten votes for each image of FER2013, in three forms.
//!
//! - `fer2013new.csv` in one folder with `fer2013.csv`: joined row by row, because the names in it are no row numbers.
//! - The folders that its own script makes: `{FER2013Train,FER2013Valid,FER2013Test}/label.csv` with PNGs beside it.
//! - FER2013's images as files, with `ferplus-files.csv` (`image_name,split,file,identical`) and the votes in or beside the
//!   folder or archive: the files are known by name. Images that others are identical to are left out, because nobody
//!   can tell whose votes are whose.
//!
//! `Training` is read as train, `PublicTest` as validation and `PrivateTest` as test, which is what FER+ calls them.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::fs::File;
use std::io::BufReader;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use super::fer2013::Fer2013;
use crate::candidate::has_image_extension;
use crate::counts::{KnownCount, joined};
use crate::entries::Entries;
use crate::error::{Error, Result};
use crate::file::FileContent;
use crate::glimpse::Glimpse;
use crate::image_files::{Meaning, source_of};
use crate::layout::Layout;
use crate::options::{OptionValues, ReaderOption};
use crate::reader::{Item, ReadRequest, Reader, Record, Sink};
use crate::reading::Reading;
use crate::reject::{Reason, Reject};
use crate::split::Split;
use crate::table::{Row, column, open_csv};
use crate::vote_table::{VoteRow, VoteTable, split_of_part};
use crate::votes::{CHOICES, VoteMode, Votes};

pub(super) struct FerPlus;

const NAME: &str = "ferplus";
const PIXELS: &str = "fer2013.csv";
const FILES: &str = "ferplus-files.csv";
/// The votes as published, and as they are named where they lie beside other tables.
const VOTES: [&str; 2] = ["fer2013new.csv", "ferplus-labels.csv"];
const LABELS: &str = "label.csv";

const MODE: ReaderOption = ReaderOption {
    name: "votes",
    values: OptionValues::OneOf(&["majority", "probability", "crossentropy", "multi_target"]),
    default: "majority",
    about: "which votes make the label, as FER+'s code names it; probability and crossentropy keep the same votes",
};

impl Reader for FerPlus {
    fn name(&self) -> &'static str {
        NAME
    }

    fn about(&self) -> &'static str {
        "FER+: fer2013new.csv beside fer2013.csv, or FER2013Train/label.csv with its PNGs"
    }

    fn options(&self) -> &'static [ReaderOption] {
        &[MODE]
    }

    fn evidence(&self, glimpse: &Glimpse) -> Option<String> {
        if let Some(votes) = VOTES.iter().find_map(|name| glimpse.named(name)) {
            return Some(format!("`{}` has FER+'s votes", votes.display()));
        }
        let labels = glimpse.find(is_label_table)?;
        Some(format!("`{}` has FER+'s votes", labels.display()))
    }

    fn read(&self, request: &ReadRequest<'_>, sink: Sink<'_>) -> Result<()> {
        let expected = "a folder with fer2013new.csv and fer2013.csv, a folder or archive with FER2013Train/label.csv and \
                        its PNGs, or FER2013's image files with ferplus-files.csv and the votes in or beside them";
        let entries = request.entries(NAME, expected)?;
        let mode = match request.options.word(&MODE) {
            "majority" => VoteMode::Majority,
            "multi_target" => VoteMode::MultiTarget,
            _ => VoteMode::Distribution,
        };
        let reading = Judged { reading: Reading::of(request, NAME), mode };
        let layout = Layout::of(&entries, is_label_table)?;
        let has_images = |table: &PathBuf| table.parent().is_some_and(|folder| layout.folders.contains(folder));
        if layout.tables.iter().any(has_images) {
            return reading.training_form(&entries, sink);
        }
        let folder = if entries.is_folder() { request.path } else { request.path.parent().unwrap_or(Path::new("")) };
        let votes = VOTES.iter().map(|name| folder.join(name)).find(|path| path.is_file());
        let votes = votes.ok_or_else(|| request.refused(NAME, expected))?;
        let (pixels, files) = (folder.join(PIXELS), folder.join(FILES));
        if entries.is_folder() && pixels.is_file() {
            return reading.rows(&votes, &pixels, sink);
        }
        if files.is_file() && layout.folders.iter().next().is_some() {
            return reading.files(&entries, &votes, &files, sink);
        }
        Err(request.refused(NAME, expected))
    }

    fn known_counts(&self) -> &'static [KnownCount] {
        &COUNTS
    }
}

/// `FER2013Train/label.csv` and the like.
fn is_label_table(path: &Path) -> bool {
    part_of(path).is_some() && path.file_name() == Some(OsStr::new(LABELS))
}

/// The split that the folder of the training form stands for.
fn part_of(path: &Path) -> Option<Split> {
    let folder = path.parent()?.file_name()?.to_str()?;
    Split::parse(folder.strip_prefix("FER2013")?)
}

/// A reading with the mode that votes are understood in.
struct Judged<'r> {
    reading: Reading<'r>,
    mode: VoteMode,
}

impl Judged<'_> {
    /// What votes make of an image.
    fn meaning(&self, votes: std::result::Result<Votes, String>, split: Option<Split>) -> Meaning {
        match self.row(votes, split) {
            Ok(Ok(row)) => Meaning::Face(row),
            Ok(Err(why)) => Meaning::Skip(why),
            Err(reason) => Meaning::Reject(reason),
        }
    }

    /// The row that votes make, or why the image is left out.
    fn row(
        &self,
        votes: std::result::Result<Votes, String>,
        split: Option<Split>,
    ) -> std::result::Result<std::result::Result<Row, String>, Reason> {
        let votes = votes.map_err(|detail| Reason::NoLabel { detail })?;
        let split = split.map_or_else(String::new, |split| split.as_str().to_owned());
        Ok(votes.row(self.mode, self.reading.request.classes).map(|row| Row { split, ..row }))
    }

    /// Votes and pixels, row by row.
    fn rows(&self, votes: &Path, pixels: &Path, sink: Sink<'_>) -> Result<()> {
        check_rows(votes, pixels)?;
        let mut votes = VoteTable::open(votes)?;
        let mut failed = Ok(());
        let request = ReadRequest { path: pixels, unlabelled: true, ..*self.reading.request };
        Fer2013.read(&request, &mut |item| {
            let judged = votes.next().and_then(|row| match (item, row) {
                (Item::Face(record), Some(row)) => self.judged(record, row),
                (other, _) => Ok(other),
            });
            match judged {
                Ok(item) => sink(item),
                Err(error) => {
                    failed = Err(error);
                    ControlFlow::Break(())
                }
            }
        })?;
        failed
    }

    /// A face of FER2013 under its votes.
    fn judged(&self, record: Record, row: VoteRow) -> Result<Item> {
        let split = split_of_part(&row.part);
        let request = self.reading.request;
        let source = record.source.clone();
        if request.unlabelled {
            return Ok(Item::Face(Record { split: request.split.or(split), dataset: NAME.to_owned(), ..record }));
        }
        let row = match self.row(row.votes, split) {
            Ok(Ok(row)) => row,
            Ok(Err(why)) => return Ok(Item::Skipped { source, why }),
            Err(reason) => return Ok(Item::Reject(Reject { source, reason })),
        };
        let (bytes, size, mtime, inode) = (record.image, record.size, record.mtime, record.inode);
        let content = FileContent { bytes, size, mtime, inode };
        let mut item = self.reading.item(&row, || Ok(content), source, None)?;
        if let Item::Face(face) = &mut item {
            face.source_hash = record.source_hash;
        }
        Ok(item)
    }

    /// The folders of FER+'s own script.
    fn training_form(&self, entries: &Entries, sink: Sink<'_>) -> Result<()> {
        let mut listed: BTreeMap<PathBuf, (String, Meaning)> = BTreeMap::new();
        for (path, content) in entries.contents(is_label_table, &self.reading.request.limits)? {
            let folder = path.parent().unwrap_or(Path::new(""));
            let mut csv = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(&content[..]);
            for (i, row) in csv.byte_records().enumerate() {
                let row = row.map_err(|source| Error::Table { path: entries.root().join(&path), source })?;
                // Between name and votes stands the face's box, which is all of the image.
                let votes = Votes::parse(row.iter().skip(row.len().saturating_sub(10).max(1)));
                let name = String::from_utf8_lossy(row.get(0).unwrap_or_default()).trim().to_owned();
                let source = format!("{}#line={}", source_of(entries, &path), i + 1);
                if name.is_empty() || !has_image_extension(Path::new(&name)) || name.contains(['/', '\\']) {
                    let reason = Reason::InvalidRow { detail: format!("`{name}` is no image's name") };
                    if sink(Item::Reject(Reject { source, reason })).is_break() {
                        return Ok(());
                    }
                    continue;
                }
                // Four names occur twice; the script wrote the later image over the earlier one.
                let before = listed.insert(folder.join(name), (source, self.meaning(votes, part_of(&path))));
                let why = "a later line has the same name, whose image was written over this one's".to_owned();
                if let Some((source, _)) = before
                    && sink(Item::Skipped { source, why }).is_break()
                {
                    return Ok(());
                }
            }
        }
        let listed = listed.into_iter().map(|(image, (_, meaning))| (image, meaning)).collect();
        self.reading.read_listed(entries, listed, &|_| format!("not listed in {LABELS}"), sink)
    }

    /// Images as files, known by name.
    fn files(&self, entries: &Entries, votes: &Path, files: &Path, sink: Sink<'_>) -> Result<()> {
        let mut by_name = HashMap::new();
        let mut table = VoteTable::open(votes)?;
        while let Some(row) = table.next()? {
            // Four names occur twice; the list means the later row.
            by_name.insert(row.name.clone(), row);
        }
        let not_its_own = || Meaning::skip("others have the same image, so the votes are not its own");
        let mut judged = HashMap::new();
        for listed in listed_files(files)? {
            let meaning = match by_name.get(&listed.name) {
                Some(_) if !listed.is_alone => not_its_own(),
                Some(row) => self.meaning(row.votes.clone(), split_of_part(&row.part)),
                None => Meaning::Reject(Reason::NoLabel { detail: format!("no votes for {}", listed.name) }),
            };
            // A file that is listed again has the votes of two names.
            judged.entry(in_its_folder(&listed.file)).and_modify(|meaning| *meaning = not_its_own()).or_insert(meaning);
        }
        let mut meaning = |path: &Path| {
            judged.remove(&in_its_folder(path)).unwrap_or_else(|| Meaning::Skip(format!("not listed in {FILES}")))
        };
        self.reading.read_files(entries, &mut meaning, sink).map(|_| ())
    }
}

/// A line of `ferplus-files.csv`.
struct ListedFile {
    name: String,
    file: PathBuf,
    /// No other image is identical.
    is_alone: bool,
}

/// The name of an image with its class folder: two of FER2013's names stand in two of them.
fn in_its_folder(image: &Path) -> PathBuf {
    let folder = image.parent().and_then(Path::file_name).unwrap_or_default();
    Path::new(folder).join(image.file_name().unwrap_or_default())
}

fn listed_files(path: &Path) -> Result<Vec<ListedFile>> {
    let file = File::open(path).map(BufReader::new).map_err(Error::io(path))?;
    let (mut csv, header) = open_csv(path, file)?;
    let wanted = ["image_name", "file", "identical"].map(|name| column(&header, &[name]));
    let [Some(name), Some(file), Some(identical)] = wanted else {
        let wanted = "`image_name`, `file` or `identical`";
        return Err(Error::MissingColumn { path: path.to_owned(), wanted, found: header.join(", ") });
    };
    let mut files = Vec::new();
    for row in csv.byte_records() {
        let row = row.map_err(|source| Error::Table { path: path.to_owned(), source })?;
        let text = |i: usize| String::from_utf8_lossy(row.get(i).unwrap_or_default()).trim().to_owned();
        files.push(ListedFile { name: text(name), file: text(file).into(), is_alone: text(identical) == "1" });
    }
    Ok(files)
}

/// Refuses two tables that are not the same rows, before anything is read: joined wrongly, every label would be another's.
fn check_rows(votes: &Path, pixels: &Path) -> Result<()> {
    let file = File::open(pixels).map(BufReader::new).map_err(Error::io(pixels))?;
    let (mut csv, header) = open_csv(pixels, file)?;
    let Some(usage) = column(&header, &["usage"]) else {
        return Err(Error::MissingColumn { path: pixels.to_owned(), wanted: "`Usage`", found: header.join(", ") });
    };
    let mut table = VoteTable::open(votes)?;
    let mut row = csv::ByteRecord::new();
    let refused = |problem| Err(Error::RowsDoNotMatch { path: votes.to_owned(), problem });
    for number in 0u64.. {
        let more = csv.read_byte_record(&mut row).map_err(|source| Error::Table { path: pixels.to_owned(), source })?;
        match (more, table.next()?) {
            (false, None) => break,
            (true, Some(votes)) => {
                let part = String::from_utf8_lossy(row.get(usage).unwrap_or_default()).trim().to_owned();
                if part != votes.part {
                    return refused(format!("row {number} belongs to `{}`, in {PIXELS} to `{part}`", votes.part));
                }
            }
            (more, _) => {
                let which = if more { "fewer" } else { "more" };
                return refused(format!("it has {which} rows than {PIXELS}, first of them row {number}"));
            }
        }
    }
    Ok(())
}

/// Counted on the published votes, in each mode; classes in the order of FER+'s columns.
const COUNTS: [KnownCount; 72] = joined(&[
    &counts("Training, majority", Split::Train, [8740, 7287, 3149, 3014, 2100, 119, 532, 119]),
    &counts("PublicTest, majority", Split::Validation, [1182, 865, 415, 351, 287, 24, 62, 13]),
    &counts("PrivateTest, majority", Split::Test, [1090, 893, 396, 384, 273, 18, 83, 16]),
    &counts("Training, probability", Split::Train, [10122, 7503, 3524, 3430, 2407, 169, 641, 160]),
    &counts("PublicTest, probability", Split::Validation, [1317, 897, 450, 401, 314, 31, 72, 23]),
    &counts("PrivateTest, probability", Split::Test, [1251, 925, 435, 435, 320, 22, 92, 25]),
    &counts("Training, multi_target", Split::Train, [10071, 7492, 3486, 3399, 2327, 153, 598, 145]),
    &counts("PublicTest, multi_target", Split::Validation, [1307, 893, 446, 400, 307, 30, 71, 18]),
    &counts("PrivateTest, multi_target", Split::Test, [1243, 921, 438, 434, 302, 21, 90, 23]),
]);

const fn counts(part: &'static str, split: Split, counts: [usize; 8]) -> [KnownCount; 8] {
    let mut known = [KnownCount { part, split, class: "", count: 0 }; 8];
    let mut i = 0;
    while i < 8 {
        (known[i].class, known[i].count) = (CHOICES[i], counts[i]);
        i += 1;
    }
    known
}
