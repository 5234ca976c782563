//! Operators and chains against PIL, and that views are what their draws say.

use image::RgbImage;
use marginalia_trainer::TrainerConfig;
use marginalia_trainer::streams::{Purpose, Streams};
use marginalia_trainer::views::pixels::Input;
use marginalia_trainer::views::{Cutout, Operator, Strong, Weak, affine, blend, geometry, point};
use proptest::prelude::*;
use serde_json::Value;

use crate::reference::{case, folder, numbers};

fn open(test: &str, file: &str) -> Option<RgbImage> {
    Some(image::open(folder(test)?.join(file)).unwrap_or_else(|error| panic!("{file}: {error}")).to_rgb8())
}

/// Largest and mean absolute difference in grey levels.
fn difference(found: &RgbImage, expected: &RgbImage, file: &str) -> (u8, f64) {
    assert_eq!(found.dimensions(), expected.dimensions(), "{file}: size");
    let differences: Vec<u8> = found.as_raw().iter().zip(expected.as_raw()).map(|(a, b)| a.abs_diff(*b)).collect();
    let mean = differences.iter().map(|&d| f64::from(d)).sum::<f64>() / differences.len() as f64;
    (differences.into_iter().max().unwrap_or(0), mean)
}

fn assert_equal(found: &RgbImage, expected: &RgbImage, file: &str, exact: bool) {
    let (largest, mean) = difference(found, expected, file);
    if exact {
        assert_eq!(largest, 0, "{file}: not pixel-exact, mean difference {mean}");
    }
    assert!(mean <= 1.0, "{file}: mean difference {mean}");
}

#[test]
fn every_operator_gives_what_pil_gives() {
    let Some(folder) = folder("every_operator_gives_what_pil_gives") else { return };
    let source = image::open(folder.join("augment/source.png")).unwrap().to_rgb8();
    let mut seen = 0;
    for entry in std::fs::read_dir(folder.join("augment")).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if stem == "source" {
            continue;
        }
        let (name, magnitude) = match stem.rsplit_once('_').and_then(|(name, text)| Some((name, text.parse().ok()?))) {
            Some((name, magnitude)) => (name, magnitude),
            None => (stem.as_str(), 0.0f64),
        };
        let mut image = source.clone();
        let exact = match name {
            "autocontrast" => {
                point::autocontrast(&mut image);
                true
            }
            "equalize" => {
                point::equalize(&mut image);
                true
            }
            "invert" => {
                point::invert(&mut image);
                true
            }
            "flip" => {
                geometry::flip(&mut image);
                true
            }
            "posterize" => {
                point::posterize(&mut image, magnitude as u32);
                true
            }
            "solarize" => {
                point::solarize(&mut image, magnitude);
                true
            }
            "brightness" => {
                blend::brightness(&mut image, magnitude);
                false
            }
            "color" => {
                blend::color(&mut image, magnitude);
                false
            }
            "contrast" => {
                blend::contrast(&mut image, magnitude);
                false
            }
            "sharpness" => {
                blend::sharpness(&mut image, magnitude);
                false
            }
            "rotate" => {
                image = affine::rotate(&image, magnitude);
                false
            }
            "shear_x" => {
                image = affine::shear_x(&image, magnitude);
                false
            }
            "shear_y" => {
                image = affine::shear_y(&image, magnitude);
                false
            }
            "translate_x" => {
                image = affine::translate_x(&image, magnitude);
                false
            }
            "translate_y" => {
                image = affine::translate_y(&image, magnitude);
                false
            }
            "resize_bilinear" => {
                image = geometry::resize(&image, magnitude as u32);
                false
            }
            other => panic!("the reference has an operator unknown here: {other}"),
        };
        let expected = image::open(&path).unwrap().to_rgb8();
        assert_equal(&image, &expected, &stem, exact);
        seen += 1;
    }
    assert!(seen > 10, "only {seen} operators in the reference");
}

#[test]
fn cutout_paints_the_reference_rectangles() {
    let Some(file) = case("cutout_paints_the_reference_rectangles", "cutout.json") else { return };
    for case in file["cases"].as_array().unwrap() {
        let (width, height) = (case["width"].as_u64().unwrap() as u32, case["height"].as_u64().unwrap() as u32);
        let cutout = cutout(case);
        let filled: Option<Vec<u32>> = cutout.filled(width, height).map(|edges| edges.to_vec());
        let expected = case["filled"].as_array().map(|_| numbers(&case["filled"]).iter().map(|&v| v as u32).collect());
        assert_eq!(filled, expected, "{case}");
        if let (Some(edges), false) = (cutout.rectangle(width, height), case["box"].is_null()) {
            for (found, expected) in edges.iter().zip(numbers(&case["box"])) {
                assert!((found - expected).abs() < 1e-4, "{case}: {edges:?}");
            }
        }
        let mut image = RgbImage::new(width, height);
        cutout.apply(&mut image);
        let painted = image.pixels().filter(|pixel| pixel.0 == [125, 123, 114]).count() as u32;
        let area = filled.map_or(0, |edges| (edges[2] - edges[0] + 1) * (edges[3] - edges[1] + 1));
        assert_eq!(painted, area, "{case}");
    }
    let one = &file["cutout_1"];
    let mut image = open("cutout", "augment/source.png").unwrap();
    cutout(one).apply(&mut image);
    let name = format!("augment_chain/{}", one["file"].as_str().unwrap());
    assert_equal(&image, &open("cutout", &name).unwrap(), &name, true);
}

fn cutout(case: &Value) -> Cutout {
    let number = |key: &str| case[key].as_f64().unwrap();
    Cutout { side: number("side"), center_x: number("cx"), center_y: number("cy") }
}

fn weak(case: &Value, side: u32) -> Weak {
    let draws: Vec<f64> = numbers(&case["draws"]);
    let weak = Weak::from_draws(side, draws.try_into().unwrap());
    assert_eq!(weak.crop.is_some(), case["crop"].as_bool().unwrap(), "{case}");
    assert_eq!(weak.flip, case["flip"].as_bool().unwrap(), "{case}");
    if let Some((top, left)) = weak.crop {
        assert_eq!((u64::from(top), u64::from(left)), (case["top"].as_u64().unwrap(), case["left"].as_u64().unwrap()));
    }
    weak
}

#[test]
fn chains_give_what_pil_gives() {
    let Some(file) = case("chains_give_what_pil_gives", "cutout.json") else { return };
    for (side, pad) in file["pads"].as_object().unwrap() {
        assert_eq!(u64::from(Weak::pad(side.parse().unwrap())), pad.as_u64().unwrap(), "pad at {side}");
    }
    let source = open("chains", "augment/source.png").unwrap();
    for case in file["weak"].as_array().unwrap() {
        let side = case["size"].as_u64().unwrap() as u32;
        let name = case["file"].as_str().unwrap();
        let expected = open("chains", &format!("augment_chain/{name}")).unwrap();
        // No resampling happens at the source's own size.
        assert_equal(&weak(case, side).apply(&source), &expected, name, source.dimensions() == (side, side));
    }
    for case in file["strong"].as_array().unwrap() {
        let name = case["file"].as_str().unwrap();
        let operator = |pair: &Value| Operator::named(pair[0].as_str().unwrap(), pair[1].as_f64().unwrap()).unwrap();
        let strong = Strong {
            operators: case["operators"].as_array().unwrap().iter().map(operator).collect(),
            cutout: cutout(&case["cutout"]),
            weak: weak(&case["weak"], case["size"].as_u64().unwrap() as u32),
        };
        let expected = open("chains", &format!("augment_chain/{name}")).unwrap();
        assert_equal(&strong.apply(&source), &expected, name, case["pixel_exact"].as_bool().unwrap());
    }
}

#[test]
fn pixels_are_normalised_by_position() {
    let image = RgbImage::from_pixel(2, 2, image::Rgb([255, 0, 51]));
    let mut planes = Vec::new();
    let input = Input::new(&TrainerConfig::released());
    input.append_planes(&image, &mut planes);
    let expected = [(1.0 - 0.485) / 0.229, -0.456 / 0.224, (0.2 - 0.406) / 0.225];
    for (plane, expected) in planes.chunks(4).zip(expected) {
        assert!(plane.iter().all(|value| (value - expected as f32).abs() < 1e-5), "{plane:?} instead of {expected}");
    }
    assert_eq!(input.colours(image).get_pixel(0, 0).0, [51, 0, 255]);
}

#[test]
fn a_network_of_one_channel_sees_brightness() {
    let input = Input::new(&TrainerConfig { input_channels: 1, ..TrainerConfig::released() });
    let grey = input.colours(RgbImage::from_pixel(2, 2, image::Rgb([200, 100, 50])));
    // PIL: Image.new("RGB", (1, 1), (200, 100, 50)).convert("L").getpixel((0, 0)).
    assert_eq!(grey.get_pixel(0, 0).0, [124; 3]);
    let mut plane = Vec::new();
    input.append_planes(&grey, &mut plane);
    assert_eq!(plane.len(), 4);
    assert!(plane.iter().all(|value| (value - (124.0 / 255.0 - 0.449) / 0.226).abs() < 1e-5), "{plane:?}");
    // What cutout paints is one grey too, and every grey stays itself.
    let every = RgbImage::from_fn(256, 1, |x, _| image::Rgb([x as u8; 3]));
    assert_eq!(input.colours(every.clone()), every);
    assert_eq!(input.tensor(vec![0.0; 2 * 224 * 224], 2).unwrap().dims(), [2, 1, 224, 224]);
}

proptest! {
    #[test]
    fn views_of_any_face_have_the_asked_size(width in 1u32..90, height in 1u32..90, side in 16u32..80, seed: u64) {
        let face = RgbImage::from_fn(width, height, |x, y| image::Rgb([x as u8, y as u8, (x * y) as u8]));
        let mut stream = Streams::new(seed, 1).stream(1, 1, Purpose::UnlabelledViews, 0);
        let strong = Strong::draw(&mut stream, width, height, side);
        prop_assert_eq!(strong.apply(&face).dimensions(), (side, side));
        prop_assert_eq!(strong.weak.apply(&face).dimensions(), (side, side));
    }

    #[test]
    fn cutout_stays_inside_and_is_at_most_half_as_wide(width in 1u32..300, height in 1u32..300, seed: u64) {
        let mut stream = Streams::new(seed, 1).stream(1, 1, Purpose::UnlabelledViews, 0);
        if let Some([x0, y0, x1, y1]) = Cutout::draw(&mut stream, width, height).filled(width, height) {
            prop_assert!(x0 <= x1 && x1 < width && y0 <= y1 && y1 < height);
            prop_assert!(x1 - x0 <= width / 2 + 1);
        }
    }

    #[test]
    fn streams_are_repeatable_and_differ_by_name(seed: u64, item in 0u64..1000) {
        let streams = Streams::new(seed, 3);
        let mut one = streams.stream(2, 5, Purpose::Dropout, item);
        let mut same = streams.stream(2, 5, Purpose::Dropout, item);
        let mut other = streams.stream(2, 5, Purpose::Method, item);
        let first: Vec<f64> = (0..4).map(|_| one.unit()).collect();
        prop_assert_eq!(&first, &(0..4).map(|_| same.unit()).collect::<Vec<_>>());
        prop_assert_ne!(&first, &(0..4).map(|_| other.unit()).collect::<Vec<_>>());
        prop_assert!(first.iter().all(|unit| (0.0..1.0).contains(unit)));
        let mut order = one.permutation(17);
        order.sort_unstable();
        prop_assert_eq!(order, (0..17).collect::<Vec<u32>>());
    }
}
