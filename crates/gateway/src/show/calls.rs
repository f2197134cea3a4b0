//! A breaker as a service: the questions and reports of programs that make their calls by themselves.
//!
//! While a breaker is closed, one question permits many calls; otherwise each call needs its own. Permits are
//! remembered in [`crate::upstream::permits`], off the workers' path.

use std::sync::Arc;
use std::time::Duration;

use fusebox_breaker::{
    Call, Cause, Outcome, Phase, RejectReason, Rejection, Rule, Timestamp, machine::SettledAs,
};
use fusebox_plan::{Ignore, Report};
use http::HeaderValue;

use crate::host::gateway::Gateway;
use crate::request::answer;
use crate::upstream::admission;
use crate::upstream::breakers::{BreakerKind, LiveBreaker, UpstreamBreakers};
use crate::upstream::last_failures::FailedCall;
use crate::upstream::permit_seal::Sealed;
use crate::upstream::permit_table::{REPORT_WITHIN, Taken};
use crate::upstream::permits::{Owner, Presented};

/// The number of calls that one question permits while a breaker is closed.
pub const GRANT_CALLS: u32 = 1_000;

/// The time in which permitted calls may begin.
pub const GRANT_VALID: Duration = Duration::from_millis(500);

/// The kinds of error that have a name in the reason of a trip; all others are `other` there.
const KINDS: [&str; 8] = [
    "connect",
    "dns",
    "tls",
    "timeout",
    "reset",
    "truncated",
    "protocol",
    "error",
];

/// The answer to a program that asks whether it may call.
#[derive(Debug, Clone, PartialEq)]
pub enum CallAnswer {
    /// Permission for calls.
    Permitted {
        /// The permit, which belongs to the report of the outcomes.
        permit: String,
        /// The number of calls.
        calls: u32,
        /// The time in which they may begin; of a probe, also that in which its outcome is to be reported.
        valid_for: Duration,
    },
    /// Refusal of a call.
    Refused(CallRefusal),
}

/// A refusal for a program.
#[derive(Debug, Clone, PartialEq)]
pub struct CallRefusal {
    /// The breaker's full name.
    pub breaker: Arc<str>,
    /// The breaker's refusal.
    pub rejection: Rejection,
    /// The time until another question has a chance; `None`: unknown, as under a hold without an end.
    pub wait: Option<Duration>,
}

impl CallRefusal {
    /// The whole seconds until another question has a chance, rounded up; `None`: unknown.
    pub fn retry_after(&self) -> Option<u64> {
        self.wait.map(Rejection::whole_seconds)
    }

    /// The value of the field `Fusebox-Reason`.
    pub fn reason_field(&self) -> HeaderValue {
        answer::reason_of(&self.breaker, &self.rejection)
    }
}

/// A call that a program has made.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ReportedCall {
    /// True if it went well.
    pub ok: bool,
    /// The call's duration, if known.
    pub duration: Option<Duration>,
    /// The kind of its error, in the program's own words.
    pub kind: Option<String>,
    /// The status of an answer over HTTP.
    pub status: Option<u16>,
    /// The time after which the other side asked to be called again.
    pub retry_after: Option<Duration>,
}

/// The result of a report.
#[derive(Debug, Clone, PartialEq)]
pub struct Counted {
    /// Outcomes that were counted, or ignored as the breaker's `ignore` says.
    pub counted: usize,
    /// Outcomes that came too late.
    pub late: usize,
    /// The breaker's refusal of the next call, if it refuses now.
    pub refused: Option<CallRefusal>,
}

/// The reason why a question or a report was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallError {
    /// No breaker has that name.
    Unknown,
    /// The upstream's breakers have keys, so its name alone names none.
    Keyed,
    /// The permit is none.
    Unreadable,
    /// This gateway has not given the permit for this breaker.
    Forged,
    /// More outcomes than the permit has left, which is this number.
    Beyond(u32),
}

/// A breaker that a program asks.
struct Asked {
    family: Arc<str>,
    live_breaker: LiveBreaker,
    ignore: Option<Ignore>,
}

impl Gateway {
    /// Asks the breaker of a name for a program that makes its calls by itself.
    ///
    /// # Errors
    /// [`CallError::Unknown`] or [`CallError::Keyed`].
    pub fn check_call(&self, name: &str) -> Result<CallAnswer, CallError> {
        let now = self.clock().exact();
        let asked = self.asked(name, now)?;
        let (breaker, extras) = (&asked.live_breaker.breaker, &asked.live_breaker.extras);
        let permits = &self.0.permits;
        if let Some(advance) = breaker.advance(now) {
            return Ok(CallAnswer::Permitted {
                permit: permits.grant(asked.owner(), advance, GRANT_CALLS, now),
                calls: GRANT_CALLS,
                valid_for: GRANT_VALID,
            });
        }
        let permit = match breaker.admit_owned(now) {
            Ok(permit) => permit,
            Err(rejection) => return Ok(CallAnswer::Refused(asked.refuse(rejection, now))),
        };
        if permit.is_probe() {
            if extras.probes.has_queue() {
                // Requests of clients have waited longer.
                drop(permit);
                extras.probes.freed(now);
                let rejection = admission::come_again(now);
                return Ok(CallAnswer::Refused(asked.refuse(rejection, now)));
            }
            extras.probes.want(now);
        }
        if permit.would_reject().is_some() {
            extras.meters.of(0).would_reject.add();
        }
        let (until, valid_for) = match permit.deadline() {
            Some(deadline) => (deadline, deadline.saturating_since(now)),
            None => (now + asked.reported_within(), GRANT_VALID),
        };
        Ok(CallAnswer::Permitted {
            permit: permits.hold(asked.owner(), permit, until, now),
            calls: 1,
            valid_for,
        })
    }

    /// Asks as [`Gateway::check_call`] does, and moves nothing: there is no permit, and a free probe's place stays so.
    ///
    /// # Errors
    /// [`CallError::Unknown`] or [`CallError::Keyed`].
    pub fn look_at_call(&self, name: &str) -> Result<Option<CallRefusal>, CallError> {
        let now = self.clock().exact();
        let asked = match self.known(name)? {
            Some(asked) => asked,
            // A key without calls has a closed breaker.
            None => return Ok(None),
        };
        let breaker = &asked.live_breaker.breaker;
        if let Err(rejection) = breaker.would_admit(now) {
            return Ok(Some(asked.refuse(rejection, now)));
        }
        let settings = breaker.settings();
        let draws = |rule: &Rule| matches!(rule, Rule::Adaptive { .. });
        if settings.ramp.is_none() && !settings.trip.iter().any(draws) {
            return Ok(None);
        }
        let snapshot = breaker.snapshot(now);
        let is_lucky = fastrand::f64() < snapshot.admit_probability;
        if snapshot.phase != Phase::Closed || is_lucky {
            return Ok(None);
        }
        let reason = match snapshot.ramp {
            Some(_) => RejectReason::BreakerRamp,
            None => RejectReason::BreakerAdaptive,
        };
        let mut rejection = Rejection::new(reason, Phase::Closed);
        rejection.retry_at = Some(now + Duration::from_secs(1));
        Ok(Some(asked.refuse(rejection, now)))
    }

    /// Takes the outcomes of calls; without a permit each counts as it comes. The outcomes of one
    /// permit are taken as a whole or not at all.
    ///
    /// # Errors
    /// [`CallError`]; nothing was counted then.
    pub fn report_calls(
        &self,
        name: &str,
        permit: Option<&str>,
        calls: &[ReportedCall],
    ) -> Result<Counted, CallError> {
        let now = self.clock().exact();
        let asked = self.asked(name, now)?;
        let breaker = &asked.live_breaker.breaker;
        if let (Some(text), []) = (permit, calls) {
            match self.0.permits.look(asked.owner(), text) {
                Sealed::Forged => return Err(CallError::Forged),
                Sealed::Unreadable => return Err(CallError::Unreadable),
                Sealed::Ours(_) | Sealed::OfAnotherStart => {}
            }
        }
        let taken = match permit {
            Some(text) if !calls.is_empty() => {
                let permits = &self.0.permits;
                match permits.present(asked.owner(), text, calls.len(), now) {
                    Presented::Ours(Taken::Beyond(left)) => return Err(CallError::Beyond(left)),
                    Presented::Ours(taken) => Some(taken),
                    Presented::OfAnotherStart => Some(Taken::Late),
                    Presented::Forged => return Err(CallError::Forged),
                    Presented::Unreadable => return Err(CallError::Unreadable),
                }
            }
            _ => None,
        };
        let mut late = 0;
        let mut settle = |settled: SettledAs, call: &ReportedCall| {
            late += usize::from(settled == SettledAs::Late);
            asked.count(settled, call, now);
        };
        match taken {
            None => {
                for call in calls {
                    let settled = breaker.report_settled(asked.judged(call), now);
                    settle(settled.counted, call);
                }
            }
            Some(Taken::Advance(advance)) => {
                for call in calls {
                    let settled = breaker.record_advance(advance, asked.judged(call), now);
                    settle(settled.counted, call);
                }
            }
            Some(Taken::Permit(permit)) => {
                if let [call] = calls {
                    let is_probe = permit.is_probe();
                    let settled = permit.settle(asked.judged(call), now);
                    settle(settled.counted, call);
                    if is_probe {
                        let is_ignored = settled.counted == SettledAs::Ignored;
                        let probes = &asked.live_breaker.extras.probes;
                        probes.ended(None, is_ignored, now);
                    }
                }
            }
            Some(Taken::Late | Taken::Beyond(_)) => {
                late = calls.len();
                let meter = asked.live_breaker.extras.meters.of(0);
                calls.iter().for_each(|_| meter.late.add());
            }
        }
        let refused = breaker.would_admit(now).err();
        Ok(Counted {
            counted: calls.len() - late,
            late,
            refused: refused.map(|rejection| asked.refusal(rejection, now)),
        })
    }

    /// The names that programs can ask for: those of the breakers without an upstream, then the upstreams'.
    pub fn askable(&self) -> Vec<Arc<str>> {
        let live = self.0.shared.live.load();
        let services = live.services.iter().map(|it| it.plan.name.clone());
        let upstreams = live.guarded.iter();
        let upstreams = upstreams.filter_map(|it| it.breakers.name().cloned());
        services.chain(upstreams).collect()
    }

    /// The breaker of a name; one of a key is made if there is none yet.
    fn asked(&self, name: &str, now: Timestamp) -> Result<Asked, CallError> {
        self.find_asked(name, |it, name| it.asked(name, now))?
            .ok_or(CallError::Unknown)
    }

    /// The breaker of a name; `None`: its key has none yet.
    fn known(&self, name: &str) -> Result<Option<Asked>, CallError> {
        self.find_asked(name, UpstreamBreakers::find)
    }

    fn find_asked(
        &self,
        name: &str,
        find: impl Fn(&UpstreamBreakers, &str) -> Option<LiveBreaker>,
    ) -> Result<Option<Asked>, CallError> {
        let live = self.0.shared.live.load();
        if let Some(service) = live.service(name) {
            return Ok(Some(Asked {
                family: service.plan.name.clone(),
                live_breaker: service.live_breaker.clone(),
                ignore: service.plan.breaker.ignore.clone(),
            }));
        }
        let families = name.match_indices('/').map(|(at, _)| &name[..at]);
        let upstream = live.guarded(name).or_else(|| {
            let mut found = families.filter_map(|family| live.guarded(family));
            found.find(|it| it.breakers.names(name))
        });
        let upstream = upstream.ok_or(CallError::Unknown)?;
        if !upstream.breakers.names(name) {
            return Err(CallError::Keyed);
        }
        let family = upstream.breakers.name().cloned().unwrap_or_default();
        Ok(find(&upstream.breakers, name).map(|live_breaker| Asked {
            family,
            live_breaker,
            ignore: upstream.plan.breaker.ignore.clone(),
        }))
    }
}

impl Asked {
    fn owner(&self) -> Owner<'_> {
        Owner {
            family: &self.family,
            breaker: self.live_breaker.breaker.name(),
        }
    }

    /// The time in which the outcome of a single call is to be reported. A call that a rule watches in flight must not
    /// seem to fly for long for want of a report.
    fn reported_within(&self) -> Duration {
        let settings = self.live_breaker.breaker.settings();
        let watches = |rule: &Rule| matches!(rule, Rule::Stalled { .. });
        match settings.trip.iter().any(watches) {
            true => settings.half_open.probe_timeout.min(REPORT_WITHIN),
            false => REPORT_WITHIN,
        }
    }

    fn refuse(&self, rejection: Rejection, now: Timestamp) -> CallRefusal {
        self.live_breaker.extras.meters.of(0).refuse(&rejection);
        let (breaker, reason) = (self.live_breaker.breaker.name(), rejection.reason.as_str());
        tracing::debug!(%breaker, reason, "a program's call refused");
        self.refusal(rejection, now)
    }

    fn refusal(&self, rejection: Rejection, now: Timestamp) -> CallRefusal {
        CallRefusal {
            breaker: self.live_breaker.breaker.name().clone(),
            wait: rejection.wait(now),
            rejection,
        }
    }

    /// A reported call as the breaker takes it.
    fn judged(&self, call: &ReportedCall) -> Call {
        let report = Report {
            status: call.status.unwrap_or_default(),
            duration: call.duration.unwrap_or_default(),
            kind: call.kind.as_deref().unwrap_or_default(),
        };
        let ignored = self.ignore.as_ref().map(|ignore| ignore.matches(&report));
        if matches!(ignored, Some(Err(_))) {
            self.live_breaker
                .extras
                .meters
                .of(0)
                .expression_errors
                .add();
        }
        let outcome = match (ignored, call.ok) {
            (Some(Ok(true)), _) => Outcome::Ignored,
            (_, true) => Outcome::Success,
            (_, false) => Outcome::Failure,
        };
        Call {
            outcome,
            duration: call.duration,
            retry_after: call.retry_after,
            cause: (outcome == Outcome::Failure).then(|| cause(call)).flatten(),
        }
    }

    fn count(&self, settled: SettledAs, call: &ReportedCall, now: Timestamp) {
        let extras = &self.live_breaker.extras;
        extras.meters.of(0).count(settled);
        // The times of an upstream's calls are those that the gateway has seen.
        if let Some(duration) = call.duration
            && extras.kind == BreakerKind::Service
        {
            extras.observe(duration);
        }
        if settled == SettledAs::Failure {
            extras.failures.note(FailedCall {
                at: now,
                endpoint: None,
                cause: call.status.map(Cause::Status),
                kind: call.kind.as_deref().map(Box::from),
                duration: call.duration,
                request_id: None,
            });
        }
    }
}

/// The cause of a failure, for the reason of a trip.
fn cause(call: &ReportedCall) -> Option<Cause> {
    let Some(kind) = &call.kind else {
        return call.status.map(Cause::Status);
    };
    let known = KINDS.iter().find(|known| **known == *kind);
    Some(Cause::Word(known.unwrap_or(&"other")))
}
