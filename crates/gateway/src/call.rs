//! One attempt at an upstream, from its permit to its one outcome (docs/gateway.md, "Whose fault it is").
//!
//! A call is judged once: at the end of the response's body, at a 101, or when a good body has
//! flowed for `settle`. Whoever lets go of a call before that has learnt nothing of the upstream:
//! the client left, or we failed. Then the permit is dropped, which the machine ignores.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fusebox_breaker::{Outcome, OwnedPermit, Timestamp};
use fusebox_plan::{Call as Facts, CallError, Failure};
use http::{HeaderMap, StatusCode};

use crate::breakers::Guarded;
use crate::clock::Clock;
use crate::live::LiveUpstream;

/// What a worker needs to carry a call.
#[derive(Debug, Clone)]
pub struct Desk {
    /// The gateway's clock.
    pub clock: Arc<Clock>,
    /// Which worker this is.
    pub worker: usize,
}

/// An admitted call that has not been judged yet.
#[derive(Debug)]
pub struct Call {
    permit: Option<OwnedPermit>,
    guarded: Guarded,
    upstream: Arc<LiveUpstream>,
    desk: Desk,
    head: Option<Head>,
    body: Vec<u8>,
}

#[derive(Debug)]
struct Head {
    status: StatusCode,
    headers: Option<HeaderMap>,
    duration: Duration,
    at: Timestamp,
}

impl Call {
    /// A call that the breaker has admitted.
    pub fn new(
        permit: OwnedPermit,
        guarded: Guarded,
        upstream: Arc<LiveUpstream>,
        desk: Desk,
    ) -> Call {
        Call {
            permit: Some(permit),
            guarded,
            upstream,
            desk,
            head: None,
            body: Vec::new(),
        }
    }

    /// Whether it is a probe of a half-open breaker.
    pub fn is_probe(&self) -> bool {
        self.permit.as_ref().is_some_and(OwnedPermit::is_probe)
    }

    /// How long the upstream may take to its head: the call's timeout, for a probe the probe's.
    pub fn timeout(&self) -> Duration {
        let request = self.upstream.plan.timeout.request;
        if self.is_probe() {
            request.min(self.upstream.plan.breaker.settings.half_open.probe_timeout)
        } else {
            request
        }
    }

    /// Moves a probe's deadline to `timeout` from `base`: the time before was not the upstream's.
    pub fn extend(&mut self, base: Timestamp, timeout: Duration) {
        if let Some(permit) = &mut self.permit {
            permit.extend(base + timeout);
        }
    }

    /// Gives a probe's slot up: its client is too slow for the probe to say anything in time. The
    /// request goes on, but is no longer a judgement on the upstream.
    pub fn give_up_probe(&mut self) {
        if self.is_probe() {
            self.permit = None;
            self.guarded.meter(&self.desk).ignored.add();
        }
    }

    /// The response's head has come, `duration` after the request was sent.
    pub fn answered(&mut self, status: StatusCode, headers: &HeaderMap, duration: Duration) {
        let at = self.desk.clock.tick();
        let wanted = matches!(self.upstream.plan.breaker.failure, Failure::Expression(_));
        self.head = Some(Head {
            status,
            headers: wanted.then(|| headers.clone()),
            duration,
            at,
        });
        // From here on only the body can be slow, and a good one is judged at `settle`.
        let settle = self.upstream.plan.breaker.settle;
        self.extend(at, settle + Duration::from_secs(1));
    }

    /// Keeps the beginning of the body for the failure expression, where it asks for one.
    pub fn see(&mut self, data: &[u8]) {
        if let Some(max) = self.upstream.plan.breaker.failure_body_max {
            let room = max.saturating_sub(self.body.len());
            self.body.extend_from_slice(&data[..data.len().min(room)]);
        }
    }

    /// When a body that is good until then makes the call a success.
    pub fn settles_at(&self) -> Option<Timestamp> {
        let head = self.head.as_ref()?;
        Some(head.at + self.upstream.plan.breaker.settle)
    }

    /// Judges the call if its body has been good for `settle`; says whether it is judged.
    pub fn settle(&mut self, now: Timestamp) -> bool {
        if self.permit.is_some()
            && self.settles_at().is_some_and(|at| now >= at)
            && !self.judge(None)
        {
            self.record(Outcome::Success);
        }
        self.permit.is_none()
    }

    /// The call has ended: judges it, unless it is judged already.
    pub fn end(mut self, error: Option<CallError>) {
        if self.settle(self.desk.clock.tick()) {
            if error.is_some() {
                self.guarded.meter(&self.desk).late_truncations.add();
            }
            return;
        }
        let outcome = if self.judge(error) {
            Outcome::Failure
        } else {
            Outcome::Success
        };
        self.record(outcome);
    }

    fn judge(&self, error: Option<CallError>) -> bool {
        let head = self.head.as_ref();
        let facts = Facts {
            status: head.map_or(0, |head| head.status.as_u16()),
            headers: head.and_then(|head| head.headers.as_ref()),
            duration: head.map_or(Duration::ZERO, |head| head.duration),
            error,
            body: self
                .upstream
                .plan
                .breaker
                .failure_body_max
                .map(|_| self.body.as_slice()),
        };
        let verdict = self.upstream.plan.breaker.failure.judge(&facts);
        if let Some(error) = verdict.error {
            self.guarded.meter(&self.desk).expression_errors.add();
            tracing::debug!(breaker = %self.guarded.breaker.name(), %error, "failure expression failed");
        }
        verdict.failed
    }

    fn record(&mut self, outcome: Outcome) {
        let Some(permit) = self.permit.take() else {
            return;
        };
        let meter = self.guarded.meter(&self.desk);
        // A trip needs exact time, since its cooldown begins there; a success is content with the tick.
        let now = match outcome {
            Outcome::Failure => {
                meter.failure.add();
                self.desk.clock.exact()
            }
            _ => {
                meter.success.add();
                self.desk.clock.tick()
            }
        };
        permit.record(outcome, now);
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if self.permit.is_some() && !self.settle(self.desk.clock.tick()) {
            self.guarded.meter(&self.desk).ignored.add();
        }
    }
}

/// Who holds a call while the body flows: the body alone, or the body and the timer of a probe.
///
/// A probe must be judged in time even if its client stops reading and nobody polls the body, so
/// its call is shared with a task that settles it.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "a box would be an allocation for every call but a probe"
)]
pub enum Holder {
    /// The body alone.
    Body(Call),
    /// The body and the probe's timer.
    Shared(Arc<Mutex<Option<Call>>>),
}

impl Holder {
    /// Holds a call whose head has come.
    pub fn new(call: Call) -> Holder {
        let Some(at) = call.settles_at().filter(|_| call.is_probe()) else {
            return Holder::Body(call);
        };
        let clock = call.desk.clock.clone();
        let shared = Arc::new(Mutex::new(Some(call)));
        let weak = Arc::downgrade(&shared);
        let wait = at.saturating_since(clock.tick());
        tokio::spawn(async move {
            tokio::time::sleep(wait).await;
            if let Some(shared) = weak.upgrade()
                && let Some(call) = &mut *shared.lock().unwrap_or_else(PoisonError::into_inner)
            {
                call.settle(at);
            }
        });
        Holder::Shared(shared)
    }

    /// Lets `see` look at the call, if it is still there.
    pub fn with<T>(&mut self, see: impl FnOnce(&mut Call) -> T) -> Option<T> {
        match self {
            Holder::Body(call) => Some(see(call)),
            Holder::Shared(shared) => shared
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .as_mut()
                .map(see),
        }
    }

    /// The body has ended.
    pub fn end(self, error: Option<CallError>) {
        match self {
            Holder::Body(call) => call.end(error),
            Holder::Shared(shared) => {
                let call = shared.lock().unwrap_or_else(PoisonError::into_inner).take();
                if let Some(call) = call {
                    call.end(error);
                }
            }
        }
    }
}
