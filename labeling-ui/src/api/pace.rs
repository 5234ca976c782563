//! How fast anybody may ask: beyond loopback each bearer of a token has so many requests a second, with a reserve for
//! bursts such as a page full of thumbnails; an address that shows no good token has few. On loopback nobody is held
//! back: whoever is there can slow this machine down in easier ways.

use std::net::IpAddr;
use std::num::NonZeroU32;

use axum::http::StatusCode;
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota};

use super::problem::Problem;

/// Keys that are kept before those that have their whole reserve again are forgotten.
const KEPT: usize = 10_000;

/// How often one may ask.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    /// Requests a second, in the long run.
    pub per_second: NonZeroU32,
    /// Requests at once, after a while without any.
    pub burst: NonZeroU32,
}

impl Rate {
    /// Of so many a second and so many at once, at least one of each.
    pub const fn new(per_second: u32, burst: u32) -> Self {
        Self { per_second: at_least_one(per_second), burst: at_least_one(burst) }
    }

    fn quota(self) -> Quota {
        Quota::per_second(self.per_second).allow_burst(self.burst)
    }
}

const fn at_least_one(n: u32) -> NonZeroU32 {
    match NonZeroU32::new(n) {
        Some(n) => n,
        None => NonZeroU32::MIN,
    }
}

/// Who asked how often lately.
pub(crate) struct Pace {
    bearers: DefaultKeyedRateLimiter<String>,
    strangers: DefaultKeyedRateLimiter<IpAddr>,
}

impl Pace {
    /// Nobody yet.
    pub fn new(bearers: Rate, strangers: Rate) -> Self {
        Self {
            bearers: DefaultKeyedRateLimiter::keyed(bearers.quota()),
            strangers: DefaultKeyedRateLimiter::keyed(strangers.quota()),
        }
    }

    /// Counts a request of the bearer of a token.
    pub fn bearer(&self, name: &str) -> Result<(), Problem> {
        check(&self.bearers, &name.to_owned())
    }

    /// Counts a request without a good token.
    pub fn stranger(&self, address: IpAddr) -> Result<(), Problem> {
        check(&self.strangers, &address)
    }
}

fn check<K: std::hash::Hash + Eq + Clone>(limiter: &DefaultKeyedRateLimiter<K>, key: &K) -> Result<(), Problem> {
    if limiter.len() > KEPT {
        limiter.retain_recent();
    }
    limiter.check_key(key).map_err(|early| {
        let wait = early.wait_time_from(DefaultClock::default().now());
        let seconds = wait.as_secs_f64().ceil().max(1.0);
        let detail = format!("Too many requests came from you; go on in {seconds} seconds.");
        Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", detail).retry_after(seconds as u64)
    })
}
