//! Other people's weights: files that PyTorch wrote (`fixtures/weights/make.py`), and what is refused.

use std::path::{Path, PathBuf};

use marginalia_trainer::Error;
use marginalia_trainer::backbones::{Role, TensorSpec};
use marginalia_trainer::state_dict::{Array, StateDict, TensorFile};
use marginalia_trainer::weights::{LoadedWeights, load};

const NAMES: [&str; 7] =
    ["conv1.weight", "bn1.weight", "bn1.bias", "bn1.running_mean", "bn1.running_var", "fc.weight", "fc.bias"];

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/weights").join(name)
}

fn specs(channels: usize) -> Vec<TensorSpec> {
    let head = Role::Linear { inputs: 2 };
    let spec = |name: &str, shape: &[usize], role| TensorSpec { name: name.to_owned(), shape: shape.to_vec(), role };
    vec![
        spec(NAMES[0], &[2, channels, 2, 2], Role::Convolution),
        spec(NAMES[1], &[2], Role::Scale),
        spec(NAMES[2], &[2], Role::Shift),
        spec(NAMES[3], &[2], Role::RunningMean),
        spec(NAMES[4], &[2], Role::RunningVariance),
        spec(NAMES[5], &[3, 2], head),
        spec(NAMES[6], &[3], head),
    ]
}

fn classes() -> Vec<String> {
    ["neutral", "happiness", "sadness"].map(str::to_owned).to_vec()
}

fn fresh(channels: usize) -> StateDict {
    let array = |spec: TensorSpec| {
        let values = vec![-1.0; spec.shape.iter().product()];
        (spec.name, Array { shape: spec.shape, values })
    };
    specs(channels).into_iter().map(array).collect()
}

fn load_file(path: &Path, channels: usize) -> Result<(StateDict, LoadedWeights), Error> {
    load(path, &specs(channels), &classes(), fresh(channels))
}

fn refused(path: &Path) -> String {
    load_file(path, 3).unwrap_err().to_string()
}

/// What make.py put into a tensor.
fn made(name: &str, count: usize) -> Vec<f32> {
    let place = NAMES.iter().position(|known| *known == name).unwrap() as f32;
    (0..count).map(|number| number as f32 / 8.0 + place).collect()
}

fn assert_made<'a>(state: &StateDict, names: impl IntoIterator<Item = &'a str>) {
    for name in names {
        let array = &state[name];
        assert_eq!(array.values, made(name, array.values.len()), "{name}");
    }
}

#[test]
fn every_layout_that_pytorch_writes_gives_the_same_numbers() {
    // half and bfloat16 hold eighths below 16 exactly.
    for file in ["torchvision.pth", "half.pth", "bfloat16.pth", "channels_last.pth", "training.pth"] {
        let (state, outcome) = load_file(&fixture(file), 3).unwrap();
        assert_made(&state, NAMES);
        assert_eq!(outcome.loaded, NAMES, "{file}");
        assert_eq!(outcome.left, ["bn1.num_batches_tracked"], "{file}");
        assert_eq!((outcome.converted.len(), outcome.fresh.len()), (0, 0), "{file}");
        let expected = format!("7 tensors (conv1, bn1, fc) from {}", fixture(file).display());
        assert_eq!(outcome.to_string(), expected);
    }
}

#[test]
fn a_head_that_does_not_fit_starts_fresh_and_says_why() {
    for (file, reason) in
        [("no_head.pth", "the file has none"), ("other_head.pth", "the file has [5, 2], the network [3, 2]")]
    {
        let (state, outcome) = load_file(&fixture(file), 3).unwrap();
        assert_made(&state, NAMES[..5].iter().copied());
        assert_eq!(state["fc.weight"].values, [-1.0; 6], "{file}");
        assert_eq!(state["fc.bias"].values, [-1.0; 3], "{file}");
        assert_eq!(outcome.fresh, ["fc.weight", "fc.bias"].map(|name| (name.to_owned(), reason.to_owned())), "{file}");
        assert!(outcome.to_string().contains(&format!("`fc.bias` starts fresh ({reason})")), "{outcome}");
    }
}

#[test]
fn a_head_for_other_classes_starts_fresh() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("teacher.safetensors");
    let (state, _) = load_file(&fixture("torchvision.pth"), 3).unwrap();
    let write = |classes: &str| {
        let mut file = TensorFile::default();
        file.metadata.insert("classes".to_owned(), classes.to_owned());
        file.add_state("", &state);
        std::fs::write(&path, file.to_bytes()).unwrap();
        load_file(&path, 3).unwrap().1
    };
    assert_eq!(write(r#"["neutral","happiness","sadness"]"#).loaded, NAMES);
    let turned = write(r#"["sadness","happiness","neutral"]"#);
    assert_eq!(turned.loaded, NAMES[..5]);
    assert!(turned.to_string().contains("the file's classes are sadness, happiness, neutral"), "{turned}");
}

#[test]
fn the_first_convolution_is_made_to_fit_the_channels() {
    let (state, outcome) = load_file(&fixture("torchvision.pth"), 1).unwrap();
    // Row-major (2, 3, 2, 2): per output the channels are 4 numbers apart.
    let from = made("conv1.weight", 24);
    let sum = |output: usize, at: usize| (0..3).map(|channel| from[output * 12 + channel * 4 + at]).sum::<f32>();
    let expected: Vec<f32> = (0..8).map(|place| sum(place / 4, place % 4)).collect();
    assert_eq!(state["conv1.weight"], Array { shape: vec![2, 1, 2, 2], values: expected.clone() });
    assert!(outcome.to_string().contains("`conv1.weight` summed over its 3 channels"), "{outcome}");

    // And back: a grey face in three equal channels gives the same sums.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("grey.safetensors");
    let mut file = TensorFile::default();
    file.add_state("", &state);
    std::fs::write(&path, file.to_bytes()).unwrap();
    let (spread, outcome) = load_file(&path, 3).unwrap();
    let spread = &spread["conv1.weight"];
    assert_eq!(spread.shape, [2, 3, 2, 2]);
    for (place, value) in expected.iter().enumerate() {
        let sum: f32 = (0..3).map(|channel| spread.values[place / 4 * 12 + channel * 4 + place % 4]).sum();
        assert!((sum - value).abs() < 1e-5);
    }
    assert_eq!(outcome.converted, [("conv1.weight".to_owned(), "spread over 3 channels")]);
}

#[test]
fn what_does_not_fit_is_refused_by_the_tensors_name() {
    let shape = refused(&fixture("other_kernel.pth"));
    assert!(shape.contains("`conv1.weight` has shape [2, 3, 5, 5], the network wants [2, 3, 2, 2]"), "{shape}");
    let nan = refused(&fixture("nan.pth"));
    assert!(nan.contains("`bn1.running_var` holds NaN at position 1"), "{nan}");
    let object = refused(&fixture("whole_object.pth"));
    assert!(object.contains("state_dict()"), "{object}");
    let mut wider = specs(3);
    wider.push(TensorSpec { name: "layer1.0.conv1.weight".to_owned(), shape: vec![2], role: Role::Convolution });
    let missing = load(&fixture("torchvision.pth"), &wider, &classes(), fresh(3)).unwrap_err().to_string();
    assert!(missing.contains("`layer1.0.conv1.weight` is missing"), "{missing}");
}

#[test]
fn a_damaged_file_is_refused_wherever_it_is_cut() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cut.pth");
    for file in ["torchvision.pth", "training.pth"] {
        let whole = std::fs::read(fixture(file)).unwrap();
        for length in (0..whole.len()).step_by(97) {
            std::fs::write(&path, &whole[..length]).unwrap();
            let problem = refused(&path);
            assert!(problem.contains("cut.pth"), "{file} cut at {length}: {problem}");
        }
    }
}

#[test]
fn changed_bytes_never_make_the_reader_panic() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("flipped.pth");
    for file in ["channels_last.pth", "training.pth"] {
        let mut bytes = std::fs::read(fixture(file)).unwrap();
        for place in (0..bytes.len()).step_by(7) {
            bytes[place] ^= 0xff;
            std::fs::write(&path, &bytes).unwrap();
            // Some bytes are weights, whose change nobody can see; what loads is whole and finite.
            if let Ok((state, _)) = load_file(&path, 3) {
                assert!(state.values().all(|array| array.values.iter().all(|value| value.is_finite())));
                assert!(specs(3).iter().all(|spec| state[&spec.name].shape == spec.shape));
            }
            bytes[place] ^= 0xff;
        }
    }
}
