//! What ten people said of one face, and what a training mode makes of it (Barsoum et al., "Training deep networks for
//! facial expression recognition with crowd-sourced label distribution", ICMI 2016, and the released code).

use crate::classes::Classes;
use crate::table::Row;

/// FER+'s columns in order; the last two are no expressions.
pub(crate) const CHOICES: [&str; 10] =
    ["neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt", "unknown", "nf"];
const COLUMNS: usize = CHOICES.len();
const UNKNOWN: usize = 8;
const EXPRESSIONS: &[&str] = CHOICES.split_at(UNKNOWN).0;

/// Votes by column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Votes([u32; COLUMNS]);

/// How votes become a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum VoteMode {
    /// The class that more than half of the votes name; all votes are kept beside it.
    Majority,
    /// The top classes up to three quarters of the votes, three classes at most, if they hold more than half.
    Distribution,
    /// Every class with 30 % of the votes, all worth the same, if they hold more than half.
    MultiTarget,
}

impl Votes {
    /// From the fields of a row.
    ///
    /// # Errors
    /// In words, what is wrong with them.
    pub(crate) fn parse<'f>(fields: impl Iterator<Item = &'f [u8]>) -> Result<Self, String> {
        let mut votes = Vec::with_capacity(COLUMNS);
        for field in fields {
            let text = String::from_utf8_lossy(field.trim_ascii());
            votes.push(text.parse().map_err(|_| format!("`{text}` is no number of votes"))?);
        }
        let count = votes.len();
        votes.try_into().map(Self).map_err(|_| format!("{count} numbers of votes instead of {COLUMNS}"))
    }

    /// Label and votes as this mode has them, or why the face is left out.
    pub(crate) fn row(&self, mode: VoteMode, classes: &Classes) -> Result<Row, String> {
        // A single vote counts as a slip of the hand.
        let votes = self.0.map(|count| if count > 1 { count } else { 0 });
        let target = target(mode, votes).ok_or("no class holds enough of the votes")?;
        let top = (0..COLUMNS).rev().max_by_key(|&i| target[i]).unwrap_or(UNKNOWN);
        let Some(label) = EXPRESSIONS.get(top) else {
            let meaning = if top == UNKNOWN { "unknown" } else { "no face" };
            return Err(format!("most votes say `{meaning}`"));
        };
        let kept = match mode {
            VoteMode::Majority => self.0,
            VoteMode::Distribution => target,
            VoteMode::MultiTarget => target.map(|count| count.min(1)),
        };
        let mut by_class = vec![0; classes.len()];
        for (expression, count) in EXPRESSIONS.iter().zip(kept) {
            if let Some(i) = classes.resolve(expression).ok().and_then(|name| classes.index(name)) {
                by_class[i] = count;
            }
        }
        Ok(Row { label: (*label).to_owned(), votes: Some(by_class), ..Row::default() })
    }
}

/// The votes that count, by column; `None` where they agree too little.
fn target(mode: VoteMode, votes: [u32; COLUMNS]) -> Option<[u32; COLUMNS]> {
    let all: u32 = votes.iter().sum();
    let mut kept = [0; COLUMNS];
    match mode {
        VoteMode::Majority => {
            let top = (0..COLUMNS).rev().max_by_key(|&i| votes[i])?;
            kept[top] = votes[top];
        }
        VoteMode::MultiTarget => kept = votes.map(|count| if 10 * count >= 3 * all { count } else { 0 }),
        VoteMode::Distribution => kept = top_votes(votes)?,
    }
    (2 * kept.iter().sum::<u32>() > all).then_some(kept)
}

/// Takes classes from the top, equals together, until three quarters of the votes or three classes are reached. `unknown`
/// and `no face` end it, and count only where they stand at the very top. `None` where equals make it more than three.
fn top_votes(mut votes: [u32; COLUMNS]) -> Option<[u32; COLUMNS]> {
    let all: u32 = votes.iter().sum();
    let mut kept = [0; COLUMNS];
    let (mut taken, mut classes) = (0, 0);
    while 4 * taken < 3 * all && classes < 3 {
        let top = votes.iter().copied().max().unwrap_or(0);
        for i in 0..COLUMNS {
            if votes[i] != top {
                continue;
            }
            votes[i] = 0;
            taken += top;
            let is_first = classes == 0;
            if i < UNKNOWN {
                kept[i] = top;
                classes += 1;
                continue;
            }
            if is_first {
                kept[i] = top;
            }
            return (classes <= 3).then_some(kept);
        }
    }
    (classes <= 3).then_some(kept)
}
