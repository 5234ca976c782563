//! Orders of the queue that are shipped, by name: one file in `queue/` and one line here each.

/// The order that `init` writes.
pub const DEFAULT: &str = include_str!("queue.sql");

/// Name and text of each.
pub const ORDERS: &[(&str, &str)] = &[
    ("random", include_str!("queue/random.sql")),
    ("least-confidence", include_str!("queue/least-confidence.sql")),
    ("entropy", include_str!("queue/entropy.sql")),
    ("margin", include_str!("queue/margin.sql")),
    ("margin-distance", include_str!("queue/margin-distance.sql")),
    ("class-balanced", include_str!("queue/class-balanced.sql")),
    ("typiclust", include_str!("queue/typiclust.sql")),
    ("bald", include_str!("queue/bald.sql")),
    ("badge", include_str!("queue/badge.sql")),
    ("coreset", include_str!("queue/coreset.sql")),
    ("maxherding", include_str!("queue/maxherding.sql")),
];

/// The text of an order, if there is one of that name.
pub fn find(name: &str) -> Option<&'static str> {
    ORDERS.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}
