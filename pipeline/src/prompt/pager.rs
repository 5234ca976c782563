//! Long answers through a pager: the one in `PAGER`, or `less`.

use std::io::{ErrorKind, IsTerminal, Write};
use std::process::{Command, Stdio};

use crate::console::write_out;
use crate::error::{Error, Result};

/// Shows a text; one that is longer or wider than the screen in a pager, if there is one.
pub fn show(text: &str) -> Result<()> {
    let text = text.trim_end();
    if !std::io::stdout().is_terminal() || fits(text) {
        return write_out(text);
    }
    let pager = std::env::var("PAGER").ok().filter(|pager| !pager.trim().is_empty());
    let pager = pager.unwrap_or_else(|| "less --chop-long-lines --quit-if-one-screen --no-init".to_owned());
    let mut words = pager.split_whitespace();
    let Some(program) = words.next() else { return write_out(text) };
    let Ok(mut child) = Command::new(program).args(words).stdin(Stdio::piped()).spawn() else {
        return write_out(text);
    };
    if let Some(mut input) = child.stdin.take() {
        match input.write_all(text.as_bytes()).and_then(|()| input.write_all(b"\n")) {
            // It was left before its end.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
            written => written.map_err(Error::io(program))?,
        }
    }
    child.wait().map_err(Error::io(program))?;
    Ok(())
}

fn fits(text: &str) -> bool {
    let (rows, columns) = ::console::Term::stdout().size();
    text.lines().count() < rows.into() && text.lines().all(|line| ::console::measure_text_width(line) <= columns.into())
}
