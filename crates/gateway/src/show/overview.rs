//! The gateway as a whole at one moment: its name, its age, its store, its fleet, its events.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use fusebox_breaker::Timestamp;
use fusebox_fleet::Health;
use fusebox_plan::plan::Share;

use crate::host::gateway::Gateway;
use crate::upstream::events::Events;

/// A gateway as a whole.
#[derive(Debug, Clone)]
pub struct Overview {
    /// The name in the fleet; without one the machine's.
    pub node: Arc<str>,
    /// The start of the gateway, on its clock.
    pub started_at: Timestamp,
    /// The time of the last successful reload, or of the start, in milliseconds since the Unix epoch.
    pub loaded_at: u64,
    /// True once the gateway has begun to stop.
    pub draining: bool,
    /// True while a store does not answer.
    pub store_away: bool,
    /// The fleet; `None`: the gateway belongs to none.
    pub fleet: Option<FleetOverview>,
}

/// A fleet as one of its nodes knows it.
#[derive(Debug, Clone)]
pub struct FleetOverview {
    /// The nodes that are named in the records of shared breakers, each with the time of the last such record on the
    /// server's clock, in milliseconds since the Unix epoch. This node is always among them.
    pub nodes: BTreeMap<String, Option<u64>>,
    /// The most nodes that a quorum of the plan asks for; `None`: no breaker asks for one.
    pub expected: Option<usize>,
}

impl Gateway {
    /// The latest events of this start of the process.
    pub fn events(&self) -> &Arc<Events> {
        &self.0.events
    }

    /// The name of this gateway: that in the fleet, in the plan, or the machine's.
    pub fn node(&self) -> Arc<str> {
        if let Some(membership) = &self.0.membership {
            return membership.node.clone();
        }
        let plan = self.plan();
        let named = plan.fleet.as_ref().and_then(|fleet| fleet.node.clone());
        let machine = || rustix::system::uname().nodename().to_string_lossy().into();
        named.unwrap_or_else(machine).into()
    }

    /// The gateway as a whole.
    pub async fn overview(&self) -> Overview {
        let fleet_away = self
            .0
            .membership
            .as_ref()
            .is_some_and(|membership| membership.fleet.status().health != Health::Reachable);
        Overview {
            node: self.node(),
            started_at: self.0.started_at,
            loaded_at: self.0.last_reload.load(Ordering::Relaxed),
            draining: self.is_draining(),
            store_away: fleet_away || self.0.announcer.changed.is_away(),
            fleet: self.fleet_overview().await,
        }
    }

    async fn fleet_overview(&self) -> Option<FleetOverview> {
        let shown = self.fleet(None).await?;
        let mut nodes: BTreeMap<String, Option<u64>> = BTreeMap::new();
        for record in shown.breakers.iter().filter_map(|it| it.record.as_ref()) {
            let leading = record.lease.iter().map(|lease| &lease.node);
            let by = (!record.by_operator).then_some(&record.by);
            let named = record.votes.keys().chain(leading).chain(by);
            for name in named.filter(|name| !name.is_empty()) {
                let seen = nodes.entry(name.clone()).or_default();
                *seen = (*seen).max(Some(record.at));
            }
        }
        nodes.entry(shown.node.to_string()).or_default();
        let plan = self.plan();
        let upstreams = plan.upstreams.iter().map(|it| &it.breaker);
        let quorums = upstreams
            .chain(plan.breakers.iter().map(|it| &it.breaker))
            .filter_map(|breaker| match breaker.share {
                Share::Quorum(nodes) => Some(nodes as usize),
                Share::None | Share::Verdict | Share::Counts => None,
            });
        Some(FleetOverview {
            nodes,
            expected: quorums.max(),
        })
    }
}
