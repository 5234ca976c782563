//! Names that are passed over: `*` stands for any characters, `?` for one.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Patterns for one file or folder name.
#[derive(Clone, Debug)]
pub(super) struct Ignore {
    patterns: Vec<Vec<u8>>,
}

impl Ignore {
    pub(super) fn new(patterns: &[String]) -> Self {
        Self { patterns: patterns.iter().map(|pattern| pattern.as_bytes().to_vec()).collect() }
    }

    /// Whether a file or folder of this name is passed over. `?` stands for one byte, as names need not be UTF-8.
    pub(super) fn name(&self, name: &OsStr) -> bool {
        self.patterns.iter().any(|pattern| matches(pattern, name.as_bytes()))
    }

    /// Whether any part of a path below its root is passed over.
    pub(super) fn below(&self, relative: &Path) -> bool {
        relative.components().any(|part| self.name(part.as_os_str()))
    }
}

/// Greedy matching with one point to come back to: linear in practice, quadratic at worst.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(byte) if *byte == b'?' || *byte == name[n] => {
                p += 1;
                n += 1;
            }
            _ => match star {
                Some((star_p, star_n)) => {
                    star = Some((star_p, star_n + 1));
                    p = star_p + 1;
                    n = star_n + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}
