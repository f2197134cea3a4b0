//! The upstreams of a running gateway: their endpoints, and what stands around their breakers.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use fusebox_breaker::{HoldKind, Phase, Timestamp};

use crate::host::gateway::Gateway;
use crate::upstream::call_state::{RungKind, RungResult};
use crate::upstream::live_upstream::LiveUpstream;

/// An upstream as it stands now.
#[derive(Debug, Clone)]
pub struct UpstreamStatus {
    /// The name in the file; of an application's target without an upstream before it, the application's.
    pub name: Arc<str>,
    /// The endpoints, in the file's order; at least one.
    pub endpoints: Vec<EndpointStatus>,
    /// The bound on calls in flight; `None`: there is none.
    pub bulkhead: Option<BulkheadStatus>,
    /// The tokens of the retry budget, as a part of what it can hold; `None`: no call is repeated.
    pub budget_ratio: Option<f64>,
    /// The answers that are kept for calls that are refused or fail; `None`: none are.
    pub last_good: Option<LastGoodStatus>,
    /// The answers to calls that were refused or failed.
    pub fallback: FallbackCounts,
}

/// An endpoint as it stands now.
#[derive(Debug, Clone)]
pub struct EndpointStatus {
    /// The name, such as `10.0.0.2:8081`.
    pub name: Arc<str>,
    /// The URL as configured or resolved.
    pub url: Arc<str>,
    /// The share of the calls, relative to those of the others.
    pub weight: u32,
    /// The state of its breaker; closed where it has none.
    pub state: Phase,
    /// `unknown`, `healthy`, `unhealthy`, or `kept` for one that is unhealthy and in use all the same.
    pub health: &'static str,
    /// True if it gets no calls, since its breaker is open or held open.
    pub ejected: bool,
    /// The operator's hold on its breaker; `None`: there is none.
    pub hold: Option<HoldKind>,
    /// True if its breaker is open and it stays in use, since the limit of ejections is reached.
    pub would_eject: bool,
    /// The end of the cooldown, or of the hold, of an ejected one.
    pub ejected_until: Option<Timestamp>,
    /// Attempts in flight; `None`: they are not counted, as of a single endpoint.
    pub in_flight: Option<usize>,
    /// The average response time of late; `None`: not measured.
    pub ewma: Option<Duration>,
}

/// A bulkhead as it stands now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BulkheadStatus {
    /// The most calls in flight.
    pub concurrent: usize,
    /// Calls in flight.
    pub in_flight: usize,
    /// Calls that wait for a place.
    pub queued: usize,
}

/// The last good answers of an upstream, wherever they are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastGoodStatus {
    /// Number of answers.
    pub entries: u64,
    /// Bytes of all answers.
    pub bytes: u64,
}

/// Counts of the answers that ladders gave since the program started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FallbackCounts {
    /// Last good answers.
    pub last_good: u64,
    /// Answers of another upstream.
    pub upstream: u64,
    /// Fixed answers, as in the file.
    pub respond: u64,
    /// Ladders without an answer, so that the failed one or our own went out.
    pub none: u64,
}

impl Gateway {
    /// The upstreams of the plan and the targets of its application, as they stand now. Targets behind one upstream of a
    /// native file are one service at one address, and listed once, as it.
    pub fn upstreams(&self) -> Vec<UpstreamStatus> {
        let now = self.clock().exact();
        let live = self.0.shared.live.load();
        let mut listed = HashSet::new();
        let upstreams = live.upstreams.iter();
        let upstreams = upstreams.filter(|it| listed.insert(it.name_of_calls().clone()));
        upstreams.map(|it| status(it, now)).collect()
    }
}

fn status(upstream: &LiveUpstream, now: Timestamp) -> UpstreamStatus {
    let calls = &upstream.calls;
    let served = |rung| calls.counts.rungs(rung, RungResult::Served);
    UpstreamStatus {
        name: upstream.name_of_calls().clone(),
        endpoints: endpoints(upstream, now),
        bulkhead: calls.bulkhead.as_ref().map(|bulkhead| BulkheadStatus {
            concurrent: bulkhead.places.limit(),
            in_flight: bulkhead.places.in_flight(),
            queued: bulkhead.places.queued(),
        }),
        budget_ratio: upstream.repeats().then(|| calls.budget.ratio(now)),
        last_good: calls.last_good.as_ref().map(|last_good| {
            let counts = last_good.counts();
            LastGoodStatus {
                entries: counts.entries(),
                bytes: counts.bytes(),
            }
        }),
        fallback: FallbackCounts {
            last_good: served(RungKind::LastGood),
            upstream: served(RungKind::Upstream),
            respond: served(RungKind::Respond),
            none: calls.counts.unanswered(),
        },
    }
}

fn endpoints(upstream: &LiveUpstream, now: Timestamp) -> Vec<EndpointStatus> {
    let Some(several) = &upstream.several else {
        let only = upstream.endpoint();
        return vec![EndpointStatus {
            name: only.name.clone(),
            url: only.plan.url().into(),
            weight: 1,
            state: Phase::Closed,
            ejected: false,
            hold: None,
            health: "unknown",
            would_eject: false,
            ejected_until: None,
            in_flight: None,
            ewma: None,
        }];
    };
    let views = several.views(now).into_iter();
    let views = views.map(|view| EndpointStatus {
        name: view.name,
        url: view.url,
        weight: view.weight,
        state: view.state,
        ejected: view.ejected,
        hold: view.hold,
        health: view.health,
        would_eject: view.would_eject,
        ejected_until: view.ejected_until,
        in_flight: Some(view.in_flight),
        ewma: view.ewma,
    });
    views.collect()
}
