//! The checks of every run, made from outside: from the calls that were admitted and the records that resulted, not
//! from the protocol's own statements.

use std::collections::VecDeque;
use std::time::Duration;

use fusebox_breaker::{Phase, Timestamp, Transition};
use fusebox_fleet::{
    Share,
    protocol::{Act, Command, CountRule, Order, ROUND, Record, State, TRY_AGAIN, Version},
};

use super::MS;
use super::plan::{RunPlan, nanos};
use super::server::{CommandEffect, StoredRecord};
use super::tally::Ruling;
use super::violation::{Invariant, Violation};

/// The tolerance beyond the longest cooldown for which a record may be open.
const OPEN_TOLERANCE: Duration = Duration::from_secs(1);

/// The most wake-ups of a node in a second that have no effect.
const IDLE: u32 = 60;

pub(super) struct Checks {
    /// The local breakers, by node, then by breaker.
    views: Vec<Vec<BreakerView>>,
    breakers: Vec<FleetBreaker>,
    pub violation: Option<Violation>,
    /// The longest time that a node took to agree.
    pub convergence: u64,
    bound: u64,
    /// The time in which a node must notice that the store is back: its last request must fail before it tries again.
    notices: u64,
    /// By node: the start and the number of consecutive wake-ups without effect.
    idle: Vec<(u64, u32)>,
    /// True if there are two stores, or the clocks of stores differ by more than the delay of messages. Only then can
    /// findings close a record while a node still observes a cooldown learned from the fleet, or from a former half of
    /// it; and a node that knows of a cooldown observes it (I1), whatever the others have found out (I9).
    diverges: bool,
    /// The most by which the nodes' estimates of the server's time may lag.
    clock_error: u64,
}

/// One breaker at one node, seen from outside.
#[derive(Clone, Debug)]
pub(super) struct BreakerView {
    pub phase: Phase,
    /// The end of the breaker's own cooldown, on the node's clock.
    until: Timestamp,
    /// The last trip by own evidence that still counts, and the end of its cooldown.
    tripped: Option<(u64, u64)>,
    /// The last trip by own evidence, even if it no longer counts.
    last_trip: Option<u64>,
    /// The last closing by own probes.
    recovered: Option<u64>,
    /// The end of the last cooldown from the fleet, and the latest such end since the last closing; they differ if the
    /// store's clock was set.
    floor: u64,
    latest_floor: u64,
    alone: bool,
    disagrees_since: Option<u64>,
    /// The time until which it may disagree, because it knows of a cooldown that has not ended.
    waits_until: u64,
}

struct FleetBreaker {
    share: Share,
    limit: usize,
    probes: Vec<Probe>,
    /// The node, process and store history of the present lease, and its end on the server's clock.
    lease: Option<Lease>,
    rules: Vec<CountRule>,
    outcomes: Outcomes,
    /// The last time that the store lost this record, or part of it.
    lost_at: Option<u64>,
    /// The longest time for which the fleet may hold it open, from the moment a node is informed.
    longest: u64,
}

#[derive(Clone, Debug)]
struct Lease {
    node: usize,
    incarnation: u32,
    ends: u64,
    history: u32,
}

#[derive(Clone, Debug)]
struct Probe {
    node: usize,
    incarnation: u32,
    call: u64,
    /// The store history of the lease it was sent under, or `None` without a lease.
    led: Option<u32>,
    /// The end of its time limit, unless its process is suspended.
    deadline: u64,
    /// True if its question has been decided otherwise.
    decided: bool,
}

/// The outcomes of all nodes, in the order in which they happened.
#[derive(Default)]
struct Outcomes {
    last_success: Option<u64>,
    row: VecDeque<u64>,
    all: VecDeque<u64>,
}

/// The store as seen by a node, as far as the checks need it.
#[derive(Clone, Copy, Debug)]
pub(super) struct StoreView<'a> {
    /// The time since which the connection has been sound, or `None`.
    pub sound_since: Option<u64>,
    /// The record at the store to which the node is connected.
    pub stored: &'a StoredRecord,
}

impl StoreView<'_> {
    fn is_closed(&self) -> bool {
        let record = self.stored.record.as_ref();
        record.is_none_or(|record| record.state == State::Closed)
    }
}

impl BreakerView {
    fn new(phase: Phase, until: Timestamp) -> Self {
        BreakerView {
            phase,
            until,
            tripped: None,
            last_trip: None,
            recovered: None,
            floor: 0,
            latest_floor: 0,
            alone: false,
            disagrees_since: None,
            waits_until: 0,
        }
    }
}

impl Checks {
    pub fn new(plan: &RunPlan) -> Self {
        let view = BreakerView::new(Phase::Closed, Timestamp::ZERO);
        let breakers = plan.breakers.iter().map(|shared| FleetBreaker {
            share: shared.share,
            limit: shared.probes,
            probes: Vec::new(),
            lease: None,
            rules: match shared.share {
                Share::Counts => shared.count_rules(),
                Share::Verdict | Share::Quorum(_) => Vec::new(),
            },
            outcomes: Outcomes::default(),
            lost_at: None,
            longest: nanos(shared.settings.cooldown.longest() + OPEN_TOLERANCE),
        });
        // A lost read is noticed and repeated; then its answer, and the resulting messages, travel.
        let bound = nanos(ROUND) + 4 * plan.network.longest + 10 * MS;
        Checks {
            views: vec![vec![view; plan.breakers.len()]; plan.nodes],
            breakers: breakers.collect(),
            idle: vec![(0, 0); plan.nodes],
            violation: None,
            convergence: 0,
            bound,
            notices: bound + plan.network.timeout + nanos(TRY_AGAIN),
            diverges: plan.splits() || plan.largest_skew() > plan.network.longest,
            clock_error: plan.network.timeout + plan.largest_skew(),
        }
    }

    fn violated(&mut self, invariant: Invariant, now: u64, what: String) {
        let at = Duration::from_nanos(now);
        self.violation.get_or_insert(Violation {
            invariant,
            what,
            at,
        });
    }

    /// Records a wake-up of a node; `idle` if it had no effect.
    pub fn woken(&mut self, node: usize, idle: bool, now: u64) {
        let (since, times) = &mut self.idle[node];
        if !idle || now - *since > 1_000 * MS {
            (*since, *times) = (now, 0);
        }
        *times += 1;
        if *times > IDLE {
            let what =
                format!("node {node} was woken {IDLE} times within a second, all for nothing");
            self.violated(Invariant::NoIdleWork, now, what);
        }
    }

    /// Reports that more than `many` events happened within one millisecond.
    pub fn rushed(&mut self, many: u64, now: u64) {
        let what = format!("more than {many} things happened within one millisecond");
        self.violated(Invariant::NoIdleWork, now, what);
    }

    /// Records the start of a process, with the state of one of its breakers.
    pub fn begun(&mut self, node: usize, key: usize, phase: Phase, until: Timestamp) {
        self.views[node][key] = BreakerView::new(phase, until);
    }

    /// Records the end of a process, and with it of all its calls.
    pub fn ended(&mut self, node: usize) {
        for breaker in &mut self.breakers {
            breaker.probes.retain(|probe| probe.node != node);
        }
    }

    /// Checks a rejected call.
    pub fn refused(&mut self, node: usize, key: usize, now: u64) {
        if self.views[node][key].phase == Phase::Closed {
            let what = format!("node {node} rejected a call though its breaker {key} was closed");
            self.violated(Invariant::NoRequestNeedsTheStore, now, what);
        }
    }

    /// Checks an admitted call that is not a probe.
    pub fn passed(&mut self, node: usize, key: usize, now: u64) {
        let view = &self.views[node][key];
        if view.phase != Phase::Closed {
            let what = format!(
                "node {node} let a call through its {} breaker {key}",
                view.phase
            );
            self.violated(Invariant::NotBeforeTheCooldownEnds, now, what);
        }
    }

    #[allow(clippy::too_many_arguments, reason = "all the properties of a probe")]
    pub fn probes(
        &mut self,
        node: usize,
        incarnation: u32,
        key: usize,
        call: u64,
        deadline: u64,
        shown: Timestamp,
        store: StoreView<'_>,
        now: u64,
    ) {
        let view = &self.views[node][key];
        if shown < view.until {
            let what = format!("node {node} probed with breaker {key} before its cooldown ended");
            return self.violated(Invariant::NotBeforeTheCooldownEnds, now, what);
        }
        let breaker = &mut self.breakers[key];
        let lease = breaker.lease.as_ref();
        let lease = lease.filter(|lease| lease.node == node && lease.incarnation == incarnation);
        let led = lease.filter(|_| !view.alone).map(|lease| lease.history);
        let unwritten = store.stored.record.is_none();
        let outvoted = matches!(breaker.share, Share::Quorum(_));
        let known = |since: u64| now > since + self.notices;
        if view.alone && !unwritten && !outvoted && store.sound_since.is_some_and(known) {
            let what =
                format!("node {node} probed alone with breaker {key} though the store answers");
            return self.violated(Invariant::NoMoreProbesThanAllowed, now, what);
        }
        breaker.probes.push(Probe {
            node,
            incarnation,
            call,
            led,
            deadline,
            decided: false,
        });
        let counts = |probe: &&Probe| {
            let same = match led {
                Some(_) => probe.led == led,
                None => probe.led.is_none() && probe.node == node,
            };
            same && !probe.decided && now <= probe.deadline
        };
        let count = breaker.probes.iter().filter(counts).count();
        if count > breaker.limit {
            let who: Vec<usize> = breaker
                .probes
                .iter()
                .filter(counts)
                .map(|p| p.node)
                .collect();
            let what = format!(
                "{count} probes in flight with breaker {key}, {} allowed, by the nodes {who:?}",
                breaker.limit
            );
            self.violated(Invariant::NoMoreProbesThanAllowed, now, what);
        }
    }

    /// Records the end of a probe.
    pub fn probe_over(&mut self, node: usize, incarnation: u32, key: usize, call: u64) {
        self.breakers[key].probes.retain(|probe| {
            (probe.node, probe.incarnation, probe.call) != (node, incarnation, call)
        });
    }

    /// Records an outcome that a closed breaker has counted. Returns the start of the consecutive failures, if they are
    /// enough to trip the fleet.
    pub fn booked(&mut self, key: usize, failed: bool, now: u64) -> Option<u64> {
        let guard = self.late_by();
        let FleetBreaker {
            rules, outcomes, ..
        } = &mut self.breakers[key];
        if rules.is_empty() {
            return None;
        }
        if !failed {
            outcomes.last_success = Some(now);
            outcomes.row.clear();
            return None;
        }
        for list in [&mut outcomes.row, &mut outcomes.all] {
            list.push_back(now);
            if list.len() > 64 {
                list.pop_front();
            }
        }
        let met = rules.iter().filter_map(|rule| {
            let list = if rule.row {
                &outcomes.row
            } else {
                &outcomes.all
            };
            let threshold = usize::try_from(rule.threshold).ok()?;
            let first = *list.get(list.len().checked_sub(threshold)?)?;
            let inside = (rule.within * MS * 30 / 32).saturating_sub(guard);
            let in_time = rule.within == 0 || now - first < inside;
            let clear = !rule.row || outcomes.last_success.is_none_or(|at| at + guard < first);
            (in_time && clear).then_some(first)
        });
        met.max()
    }

    /// The longest time from the last failure to the fleet's opening.
    pub fn late_by(&self) -> u64 {
        self.bound - nanos(ROUND) + 20 * MS
    }

    /// Checks that the fleet has opened or seen a success, while all nodes could reach the store.
    pub fn expect_tripped(&mut self, key: usize, since: u64, store: StoreView<'_>, now: u64) {
        let FleetBreaker {
            outcomes, lost_at, ..
        } = &self.breakers[key];
        let success = outcomes.last_success;
        // Counts from before a loss are lost; and a node that does not know of the restored record yet counts for the
        // previous term, in which nothing counts any more.
        let began = store.stored.began;
        let lost = lost_at.is_some_and(|at| since < at.max(began) + self.late_by());
        let all_closed = self
            .views
            .iter()
            .all(|node| node[key].phase == Phase::Closed);
        let interrupted = success.is_some_and(|at| at + self.late_by() > since);
        if !lost && all_closed && !interrupted && store.is_closed() && store.stored.began < since {
            let what = format!(
                "enough failures since {:.3} ms for {:?}, and the fleet did not open breaker {key}",
                since as f64 / MS as f64,
                self.breakers[key].rules
            );
            self.violated(Invariant::CountedExactly, now, what);
        }
    }

    /// Records a transition of a breaker. `own` is the end of its cooldown if it tripped by its own evidence.
    pub fn moved(
        &mut self,
        node: usize,
        key: usize,
        transition: &Transition,
        by_itself: bool,
        own: Option<u64>,
        now: u64,
    ) {
        let (from, to) = (transition.from, transition.to);
        let travels = self.late_by();
        let view = &mut self.views[node][key];
        view.phase = to;
        if to == Phase::Open {
            view.until = transition.retry_at.unwrap_or(view.until);
        }
        if to == Phase::Closed {
            view.tripped = None;
            view.latest_floor = 0;
        }
        // A probe that fails under a lease is the leader's result, which is lost with the lease.
        let led = from == Phase::HalfOpen && !view.alone;
        if let Some(until) = own.filter(|_| self.diverges) {
            // The record's cooldown begins later by the travel time of the trip.
            view.latest_floor = view.latest_floor.max(until + travels);
        }
        if let Some(until) = own.filter(|_| !led) {
            view.tripped = Some((now, until));
            view.last_trip = Some(now);
        }
        if by_itself && to == Phase::Closed {
            view.recovered = Some(now);
        }
        if by_itself && view.disagrees_since.is_some() {
            view.disagrees_since = Some(now);
        }
        if from == Phase::HalfOpen && to != Phase::HalfOpen {
            for probe in &mut self.breakers[key].probes {
                probe.decided |= probe.node == node;
            }
        }
    }

    /// Checks an order before its breaker carries it out. For an opening, `moment` is the end of the cooldown.
    pub fn ordered(
        &mut self,
        node: usize,
        key: usize,
        order: &Order,
        moment: u64,
        store: StoreView<'_>,
        now: u64,
    ) {
        let (clock_error, diverges) = (self.clock_error, self.diverges);
        let longest = self.breakers[key].longest;
        let view = &mut self.views[node][key];
        match order {
            Order::Open { .. } => {
                view.alone = false;
                view.floor = moment;
                if diverges {
                    view.latest_floor = view.latest_floor.max(moment);
                }
                view.tripped = None;
                if moment > now + longest + clock_error {
                    let what = format!(
                        "node {node} was ordered to open breaker {key} for {} ms, {} ms are the longest",
                        (moment - now) / MS,
                        longest / MS
                    );
                    self.violated(Invariant::NothingStuck, now, what);
                }
            }
            Order::Close { .. } => {
                view.alone = false;
                let (floor, tripped) = (view.floor, view.tripped);
                if now + 1_000 < floor {
                    let what = format!(
                        "node {node} closed breaker {key} {} ms before the end of a cooldown that it knew",
                        (floor - now) / MS
                    );
                    return self.violated(Invariant::NotBeforeTheCooldownEnds, now, what);
                }
                if let Some((at, until)) = tripped
                    && now < until
                    && store.stored.began + clock_error < at
                {
                    let what = format!(
                        "node {node} tripped breaker {key} at {} ms, but closed it because of an earlier decision of the \
                         fleet, at {} ms",
                        at / MS,
                        store.stored.began / MS
                    );
                    self.violated(Invariant::NoVerdictLost, now, what);
                }
            }
            Order::Lease { .. } | Order::Follow => view.alone = false,
            Order::Alone { .. } => view.alone = true,
            _ => {}
        }
    }

    /// Checks a command that the store has carried out.
    #[allow(clippy::too_many_arguments, reason = "all the properties of a command")]
    pub fn applied(
        &mut self,
        node: usize,
        incarnation: u32,
        key: usize,
        command: &Command,
        effect: &CommandEffect,
        after: &StoredRecord,
        history: u32,
        now: u64,
    ) {
        let before = effect.before.record.as_ref();
        let state = |record: Option<&Record>| record.map_or(State::Closed, |record| record.state);
        let (from, to) = (state(before), state(after.record.as_ref()));
        let opened = from == State::Closed && to == State::Open;
        match effect.ruling {
            Some(Ruling::Enough) if to == State::Closed => {
                let what = format!(
                    "the batches reached the threshold of breaker {key}, but it did not open"
                );
                self.violated(Invariant::CountedExactly, now, what);
            }
            Some(Ruling::TooFew) | None if opened && matches!(command.act, Act::Batch { .. }) => {
                let what =
                    format!("breaker {key} opened by batches that do not reach its threshold");
                self.violated(Invariant::CountedExactly, now, what);
            }
            _ => {}
        }
        if !effect.changed {
            return;
        }
        let until = before.map_or(0, |record| record.until);
        // No node leads by a lease of a lost record.
        let shut = |record: Option<&Record>| {
            let lost = |lease: &fusebox_fleet::protocol::Lease| lease.incarnation.is_empty();
            state(record) == State::Open
                || record.is_some_and(|record| record.lease.as_ref().is_some_and(lost))
        };
        if shut(before) && !shut(after.record.as_ref()) && effect.time < until {
            let what = format!(
                "the record of breaker {key} went from {from:?} to {to:?} {} ms before the cooldown ended",
                until - effect.time
            );
            return self.violated(Invariant::NotBeforeTheCooldownEnds, now, what);
        }
        match command.act {
            Act::Trip { .. } => {
                self.trip_applied(node, key, &command.from.node, &effect.before, now)
            }
            Act::Lease { .. } => {
                let record = after.record.as_ref();
                let name = &command.from;
                let lease = record
                    .and_then(|record| record.lease.as_ref())
                    .filter(|lease| {
                        lease.node == name.node && lease.incarnation == name.incarnation
                    });
                if let Some(lease) = lease {
                    self.breakers[key].lease = Some(Lease {
                        node,
                        incarnation,
                        ends: lease.ends,
                        history,
                    });
                }
            }
            Act::Close { .. } | Act::Reopen { .. } => {
                let breaker = &mut self.breakers[key];
                breaker
                    .probes
                    .iter_mut()
                    .for_each(|probe| probe.decided = true);
                let leads = breaker.lease.as_ref().is_some_and(|lease| {
                    (lease.node, lease.incarnation) == (node, incarnation)
                        && (effect.time <= lease.ends || lease.history != history)
                });
                if !leads
                    && breaker
                        .lease
                        .as_ref()
                        .is_none_or(|lease| lease.history == history)
                {
                    let what =
                        format!("node {node} decided breaker {key} by probes without a lease");
                    self.violated(Invariant::NoVerdictResurrected, now, what);
                }
            }
            _ => {}
        }
    }

    fn trip_applied(
        &mut self,
        node: usize,
        key: usize,
        name: &str,
        before: &StoredRecord,
        now: u64,
    ) {
        let BreakerView {
            last_trip: Some(tripped),
            recovered,
            ..
        } = self.views[node][key]
        else {
            return;
        };
        // The node's own message closed the record late; the node tripped after that.
        let by_itself = before
            .record
            .as_ref()
            .is_some_and(|record| record.by == name);
        if by_itself && recovered.is_some_and(|at| at <= tripped) {
            return;
        }
        let version = before.record.as_ref().map(|record| record.version);
        // A restored record includes no findings later than the version it was restored from.
        let anew = before.record.as_ref().and_then(|record| record.anew);
        let decided =
            version.is_some_and(|version| version != Version::default()) && anew.is_none();
        if decided && tripped + self.clock_error < before.began {
            let what = format!(
                "node {node} tripped breaker {key} at {} ms, and overruled a later finding of the fleet, at {} ms",
                tripped / MS,
                before.began / MS
            );
            self.violated(Invariant::NoVerdictResurrected, now, what);
        }
    }

    /// Records a change of a breaker's record, from which the time to agree is measured.
    pub fn changed(&mut self, key: usize, now: u64) {
        for node in &mut self.views {
            if let Some(since) = &mut node[key].disagrees_since {
                *since = now;
            }
        }
    }

    /// Records a loss of records by the store.
    pub fn lost(&mut self, now: u64) {
        for key in 0..self.breakers.len() {
            self.breakers[key].lost_at = Some(now);
            self.changed(key, now);
        }
    }

    /// Compares a node with the record.
    pub fn compare(&mut self, node: usize, key: usize, store: StoreView<'_>, now: u64) {
        let breaker = &self.breakers[key];
        let view = &mut self.views[node][key];
        let agrees = store.is_closed() == (view.phase == Phase::Closed);
        let own_business = store.is_closed()
            && (matches!(breaker.share, Share::Quorum(_)) || store.stored.record.is_none());
        let Some(sound) = store.sound_since.filter(|_| !own_business) else {
            view.disagrees_since = None;
            return;
        };
        if !agrees {
            view.disagrees_since.get_or_insert(now);
            view.waits_until = view.latest_floor;
            return;
        }
        let Some(since) = view.disagrees_since.take() else {
            return;
        };
        let floor = std::mem::replace(&mut view.waits_until, 0);
        self.agreed(node, key, since.max(sound), floor, now);
    }

    fn agreed(&mut self, node: usize, key: usize, since: u64, floor: u64, now: u64) {
        // A breaker known to be open stays open until its cooldown ends, whatever the store says.
        let since = since.max(floor.min(now));
        let took = now.saturating_sub(since);
        self.convergence = self.convergence.max(took);
        if took > self.bound {
            let what = format!(
                "node {node} took {} ms to agree on breaker {key}, {} ms are allowed",
                took / MS,
                self.bound / MS
            );
            self.violated(Invariant::AgreedWithinARound, now, what);
        }
    }

    /// Checks the end of the run, long after the last fault.
    pub fn end(&mut self, node: usize, key: usize, closed: bool, store: StoreView<'_>, now: u64) {
        if !closed || !store.is_closed() {
            let record = store.stored.record.as_ref();
            let what = format!(
                "breaker {key} of node {node} is {}, the record {:?}",
                self.views[node][key].phase,
                record.map(|record| record.state)
            );
            self.violated(Invariant::NothingStuck, now, what);
        }
    }
}
