//! What time it is at the server, as far as one can know: never later than it is there.

use std::time::Duration;

use fusebox_breaker::Timestamp;

/// After so long a bound is measured anew: by then two good clocks have drifted apart by less than 2 ms.
const TRUSTED: Duration = Duration::from_secs(10);

/// A push that is further ahead, in milliseconds, waits for an answer to say the same.
const BELIEVED_AHEAD: u64 = 5_000;

/// A bound on the server's time, from the last answers. An answer was made before it came, so that the server's clock
/// had at least reached its time then.
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
    /// Takes an answer that came at `now` and tells the server's time.
    pub fn learn(&mut self, server: u64, now: Timestamp) {
        let tighter = match self.bound {
            None => true,
            Some(bound) => {
                now.saturating_since(bound.at) >= TRUSTED || server >= self.at(now).unwrap_or(0)
                    // The server's clock was set back.
                    || self.at(now).unwrap_or(0).saturating_sub(server) > 1_000
            }
        };
        if tighter {
            self.bound = Some(Bound { at: now, server });
        }
    }

    /// Takes what says only that the server's clock had reached that time: it may have been under way for long. What is
    /// far ahead of all that answers have told is not believed.
    pub fn learn_at_least(&mut self, server: u64, now: Timestamp) {
        let known = self.at(now);
        let near = |known: u64| known < server && server - known <= BELIEVED_AHEAD;
        if known.is_some_and(near) {
            self.learn(server, now);
        }
    }

    /// The server's time at `now`, at the least, in its milliseconds.
    pub fn at(&self, now: Timestamp) -> Option<u64> {
        let Bound { at, server } = self.bound?;
        let passed = now.saturating_since(at).as_millis();
        Some(server.saturating_add(u64::try_from(passed).unwrap_or(u64::MAX)))
    }

    /// When here it is certainly `server` there; at once where nothing is known.
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

    fn ms(millis: u64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn a_quicker_answer_tightens_the_bound_and_a_slower_one_leaves_it() {
        let mut time = ServerTime::default();
        time.learn(1_000, ms(50));
        assert_eq!(time.at(ms(60)), Some(1_010));
        time.learn(1_005, ms(60));
        assert_eq!(time.at(ms(60)), Some(1_010));
        time.learn(1_020, ms(65));
        assert_eq!(time.at(ms(65)), Some(1_020));
        assert_eq!(time.when(1_030), ms(75));
        assert_eq!(time.when(1_000), ms(45));
        assert_eq!(time.when(0), ms(0));
    }

    #[test]
    fn an_old_bound_and_a_clock_set_back_are_measured_anew() {
        let mut time = ServerTime::default();
        time.learn(5_000, ms(0));
        time.learn(14_990, ms(10_000));
        assert_eq!(time.at(ms(10_000)), Some(14_990));
        time.learn(9_000, ms(10_001));
        assert_eq!(time.at(ms(10_001)), Some(9_000));
    }
}
