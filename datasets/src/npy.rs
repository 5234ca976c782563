//! NumPy's `.npy` files that hold a single value (NEP 1, `numpy.lib.format`): a magic, a header that is a Python
//! dictionary in text, and the value's bytes.

/// The one value of a file as text, whatever type it was stored as: AffectNet's labels are strings of one letter in
/// arrays without a dimension, and numbers in some copies.
///
/// # Errors
/// In words, what the file is instead.
pub(crate) fn single_value(file: &[u8]) -> Result<String, String> {
    let header_length = match (file.strip_prefix(b"\x93NUMPY"), file.get(6), file.get(8..12)) {
        (Some(_), Some(1), Some([a, b, ..])) => 10..10 + usize::from(u16::from_le_bytes([*a, *b])),
        (Some(_), Some(2 | 3), Some([a, b, c, d])) => {
            12..12usize.saturating_add(u32::from_le_bytes([*a, *b, *c, *d]) as usize)
        }
        _ => return Err("not an .npy file".to_owned()),
    };
    let end = header_length.end;
    let header = file.get(header_length).ok_or("the .npy file is cut off")?;
    let header = String::from_utf8_lossy(header);
    let shape: String = after(&header, "'shape':").chars().take_while(|c| *c != ')').filter(|c| *c != ' ').collect();
    if !matches!(shape.as_str(), "(" | "(1,") {
        return Err(format!("an array of shape {shape}) instead of a single value"));
    }
    let kind = after(&header, "'descr':").trim_start().trim_start_matches('\'').split('\'').next().unwrap_or_default();
    value(kind, file.get(end..).unwrap_or_default())
}

fn after<'h>(header: &'h str, key: &str) -> &'h str {
    header.split_once(key).map_or("", |(_, rest)| rest)
}

/// A value of a NumPy type such as `<U1`, `|S1`, `<i8` or `<f4`.
fn value(kind: &str, bytes: &[u8]) -> Result<String, String> {
    let unknown = || format!("the type `{kind}` is not understood");
    let (order, kind_and_size) = kind.split_at_checked(1).ok_or_else(unknown)?;
    let (letter, size) = kind_and_size.split_at_checked(1).ok_or_else(unknown)?;
    let size: usize = size.parse().map_err(|_| unknown())?;
    let width = if letter == "U" { size.checked_mul(4).ok_or_else(unknown)? } else { size };
    let mut bytes = bytes.get(..width).ok_or("the .npy file is cut off")?.to_vec();
    if letter == "U" {
        let letters = bytes.as_chunks::<4>().0.iter().map(|&unit| {
            let unit = if order == ">" { u32::from_be_bytes(unit) } else { u32::from_le_bytes(unit) };
            char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER)
        });
        return Ok(letters.collect::<String>().trim_end_matches('\0').to_owned());
    }
    if letter == "S" {
        return Ok(String::from_utf8_lossy(&bytes).trim_end_matches('\0').to_owned());
    }
    if order == ">" {
        bytes.reverse();
    }
    match (letter, bytes.as_slice()) {
        ("f", &[a, b, c, d]) => Ok(f32::from_le_bytes([a, b, c, d]).to_string()),
        ("f", &[a, b, c, d, e, f, g, h]) => Ok(f64::from_le_bytes([a, b, c, d, e, f, g, h]).to_string()),
        ("i" | "u", little) if (1..=8).contains(&little.len()) => {
            let is_negative = letter == "i" && little[little.len() - 1] >= 0x80;
            let mut wide = [if is_negative { 0xFF } else { 0 }; 16];
            wide[..little.len()].copy_from_slice(little);
            Ok(i128::from_le_bytes(wide).to_string())
        }
        _ => Err(unknown()),
    }
}
