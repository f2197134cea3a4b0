//! The monotonic clock of a process, with a random origin and a small drift.

use fusebox_breaker::Timestamp;

/// A process's clock.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    /// The time that the clock shows at the start of the run, in nanoseconds.
    pub origin: u64,
    /// The rate error of the clock, in parts per million; positive if fast.
    pub drift: i64,
}

impl Clock {
    /// The time that the clock shows at a moment of the run.
    pub fn shows(self, now: u64) -> Timestamp {
        let ahead = i128::from(now) * i128::from(self.drift) / 1_000_000;
        let shown = i128::from(self.origin) + i128::from(now) + ahead;
        Timestamp::from_nanos(u64::try_from(shown).unwrap_or(0))
    }

    /// The first moment of the run at which the clock shows this time, at most a microsecond late and never early.
    pub fn reaches(self, shown: Timestamp) -> u64 {
        let since = shown.as_nanos().saturating_sub(self.origin);
        let millionths = 1_000_000 + i128::from(self.drift);
        let now = (i128::from(since) * 1_000_000 + millionths - 1) / millionths;
        u64::try_from(now).unwrap_or(u64::MAX).saturating_add(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_shows_a_time_at_the_moment_computed_for_it() {
        for drift in [-50, 0, 50] {
            let clock = Clock { origin: 77, drift };
            for shown in [77, 78, 1_000_077, 45_000_000_077] {
                let shown = Timestamp::from_nanos(shown);
                let at = clock.reaches(shown);
                assert!(clock.shows(at) >= shown);
                assert!(clock.shows(at.saturating_sub(1_000)) <= shown);
            }
        }
    }
}
