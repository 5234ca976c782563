//! TIFF is read on import, from any set of image files, and nowhere else.

use image::{DynamicImage, ImageFormat, Rgb, RgbImage};
use marginalia_datasets::{Classes, Limits, ReadRequest, admit, decode, encode_png, face_id};
use proptest::prelude::*;

use crate::support::{encode, folder, palette_tiff, picture, read};

fn colors() -> [[u8; 3]; 256] {
    std::array::from_fn(|i| [i as u8, 255 - i as u8, (i * 7) as u8])
}

/// What an image folder makes of a file.
fn imported(file: &[u8]) -> Result<marginalia_datasets::Record, marginalia_datasets::Reason> {
    let set = folder(&[("happy/face.tif", file.to_vec())]);
    let mut all = read("imagefolder", &ReadRequest::new(set.path(), &Classes::standard())).unwrap();
    all.faces.pop().ok_or_else(|| all.rejects.remove(0).reason)
}

#[test]
fn colour_and_grey_become_pngs_that_remember_their_file() {
    let grey = DynamicImage::ImageLuma8(picture(1, 20, 30).to_luma8());
    for image in [picture(1, 20, 30), grey] {
        let file = encode(&image, ImageFormat::Tiff);
        let record = imported(&file).unwrap();
        assert_eq!(record.image, encode_png(&image));
        assert_eq!((record.source_hash, record.bbox), (Some(face_id(&file)), None));
        assert_eq!(record.size, file.len() as u64);
        assert_eq!(admit(record.image, &Limits::default()).unwrap().width, 20);
    }
}

#[test]
fn palettes_are_looked_up_in_either_byte_order() {
    let colors = colors();
    let wanted = RgbImage::from_fn(16, 16, |x, y| Rgb(colors[(x + 16 * y) as usize]));
    for big_endian in [false, true] {
        let record = imported(&palette_tiff(&colors, big_endian)).unwrap();
        assert_eq!(decode(&record.image, &Limits::default()).unwrap(), wanted);
    }
    // A grey palette makes a grey face.
    let grey = imported(&palette_tiff(&std::array::from_fn(|i| [255 - i as u8; 3]), false)).unwrap();
    let pixels = image::load_from_memory(&grey.image).unwrap();
    assert_eq!(pixels.color(), image::ColorType::L8);
    assert_eq!(pixels.to_luma8().get_pixel(1, 0).0, [254]);
}

#[test]
fn outside_of_an_import_tiff_stays_a_format_that_is_not_read() {
    let file = encode(&picture(1, 20, 30), ImageFormat::Tiff);
    assert_eq!(admit(file, &Limits::default()).unwrap_err().code(), "unsupported_format");
}

#[test]
fn what_is_too_large_is_not_decoded() {
    let set = folder(&[("happy/face.tif", encode(&picture(1, 64, 30), ImageFormat::Tiff))]);
    let classes = Classes::standard();
    let limits = Limits { max_side: 40, ..Limits::default() };
    let all = read("imagefolder", &ReadRequest { limits, ..ReadRequest::new(set.path(), &classes) }).unwrap();
    assert_eq!(all.rejects[0].code(), "too_large");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Damage is a reason or another picture, and never the end of the import.
    #[test]
    fn damaged_files_are_rejects_or_pictures(at in 0usize..2000, byte: u8, cut in 0usize..2000) {
        let mut file = palette_tiff(&colors(), false);
        let at = at % file.len();
        file[at] = byte;
        let _ = imported(&file);
        file.truncate(cut % file.len());
        let _ = imported(&file);
    }

    /// Short of the pointer to a next image, which some decoders do without. What is too short to be told as TIFF comes
    /// as it is, and is refused on admission.
    #[test]
    fn files_cut_short_are_rejects(cut in 0usize..2000) {
        let mut file = palette_tiff(&colors(), false);
        file.truncate(cut % (file.len() - 4));
        prop_assert!(imported(&file).and_then(|record| admit(record.image, &Limits::default())).is_err());
    }
}

#[test]
fn indices_without_their_palette_are_no_picture() {
    let mut file = palette_tiff(&colors(), false);
    let color_map = file.windows(2).rposition(|two| two == 320u16.to_le_bytes()).unwrap();
    file[color_map..color_map + 2].copy_from_slice(&321u16.to_le_bytes());
    assert_eq!(imported(&file).unwrap_err().code(), "tiff_not_converted");
}
