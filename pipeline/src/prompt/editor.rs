//! What happens while somebody types: completion of names, and when a statement is whole.

use rustyline::completion::Completer;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{Context, Helper};

/// Words of the language that are worth completing.
const WORDS: &[&str] = &[
    "select",
    "from",
    "where",
    "group by",
    "order by",
    "having",
    "limit",
    "join",
    "left join",
    "on",
    "with",
    "as",
    "and",
    "or",
    "not",
    "null",
    "is",
    "in",
    "like",
    "between",
    "case",
    "when",
    "then",
    "else",
    "end",
    "distinct",
    "count",
    "sum",
    "avg",
    "min",
    "max",
    "round",
    "over",
    "partition by",
    "desc",
    "asc",
    "explain",
    "describe",
    "show tables",
    "union all",
];

/// The helper of the line editor.
pub struct Typing {
    /// Names of tables, views, columns and functions, and words, in order.
    names: Vec<String>,
}

impl Typing {
    /// Completes these names and the words of the language.
    pub fn new(mut names: Vec<String>) -> Self {
        names.extend(WORDS.iter().map(|word| (*word).to_owned()));
        names.sort_unstable();
        names.dedup();
        Self { names }
    }

    /// Where the word at the cursor begins, and what it may become.
    fn candidates(&self, line: &str, cursor: usize) -> (usize, Vec<String>) {
        let before = &line[..cursor];
        let is_part = |c: char| c.is_alphanumeric() || c == '_';
        let start =
            before.rfind(|c| !is_part(c)).map_or(0, |at| at + before[at..].chars().next().map_or(1, char::len_utf8));
        let word = before[start..].to_lowercase();
        if word.is_empty() {
            return (start, Vec::new());
        }
        (start, self.names.iter().filter(|name| name.starts_with(&word)).cloned().collect())
    }
}

impl Completer for Typing {
    type Candidate = String;

    fn complete(&self, line: &str, cursor: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<String>)> {
        Ok(self.candidates(line, cursor))
    }
}

impl Validator for Typing {
    fn validate(&self, typed: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        Ok(if is_whole(typed.input()) { ValidationResult::Valid(None) } else { ValidationResult::Incomplete })
    }
}

impl Hinter for Typing {
    type Hint = String;
}

impl Highlighter for Typing {}

impl Helper for Typing {}

/// Whether what was typed is to be answered: a command, nothing at all, or a statement with its semicolon or an empty line
/// behind it. A semicolon in quotes or in a comment ends nothing.
fn is_whole(text: &str) -> bool {
    let trimmed = text.trim();
    trimmed.is_empty() || trimmed.starts_with('\\') || text.ends_with("\n") || ends_with_semicolon(trimmed)
}

fn ends_with_semicolon(text: &str) -> bool {
    let mut quote = None;
    let mut ends = false;
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match quote {
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None if c == '-' && rest.peek() == Some(&'-') => {
                rest.by_ref().find(|c| *c == '\n');
            }
            None if c == '\'' || c == '"' => {
                quote = Some(c);
                ends = false;
            }
            None if c == ';' => ends = true,
            None if c.is_whitespace() => {}
            None => ends = false,
        }
    }
    ends && quote.is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_is_whole_with_its_semicolon_or_an_empty_line() {
        for whole in
            ["", "  ", "\\d", "select 1;", "select 1\n", "select ';' as a;", "select 1; -- why", "select\n1\n;"]
        {
            assert!(is_whole(whole), "{whole:?}");
        }
        for half in ["select 1", "select ';", "select 1 -- ;", "select \";\" from t", "select 1; select 2"] {
            assert!(!is_whole(half), "{half:?}");
        }
    }

    #[test]
    fn names_are_completed_wherever_they_stand() {
        let typing = Typing::new(vec!["corpus".into(), "confidence".into(), "queue".into()]);
        assert_eq!(typing.candidates("select * from cor", 17), (14, vec!["corpus".to_owned()]));
        assert_eq!(typing.candidates("select co", 9).1, ["confidence", "corpus", "count"]);
        assert_eq!(typing.candidates("select q.ranké, QU", 19), (17, vec!["queue".to_owned()]));
        assert_eq!(typing.candidates("select ", 7), (7, Vec::<String>::new()));
    }
}
