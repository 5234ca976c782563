//! Event files, read back record by record.

use marginalia_trainer::tensorboard::{EventFile, scalars};
use marginalia_trainer::{Control, EpochReport, Start, Training};

use crate::synthetic::{classes, config, data};

/// CRC-32C by table, masked.
fn masked_crc(bytes: &[u8]) -> u32 {
    let table: Vec<u32> = (0..256u32)
        .map(|mut entry| {
            for _ in 0..8 {
                entry = if entry & 1 == 1 { 0x82F6_3B78 ^ (entry >> 1) } else { entry >> 1 };
            }
            entry
        })
        .collect();
    let crc = !bytes.iter().fold(!0u32, |crc, byte| table[((crc ^ u32::from(*byte)) & 255) as usize] ^ (crc >> 8));
    crc.rotate_right(15).wrapping_add(0xA282_EAD8)
}

/// The data of every record; panics where the framing is broken.
fn records(mut file: &[u8]) -> Vec<Vec<u8>> {
    let mut records = Vec::new();
    while !file.is_empty() {
        let number = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap());
        let length = u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
        assert_eq!(number(8), masked_crc(&file[..8]), "length");
        let data = &file[12..12 + length];
        assert_eq!(number(12 + length), masked_crc(data), "data");
        records.push(data.to_vec());
        file = &file[16 + length..];
    }
    records
}

/// (number, value) of every field of a message; integers as eight bytes.
fn fields(mut message: &[u8]) -> Vec<(u64, Vec<u8>)> {
    let mut found = Vec::new();
    while !message.is_empty() {
        let mut varint = || {
            let (mut number, mut shift) = (0u64, 0);
            loop {
                let byte = message[0];
                message = &message[1..];
                number |= u64::from(byte & 127) << shift;
                shift += 7;
                if byte < 128 {
                    return number;
                }
            }
        };
        let key = varint();
        let length = match key & 7 {
            0 => {
                let number = varint();
                found.push((key >> 3, number.to_le_bytes().to_vec()));
                continue;
            }
            1 => 8,
            2 => varint() as usize,
            5 => 4,
            other => panic!("wire type {other}"),
        };
        found.push((key >> 3, message[..length].to_vec()));
        message = &message[length..];
    }
    found
}

fn field(message: &[u8], number: u64) -> Vec<u8> {
    fields(message).into_iter().find(|(found, _)| *found == number).unwrap().1
}

fn reports() -> Vec<EpochReport> {
    let mut training = Training::new(config(), classes(), 1, Start::Scratch).unwrap();
    let data = data(4);
    (0..2).map(|_| training.run_epoch(&data, &Control::default(), &mut |_| {}).unwrap()).collect()
}

#[test]
fn event_files_hold_every_scalar_of_every_epoch() {
    let folder = tempfile::tempdir().unwrap();
    let mut events = EventFile::create(&folder.path().join("deeper"), 3).unwrap();
    let reports = reports();
    reports.iter().for_each(|report| events.add_epoch(report).unwrap());
    assert!(events.path().file_name().unwrap().to_str().unwrap().starts_with("events.out.tfevents."));
    let file = std::fs::read(events.path()).unwrap();
    // How TensorFlow's own files begin: 24 bytes follow.
    assert_eq!(file[..12], [0x18, 0, 0, 0, 0, 0, 0, 0, 0xa3, 0x7f, 0x4b, 0x22]);
    let records = records(&file);
    assert_eq!(records.len(), 3);
    assert_eq!(field(&records[0], 3), b"brain.Event:2");
    for (record, report) in records[1..].iter().zip(&reports) {
        assert_eq!(field(record, 2), report.steps.to_le_bytes());
        let summary = field(record, 5);
        let found: Vec<(String, f32)> = fields(&summary)
            .into_iter()
            .map(|(_, value)| {
                let number = field(&value, 2).try_into().unwrap();
                (String::from_utf8(field(&value, 1)).unwrap(), f32::from_le_bytes(number))
            })
            .collect();
        let expected: Vec<(String, f32)> =
            scalars(report).into_iter().map(|(tag, number)| (tag, number as f32)).collect();
        assert_eq!(found, expected);
        let accuracy = report.validation.as_ref().unwrap().accuracy as f32;
        assert!(found.contains(&("validation/accuracy".to_owned(), accuracy)));
        assert!(found.iter().any(|(tag, _)| tag == "margin/sadness"));
    }
}

#[test]
fn what_is_undefined_has_no_scalar() {
    let mut report = reports().remove(0);
    report.validation = None;
    report.calibration = None;
    report.acceptance_rate = None;
    report.classes[1].mean_confidence = None;
    let tags: Vec<String> = scalars(&report).into_iter().map(|(tag, _)| tag).collect();
    assert!(!tags.iter().any(|tag| tag.starts_with("validation/") || tag.starts_with("calibrated/")), "{tags:?}");
    assert!(!tags.contains(&"unlabelled/acceptance_rate".to_owned()));
    assert!(!tags.contains(&"mean_confidence/happiness".to_owned()) && tags.contains(&"margin/happiness".to_owned()));
}
