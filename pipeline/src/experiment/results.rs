//! What the runs of a plan say together.
//!
//! In: a plan and its records. Out: per arm and column the mean over seeds with its spread, beside the answer that needs no
//! model; and per arm the paired difference to the study's reference, over all seeds, data sets and budgets that both have.

use std::collections::HashMap;

use marginalia_datasets::LabelBudget;
use marginalia_store::tables::experiments::Experiment;
use serde::Serialize;
use serde_json::Value;

use super::arm::Arm;
use super::data_set::DataSet;
use super::learning::{Learning, learning};
use super::plan::{Cell, Plan};
use super::statistics::{Estimate, holm, wilcoxon};

/// Records by run and target ([`Plan::key`]).
pub type Records = HashMap<(String, String), Experiment>;

/// The results of a study, as far as its runs have come.
#[derive(Clone, Debug, Serialize)]
pub struct Results {
    /// The study.
    pub study: &'static str,
    /// Runs of the plan.
    pub runs: usize,
    /// Those that are recorded.
    pub recorded: usize,
    /// Those that came to no numbers, each with what became of it.
    pub diverged: Vec<String>,
    /// Names of the arms, in order.
    pub arms: Vec<String>,
    /// What they were measured on.
    pub columns: Vec<Column>,
    /// Every arm's paired difference to the reference.
    pub differences: Vec<Difference>,
    /// What a simulation's curves come to; none of other studies.
    pub learning: Vec<Learning>,
}

/// One pair of data sets and one label budget.
#[derive(Clone, Debug, Serialize)]
pub struct Column {
    /// Trained on.
    pub dataset: String,
    /// Measured on ...
    pub target: String,
    /// ... namely its test or, where no test face has a label, its validation split.
    pub split: &'static str,
    /// Share of the test faces that the training's set has too, where the sets differ ...
    pub shared: f64,
    /// ... and share of those whose class is the same there.
    pub same_label: f64,
    /// Label budget.
    pub labels: String,
    /// Labelled faces.
    pub labelled: u64,
    /// Faces measured.
    pub faces: u64,
    /// Faces of classes that the training's set lacks.
    pub left_out: u64,
    /// The most frequent class of those measured ...
    pub baseline_class: String,
    /// ... and what answering it always gets.
    pub baseline_accuracy: f64,
    /// Its macro-F1.
    pub baseline_macro_f1: f64,
    /// One figure an arm, in the order of the arms; none where no run is recorded.
    pub figures: Vec<Option<Figure>>,
}

/// An arm's runs in one column.
#[derive(Clone, Debug, Serialize)]
pub struct Figure {
    /// The arm before it that comes to the same settings here, and whose runs these are.
    pub same_as: Option<String>,
    /// Over seeds.
    pub accuracy: Estimate,
    /// Over seeds.
    pub macro_f1: Estimate,
    /// How many of the unlabelled faces came into subset I; none for methods without one.
    pub subset_one: Option<SubsetOne>,
    /// Mean seconds of a training.
    pub seconds: f64,
    /// Macro-F1 over epochs, or over the labels of a simulation's rounds; means over seeds.
    pub curve: Vec<(f64, f64)>,
}

/// Share of the unlabelled faces in subset I in the second half of the epochs, or rounds, of all seeds. A mean hides epochs in
/// which it was empty or everything.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct SubsetOne {
    /// Mean.
    pub mean: f64,
    /// That of the epoch with the smallest one.
    pub lowest: f64,
    /// That of the epoch with the largest one.
    pub highest: f64,
}

/// An arm against the reference.
#[derive(Clone, Debug, Serialize)]
pub struct Difference {
    /// The arm.
    pub arm: String,
    /// The reference.
    pub reference: &'static str,
    /// Accuracy above the reference's.
    pub accuracy: Estimate,
    /// Macro-F1 above the reference's.
    pub macro_f1: Estimate,
    /// Two-sided p of Wilcoxon's signed-rank test on macro-F1; none where nothing differs.
    pub p: Option<f64>,
    /// The same after Holm's adjustment for the number of arms.
    pub p_adjusted: Option<f64>,
}

impl SubsetOne {
    /// From one share an epoch; none without.
    pub fn of(shares: &[f64]) -> Option<Self> {
        let lowest = shares.iter().copied().reduce(f64::min)?;
        let highest = shares.iter().copied().reduce(f64::max)?;
        Some(Self { mean: shares.iter().sum::<f64>() / shares.len() as f64, lowest, highest })
    }
}

impl Results {
    /// Sums up what is recorded.
    pub fn of(plan: &Plan, records: &Records, diverged: Vec<String>) -> Self {
        let runs = plan.runs();
        Self {
            study: plan.study.name,
            runs: runs.len(),
            recorded: runs.iter().filter(|cell| is_recorded(plan, records, cell)).count(),
            diverged,
            arms: plan.arms.iter().map(|arm| arm.name.clone()).collect(),
            columns: columns(plan, records),
            differences: differences(plan, records),
            learning: learning(plan, records),
        }
    }

    /// Whether no run is left to be made.
    pub fn are_whole(&self) -> bool {
        self.recorded + self.diverged.len() == self.runs
    }
}

/// Whether a run is measured on all that it is to be measured on.
pub(super) fn is_recorded(plan: &Plan, records: &Records, cell: &Cell<'_>) -> bool {
    plan.targets(cell.data_set).all(|target| records.contains_key(&plan.key(cell, target)))
}

/// What a column is about: trained on, measured on, budget.
pub(super) type Setting<'a> = (&'a DataSet, &'a DataSet, LabelBudget);

/// Seeds and records of one arm in one column, in the order of the seeds.
pub(super) fn of_column<'a>(
    plan: &Plan,
    records: &'a Records,
    arm: &str,
    (data_set, target, labels): Setting<'_>,
) -> Vec<(u64, &'a Experiment)> {
    let is_wanted =
        |cell: &Cell<'_>| cell.arm.name == arm && cell.data_set.name == data_set.name && cell.labels == labels;
    let cells = plan.cells().filter(is_wanted);
    cells.filter_map(|cell| Some((cell.seed, records.get(&plan.key(&cell, target))?))).collect()
}

fn columns(plan: &Plan, records: &Records) -> Vec<Column> {
    let mut columns = Vec::new();
    for data_set in &plan.data_sets {
        for target in plan.targets(data_set) {
            for labels in &plan.labels {
                let of = |arm: &Arm| of_column(plan, records, &arm.name, (data_set, target, *labels));
                let rows = |arm: &Arm| of(arm).into_iter().map(|(_, row)| row).collect::<Vec<_>>();
                let rows: Vec<Vec<&Experiment>> = plan.arms.iter().map(rows).collect();
                let Some(first) = rows.iter().flatten().next() else { continue };
                let (shared, same_label) = match target.name == data_set.name {
                    true => (0, 0),
                    false => target.shared_with(data_set),
                };
                columns.push(Column {
                    dataset: data_set.name.clone(),
                    target: target.name.clone(),
                    split: target.measured.as_str(),
                    shared: shared as f64 / target.test_count().max(1) as f64,
                    same_label: same_label as f64 / shared.max(1) as f64,
                    labels: labels.to_string(),
                    labelled: first.labelled,
                    faces: first.faces,
                    left_out: first.left_out,
                    baseline_class: first.baseline_class.clone(),
                    baseline_accuracy: first.baseline_accuracy,
                    baseline_macro_f1: first.baseline_macro_f1,
                    figures: figures(plan, &rows),
                });
            }
        }
    }
    columns
}

/// One figure an arm, of its rows.
fn figures(plan: &Plan, rows: &[Vec<&Experiment>]) -> Vec<Option<Figure>> {
    let is_run = |(a, b): (&&Experiment, &&Experiment)| a.run == b.run;
    let of_arm = |(place, own): (usize, &Vec<&Experiment>)| {
        let is_same = |before: &Vec<&Experiment>| before.len() == own.len() && before.iter().zip(own).all(is_run);
        let same_as = rows[..place].iter().position(is_same).map(|before| plan.arms[before].name.clone());
        figure(own, same_as)
    };
    rows.iter().enumerate().map(of_arm).collect()
}

fn figure(rows: &[&Experiment], same_as: Option<String>) -> Option<Figure> {
    let over = |value: fn(&Experiment) -> f64| Estimate::of(&rows.iter().map(|row| value(row)).collect::<Vec<_>>());
    let curves: Vec<Vec<Value>> = rows.iter().filter_map(|row| serde_json::from_str(&row.curve).ok()).collect();
    let late = curves.iter().flat_map(|curve| curve.iter().skip(curve.len() / 2));
    let shares: Vec<f64> = late.filter_map(|point| point["subset_one_share"].as_f64()).collect();
    let points = curves.iter().map(Vec::len).min().unwrap_or(0);
    let mean = |place: usize, keys: &[&str]| {
        let value = |curve: &Vec<Value>| keys.iter().find_map(|key| curve[place][*key].as_f64());
        Estimate::of(&curves.iter().filter_map(value).collect::<Vec<_>>()).map(|estimate| estimate.mean)
    };
    let point = |place| Some((mean(place, &["labels", "epoch"])?, mean(place, &["macro_f1"])?));
    Some(Figure {
        same_as,
        accuracy: over(|row| row.accuracy)?,
        macro_f1: over(|row| row.macro_f1)?,
        subset_one: SubsetOne::of(&shares),
        seconds: over(|row| row.seconds)?.mean,
        curve: (0..points).filter_map(point).collect(),
    })
}

fn differences(plan: &Plan, records: &Records) -> Vec<Difference> {
    let reference = plan.study.reference;
    let others = plan.arms.iter().filter(|arm| arm.name != reference);
    let mut differences: Vec<Difference> = others
        .filter_map(|arm| {
            let pairs = pairs(plan, records, &arm.name, reference);
            let of = |value: fn(&Experiment) -> f64| -> Vec<f64> {
                pairs.iter().map(|(row, against)| value(row) - value(against)).collect()
            };
            let macro_f1 = of(|row| row.macro_f1);
            Some(Difference {
                arm: arm.name.clone(),
                reference,
                accuracy: Estimate::of(&of(|row| row.accuracy))?,
                macro_f1: Estimate::of(&macro_f1)?,
                p: wilcoxon(&macro_f1),
                p_adjusted: None,
            })
        })
        .collect();
    let tested: Vec<f64> = differences.iter().filter_map(|difference| difference.p).collect();
    let mut adjusted = holm(&tested).into_iter();
    for difference in differences.iter_mut().filter(|difference| difference.p.is_some()) {
        difference.p_adjusted = adjusted.next();
    }
    differences
}

/// Records of an arm beside those of the reference that differ in nothing else. Where both are one run there is no pair.
fn pairs<'a>(plan: &Plan, records: &'a Records, arm: &str, reference: &str) -> Vec<(&'a Experiment, &'a Experiment)> {
    let mut pairs = Vec::new();
    for data_set in &plan.data_sets {
        for target in plan.targets(data_set) {
            for labels in &plan.labels {
                let of = |arm: &str| of_column(plan, records, arm, (data_set, target, *labels));
                let against: HashMap<u64, &Experiment> = of(reference).into_iter().collect();
                let found = of(arm).into_iter().filter_map(|(seed, row)| Some((row, *against.get(&seed)?)));
                pairs.extend(found.filter(|(row, against)| row.run != against.run));
            }
        }
    }
    pairs
}
