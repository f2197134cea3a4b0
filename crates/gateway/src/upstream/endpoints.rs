//! The endpoints of a running upstream: the connections to each, and the attempt that is made at one.

use std::sync::Arc;
use std::time::Duration;

use fusebox_breaker::{Outcome, Timestamp};
use fusebox_plan::plan::Endpoint;
use http::HeaderValue;

use crate::ground::meter::Counter;
use crate::upstream::pool::{Pool, Pools};

/// One endpoint of an upstream.
#[derive(Debug)]
pub struct LiveEndpoint {
    /// The address.
    pub plan: Endpoint,
    /// The value of the `Host` field.
    pub host: HeaderValue,
    /// The connections of each worker.
    pub pools: Pools,
    /// Counts of attempts by their outcome.
    pub attempts: AttemptCounts,
}

/// Counts of an endpoint's attempts.
#[derive(Debug, Default)]
pub struct AttemptCounts {
    /// Attempts that ended well.
    pub success: Counter,
    /// Attempts that failed.
    pub failure: Counter,
    /// Attempts that say nothing about the endpoint.
    pub ignored: Counter,
}

impl LiveEndpoint {
    /// An endpoint with its connections.
    pub fn new(plan: Endpoint, pools: Pools) -> LiveEndpoint {
        let host = HeaderValue::from_str(&plan.authority);
        LiveEndpoint {
            host: host.expect("a checked authority is a field value"),
            pools,
            attempts: AttemptCounts::default(),
            plan,
        }
    }

    /// The connections of one worker.
    pub fn pool(&self, worker: usize) -> &Arc<Pool> {
        &self.pools[worker % self.pools.len()]
    }
}

/// An attempt at an endpoint that is counted; dropped without an end, it says nothing about the endpoint.
#[derive(Debug)]
pub struct EndpointAttempt {
    endpoint: Arc<LiveEndpoint>,
    is_ended: bool,
}

impl EndpointAttempt {
    /// Begins an attempt.
    pub fn new(endpoint: Arc<LiveEndpoint>) -> EndpointAttempt {
        EndpointAttempt {
            endpoint,
            is_ended: false,
        }
    }

    /// Ends the attempt with its outcome.
    pub fn end(mut self, outcome: Outcome, _duration: Duration, _now: Timestamp) {
        self.is_ended = true;
        let counts = &self.endpoint.attempts;
        match outcome {
            Outcome::Success => counts.success.add(),
            Outcome::Failure => counts.failure.add(),
            Outcome::Ignored => counts.ignored.add(),
        }
    }
}

impl Drop for EndpointAttempt {
    fn drop(&mut self) {
        if !self.is_ended {
            self.endpoint.attempts.ignored.add();
        }
    }
}
