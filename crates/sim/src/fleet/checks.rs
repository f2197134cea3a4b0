//! What must hold in every run, judged from outside: by what calls were let through and what the records became, not by
//! what the protocol says of itself.

use std::collections::VecDeque;
use std::time::Duration;

use fusebox_breaker::{Phase, Timestamp, Transition};
use fusebox_fleet::{
    Share,
    protocol::{Act, Command, CountRule, Order, ROUND, Record, State, TRY_AGAIN, Version},
};

use super::MS;
use super::plot::{Plot, nanos};
use super::server::{Done, Kept};
use super::tally::Ruling;
use super::violation::{Invariant, Violation};

/// By how much longer than the longest cooldown a record is believed to be open.
const OPEN_SLACK: Duration = Duration::from_secs(1);

/// How often a node may be woken in a second and do nothing.
const IDLE: u32 = 60;

/// What the checks remember.
pub(super) struct Checks {
    /// By node, then by breaker.
    views: Vec<Vec<View>>,
    breakers: Vec<Breaker>,
    pub violation: Option<Violation>,
    /// The longest that a node took to agree.
    pub convergence: u64,
    bound: u64,
    /// How long a node may take to notice that the store is back: what it has asked must fail before it asks again.
    notices: u64,
    /// By node: since when and how often it was woken for nothing.
    idle: Vec<(u64, u32)>,
    /// Whether there are two stores, or the clocks of stores differ by more than messages travel. Only then can a record
    /// be closed by what was found out while a node still keeps the cooldown that the fleet, or what was the fleet to it,
    /// has told of; and a node that knows of a cooldown keeps it (I1), whatever the others have found out (I9).
    diverges: bool,
    /// How far the nodes' notion of the server's time may be behind.
    blur: u64,
}

/// One breaker at one node, seen from outside.
#[derive(Clone, Debug)]
pub(super) struct View {
    pub phase: Phase,
    /// The end of its own cooldown, on its own clock.
    until: Timestamp,
    /// When it last tripped by its own evidence, and until when that counts.
    tripped: Option<(u64, u64)>,
    /// When it last tripped so, also if that does not count any more.
    last_trip: Option<u64>,
    /// When its own probes last closed it.
    recovered: Option<u64>,
    /// The end of the last cooldown that the fleet told of, and the latest since it was last closed: they differ where
    /// the store's clock was set.
    floor: u64,
    latest_floor: u64,
    alone: bool,
    disagrees_since: Option<u64>,
    /// Until when it may disagree, because it knows of a cooldown that has not ended.
    waits_until: u64,
}

/// One breaker over the whole fleet.
struct Breaker {
    share: Share,
    limit: usize,
    probes: Vec<Probe>,
    /// Who has the lease: the node, its process, and until when on the server's clock; with the store's history.
    lease: Option<Lease>,
    rules: Vec<CountRule>,
    truth: Truth,
    /// When the store last lost this record, or part of it.
    lost_at: Option<u64>,
    /// The longest that the fleet may have it open from when a node hears of it.
    longest: u64,
}

#[derive(Clone, Debug)]
struct Lease {
    node: usize,
    life: u32,
    ends: u64,
    history: u32,
}

#[derive(Clone, Debug)]
struct Probe {
    node: usize,
    life: u32,
    call: u64,
    /// By lease, under this history of the store.
    led: Option<u32>,
    /// When it is given up, unless its process is stopped.
    deadline: u64,
    /// What it was to find out has been decided.
    decided: bool,
}

/// The outcomes of all nodes in the order in which they happened.
#[derive(Default)]
struct Truth {
    last_success: Option<u64>,
    row: VecDeque<u64>,
    all: VecDeque<u64>,
}

/// How the store is to a node, as far as the checks must know.
#[derive(Clone, Copy, Debug)]
pub(super) struct Standing<'a> {
    /// Since when nothing is wrong between the two; none while something is.
    pub sound_since: Option<u64>,
    /// The record at the store that the node talks to.
    pub kept: &'a Kept,
}

impl Standing<'_> {
    fn is_closed(&self) -> bool {
        let record = self.kept.record.as_ref();
        record.is_none_or(|record| record.state == State::Closed)
    }
}

impl Checks {
    pub fn new(plot: &Plot) -> Self {
        let view = View {
            phase: Phase::Closed,
            until: Timestamp::ZERO,
            tripped: None,
            last_trip: None,
            recovered: None,
            floor: 0,
            latest_floor: 0,
            alone: false,
            disagrees_since: None,
            waits_until: 0,
        };
        let breakers = plot.breakers.iter().map(|shared| Breaker {
            share: shared.share,
            limit: shared.probes,
            probes: Vec::new(),
            lease: None,
            rules: match shared.share {
                Share::Counts => shared.count_rules(),
                Share::Verdict | Share::Quorum(_) => Vec::new(),
            },
            truth: Truth::default(),
            lost_at: None,
            longest: nanos(shared.settings.cooldown.longest() + OPEN_SLACK),
        });
        // A read that is lost is noticed and asked for again; then its answer, and what it leads to, travel.
        let bound = nanos(ROUND) + 4 * plot.network.longest + 10 * MS;
        Checks {
            views: vec![vec![view; plot.breakers.len()]; plot.nodes],
            breakers: breakers.collect(),
            idle: vec![(0, 0); plot.nodes],
            violation: None,
            convergence: 0,
            bound,
            notices: bound + plot.network.timeout + nanos(TRY_AGAIN),
            diverges: plot.splits() || plot.largest_skew() > plot.network.longest,
            blur: plot.network.timeout + plot.largest_skew(),
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

    /// A node was woken, and did something or nothing.
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

    /// More than so much has happened within one millisecond.
    pub fn rushed(&mut self, many: u64, now: u64) {
        let what = format!("more than {many} things happened within one millisecond");
        self.violated(Invariant::NoIdleWork, now, what);
    }

    /// A process begins, its breakers being so.
    pub fn begun(&mut self, node: usize, key: usize, phase: Phase, until: Timestamp) {
        self.views[node][key] = View {
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
        };
    }

    /// A process has ended, and all its calls with it.
    pub fn ended(&mut self, node: usize) {
        for breaker in &mut self.breakers {
            breaker.probes.retain(|probe| probe.node != node);
        }
    }

    /// A call was refused.
    pub fn refused(&mut self, node: usize, key: usize, now: u64) {
        if self.views[node][key].phase == Phase::Closed {
            let what = format!("node {node} refused a call though its breaker {key} was closed");
            self.violated(Invariant::NoRequestNeedsTheStore, now, what);
        }
    }

    /// A call was let through that is no probe.
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

    /// A probe begins.
    #[allow(clippy::too_many_arguments, reason = "all that there is to know of it")]
    pub fn probes(
        &mut self,
        node: usize,
        life: u32,
        key: usize,
        call: u64,
        deadline: u64,
        shown: Timestamp,
        standing: Standing<'_>,
        now: u64,
    ) {
        let view = &self.views[node][key];
        if shown < view.until {
            let what = format!("node {node} probed with breaker {key} before its cooldown ended");
            return self.violated(Invariant::NotBeforeTheCooldownEnds, now, what);
        }
        let breaker = &mut self.breakers[key];
        let lease = breaker.lease.as_ref();
        let lease = lease.filter(|lease| lease.node == node && lease.life == life);
        let led = lease.filter(|_| !view.alone).map(|lease| lease.history);
        let unwritten = standing.kept.record.is_none();
        let outvoted = matches!(breaker.share, Share::Quorum(_));
        let known = |since: u64| now > since + self.notices;
        if view.alone && !unwritten && !outvoted && standing.sound_since.is_some_and(known) {
            let what =
                format!("node {node} probed alone with breaker {key} though the store answers");
            return self.violated(Invariant::NoMoreProbesThanAllowed, now, what);
        }
        breaker.probes.push(Probe {
            node,
            life,
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

    /// A call has ended.
    pub fn probe_over(&mut self, node: usize, life: u32, key: usize, call: u64) {
        self.breakers[key]
            .probes
            .retain(|probe| (probe.node, probe.life, probe.call) != (node, life, call));
    }

    /// The outcome of a call was booked by a closed breaker. Returns since when a row of failures that is long enough to
    /// trip the fleet lasts.
    pub fn booked(&mut self, key: usize, failed: bool, now: u64) -> Option<u64> {
        let guard = self.late_by();
        let Breaker { rules, truth, .. } = &mut self.breakers[key];
        if rules.is_empty() {
            return None;
        }
        if !failed {
            truth.last_success = Some(now);
            truth.row.clear();
            return None;
        }
        for list in [&mut truth.row, &mut truth.all] {
            list.push_back(now);
            if list.len() > 64 {
                list.pop_front();
            }
        }
        let met = rules.iter().filter_map(|rule| {
            let list = if rule.row { &truth.row } else { &truth.all };
            let threshold = usize::try_from(rule.threshold).ok()?;
            let first = *list.get(list.len().checked_sub(threshold)?)?;
            let inside = (rule.within * MS * 30 / 32).saturating_sub(guard);
            let in_time = rule.within == 0 || now - first < inside;
            let clear = !rule.row || truth.last_success.is_none_or(|at| at + guard < first);
            (in_time && clear).then_some(first)
        });
        met.max()
    }

    /// How much later than the last failure the fleet may open.
    pub fn late_by(&self) -> u64 {
        self.bound - nanos(ROUND) + 20 * MS
    }

    /// By now the fleet is to have opened, or to have seen a success; all nodes have reached the store all the time.
    pub fn expect_tripped(&mut self, key: usize, since: u64, standing: Standing<'_>, now: u64) {
        let Breaker { truth, lost_at, .. } = &self.breakers[key];
        let success = truth.last_success;
        // What was counted before the store lost it is lost; and a node that has not heard yet that the record was made
        // anew counts for the term before, in which nothing counts any more.
        let began = standing.kept.began;
        let lost = lost_at.is_some_and(|at| since < at.max(began) + self.late_by());
        let all_closed = self
            .views
            .iter()
            .all(|node| node[key].phase == Phase::Closed);
        let interrupted = success.is_some_and(|at| at + self.late_by() > since);
        if !lost
            && all_closed
            && !interrupted
            && standing.is_closed()
            && standing.kept.began < since
        {
            let what = format!(
                "enough failures since {:.3} ms for {:?}, and the fleet did not open breaker {key}",
                since as f64 / MS as f64,
                self.breakers[key].rules
            );
            self.violated(Invariant::CountedExactly, now, what);
        }
    }

    /// A breaker has changed its state, by itself or because it was told to. `own`: where it tripped by its own evidence,
    /// the end of its cooldown.
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
        // A probe that fails by lease is the leader's result, which a lease that has gone takes with it.
        let led = from == Phase::HalfOpen && !view.alone;
        if let Some(until) = own.filter(|_| self.diverges) {
            // The record's cooldown begins as much later as the word of the trip travels.
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

    /// A node tells its breaker, which has not obeyed yet. `moment`: of an opening, when its cooldown ends.
    pub fn ordered(
        &mut self,
        node: usize,
        key: usize,
        order: &Order,
        moment: u64,
        standing: Standing<'_>,
        now: u64,
    ) {
        let (blur, diverges) = (self.blur, self.diverges);
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
                if moment > now + longest + blur {
                    let what = format!(
                        "node {node} was told that breaker {key} is open for {} ms, {} ms are the longest",
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
                        "node {node} closed breaker {key} {} ms before the cooldown that it knew of ended",
                        (floor - now) / MS
                    );
                    return self.violated(Invariant::NotBeforeTheCooldownEnds, now, what);
                }
                if let Some((at, until)) = tripped
                    && now < until
                    && standing.kept.began + blur < at
                {
                    let what = format!(
                        "node {node} tripped breaker {key} at {} ms, and closed it for what the fleet \
                         had decided before, at {} ms",
                        at / MS,
                        standing.kept.began / MS
                    );
                    self.violated(Invariant::NoVerdictLost, now, what);
                }
            }
            Order::Lease { .. } | Order::Follow => view.alone = false,
            Order::Alone { .. } => view.alone = true,
            _ => {}
        }
    }

    /// The store has carried out a command.
    #[allow(clippy::too_many_arguments, reason = "all that there is to know of it")]
    pub fn applied(
        &mut self,
        node: usize,
        life: u32,
        key: usize,
        command: &Command,
        done: &Done,
        after: &Kept,
        history: u32,
        now: u64,
    ) {
        let before = done.before.record.as_ref();
        let state = |record: Option<&Record>| record.map_or(State::Closed, |record| record.state);
        let (from, to) = (state(before), state(after.record.as_ref()));
        let opened = from == State::Closed && to == State::Open;
        match done.ruling {
            Some(Ruling::Enough) if to == State::Closed => {
                let what = format!(
                    "the batches reached the threshold of breaker {key}, and it did not open"
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
        if !done.changed {
            return;
        }
        let until = before.map_or(0, |record| record.until);
        // By a lease that was lost nobody leads.
        let shut = |record: Option<&Record>| {
            let lost = |lease: &fusebox_fleet::protocol::Lease| lease.incarnation.is_empty();
            state(record) == State::Open
                || record.is_some_and(|record| record.lease.as_ref().is_some_and(lost))
        };
        if shut(before) && !shut(after.record.as_ref()) && done.time < until {
            let what = format!(
                "the record of breaker {key} went from {from:?} to {to:?} {} ms before the cooldown ended",
                until - done.time
            );
            return self.violated(Invariant::NotBeforeTheCooldownEnds, now, what);
        }
        match command.act {
            Act::Trip { .. } => self.trip_applied(node, key, &command.from.node, &done.before, now),
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
                        life,
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
                    (lease.node, lease.life) == (node, life)
                        && (done.time <= lease.ends || lease.history != history)
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

    fn trip_applied(&mut self, node: usize, key: usize, name: &str, before: &Kept, now: u64) {
        let View {
            last_trip: Some(tripped),
            recovered,
            ..
        } = self.views[node][key]
        else {
            return;
        };
        // What closed it was the node's own word, which came late: the node tripped after it.
        let by_itself = before
            .record
            .as_ref()
            .is_some_and(|record| record.by == name);
        if by_itself && recovered.is_some_and(|at| at <= tripped) {
            return;
        }
        let version = before.record.as_ref().map(|record| record.version);
        // A record that was made anew tells of nothing that was found out since the state that it was made of.
        let anew = before.record.as_ref().and_then(|record| record.anew);
        let decided =
            version.is_some_and(|version| version != Version::default()) && anew.is_none();
        if decided && tripped + self.blur < before.began {
            let what = format!(
                "node {node} tripped breaker {key} at {} ms, and overruled what the fleet found out at {} ms",
                tripped / MS,
                before.began / MS
            );
            self.violated(Invariant::NoVerdictResurrected, now, what);
        }
    }

    /// The record of a breaker is another: what was not agreed on until now is a matter of this change.
    pub fn changed(&mut self, key: usize, now: u64) {
        for node in &mut self.views {
            if let Some(since) = &mut node[key].disagrees_since {
                *since = now;
            }
        }
    }

    /// The store has lost records.
    pub fn lost(&mut self, now: u64) {
        for key in 0..self.breakers.len() {
            self.breakers[key].lost_at = Some(now);
            self.changed(key, now);
        }
    }

    /// Compares a node with the record.
    pub fn compare(&mut self, node: usize, key: usize, standing: Standing<'_>, now: u64) {
        let breaker = &self.breakers[key];
        let view = &mut self.views[node][key];
        let agrees = standing.is_closed() == (view.phase == Phase::Closed);
        let own_business = standing.is_closed()
            && (matches!(breaker.share, Share::Quorum(_)) || standing.kept.record.is_none());
        let Some(sound) = standing.sound_since.filter(|_| !own_business) else {
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
        // What is known to be open stays so until its cooldown ends, whatever the store says.
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

    /// The end of the run, long after everything is well.
    pub fn end(&mut self, node: usize, key: usize, closed: bool, standing: Standing<'_>, now: u64) {
        if !closed || !standing.is_closed() {
            let record = standing.kept.record.as_ref();
            let what = format!(
                "breaker {key} of node {node} is {}, the record {:?}",
                self.views[node][key].phase,
                record.map(|record| record.state)
            );
            self.violated(Invariant::NothingStuck, now, what);
        }
    }
}
