//! How many calls each token may make: a fixed window that begins with the token's first call, and
//! a guard against sudden spikes (the microgateway's `ratelimiter`).
//!
//! The window is counted here and not by a library, since the limiters at hand keep another law:
//! theirs is a bucket that leaks, which lets a call through as soon as one has leaked out, where
//! this window lets none through until it ends (docs/decisions/0009).

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use fusebox_breaker::Timestamp;

use crate::{Map, Value};

/// How many tokens are kept at once. A client can make tokens up, so there is an end to it: past
/// it the window that ends next gives way.
const TOKENS_MAX: usize = 100_000;

/// How many calls of a token the spike guard remembers.
const REMEMBERED: usize = 256;

/// The most that a rate counts as over the usual one.
const RATIO_MAX: f64 = 1e9;

/// What a limiter is told.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limit {
    /// Calls in a window.
    pub calls: u64,
    /// How long a window lasts.
    pub window: Duration,
    /// The ratio of the present rate to the usual one past which calls are refused; `None`: any.
    pub spike_threshold: Option<f64>,
    /// How fast a spike is forgotten, per nanosecond.
    pub decay_rate: f64,
}

/// What a call is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// Whether the call is over the limit.
    pub reached: bool,
    /// How many more calls the window takes.
    pub available: u64,
}

/// Counts the calls of each token.
#[derive(Debug)]
pub struct Limiter {
    limit: Limit,
    tokens: Mutex<Tokens>,
}

#[derive(Debug, Default)]
struct Tokens {
    by_name: HashMap<Box<str>, Token>,
    /// When the windows that have ended are next looked for.
    swept_at: Timestamp,
}

#[derive(Debug)]
struct Token {
    count: u64,
    ends: Timestamp,
    spikes: Option<Box<Spikes>>,
}

impl Limiter {
    /// A limiter that has seen no call.
    pub fn new(limit: Limit) -> Limiter {
        Limiter {
            limit,
            tokens: Mutex::default(),
        }
    }

    /// What it was told.
    pub fn limit(&self) -> Limit {
        self.limit
    }

    /// Counts a call of a token; `chance` gives a number from 0 to 1, drawn only where a spike is
    /// looked for.
    pub fn count(&self, token: &str, now: Timestamp, chance: impl FnOnce() -> f64) -> Verdict {
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.make_room(token, now, self.limit.window);
        let token = match tokens.by_name.get_mut(token) {
            Some(known) => known,
            None => tokens.by_name.entry(token.into()).or_insert_with(|| Token {
                count: 0,
                ends: now + self.limit.window,
                spikes: self.limit.spike_threshold.map(|_| Box::default()),
            }),
        };
        if token.ends <= now {
            token.count = 0;
            token.ends = now + self.limit.window;
        }
        token.count = token.count.saturating_add(1);
        let spike = match (&mut token.spikes, self.limit.spike_threshold) {
            (Some(spikes), Some(threshold)) => {
                spikes.see(now, threshold, self.limit.decay_rate, chance)
            }
            _ => false,
        };
        Verdict {
            reached: token.count > self.limit.calls || spike,
            available: self.limit.calls.saturating_sub(token.count),
        }
    }
}

/// Counts a call and gives the activity's outputs; a call without a token is told so.
pub fn outputs(limiter: &Limiter, token: &str, now: Timestamp) -> Map {
    let verdict = if token.is_empty() {
        Verdict {
            reached: false,
            available: 0,
        }
    } else {
        limiter.count(token, now, fastrand::f64)
    };
    let message = if token.is_empty() {
        "Token not found"
    } else {
        ""
    };
    let available = i64::try_from(verdict.available).unwrap_or(i64::MAX);
    let mut outputs = Map::new();
    outputs.insert("limitReached".into(), verdict.reached.into());
    outputs.insert("limitAvailable".into(), Value::Long(available));
    outputs.insert("error".into(), token.is_empty().into());
    outputs.insert("errorMessage".into(), message.into());
    outputs
}

impl Tokens {
    /// Lets go of windows that have ended, once a window, and of the next to end where too many are
    /// left. A token with a history of spikes is kept for a window more, for its usual rate.
    fn make_room(&mut self, token: &str, now: Timestamp, window: Duration) {
        if self.swept_at <= now {
            self.swept_at = now + window;
            self.by_name.retain(|_, token| match token.spikes {
                Some(_) => token.ends + window > now,
                None => token.ends > now,
            });
        }
        if self.by_name.len() < TOKENS_MAX || self.by_name.contains_key(token) {
            return;
        }
        // A sixteenth at once, so that a flood of tokens pays for one look in thousands of calls.
        let mut ends: Vec<Timestamp> = self.by_name.values().map(|token| token.ends).collect();
        let at = ends.len() / 16;
        let (_, last, _) = ends.select_nth_unstable(at);
        let last = *last;
        self.by_name.retain(|_, token| token.ends > last);
    }
}

/// The last calls of a token: how fast they come, and how fast they usually do.
#[derive(Debug)]
struct Spikes {
    times: [Timestamp; REMEMBERED],
    next: usize,
    seen: usize,
    usual: f64,
    last: Timestamp,
    ratio: f64,
}

impl Default for Spikes {
    fn default() -> Spikes {
        Spikes {
            times: [Timestamp::ZERO; REMEMBERED],
            next: 0,
            seen: 0,
            usual: 0.0,
            last: Timestamp::ZERO,
            ratio: 0.0,
        }
    }
}

impl Spikes {
    /// Notes a call, and says whether it belongs to a spike that is to be refused: with the
    /// probability by which the present rate is over the usual one, once enough calls are known.
    fn see(
        &mut self,
        now: Timestamp,
        threshold: f64,
        decay: f64,
        chance: impl FnOnce() -> f64,
    ) -> bool {
        let previous = self.times[(self.next + REMEMBERED - 1) % REMEMBERED];
        self.times[self.next] = now;
        self.next = (self.next + 1) % REMEMBERED;
        if self.seen < REMEMBERED {
            self.seen += 1;
            return false;
        }
        let span = nanos(now, self.times[self.next]);
        if span <= 0.0 {
            // Calls too close to tell a rate by.
            return false;
        }
        let rate = REMEMBERED as f64 / span;
        // The usual rate begins at none, so the first calls after those that are remembered count
        // as a spike the more the faster they come, as they do in the original.
        let weight = nanos(now, previous) / span;
        self.usual = weight * rate + (1.0 - weight) * self.usual;
        let ratio = (rate / self.usual).min(RATIO_MAX);
        if ratio > threshold {
            self.last = now;
            self.ratio = ratio - 1.0;
        }
        let age = nanos(now, self.last);
        let passes = 1.0 / (1.0 + self.ratio * (-decay * age).exp());
        chance() > passes
    }
}

fn nanos(later: Timestamp, earlier: Timestamp) -> f64 {
    later.saturating_since(earlier).as_nanos() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn limiter(calls: u64, window: Duration) -> Limiter {
        Limiter::new(Limit {
            calls,
            window,
            spike_threshold: None,
            decay_rate: 0.01,
        })
    }

    fn never() -> f64 {
        panic!("no chance is taken where no spike is looked for")
    }

    fn verdict(reached: bool, available: u64) -> Verdict {
        Verdict { reached, available }
    }

    #[test]
    fn a_window_begins_with_a_tokens_first_call_and_lets_none_through_before_it_ends() {
        let limiter = limiter(2, Duration::from_secs(60));
        assert_eq!(limiter.count("a", at(10_000), never), verdict(false, 1));
        assert_eq!(limiter.count("a", at(20_000), never), verdict(false, 0));
        assert_eq!(limiter.count("a", at(69_999), never), verdict(true, 0));
        assert_eq!(limiter.count("b", at(69_999), never), verdict(false, 1));
        assert_eq!(limiter.count("a", at(70_000), never), verdict(false, 1));
    }

    #[test]
    fn refused_calls_count_too() {
        let limiter = limiter(1, Duration::from_secs(1));
        limiter.count("a", at(0), never);
        for millis in 1..1000 {
            assert!(limiter.count("a", at(millis), never).reached);
        }
        assert!(!limiter.count("a", at(1000), never).reached);
    }

    #[test]
    fn tokens_that_a_client_makes_up_do_not_fill_the_memory() {
        let limiter = limiter(1, Duration::from_secs(3600));
        for call in 0..(TOKENS_MAX as u64 + 50_000) {
            limiter.count(&call.to_string(), at(call), never);
        }
        let tokens = limiter.tokens.lock().unwrap();
        assert!(tokens.by_name.len() <= TOKENS_MAX);
        assert!(tokens.by_name.contains_key("149999"));
        assert!(!tokens.by_name.contains_key("0"));
    }

    #[test]
    fn windows_that_have_ended_are_let_go() {
        let limiter = limiter(1, Duration::from_secs(1));
        for call in 0..1000u64 {
            limiter.count(&call.to_string(), at(call), never);
        }
        limiter.count("last", at(10_000), never);
        assert_eq!(limiter.tokens.lock().unwrap().by_name.len(), 1);
    }

    #[test]
    fn a_burst_after_a_steady_rate_is_refused_as_chance_has_it_and_the_steady_rate_is_not() {
        let limiter = Limiter::new(Limit {
            calls: 1_000_000,
            window: Duration::from_secs(1),
            spike_threshold: Some(2.0),
            decay_rate: 0.01,
        });
        // Enough of them for the usual rate to be known.
        for call in 1..=1500 {
            let verdict = limiter.count("a", at(call * 50), || 0.5);
            assert!(!verdict.reached || call > 256 && call < 600, "{call}");
        }
        let burst = |from: u64, chance: f64| {
            let calls = 1..=256u64;
            let refused = calls.filter(|call| {
                let now = Timestamp::from_nanos(from * 1_000_000 + call * 1000);
                limiter.count("a", now, || chance).reached
            });
            refused.count()
        };
        assert_eq!(burst(75_050, 0.000_001), 0);
        assert!(burst(75_060, 0.5) > 0);
        assert!(!limiter.count("b", at(75_061), never).reached);
    }

    #[test]
    fn the_first_calls_after_those_remembered_are_a_spike_if_they_come_at_once() {
        let limiter = Limiter::new(Limit {
            calls: 1_000_000,
            window: Duration::from_secs(1),
            spike_threshold: Some(2.0),
            decay_rate: 0.01,
        });
        for call in 1..=256 {
            assert!(!limiter.count("a", at(call * 50), never).reached);
        }
        let refused = (0..10).filter(|_| limiter.count("a", at(12_801), || 0.5).reached);
        assert!(refused.count() > 5);
    }
}
