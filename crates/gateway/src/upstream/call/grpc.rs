//! The gRPC side of a call: its status, its trailers, and its client's deadline.
//!
//! The outcome of a gRPC call is known at its trailers, or at a head that is the whole answer. A gRPC answer that ends well
//! without a status is cut short. Any other answer is judged by its HTTP status: a client that sends the content type of
//! gRPC to a service that does not speak it moves no breaker.
//!
//! # The client's deadline
//! A client chooses its deadline, and no client moves a breaker. So a call whose client gave it less than a second is
//! ignored where the upstream says DEADLINE_EXCEEDED, and where it ended without an answer once that time was over. The
//! same holds where queue and earlier attempts left less than a second of a longer deadline, a tenth of it for the way.

use std::time::Duration;

use fusebox_breaker::{RetryAfter, Timestamp};
use fusebox_plan::CallError;
use http::{HeaderMap, StatusCode};

use super::UpstreamCall;
use crate::message::grpc::{self, GrpcRequest, Pushback};
use crate::upstream::upstream_errors::{ErrorKind, UpstreamError};

/// A client's own time limit below this says nothing about the upstream.
const SHORT: Duration = Duration::from_secs(1);

/// The same for the rest of it as an attempt begins.
const SHORT_LEFT: Duration = Duration::from_millis(900);

/// The gRPC side of a call.
#[derive(Debug)]
pub(super) struct GrpcCall {
    request: GrpcRequest,
    /// True if the client left the present attempt too little time.
    is_short: bool,
    /// True if the client's time was over as the attempt ended; `None`: it has not ended.
    was_over: Option<bool>,
    /// True if the answer of the present attempt is one of gRPC, so that it owes a status.
    owes_status: bool,
    /// The status that the upstream gave in this attempt.
    status: Option<u8>,
    pushback: Option<Pushback>,
}

impl GrpcCall {
    /// Begins an attempt.
    pub fn begins(&mut self, now: Timestamp) {
        (self.was_over, self.status, self.pushback) = (None, None, None);
        self.owes_status = false;
        let is_below = |time: Option<Duration>, bound| time.is_some_and(|time| time < bound);
        self.is_short =
            is_below(self.request.timeout, SHORT) || is_below(self.request.left(now), SHORT_LEFT);
    }

    /// Takes what the fields of a head or of trailers say.
    fn hear(&mut self, fields: &HeaderMap) {
        self.status = grpc::status(fields).or(self.status);
        self.pushback = grpc::pushback(fields).or(self.pushback);
    }

    /// True if an end says nothing about the upstream, since the client gave it too little time.
    fn is_excused(&self, error: Option<CallError>, now: Timestamp) -> bool {
        let was_over = || self.was_over.unwrap_or_else(|| self.request.is_over(now));
        let is_late = self.status == Some(grpc::DEADLINE_EXCEEDED);
        self.is_short && (is_late || (error.is_some() && was_over()))
    }
}

impl UpstreamCall {
    /// Makes the call one of gRPC.
    pub fn speaks_grpc(&mut self, request: GrpcRequest) {
        let mut call = GrpcCall {
            request,
            is_short: false,
            was_over: None,
            owes_status: false,
            status: None,
            pushback: None,
        };
        call.begins(self.worker.clock.exact());
        self.grpc = Some(Box::new(call));
    }

    /// The status of a gRPC call, once the upstream has given one.
    pub fn grpc_status(&self) -> Option<u8> {
        self.grpc.as_ref().and_then(|grpc| grpc.status)
    }

    /// The upstream's word about the next try of a gRPC call.
    pub fn pushback(&self) -> Option<Pushback> {
        self.grpc.as_ref().and_then(|grpc| grpc.pushback)
    }

    /// Notes the trailers of the answer.
    pub fn see_trailers(&mut self, trailers: &HeaderMap) {
        self.hear_grpc(trailers);
    }

    /// Takes the head of an answer to a gRPC call.
    pub(super) fn hear_grpc_head(&mut self, status: StatusCode, headers: &HeaderMap) {
        if let Some(grpc) = &mut self.grpc {
            grpc.owes_status = status == StatusCode::OK && grpc::is_grpc(headers);
            if grpc.owes_status {
                self.upstream.speaks_grpc();
            }
            self.hear_grpc(headers);
        }
    }

    /// Takes what the fields of a head or of trailers say about a gRPC call.
    fn hear_grpc(&mut self, fields: &HeaderMap) {
        let Some(grpc) = &mut self.grpc else { return };
        grpc.hear(fields);
        let breaker = &self.upstream.plan.breaker;
        if breaker.settings.retry_after != RetryAfter::Ignore
            && let Some(Pushback::After(after)) = grpc.pushback
        {
            self.back_at = Some(self.worker.clock.exact() + after);
        }
    }

    /// True if an end of a gRPC call says nothing about the upstream, since its client gave it too little time.
    pub(super) fn is_excused(&self, error: Option<CallError>) -> bool {
        let grpc = self.grpc.as_ref();
        grpc.is_some_and(|grpc| grpc.is_excused(error, self.worker.clock.exact()))
    }

    /// The end of an attempt as its client sees it: a gRPC answer without a status is cut short, however well its body
    /// ended.
    pub(super) fn whole_end(&mut self, error: Option<CallError>) -> Option<CallError> {
        let Some(grpc) = &mut self.grpc else {
            return error;
        };
        let now = self.worker.clock.exact();
        grpc.was_over.get_or_insert(grpc.request.is_over(now));
        if error.is_none() && grpc.owes_status && grpc.status.is_none() {
            self.note(&UpstreamError::new(ErrorKind::Truncated, "no grpc-status"));
            return Some(CallError::Truncated);
        }
        error
    }

    /// The cause of a failure by the status of a gRPC call.
    pub(super) fn grpc_cause(&self) -> Option<&'static str> {
        self.grpc_status().filter(|code| *code > 0).map(grpc::cause)
    }

    /// True if a gRPC call asks to be made later, as 429 and 503 do.
    pub(super) fn is_pushed_back(&self) -> bool {
        let busy = [grpc::RESOURCE_EXHAUSTED, grpc::UNAVAILABLE];
        self.grpc_status().is_some_and(|code| busy.contains(&code))
    }

    /// Moves a gRPC call that has flowed for `settle` to the bulkhead's places for streams.
    pub(super) fn becomes_grpc_stream(&mut self) {
        if self.grpc.is_some() {
            self.becomes_stream();
        }
    }
}
