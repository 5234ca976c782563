//! The pictures of evaluations and experiments: what they show, and that no name breaks them.

use marginalia_trainer::calibration::{Calibration, logits_of};
use marginalia_trainer::charts::{Bar, Curve, Level, bars, confusion, curves, reliability};
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
fn bars_have_the_height_of_their_figures_and_intervals() {
    let bar = |name: &str, value, half_width| Bar { name: name.to_owned(), value, half_width };
    let all = [bar("a & b", Some(0.4), Some(0.1)), bar("not yet", None, None)];
    let level = Level { name: "always happiness".to_owned(), value: 0.1 };
    let svg = bars("Macro-F1", "two seeds", "macro-F1", &level, &all);
    // 300 pixels for 0.5, from 370 upwards.
    assert!(svg.contains("<rect class=\"bar\" x=\"73.5\" y=\"130.0\" width=\"41.0\" height=\"240.0\""), "{svg}");
    assert!(svg.contains("<line class=\"interval\" x1=\"94.0\" y1=\"190.0\" x2=\"94.0\" y2=\"70.0\"/>"), "{svg}");
    assert!(svg.contains("<line class=\"ideal\" x1=\"62.0\" y1=\"310.0\" x2=\"390.0\" y2=\"310.0\"/>"), "{svg}");
    assert!(svg.contains(">a &amp; b<") && svg.contains(">not yet<") && svg.contains(">always happiness<"), "{svg}");
    assert_eq!(svg.matches("class=\"bar\"").count(), 1, "no figure, no bar");
}

#[test]
fn curves_go_through_their_points_and_all_have_a_name() {
    let curve = |color, dashed, points: &[(f64, f64)]| Curve {
        name: format!("a & b {color}"),
        points: points.to_vec(),
        color,
        dashed,
    };
    let two = [curve(0, false, &[(1.0, 0.2), (2.0, 0.5)]), curve(11, true, &[(2.0, 0.0)])];
    let svg = curves("Training", "one seed", ("epoch", "macro-F1"), &two);
    // 500 pixels for two epochs, from 62; 320 for 0.5, from 390 upwards.
    assert!(svg.contains("<polyline class=\"line c0\" points=\"312.0,262.0 562.0,70.0\"/>"), "{svg}");
    assert!(svg.contains("<polyline class=\"line c1 dashed\" points=\"562.0,390.0\"/>"), "{svg}");
    assert!(svg.contains("viewBox=\"0 0 760 460\"") && svg.contains(">a &amp; b 11<"), "{svg}");
    let many: Vec<Curve> = (0..40).map(|color| curve(color, false, &[(1.0, 0.1)])).collect();
    let svg = curves("Training", "one seed", ("epoch", "macro-F1"), &many);
    // The last of forty names stands at 82 + 39 · 18.
    assert!(svg.contains("viewBox=\"0 0 760 802\"") && svg.contains("y=\"784.0\" text-anchor=\"start\">a &amp; b 39<"));
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
