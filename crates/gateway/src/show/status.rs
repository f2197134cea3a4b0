//! The state of a running gateway, and an operator's commands to its breakers.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use fusebox_breaker::{Hold, RejectReason, Settings, Snapshot, Timestamp, machine::Explanation};
use fusebox_plan::Plan;
use fusebox_plan::plan::Share;
use fusebox_store::StoreError;

use crate::ground::action::Action;
use crate::ground::clock::Clock;
use crate::ground::meter::{BreakerMeter, REASONS};
use crate::host::gateway::Gateway;
use crate::host::membership::{FleetError, FleetShown};
use crate::upstream::breakers::{BreakerKind, LiveBreaker};
use crate::upstream::events;
use crate::upstream::last_failures::FailedCall;

/// A breaker as it stands now.
#[derive(Debug, Clone)]
pub struct BreakerStatus {
    /// The breaker's name.
    pub name: Arc<str>,
    /// The upstream that it is before, by the name in the file; of a Flogo service, its action.
    pub upstream: Arc<str>,
    /// The thing that it stands before.
    pub kind: BreakerKind,
    /// The machine's snapshot.
    pub snapshot: Snapshot,
    /// The breaker's settings.
    pub settings: Arc<Settings>,
    /// The sharing with the fleet, as the plan says.
    pub share: Share,
    /// True if the store has this state.
    pub persisted: bool,
    /// The breaker's counters.
    pub calls: Calls,
    /// The time of this status, on the clock of the snapshot's times.
    pub now: Timestamp,
}

/// Counts of a breaker since the program started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Calls {
    /// Calls that ended well.
    pub success: u64,
    /// Calls that failed.
    pub failure: u64,
    /// Calls that say nothing about the upstream.
    pub ignored: u64,
    /// Calls whose outcome came too late to count.
    pub late: u64,
    /// Calls rejected for any reason.
    pub rejected: u64,
    /// Rejected calls by reason.
    pub rejected_for: [(RejectReason, u64); REASONS.len()],
    /// Calls that monitor mode let pass although the breaker would have rejected them.
    pub would_reject: u64,
}

/// The state of a part of the gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The part's name.
    pub name: &'static str,
    /// True while it works.
    pub ready: bool,
    /// Details for people.
    pub detail: String,
}

impl Gateway {
    /// The clock of all times.
    pub fn clock(&self) -> &Arc<Clock> {
        &self.0.shared.clock
    }

    /// The plan that runs now.
    pub fn plan(&self) -> Arc<Plan> {
        self.0.shared.live.load().plan.clone()
    }

    /// True once the gateway has begun to stop.
    pub fn is_draining(&self) -> bool {
        self.0.draining.load(Ordering::Acquire)
    }

    /// The workers that do not run, by index from 0: each was asked and has not answered within 2 s.
    pub async fn silent_workers(&self) -> Vec<usize> {
        let shared = &self.0.shared;
        let now = shared.clock.exact();
        let asks = shared.pulses.iter().map(|pulse| pulse.ask(now));
        let answers = futures_util::future::join_all(asks).await;
        let silent = answers.into_iter().enumerate().filter(|(_, runs)| !runs);
        silent.map(|(worker, _)| worker).collect()
    }

    /// The parts of the gateway, each with its state. It is ready when all of them are.
    pub fn parts(&self) -> Vec<Part> {
        let draining = self.is_draining();
        let listening = self.addresses();
        // An application of schedules and queues alone listens nowhere.
        let wants_none = self.plan().listeners.is_empty();
        let texts: Vec<_> = listening
            .iter()
            .map(|(name, addr)| match self.scheme(name) {
                "https" => format!("{name} on https://{addr}"),
                _ => format!("{name} on {addr}"),
            })
            .collect();
        let changed = &self.0.announcer.changed;
        let (written, errors) = changed.counts();
        let reloads = self.0.reloads.load(Ordering::Relaxed);
        let failures = self.0.reload_failures.load(Ordering::Relaxed);
        let fleet = self.0.membership.as_ref().map(|membership| Part {
            name: "fleet",
            // A fleet's store that is away fails no request either.
            ready: true,
            detail: membership.describe(self.clock().exact()),
        });
        let mut parts = vec![
            Part {
                name: "listeners",
                ready: !draining && (!listening.is_empty() || wants_none),
                detail: if draining {
                    "draining".into()
                } else if wants_none {
                    "none in the plan".into()
                } else {
                    texts.join(", ")
                },
            },
            // A store that is away fails no request (I8), so it does not make the gateway unready.
            Part {
                name: "store",
                ready: true,
                detail: format!(
                    "{written} breaker records written, {errors} writes failed, {}",
                    if changed.is_clean() {
                        "nothing waits"
                    } else {
                        "some wait"
                    }
                ),
            },
            Part {
                name: "plan",
                ready: true,
                detail: format!("{reloads} reloads, {failures} refused"),
            },
        ];
        parts.extend(fleet);
        parts
    }

    /// The breaker of a name; `None` without one.
    pub fn breaker(&self, name: &str) -> Option<BreakerStatus> {
        let (upstream, live_breaker) = self.find(name)?;
        Some(self.status(upstream, &live_breaker))
    }

    /// Explains the state of the breaker of a name, and what comes next.
    pub fn explain(&self, name: &str) -> Option<Explanation> {
        let (_, live_breaker) = self.find(name)?;
        Some(live_breaker.breaker.explain(self.clock().exact()))
    }

    /// The last failures of the breaker of a name, newest first.
    pub fn last_failures(&self, name: &str) -> Option<Vec<FailedCall>> {
        let (_, live_breaker) = self.find(name)?;
        Some(live_breaker.extras.failures.list())
    }

    /// Carries out a command on a breaker and returns its status afterwards; `None`: no breaker has that name.
    pub fn act(&self, name: &str, action: Action) -> Option<BreakerStatus> {
        let (upstream, live_breaker) = self.find(name)?;
        let now = self.clock().exact();
        let breaker = &live_breaker.breaker;
        match action {
            Action::Hold {
                kind,
                duration,
                reason,
                by,
            } => {
                let until = duration.map(|duration| now + duration);
                breaker.hold(
                    Hold {
                        kind,
                        until,
                        reason: reason.into(),
                        by: by.into(),
                    },
                    now,
                );
            }
            Action::Release { by } => {
                events::released_by(&by, || breaker.release(now));
            }
            Action::Reset { .. } => {
                breaker.reset(now);
                live_breaker.extras.failures.clear();
            }
        }
        self.0.shared.live.load().settle_endpoints(now);
        Some(self.status(upstream, &live_breaker))
    }

    /// This gateway in its fleet, with its view of the shared breaker of a name, or of all; `None`: it belongs to no
    /// fleet.
    pub async fn fleet(&self, breaker: Option<&str>) -> Option<FleetShown> {
        let membership = self.0.membership.as_ref()?;
        Some(FleetShown {
            node: membership.node.clone(),
            status: membership.fleet.status(),
            breakers: membership.fleet.look(breaker).await,
        })
    }

    /// Carries out a command on a breaker of the whole fleet, waits until the fleet's record shows it, and returns the
    /// breaker's status here afterwards.
    ///
    /// # Errors
    /// [`FleetError`]; the command has no effect then.
    pub async fn act_on_fleet(
        &self,
        name: &str,
        action: Action,
    ) -> Result<BreakerStatus, FleetError> {
        let Some(membership) = &self.0.membership else {
            return Err(FleetError::NoFleet);
        };
        let (upstream, live_breaker) = self.find(name).ok_or(FleetError::NoBreaker)?;
        if self.share_of(&upstream, &live_breaker) == Share::None {
            return Err(FleetError::NotShared);
        }
        let resets = matches!(action, Action::Reset { .. });
        membership.say(name, action).await?;
        if resets {
            live_breaker.extras.failures.clear();
        }
        Ok(self.status(upstream, &live_breaker))
    }

    /// Removes the last good answers of an upstream: those to a path as the upstream sees it, or all. They are gone for
    /// good when this returns. Returns the number of answers removed; `None`: no upstream of that name keeps any.
    ///
    /// # Errors
    /// If the store cannot be written; then some may come back after a restart.
    pub async fn purge_last_good(
        &self,
        upstream: &str,
        path: Option<&str>,
    ) -> Result<Option<u64>, StoreError> {
        let live = self.0.shared.live.load_full();
        let mut upstreams = live.upstreams.iter();
        let found = upstreams.find(|it| *it.plan.name == *upstream);
        let Some((found, last_good)) =
            found.and_then(|it| Some((it, it.calls.last_good.as_ref()?)))
        else {
            return Ok(None);
        };
        let Some(path) = path else {
            return last_good.purge(None).await.map(Some);
        };
        // An answer is kept under its path at the first endpoint, whichever gave it.
        let base = &found.endpoint().plan.base_path;
        let others = found.endpoints.iter().filter_map(|endpoint| {
            let rest = path.strip_prefix(endpoint.plan.base_path.as_str())?;
            rest.starts_with('/').then(|| format!("{base}{rest}"))
        });
        let mut paths: Vec<String> = others.chain([path.to_owned()]).collect();
        paths.sort_unstable();
        paths.dedup();
        let mut removed = 0;
        for path in paths {
            removed += last_good.purge(Some(&path)).await?;
        }
        Ok(Some(removed))
    }

    /// The sharing of a breaker; those of endpoints and flows are never shared.
    fn share_of(&self, upstream: &str, live_breaker: &LiveBreaker) -> Share {
        let live = self.0.shared.live.load();
        match live_breaker.extras.kind {
            BreakerKind::Upstream => {}
            BreakerKind::Service => {
                let found = live.service(upstream);
                return found.map_or(Share::None, |service| service.plan.breaker.share);
            }
            BreakerKind::Endpoint | BreakerKind::Flow => return Share::None,
        }
        let found = live.guarded(upstream);
        found.map_or(Share::None, |upstream| upstream.plan.breaker.share)
    }

    fn find(&self, name: &str) -> Option<(Arc<str>, LiveBreaker)> {
        self.0.shared.live.load().breaker(name)
    }

    pub(crate) fn status(&self, upstream: Arc<str>, live_breaker: &LiveBreaker) -> BreakerStatus {
        let now = self.clock().exact();
        let snapshot = live_breaker.breaker.snapshot(now);
        let name = live_breaker.breaker.name().clone();
        let sum = |value: fn(&BreakerMeter) -> u64| live_breaker.extras.meters.sum(value);
        BreakerStatus {
            persisted: self
                .0
                .announcer
                .changed
                .is_persisted(&name, snapshot.generation),
            settings: live_breaker.breaker.settings(),
            share: self.share_of(&upstream, live_breaker),
            calls: Calls {
                success: sum(|meter| meter.success.get()),
                failure: sum(|meter| meter.failure.get()),
                ignored: sum(|meter| meter.ignored.get()),
                late: snapshot.totals.late + sum(|meter| meter.late.get()),
                rejected: sum(BreakerMeter::rejected_total),
                rejected_for: std::array::from_fn(|at| {
                    let sum = live_breaker
                        .extras
                        .meters
                        .sum(|meter| meter.rejected_for(at));
                    (REASONS[at], sum)
                }),
                would_reject: sum(|meter| meter.would_reject.get()),
            },
            kind: live_breaker.extras.kind,
            name,
            upstream,
            snapshot,
            now,
        }
    }
}
