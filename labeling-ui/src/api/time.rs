//! Times as JSON has them: RFC 3339, in UTC.

use chrono::{DateTime, SecondsFormat};
use marginalia_store::Timestamp;

/// `2026-11-24T10:00:00.123456Z`.
pub(super) fn text(time: Timestamp) -> String {
    DateTime::from_timestamp_micros(time.0)
        .map_or_else(String::new, |time| time.to_rfc3339_opts(SecondsFormat::Micros, true))
}
