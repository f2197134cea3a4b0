//! Presets for three kinds of other sides: an ordinary one, one near by, and one that fails now and then.

use std::time::Duration;

use super::{
    Compare, Cooldown, HalfOpen, History, JudgeOn, Mode, OnAbandoned, OnPanic, Over, RetryAfter,
    Rule, Settings, WindowKind,
};
use crate::ratio::Ratio;

impl Settings {
    /// Settings for an ordinary remote service, which are the default: five failures in a row trip, or half of at least
    /// 20 calls in 10 s; open for 30 s; one probe. The first rule sees an upstream that is gone; the second one that
    /// fails between successes, which a row never counts.
    ///
    /// ```
    /// use fusebox_breaker::{Over, Ratio, Rule, Settings};
    /// use std::time::Duration;
    ///
    /// assert_eq!(Settings::standard(), Settings::default());
    /// assert_eq!(Settings::standard().trip, [
    ///     Rule::ConsecutiveFailures { threshold: 5, within: None },
    ///     Rule::FailureRate {
    ///         rate: Ratio::percent(50),
    ///         over: Over::Time(Duration::from_secs(10)),
    ///         min_calls: 20,
    ///     },
    /// ]);
    /// ```
    pub fn standard() -> Self {
        Settings {
            trip: row_or_rate(5, 50, Duration::from_secs(10), 20),
            judge_on: JudgeOn::default(),
            compare: Compare::default(),
            slow_compare: Compare::Above,
            window: WindowKind::default(),
            history: History::default(),
            cooldown: Cooldown::default(),
            retry_after: RetryAfter::default(),
            half_open: HalfOpen::default(),
            ramp: None,
            on_panic: OnPanic::default(),
            on_abandoned: OnAbandoned::default(),
            mode: Mode::default(),
        }
    }

    /// Settings that trip early and return soon: three failures in a row, or a quarter of at least 10 calls in 5 s; open
    /// for 5 s; a probe keeps its place for 5 s. All else as in [`Settings::standard`].
    ///
    /// For calls that take milliseconds and have somewhere else to go: another replica, a cache, a fallback. A wrong trip
    /// then costs little, and a failing call much.
    ///
    /// ```
    /// use fusebox_breaker::{Rule, Settings};
    /// use std::time::Duration;
    ///
    /// let fast = Settings::fast();
    /// assert_eq!(fast.trip[0], Rule::ConsecutiveFailures { threshold: 3, within: None });
    /// assert_eq!(fast.cooldown.base, Duration::from_secs(5));
    /// ```
    pub fn fast() -> Self {
        let short = Duration::from_secs(5);
        Settings {
            trip: row_or_rate(3, 25, short, 10),
            cooldown: Cooldown::fixed(short),
            half_open: HalfOpen {
                probe_timeout: short,
                ..HalfOpen::default()
            },
            ..Settings::standard()
        }
    }

    /// Settings that tolerate much: ten failures in a row trip, or three quarters of at least 50 calls in 60 s. All
    /// else as in [`Settings::standard`].
    ///
    /// For another side that fails now and then even when it is well, such as a third party's API with limits of its
    /// own, and for calls without which nothing works: a wrong trip then costs more than a failing call.
    ///
    /// ```
    /// use fusebox_breaker::{Rule, Settings};
    ///
    /// let tolerant = Settings::tolerant();
    /// assert_eq!(tolerant.trip[0], Rule::ConsecutiveFailures { threshold: 10, within: None });
    /// assert_eq!(tolerant.cooldown, Settings::standard().cooldown);
    /// ```
    pub fn tolerant() -> Self {
        Settings {
            trip: row_or_rate(10, 75, Duration::from_secs(60), 50),
            ..Settings::standard()
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Settings::standard()
    }
}

/// Rules for `threshold` failures in a row, or `percent` percent of at least `min_calls` calls in `over`.
fn row_or_rate(threshold: u32, percent: u8, over: Duration, min_calls: u32) -> Vec<Rule> {
    vec![
        Rule::ConsecutiveFailures {
            threshold,
            within: None,
        },
        Rule::FailureRate {
            rate: Ratio::percent(percent),
            over: Over::Time(over),
            min_calls,
        },
    ]
}
