//! Tables for people.

use comfy_table::{CellAlignment, Table, presets};

/// A table with these headers; columns listed in `numbers` are right-aligned.
pub fn table(headers: &[&str], numbers: &[usize], rows: impl IntoIterator<Item = Vec<String>>) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_HORIZONTAL_ONLY).set_header(headers.to_vec());
    for row in rows {
        table.add_row(row);
    }
    for column in numbers {
        if let Some(column) = table.column_mut(*column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// A fraction as percent, or a dash.
pub fn percent(fraction: Option<f64>) -> String {
    fraction.map_or_else(|| "–".to_owned(), |fraction| format!("{:.1} %", 100.0 * fraction))
}

/// A number, or a dash.
pub fn number(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), |value| format!("{value:.3}"))
}

/// The beginning of a face id, enough to name it.
pub fn short(face_id: &str) -> &str {
    face_id.get(..16).unwrap_or(face_id)
}
