//! Entity tags: what a client has already is not sent again.

use axum::http::{HeaderMap, header};

/// Whether the client has what this tag stands for.
pub(crate) fn has(headers: &HeaderMap, tag: &str) -> bool {
    let tags = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    tags.flat_map(|tags| tags.split(','))
        .map(str::trim)
        .any(|known| known == "*" || known.trim_start_matches("W/") == tag)
}
