//! The settings of a call: retry, hedge, budget, balancer, ejection and bulkhead, each with its defaults.

use std::time::Duration;

use fusebox_breaker::{Cooldown, Rule, Settings};
use http::{Method, StatusCode};

use crate::grpc::GrpcCodes;

/// The repeats of a failed attempt (`retry:`).
#[derive(Debug, Clone, PartialEq)]
pub struct Retry {
    /// `attempts`: the most attempts of one call, the first included; 1..=10. Default 2.
    pub attempts: u32,
    /// `on`: the ends of an attempt after which another one may follow.
    pub on: RetryOn,
    /// `per_try`: the time limit of one attempt, within `timeout.total`. Default: none of its own.
    pub per_try: Option<Duration>,
    /// `methods`: the methods that may be repeated although the upstream may have executed them. Default: GET, HEAD,
    /// OPTIONS, PUT and DELETE.
    pub methods: Vec<Method>,
    /// `backoff`: the pause before a repeat.
    pub backoff: Backoff,
    /// `buffer`: the most bytes of a request's body that are kept for a repeat. Default 64 KiB.
    pub buffer_max: usize,
}

impl Default for Retry {
    fn default() -> Retry {
        Retry {
            attempts: 2,
            on: RetryOn::default(),
            per_try: None,
            methods: vec![
                Method::GET,
                Method::HEAD,
                Method::OPTIONS,
                Method::PUT,
                Method::DELETE,
            ],
            backoff: Backoff::default(),
            buffer_max: 64 * 1024,
        }
    }
}

/// The ends of an attempt after which another one may follow (`retry.on`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryOn {
    /// `connect_error`: refused, name not found, TLS failed or connect timeout; nothing was sent. Default: true.
    pub connect_error: bool,
    /// `reset`: cut or malformed before the head of an answer. Default: true.
    pub reset: bool,
    /// `timeout`: our own `per_try` or `timeout.request`. Default: true exactly if `per_try` is set.
    pub timeout: bool,
    /// Statuses of the upstream's own answers. Default: 502, 503 and 504.
    pub statuses: Vec<StatusCode>,
    /// Statuses of gRPC that came before any message, whatever `methods` says: every call of gRPC is a POST. Default:
    /// UNAVAILABLE.
    pub grpc: GrpcCodes,
}

impl Default for RetryOn {
    fn default() -> RetryOn {
        RetryOn {
            connect_error: true,
            reset: true,
            timeout: false,
            statuses: vec![
                StatusCode::BAD_GATEWAY,
                StatusCode::SERVICE_UNAVAILABLE,
                StatusCode::GATEWAY_TIMEOUT,
            ],
            grpc: GrpcCodes::of(&[14]),
        }
    }
}

/// The pause before a repeat (`retry.backoff`): at most `base` x 2^n before the n-th repeat, counted from 0, and at most
/// `max`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// `base`: the longest pause before the first repeat. Default 25 ms.
    pub base: Duration,
    /// `max`: the longest pause of all. Default 1 s.
    pub max: Duration,
    /// `jitter`: the spread of the pauses. Default: full.
    pub jitter: Jitter,
}

impl Default for Backoff {
    fn default() -> Backoff {
        Backoff {
            base: Duration::from_millis(25),
            max: Duration::from_secs(1),
            jitter: Jitter::Full,
        }
    }
}

/// The spread of a back-off's pauses (`backoff.jitter`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Jitter {
    /// Uniform from 0 to the longest pause.
    Full,
    /// Always the longest pause.
    None,
}

/// The retries and hedges that an upstream affords (`retry.budget`), over all workers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Budget {
    /// `ratio`: the part of a retry that each call pays in, above 0 and at most 1. Default 0.2.
    pub ratio: f64,
    /// `min`: the retries a second that are there without any calls, and those there at the beginning. Default 3.
    pub min: u32,
}

impl Default for Budget {
    fn default() -> Budget {
        Budget { ratio: 0.2, min: 3 }
    }
}

/// One more attempt for a GET or HEAD whose answer keeps us waiting (`hedge:`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hedge {
    /// `after`: the time without a head after which the second attempt begins.
    pub after: Duration,
}

/// The choice among an upstream's endpoints (`balance:`).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Balance {
    /// `round_robin`: in turn, by weight.
    #[default]
    RoundRobin,
    /// `least_request`: of two random ones, that with fewer requests in flight for its weight.
    LeastRequest,
    /// `p2c_ewma`: of two random ones, that with the lower average time of late, times its requests in flight.
    P2cEwma,
    /// `{ hash: TEMPLATE }`: the same endpoint for the same text, as long as it is not loaded above its share.
    Hash,
}

/// The rule by which an endpoint that fails gets no calls for a while (`ejection:`).
#[derive(Debug, Clone, PartialEq)]
pub struct Ejection {
    /// The settings of the endpoint's breaker: trip, cooldown (`for`) and ramp; it always probes with one call at a time
    /// and ignores `Retry-After`. Default: five failures in a row, 10 s that double up to 5 min, 20 % jitter, no ramp.
    pub breaker: Settings,
    /// `max_ejected`: the largest part of the endpoints that may be ejected at once, 0 to 1. Default 0.5.
    pub ejected_max: f64,
    /// `min_healthy`: the endpoints that always stay in use; it wins over `max_ejected`. Default 1.
    pub healthy_min: u32,
}

impl Ejection {
    /// The most endpoints of `all` that may be ejected at once: `max_ejected` of them, rounded down, and at
    /// least `min_healthy` stay. 0 means that nothing is ever ejected.
    pub fn most(&self, all: usize) -> usize {
        // A share of 0.29 is a little less in binary, and 29 of 100 are meant.
        let share = (self.ejected_max * all as f64 + 1e-9).floor() as usize;
        share.min(all.saturating_sub(self.healthy_min as usize))
    }
}

impl Default for Ejection {
    fn default() -> Ejection {
        Ejection {
            breaker: Settings {
                trip: vec![Rule::ConsecutiveFailures {
                    threshold: 5,
                    within: None,
                }],
                cooldown: Cooldown {
                    base: Duration::from_secs(10),
                    max: Duration::from_secs(300),
                    factor: 2.0,
                    jitter: 0.2,
                },
                ..Settings::default()
            },
            ejected_max: 0.5,
            healthy_min: 1,
        }
    }
}

/// The bound on an upstream's calls in flight (`bulkhead:`), over all workers.
#[derive(Debug, Clone, PartialEq)]
pub struct Bulkhead {
    /// `concurrent`: the most calls in flight.
    pub concurrent: Concurrent,
    /// `queued`: the most calls that wait for a place. Default 0.
    pub queued_max: usize,
    /// `queue_for`: the longest wait for a place.
    pub queue_for: Duration,
    /// `streams`: the most tunnels and event streams. Default 1000.
    pub streams_max: usize,
}

impl Bulkhead {
    /// The bound of `max_concurrency`: a number of requests, without a queue.
    pub const fn of_route(concurrent: usize) -> Bulkhead {
        Bulkhead {
            concurrent: Concurrent::Fixed(concurrent),
            queued_max: 0,
            queue_for: Duration::ZERO,
            streams_max: 1000,
        }
    }
}

/// The most calls in flight (`bulkhead.concurrent`).
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Concurrent {
    /// A fixed number.
    Fixed(usize),
    /// A number that follows the upstream's times.
    Adaptive(Adaptive),
}

/// The bounds of an adaptive limit (`bulkhead.concurrent.adaptive`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Adaptive {
    /// `min`: the limit is never lower. Default 8.
    pub min: usize,
    /// `max`: the limit is never higher. Default 1000.
    pub max: usize,
}

impl Default for Adaptive {
    fn default() -> Adaptive {
        Adaptive { min: 8, max: 1000 }
    }
}
