//! The facts of a call for the access log, noted only while that is on.

use std::time::Duration;

use fusebox_breaker::{Outcome, OwnedPermit, Phase};
use fusebox_call::attempts::RetryResult;

use super::UpstreamCall;
use crate::ground::access_log::note::{Decision, Flag};

impl UpstreamCall {
    /// The call's upstream and breaker, with the state that admitted it.
    pub(super) fn decision(&self) -> Decision {
        let breaker = self.live_breaker.as_ref().zip(self.permit.as_ref());
        Decision {
            upstream: self.upstream.plan.name.clone(),
            breaker: breaker.map(|(live_breaker, permit)| {
                let name = live_breaker.breaker.name().clone();
                (name, state_of(permit).as_str(), permit.generation())
            }),
        }
    }

    /// Notes the end of the present attempt, once.
    #[inline]
    pub(super) fn note_attempt(&mut self, outcome: Outcome) {
        if self.noted.is_some() && !self.is_attempt_noted {
            self.is_attempt_noted = true;
            self.note_outcome(outcome);
        }
    }

    #[cold]
    fn note_outcome(&self, outcome: Outcome) {
        let Some(note) = &self.noted else { return };
        let only = &self.upstream.endpoint().name;
        let attempt = self.attempt.as_ref().map(|attempt| attempt.name());
        let status = self.head.as_ref().map(|head| head.status);
        let lasted = [self.duration, self.connecting];
        let lasted = lasted.into_iter().find(|time| *time != Duration::ZERO);
        let since = || {
            self.worker
                .clock
                .exact()
                .saturating_since(self.attempt_began)
        };
        let lasted = lasted.unwrap_or_else(since);
        let outcome = match outcome {
            Outcome::Success => "success",
            Outcome::Failure => "failure",
            Outcome::Ignored => "ignored",
        };
        let upstream = &self.upstream.plan.name;
        note.attempt(upstream, attempt.unwrap_or(only), lasted, status, outcome);
    }

    /// Notes why no further attempt follows.
    pub fn note_retry(&self, result: Option<RetryResult>) {
        let Some(note) = &self.noted else { return };
        match result {
            Some(RetryResult::Failure) => note.flag(Flag::RetriesUsed),
            Some(RetryResult::Budget) => note.flag(Flag::BudgetSpent),
            _ => {}
        }
    }
}

/// The breaker's state as it admitted a call. In the mode `monitor` an open one admits, too.
fn state_of(permit: &OwnedPermit) -> Phase {
    match permit.would_reject() {
        Some(rejection) => rejection.phase,
        None if permit.is_probe() => Phase::HalfOpen,
        None => Phase::Closed,
    }
}
