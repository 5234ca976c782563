//! `imagefolder`: images in folders by split and class, with `metadata.jsonl` beside them: the form that Hugging Face's
//! `load_dataset("imagefolder", …)` reads, and torchvision's `ImageFolder` split by split.

use std::fs::File;
use std::io::{ErrorKind, copy};
use std::path::{Path, PathBuf};

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use serde_json::Value;

use super::part::{image_name, objects, put_image, text};
use super::{Format, Part};
use crate::error::{Error, Result};
use crate::part_file::PartFile;

const SPLITS: [&str; 3] = ["train", "validation", "test"];

/// `imagefolder`.
pub(super) struct ImageFolder;

impl Format for ImageFolder {
    fn name(&self) -> &'static str {
        "imagefolder"
    }

    fn begin(&self, folder: &Path, number: u32, _schema: &SchemaRef) -> Result<Box<dyn Part>> {
        let parts = folder.join(PARTS);
        std::fs::create_dir_all(&parts).map_err(Error::io(parts))?;
        let files = SPLITS.map(|split| PartFile::create(metadata_part(folder, split, number)));
        let [train, validation, test] = files;
        Ok(Box::new(FolderPart { folder: folder.to_owned(), metadata: [train?, validation?, test?] }))
    }

    /// One metadata file for each split that has faces. The parts get another name before they are removed: as long as
    /// they bear their own all of them are there, afterwards they have been put together.
    fn finish(&self, folder: &Path, parts: u32, _classes: &[String]) -> Result<()> {
        let (waiting, used) = (folder.join(PARTS), folder.join(USED_PARTS));
        if waiting.is_dir() {
            for split in SPLITS.iter().filter(|split| folder.join(split).is_dir()) {
                put_together(folder, split, parts)?;
            }
            std::fs::rename(&waiting, &used).map_err(Error::io(waiting))?;
        }
        match std::fs::remove_dir_all(&used) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(Error::io(used)(error)),
            _ => Ok(()),
        }
    }
}

const PARTS: &str = ".metadata";
const USED_PARTS: &str = ".metadata-used";

fn put_together(folder: &Path, split: &str, parts: u32) -> Result<()> {
    let mut whole = PartFile::create(folder.join(split).join("metadata.jsonl"))?;
    for number in 0..parts {
        let path = metadata_part(folder, split, number);
        let mut part = File::open(&path).map_err(Error::io(&path))?;
        copy(&mut part, &mut whole).map_err(Error::io(&path))?;
    }
    whole.close()
}

fn metadata_part(folder: &Path, split: &str, number: u32) -> PathBuf {
    folder.join(PARTS).join(format!("{split}-{number:05}.jsonl"))
}

struct FolderPart {
    folder: PathBuf,
    metadata: [PartFile; 3],
}

impl Part for FolderPart {
    fn write(&mut self, rows: &RecordBatch, images: &[Vec<u8>]) -> Result<()> {
        for (mut row, image) in objects(rows)?.into_iter().zip(images) {
            let split = text(&row, "split")?;
            let Some(place) = SPLITS.iter().position(|known| *known == split) else {
                return Err(Error::Internal { what: format!("split {split} in an export") });
            };
            let file_name = format!("{}/{}", text(&row, "expression")?, image_name(&row)?);
            put_image(&self.folder.join(split).join(&file_name), image)?;
            row.shift_insert(0, "file_name".to_owned(), Value::String(file_name));
            let line = serde_json::to_string(&row).map_err(|source| Error::Output { source })?;
            self.metadata[place].put(format!("{line}\n").as_bytes())?;
        }
        Ok(())
    }

    fn close(self: Box<Self>) -> Result<()> {
        self.metadata.into_iter().try_for_each(PartFile::close)
    }
}
