//! Limits the calls of each token: a fixed window that begins with the token's first call, and a guard against sudden
//! spikes (the microgateway's `ratelimiter`).
//!
//! The window is implemented here, since the available libraries implement another rule: their leaking buckets admit a
//! call as soon as one has leaked out, while this window admits none until it ends (docs/decisions/0009).

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use fusebox_breaker::Timestamp;

use crate::{Map, RateLimiterActivity, Value};

/// The most tokens at once. Clients can invent tokens, so their number is bounded: beyond it the windows that end next
/// are evicted.
const TOKENS_MAX: usize = 100_000;

/// Number of calls of a token that the spike guard remembers.
const REMEMBERED: usize = 256;

/// The largest ratio of the present rate to the usual one.
const RATIO_MAX: f64 = 1e9;

/// The verdict on a call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Verdict {
    /// True if the call exceeds the limit.
    pub reached: bool,
    /// Number of further calls that the window admits.
    pub available: u64,
}

/// A limiter, which counts the calls of each token.
#[derive(Debug)]
pub struct Limiter {
    limit: RateLimiterActivity,
    tokens: Mutex<Tokens>,
}

#[derive(Debug, Default)]
struct Tokens {
    by_name: HashMap<Box<str>, Token>,
    /// The time of the next removal of ended windows.
    swept_at: Timestamp,
}

#[derive(Debug)]
struct Token {
    count: u64,
    ends: Timestamp,
    spikes: Option<Box<Spikes>>,
}

impl Limiter {
    /// A limiter without any calls.
    pub fn new(limit: RateLimiterActivity) -> Limiter {
        Limiter {
            limit,
            tokens: Mutex::default(),
        }
    }

    /// The settings of the limiter.
    pub fn limit(&self) -> &RateLimiterActivity {
        &self.limit
    }

    /// Counts a call of a token. `chance` draws a number from 0 to 1, only if a spike is possible.
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
                spikes.observe(now, threshold, self.limit.decay_rate, chance)
            }
            _ => false,
        };
        Verdict {
            reached: token.count > self.limit.limit || spike,
            available: self.limit.limit.saturating_sub(token.count),
        }
    }
}

/// Counts a call and returns the activity's outputs; a call without a token gets an error output.
pub fn outputs(limiter: &Limiter, token: &str, now: Timestamp) -> Map {
    let (verdict, message) = match token {
        "" => (Verdict::default(), "Token not found"),
        _ => (limiter.count(token, now, fastrand::f64), ""),
    };
    let available = i64::try_from(verdict.available).unwrap_or(i64::MAX);
    Map::from([
        ("limitReached".into(), verdict.reached.into()),
        ("limitAvailable".into(), Value::Long(available)),
        ("error".into(), token.is_empty().into()),
        ("errorMessage".into(), message.into()),
    ])
}

impl Tokens {
    /// Removes ended windows, once per window, and the windows that end next if too many remain. A token with a history
    /// of spikes is kept for one window longer, for its usual rate.
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
        // A sixteenth at once, so that a flood of tokens scans all windows only once in thousands of calls.
        let mut ends: Vec<Timestamp> = self.by_name.values().map(|token| token.ends).collect();
        let at = ends.len() / 16;
        let (_, last, _) = ends.select_nth_unstable(at);
        let last = *last;
        self.by_name.retain(|_, token| token.ends > last);
    }
}

/// The last calls of a token: their present rate, and the usual one.
#[derive(Debug)]
struct Spikes {
    times: [Timestamp; REMEMBERED],
    next: usize,
    count: usize,
    usual: f64,
    last: Timestamp,
    ratio: f64,
}

impl Default for Spikes {
    fn default() -> Spikes {
        Spikes {
            times: [Timestamp::ZERO; REMEMBERED],
            next: 0,
            count: 0,
            usual: 0.0,
            last: Timestamp::ZERO,
            ratio: 0.0,
        }
    }
}

impl Spikes {
    /// Records a call. True if it belongs to a spike and is refused: with a probability that grows with the ratio of
    /// the present rate to the usual one, once enough calls are known.
    fn observe(
        &mut self,
        now: Timestamp,
        threshold: f64,
        decay: f64,
        chance: impl FnOnce() -> f64,
    ) -> bool {
        let previous = self.times[(self.next + REMEMBERED - 1) % REMEMBERED];
        self.times[self.next] = now;
        self.next = (self.next + 1) % REMEMBERED;
        if self.count < REMEMBERED {
            self.count += 1;
            return false;
        }
        let span = nanos(now, self.times[self.next]);
        if span <= 0.0 {
            // The calls are too close together to determine a rate.
            return false;
        }
        let rate = REMEMBERED as f64 / span;
        // The usual rate begins at 0, so the first calls after the remembered ones count as a spike, the more the
        // faster they come, as in the original.
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

    fn limiter(limit: u64, window: Duration) -> Limiter {
        limiter_of_spikes(limit, window, None)
    }

    fn limiter_of_spikes(limit: u64, window: Duration, spike_threshold: Option<f64>) -> Limiter {
        Limiter::new(RateLimiterActivity {
            limit,
            window,
            spike_threshold,
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
    fn ended_windows_are_removed() {
        let limiter = limiter(1, Duration::from_secs(1));
        for call in 0..1000u64 {
            limiter.count(&call.to_string(), at(call), never);
        }
        limiter.count("last", at(10_000), never);
        assert_eq!(limiter.tokens.lock().unwrap().by_name.len(), 1);
    }

    #[test]
    fn a_burst_after_a_steady_rate_is_refused_as_chance_has_it_and_the_steady_rate_is_not() {
        let limiter = limiter_of_spikes(1_000_000, Duration::from_secs(1), Some(2.0));
        // Enough calls to determine the usual rate.
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
        let limiter = limiter_of_spikes(1_000_000, Duration::from_secs(1), Some(2.0));
        for call in 1..=256 {
            assert!(!limiter.count("a", at(call * 50), never).reached);
        }
        let refused = (0..10).filter(|_| limiter.count("a", at(12_801), || 0.5).reached);
        assert!(refused.count() > 5);
    }
}
