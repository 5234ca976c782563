//! What people and programs see of the events.

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};

use indicatif::{ProgressDrawTarget, TermLike};
use insta::assert_snapshot;
use marginalia::events::{ClassMargin, Event, IngestCounts, LossTerm};
use marginalia::report::{EventReader, JsonReader, LogWriter, Mode, PlainReader, ProgressReader, Reporter};

#[test]
fn plain_lines() {
    let out = Shared::default();
    let (reporter, handle) = Reporter::start_with(vec![Box::new(PlainReader::new(out.clone()))]);
    a_day().into_iter().for_each(|event| reporter.emit(event));
    handle.finish();
    assert_snapshot!(out.text(), @r"
    watching /faces into stream door
    warning: disk almost full; make room
    ingested 28,709 seen, 27,473 new, 1,200 repeats, 36 rejected, 4 skipped in 12.3 s
    round 3 started: ada-cm, seed 1
    round 3: 700 labelled, 20,000 of 27,473 unlabelled, 70 validation faces; 2 epochs of 100 steps
    round 3, epoch 1/2: supervised 1.234, contrastive 0.500, subset I 41.2 %, margins 0.50–0.85, validation accuracy 35.0 %, macro-F1 – (1m 01s)
    round 3: gate passed, macro-F1 34.5 % (before –)
    round 3 committed: 27,473 faces scored, 9,000 pseudo-labels, 18,473 for people, in 1h 02m
    ");
}

#[test]
fn json_lines_are_whole_events() {
    let out = Shared::default();
    let (reporter, handle) = Reporter::start_with(vec![Box::new(JsonReader::new(out.clone()))]);
    a_day().into_iter().for_each(|event| reporter.emit(event));
    handle.finish();
    let text = out.text();
    let events: Vec<Event> = text.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    assert_eq!(events, a_day());
    let first: serde_json::Value = serde_json::from_str(text.lines().nth(2).unwrap()).unwrap();
    assert_snapshot!(first, @r#"{"event":"ingest_progress","seen":10,"new":9,"repeats":1,"rejected":0,"skipped":0,"images_per_second":512.5}"#);
}

#[test]
fn a_terminal_shows_bars_and_keeps_the_lines() {
    let screen = Screen::default();
    let target = ProgressDrawTarget::term_like_with_hz(Box::new(screen.clone()), 255);
    let (reporter, handle) = Reporter::start_with(vec![Box::new(ProgressReader::on(target))]);
    a_day().into_iter().for_each(|event| reporter.emit(event));
    handle.finish();
    let written = screen.out.text();
    for line in ["watching /faces into stream door", "round 3 started", "round 3 committed"] {
        assert!(written.contains(line), "no `{line}` in {written}");
    }
    assert!(written.contains("round 3 epoch 1/2") && written.contains("loss 1.500"), "no bar in {written}");
    assert!(written.contains("10 seen, 9 new"), "no counter in {written}");
}

#[test]
fn a_log_line_stands_above_the_bars() {
    let screen = Screen::default();
    let target = ProgressDrawTarget::term_like_with_hz(Box::new(screen.clone()), 255);
    let mut reader = ProgressReader::on(target);
    reader.read(&step(3));
    let before = screen.out.text().len();
    LogWriter::above(&reader).write_all(b"what the log says\n").unwrap();
    let drawn = screen.out.text().split_off(before);
    let (line, bar) = (drawn.find("what the log says"), drawn.find("round 3 epoch 1/2"));
    assert!(line.is_some() && line < bar, "{drawn}");
}

#[test]
fn a_slow_reader_misses_ticks_and_nothing_else() {
    let (gate, wait) = channel::<()>();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let reader = Slow { gate: wait, heard: Arc::clone(&heard) };
    let (reporter, handle) = Reporter::start_with(vec![Box::new(reader)]);
    // Ticks never wait, though nothing is read yet and the queue is full long before the last.
    (0..3000).for_each(|round| reporter.emit(step(round)));
    let worker = std::thread::spawn(move || {
        reporter.emit(Event::RoundAborted { round: 7, reason: "full disk".to_owned() });
        reporter.emit(Event::ScanFinished { files: 1 });
    });
    drop(gate);
    worker.join().unwrap();
    handle.finish();
    let heard = heard.lock().unwrap();
    let ticks = heard.iter().filter(|event| event.is_tick()).count();
    assert!((1..3000).contains(&ticks), "{ticks} ticks of 3000");
    let others: Vec<_> = heard.iter().filter(|event| !event.is_tick()).collect();
    assert!(matches!(others[..], [Event::RoundAborted { round: 7, .. }, Event::ScanFinished { .. }]), "{others:?}");
}

#[test]
fn a_closed_pipe_does_not_stop_the_work() {
    let readers: Vec<Box<dyn EventReader>> =
        vec![Box::new(JsonReader::new(Closed)), Box::new(PlainReader::new(Closed))];
    let (reporter, handle) = Reporter::start_with(readers);
    a_day().into_iter().for_each(|event| reporter.emit(event));
    handle.finish();
    reporter.warn("nobody hears this");

    let (reporter, handle) = Reporter::start(Mode::Silent);
    reporter.warn("nor this");
    drop(handle);
}

fn a_day() -> Vec<Event> {
    let counts = |seen, new, repeats, rejected, skipped| IngestCounts { seen, new, repeats, rejected, skipped };
    let margin = |expression: &str, margin| ClassMargin {
        expression: expression.to_owned(),
        margin,
        mean_confidence: None,
        right: 0,
    };
    let term = |name: &str, value| LossTerm { name: name.to_owned(), value };
    vec![
        Event::IngestStarted { paths: vec!["/faces".to_owned()], stream: "door".to_owned(), watching: true },
        Event::Warning { message: "disk almost full; make room".to_owned() },
        Event::IngestProgress { counts: counts(10, 9, 1, 0, 0), images_per_second: 512.5 },
        Event::IngestFinished { counts: counts(28_709, 27_473, 1_200, 36, 4), seconds: 12.34 },
        Event::RoundStarted { round: 3, method: "ada-cm".to_owned(), seed: 1, resumed: false },
        Event::RoundPlanned {
            round: 3,
            labelled: 700,
            unlabelled: 20_000,
            pool: 27_473,
            validation: 70,
            epochs: 2,
            steps_per_epoch: 100,
        },
        step(3),
        Event::EpochFinished {
            round: 3,
            epoch: 1,
            epochs: 2,
            t: 5,
            losses: vec![term("supervised", 1.2341), term("contrastive", 0.5)],
            subset_one_share: Some(0.412),
            validation_accuracy: Some(0.35),
            validation_macro_f1: None,
            margins: vec![margin("fear", 0.5), margin("anger", 0.85)],
            waiting_share: 0.002,
            seconds: 61.0,
        },
        Event::GateChecked {
            round: 3,
            accepted: true,
            macro_f1: Some(0.345),
            previous_macro_f1: None,
            allowed_loss: 0.05,
        },
        Event::FaceScored {
            face_id: "00".to_owned(),
            expression: "fear".to_owned(),
            confidence: 0.9,
            margin: 0.8,
            subset: "I".to_owned(),
            round: 2,
        },
        Event::RoundCommitted {
            round: 3,
            scored: 27_473,
            subset_one: 9_000,
            subset_two: 18_473,
            validation_accuracy: Some(0.35),
            validation_macro_f1: Some(0.345),
            seconds: 3725.0,
        },
    ]
}

fn step(round: u32) -> Event {
    Event::EpochStep {
        round,
        epoch: 1,
        epochs: 2,
        step: 40,
        steps: 100,
        loss: 1.5,
        losses: vec![LossTerm { name: "total".into(), value: 1.5 }],
        subset_one_share: Some(0.25),
    }
}

/// Waits for the gate before its first event.
struct Slow {
    gate: Receiver<()>,
    heard: Arc<Mutex<Vec<Event>>>,
}

impl EventReader for Slow {
    fn read(&mut self, event: &Event) {
        // The gate is dropped when it opens.
        let _ = self.gate.recv();
        self.heard.lock().unwrap().push(event.clone());
    }
}

#[derive(Clone, Debug, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Shared {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Closed;

impl Write for Closed {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Err(io::ErrorKind::BrokenPipe.into())
    }
}

/// A terminal that keeps all that was ever written to it.
#[derive(Clone, Debug, Default)]
struct Screen {
    out: Shared,
}

impl TermLike for Screen {
    fn width(&self) -> u16 {
        120
    }

    fn move_cursor_up(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_down(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_right(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_left(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        writeln!(self.out.clone(), "{text}")
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        self.out.clone().write_all(text.as_bytes())
    }

    fn clear_line(&self) -> io::Result<()> {
        Ok(())
    }

    fn flush(&self) -> io::Result<()> {
        Ok(())
    }
}
