//! TensorBoard event files, for those who watch training there.
//!
//! In: epoch reports. Out: one file per run in a folder that `tensorboard --logdir` reads. Only scalars are written, so
//! the two protobuf messages (`Event`, `Summary`) are put together by hand. Records are framed as TFRecord: length,
//! masked CRC-32C of the length, data, masked CRC-32C of the data.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::report::EpochReport;
use crate::{Error, Result};

/// An event file under way; every epoch is on the disk's side of the process when the call returns.
pub struct EventFile {
    path: PathBuf,
    file: File,
}

impl EventFile {
    /// Begins a file in `folder`, which is made where missing. TensorBoard puts all files of a folder together by step,
    /// so a resumed round simply begins another one.
    pub fn create(folder: &Path, round: u32) -> Result<Self> {
        std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
        let now = now();
        let name = format!("events.out.tfevents.{:010}.marginalia.round-{round}.{}", now as u64, std::process::id());
        let path = folder.join(name);
        let file = File::create(&path).map_err(Error::io(&path))?;
        let mut events = Self { path, file };
        // Readers want the format's version first.
        let mut event = double_field(1, now);
        event.extend(bytes_field(3, b"brain.Event:2"));
        events.write_record(&event)?;
        Ok(events)
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds an epoch under its number of optimiser steps.
    pub fn add_epoch(&mut self, report: &EpochReport) -> Result<()> {
        let mut summary = Vec::new();
        for (tag, number) in scalars(report) {
            let mut value = bytes_field(1, tag.as_bytes());
            value.extend(float_field(2, number as f32));
            summary.extend(bytes_field(1, &value));
        }
        let mut event = double_field(1, now());
        event.extend(integer_field(2, report.steps));
        event.extend(bytes_field(5, &summary));
        self.write_record(&event)
    }

    fn write_record(&mut self, data: &[u8]) -> Result<()> {
        let length = (data.len() as u64).to_le_bytes();
        let [of_length, of_data] = [&length[..], data].map(|bytes| masked(crc32c(bytes)).to_le_bytes());
        let record = [&length[..], &of_length, data, &of_data].concat();
        self.file.write_all(&record).map_err(Error::io(&self.path))
    }
}

/// What an epoch says in single numbers, by tag; what is undefined is left out.
pub fn scalars(report: &EpochReport) -> Vec<(String, f64)> {
    let mut scalars: Vec<(String, f64)> =
        report.losses.iter().map(|(name, loss)| (format!("loss/{name}"), *loss)).collect();
    let mut put = |tag: &str, number: Option<f64>| scalars.extend(number.map(|number| (tag.to_owned(), number)));
    put("labelled/accuracy", Some(report.labelled_accuracy));
    put("unlabelled/acceptance_rate", report.acceptance_rate);
    put("speed/steps_per_second", Some(report.steps_per_second));
    if let Some(metrics) = &report.validation {
        put("validation/accuracy", Some(metrics.accuracy));
        put("validation/macro_f1", Some(metrics.macro_f1));
        put("validation/nll", Some(metrics.nll));
        put("validation/brier", Some(metrics.brier));
        put("validation/ece", Some(metrics.ece));
        put("validation/ece_equal_mass", Some(metrics.ece_equal_mass));
    }
    put("calibrated/temperature", report.calibration.as_ref().map(|calibration| calibration.temperature));
    put("calibrated/ece", report.calibration.as_ref().map(|calibration| calibration.metrics.ece));
    for class in &report.classes {
        put(&format!("margin/{}", class.class), Some(class.margin));
        put(&format!("mean_confidence/{}", class.class), class.mean_confidence);
        put(&format!("accepted/{}", class.class), Some(class.accepted as f64));
    }
    scalars
}

/// Seconds since 1970.
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

/// A protobuf number of any size: seven bits a byte, lowest first.
fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

/// A field's key: its number and its wire type (0 varint, 1 eight bytes, 2 length-delimited, 5 four bytes).
fn key(field: u64, wire_type: u64) -> Vec<u8> {
    varint(field << 3 | wire_type)
}

fn integer_field(field: u64, number: u64) -> Vec<u8> {
    [key(field, 0), varint(number)].concat()
}

fn double_field(field: u64, number: f64) -> Vec<u8> {
    [key(field, 1), number.to_le_bytes().to_vec()].concat()
}

fn float_field(field: u64, number: f32) -> Vec<u8> {
    [key(field, 5), number.to_le_bytes().to_vec()].concat()
}

fn bytes_field(field: u64, bytes: &[u8]) -> Vec<u8> {
    [key(field, 2), varint(bytes.len() as u64), bytes.to_vec()].concat()
}

/// CRC-32C (Castagnoli), bit by bit: an epoch is a kilobyte.
fn crc32c(bytes: &[u8]) -> u32 {
    let step = |crc: u32| if crc & 1 == 1 { crc >> 1 ^ 0x82F6_3B78 } else { crc >> 1 };
    !bytes.iter().fold(!0, |crc, &byte| (0..8).fold(crc ^ u32::from(byte), |crc, _| step(crc)))
}

/// TFRecord's mask, so that a CRC over data that holds CRCs stays a good one.
fn masked(crc: u32) -> u32 {
    crc.rotate_right(15).wrapping_add(0xA282_EAD8)
}
