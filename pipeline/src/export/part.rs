//! What the formats share: images by name, rows as JSON.

use std::path::Path;

use datafusion::arrow::array::{AsArray, RecordBatch};
use datafusion::arrow::json::LineDelimitedWriter;
use serde_json::{Map, Value};

use crate::error::{Error, Result};

/// A row by column name; what is null is left out.
pub(super) type Row = Map<String, Value>;

/// Ids of the faces.
pub(super) fn face_ids(rows: &RecordBatch) -> Result<Vec<String>> {
    let ids = rows.column_by_name("face_id").and_then(|ids| ids.as_string_opt::<i32>());
    let ids = ids.ok_or_else(|| Error::Internal { what: "exported rows without face_id".to_owned() })?;
    Ok(ids.iter().flatten().map(str::to_owned).collect())
}

/// The rows as JSON objects, times in ISO 8601.
pub(super) fn objects(rows: &RecordBatch) -> Result<Vec<Row>> {
    let mut writer = LineDelimitedWriter::new(Vec::new());
    writer.write(rows)?;
    let text = writer.into_inner();
    let rows = serde_json::Deserializer::from_slice(&text).into_iter();
    rows.collect::<std::result::Result<_, _>>().map_err(|source| Error::Output { source })
}

/// A column that every row of the view has.
pub(super) fn text<'a>(row: &'a Row, column: &str) -> Result<&'a str> {
    let missing = || Error::Internal { what: format!("an exported row without {column}") };
    row.get(column).and_then(Value::as_str).ok_or_else(missing)
}

/// What the image of a row is called.
pub(super) fn image_name(row: &Row) -> Result<String> {
    let extension = match text(row, "format")? {
        "jpeg" => "jpg",
        other => other,
    };
    Ok(format!("{}.{extension}", text(row, "face_id")?))
}

/// Writes an image where it is not yet. Its name is its hash, so what is there is right if it is whole.
pub(super) fn put_image(path: &Path, image: &[u8]) -> Result<()> {
    if std::fs::metadata(path).is_ok_and(|there| there.len() == image.len() as u64) {
        return Ok(());
    }
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
    }
    std::fs::write(path, image).map_err(Error::io(path))
}
