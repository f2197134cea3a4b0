//! Faults of `failure` and `ignore` that sample calls reveal: failures that the breaker would never see.
//!
//! A call that ended without an answer has known facts except its duration. An answer's fields and body are unknown, so
//! nothing is concluded about answers if an expression uses those.

use std::time::Duration;

use fusebox_breaker::Outcome;
use fusebox_call::GrpcCodes;

use crate::diagnostic::{At, Notes, Place};
use crate::failure::{self, Call, CallError, Failure, Ignore};

/// The conclusions from the sample calls.
#[derive(Debug, Clone, Copy)]
pub(super) struct Findings {
    /// True if a 404 counts as a success.
    pub missing_is_success: bool,
}

/// The errors of calls without an answer.
const ENDS: [CallError; 5] = [
    CallError::Connect,
    CallError::Tls,
    CallError::Timeout,
    CallError::Reset,
    CallError::Protocol,
];

/// Statuses that decide most expressions, tried first so that the others need not be.
const LIKELY: [u16; 5] = [200, 500, 503, 404, 429];

struct SampleCalls<'a> {
    failure: &'a Failure,
    ignore: Option<&'a Ignore>,
    durations: [Duration; 4],
}

/// Warns about calls that can never count in the way that a breaker needs. `sees_hangs` is true if a rule counts calls
/// while they hang, so that their timeouts may be ignored.
pub(super) fn check(
    failure: Option<&At<Failure>>,
    ignore: Option<&At<Ignore>>,
    request: Duration,
    sees_hangs: bool,
    notes: &mut Notes,
) -> Findings {
    let samples = SampleCalls {
        failure: failure.map_or(&Failure::Default, |failure| &failure.value),
        ignore: ignore.map(|ignore| &ignore.value),
        durations: [
            Duration::ZERO,
            Duration::from_millis(100).min(request),
            Duration::from_secs(2).min(request),
            request,
        ],
    };
    let missing = samples.of(404, None, Duration::from_millis(100));
    let findings = Findings {
        missing_is_success: missing == Outcome::Success,
    };
    let failure_at = failure.map(|failure| failure.at);
    let ignore_at = ignore.map(|ignore| ignore.at);
    let Some(at) = failure_at.or(ignore_at) else {
        return findings;
    };
    if samples.warn_of_constants(failure_at, ignore_at, notes) {
        return findings;
    }
    let ends = ENDS
        .iter()
        .flat_map(|error| samples.over_time(0, Some(*error)));
    let ends: Vec<Outcome> = ends.collect();
    let looks_inside = |key| {
        let ignores = |ignore: &Ignore| ignore.expression().uses(key);
        samples.failure.uses(key) || samples.ignore.is_some_and(ignores)
    };
    let known = !["headers", "body", "grpc_status"]
        .into_iter()
        .any(looks_inside);
    if known && !samples.any_answer(Outcome::Failure) && !ends.contains(&Outcome::Failure) {
        notes.warn(
            at,
            "no call can ever count as a failure with these expressions, so the breaker never trips",
            "use `status` or `error` in `failure`, and ignore less",
        );
        return findings;
    }
    if known && !samples.any_answer(Outcome::Success) {
        notes.warn(
            at,
            "no answer can ever count as a success with these expressions, so a half-open breaker never closes",
            "exclude good answers from `failure` and `ignore`, such as a status below 400",
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
            "a call without an answer never counts as a failure here, so an unreachable upstream never trips the breaker",
            mend,
        );
        return findings;
    }
    let mut timeouts = samples.over_time(0, Some(CallError::Timeout));
    if let Some(at) = ignore_at
        && !sees_hangs
        && timeouts.all(|outcome| outcome == Outcome::Ignored)
    {
        notes.warn(
            at,
            "every timeout is ignored here, so a hanging upstream never trips the breaker",
            "leave timeouts to `failure`, or add a rule such as `{ stalled: 20, longer_than: 2s }` to `trip`",
        );
    }
    findings
}

impl SampleCalls<'_> {
    /// Warns about expressions without variables. True if there was one.
    fn warn_of_constants(
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
                "use `status` or `error`",
            );
        }
        let ignores = self
            .ignore
            .and_then(|ignore| ignore.expression().constant());
        if let (Some(always), Some(at)) = (ignores, ignore_at) {
            let (what, mend) = match always {
                true => (
                    "with this ignore expression every call is ignored, so the breaker never trips",
                    "use `status` or `error`, or write `mode: disabled`",
                ),
                false => (
                    "with this ignore expression no call is ever ignored",
                    "remove it, or use `status` or `error`",
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
            grpc_status: None,
            client_subject: "",
        };
        failure::judge(self.ignore, self.failure, GrpcCodes::FAILURES, &call).outcome
    }

    fn over_time(&self, status: u16, error: Option<CallError>) -> impl Iterator<Item = Outcome> {
        let durations = self.durations.iter();
        durations.map(move |duration| self.of(status, error, *duration))
    }

    /// True if some answer has this outcome.
    fn any_answer(&self, outcome: Outcome) -> bool {
        let mut statuses = LIKELY.into_iter().chain(200..=599);
        statuses.any(|status| self.over_time(status, None).any(|found| found == outcome))
    }
}
