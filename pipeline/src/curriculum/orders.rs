//! Orders of the queue that are shipped, by name: one file in `queue/` and one line here each.

/// Name and text of each.
pub const ORDERS: [(&str, &str); 6] = [
    ("random", include_str!("queue/random.sql")),
    ("least-confidence", include_str!("queue/least-confidence.sql")),
    ("entropy", include_str!("queue/entropy.sql")),
    ("margin", include_str!("queue/margin.sql")),
    ("typical-first", include_str!("queue/typical-first.sql")),
    ("badge", include_str!("queue/badge.sql")),
];

/// The text of an order, if there is one of that name.
pub fn find(name: &str) -> Option<&'static str> {
    ORDERS.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}
