//! Networks of one input channel: what they are made of, what they take over, and a whole round.

use marginalia_trainer::checkpoint::TEACHER_FILE;
use marginalia_trainer::network::Architecture;
use marginalia_trainer::state_dict::{Entry, TensorFile};
use marginalia_trainer::{Control, Error, Scorer, Start, TrainerConfig, Training};

use crate::synthetic::{classes, config, data, face};

fn grey() -> TrainerConfig {
    TrainerConfig { input_channels: 1, ..config() }
}

#[test]
fn only_the_first_convolution_knows_how_many_channels_there_are() {
    let tensors = |input_channels| {
        let config = TrainerConfig { input_channels, ..TrainerConfig::streaming() };
        Architecture::new(&config, 7).unwrap().tensors()
    };
    let (colour, grey) = (tensors(3), tensors(1));
    assert_eq!(colour[0].shape, [64, 3, 7, 7]);
    assert_eq!((grey[0].name.as_str(), grey[0].shape.as_slice()), ("conv1.weight", [64, 1, 7, 7].as_slice()));
    assert_eq!(colour[1..], grey[1..]);
}

#[test]
fn a_grey_round_trains_saves_resumes_and_scores() {
    let (folder, faces) = (tempfile::tempdir().unwrap(), data(6));
    let mut training = Training::new(grey(), classes(), 1, Start::Scratch).unwrap();
    training.run_epoch(&faces, &Control::default(), &mut |_| {}).unwrap();
    training.save(folder.path()).unwrap();
    let teacher = TensorFile::read(&folder.path().join(TEACHER_FILE)).unwrap();
    let Entry::Float(first) = &teacher.entries["conv1.weight"] else { panic!("conv1.weight is not a tensor") };
    assert_eq!(first.shape[1], 1);
    assert_eq!(teacher.metadata["input_channels"], "1");
    let number = |key: &str| serde_json::from_str::<Vec<f32>>(&teacher.metadata[key]).unwrap();
    assert_eq!((number("mean"), number("std")), (vec![0.449], vec![0.226]));
    let scores = Scorer::load(folder.path()).unwrap().predict(&[face(0, 1), face(2, 2)]).unwrap();
    assert!(scores.iter().flatten().all(|score| (score.probabilities.iter().sum::<f32>() - 1.0).abs() < 1e-5));
    assert_eq!(scores.iter().flatten().count(), 2);
    let mut resumed = Training::resume(folder.path()).unwrap();
    resumed.run_epoch(&faces, &Control::default(), &mut |_| {}).unwrap();
}

#[test]
fn weights_for_colour_are_summed_into_a_grey_network_and_the_log_says_so() {
    let folder = tempfile::tempdir().unwrap();
    Training::new(config(), classes(), 1, Start::Scratch).unwrap().save(folder.path()).unwrap();
    let path = folder.path().join(TEACHER_FILE);
    let training = Training::new(grey(), classes(), 1, Start::Weights(path.clone())).unwrap();
    let said = training.loaded_weights().unwrap().to_string();
    assert!(said.contains("`conv1.weight` summed over its 3 channels"), "{said}");
    let Entry::Float(colour) = &TensorFile::read(&path).unwrap().entries["conv1.weight"] else { panic!("no tensor") };
    let sums = colour
        .values
        .chunks(3 * 49)
        .flat_map(|kernel| (0..49).map(|at| kernel[at] + kernel[49 + at] + kernel[98 + at]));
    assert_eq!(training.learner().teacher().unwrap()["conv1.weight"].values, sums.collect::<Vec<f32>>());
}

#[test]
fn a_checkpoint_for_colour_does_not_go_on_in_grey() {
    let folder = tempfile::tempdir().unwrap();
    Training::new(config(), classes(), 1, Start::Scratch).unwrap().save(folder.path()).unwrap();
    match Training::new(grey(), classes(), 2, Start::Checkpoint(folder.path().to_owned())) {
        Err(Error::Incompatible { what: "input_channels", found, wanted, .. }) => {
            assert_eq!((found, wanted), ("3".into(), "1".into()))
        }
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("a checkpoint for colour was taken"),
    }
}
