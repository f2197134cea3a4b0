//! What a breaker cannot see: `failure` and `ignore` are asked about calls made up for that, before there are any.
//!
//! Of a call that ended without an answer all facts are known but how long it took. Of an answer the fields and the body
//! are not, so nothing is said of answers where an expression looks at those.

use std::time::Duration;

use fusebox_breaker::Outcome;

use crate::diagnostic::{At, Notes, Place};
use crate::failure::{self, Call, CallError, Failure, Ignore};

/// What became of the calls that were made up.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    /// A 404 counts as a success.
    pub missing_is_success: bool,
}

/// The ends without an answer.
const ENDS: [CallError; 5] = [
    CallError::Connect,
    CallError::Tls,
    CallError::Timeout,
    CallError::Reset,
    CallError::Protocol,
];

/// Statuses among which most expressions find what they look for, so that the others need not be tried.
const LIKELY: [u16; 5] = [200, 500, 503, 404, 429];

struct Sight<'a> {
    failure: &'a Failure,
    ignore: Option<&'a Ignore>,
    durations: [Duration; 4],
}

/// Says which calls can never count as they must for a breaker to work. `sees_hangs`: a rule looks at calls while they
/// hang, so that nothing needs to come of those.
pub(super) fn check(
    failure: Option<&At<Failure>>,
    ignore: Option<&At<Ignore>>,
    request: Duration,
    sees_hangs: bool,
    notes: &mut Notes,
) -> Seen {
    let sight = Sight {
        failure: failure.map_or(&Failure::Default, |failure| &failure.value),
        ignore: ignore.map(|ignore| &ignore.value),
        durations: [
            Duration::ZERO,
            Duration::from_millis(100).min(request),
            Duration::from_secs(2).min(request),
            request,
        ],
    };
    let missing = sight.of(404, None, Duration::from_millis(100));
    let seen = Seen {
        missing_is_success: missing == Outcome::Success,
    };
    let failure_at = failure.map(|failure| failure.at);
    let ignore_at = ignore.map(|ignore| ignore.at);
    let Some(at) = failure_at.or(ignore_at) else {
        return seen;
    };
    if sight.say_constants(failure_at, ignore_at, notes) {
        return seen;
    }
    let ends = ENDS
        .iter()
        .flat_map(|error| sight.over_time(0, Some(*error)));
    let ends: Vec<Outcome> = ends.collect();
    let looks_inside = |key| {
        let ignores = |ignore: &Ignore| ignore.expression().uses(key);
        sight.failure.uses(key) || sight.ignore.is_some_and(ignores)
    };
    let known = !looks_inside("headers") && !looks_inside("body");
    if known && !sight.answers(Outcome::Failure) && !ends.contains(&Outcome::Failure) {
        notes.warn(
            at,
            "no call can ever count as a failure with these expressions, so the breaker never trips",
            "look at `status` or `error` in `failure`, and ignore less",
        );
        return seen;
    }
    if known && !sight.answers(Outcome::Success) {
        notes.warn(
            at,
            "no answer can ever count as a success with these expressions, so a half-open breaker never closes",
            "let `failure` and `ignore` leave out what is well, such as a status below 400",
        );
    }
    if !ends.contains(&Outcome::Failure) {
        let ignored = ends.iter().all(|outcome| *outcome == Outcome::Ignored);
        let (at, mend) = match (ignored, ignore_at) {
            (true, Some(at)) => (
                at,
                "leave errors to `failure`: add `&& error == \"\"` to it",
            ),
            _ => (at, "add `|| error != \"\"` to `failure`"),
        };
        notes.warn(
            at,
            "a call that ends without an answer is no failure here, so an upstream that is gone is never seen",
            mend,
        );
        return seen;
    }
    let mut timeouts = sight.over_time(0, Some(CallError::Timeout));
    if let Some(at) = ignore_at
        && !sees_hangs
        && timeouts.all(|outcome| outcome == Outcome::Ignored)
    {
        notes.warn(
            at,
            "every timeout is ignored here, so an upstream that hangs is never seen",
            "leave timeouts to `failure`, or add a rule such as `{ stalled: 20, longer_than: 2s }` to `trip`",
        );
    }
    seen
}

impl Sight<'_> {
    /// Says of expressions without variables what they come to, and whether there was one.
    fn say_constants(
        &self,
        failure_at: Option<Place>,
        ignore_at: Option<Place>,
        notes: &mut Notes,
    ) -> bool {
        let fails = match self.failure {
            Failure::Expression(expression) => expression.constant(),
            Failure::Default => None,
        };
        if let (Some(always), Some(at)) = (fails, failure_at) {
            let every = match always {
                true => "every call is",
                false => "no call is ever",
            };
            notes.warn(
                at,
                format!("with this failure expression {every} a failure"),
                "look at `status` or `error`",
            );
        }
        let ignores = self
            .ignore
            .and_then(|ignore| ignore.expression().constant());
        if let (Some(always), Some(at)) = (ignores, ignore_at) {
            let (what, mend) = match always {
                true => (
                    "with this ignore expression every call is ignored, so the breaker never trips",
                    "look at `status` or `error`, or write `mode: disabled`",
                ),
                false => (
                    "with this ignore expression no call is ever ignored",
                    "remove it, or look at `status` or `error`",
                ),
            };
            notes.warn(at, what, mend);
        }
        fails.is_some() || ignores.is_some()
    }

    fn of(&self, status: u16, error: Option<CallError>, duration: Duration) -> Outcome {
        let call = Call {
            status,
            headers: None,
            duration,
            error,
            body: None,
        };
        failure::judge(self.ignore, self.failure, &call).outcome
    }

    fn over_time(&self, status: u16, error: Option<CallError>) -> impl Iterator<Item = Outcome> {
        let durations = self.durations.iter();
        durations.map(move |duration| self.of(status, error, *duration))
    }

    /// Whether any answer counts so.
    fn answers(&self, wanted: Outcome) -> bool {
        let mut statuses = LIKELY.into_iter().chain(200..=599);
        statuses.any(|status| self.over_time(status, None).any(|found| found == wanted))
    }
}
