//! Bars on a terminal: ticks move a bar, everything else becomes a line above it.

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::events::Event;
use crate::report::{EventReader, logs, words};

const COUNTER: &str = "{spinner} {msg}";
const BAR: &str = "{prefix} {wide_bar} {pos}/{len}  {msg}  {eta} left";

/// Shows one bar or counter at a time for each kind of work: what comes in, and the round.
pub struct ProgressReader {
    bars: MultiProgress,
    /// The stream or the import: it has no end, so it is a counter.
    incoming: Option<ProgressBar>,
    /// The round's current epoch, or its scoring, by the prefix that tells them apart.
    round: Option<(String, ProgressBar)>,
}

impl ProgressReader {
    /// Draws on stderr, below the log.
    pub fn stderr() -> Self {
        Self::with(logs::stderr_bars())
    }

    /// Draws elsewhere.
    pub fn on(target: ProgressDrawTarget) -> Self {
        Self::with(MultiProgress::with_draw_target(target))
    }

    fn with(bars: MultiProgress) -> Self {
        Self { bars, incoming: None, round: None }
    }

    /// The bars, for a writer that must not tear them.
    pub(super) fn bars(&self) -> &MultiProgress {
        &self.bars
    }

    fn count(&mut self, message: String) {
        let bar = self.incoming.get_or_insert_with(|| {
            let style = ProgressStyle::with_template(COUNTER).unwrap_or_else(|_| ProgressStyle::default_spinner());
            self.bars.add(ProgressBar::no_length().with_style(style))
        });
        bar.set_message(message);
        bar.tick();
    }

    fn advance(&mut self, prefix: String, position: u64, length: u64, message: String) {
        if self.round.as_ref().is_none_or(|(current, _)| *current != prefix) {
            self.end_round();
            let style = ProgressStyle::with_template(BAR).unwrap_or_else(|_| ProgressStyle::default_bar());
            let bar = self.bars.add(ProgressBar::new(length).with_style(style).with_prefix(prefix.clone()));
            self.round = Some((prefix, bar));
        }
        if let Some((_, bar)) = &self.round {
            bar.set_message(message);
            bar.set_length(length);
            bar.set_position(position);
        }
    }

    fn end_round(&mut self) {
        if let Some((_, bar)) = self.round.take() {
            bar.finish_and_clear();
            self.bars.remove(&bar);
        }
    }

    fn end_incoming(&mut self) {
        if let Some(bar) = self.incoming.take() {
            bar.finish_and_clear();
            self.bars.remove(&bar);
        }
    }
}

impl EventReader for ProgressReader {
    fn read(&mut self, event: &Event) {
        match event {
            Event::IngestProgress { counts, images_per_second } => {
                self.count(format!("{}, {} images/s", words::counted(counts), words::rate(*images_per_second)));
                return;
            }
            Event::ImportProgress { counts, labels, images_per_second } => {
                let (labels, rate) = (words::number(*labels), words::rate(*images_per_second));
                self.count(format!("{}, {labels} labels, {rate} images/s", words::counted(counts)));
                return;
            }
            Event::WarmStartStep { round, step, steps, loss } => {
                let message = format!("loss {loss:.3}");
                self.advance(format!("round {round} warm start"), (*step).into(), (*steps).into(), message);
                return;
            }
            Event::EpochStep { round, epoch, epochs, step, steps, loss, subset_one_share, .. } => {
                let message = format!("loss {loss:.3}, subset I {}", words::percent(*subset_one_share));
                self.advance(format!("round {round} epoch {epoch}/{epochs}"), (*step).into(), (*steps).into(), message);
                return;
            }
            Event::PoolScored { round, scored, faces, images_per_second } => {
                let message = format!("{} images/s", words::rate(*images_per_second));
                self.advance(format!("round {round} scoring"), *scored, *faces, message);
                return;
            }
            Event::RunStep { run, runs, name, epoch, step, steps } => {
                let prefix = format!("run {run}/{runs} {}", words::stage(*epoch));
                self.advance(prefix, (*step).into(), (*steps).into(), name.clone());
                return;
            }
            Event::IngestFinished { .. } | Event::ImportFinished { .. } => self.end_incoming(),
            Event::EpochFinished { .. }
            | Event::RunRecorded { .. }
            | Event::RoundCommitted { .. }
            | Event::RoundRejected { .. }
            | Event::RoundAborted { .. } => self.end_round(),
            _ => {}
        }
        if let Some(line) = words::line(event) {
            // Fails only where the terminal is gone.
            let _ = self.bars.println(line);
        }
    }

    fn finish(&mut self) {
        self.end_round();
        self.end_incoming();
    }
}
