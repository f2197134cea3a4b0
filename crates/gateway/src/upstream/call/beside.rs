//! A call with two attempts in flight: the later one has a call of its own, until one of them is the call's.
//!
//! That call has no permit, so it looks at the upstream's breaker and never moves it. Its endpoint counts its attempt like
//! any other, and a place in the bulkhead is its own.

use fusebox_breaker::Outcome;
use fusebox_plan::CallError;

use super::UpstreamCall;

impl UpstreamCall {
    /// A call for one more attempt beside this one's.
    pub fn beside(&self) -> Box<UpstreamCall> {
        let mut beside = UpstreamCall::unguarded(self.upstream.clone(), self.worker.clone());
        beside.live_breaker = self.live_breaker.clone();
        beside.request_id = self.request_id.clone();
        (beside.noted, beside.is_attempt_noted) = (self.noted.clone(), true);
        beside
    }

    /// Ends the attempt, while the other one decides the call: its endpoint gets the outcome, and its place is free. From
    /// now on the upstream keeps the other one waiting.
    pub fn leaves_it_to_other(&mut self, error: Option<CallError>) {
        let now = self.worker.clock.exact();
        let outcome = self.ruling(error).outcome;
        self.end_attempt(outcome, now);
        self.attempts(None, None);
        self.is_attempt_noted = true;
        self.place = None;
        self.waits_since(now);
    }

    /// Takes the attempt of a call beside this one, with its place and its answer, as this one's own. An attempt of this
    /// one that is in flight counts nowhere.
    pub fn takes_over(&mut self, mut other: Box<UpstreamCall>) {
        self.note_cut();
        self.attempts(other.attempt.take(), other.limits);
        if let Some(place) = other.place.take() {
            self.place = Some(place);
        }
        (self.duration, self.connecting) = (other.duration, other.connecting);
        (self.head, self.back_at) = (other.head.take(), other.back_at);
        self.cause = other.cause.take();
        (self.attempt_began, other.is_attempt_noted) = (other.attempt_began, true);
    }

    /// Drops a call whose attempt was cut because another one has won: it counts nowhere.
    pub fn loses(mut self: Box<Self>) {
        self.note_cut();
        self.attempt = None;
    }

    /// Notes an attempt in flight that another one has won against.
    fn note_cut(&mut self) {
        if self.attempt.is_some() {
            self.note_attempt(Outcome::Ignored);
        }
    }
}
