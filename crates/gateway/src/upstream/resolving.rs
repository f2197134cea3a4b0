//! Looks the names of an upstream's endpoints up again, off the path of calls, and makes every address an endpoint.
//!
//! An empty or failed answer keeps the addresses of before. A call that cannot connect has the names looked up at once,
//! at most once a second.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use fusebox_breaker::Breaker;
use fusebox_plan::plan::Endpoint;
use tokio::task::AbortHandle;

use crate::ground::clock::Clock;
use crate::upstream::endpoints::LiveEndpoint;
use crate::upstream::live_upstream::LiveUpstream;
use crate::upstream::pool::Pool;

/// The longest time of one lookup.
const LOOKUP_MAX: Duration = Duration::from_secs(5);

/// The shortest time between two lookups.
const PAUSE_MIN: Duration = Duration::from_secs(1);

/// The surroundings of endpoints that come and leave with their names' addresses.
pub trait Arrivals: Send + Sync {
    /// Brings the breaker of an endpoint that has come to the state that an earlier process left.
    fn came(&self, breaker: Breaker) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;

    /// Called with the name of the breaker of an endpoint that has left.
    fn left(&self, breaker: &Arc<str>);
}

/// Running lookups, which end when this is dropped.
#[derive(Debug, Default)]
pub struct RunningLookups(Vec<AbortHandle>);

impl Drop for RunningLookups {
    fn drop(&mut self) {
        self.0.iter().for_each(AbortHandle::abort);
    }
}

/// Begins the lookups of upstreams, on the present runtime.
pub fn begin(
    upstreams: &[Arc<LiveUpstream>],
    clock: &Arc<Clock>,
    arrivals: &Arc<dyn Arrivals>,
) -> RunningLookups {
    let mut running = RunningLookups::default();
    for upstream in upstreams {
        let Some(every) = upstream.plan.resolve else {
            continue;
        };
        let resolving = Resolving {
            upstream: upstream.clone(),
            clock: clock.clone(),
            arrivals: arrivals.clone(),
            known: HashMap::new(),
        };
        let task = tokio::spawn(resolving.run(every.max(PAUSE_MIN)));
        running.0.push(task.abort_handle());
    }
    running
}

/// The lookups of one upstream.
struct Resolving {
    upstream: Arc<LiveUpstream>,
    clock: Arc<Clock>,
    arrivals: Arc<dyn Arrivals>,
    /// The last addresses of each name that had some.
    known: HashMap<String, Vec<IpAddr>>,
}

impl Resolving {
    async fn run(mut self, every: Duration) {
        let Some(several) = self.upstream.several.clone() else {
            return;
        };
        loop {
            self.look_up().await;
            tokio::time::sleep(PAUSE_MIN).await;
            let rest = every.saturating_sub(PAUSE_MIN);
            tokio::time::timeout(rest, several.wants_lookup())
                .await
                .ok();
        }
    }

    async fn look_up(&mut self) {
        let upstream = self.upstream.clone();
        let mut all = Vec::new();
        for endpoint in &upstream.endpoints {
            let plan = &endpoint.plan;
            if plan.host.parse::<IpAddr>().is_ok() {
                all.push((endpoint.clone(), None));
                continue;
            }
            match addresses(plan).await {
                Ok(found) if !found.is_empty() => {
                    self.known.insert(plan.host.clone(), found);
                }
                failed => {
                    let error = failed.err().map(|error| error.to_string());
                    let error = error.unwrap_or_else(|| "no address".to_owned());
                    tracing::warn!(
                        upstream = %upstream.plan.name,
                        host = plan.host,
                        error,
                        "name cannot be looked up; the addresses of before stay"
                    );
                }
            }
            let found = self.known.get(&plan.host).into_iter().flatten();
            all.extend(found.map(|address| (endpoint.clone(), Some(*address))));
        }
        let Some(several) = upstream.several.as_ref().filter(|_| !all.is_empty()) else {
            return;
        };
        let before = several.members();
        let live = all.into_iter().map(|(endpoint, address)| {
            let mut kept = before.iter().map(|(_, live)| live);
            let kept = kept.find(|it| it.plan == endpoint.plan && it.address == address);
            match (kept, address) {
                (Some(kept), _) => kept.clone(),
                (None, None) => endpoint,
                (None, Some(address)) => {
                    let pools = Pool::at_address(&endpoint.pools, address);
                    let live = LiveEndpoint::new(endpoint.plan.clone(), pools);
                    Arc::new(LiveEndpoint {
                        address: Some(address),
                        ..live
                    })
                }
            }
        });
        let live: Vec<_> = live.collect();
        let is_same = live.len() == before.len()
            && live
                .iter()
                .zip(&before)
                .all(|(new, (_, old))| Arc::ptr_eq(new, old));
        if is_same {
            return;
        }
        tracing::info!(
            upstream = %upstream.plan.name,
            endpoints = live.len(),
            "the upstream's names have other addresses"
        );
        let updated = match several.update(&upstream.plan, &live, self.clock.exact()) {
            Ok(updated) => updated,
            Err(error) => {
                tracing::error!(upstream = %upstream.plan.name, %error, "its endpoints stay as they were");
                return;
            }
        };
        for endpoint in &updated.left {
            self.arrivals.left(endpoint.breaker().name());
        }
        for endpoint in &updated.came {
            self.arrivals.came(endpoint.breaker().clone()).await;
        }
        several.settle(self.clock.exact());
    }
}

/// The addresses of an endpoint's host, in order.
async fn addresses(endpoint: &Endpoint) -> io::Result<Vec<IpAddr>> {
    let host = (endpoint.host.as_str(), endpoint.port);
    let found = tokio::time::timeout(LOOKUP_MAX, tokio::net::lookup_host(host)).await;
    let found = found.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    let mut found: Vec<_> = found.map(|address| address.ip()).collect();
    found.sort_unstable();
    found.dedup();
    Ok(found)
}
