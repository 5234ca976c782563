//! Bytes to faces: what gets in, what does not, and what it looks like then.

use std::io::Write;

use flate2::write::ZlibEncoder;
use image::{DynamicImage, GrayImage, ImageBuffer, ImageFormat, Luma, LumaA, Rgb, RgbImage, Rgba, RgbaImage};
use marginalia_datasets::{Format, Limits, Reason, admit, decode, encode_png, face_id, perceptual_hash};
use proptest::prelude::*;

use crate::support::{encode, jpeg, picture, png};

// Made with Pillow, because the `image` crate writes none of these: 32×32 of one colour, as CMYK, as a palette, and as
// the first of two frames; a progressive gradient; lossy noise.
const CMYK: &[u8] = include_bytes!("images/cmyk.jpg");
const PROGRESSIVE: &[u8] = include_bytes!("images/progressive.jpg");
const ANIMATED_WEBP: &[u8] = include_bytes!("images/animated.webp");
const ANIMATED_PNG: &[u8] = include_bytes!("images/animated.png");
const PALETTE: &[u8] = include_bytes!("images/palette.png");
const NOISE_WEBP: &[u8] = include_bytes!("images/noise.webp");
/// The colour of the images above that have only one (in the first frame).
const RED: [u8; 3] = [200, 30, 40];

fn refusal(bytes: &[u8]) -> Reason {
    admit(bytes.to_vec(), &Limits::default()).expect_err("refused")
}

fn pixels(bytes: &[u8]) -> RgbImage {
    decode(bytes, &Limits::default()).expect("decodes")
}

fn assert_near(pixel: &Rgb<u8>, wanted: [u8; 3], tolerance: u8) {
    let near = pixel.0.iter().zip(wanted).all(|(&value, wanted)| value.abs_diff(wanted) <= tolerance);
    assert!(near, "{:?} is not {wanted:?}", pixel.0);
}

#[test]
fn a_face_is_its_bytes_and_what_can_be_seen_of_them() {
    let image = encode(&picture(1, 40, 30), ImageFormat::Png);
    let face = admit(image.clone(), &Limits::default()).unwrap();
    assert_eq!(face.face_id, blake3::hash(&image).to_hex().to_string());
    assert_eq!(face.face_id, face_id(&image));
    assert_eq!((face.format, face.width, face.height), (Format::Png, 40, 30));
    assert_eq!(face.perceptual_hash, perceptual_hash(&picture(1, 40, 30)));
    assert_eq!(face.image, image);
}

#[test]
fn the_format_is_known_by_content() {
    for (format, name) in
        [(ImageFormat::Jpeg, "jpeg"), (ImageFormat::Png, "png"), (ImageFormat::WebP, "webp"), (ImageFormat::Bmp, "bmp")]
    {
        let face = admit(encode(&picture(2, 20, 20), format), &Limits::default()).unwrap();
        assert_eq!(face.format.as_str(), name);
    }
}

#[test]
fn what_is_no_image_is_refused() {
    assert_eq!(refusal(b""), Reason::Empty);
    assert_eq!(refusal(b"This was never an image."), Reason::NotAnImage);
    assert_eq!(refusal(b"GIF89a\x01\0\x01\0"), Reason::UnsupportedFormat { format: "GIF".to_owned() });
    assert_eq!(refusal(&[0xFF, 0xD8]), Reason::Truncated { format: Format::Jpeg });
    assert_eq!(refusal(b"RIFF\x10\0\0"), Reason::Truncated { format: Format::WebP });
}

#[test]
fn an_image_cut_off_anywhere_is_refused() {
    let lossless = encode(&picture(3, 32, 32), ImageFormat::WebP);
    let bmp = encode(&picture(3, 32, 32), ImageFormat::Bmp);
    let (jpeg, png) = (jpeg(3), png(3));
    for whole in [&jpeg[..], &png, &lossless, &bmp, PROGRESSIVE, CMYK, ANIMATED_WEBP, ANIMATED_PNG, PALETTE, NOISE_WEBP]
    {
        assert!(admit(whole.to_vec(), &Limits::default()).is_ok());
        for length in 1..whole.len() {
            let reason = refusal(&whole[..length]);
            // Two letters are not enough to call something a BMP that was cut off inside its header.
            let known = matches!(reason, Reason::Truncated { .. }) || length < 60 && whole.starts_with(b"BM");
            assert!(known, "{length} of {}: {reason:?}", whole.len());
        }
    }
}

#[test]
fn a_file_whose_end_was_never_written_is_refused() {
    let mut image = jpeg(4);
    let half = image.len() / 2;
    image[half..].fill(0);
    assert_eq!(refusal(&image), Reason::Truncated { format: Format::Jpeg });
}

#[test]
fn damage_inside_is_refused() {
    let mut image = png(5);
    let data = image.windows(4).position(|bytes| bytes == b"IDAT").unwrap();
    image[data + 30] ^= 0x55;
    assert_eq!(refusal(&image).code(), "corrupt");
}

#[test]
fn odd_but_usable_jpegs_get_in() {
    let mut after_the_end = jpeg(6);
    after_the_end.extend_from_slice(b"a camera's private notes");
    assert!(admit(after_the_end, &Limits::default()).is_ok());
    // Stray bytes between two segments.
    let mut between = jpeg(6);
    let second = 2 + 2 + usize::from(u16::from_be_bytes([between[4], between[5]]));
    between.splice(second..second, [0; 9]);
    assert_eq!(pixels(&between), pixels(&jpeg(6)));
    assert!(admit(PROGRESSIVE.to_vec(), &Limits::default()).is_ok());
}

/// A PNG whose header says `width` × `height`, one bit grey, with all the rows it says.
fn png_of_zeros(width: u32, height: u32) -> Vec<u8> {
    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    let mut chunk = |kind: &[u8; 4], data: &[u8]| {
        let body = [&kind[..], data].concat();
        png.extend((data.len() as u32).to_be_bytes());
        png.extend(&body);
        let mut crc = flate2::Crc::new();
        crc.update(&body);
        png.extend(crc.sum().to_be_bytes());
    };
    chunk(b"IHDR", &[&width.to_be_bytes()[..], &height.to_be_bytes(), &[1, 0, 0, 0, 0]].concat());
    let mut data = ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    let row = vec![0; 1 + width.div_ceil(8) as usize];
    (0..height).for_each(|_| data.write_all(&row).unwrap());
    chunk(b"IDAT", &data.finish().unwrap());
    chunk(b"IEND", &[]);
    png
}

#[test]
fn a_decompression_bomb_is_refused_by_its_header() {
    let bomb = png_of_zeros(30_000, 30_000);
    assert!(bomb.len() < 1 << 20);
    assert_eq!(refusal(&bomb), Reason::TooLarge { width: 30_000, height: 30_000, limit: 8192 });
    // The same picture at a size that is allowed: the refusal above was about the size.
    assert!(admit(png_of_zeros(1000, 1000), &Limits::default()).is_ok());
    let limits = Limits { max_decoded_bytes: 999_999, ..Limits::default() };
    let refused = admit(png_of_zeros(1000, 1000), &limits).unwrap_err();
    assert_eq!(refused, Reason::TooManyDecodedBytes { bytes: 1_000_000, limit: 999_999 });
}

#[test]
fn limits_hold_for_every_format() {
    for format in [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP, ImageFormat::Bmp] {
        let image = encode(&picture(7, 65, 20), format);
        let side = Limits { max_side: 64, ..Limits::default() };
        assert_eq!(admit(image.clone(), &side), Err(Reason::TooLarge { width: 65, height: 20, limit: 64 }));
        let small = encode(&picture(7, 20, 7), format);
        assert_eq!(admit(small, &Limits::default()), Err(Reason::TooSmall { width: 20, height: 7, limit: 8 }));
        let bytes = Limits { max_file_bytes: 10, ..Limits::default() };
        assert_eq!(decode(&image, &bytes), Err(Reason::TooManyBytes { bytes: image.len() as u64, limit: 10 }));
    }
}

/// A JPEG with this EXIF orientation, by hand: an APP1 segment with a TIFF of one entry.
fn oriented(orientation: u8, jpeg: &[u8]) -> Vec<u8> {
    let mut exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
    exif.extend([orientation, 0, 0, 0, 0, 0, 0, 0]);
    let length = (exif.len() as u16 + 2).to_be_bytes();
    [&jpeg[..2], &[0xFF, 0xE1], &length, &exif, &jpeg[2..]].concat()
}

#[test]
fn images_are_turned_upright() {
    let stored = picture(8, 40, 24);
    let jpeg = encode(&stored, ImageFormat::Jpeg);
    let flat = pixels(&jpeg);
    for (orientation, upright) in [
        (1, flat.clone()),
        (3, image::imageops::rotate180(&flat)),
        (6, image::imageops::rotate90(&flat)),
        (8, image::imageops::rotate270(&flat)),
    ] {
        let turned = oriented(orientation, &jpeg);
        assert_eq!(pixels(&turned), upright, "orientation {orientation}");
        let face = admit(turned, &Limits::default()).unwrap();
        assert_eq!((face.width, face.height), upright.dimensions());
        assert_eq!(face.perceptual_hash, perceptual_hash(&DynamicImage::ImageRgb8(upright)));
    }
}

#[test]
fn every_kind_of_pixel_becomes_rgb() {
    let png = |image: DynamicImage| pixels(&encode(&image, ImageFormat::Png));
    let grey16 = ImageBuffer::from_pixel(4, 4, Luma([0x8080u16]));
    assert_eq!(png(DynamicImage::ImageLuma16(grey16)).get_pixel(1, 1).0, [0x80; 3]);
    let rgb16 = ImageBuffer::from_pixel(4, 4, Rgb([0xFFFFu16, 0, 0x4040]));
    assert_eq!(png(DynamicImage::ImageRgb16(rgb16)).get_pixel(1, 1).0, [255, 0, 0x40]);
    // Transparency lies over black.
    let rgba = RgbaImage::from_pixel(4, 4, Rgba([200, 100, 50, 128]));
    assert_eq!(png(DynamicImage::ImageRgba8(rgba)).get_pixel(1, 1).0, [100, 50, 25]);
    let grey_alpha = ImageBuffer::from_pixel(4, 4, LumaA([200u8, 0]));
    assert_eq!(png(DynamicImage::ImageLumaA8(grey_alpha)).get_pixel(1, 1).0, [0; 3]);
    let grey = GrayImage::from_pixel(9, 9, Luma([77]));
    let grey_jpeg = pixels(&encode(&DynamicImage::ImageLuma8(grey), ImageFormat::Jpeg));
    assert_near(grey_jpeg.get_pixel(4, 4), [77; 3], 1);
    assert_near(pixels(PALETTE).get_pixel(9, 9), RED, 0);
    assert_near(pixels(CMYK).get_pixel(9, 9), RED, 4);
}

#[test]
fn of_an_animation_the_first_frame_counts() {
    assert_near(pixels(ANIMATED_WEBP).get_pixel(9, 9), RED, 0);
    assert_near(pixels(ANIMATED_PNG).get_pixel(9, 9), RED, 0);
}

#[test]
fn png_of_grey_pixels_is_grey_and_always_the_same() {
    let rgb = DynamicImage::ImageRgb8(RgbImage::from_fn(10, 10, |x, y| Rgb([(x * y) as u8; 3])));
    let grey = DynamicImage::ImageLuma8(rgb.to_luma8());
    assert_eq!(encode_png(&rgb), encode_png(&grey));
    assert_eq!(image::load_from_memory(&encode_png(&rgb)).unwrap().color(), image::ColorType::L8);
    let coloured = picture(9, 10, 10);
    assert_eq!(pixels(&encode_png(&coloured)), coloured.to_rgb8());
    // Changing this changes the id of every face that readers make: give the setting a new name if you must.
    insta::assert_snapshot!(face_id(&encode_png(&coloured)));
}

#[test]
fn copies_have_near_hashes_and_other_pictures_do_not() {
    let faces = marginalia_datasets::SyntheticFaces::new(3, 96, &marginalia_datasets::Classes::standard());
    let hashes: Vec<u64> = (0..40)
        .map(|i| {
            let face = DynamicImage::ImageRgb8(faces.face(i).image);
            let hash = perceptual_hash(&face);
            let smaller = face.resize_exact(48, 48, image::imageops::FilterType::Triangle);
            let recompressed = image::load_from_memory(&faces.face(i).jpeg(60)).unwrap();
            for copy in [smaller, recompressed, face.brighten(12)] {
                assert!((perceptual_hash(&copy) ^ hash).count_ones() <= 8, "face {i}");
            }
            hash
        })
        .collect();
    let pairs = (0..40).flat_map(|a| (0..a).map(move |b| (a, b)));
    let distances: Vec<u32> = pairs.map(|(a, b)| (hashes[a] ^ hashes[b]).count_ones()).collect();
    assert!(distances.iter().filter(|&&distance| distance <= 8).count() * 50 < distances.len());
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = admit(bytes, &Limits::default());
    }

    #[test]
    fn arbitrary_bytes_after_a_signature_never_panic(
        start in prop_oneof![
            Just(&b"\xFF\xD8\xFF\xE0"[..]), Just(&b"\x89PNG\r\n\x1a\n\0\0\0\x0DIHDR"[..]),
            Just(&b"RIFF\xFF\0\0\0WEBPVP8 "[..]), Just(&b"RIFF\xFF\0\0\0WEBPVP8X"[..]), Just(&b"BM"[..]),
        ],
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        let _ = admit([start, &bytes].concat(), &Limits::default());
    }

    #[test]
    fn mutated_images_never_panic_and_what_gets_in_decodes(
        which in 0usize..8,
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let made = [jpeg(1), png(1), encode(&picture(1, 16, 16), ImageFormat::WebP), encode(&picture(1, 16, 16), ImageFormat::Bmp)];
        let stored = [PROGRESSIVE, ANIMATED_WEBP, NOISE_WEBP, PALETTE];
        let mut image = made.get(which).cloned().unwrap_or_else(|| stored[which - 4].to_vec());
        for (index, byte) in changes {
            let at = index.index(image.len());
            image[at] = byte;
        }
        let limits = Limits { max_side: 512, ..Limits::default() };
        if let Ok(face) = admit(image.clone(), &limits) {
            prop_assert_eq!(decode(&image, &limits).unwrap().dimensions(), (face.width, face.height));
        }
    }
}
