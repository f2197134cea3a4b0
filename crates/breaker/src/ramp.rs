//! The ramp: after a close, calls come back share by share.

use std::time::Duration;

use crate::ratio::Ratio;
use crate::time::{Timestamp, nanos};

/// The return of calls after a close: the share of calls that pass grows linearly, from `from` at the close to all of
/// them after `over`. A failure that trips nothing halves the share, from which it continues to grow as fast as before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ramp {
    /// The time from the first share to all calls, above zero.
    pub over: Duration,
    /// The share that passes at once, below 100 %. The configuration's default is 5 %.
    pub from: Ratio,
}

impl Ramp {
    /// From 5 % of the calls to all of them.
    pub const fn linear(over: Duration) -> Self {
        Ramp {
            over,
            from: Ratio::percent(5),
        }
    }

    /// The share that a ramp undisturbed for `elapsed` lets pass, from 0 to 1.
    pub fn share(&self, elapsed: Duration) -> f64 {
        self.share_after(self.from.as_f64(), nanos(elapsed))
    }

    fn share_after(&self, start: f64, elapsed: u64) -> f64 {
        // Reaching the end is decided in whole numbers, so that a ramp ends on time.
        if elapsed >= self.rest(start) {
            return 1.0;
        }
        let grown = (1.0 - self.from.as_f64()) * (elapsed as f64 / nanos(self.over) as f64);
        (start + grown).min(1.0)
    }

    /// The nanoseconds from a share to all calls.
    fn rest(&self, start: f64) -> u64 {
        let from = self.from.as_f64();
        if start == from {
            return nanos(self.over);
        }
        ((1.0 - start) / (1.0 - from) * nanos(self.over) as f64).ceil() as u64
    }
}

/// A ramp under way: the share at a point from which it grows undisturbed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Ramping {
    ramp: Ramp,
    share: f64,
    since: Timestamp,
}

impl Ramping {
    pub fn begin(ramp: Ramp, now: Timestamp) -> Self {
        Ramping {
            share: ramp.from.as_f64(),
            since: now,
            ramp,
        }
    }

    /// The share of calls that pass.
    pub fn share(&self, now: Timestamp) -> f64 {
        let elapsed = nanos(now.saturating_since(self.since));
        self.ramp.share_after(self.share, elapsed)
    }

    /// The time at which all calls pass again, if nothing fails until then.
    pub fn ends(&self) -> Timestamp {
        self.since + Duration::from_nanos(self.ramp.rest(self.share))
    }

    /// The same share under other settings.
    pub fn refit(&self, ramp: Ramp, now: Timestamp) -> Self {
        Ramping {
            share: self.share(now),
            since: now,
            ramp,
        }
    }

    /// Steps back to half the share.
    pub fn step_back(&mut self, now: Timestamp) {
        self.share = self.share(now) / 2.0;
        self.since = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn a_ramp_grows_linearly_from_its_first_share_to_all_calls() {
        let ramp = Ramp {
            over: MINUTE,
            from: Ratio::percent(10),
        };
        assert_eq!(ramp.share(Duration::ZERO), 0.1);
        assert!((ramp.share(MINUTE / 2) - 0.55).abs() < 1e-12);
        assert!(ramp.share(MINUTE - Duration::from_nanos(1)) < 1.0);
        assert_eq!(ramp.share(MINUTE), 1.0);
        assert_eq!(ramp.share(Duration::MAX), 1.0);
    }

    #[test]
    fn a_step_back_halves_the_share_and_the_end_moves_with_it() {
        let ramp = Ramp {
            over: MINUTE,
            from: Ratio::percent(20),
        };
        let mut ramping = Ramping::begin(ramp, Timestamp::ZERO);
        let half = Timestamp::from_millis(30_000);
        ramping.step_back(half);
        assert!((ramping.share(half) - 0.3).abs() < 1e-12);
        // 0.7 to go, at 0.8 a minute.
        assert_eq!(ramping.ends(), Timestamp::from_millis(30_000 + 52_500));
        assert_eq!(ramping.share(ramping.ends()), 1.0);
    }

    proptest! {
        #[test]
        fn a_share_never_shrinks_by_time_and_ends_on_time_however_often_it_was_halved(
            over in 1u64..1_000_000_000_000, percent in 1u8..=99, steps in prop::collection::vec(0u64..1_000_000_000, 0..100),
        ) {
            let ramp = Ramp { over: Duration::from_nanos(over), from: Ratio::percent(percent) };
            let mut ramping = Ramping::begin(ramp, Timestamp::ZERO);
            let mut now = Timestamp::ZERO;
            for step in steps {
                let before = ramping.share(now);
                now = now + Duration::from_nanos(step);
                prop_assert!(ramping.share(now) >= before);
                prop_assert!((0.0..=1.0).contains(&ramping.share(now)));
                ramping.step_back(now);
            }
            prop_assert_eq!(ramping.share(ramping.ends()), 1.0);
        }
    }
}
