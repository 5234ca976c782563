//! Label budgets: how many labels per class an experiment is allowed to see.

use std::fmt;
use std::str::FromStr;

use crate::classes::{Classes, expression_of};
use crate::error::{Error, Result};

/// How many labels are used, and how they spread over the classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LabelBudget {
    /// Every label there is.
    All,
    /// The same number from every class.
    PerClass(usize),
    /// A total, in the proportions of what is available; the largest remainders get the odd ones.
    Total(usize),
    /// A total in the proportions of Ada-CM's RAF-DB table (README of `hangyu94/Ada-CM`): fear / each other class
    /// 10/15, 40/60, 100/150, 200/300 and 250/625 labels for 100, 400, 1000, 2000 and 4000. All rows but the last
    /// have the same shares, which serve for every other total.
    AdaCm(usize),
}

impl LabelBudget {
    /// Labels to take from each class; `available` is what each class has, in the order of `classes`.
    ///
    /// # Errors
    /// A class that has too few is named with what it has and what is asked of it.
    ///
    /// # Panics
    /// If `available` is not as long as `classes`.
    pub fn per_class(&self, classes: &Classes, available: &[usize]) -> Result<Vec<usize>> {
        assert_eq!(available.len(), classes.len(), "one count per class");
        let wanted = match *self {
            Self::All => return Ok(available.to_vec()),
            Self::PerClass(each) => vec![each; classes.len()],
            Self::Total(total) => {
                let all = available.iter().sum();
                if total > all {
                    return Err(Error::TooFewFaces { wanted: total, available: all });
                }
                apportion(total, available)
            }
            Self::AdaCm(total) => {
                let (fear, other) = if total == 4000 { (250, 625) } else { (10, 15) };
                let weight = |name: &String| if expression_of(name) == Some("fear") { fear } else { other };
                apportion(total, &classes.names().iter().map(weight).collect::<Vec<_>>())
            }
        };
        for (i, (&wanted, &available)) in wanted.iter().zip(available).enumerate() {
            if wanted > available {
                return Err(Error::TooFewInClass { class: classes.name(i).to_owned(), wanted, available });
            }
        }
        Ok(wanted)
    }
}

/// Splits `total` in the proportions of `weights`: whole parts first, then one each by largest remainder, ties to the
/// earlier class. The parts add up to `total` unless all weights are 0.
fn apportion(total: usize, weights: &[usize]) -> Vec<usize> {
    let sum: u128 = weights.iter().map(|&weight| weight as u128).sum();
    if sum == 0 {
        return vec![0; weights.len()];
    }
    let exact = |i: usize| total as u128 * weights[i] as u128;
    let mut parts: Vec<usize> = (0..weights.len()).map(|i| (exact(i) / sum) as usize).collect();
    let left = total - parts.iter().sum::<usize>();
    let mut by_remainder: Vec<usize> = (0..weights.len()).collect();
    by_remainder.sort_by_key(|&i| std::cmp::Reverse(exact(i) % sum));
    for &i in by_remainder.iter().take(left) {
        parts[i] += 1;
    }
    parts
}

impl fmt::Display for LabelBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::PerClass(each) => write!(f, "per-class:{each}"),
            Self::Total(total) => write!(f, "{total}"),
            Self::AdaCm(total) => write!(f, "ada-cm:{total}"),
        }
    }
}

impl FromStr for LabelBudget {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let number = |digits: &str| match digits.trim().parse() {
            Ok(0) | Err(_) => Err(Error::InvalidLabelBudget { text: text.to_owned() }),
            Ok(n) => Ok(n),
        };
        match text.trim().split_once(':') {
            None if text.trim() == "all" => Ok(Self::All),
            None => number(text).map(Self::Total),
            Some(("per-class", each)) => number(each).map(Self::PerClass),
            Some(("ada-cm", total)) => number(total).map(Self::AdaCm),
            Some(_) => Err(Error::InvalidLabelBudget { text: text.to_owned() }),
        }
    }
}
