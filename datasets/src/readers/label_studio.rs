//! Label Studio's own export (`JSON`): tasks with the annotations that people made, images beside the file. Each annotation
//! becomes a record with its annotator and the time it took. Files are read task by task, however large.

use std::fs::{self, File};
use std::io::BufReader;
use std::ops::ControlFlow;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::glimpse::Glimpse;
use crate::listed::ListedFolder;
use crate::reader::{Item, ReadRequest, Reader, Sink};
use crate::reading::Reading;
use crate::source::encode_path;
use crate::table::Row;

pub(super) struct LabelStudio;

impl Reader for LabelStudio {
    fn name(&self) -> &'static str {
        "label-studio"
    }

    fn about(&self) -> &'static str {
        "Label Studio's JSON export, or a folder of such files, with the images in or beside the folder"
    }

    fn evidence(&self, glimpse: &Glimpse) -> Option<String> {
        let file = glimpse.find(|path| {
            let is_beside = path.parent().is_none_or(|folder| folder == Path::new(""));
            let head = if is_beside && is_json(path) { glimpse.head(path) } else { String::new() };
            head.trim_start().starts_with('[') && ["\"data\"", "\"annotations\""].iter().any(|key| head.contains(key))
        })?;
        Some(format!("`{}` is a list of tasks", file.display()))
    }

    fn read(&self, request: &ReadRequest<'_>, sink: Sink<'_>) -> Result<()> {
        let files = files(request.path)?;
        let reading = Reading::of(request, "label-studio");
        // A label that nobody knows is told before anything is read.
        for file in &files {
            for_each_task(file, &mut |task| {
                if task.data.is_empty() {
                    return Err(refused(file));
                }
                for annotation in task.annotations.iter().filter(|annotation| !annotation.was_cancelled) {
                    reading.given.given(annotation.class(), || encode_path(file))?;
                }
                Ok(ControlFlow::Continue(()))
            })?;
        }
        for file in &files {
            let folder = folder_of(file);
            let listed = ListedFolder::open(folder)?;
            let mut is_stopped = false;
            for_each_task(file, &mut |task| {
                let stopped = read_task(&task, folder, &listed, &reading, sink)?;
                is_stopped = stopped.is_break();
                Ok(stopped)
            })?;
            if is_stopped {
                break;
            }
        }
        Ok(())
    }
}

/// One task, as far as it is understood.
#[derive(Debug, Default, Deserialize)]
struct Task {
    #[serde(default)]
    data: Map<String, Value>,
    #[serde(default)]
    annotations: Vec<Annotation>,
}

#[derive(Debug, Default, Deserialize)]
struct Annotation {
    #[serde(default)]
    id: Value,
    #[serde(default)]
    result: Vec<Value>,
    #[serde(default)]
    was_cancelled: bool,
    #[serde(default)]
    lead_time: Option<f64>,
    #[serde(default)]
    completed_by: Value,
    #[serde(default)]
    updated_by: Value,
    /// Where the first exports of ours said whose it is.
    #[serde(default)]
    meta: Value,
}

impl Annotation {
    /// The class that was chosen; empty where none was.
    fn class(&self) -> &str {
        let choices = self.chosen().and_then(|result| result["value"]["choices"].as_array());
        choices.and_then(|choices| choices.first()?.as_str()).unwrap_or_default()
    }

    fn chosen(&self) -> Option<&Value> {
        self.result.iter().find(|result| result["value"]["choices"].is_array())
    }

    /// What an export of ours says of it: in the result, also once somebody has changed that.
    fn exported(&self) -> &Value {
        let result = self.chosen().map(|result| &result["meta"]);
        result.filter(|meta| meta.is_object()).unwrap_or(&self.meta)
    }

    /// Whether it was ours and is somebody else's now.
    fn is_changed(&self) -> bool {
        !self.updated_by.is_null() && self.exported().is_object()
    }

    fn is_judged_by_person(&self) -> bool {
        self.is_changed() || self.exported()["origin"].as_str().is_none_or(|origin| origin == "human")
    }

    /// Who said it last. An annotation that was imported there is of who imported it until it is changed, and says so of
    /// itself even then; who has changed it stands beside, where only a number may be known of them.
    fn annotator(&self) -> String {
        let ours = if self.is_changed() { &Value::Null } else { &self.exported()["annotator"] };
        let (by, last) = (&self.completed_by, &self.updated_by);
        let is_same = last.is_null() || number(by) == number(last);
        let by = if is_same { by } else { last };
        let named = [ours, &by["email"], &by["username"], by];
        let name = named.into_iter().find_map(Value::as_str).map(str::to_owned);
        name.unwrap_or_else(|| match number(by) {
            Some(id) => format!("label-studio-{id}"),
            None => "label-studio".to_owned(),
        })
    }
}

/// Of an account, which is given as a number or as all that is known of it.
fn number(account: &Value) -> Option<u64> {
    account["id"].as_u64().or(account.as_u64())
}

/// The file, or every `.json` file of a folder that holds tasks, by name.
fn files(path: &Path) -> Result<Vec<PathBuf>> {
    let metadata = fs::metadata(path).map_err(Error::io(path))?;
    if !metadata.is_dir() {
        return if is_json(path) && holds_tasks(path)? { Ok(vec![path.to_owned()]) } else { Err(refused(path)) };
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(path).map_err(Error::io(path))? {
        let file = entry.map_err(Error::io(path))?.path();
        if is_json(&file) && holds_tasks(&file)? {
            found.push(file);
        }
    }
    found.sort();
    if found.is_empty() { Err(refused(path)) } else { Ok(found) }
}

fn is_json(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"))
}

fn refused(path: &Path) -> Error {
    Error::NotADataset {
        path: path.to_owned(),
        reader: "label-studio",
        expected: "a .json file that Label Studio exported as JSON (JSON-MIN and CSV leave out who said what), or a folder \
                   with such files",
    }
}

/// Whether a file is a list, as exports are.
fn holds_tasks(path: &Path) -> Result<bool> {
    use std::io::Read;
    let opened = BufReader::new(File::open(path).map_err(Error::io(path))?);
    for byte in opened.bytes() {
        let byte = byte.map_err(Error::io(path))?;
        if !byte.is_ascii_whitespace() {
            return Ok(byte == b'[');
        }
    }
    Ok(false)
}

fn folder_of(file: &Path) -> &Path {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Hands over every task of a file, one at a time.
fn for_each_task(path: &Path, take: &mut dyn FnMut(Task) -> Result<ControlFlow<()>>) -> Result<()> {
    let file = BufReader::new(File::open(path).map_err(Error::io(path))?);
    let mut failed = None;
    let mut json = serde_json::Deserializer::from_reader(file);
    let read = Tasks { take, failed: &mut failed }.deserialize(&mut json).and_then(|()| json.end());
    match (failed, read) {
        (Some(failed), _) => failed,
        (None, read) => read.map_err(|source| Error::Json { path: path.to_owned(), source }),
    }
}

/// A list of tasks on its way; `failed` keeps what ended it, which the parser cannot carry.
struct Tasks<'t> {
    take: &'t mut dyn FnMut(Task) -> Result<ControlFlow<()>>,
    failed: &'t mut Option<Result<()>>,
}

impl<'de> DeserializeSeed<'de> for Tasks<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> std::result::Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Tasks<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a list of tasks")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut tasks: A) -> std::result::Result<(), A::Error> {
        while let Some(task) = tasks.next_element::<Task>()? {
            let end = match (self.take)(task) {
                Ok(ControlFlow::Continue(())) => continue,
                Ok(ControlFlow::Break(())) => Ok(()),
                Err(error) => Err(error),
            };
            *self.failed = Some(end);
            return Err(serde::de::Error::custom("ended"));
        }
        Ok(())
    }
}

fn read_task(
    task: &Task,
    folder: &Path,
    listed: &ListedFolder,
    reading: &Reading<'_>,
    sink: Sink<'_>,
) -> Result<ControlFlow<()>> {
    let limits = &reading.request.limits;
    let text = |key: &str| task.data.get(key).and_then(Value::as_str).unwrap_or_default();
    let row = Row { path: image_path(&task.data, folder), split: text("split").to_owned(), ..Row::default() };
    let source = listed.source(&row);
    let said = task
        .annotations
        .iter()
        .enumerate()
        .filter(|(_, annotation)| !annotation.was_cancelled && !annotation.class().is_empty());
    let mut said = said.peekable();
    if said.peek().is_none() {
        return Ok(sink(reading.item(&row, || listed.read(&row, limits), source, None)?));
    }
    for (place, annotation) in said {
        let row = Row { label: annotation.class().to_owned(), annotator: annotation.annotator(), ..row.clone() };
        let id = annotation.id.as_u64().map_or(format!("{}", place + 1), |id| format!("id{id}"));
        let source = format!("{source}#annotation={id}");
        let mut item = reading.item(&row, || listed.read(&row, limits), source, None)?;
        if let Item::Face(record) = &mut item {
            let seconds = annotation.lead_time.filter(|seconds| seconds.is_finite() && *seconds >= 0.0);
            record.lead_time = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
            record.is_judged_by_person = annotation.is_judged_by_person();
            record.label_id = annotation.exported()["label_id"].as_str().map(str::to_owned);
            record.is_changed = annotation.is_changed();
        }
        if sink(item).is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    Ok(ControlFlow::Continue(()))
}

/// Where a task's image lies, relative to the folder: Label Studio writes paths as its server knows them
/// (`/data/local-files/?d=faces/a.jpg`, `/data/upload/1/a.jpg`), so leading parts are left out until a file is there.
fn image_path(data: &Map<String, Value>, folder: &Path) -> PathBuf {
    let given = data.get("image").or_else(|| data.values().find(|value| value.is_string()));
    let given = given.and_then(Value::as_str).unwrap_or_default();
    let given = given.split_once("?d=").map_or(given, |(_, path)| path);
    let given = decoded(given);
    let parts: Vec<Component<'_>> = Path::new(&given)
        .components()
        .filter(|part| matches!(part, Component::Normal(_) | Component::ParentDir))
        .collect();
    let tails = (0..parts.len()).map(|from| parts[from..].iter().collect::<PathBuf>());
    let mut tails = tails.filter(|tail| folder.join(tail).is_file());
    tails.next().unwrap_or_else(|| parts.iter().collect())
}

/// Percent signs of a URL undone.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let number = (*first == b'%').then(|| tail.get(..2)).flatten();
        let number = number.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        bytes.push(number.unwrap_or(*first));
        rest = if number.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
