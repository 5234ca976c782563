//! Results for people and for papers: Markdown and csv.

use std::fmt::Write;

use datafusion::arrow::csv::Writer;
use marginalia_datasets::Split;
use marginalia_store::Table;
use marginalia_store::tables::experiments::Experiment;

use super::label_time::LabelTime;
use super::learning::Learning;
use super::plan::Plan;
use super::results::{Column, Difference, Figure, Records, Results, SubsetOne};
use super::settings;
use super::statistics::Estimate;
use crate::error::Result;
use crate::tables::percent;

/// Most of another set's test faces that a training's set may share before the heading says so.
const SAME_IMAGES: f64 = 0.5;

/// The whole account: a table for each pair of data sets, the differences, and how to come to the same.
pub fn markdown(results: &Results, plan: &Plan) -> String {
    let mut text = format!("# {}: {}\n", plan.study.name, plan.study.about);
    if !results.are_whole() {
        let _ =
            writeln!(text, "\n{} of {} runs are recorded; the same command goes on.", results.recorded, results.runs);
    }
    let mut left = results.columns.as_slice();
    while let Some(first) = left.first() {
        let count = left.iter().take_while(|column| is_beside(column, first)).count();
        let (columns, rest) = left.split_at(count);
        text += &section(columns, &results.arms);
        left = rest;
    }
    if !results.diverged.is_empty() {
        text += "\n## Without a figure\n\nTheir training came to no numbers, and would again.\n\n";
        results.diverged.iter().for_each(|run| text += &format!("- {run}\n"));
    }
    if !results.differences.is_empty() {
        text += &differences(&results.differences);
    }
    if !results.learning.is_empty() {
        text += &learning(&results.learning, plan.label_time);
    }
    let reference = plan.study.reference;
    if !plan.arms.iter().any(|arm| arm.name == reference) {
        let _ = writeln!(text, "\n{reference} is not among the arms, so none is compared with it.");
    }
    text += &how_to_repeat(plan);
    text
}

fn is_beside(column: &Column, first: &Column) -> bool {
    column.dataset == first.dataset && column.target == first.target
}

/// One pair of data sets, a budget beside the other.
fn section(columns: &[Column], arms: &[String]) -> String {
    let first = &columns[0];
    let mut text = match first.dataset == first.target {
        true => format!("\n## {}\n\n{} faces of its {} split", first.dataset, first.faces, first.split),
        false => format!(
            "\n## {} → {}\n\nTrained on {}, measured on {} {} faces of {}; {} faces of other classes left out",
            first.dataset, first.target, first.dataset, first.faces, first.split, first.target, first.left_out
        ),
    };
    if first.split != Split::Test.as_str() {
        text += "; its test split has no labels";
    }
    if first.shared > SAME_IMAGES {
        let what = if first.same_label < 1.0 { "same images, other labels" } else { "same images" };
        let (shared, same) = (percent(Some(first.shared)), percent(Some(first.same_label)));
        let _ = write!(text, ": **{what}** ({shared} are in both sets, {same} of those with the same label)");
    }
    text += ". Mean ± standard deviation over seeds; in brackets how many. Subset I: mean share over the second half of each run, \
             in brackets its lowest and highest epoch.\n\n|  |";
    for column in columns {
        let _ = write!(text, " {} ({} labels): accuracy | macro-F1 | subset I |", column.labels, column.labelled);
    }
    text += "\n| --- |";
    text += &" ---: | ---: | ---: |".repeat(columns.len());
    let _ = write!(text, "\n| always {} |", first.baseline_class);
    for column in columns {
        let (accuracy, macro_f1) = (percent(Some(column.baseline_accuracy)), percent(Some(column.baseline_macro_f1)));
        let _ = write!(text, " {accuracy} | {macro_f1} | |");
    }
    for (place, arm) in arms.iter().enumerate() {
        let _ = write!(text, "\n| {arm} |");
        for column in columns {
            text += &match &column.figures[place] {
                Some(Figure { same_as: Some(arm), .. }) => format!(" as {arm} | | |"),
                Some(figure) => format!(
                    " {} | {} | {} |",
                    spread(&figure.accuracy),
                    spread(&figure.macro_f1),
                    figure.subset_one.as_ref().map_or("–".to_owned(), range)
                ),
                None => " – | – | – |".to_owned(),
            };
        }
    }
    text + "\n"
}

fn differences(differences: &[Difference]) -> String {
    let mut text = format!(
        "\n## Against {}\n\nPaired by seed, data sets and budget, in points; 95 % intervals are Student's, p is of Wilcoxon's \
         signed-rank test on macro-F1, adjusted by Holm. Both take the pairs for independent; those of one seed share test \
         faces and, where there are several budgets, labels, so that they say less than as many seeds would.\n\n\
         | | pairs | accuracy | macro-F1 | 95 % interval | p | adjusted |\n\
         | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
        differences[0].reference
    );
    for Difference { arm, accuracy, macro_f1, p, p_adjusted, .. } in differences {
        let interval = macro_f1.half_width.map_or("–".to_owned(), |half| {
            format!("{:+.1} to {:+.1}", 100.0 * (macro_f1.mean - half), 100.0 * (macro_f1.mean + half))
        });
        let probability = |p: &Option<f64>| p.map_or("–".to_owned(), |p| format!("{p:.3}"));
        let _ = write!(
            text,
            "\n| {arm} | {} | {:+.1} | {:+.1} | {interval} | {} | {} |",
            macro_f1.count,
            100.0 * accuracy.mean,
            100.0 * macro_f1.mean,
            probability(p),
            probability(p_adjusted)
        );
    }
    text + "\n"
}

fn learning(of: &[Learning], time: Option<LabelTime>) -> String {
    let people = match time {
        Some(LabelTime { median, labels }) => {
            format!("People's time at {median:.1} s a label, the median of {labels} labels of people in this corpus.")
        }
        None => "No label of people in this corpus says how long it took, so their time is left out.".to_owned(),
    };
    let minutes = |labels: f64| time.map_or("–".to_owned(), |time| format!("{:+.1}", labels * time.median / 60.0));
    let mut text = format!(
        "\n## Labels\n\nEvery order, random too, is one of the faces below their margin (subset II of the last round), and weights \
         go on from round to round. The area is the mean macro-F1 over the labels. A seed's target is what random order came to \
         on it; an arm that never got there counts as one round more. {people}\n\n\
         | | area | reached | labels to the target | saved against random | 95 % interval | people's minutes saved |\n\
         | --- | ---: | ---: | ---: | ---: | ---: | ---: |"
    );
    for Learning { arm, dataset, area, reached, seeds, needed, saved } in of {
        let interval = saved
            .half_width
            .map_or("–".to_owned(), |half| format!("{:+.0} to {:+.0}", saved.mean - half, saved.mean + half));
        let _ = write!(
            text,
            "\n| {arm} on {dataset} | {} | {reached} of {seeds} | {:.0} | {:+.0} | {interval} | {} |",
            spread(area),
            needed.mean,
            saved.mean,
            minutes(saved.mean)
        );
    }
    text + "\n"
}

fn how_to_repeat(plan: &Plan) -> String {
    let mut text = format!(
        "\n## To come to the same\n\n```\n{}\n```\n\nMarginalia {}. {} The EMA model of the last epoch is measured; nothing is \
         chosen by held-out labels.\n",
        plan.command,
        env!("CARGO_PKG_VERSION"),
        settings::in_words(plan)
    );
    for data_set in &plan.data_sets {
        let _ = writeln!(text, "Faces, classes and splits of {}: BLAKE3 {}.", data_set.name, data_set.state);
    }
    text
}

fn spread(estimate: &Estimate) -> String {
    let mean = 100.0 * estimate.mean;
    match estimate.deviation {
        Some(deviation) => format!("{mean:.1} ± {:.1} % ({})", 100.0 * deviation, estimate.count),
        None => format!("{mean:.1} % (1)"),
    }
}

fn range(share: &SubsetOne) -> String {
    let SubsetOne { mean, lowest, highest } = share;
    format!("{:.1} % ({:.1} to {:.1})", 100.0 * mean, 100.0 * lowest, 100.0 * highest)
}

/// Every record of the plan, a line each, with all that the table `experiments` has of it.
///
/// # Errors
/// None that input could cause.
pub fn csv(plan: &Plan, records: &Records) -> Result<Vec<u8>> {
    let mut rows = Vec::new();
    for cell in plan.cells() {
        let recorded = plan.targets(cell.data_set).filter_map(|target| records.get(&plan.key(&cell, target)));
        // Another study or arm may have run it first, under another name.
        rows.extend(recorded.map(|row| Experiment { arm: cell.arm.name.clone(), ..row.clone() }));
    }
    let mut lines = Writer::new(Vec::new());
    lines.write(&Experiment::to_batch(&rows)?)?;
    Ok(lines.into_inner())
}
