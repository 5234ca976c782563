//! What the tests share: images made on the spot, folders, and reading everything into a list.

use std::fs;
use std::io::Cursor;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use image::{DynamicImage, ImageFormat, Rgb, RgbImage};
use marginalia_datasets::{Classes, Item, Options, ReadRequest, Record, Reject, Result, reader};

/// A picture with texture, another one for every seed.
pub fn picture(seed: u32, width: u32, height: u32) -> DynamicImage {
    DynamicImage::ImageRgb8(RgbImage::from_fn(width, height, |x, y| {
        let wave = |scale: u32| ((x * (seed % 7 + 2) + y * scale + seed * 31) % 256) as u8;
        Rgb([wave(3), wave(5), ((x * y + seed * 17) % 251) as u8])
    }))
}

pub fn encode(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, format).expect("encodes");
    bytes.into_inner()
}

pub fn jpeg(seed: u32) -> Vec<u8> {
    encode(&picture(seed, 32, 32), ImageFormat::Jpeg)
}

pub fn png(seed: u32) -> Vec<u8> {
    encode(&picture(seed, 32, 32), ImageFormat::Png)
}

/// A folder with these files in it.
pub fn folder(files: &[(&str, Vec<u8>)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("temporary folder");
    for (name, bytes) in files {
        write(folder.path(), name, bytes);
    }
    folder
}

pub fn write(folder: &Path, name: &str, bytes: &[u8]) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
    fs::write(path, bytes).expect("writes");
}

/// Everything a reader gives.
#[derive(Debug, Default)]
pub struct Read {
    pub faces: Vec<Record>,
    pub rejects: Vec<Reject>,
    pub skipped: Vec<(String, String)>,
}

impl Read {
    /// `class/split` of each face by the last part of its source.
    pub fn summary(&self) -> Vec<String> {
        let line = |face: &Record| {
            let name = face.source.rsplit(['/', '!']).next().unwrap_or_default();
            let split = face.split.map_or("-", |split| split.as_str());
            format!("{name} {} {split}", face.given_class.as_deref().unwrap_or("-"))
        };
        self.faces.iter().map(line).collect()
    }
}

pub fn read(format: &str, request: &ReadRequest<'_>) -> Result<Read> {
    let mut all = Read::default();
    reader(format)?.read(request, &mut |item| {
        match item {
            Item::Face(record) => all.faces.push(record),
            Item::Reject(reject) => all.rejects.push(reject),
            Item::Skipped { source, why } => all.skipped.push((source, why)),
        }
        ControlFlow::Continue(())
    })?;
    Ok(all)
}

/// A folder of real data, named by `MARGINALIA_DATA` or lying beside the workspace; `None`, with a line on stderr,
/// where there is none.
///
/// # Panics
/// If the variable is set and the folder is missing.
pub fn real_data(test: &str) -> Option<PathBuf> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a workspace");
    match std::env::var_os("MARGINALIA_DATA") {
        Some(named) => {
            let folder = workspace.join(named);
            assert!(folder.is_dir(), "MARGINALIA_DATA names {}, which is no folder", folder.display());
            Some(folder)
        }
        None => {
            let folder = workspace.join("../shared/data");
            let found = folder.is_dir();
            if !found {
                eprintln!("SKIPPED (no data folder): {test}");
            }
            found.then_some(folder)
        }
    }
}

/// The same with options chosen, `name=value`.
pub fn read_with(format: &str, path: &Path, classes: &Classes, options: &[&str]) -> Result<Read> {
    let options = Options::of(reader(format)?, options)?;
    read(format, &ReadRequest { options: &options, ..ReadRequest::new(path, classes) })
}

/// `name class split subject` of each face, `-` for what it has not.
pub fn faces(read: &Read) -> Vec<String> {
    let subject = |face: &Record| face.subject.clone().unwrap_or("-".to_owned());
    read.summary().iter().zip(&read.faces).map(|(line, face)| format!("{line} {}", subject(face))).collect()
}

/// `name: why` of everything skipped, by name.
pub fn skipped(read: &Read) -> Vec<String> {
    let name = |source: &str| source.rsplit(['/', '!']).next().unwrap_or_default().to_owned();
    let mut lines: Vec<String> = read.skipped.iter().map(|(source, why)| format!("{}: {why}", name(source))).collect();
    lines.sort();
    lines
}

/// `name: reason` of every reject.
pub fn rejects(read: &Read) -> Vec<String> {
    let name = |source: &str| source.rsplit(['/', '!']).next().unwrap_or_default().to_owned();
    read.rejects.iter().map(|reject| format!("{}: {}", name(&reject.source), reject.reason)).collect()
}

/// The message of a reading that fails, with the folder's place left out.
pub fn refusal(read: Result<Read>, folder: &Path) -> String {
    let text = read.expect_err("an error").to_string();
    text.replace(&folder.display().to_string(), "FOLDER")
}

/// A `.npy` of one value as NumPy writes it: type, shape and bytes.
pub fn npy(kind: &str, shape: &str, value: &[u8]) -> Vec<u8> {
    let mut header = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}");
    while (10 + header.len() + 1) % 64 != 0 {
        header.push(' ');
    }
    header.push('\n');
    let mut file = b"\x93NUMPY\x01\x00".to_vec();
    file.extend((header.len() as u16).to_le_bytes());
    file.extend(header.as_bytes());
    file.extend(value);
    file
}

/// A `.npy` of one string of one letter, the way AffectNet's labels come.
pub fn npy_letter(letter: char) -> Vec<u8> {
    npy("<U1", "()", &(letter as u32).to_le_bytes())
}

/// An uncompressed TIFF of 16×16 pixels with a palette: pixel (x, y) has colour x + 16 y of it.
pub fn palette_tiff(palette: &[[u8; 3]; 256], big_endian: bool) -> Vec<u8> {
    let short = |value: u16| if big_endian { value.to_be_bytes() } else { value.to_le_bytes() };
    let long = |value: u32| if big_endian { value.to_be_bytes() } else { value.to_le_bytes() };
    let (pixels, map, directory) = (8u32, 8 + 256, 8 + 256 + 6 * 256);
    let mut file = if big_endian { b"MM\0*".to_vec() } else { b"II*\0".to_vec() };
    file.extend(long(directory));
    file.extend(0..=255u8);
    for channel in 0..3 {
        // As programs write it: 8 bits twice.
        palette.iter().for_each(|color| file.extend(short(u16::from(color[channel]) * 257)));
    }
    let entries: [(u16, u16, u32, u32); 10] = [
        (256, 3, 1, 16),
        (257, 3, 1, 16),
        (258, 3, 1, 8),
        (259, 3, 1, 1),
        (262, 3, 1, 3),
        (273, 4, 1, pixels),
        (277, 3, 1, 1),
        (278, 3, 1, 16),
        (279, 4, 1, 256),
        (320, 3, 768, map),
    ];
    file.extend(short(entries.len() as u16));
    for (tag, kind, count, value) in entries {
        file.extend(short(tag));
        file.extend(short(kind));
        file.extend(long(count));
        if kind == 3 && count == 1 {
            file.extend(short(value as u16));
            file.extend([0, 0]);
        } else {
            file.extend(long(value));
        }
    }
    file.extend(long(0));
    file
}
