//! How a data set of an experiment is named: `FORMAT:PATH`, `FORMAT[OPTION=VALUE,…]:PATH`, `corpus:DIR` or `synthetic:FACES`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use marginalia_datasets::Split;

use crate::error::{Error, ExperimentError};

/// A data set as it was named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Given {
    /// The labelled faces of a corpus.
    Corpus(PathBuf),
    /// So many drawn faces to train on, and a fifth as many others to test on.
    Synthetic(u64),
    /// Files of a format.
    Files {
        /// Its name, or `auto`.
        format: String,
        /// What is chosen where the format leaves a choice, and `class-map=NAME`.
        options: Vec<String>,
        /// What is read, and the split that all of it belongs to, whatever the files say.
        paths: Vec<(Option<Split>, PathBuf)>,
    },
}

impl Given {
    /// The same with whole paths, so that it means one thing from every folder.
    ///
    /// # Errors
    /// A path that is not there.
    pub fn resolved(self) -> Result<Self, Error> {
        let whole = |path: PathBuf| path.canonicalize().map_err(Error::io(path));
        Ok(match self {
            Self::Corpus(folder) => Self::Corpus(whole(folder)?),
            Self::Synthetic(faces) => Self::Synthetic(faces),
            Self::Files { format, options, paths } => {
                let part = |(split, path)| Ok((split, whole(path)?));
                Self::Files { format, options, paths: paths.into_iter().map(part).collect::<Result<_, Error>>()? }
            }
        })
    }
}

/// How to write one.
const FORM: &str = "write FORMAT:PATH, FORMAT:TRAIN,test=TEST where a set comes in parts, FORMAT[OPTION=VALUE,…]:PATH, \
                    corpus:DIR or synthetic:FACES";

impl FromStr for Given {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = || Error::from(ExperimentError::UnreadableDataSet { text: text.to_owned(), form: FORM });
        match text.split_once(':') {
            Some((_, "")) | Some(("", _)) | None => Err(wrong()),
            Some(("corpus", folder)) => Ok(Self::Corpus(folder.into())),
            Some(("synthetic", faces)) => faces.parse().map(Self::Synthetic).map_err(|_| wrong()),
            Some((head, paths)) => {
                let (format, options) = format_and_options(head).ok_or_else(wrong)?;
                Ok(Self::Files { format, options, paths: paths.split(',').map(part).collect() })
            }
        }
    }
}

/// What stands before the colon; none where a bracket has no partner.
fn format_and_options(head: &str) -> Option<(String, Vec<String>)> {
    let Some((format, options)) = head.split_once('[') else { return Some((head.to_owned(), Vec::new())) };
    let options = options.strip_suffix(']')?.split(',').map(|option| option.trim().to_owned());
    Some((format.to_owned(), options.collect()))
}

/// A path, with its split where one is written before it.
fn part(text: &str) -> (Option<Split>, PathBuf) {
    let split = text.split_once('=').and_then(|(split, path)| Some((split.parse::<Split>().ok()?, path)));
    match split {
        Some((split, path)) => (Some(split), path.into()),
        None => (None, text.into()),
    }
}

/// A format as it is written before the colon.
pub fn with_options(format: &str, options: &[String]) -> String {
    match options.is_empty() {
        true => format.to_owned(),
        false => format!("{format}[{}]", options.join(",")),
    }
}

impl fmt::Display for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Corpus(folder) => write!(f, "corpus:{}", folder.display()),
            Self::Synthetic(faces) => write!(f, "synthetic:{faces}"),
            Self::Files { format, options, paths } => {
                let part = |(split, path): &(Option<Split>, PathBuf)| match split {
                    Some(split) => format!("{split}={}", path.display()),
                    None => path.display().to_string(),
                };
                let paths = paths.iter().map(part).collect::<Vec<_>>().join(",");
                write!(f, "{}:{paths}", with_options(format, options))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_reads_and_writes() {
        let plain = ["fer2013:a.tar", "imagefolder:a,test=b", "corpus:/x", "synthetic:500", "auto:a=b.tar"];
        let chosen = ["ck-plus[frames=1,neutral=all]:test=/ck", "imagefolder[class-map=fer2013]:a"];
        for text in [&plain[..], &chosen[..]].concat() {
            assert_eq!(text.parse::<Given>().unwrap().to_string(), text);
        }
        for text in ["", "fer2013", "fer2013:", ":a", "synthetic:many", "ck-plus[frames=1:a"] {
            assert!(text.parse::<Given>().is_err(), "{text}");
        }
    }
}
