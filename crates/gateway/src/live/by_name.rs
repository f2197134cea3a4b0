//! Parts of plans by name, so that a plan of ten thousand routes and upstreams is made live in one pass over each.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use fusebox_plan::plan::{Route, Rung, Step};

use crate::live::live_plan::{Live, LiveStep};
use crate::request::forward::Forward;
use crate::upstream::live_upstream::LiveUpstream;

/// Upstreams by name; of several with one name the first.
pub type Upstreams = HashMap<Arc<str>, Arc<LiveUpstream>>;

/// Gathers upstreams under the names that `name` gives them.
pub fn named<'a>(
    upstreams: &'a [Arc<LiveUpstream>],
    name: impl Fn(&'a LiveUpstream) -> Option<&'a Arc<str>>,
) -> Upstreams {
    let mut all = Upstreams::with_capacity(upstreams.len());
    for upstream in upstreams {
        if let Some(name) = name(upstream) {
            all.entry(name.clone()).or_insert_with(|| upstream.clone());
        }
    }
    all
}

/// The demands of a plan's routes on an upstream.
#[derive(Debug, Clone, Copy, Default)]
pub struct Demand {
    /// True if a route repeats its calls.
    pub repeats: bool,
    /// The greatest age of a last good answer that a route takes.
    pub last_good: Option<Duration>,
}

/// The demands of a plan's routes, by the upstream's name.
pub fn demands(routes: &[Arc<Route>]) -> HashMap<&str, Demand> {
    let mut all: HashMap<&str, Demand> = HashMap::new();
    for step in routes.iter().flat_map(|route| &route.steps) {
        let Step::Forward(step) = step else {
            continue;
        };
        let demand = all.entry(&*step.upstream.name).or_default();
        demand.repeats |= step.retry.is_some();
        let ages = step.fallback().iter().filter_map(|rung| match rung {
            Rung::LastGood(age) => Some(*age),
            Rung::Upstream(_) | Rung::Respond(_) => None,
        });
        demand.last_good = demand.last_good.max(ages.max());
    }
    all
}

/// The steps of a plan's routes to upstreams, by the route's name.
pub fn forwards(live: Option<&Live>) -> HashMap<&str, &Arc<Forward>> {
    let mut all = HashMap::new();
    for route in live.into_iter().flat_map(|live| &live.routes) {
        if let Some(LiveStep::Forward(forward)) = route.steps.first() {
            all.entry(&*route.plan.name).or_insert(forward);
        }
    }
    all
}
