//! Calls permitted in advance: one question of a closed breaker for many calls to come.

use crate::breaker::Breaker;
use crate::call::Call;
use crate::machine::Settled;
use crate::outcome::Rejection;
use crate::state_word::{Signal, StateWord};
use crate::time::Timestamp;
use crate::token::Token;

/// Permission for calls to come, given by a closed breaker that lets every call pass.
///
/// Unlike a [`Permit`](crate::Permit) it holds no place, needs no end and can be copied: the number of the calls and the
/// time in which they may begin are the caller's to limit. Each outcome is recorded with
/// [`Breaker::record_advance`], and counts only in the generation that gave the permission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Advance(StateWord);

impl Advance {
    /// The generation in which the outcomes count; in any later one they are late.
    pub fn generation(&self) -> u64 {
        self.0.generation()
    }
}

impl Breaker {
    /// Asks whether calls may pass without a question each. `None` unless the breaker is closed, nothing draws lots (no
    /// ramp, no adaptive rule), no rule watches calls in flight, and it is not held, or it is disabled: else each call
    /// needs a [permit](Breaker::admit_owned) of its own.
    pub fn advance(&self, now: Timestamp) -> Option<Advance> {
        let answer = self.0.core.first_answer(now).or_else(|| {
            // Time alone may have ended a hold or a ramp, and the first stamp may be missing.
            self.tick(now);
            self.0.core.answer(now)
        });
        let word = answer?.ok()?.word();
        let is_free = word.is_closed() || word.signal() == Signal::Disabled;
        is_free.then_some(Advance(word))
    }

    /// Records the outcome of one call that was permitted in advance. A call without a duration counts as one that took
    /// no time.
    pub fn record_advance(
        &self,
        advance: Advance,
        call: impl Into<Call>,
        now: Timestamp,
    ) -> Settled {
        self.settle(Token::by(advance.0, now), call.into(), now)
    }

    /// Asks whether a call would pass, and changes nothing: the end of a cooldown stays unnoticed, and no lot is drawn,
    /// so that a ramp and adaptive rules refuse nothing here.
    ///
    /// # Errors
    /// The refusal, with its reason and the time to return.
    pub fn would_admit(&self, now: Timestamp) -> Result<(), Rejection> {
        if let Some(answer) = self.0.core.answer(now) {
            return answer.map(|_| ());
        }
        self.0
            .core
            .look(|machine| machine.clone().check_with_luck(now).result)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::machine::SettledAs;
    use crate::outcome::{Hold, Outcome, Phase, RejectReason};
    use crate::ramp::Ramp;
    use crate::settings::{Rule, Settings};

    fn breaker() -> Breaker {
        Breaker::new("stripe", Settings::standard()).unwrap()
    }

    fn at(second: u64) -> Timestamp {
        Timestamp::from_secs(second)
    }

    #[test]
    fn outcomes_count_only_in_the_generation_that_permitted_them() {
        let breaker = breaker();
        let advance = breaker.advance(at(1)).unwrap();
        for nth in 1..=6 {
            let counted = breaker
                .record_advance(advance, Outcome::Failure, at(2))
                .counted;
            let wanted = if nth <= 5 {
                SettledAs::Failure
            } else {
                SettledAs::Late
            };
            assert_eq!(counted, wanted, "{nth}");
        }
        assert_eq!(breaker.snapshot(at(2)).phase, Phase::Open);
        assert_eq!(breaker.advance(at(3)), None);
        breaker.reset(at(4));
        assert!(breaker.advance(at(4)).is_some());
        let again = breaker.record_advance(advance, Outcome::Failure, at(5));
        assert_eq!(again.counted, SettledAs::Late);
        breaker.follow_fleet();
        assert!(breaker.advance(at(5)).is_some());
    }

    #[test]
    fn nothing_is_permitted_in_advance_where_each_call_needs_an_answer() {
        let held = breaker();
        held.hold(Hold::closed("a drill", "anna"), at(1));
        assert_eq!(held.advance(at(1)), None);
        let stalled = Settings {
            trip: vec![Rule::Stalled {
                calls: 1,
                longer_than: Duration::from_secs(1),
            }],
            ..Settings::default()
        };
        let adaptive = Settings {
            trip: vec![Rule::Adaptive { memory: 5 }],
            ..Settings::default()
        };
        for settings in [stalled, adaptive] {
            let breaker = Breaker::new("stripe", settings).unwrap();
            assert_eq!(breaker.advance(at(1)), None);
        }
        let ramp = Settings {
            ramp: Some(Ramp::linear(Duration::from_secs(10))),
            ..Settings::default()
        };
        let ramp = Breaker::new("stripe", ramp).unwrap();
        assert!(ramp.advance(at(1)).is_some());
        ramp.begin_ramp(at(1));
        assert_eq!(ramp.advance(at(2)), None);
    }

    #[test]
    fn a_look_past_the_cooldown_changes_nothing() {
        let breaker = breaker();
        for _ in 0..5 {
            breaker.report(Outcome::Failure, at(0));
        }
        let refused = breaker.would_admit(at(29)).unwrap_err();
        assert_eq!(refused.reason, RejectReason::BreakerOpen);
        let before = breaker.saved(at(0)).generation;
        for _ in 0..3 {
            assert_eq!(breaker.would_admit(at(31)), Ok(()));
        }
        assert_eq!(breaker.saved(at(0)).generation, before);
        let probe = breaker.admit(at(31)).unwrap();
        let full = breaker.would_admit(at(31)).unwrap_err();
        assert_eq!(full.reason, RejectReason::BreakerProbing);
        drop(probe);
    }
}
