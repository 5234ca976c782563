//! The prompt of `sql`: statements over several lines, history, completion, and commands that begin with a backslash.
//!
//! In: what somebody types. Out: answers on stdout, through a pager where they are longer than the screen, or in a file.
//! Each statement looks at the corpus as it is then, unless the prompt was opened on a moment of the past.

mod catalogue;
mod commands;
mod editor;
mod pager;

use std::path::PathBuf;
use std::time::Instant;

use marginalia_store::{Moment, Session};
use rustyline::error::ReadlineError;
use rustyline::history::FileHistory;
use rustyline::{Config, Editor};

use crate::answers::{AnswerFile, Format, write};
use crate::console::{Opened, write_out};
use crate::error::{Error, Result};
use catalogue::Catalogue;
use commands::{Command, HELP};
use editor::Typing;

/// Lines that are remembered.
const REMEMBERED: usize = 10_000;

/// What the commands have set.
struct Settings {
    format: Format,
    timing: bool,
    output: Option<AnswerFile>,
}

/// Runs the prompt until Ctrl-D or `\q`.
pub async fn run(opened: &Opened, first: Session, moment: Moment, format: Format) -> Result<()> {
    let failed = |source| Error::Prompt { source };
    let catalogue = Catalogue::of(&first).await?;
    let config = Config::builder().max_history_size(REMEMBERED).map_err(failed)?.auto_add_history(true).build();
    let mut editor: Editor<Typing, FileHistory> = Editor::with_config(config).map_err(failed)?;
    editor.set_helper(Some(Typing::new(catalogue.names())));
    let history = history_file();
    if let Some(path) = &history {
        // The first time there is none.
        let _ = editor.load_history(path);
    }
    write_out("a statement ends with ; or an empty line, \\? lists the commands, Ctrl-D ends")?;
    let mut prompt = Prompt {
        opened,
        session: first,
        moment,
        catalogue,
        settings: Settings { format, timing: false, output: None },
    };
    loop {
        let typed = tokio::task::block_in_place(|| editor.readline("marginalia> "));
        let text = match typed {
            Ok(text) => text,
            // Ctrl-C throws away what was typed.
            Err(ReadlineError::Interrupted) => continue,
            Err(ReadlineError::Eof) => break,
            Err(source) => return Err(failed(source)),
        };
        match prompt.take(text.trim()).await {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => eprintln!("{error}"),
        }
    }
    if let Some(path) = &history {
        save(&mut editor, path);
    }
    Ok(())
}

struct Prompt<'a> {
    opened: &'a Opened,
    session: Session,
    moment: Moment,
    catalogue: Catalogue,
    settings: Settings,
}

impl Prompt<'_> {
    /// Does what was typed; false where that was to end.
    async fn take(&mut self, text: &str) -> Result<bool> {
        if text.is_empty() {
            return Ok(true);
        }
        if !text.starts_with('\\') {
            self.ask(text).await?;
            return Ok(true);
        }
        match Command::parse(text)? {
            Command::Quit => return Ok(false),
            Command::Help => write_out(HELP)?,
            Command::List => self.show(&self.catalogue.list()).await?,
            Command::Functions => self.show(&self.catalogue.functions()).await?,
            Command::Describe(name) => self.show(&self.catalogue.describe(&name)?).await?,
            Command::Timing => {
                self.settings.timing = !self.settings.timing;
                write_out(if self.settings.timing { "times are shown" } else { "times are not shown" })?;
            }
            Command::Format(format) => self.settings.format = format,
            Command::Output(path) => self.settings.output = path.map(AnswerFile::new).transpose()?,
        }
        Ok(true)
    }

    /// Answers a statement; Ctrl-C stops it.
    async fn ask(&mut self, text: &str) -> Result<()> {
        let begun = Instant::now();
        let answered = tokio::select! {
            answered = self.answer(text) => answered,
            _ = tokio::signal::ctrl_c() => {
                eprintln!("stopped");
                return Ok(());
            }
        };
        answered?;
        if self.settings.timing {
            write_out(&format!("{:.1} ms", 1e3 * begun.elapsed().as_secs_f64()))?;
        }
        Ok(())
    }

    async fn answer(&mut self, text: &str) -> Result<()> {
        if self.moment == Moment::Now {
            self.session = self.opened.session().await?;
        }
        let answer = self.session.query(text.trim_end_matches(';')).await?;
        if let Some(file) = &mut self.settings.output {
            return file.add(answer, self.settings.format).await;
        }
        if self.settings.format.is_binary() {
            return Err(Error::BinaryOnTerminal { format: self.settings.format.name() });
        }
        let mut text = Vec::new();
        write(answer, self.settings.format, &mut text).await?;
        self.show(&String::from_utf8_lossy(&text)).await
    }

    async fn show(&self, text: &str) -> Result<()> {
        tokio::task::block_in_place(|| pager::show(text))
    }
}

/// Where people's state lies, by the XDG base directories.
fn history_file() -> Option<PathBuf> {
    let state = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let state = state.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".local/state")))?;
    Some(state.join("marginalia").join("sql_history"))
}

/// History is a convenience: where it cannot be kept the prompt still works.
fn save(editor: &mut Editor<Typing, FileHistory>, path: &std::path::Path) {
    let folder = path.parent().map_or(Ok(()), std::fs::create_dir_all);
    if let Err(error) = folder.map_err(ReadlineError::from).and_then(|()| editor.save_history(path)) {
        tracing::warn!("{}: the history was not kept: {error}", path.display());
    }
}
