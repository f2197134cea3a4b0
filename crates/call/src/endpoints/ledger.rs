//! The account of who is ejected: which open breakers take their endpoint out of use, within the limits, and when the
//! next of them wants a probe.
//!
//! A breaker's transition, by whatever cause, comes here through its listener. The account is then settled anew from the
//! breakers' own states, under a lock that a choice never waits for: meanwhile it uses the old marks.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, TryLockError, Weak};

use crossbeam_utils::CachePadded;
use fusebox_breaker::{Breaker, Builder, HoldKind, Listener, Mode, Phase, Timestamp, Transition};

use super::endpoint::{EJECTED, Endpoint, HELD, NEVER, UNHEALTHY, WOULD_EJECT};
use super::set::EndpointSet;

/// The surroundings of an upstream's endpoints: equips their breakers and receives their ejections.
pub trait Watch: Send + Sync {
    /// The builder of an endpoint's breaker with the caller's own listeners, seed or chance.
    fn equip(&self, endpoint: &str, builder: Builder) -> Builder {
        let _ = endpoint;
        builder
    }

    /// Called after an ejection began, was prolonged or ended, in the thread that found it. Changes of different threads
    /// may arrive out of order; the [views](super::EndpointSet::views) are always right.
    fn ejection(&self, change: &EjectionChange) {
        let _ = change;
    }
}

/// A watch that does nothing.
impl Watch for () {}

/// The beginning, prolonging or end of an ejection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EjectionChange {
    /// The endpoint's name.
    pub endpoint: Arc<str>,
    /// True if it gets no calls now.
    pub ejected: bool,
    /// True if it stays in use with half its weight, although its breaker is open.
    pub would_eject: bool,
    /// The end of its cooldown, while its breaker is open.
    pub until: Option<Timestamp>,
}

/// The account that all sets of one upstream share.
pub(super) struct Ledger {
    /// The endpoints in use, and the lock of the account.
    set: Mutex<Weak<EndpointSet>>,
    /// True if something has changed since the account was last settled.
    stirred: AtomicBool,
    /// The time from which on a choice must look closer: a probe is due, or the account is not settled (0).
    look_at: CachePadded<AtomicU64>,
    /// True if an endpoint is in use with half its weight.
    pub has_halves: AtomicBool,
    /// The turns of round robin.
    pub turns: CachePadded<AtomicU64>,
    /// The turns of those that could not have theirs.
    pub spare_turns: CachePadded<AtomicU64>,
    /// The median of the average times, in nanoseconds as `f64`, and the time at which it was taken.
    pub median: AtomicU64,
    pub median_at: AtomicU64,
    pub watch: Arc<dyn Watch>,
}

/// The state of an endpoint's breaker, as far as the account needs it.
enum Finding {
    /// The breaker lets calls pass.
    In,
    /// Calls are refused, and from `due` on one may probe.
    Out {
        held: bool,
        since: Timestamp,
        until: Option<Timestamp>,
        due: u64,
    },
}

impl Ledger {
    pub fn new(watch: Arc<dyn Watch>) -> Ledger {
        Ledger {
            set: Mutex::default(),
            stirred: AtomicBool::new(true),
            look_at: CachePadded::new(AtomicU64::new(0)),
            has_halves: AtomicBool::new(false),
            turns: CachePadded::default(),
            spare_turns: CachePadded::default(),
            median: AtomicU64::new(0),
            median_at: AtomicU64::new(0),
            watch,
        }
    }

    /// Replaces the endpoints in use, and settles the account.
    pub fn serve(&self, set: &Arc<EndpointSet>, now: Timestamp) {
        *self.set.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(set);
        self.settle(now);
    }

    /// True if a choice at `now` must look closer.
    #[inline]
    pub fn is_due(&self, now: Timestamp) -> bool {
        now.as_nanos() >= self.look_at.load(Ordering::Acquire)
    }

    /// Settles the account if something has changed. The flag alone would not do: another thread may take it down before
    /// the one that put it up has set the time to 0.
    pub fn settle_if_stirred(&self, now: Timestamp) {
        let has_changed = self.stirred.load(Ordering::Acquire);
        if has_changed || self.look_at.load(Ordering::Acquire) == 0 {
            self.settle(now);
        }
    }

    /// Notes that something has changed, and leaves it to the next choice.
    pub fn stir(&self) {
        self.stirred.store(true, Ordering::SeqCst);
        self.look_at.store(0, Ordering::SeqCst);
    }

    /// Settles the account. While another thread does it, that one does it once more.
    pub fn settle(&self, now: Timestamp) {
        self.stir();
        while self.stirred.load(Ordering::SeqCst) {
            let mut changes = Vec::new();
            {
                let set = match self.set.try_lock() {
                    Ok(set) => set,
                    Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                    Err(TryLockError::WouldBlock) => return,
                };
                self.stirred.store(false, Ordering::SeqCst);
                if let Some(set) = set.upgrade() {
                    let due = account(&set, now, &mut changes);
                    let mut facts = set.members.iter().map(|member| member.endpoint.facts());
                    let has_halves = facts.any(|facts| facts & WOULD_EJECT != 0);
                    self.has_halves.store(has_halves, Ordering::Release);
                    self.look_at.store(due, Ordering::SeqCst);
                    // A thread that stirred meanwhile has had its 0 overwritten; the loop sees its flag.
                }
            }
            changes
                .iter()
                .for_each(|change| self.watch.ejection(change));
        }
    }
}

/// Marks every endpoint of a set, and returns the time of the first probe.
fn account(set: &EndpointSet, now: Timestamp, changes: &mut Vec<EjectionChange>) -> u64 {
    let all = || set.members.iter().map(|member| &*member.endpoint);
    let findings: Vec<Finding> = all()
        .map(|endpoint| match set.ejects {
            true => finding(endpoint, now),
            false => Finding::In,
        })
        .collect();
    let before: Vec<(u32, u64)> = all().map(announced).collect();

    // Who may come back comes back, and who is held is out, whatever the limits.
    let mut fresh = Vec::new();
    for (endpoint, finding) in all().zip(&findings) {
        match finding {
            Finding::In => endpoint.vitals.mark(0),
            Finding::Out { held: true, .. } => {
                since(endpoint, now);
                endpoint.vitals.mark(EJECTED | HELD);
            }
            Finding::Out { since, .. } => match endpoint.facts() & (EJECTED | WOULD_EJECT) {
                0 => fresh.push((*since, endpoint)),
                marks => endpoint.vitals.mark(marks),
            },
        }
    }
    // A set that has shrunk, or a hold, may leave too many ejected: the last ones are in use again.
    let ejected = || {
        all()
            .filter(|endpoint| endpoint.facts() & EJECTED != 0)
            .count()
    };
    while ejected() > set.ejected_most {
        let movable = all().filter(|endpoint| endpoint.facts() & (EJECTED | HELD) == EJECTED);
        let Some(last) = movable.max_by_key(|endpoint| ejected_at(endpoint)) else {
            break;
        };
        last.vitals.mark(WOULD_EJECT);
    }
    fresh.sort_by_key(|(since, _)| *since);
    for (_, endpoint) in fresh {
        let usable = all().filter(|other| {
            other.id() != endpoint.id() && other.facts() & (EJECTED | UNHEALTHY) == 0
        });
        let is_spared = endpoint.facts() & UNHEALTHY == 0 && usable.count() < set.healthy_min;
        let marks = match ejected() < set.ejected_most && !is_spared {
            true => EJECTED,
            false => WOULD_EJECT,
        };
        since(endpoint, now);
        endpoint.vitals.mark(marks);
    }

    let some_usable = all().any(|endpoint| endpoint.facts() & (EJECTED | UNHEALTHY) == 0);
    let mut first = NEVER;
    for ((endpoint, finding), before) in all().zip(&findings).zip(before) {
        let mut due = NEVER;
        if let Finding::Out {
            held,
            until,
            due: at,
            ..
        } = finding
        {
            // A client is no probe for what a health check knows.
            let known_bad = some_usable && endpoint.facts() & UNHEALTHY != 0;
            due = if known_bad { NEVER } else { *at };
            if until.is_some() || *held {
                let until = until.map_or(0, Timestamp::as_nanos);
                endpoint.vitals.until.store(until, Ordering::Release);
            }
        }
        endpoint.vitals.due.store(due, Ordering::Release);
        first = first.min(due);
        if announced(endpoint) != before {
            changes.push(change(endpoint, finding));
        }
    }
    first
}

/// The part of an endpoint's state whose changes are announced.
fn announced(endpoint: &Endpoint) -> (u32, u64) {
    let marks = endpoint.facts() & (EJECTED | WOULD_EJECT);
    let until = endpoint.vitals.until.load(Ordering::Acquire);
    (marks, if marks == 0 { 0 } else { until })
}

fn change(endpoint: &Endpoint, finding: &Finding) -> EjectionChange {
    EjectionChange {
        endpoint: endpoint.name().clone(),
        ejected: endpoint.facts() & EJECTED != 0,
        would_eject: endpoint.facts() & WOULD_EJECT != 0,
        until: match finding {
            Finding::In => None,
            Finding::Out { until, .. } => *until,
        },
    }
}

fn ejected_at(endpoint: &Endpoint) -> u64 {
    endpoint.vitals.ejected_at.load(Ordering::Acquire)
}

/// Notes the begin of an ejection.
fn since(endpoint: &Endpoint, now: Timestamp) {
    if endpoint.facts() & (EJECTED | WOULD_EJECT) == 0 {
        let at = &endpoint.vitals.ejected_at;
        at.store(now.as_nanos(), Ordering::Release);
    }
}

fn finding(endpoint: &Endpoint, now: Timestamp) -> Finding {
    let snapshot = endpoint.breaker().snapshot(now);
    if snapshot.mode != Mode::Enforce {
        return Finding::In;
    }
    let at = |time: Option<Timestamp>| time.map_or(NEVER, Timestamp::as_nanos);
    let out = |held, until, due| Finding::Out {
        held,
        since: snapshot.since,
        until,
        due,
    };
    match (snapshot.hold.as_ref(), snapshot.phase) {
        (Some(hold), _) if hold.kind == HoldKind::Open => out(true, hold.until, at(hold.until)),
        (Some(_), _) | (None, Phase::Closed) => Finding::In,
        (None, Phase::Open) => out(false, snapshot.retry_at, at(snapshot.retry_at)),
        (None, Phase::HalfOpen) => {
            let is_probed = snapshot
                .probes
                .is_some_and(|probes| probes.limit.is_some_and(|limit| probes.in_flight >= limit));
            if is_probed {
                return out(false, None, at(snapshot.retry_by));
            }
            // The end of the cooldown, from which on it waits for a probe; of one that an operator released, now.
            let until = endpoint.vitals.until.load(Ordering::Acquire);
            let waits_since = match until > 0 && until <= now.as_nanos() {
                true => until,
                false => now.as_nanos(),
            };
            out(false, None, waits_since)
        }
    }
}

/// Settles the account after every transition of an endpoint's breaker.
pub(super) struct OnTransition(pub Arc<Ledger>);

impl Listener for OnTransition {
    fn transition(&self, _: &Breaker, transition: &Transition) {
        self.0.settle(transition.at);
    }
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ledger")
            .field("look_at", &self.look_at)
            .finish_non_exhaustive()
    }
}
