//! One use of an upstream, from its permit to its one outcome (docs/gateway.md, "Whose fault it is").
//!
//! A call may take several attempts; the upstream's breaker gets the outcome of the last one alone, and the breaker of
//! an endpoint that of each attempt at it (docs/calls.md).
//!
//! A call is judged once: at the end of the response's body, at a 101, or when a good body has flowed for `settle`. A
//! call dropped earlier says nothing about the upstream, since the client left or the gateway failed: its permit is
//! dropped too, and the outcome is ignored.

mod beside;
mod grpc;
mod holder;
mod noting;

use std::sync::Arc;
use std::time::Duration;

use fusebox_breaker::{
    Call as Ended, Cause, Mode, OnAbandoned, OnProbeTimeout, Outcome, OwnedPermit, RetryAfter,
    Timestamp, machine::SettledAs,
};
use fusebox_plan::{Call as Facts, CallError, Failure, Ruling};
use http::{HeaderMap, HeaderValue, Method, StatusCode};

pub use holder::Holder;

use crate::ground::access_log::{Note, scope};
use crate::ground::clock::WorkerRef;
use crate::ground::meter::BreakerMeter;
use crate::message::phase::Phase;
use crate::message::retry_after;
use crate::upstream::breakers::{BreakerExtras, LiveBreaker};
use crate::upstream::bulkhead::Place;
use crate::upstream::endpoints::EndpointAttempt;
use crate::upstream::last_failures::{FailedCall, RequestId};
use crate::upstream::live_upstream::LiveUpstream;
use crate::upstream::pool::{Connection, is_idempotent};
use crate::upstream::probe_queue::Prober;
use crate::upstream::stall_watch::StallWatch;
use crate::upstream::upstream_errors::UpstreamError;

/// The delay after which a client is said to hold a probe's answer back; also the time between two checks.
const HELD_BACK: Duration = Duration::from_millis(100);

/// The time after which a probe's flowing body is judged if another request wants the place, even if `settle` is
/// longer.
pub const FLOWN: Duration = Duration::from_secs(1);

/// The cause of the failure of a call that its client has given up, as the library names it.
const ABANDONED: &str = "abandoned";

/// The cause of the failure of a call whose connection was refused.
const REFUSED: &str = "refused";

/// A call without its outcome yet.
#[derive(Debug)]
pub struct UpstreamCall {
    permit: Option<OwnedPermit>,
    /// The upstream's breaker; `None`: it has none, so the call is not judged.
    live_breaker: Option<LiveBreaker>,
    upstream: Arc<LiveUpstream>,
    worker: WorkerRef,
    /// The upstream's time to its response's head, or to its failure without one.
    duration: Duration,
    head: Option<Head>,
    /// The time at which the upstream wants to be called again.
    back_at: Option<Timestamp>,
    /// The watch for a stall, until the head comes.
    stall: Option<StallWatch>,
    body: Vec<u8>,
    flow: Flow,
    /// The time at which a frame of the body was last passed on, while the next one has not been asked for.
    passed_at: Option<Timestamp>,
    recorded: bool,
    /// The cause of the failure, for the breaker's reason; `None`: the status is the cause.
    cause: Option<Cause>,
    /// True if servers may not know the request's method.
    is_odd: bool,
    /// The state of the client's connection, if a call given up by its client may be a failure.
    phase: Option<Arc<Phase>>,
    /// True if an application makes the call for itself: where the call is dropped, the application has given it up.
    is_own: bool,
    /// The client and target that probe, if the call is a probe.
    prober: Option<Prober>,
    /// The attempt that is on its way, if the upstream has several endpoints.
    attempt: Option<EndpointAttempt>,
    /// The end of the last attempt while another one may follow: a client that leaves then leaves its outcome behind.
    between: Option<Option<CallError>>,
    /// The limits of the present attempt; `None`: the upstream's own.
    limits: Option<AttemptLimits>,
    /// The call's place in the upstream's bulkhead.
    place: Option<Place>,
    /// True if the upstream did not answer in time.
    is_timeout: bool,
    /// The id of the client's request; `None`: an application makes the call for itself.
    request_id: Option<HeaderValue>,
    /// The subject of the client's certificate; `None`: its listener asks for none.
    client_subject: Option<HeaderValue>,
    /// The time that the attempt's last connection took, or failed to come.
    connecting: Duration,
    /// The endpoint of the last failed attempt, if it is known by a name of its own.
    failed_at: Option<Arc<str>>,
    /// The note of the exchange for the access log; `None`: it is off.
    noted: Option<Arc<Note>>,
    /// The beginning of the present attempt, where it is noted.
    attempt_began: Timestamp,
    /// True once the present attempt is in the note.
    is_attempt_noted: bool,
    /// The gRPC side of the call; `None`: it is not gRPC.
    grpc: Option<Box<grpc::GrpcCall>>,
}

/// The time limits of one attempt among several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttemptLimits {
    /// The time from the request fully sent to the response's head.
    pub request: Duration,
    /// The time for all of the attempt up to the head, without that spent waiting for the client.
    pub whole: Duration,
}

/// The progress of the response's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    /// The body has not been asked for yet.
    Unknown,
    /// The body was asked for, and nothing has come.
    Silent,
    /// A part of the body has come.
    Flowing,
}

#[derive(Debug)]
struct Head {
    status: StatusCode,
    /// In a box, since few breakers look at them.
    headers: Option<Box<HeaderMap>>,
    at: Timestamp,
}

impl UpstreamCall {
    /// A call admitted by the breaker.
    pub fn new(
        permit: OwnedPermit,
        live_breaker: LiveBreaker,
        upstream: Arc<LiveUpstream>,
        worker: WorkerRef,
    ) -> Box<UpstreamCall> {
        if permit.would_reject().is_some() {
            live_breaker.meter(&worker).would_reject.add();
        }
        let stall = StallWatch::new(&upstream.stall_limits, || worker.clock.exact());
        let mut call = UpstreamCall::unguarded(upstream, worker);
        (call.permit, call.live_breaker, call.stall) = (Some(permit), Some(live_breaker), stall);
        call
    }

    /// A call to an upstream without a breaker. It is boxed, since it passes through many hands.
    pub fn unguarded(upstream: Arc<LiveUpstream>, worker: WorkerRef) -> Box<UpstreamCall> {
        Box::new(UpstreamCall {
            permit: None,
            live_breaker: None,
            upstream,
            worker,
            duration: Duration::ZERO,
            head: None,
            back_at: None,
            stall: None,
            body: Vec::new(),
            flow: Flow::Unknown,
            passed_at: None,
            recorded: false,
            cause: None,
            is_odd: false,
            phase: None,
            is_own: false,
            prober: None,
            attempt: None,
            between: None,
            limits: None,
            place: None,
            is_timeout: false,
            request_id: None,
            client_subject: None,
            connecting: Duration::ZERO,
            failed_at: None,
            noted: None,
            attempt_began: Timestamp::ZERO,
            is_attempt_noted: false,
            grpc: None,
        })
    }

    /// Gives the call its place in the upstream's bulkhead, which it keeps to the end of the answer's body; returns the
    /// one before.
    pub fn takes_place(&mut self, place: Option<Place>) -> Option<Place> {
        std::mem::replace(&mut self.place, place)
    }

    /// True if the call has a place in the upstream's bulkhead.
    pub fn has_place(&self) -> bool {
        self.place.is_some()
    }

    /// Ties the call's place to the connection that it goes out on now.
    pub fn goes_over(&mut self, connection: &Connection) {
        if let (Some(place), Some(parting)) = (&mut self.place, connection.sender.parting()) {
            place.goes_over(parting);
        }
    }

    /// Moves the call to the bulkhead's places for tunnels and event streams, if there is room.
    pub fn becomes_stream(&mut self) {
        if let Some(place) = &mut self.place {
            place.become_stream();
        }
    }

    /// Begins an attempt at an endpoint, within limits of its own; what an earlier attempt left is forgotten.
    pub fn attempts(&mut self, attempt: Option<EndpointAttempt>, limits: Option<AttemptLimits>) {
        self.between = None;
        self.attempt = attempt;
        self.limits = limits;
        (self.duration, self.connecting) = (Duration::ZERO, Duration::ZERO);
        (self.head, self.back_at, self.cause) = (None, None, None);
        self.body.clear();
        (self.flow, self.passed_at) = (Flow::Unknown, None);
        if let Some(grpc) = &mut self.grpc {
            grpc.begins(self.worker.clock.exact());
        }
        if let Some(note) = &self.noted {
            self.attempt_began = note.attempt_begins();
            self.is_attempt_noted = false;
        }
    }

    /// Ends an attempt that another one may follow: its endpoint gets the outcome, the upstream's breaker not yet.
    pub fn attempt_ended(&mut self, error: Option<CallError>) -> Outcome {
        let error = self.whole_end(error);
        let outcome = self.ruling(error).outcome;
        self.end_attempt(outcome, self.worker.clock.exact());
        self.between = Some(error);
        self.waits_since(Timestamp::MAX);
        outcome
    }

    /// Ends an attempt that was on its way as the call was dropped.
    fn attempt_dropped(&mut self, outcome: Outcome) {
        self.note_attempt(outcome);
        if self.attempt.is_some() {
            self.end_attempt(outcome, self.worker.clock.exact());
        }
    }

    /// Ends the call with the outcome of an attempt that [ended](UpstreamCall::attempt_ended) before.
    pub fn end_as_attempted(mut self: Box<Self>) {
        let error = self.between.take().flatten();
        self.end(error);
    }

    /// Sets the id of the client's request, and the subject of its certificate.
    pub fn asked_by(&mut self, request_id: &HeaderValue, subject: Option<&HeaderValue>) {
        self.request_id = Some(request_id.clone());
        self.client_subject = subject.cloned();
    }

    /// Sets the request's method and the state of the client's connection; without `phase` an application makes the
    /// call for itself.
    pub fn made_for(&mut self, method: &Method, phase: Option<&Arc<Phase>>) {
        self.is_odd = !is_idempotent(method) && !matches!(*method, Method::POST | Method::PATCH);
        self.is_own = phase.is_none();
        self.phase = phase.filter(|_| self.abandoned_after().is_some()).cloned();
        self.noted = match phase {
            Some(phase) => phase.noted.get(),
            None => scope::present(),
        };
        if let Some(note) = &self.noted {
            note.decision(|| self.decision());
            self.attempt_began = note.attempt_begins();
        }
    }

    /// Marks the call as a probe of that prober.
    pub fn probes_for(&mut self, prober: Prober) {
        let now = self.worker.clock.tick();
        if let Some(live_breaker) = &self.live_breaker {
            live_breaker.extras.probes.begins(prober, now);
        }
        self.prober = Some(prober);
    }

    /// The generation of the upstream's breaker, if the call is its probe.
    pub fn probe_generation(&self) -> Option<u64> {
        let permit = self.permit.as_ref().filter(|permit| permit.is_probe());
        permit.map(OwnedPermit::generation)
    }

    /// The breaker's data and the prober, if the call is a probe.
    pub fn extras_of_probe(&self) -> Option<(Arc<BreakerExtras>, Option<Prober>)> {
        let live_breaker = self.live_breaker.as_ref().filter(|_| self.is_probe())?;
        Some((live_breaker.extras.clone(), self.prober))
    }

    /// The upstream's breaker; `None` without one.
    pub fn live_breaker(&self) -> Option<&LiveBreaker> {
        self.live_breaker.as_ref()
    }

    fn meter(&self) -> Option<&BreakerMeter> {
        Some(self.live_breaker.as_ref()?.meter(&self.worker))
    }

    /// True for a probe of a half-open breaker.
    pub fn is_probe(&self) -> bool {
        self.permit.as_ref().is_some_and(OwnedPermit::is_probe)
    }

    /// The upstream of the call.
    pub fn upstream(&self) -> &Arc<LiveUpstream> {
        &self.upstream
    }

    /// True once the outcome has been recorded.
    pub fn is_judged(&self) -> bool {
        self.recorded
    }

    /// The time limit for the response's head: the call's timeout, or the probe's for a probe.
    pub fn timeout(&self) -> Duration {
        let limits = self.limits.map(|limits| limits.request.min(limits.whole));
        let request = limits.unwrap_or(self.upstream.plan.timeout.request);
        if self.is_probe() {
            request.min(self.upstream.plan.breaker.settings.half_open.probe_timeout)
        } else {
            request
        }
    }

    /// The time limit for a connection.
    pub fn connect_timeout(&self) -> Duration {
        let connect = self.upstream.plan.timeout.connect;
        self.limits
            .map_or(connect, |limits| connect.min(limits.whole))
    }

    /// Notes the time that connecting took, and takes it from what the attempt has.
    pub fn connected(&mut self, took: Duration) {
        self.connecting = took;
        if let Some(limits) = &mut self.limits {
            limits.whole = limits.whole.saturating_sub(took);
        }
    }

    /// The time that the attempt still has for all of it; `None`: as long as the upstream's own limits allow.
    pub fn whole(&self) -> Option<Duration> {
        self.limits.map(|limits| limits.whole)
    }

    /// Leaves the attempt that time for the rest of it, if it is bounded as a whole.
    pub fn leaves(&mut self, whole: Duration) {
        if let Some(limits) = &mut self.limits {
            limits.whole = whole;
        }
    }

    /// The outcome as far as the head alone decides it.
    pub fn judged_so_far(&self) -> Outcome {
        self.ruling(None).outcome
    }

    /// True if the upstream's breaker lets calls pass as while closed, or refuses none, and there is an endpoint to call.
    pub fn is_closed(&self, now: Timestamp) -> bool {
        self.live_breaker.as_ref().is_none_or(|live_breaker| {
            let (breaker, several) = (&live_breaker.breaker, self.upstream.several.as_ref());
            (breaker.settings().mode != Mode::Enforce || !breaker.may_probe(now))
                && several.is_none_or(|several| several.rejection(breaker, now).is_none())
        })
    }

    /// Moves a probe's deadline to `timeout` from `base`: the time before was not the upstream's.
    pub fn extend(&mut self, base: Timestamp, timeout: Duration) {
        if let Some(permit) = &mut self.permit {
            permit.extend(base + timeout);
        }
    }

    /// The time after which a call given up by its client is a failure; `None`: it never is.
    pub fn abandoned_after(&self) -> Option<Duration> {
        match self.upstream.plan.breaker.settings.on_abandoned {
            OnAbandoned::FailureAfter(after) if !self.is_probe() => Some(after),
            _ => None,
        }
    }

    /// The time until the next [`UpstreamCall::look`]; `None` if there is nothing to check.
    pub fn next_look(&self, now: Timestamp, has_body: bool) -> Option<Duration> {
        self.stall.as_ref()?.next(now, has_body)
    }

    /// Sets the time since which the upstream has had everything that it waits for; [`Timestamp::MAX`]: it has not yet.
    pub fn waits_since(&mut self, start: Timestamp) {
        if let (Some(watch), Some(permit)) = (&mut self.stall, &mut self.permit)
            && watch.waits_since(start)
        {
            permit.waits_since(start);
        }
    }

    /// Lets the breaker judge the call if it has stalled.
    pub fn look(&self, now: Timestamp) {
        let watch = self.stall.as_ref();
        if let Some(live_breaker) = &self.live_breaker
            && watch.is_some_and(|watch| watch.has_stalled(now))
        {
            live_breaker.breaker.tick(now);
        }
    }

    /// Counts and logs an error of the upstream or the client, and keeps it for the breaker's reason.
    pub fn note(&mut self, error: &UpstreamError) {
        let late = UpstreamError::late_client();
        let error = match self.is_excused(Some(error.kind.as_call_error())) {
            true => &late,
            false => error,
        };
        self.cause = Some(error.cause());
        if let Some(note) = &self.noted {
            note.error(error.kind.as_str());
        }
        self.upstream.errors.note(error, self.worker.clock.exact());
    }

    /// Ends the wait for the head, so that the call does not count as stalled from here on.
    pub fn land(&mut self) {
        self.stall = None;
        if let Some(permit) = &self.permit {
            permit.answered();
        }
    }

    /// Sets the upstream's time to its head, or to its failure without one.
    pub fn lasted(&mut self, duration: Duration) {
        self.duration = duration;
    }

    /// Counts the time to an answer's head with the breakers that have times of their own.
    pub fn observe(&self, duration: Duration) {
        if let Some(live_breaker) = &self.live_breaker {
            live_breaker.extras.observe(duration);
        }
        // The times of an only endpoint are those of its upstream.
        let attempt = self.attempt.as_ref();
        if let Some(attempt) = attempt.filter(|attempt| attempt.chosen().is_some()) {
            attempt.endpoint().extras.observe(duration);
        }
    }

    /// Notes the response's head, of which the call's outcome is made.
    pub fn answered(&mut self, status: StatusCode, headers: &HeaderMap) {
        self.land();
        self.note_head(status, headers);
    }

    /// Notes the head of a response that another attempt may follow.
    pub fn note_head(&mut self, status: StatusCode, headers: &HeaderMap) {
        if self.live_breaker.is_none() && self.attempt.is_none() && self.noted.is_none() {
            return;
        }
        let at = self.worker.clock.tick();
        self.back_at = None;
        self.hear_grpc_head(status, headers);
        let breaker = &self.upstream.plan.breaker;
        if breaker.settings.retry_after != RetryAfter::Ignore {
            let clock = &self.worker.clock;
            let asked = retry_after::read(headers, clock.wall_millis());
            if let Some(after) = asked {
                self.back_at = Some(clock.exact() + after);
            }
        }
        self.head = Some(Head {
            status,
            headers: breaker.sees_headers().then(|| Box::new(headers.clone())),
            at,
        });
        // From here on only the body can be slow, and a good one is judged at `settle`.
        let settle = self.upstream.plan.breaker.settle;
        self.extend(at, settle + Duration::from_secs(1));
    }

    /// Notes a frame of the body. The first one at or after `settle` judges the call: a body that has flowed for that
    /// long is as good, or as bad, as its head.
    pub fn see(&mut self, data: &[u8], now: Timestamp) {
        self.flow = Flow::Flowing;
        self.passed_at = Some(now);
        if let Some(max) = self.upstream.plan.breaker.failure_body_max {
            let room = max.saturating_sub(self.body.len());
            self.body.extend_from_slice(&data[..data.len().min(room)]);
        }
        if self.settles_at().is_some_and(|at| now >= at) {
            self.becomes_grpc_stream();
            self.settle();
        }
    }

    /// Notes that the upstream keeps us waiting for the body. Returns the longest time that it may do so: a probe
    /// without any of its body must be judged by `settle`.
    pub fn wait(&mut self) -> Duration {
        self.passed_at = None;
        if self.flow == Flow::Unknown {
            self.flow = Flow::Silent;
        }
        let idle = self.upstream.plan.timeout.idle;
        if self.is_probe() && self.flow == Flow::Silent {
            idle.min(self.upstream.plan.breaker.settle)
        } else {
            idle
        }
    }

    /// True for a probe that keeps a complete request waiting while its client holds the answer back, or while the
    /// requested stream has continued for [`FLOWN`].
    fn is_in_the_way(&self, now: Timestamp) -> bool {
        let live_breaker = self.live_breaker.as_ref();
        let Some(wanted) =
            live_breaker.and_then(|live_breaker| live_breaker.extras.probes.wanted_at())
        else {
            return false;
        };
        let is_held = self
            .passed_at
            .is_some_and(|at| now >= at + HELD_BACK && wanted > at);
        let head = self.head.as_ref().filter(|_| self.flow == Flow::Flowing);
        is_held || head.is_some_and(|head| now >= head.at + FLOWN && wanted > head.at)
    }

    fn settles_at(&self) -> Option<Timestamp> {
        let head = self.head.as_ref()?;
        Some(head.at + self.upstream.plan.breaker.settle)
    }

    fn settle(&mut self) {
        if self.permit.is_some() {
            let outcome = self.judge(None);
            self.record(outcome);
        }
    }

    /// Ends the call and judges it, unless it is judged already.
    pub fn end(mut self: Box<Self>, error: Option<CallError>) {
        let error = self.whole_end(error);
        self.is_timeout = error == Some(CallError::Timeout);
        if self.recorded {
            if let Some(meter) = self.meter().filter(|_| error.is_some()) {
                meter.late_truncations.add();
            }
            return;
        }
        if self.permit.is_none() {
            if self.noted.is_some() {
                self.note_attempt(self.ruling(error).outcome);
            }
            if self.attempt.is_some() {
                self.attempt_ended(error);
            }
            return;
        }
        // A probe without an answer in time says nothing if the settings say so; a dropped permit is ignored.
        let half_open = &self.upstream.plan.breaker.settings.half_open;
        let replaced = half_open.on_probe_timeout == OnProbeTimeout::Replace;
        if error == Some(CallError::Timeout) && replaced && self.is_probe() {
            // To its endpoint it is an attempt like any other.
            return self.attempt_dropped(self.judge(error));
        }
        let outcome = self.judge(error);
        self.record(outcome);
    }

    /// Ends the call without an outcome: it says nothing about the upstream, however long it took.
    pub fn ignore(mut self: Box<Self>) {
        (self.is_own, self.phase) = (false, None);
    }

    /// The call's outcome; errors of its expressions are counted.
    fn judge(&self, error: Option<CallError>) -> Outcome {
        let ruling = self.ruling(error);
        for error in ruling.errors {
            let Some(live_breaker) = &self.live_breaker else {
                break;
            };
            live_breaker.meter(&self.worker).expression_errors.add();
            tracing::debug!(breaker = %live_breaker.breaker.name(), %error, "expression about a call failed");
        }
        ruling.outcome
    }

    fn ruling(&self, error: Option<CallError>) -> Ruling {
        let head = self.head.as_ref();
        let subject = self.client_subject.as_ref().and_then(|it| it.to_str().ok());
        let facts = Facts {
            status: head.map_or(0, |head| head.status.as_u16()),
            headers: head.and_then(|head| head.headers.as_deref()),
            duration: self.duration,
            error,
            body: self
                .upstream
                .plan
                .breaker
                .failure_body_max
                .map(|_| self.body.as_slice()),
            grpc_status: self.grpc_status(),
            client_subject: subject.unwrap_or_default(),
        };
        let mut ruling = self.upstream.plan.breaker.judge(&facts);
        let by_default = self.upstream.plan.breaker.failure == Failure::Default;
        if self.is_odd && by_default && facts.status == 501 {
            // The right answer of a server that does not know the method (RFC 9110, section 15.6.2).
            ruling.outcome = Outcome::Ignored;
        }
        if self.is_excused(error) {
            ruling.outcome = Outcome::Ignored;
        }
        ruling
    }

    fn record(&mut self, outcome: Outcome) {
        let Some(permit) = self.permit.take() else {
            return;
        };
        self.recorded = true;
        // A trip needs exact time, since its cooldown begins there; and a slow success trips as a failure does.
        let now = self.worker.clock.exact();
        if let Some(place) = &self.place
            && (outcome == Outcome::Success || self.is_timeout)
        {
            place.answered(self.duration, now);
        }
        let failed = self.end_attempt(outcome, now);
        // What may follow changes nothing about the call, so its line need not wait for it.
        self.noted = None;
        let ended = Ended {
            outcome,
            duration: Some(self.duration),
            retry_after: self.asked_to_return(outcome, now),
            cause: failed.as_ref().and_then(|failed| failed.cause),
        };
        let is_probe = permit.is_probe();
        let counted = permit.settle(ended, now).counted;
        self.ended(is_probe, counted, failed, now);
    }

    /// Ends the present attempt, which its endpoint counts; returns more about a failure.
    fn end_attempt(&mut self, outcome: Outcome, now: Timestamp) -> Option<FailedCall> {
        self.note_attempt(outcome);
        let attempt = self.attempt.take();
        // A request that was never sent has the time that its connection did not come in.
        let lasted = match self.duration {
            Duration::ZERO => self.connecting,
            lasted => lasted,
        };
        let failed = (outcome == Outcome::Failure).then(|| {
            if let Some(attempt) = &attempt {
                self.failed_at = Some(attempt.name().clone());
            }
            self.failed(self.cause_of(outcome), lasted, now)
        });
        if let Some(attempt) = attempt {
            // A refusal comes sooner than any answer, so its time would make the endpoint look quick.
            let measured = match self.cause {
                Some(Cause::Word(REFUSED)) => Duration::ZERO,
                _ => lasted,
            };
            attempt.end(outcome, measured, failed.as_ref(), &self.worker);
        }
        failed
    }

    /// The call as a failure.
    fn failed(&self, cause: Option<Cause>, duration: Duration, at: Timestamp) -> FailedCall {
        let only = &self.upstream.endpoint().name;
        FailedCall {
            at,
            endpoint: Some(self.failed_at.as_ref().unwrap_or(only).clone()),
            cause,
            kind: None,
            duration: Some(duration),
            request_id: self.request_id.as_ref().map(RequestId::copy),
        }
    }

    /// Counts the call, and frees the place of a probe.
    fn ended(
        &self,
        is_probe: bool,
        counted: SettledAs,
        failed: Option<FailedCall>,
        now: Timestamp,
    ) {
        let Some(live_breaker) = &self.live_breaker else {
            return;
        };
        live_breaker.meter(&self.worker).count(counted);
        if let Some(failed) = failed.filter(|_| counted == SettledAs::Failure) {
            live_breaker.extras.failures.note(failed);
        }
        if is_probe {
            let is_ignored = counted == SettledAs::Ignored;
            let probes = &live_breaker.extras.probes;
            probes.ended(self.prober, is_ignored, now);
        }
    }

    /// The cause of the call's failure, if it failed.
    fn cause_of(&self, outcome: Outcome) -> Option<Cause> {
        if outcome != Outcome::Failure {
            return None;
        }
        let status = self.head.as_ref().map(|head| head.status.as_u16());
        let grpc = self.grpc_cause().map(Cause::Word);
        self.cause.or(grpc).or(status.map(Cause::Status))
    }

    /// The time after which the upstream wants to be called again. It counts if the call failed, or if the upstream is
    /// overloaded (429, RFC 6585 section 4; 503, RFC 9110 section 15.6.4).
    fn asked_to_return(&self, outcome: Outcome, now: Timestamp) -> Option<Duration> {
        let at = self.back_at?;
        let status = self.head.as_ref()?.status;
        let busy = matches!(
            status,
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
        );
        let busy = busy || self.is_pushed_back();
        (busy || outcome == Outcome::Failure).then(|| at.saturating_since(now))
    }
}

impl Drop for UpstreamCall {
    /// A call dropped before its end says nothing about the upstream. Exceptions: it had answered with a failure and
    /// then kept its client waiting beyond `settle`, or it kept the client waiting for the head for so long that
    /// `abandoned` makes it a failure.
    fn drop(&mut self) {
        self.dropped();
        self.note_attempt(Outcome::Ignored);
    }
}

impl UpstreamCall {
    fn dropped(&mut self) {
        if self.permit.is_none() {
            return self.attempt_dropped(Outcome::Ignored);
        }
        if let Some(error) = self.between.take() {
            let outcome = self.judge(error);
            return self.record(outcome);
        }
        let now = self.worker.clock.exact();
        let overdue = self.settles_at().is_some_and(|at| now >= at);
        if overdue && self.judge(None) == Outcome::Failure {
            return self.record(Outcome::Failure);
        }
        // A call that we drop ourselves, as at a drain's end, was not given up by its client.
        let left = self.phase.as_ref().map(|phase| phase.has_left());
        let left = left.unwrap_or(self.is_own);
        let watch = self.stall.as_ref().filter(|_| left);
        let waited = watch.map(|watch| watch.waited(now));
        if let Some(permit) = self.permit.take() {
            let is_probe = permit.is_probe();
            let waited = waited.unwrap_or_default();
            let counted = permit.abandoned(waited, now).counted;
            let failed = (counted == SettledAs::Failure)
                .then(|| self.failed(Some(Cause::Word(ABANDONED)), waited, now));
            self.ended(is_probe, counted, failed, now);
            self.attempt_dropped(match counted {
                SettledAs::Failure => Outcome::Failure,
                _ => Outcome::Ignored,
            });
        }
    }
}
