//! What the tests share: images made on the spot, folders, and reading everything into a list.

use std::fs;
use std::io::Cursor;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use image::{DynamicImage, ImageFormat, Rgb, RgbImage};
use marginalia_datasets::{Item, ReadRequest, Record, Reject, Result, reader};

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
