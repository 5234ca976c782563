//! What curves of active learning come to: areas, and labels to a target.
//!
//! In: the records of a simulation's arms. Out: per arm the area under macro-F1 over labels, the labels it needed to come as far
//! as random order did with all of its own, and what it saved against random, paired by seed.

use marginalia_store::tables::experiments::Experiment;
use serde::Serialize;
use serde_json::Value;

use super::plan::Plan;
use super::results::{Records, of_column};
use super::statistics::Estimate;
use super::studies::Kind;

/// An arm of a simulation.
#[derive(Clone, Debug, Serialize)]
pub struct Learning {
    /// The arm.
    pub arm: String,
    /// The data set.
    pub dataset: String,
    /// Mean macro-F1 over the labels, from the first to the last.
    pub area: Estimate,
    /// Seeds on which it came to the target ...
    pub reached: usize,
    /// ... of so many.
    pub seeds: usize,
    /// Labels that it took, a round's more than it had where it did not.
    pub needed: Estimate,
    /// Labels that random order took above that.
    pub saved: Estimate,
}

/// A learning curve: labels and macro-F1.
type Points = Vec<(f64, f64)>;

/// Every arm that ran on seeds that the reference ran on too.
pub(super) fn learning(plan: &Plan, records: &Records) -> Vec<Learning> {
    if plan.study.kind != Kind::Simulation {
        return Vec::new();
    }
    let mut all = Vec::new();
    for data_set in &plan.data_sets {
        for labels in &plan.labels {
            let of = |arm: &str| -> Vec<(u64, Points)> {
                let column = of_column(plan, records, arm, (data_set, data_set, *labels));
                column.into_iter().map(|(seed, row)| (seed, points(row))).collect()
            };
            let reference = of(plan.study.reference);
            all.extend(plan.arms.iter().filter_map(|arm| {
                let pairs: Vec<(Points, &Points)> = of(&arm.name)
                    .into_iter()
                    .filter_map(|(seed, curve)| Some((curve, &reference.iter().find(|(of, _)| *of == seed)?.1)))
                    .collect();
                learned(&arm.name, &data_set.name, &pairs, plan.simulation.per_round as f64)
            }));
        }
    }
    all
}

fn points(row: &Experiment) -> Points {
    let curve: Vec<Value> = serde_json::from_str(&row.curve).unwrap_or_default();
    curve.iter().filter_map(|point| Some((point["labels"].as_f64()?, point["macro_f1"].as_f64()?))).collect()
}

fn learned(arm: &str, dataset: &str, pairs: &[(Points, &Points)], per_round: f64) -> Option<Learning> {
    let areas: Vec<f64> = pairs.iter().filter_map(|(curve, _)| area(curve)).collect();
    let (mut reached, mut needed, mut saved) = (0, Vec::new(), Vec::new());
    for (curve, random) in pairs {
        let target = random.last()?.1;
        let labels = labels_to(curve, target);
        reached += usize::from(labels.is_some());
        let labels = labels.unwrap_or(curve.last()?.0 + per_round);
        needed.push(labels);
        saved.push(labels_to(random, target)? - labels);
    }
    Some(Learning {
        arm: arm.to_owned(),
        dataset: dataset.to_owned(),
        area: Estimate::of(&areas)?,
        reached,
        seeds: pairs.len(),
        needed: Estimate::of(&needed)?,
        saved: Estimate::of(&saved)?,
    })
}

/// The mean height of a curve.
fn area(curve: &[(f64, f64)]) -> Option<f64> {
    let (first, last) = (curve.first()?, curve.last()?);
    let width = last.0 - first.0;
    if width <= 0.0 {
        return Some(last.1);
    }
    let parts = curve.windows(2).map(|two| (two[1].0 - two[0].0) * (two[0].1 + two[1].1) / 2.0);
    Some(parts.sum::<f64>() / width)
}

/// Where a curve first comes to a height, between its points as on a straight line.
fn labels_to(curve: &[(f64, f64)], height: f64) -> Option<f64> {
    let first = curve.first()?;
    if first.1 >= height {
        return Some(first.0);
    }
    let two = curve.windows(2).find(|two| two[1].1 >= height)?;
    Some(two[0].0 + (two[1].0 - two[0].0) * (height - two[0].1) / (two[1].1 - two[0].1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_saved_where_the_curve_rises_sooner() {
        let random = vec![(10.0, 0.1), (20.0, 0.2), (30.0, 0.3)];
        let sooner = vec![(10.0, 0.1), (20.0, 0.4), (30.0, 0.4)];
        let never = vec![(10.0, 0.1), (20.0, 0.2), (30.0, 0.2)];
        assert!((area(&random).unwrap() - 0.2).abs() < 1e-9);
        let pairs = [(sooner.clone(), &random), (sooner, &random)];
        let learned_sooner = learned("a", "d", &pairs, 10.0).unwrap();
        assert_eq!((learned_sooner.reached, learned_sooner.seeds), (2, 2));
        // 0.3 lies at two thirds of the way from 10 to 20.
        assert!((learned_sooner.needed.mean - (10.0 + 20.0 / 3.0)).abs() < 1e-9);
        assert!((learned_sooner.saved.mean - (20.0 - 20.0 / 3.0)).abs() < 1e-9);
        let learned_never = learned("b", "d", &[(never, &random)], 10.0).unwrap();
        assert_eq!((learned_never.reached, learned_never.needed.mean, learned_never.saved.mean), (0, 40.0, -10.0));
    }
}
