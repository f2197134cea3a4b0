//! The clock of one process: it never runs backwards, begins anywhere, and is a little too fast or too slow.

use fusebox_breaker::Timestamp;

/// The clock of a process.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    /// What it shows at the start of the run, in nanoseconds.
    pub origin: u64,
    /// How much too fast it is, in millionths.
    pub drift: i64,
}

impl Clock {
    /// What it shows at a moment of the run.
    pub fn shows(self, now: u64) -> Timestamp {
        let ahead = i128::from(now) * i128::from(self.drift) / 1_000_000;
        let shown = i128::from(self.origin) + i128::from(now) + ahead;
        Timestamp::from_nanos(u64::try_from(shown).unwrap_or(0))
    }

    /// The first moment of the run, give or take a microsecond and never too early, at which it shows this.
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
    fn what_a_clock_is_to_show_it_shows_when_it_is_said_to() {
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
