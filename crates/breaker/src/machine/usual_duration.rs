//! The usual duration of a success: the time after which a caller that found all probes in flight should return.

use std::time::Duration;

use crate::time::{Timestamp, nanos};

/// The shortest wait for a probe, and the wait while no duration is known: a second, in nanoseconds.
const LEAST: u64 = 1_000_000_000;

/// The weight of the past and of one more success together, in which the success has one part.
const PAST: u64 = 8;

/// A mean of the durations of successes, in nanoseconds, in which each success weighs an eighth and the earlier mean
/// the rest; 0 while none is known.
///
/// It is updated whenever the machine takes a success with a known duration, of a probe or of an ordinary call. In a
/// shared breaker most successes bypass the machine, so it learns from fewer of them than the machine alone would.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct UsualDuration(u64);

impl UsualDuration {
    pub fn learn(&mut self, duration: Option<Duration>) {
        if let Some(duration) = duration.map(nanos) {
            self.0 = match self.0 {
                0 => duration,
                mean => mean - mean / PAST + duration / PAST,
            };
        }
    }

    /// The time at which a probe that has just begun will usually have answered: after as long as a success takes, at least
    /// a second.
    pub fn after(self, now: Timestamp) -> Timestamp {
        Timestamp::from_nanos(now.as_nanos().saturating_add(self.0.max(LEAST)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(durations: impl IntoIterator<Item = Duration>) -> Duration {
        let mut usual = UsualDuration::default();
        let each = durations.into_iter();
        each.for_each(|duration| usual.learn(Some(duration)));
        Duration::from_nanos(usual.after(Timestamp::ZERO).as_nanos())
    }

    #[test]
    fn nothing_known_and_quick_successes_are_a_second() {
        let least = Duration::from_secs(1);
        assert_eq!(after([]), least);
        assert_eq!(after([Duration::ZERO, Duration::from_millis(300)]), least);
    }

    #[test]
    fn the_usual_duration_follows_the_last_successes_and_hardly_one_alone() {
        let slow = Duration::from_secs(8);
        assert_eq!(after([slow]), slow);
        let quick = [Duration::from_millis(1); 100];
        assert_eq!(after(quick.into_iter().chain([slow])).as_secs(), 1);
        let lately = after(quick.into_iter().chain([slow; 40]));
        assert!(lately > Duration::from_millis(7_900), "{lately:?}");
    }

    #[test]
    fn endless_durations_overflow_nothing() {
        assert_eq!(after([Duration::MAX; 10]), Duration::from_nanos(u64::MAX));
    }
}
