//! Published counts of a data set against what was read, so that a filtered, augmented or partial copy is noticed.

use crate::split::Split;

/// A published count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownCount {
    /// The part under the set's own name, such as `PublicTest`.
    pub part: &'static str,
    /// The split it is read as.
    pub split: Split,
    /// Canonical expression.
    pub class: &'static str,
    pub count: usize,
}

/// A class whose count is not the published one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CountDifference {
    /// The parts that come nearest to what was read, such as `PublicTest + PrivateTest`.
    pub parts: String,
    pub class: String,
    pub known: usize,
    pub read: usize,
}

/// Compares the counts of one split with the nearest combination of published parts (FER2013's test may be one part or
/// both). Empty where they agree, or nothing is known.
///
/// `read` holds faces read per canonical class.
pub fn count_differences(known: &[KnownCount], read: &[(&str, usize)]) -> Vec<CountDifference> {
    let mut parts: Vec<&str> = Vec::new();
    for count in known {
        if !parts.contains(&count.part) {
            parts.push(count.part);
        }
    }
    let read_of = |class: &str| read.iter().filter(|(name, _)| *name == class).map(|(_, count)| count).sum::<usize>();
    let differences = |chosen: u32| {
        let is_chosen =
            |part: &str| parts.iter().position(|known| *known == part).is_some_and(|i| chosen >> i & 1 == 1);
        let mut classes: Vec<&str> =
            known.iter().map(|count| count.class).chain(read.iter().map(|(name, _)| *name)).collect();
        classes.sort_unstable();
        classes.dedup();
        let names = parts.iter().copied().filter(|part| is_chosen(part)).collect::<Vec<_>>().join(" + ");
        classes
            .into_iter()
            .map(|class| {
                let known = known.iter().filter(|count| count.class == class && is_chosen(count.part));
                let known = known.map(|count| count.count).sum();
                CountDifference { parts: names.clone(), class: class.to_owned(), known, read: read_of(class) }
            })
            .filter(|difference| difference.known != difference.read)
            .collect::<Vec<_>>()
    };
    let distance =
        |differences: &Vec<CountDifference>| differences.iter().map(|d| d.known.abs_diff(d.read)).sum::<usize>();
    // A data set has a handful of parts: all combinations are few.
    (1..1u32 << parts.len().min(8)).map(differences).min_by_key(distance).unwrap_or_default()
}

/// The counts of one part of a set.
pub(crate) const fn part<const N: usize>(
    part: &'static str,
    split: Split,
    counts: [(&'static str, usize); N],
) -> [KnownCount; N] {
    let mut known = [KnownCount { part, split, class: "", count: 0 }; N];
    let mut i = 0;
    while i < N {
        (known[i].class, known[i].count) = counts[i];
        i += 1;
    }
    known
}

/// The same counts several times over, as another part: so many frames of each sequence, say.
pub(crate) const fn times<const N: usize>(
    part: &'static str,
    factor: usize,
    mut counts: [KnownCount; N],
) -> [KnownCount; N] {
    let mut i = 0;
    while i < N {
        counts[i].part = part;
        counts[i].count *= factor;
        i += 1;
    }
    counts
}

/// Parts one after the other; `ALL` is how many counts they have together.
pub(crate) const fn joined<const ALL: usize>(parts: &[&[KnownCount]]) -> [KnownCount; ALL] {
    let mut all = [parts[0][0]; ALL];
    let (mut i, mut at) = (0, 0);
    while i < parts.len() {
        let mut j = 0;
        while j < parts[i].len() {
            all[at] = parts[i][j];
            at += 1;
            j += 1;
        }
        i += 1;
    }
    assert!(at == ALL, "as many counts as the parts have");
    all
}
