//! The two pictures of an evaluation: what they show, and that no name breaks them.

use marginalia_trainer::calibration::{Calibration, logits_of};
use marginalia_trainer::charts::{confusion, reliability};
use marginalia_trainer::margin::softmax;
use marginalia_trainer::streams::{Purpose, Streams};
use marginalia_trainer::{Metrics, charts};

const NAMES: [&str; 7] = ["neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger"];

fn names() -> Vec<String> {
    NAMES.map(str::to_owned).to_vec()
}

/// An over-confident network on 900 faces: right about three times in five, more often on common classes.
fn evaluation() -> (Vec<Vec<f64>>, Vec<usize>) {
    let mut stream = Streams::new(3, 0).stream(0, 0, Purpose::Method, 0);
    let mut face = |_| {
        let label = (7.0 * stream.uniform(0.0, 1.0).powi(2)) as usize;
        let mut logits: Vec<f64> = (0..7).map(|class| 1.6 * stream.normal() - 0.2 * class as f64).collect();
        logits[label] += 3.2;
        (softmax(&logits.iter().map(|logit| 2.2 * logit).collect::<Vec<f64>>()), label)
    };
    (0..900).map(&mut face).unzip()
}

fn reliability_of_evaluation() -> String {
    let (probabilities, labels) = evaluation();
    let logits: Vec<Vec<f64>> = probabilities.iter().map(|row| logits_of(row)).collect();
    let calibration = Calibration::fit(&logits, &labels, 7).unwrap();
    reliability(
        "Round 12 on FER2013, public test",
        &Metrics::of(&probabilities, &labels, 7).unwrap(),
        Some((calibration.temperature, &calibration.metrics)),
    )
}

fn confusion_of_evaluation() -> String {
    let (probabilities, labels) = evaluation();
    confusion("Round 12 on FER2013, public test", &Metrics::of(&probabilities, &labels, 7).unwrap(), &names())
}

#[test]
fn the_reliability_diagram_is_as_it_was_looked_at() {
    insta::assert_snapshot!("reliability", reliability_of_evaluation());
}

#[test]
fn the_confusion_matrix_is_as_it_was_looked_at() {
    insta::assert_snapshot!("confusion", confusion_of_evaluation());
}

#[test]
fn bars_stand_where_the_numbers_say() {
    // Two faces in one bin: confidence 0.9 (bin 13 of 15), one right.
    let metrics = Metrics::of(&[vec![0.9, 0.1], vec![0.9, 0.1]], &[0, 1], 2).unwrap();
    let svg = reliability("two faces", &metrics, None);
    assert!(svg.contains("raw, 0.87 to 0.93: 2 faces, accuracy 0.500, confidence 0.900"), "{svg}");
    assert!(svg.contains("2 faces · accuracy 50.0 % · ECE 0.4000 (bins of equal mass 0.4000)"), "{svg}");
    // The diagram is 380 pixels high: the bar half of it, the gap four tenths.
    assert!(svg.contains("height=\"190.0\"") && svg.contains("height=\"152.0\""), "{svg}");
    assert!(!svg.contains("<polyline"), "no calibration, no curve");
}

#[test]
fn a_class_without_faces_has_a_dash() {
    let metrics = Metrics::of(&[vec![0.8, 0.1, 0.1], vec![0.2, 0.7, 0.1]], &[0, 0], 3).unwrap();
    let svg = confusion("two faces", &metrics, &names()[..3]);
    // Recall of two classes and precision of the third are unknown.
    assert_eq!(svg.matches(">–<").count(), 3);
    assert!(svg.contains("neutral taken for happiness: 1 of 2 faces (50.0 %)"), "{svg}");
}

#[test]
fn names_are_text_and_nothing_else() {
    let metrics = Metrics::of(&[vec![0.8, 0.2]], &[0], 2).unwrap();
    let hostile = ["</svg><script>alert(\"1\")</script>".to_owned(), "a & b\u{0}\u{7}".to_owned()];
    for svg in [charts::confusion("<b>\"&", &metrics, &hostile), charts::reliability("<b>\"&", &metrics, None)] {
        assert!(svg.contains("&lt;b&gt;&quot;&amp;"), "{svg}");
        assert!(!svg.contains("<script") && !svg.contains("<b>") && !svg.contains('\u{0}') && !svg.contains('\u{7}'));
        assert_eq!(svg.matches("</svg>").count(), 1);
    }
    let svg = charts::confusion("", &metrics, &hostile);
    assert!(svg.contains("&lt;/svg&gt;&lt;script&gt;alert(&quot;…<"), "{svg}");
    assert!(svg.contains("a &amp; b<"), "{svg}");
}
