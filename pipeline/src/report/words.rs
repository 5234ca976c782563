//! Events in words: one line each, shared by every reader that people look at.

use crate::events::{ClassMargin, Event, IngestCounts, LossTerm};

/// The line for an event; none for those that come by the thousand and only programs want.
pub(super) fn line(event: &Event) -> Option<String> {
    Some(match event {
        Event::IngestStarted { paths, stream, watching } => {
            let verb = if *watching { "watching" } else { "reading" };
            format!("{verb} {} into stream {stream}", paths.join(", "))
        }
        Event::IngestProgress { counts, images_per_second } => {
            format!("ingest: {}, {} images/s", counted(counts), rate(*images_per_second))
        }
        Event::ScanFinished { files } => format!("scan complete: {} files", number(*files)),
        Event::IngestFinished { counts, seconds } => format!("ingested {} in {}", counted(counts), time(*seconds)),
        Event::FaceScored { .. } => return None,
        Event::ImportStarted { format, path } => format!("importing {path} as {format}"),
        Event::ImportProgress { counts, labels, images_per_second } => {
            format!("import: {}, {} labels, {} images/s", counted(counts), number(*labels), rate(*images_per_second))
        }
        Event::ImportFinished { counts, labels, seconds } => {
            format!("imported {}, {} labels in {}", counted(counts), number(*labels), time(*seconds))
        }
        Event::Maintained { table, work, seconds } => format!("{table} {work} in {}", time(*seconds)),
        Event::Serving { served } => served.lines().join("\n"),
        Event::Warning { message } => format!("warning: {message}"),
        Event::ExperimentPlanned { .. } | Event::RunStep { .. } | Event::RunRecorded { .. } => {
            return experiment_line(event);
        }
        Event::RoundStarted { .. }
        | Event::RoundPlanned { .. }
        | Event::WarmStartStep { .. }
        | Event::EpochStep { .. }
        | Event::EpochFinished { .. }
        | Event::GateChecked { .. }
        | Event::PoolScored { .. }
        | Event::RoundCommitted { .. }
        | Event::RoundRejected { .. }
        | Event::RoundAborted { .. } => return round_line(event),
    })
}

/// The line for an event of a round.
fn round_line(event: &Event) -> Option<String> {
    Some(match event {
        Event::RoundStarted { round, method, seed, resumed } => {
            let verb = if *resumed { "resumed" } else { "started" };
            format!("round {round} {verb}: {method}, seed {seed}")
        }
        Event::RoundPlanned { round, labelled, unlabelled, pool, validation, epochs, steps_per_epoch } => format!(
            "round {round}: {} labelled, {} of {} unlabelled, {} validation faces; {epochs} epochs of {steps_per_epoch} steps",
            number(*labelled),
            number(*unlabelled),
            number(*pool),
            number(*validation)
        ),
        Event::WarmStartStep { round, step, steps, loss } => {
            format!("round {round}, warm start: step {step}/{steps}, loss {loss:.3}")
        }
        Event::EpochStep { round, epoch, epochs, step, steps, loss, .. } => {
            format!("round {round}, epoch {epoch}/{epochs}: step {step}/{steps}, loss {loss:.3}")
        }
        Event::EpochFinished {
            round,
            epoch,
            epochs,
            losses,
            subset_one_share,
            validation_accuracy,
            validation_macro_f1,
            margins,
            seconds,
            ..
        } => format!(
            "round {round}, epoch {epoch}/{epochs}: {}, subset I {}, margins {}, validation accuracy {}, macro-F1 {} ({})",
            terms(losses),
            percent(*subset_one_share),
            span(margins),
            percent(*validation_accuracy),
            percent(*validation_macro_f1),
            time(*seconds)
        ),
        Event::GateChecked { round, accepted, macro_f1, previous_macro_f1, .. } => {
            let verdict = if *accepted { "passed" } else { "stopped" };
            let (now, before) = (percent(*macro_f1), percent(*previous_macro_f1));
            format!("round {round}: gate {verdict}, macro-F1 {now} (before {before})")
        }
        Event::PoolScored { round, scored, faces, images_per_second } => format!(
            "round {round}: scored {} of {} faces, {} images/s",
            number(*scored),
            number(*faces),
            rate(*images_per_second)
        ),
        Event::RoundCommitted { round, scored, subset_one, subset_two, seconds, .. } => format!(
            "round {round} committed: {} faces scored, {} pseudo-labels, {} for people, in {}",
            number(*scored),
            number(*subset_one),
            number(*subset_two),
            time(*seconds)
        ),
        Event::RoundRejected { round, reason, seconds } => {
            format!("round {round} rejected after {}: {reason}", time(*seconds))
        }
        Event::RoundAborted { round, reason } => format!("round {round} aborted, nothing of it shows: {reason}"),
        _ => return None,
    })
}

/// The line for an event of an experiment.
fn experiment_line(event: &Event) -> Option<String> {
    Some(match event {
        Event::ExperimentPlanned { study, runs, done } => format!("{study}: {runs} runs, {done} of them done before"),
        Event::RunStep { run, runs, name, epoch, step, steps } => {
            format!("run {run} of {runs}: {name}, {}, step {step}/{steps}", stage(*epoch))
        }
        Event::RunRecorded { run, runs, name, target, accuracy, macro_f1, seconds, seconds_left } => format!(
            "run {run} of {runs}: {name}: accuracy {}, macro-F1 {} on {target} ({}, {} left)",
            percent(Some(*accuracy)),
            percent(Some(*macro_f1)),
            time(*seconds),
            time(*seconds_left)
        ),
        _ => return None,
    })
}

pub(super) fn counted(counts: &IngestCounts) -> String {
    let IngestCounts { seen, new, repeats, rejected, skipped } = *counts;
    format!(
        "{} seen, {} new, {} repeats, {} rejected, {} skipped",
        number(seen),
        number(new),
        number(repeats),
        number(rejected),
        number(skipped)
    )
}

/// Digits in groups of three.
pub(super) fn number(value: u64) -> String {
    let digits = value.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

pub(super) fn rate(per_second: f64) -> String {
    if per_second < 10.0 { format!("{per_second:.1}") } else { number(per_second.round() as u64) }
}

/// An epoch, or what comes before the first one.
pub(super) fn stage(epoch: u32) -> String {
    if epoch == 0 { "warm start".to_owned() } else { format!("epoch {epoch}") }
}

pub(super) fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| "–".to_owned(), |share| format!("{:.1} %", 100.0 * share))
}

fn time(seconds: f64) -> String {
    match seconds {
        s if s < 60.0 => format!("{s:.1} s"),
        s if s < 3600.0 => format!("{}m {:02}s", s as u64 / 60, s as u64 % 60),
        s => format!("{}h {:02}m", s as u64 / 3600, s as u64 / 60 % 60),
    }
}

fn terms(losses: &[LossTerm]) -> String {
    if losses.is_empty() {
        return "no losses".to_owned();
    }
    losses.iter().map(|term| format!("{} {:.3}", term.name, term.value)).collect::<Vec<_>>().join(", ")
}

/// Lowest and highest margin.
fn span(margins: &[ClassMargin]) -> String {
    let low = margins.iter().map(|m| m.margin).min_by(f64::total_cmp);
    let high = margins.iter().map(|m| m.margin).max_by(f64::total_cmp);
    match (low, high) {
        (Some(low), Some(high)) => format!("{low:.2}–{high:.2}"),
        _ => "–".to_owned(),
    }
}
