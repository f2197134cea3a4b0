//! Time as a number that the caller supplies.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

/// A point in time: nanoseconds since an origin that the caller chose, on a clock that never runs backwards.
///
/// All timestamps given to one breaker must share one origin: that of [`MonotonicClock`](crate::MonotonicClock), unless
/// every caller brings another. One more than a year ahead of the last is [refused](crate::Totals::far_stamps). The range is
/// about 584 years; arithmetic stops at its end and never wraps.
///
/// ```
/// use fusebox_breaker::Timestamp;
/// use std::time::Duration;
///
/// let start = Timestamp::from_millis(1_500);
/// let later = start + Duration::from_secs(2);
/// assert_eq!(later - start, Duration::from_secs(2));
/// assert_eq!(start - later, Duration::ZERO);
/// assert_eq!(start - Timestamp::from_secs(1), Duration::from_millis(500));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The origin itself.
    pub const ZERO: Timestamp = Timestamp(0);
    /// The end of time: a moment that never comes.
    pub const MAX: Timestamp = Timestamp(u64::MAX);

    /// The point `nanos` nanoseconds after the origin.
    pub const fn from_nanos(nanos: u64) -> Self {
        Timestamp(nanos)
    }

    /// The point `millis` milliseconds after the origin.
    pub const fn from_millis(millis: u64) -> Self {
        Timestamp(millis.saturating_mul(1_000_000))
    }

    /// The point `secs` seconds after the origin.
    pub const fn from_secs(secs: u64) -> Self {
        Timestamp(secs.saturating_mul(1_000_000_000))
    }

    /// Nanoseconds since the origin.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// The time since `earlier`; zero if `earlier` is later.
    pub const fn saturating_since(self, earlier: Timestamp) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Timestamp {
    type Output = Timestamp;

    fn add(self, duration: Duration) -> Timestamp {
        Timestamp(self.0.saturating_add(nanos(duration)))
    }
}

/// [`saturating_since`](Timestamp::saturating_since): zero where the other is the later one, as of two
/// [`Instant`](std::time::Instant)s.
impl Sub for Timestamp {
    type Output = Duration;

    fn sub(self, earlier: Timestamp) -> Duration {
        self.saturating_since(earlier)
    }
}

/// A duration in whole nanoseconds, at most what a timestamp can hold.
pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// A duration for readers: in four digits, and from a minute on in whole seconds, minutes, hours and days. Rounded up: a
/// caller that obeys it is not too early.
pub(crate) struct Rounded(pub Duration);

impl fmt::Display for Rounded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SECOND: u64 = 1_000_000_000;
        const UNITS: [(u64, &str); 4] = [(86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")];
        let exact = nanos(self.0);
        let digits = exact.max(1).ilog10() + 1;
        let step = 10_u64.pow(digits.saturating_sub(4)).min(SECOND);
        let rounded = exact.div_ceil(step).saturating_mul(step);
        if rounded == 0 {
            return f.write_str("0s");
        }
        if rounded < 60 * SECOND {
            return write!(f, "{:?}", Duration::from_nanos(rounded));
        }
        let mut rest = exact.div_ceil(SECOND);
        let mut space = "";
        for (unit, name) in UNITS {
            if rest >= unit {
                write!(f, "{space}{}{name}", rest / unit)?;
                (space, rest) = (" ", rest % unit);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_sees_few_digits_and_the_units_of_a_clock() {
        for (nanos, shown) in [
            (0, "0s"),
            (412_345, "412.4µs"),
            (70_000_000, "70ms"),
            (999_999_999, "1s"),
            (1_234_567_890, "1.235s"),
            (29_998_123_456, "30s"),
            (59_999_000_001, "1m"),
            (61_000_000_001, "1m 2s"),
            (90_000_000_000_000, "1d 1h"),
            (u64::MAX, "213503d 23h 34m 34s"),
        ] {
            assert_eq!(Rounded(Duration::from_nanos(nanos)).to_string(), shown);
        }
    }

    #[test]
    fn arithmetic_stops_at_the_ends_of_time() {
        assert_eq!(Timestamp::from_millis(u64::MAX), Timestamp::MAX);
        assert_eq!(Timestamp::from_secs(u64::MAX), Timestamp::MAX);
        assert_eq!(Timestamp::from_nanos(5) + Duration::MAX, Timestamp::MAX);
        assert_eq!(
            Timestamp::ZERO.saturating_since(Timestamp::MAX),
            Duration::ZERO
        );
    }
}
