//! Rounds that fail while they train: what they leave, and that they stand in nobody's way.

use marginalia_store::tables::faces::Face;
use marginalia_store::{Corpus, Options, Timestamp};

use crate::binary::{Bench, write_labelled};

#[test]
fn a_loss_that_overflows_leaves_the_checkpoint_before_it() {
    let bench = Bench::with_faces();
    let config = bench.corpus().join("marginalia.toml");
    let sound = std::fs::read_to_string(&config).unwrap();
    // The first epoch accepts no face, the second one all. Their loss, which is above 1 where logits are this small,
    // then weighs more than a number holds.
    let absurd = [
        ("#feature_scale = 16.0", "feature_scale = 1.0"),
        ("#initial = 0.8", "initial = 1.0"),
        ("#beta = 0.97", "beta = 0.0"),
        ("#empty_class = 0.8", "empty_class = 0.0"),
        ("#unlabelled = 1.0", "unlabelled = 3.4e38"),
    ];
    let text = absurd.iter().fold(sound.clone(), |text, (from, to)| text.replace(from, to));
    std::fs::write(&config, text).unwrap();

    let failed = bench.run(&["train"]);
    let said = String::from_utf8_lossy(&failed.stderr).into_owned();
    assert_eq!(failed.status.code(), Some(1), "{said}");
    assert!(said.contains("the loss became inf in epoch 2, step 1"), "{said}");
    let kept = bench.corpus().canonicalize().unwrap().join("checkpoints/stopped");
    let kept = kept.to_str().unwrap();
    assert!(said.contains(&format!("the last good checkpoint is {kept}")), "{said}");
    assert!(!bench.corpus().join("checkpoints/round-00001").exists());
    let image = bench.path("inbox/000003.png");
    let predict = || bench.json(&["predict", image.to_str().unwrap(), "--checkpoint", kept]);
    let predicted = predict();
    assert!(predicted[0]["confidence"].as_f64().unwrap() > 0.0, "{predicted}");

    // The next round begins anew, and leaves that checkpoint alone.
    std::fs::write(&config, sound).unwrap();
    assert_eq!(bench.json(&["train"])["round"], 1);
    assert_eq!(predict(), predicted);
    bench.ok(&["verify"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn faces_that_do_not_decode_any_more_end_the_round() {
    let bench = Bench::new();
    let labelled = bench.path("labelled");
    write_labelled(&labelled, 1, 42);
    bench.ok(&["import", "imagefolder", labelled.to_str().unwrap()]);
    let spoilt = |number: u8| Face {
        face_id: format!("{number:064x}"),
        image: vec![number; 64],
        format: "png".into(),
        width: 24,
        height: 24,
        stream: "test".into(),
        subject: None,
        perceptual_hash: 0,
        captured_at: None,
        ingested_at: Timestamp(1),
    };
    let corpus = Corpus::open(&bench.corpus(), Options::default()).await.unwrap();
    corpus.writer::<Face>().append((0..8).map(spoilt).collect()).await.unwrap();
    drop(corpus);

    let failed = bench.run(&["train"]);
    let said = String::from_utf8_lossy(&failed.stderr).into_owned();
    assert_eq!(failed.status.code(), Some(1), "{said}");
    assert!(said.contains("in a row could not be decoded"), "{said}");
    // It would meet them again: the next call does not go on with it.
    assert!(!bench.corpus().join("checkpoints/round-00001").exists());
}
