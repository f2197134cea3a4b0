//! A lower bound of the server's time.

use std::time::Duration;

use fusebox_breaker::Timestamp;

/// The age at which a bound is measured again: by then two good clocks have drifted apart by less than 2 ms.
const MEASURE_EVERY: Duration = Duration::from_secs(10);

/// The longest round trip of an answer that replaces an old bound, and the least difference of a clock that was set
/// back.
const TOLERANCE: Duration = Duration::from_secs(1);

/// The most milliseconds by which a push may be ahead of the bound; a larger jump needs the confirmation of an answer.
const PUSH_AHEAD_MAX: u64 = 5_000;

/// A lower bound of the server's time, from the latest answers. An answer was created before it arrived, so by then the
/// server's clock had at least reached the answer's time.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ServerTime {
    bound: Option<Bound>,
}

#[derive(Clone, Copy, Debug)]
struct Bound {
    at: Timestamp,
    server: u64,
}

impl ServerTime {
    /// Updates the bound from an answer with the server's time that arrived at `now` after a round trip of at most
    /// `took`.
    ///
    /// The longer the round trip, the less the answer proves: the server's clock was set back only if its time would be
    /// too low even for the moment when the request was sent. A process that was suspended receives old answers first.
    pub fn learn(&mut self, server: u64, took: Duration, now: Timestamp) {
        let measures = match (self.bound, self.at(now)) {
            (Some(bound), Some(known)) => {
                let old = now.saturating_since(bound.at) >= MEASURE_EVERY;
                let behind = Duration::from_millis(known.saturating_sub(server));
                let set_back = behind > took.saturating_add(TOLERANCE);
                server >= known || (old && took <= TOLERANCE) || set_back
            }
            _ => true,
        };
        if measures {
            self.bound = Some(Bound { at: now, server });
        }
    }

    /// Raises the bound from a push, which proves only that the server's clock had reached that time, since the push
    /// may have been delayed. A push far ahead of all answers is ignored.
    pub fn learn_at_least(&mut self, server: u64, now: Timestamp) {
        let known = self.at(now);
        let plausible = |known: u64| known < server && server - known <= PUSH_AHEAD_MAX;
        if known.is_some_and(plausible) {
            self.bound = Some(Bound { at: now, server });
        }
    }

    /// The lower bound of the server's time at the local time `now`, in milliseconds.
    pub fn at(&self, now: Timestamp) -> Option<u64> {
        let Bound { at, server } = self.bound?;
        let passed = now.saturating_since(at).as_millis();
        Some(server.saturating_add(u64::try_from(passed).unwrap_or(u64::MAX)))
    }

    /// The local time at which the server's clock has certainly reached `server`; zero if nothing is known.
    pub fn when(&self, server: u64) -> Timestamp {
        let Some(bound) = self.bound else {
            return Timestamp::ZERO;
        };
        let ahead = Duration::from_millis(server.saturating_sub(bound.server));
        let behind = Duration::from_millis(bound.server.saturating_sub(server));
        let back = bound.at.saturating_since(Timestamp::ZERO + behind);
        Timestamp::ZERO + back + ahead
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn a_quicker_answer_tightens_the_bound_and_a_slower_one_leaves_it() {
        let mut time = ServerTime::default();
        time.learn(1_000, ms(10), at(50));
        assert_eq!(time.at(at(60)), Some(1_010));
        time.learn(1_005, ms(10), at(60));
        assert_eq!(time.at(at(60)), Some(1_010));
        time.learn(1_020, ms(5), at(65));
        assert_eq!(time.at(at(65)), Some(1_020));
        assert_eq!(time.when(1_030), at(75));
        assert_eq!(time.when(1_000), at(45));
        assert_eq!(time.when(0), at(0));
    }

    #[test]
    fn an_old_bound_and_a_clock_set_back_are_measured_anew() {
        let mut time = ServerTime::default();
        time.learn(5_000, ms(0), at(0));
        time.learn(14_990, ms(20), at(10_000));
        assert_eq!(time.at(at(10_000)), Some(14_990));
        time.learn(9_000, ms(1), at(10_001));
        assert_eq!(time.at(at(10_001)), Some(9_000));
    }

    #[test]
    fn an_answer_that_was_under_way_for_long_sets_no_clock_back() {
        let mut time = ServerTime::default();
        time.learn(5_000, ms(10), at(0));
        for late in [9_000, 60_000] {
            time.learn(5_020, ms(late), at(late + 20));
            assert_eq!(time.at(at(late + 20)), Some(5_020 + late));
        }
        // Unless the clock shows less than it did when the request was sent.
        time.learn(50_000, ms(10_000), at(63_000));
        assert_eq!(time.at(at(63_000)), Some(50_000));
    }
}
