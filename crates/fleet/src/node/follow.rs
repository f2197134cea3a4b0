//! Brings the local breaker in line with the record.

use std::time::Duration;

use fusebox_breaker::Timestamp;

use super::io::{Key, Local, Order};
use super::member::OwnLease;
use super::reading::Source;
use super::{BATCH_EVERY, LEASE_MARGIN, Node, PROBE_MARGIN, TRY_AGAIN};
use crate::command::Act;
use crate::record::{Record, State, Version};

impl Node {
    /// Processes the answer to the command under way.
    pub(super) fn applied(
        &mut self,
        key: &Key,
        id: u64,
        record: Option<Vec<u8>>,
        server: u64,
        now: Timestamp,
    ) {
        self.observe(key, record.as_deref(), Source::Read { server }, now);
        let (name, incarnation) = (&self.options.name, &self.options.incarnation);
        let Some(member) = self.members.get_mut(key) else {
            return;
        };
        let Some(flight) = member.in_flight.take_if(|flight| flight.id == id) else {
            return;
        };
        let finds_it_lost = member.lost.is_some() && matches!(flight.act, Act::Batch { .. });
        if member.seen_revision() == flight.seen && !finds_it_lost {
            // The command changed nothing and revealed nothing new, so repeating it at once would never end. (Its
            // change may have been pushed before this answer came.)
            member.send_at = now + TRY_AGAIN;
        }
        let seen = member.seen.clone().unwrap_or_else(Record::fresh);
        match flight.act {
            Act::Lease { span, .. } => {
                let mine = seen
                    .lease
                    .as_ref()
                    .filter(|lease| lease.node == *name && lease.incarnation == *incarnation);
                let granted = mine.is_some_and(|lease| lease.ends == server + span);
                if !granted {
                    if let (State::HalfOpen, Some(lease)) = (seen.state, &seen.lease) {
                        member.ask_at = self.server_time.when(lease.ends);
                        if mine.is_some() {
                            // Another node has waited long enough for the lease, and comes first.
                            member.ask_at = member.ask_at + PROBE_MARGIN;
                        }
                    }
                    if let Some(lease_here) = &mut member.lease {
                        lease_here.last = true;
                    }
                    let denied = member.is_denied(seen.state, flight.about, now);
                    self.counters.outrun += 1;
                    if denied && !member.alone {
                        self.go_alone(key);
                    }
                    return;
                }
                member.denied = None;
                // Counted from before the request, so that the lease ends here before it ends at the server.
                let length = member.sharing.probe_timeout + LEASE_MARGIN;
                let ends = flight.sent + length;
                let probes_end = flight.sent + (length - PROBE_MARGIN);
                let lease_here = OwnLease {
                    version: seen.version,
                    start_by: flight.sent + (LEASE_MARGIN - PROBE_MARGIN),
                    ends,
                    used: false,
                    last: false,
                };
                let goes_on = member.lease.filter(|old| old.version == seen.version);
                member.lease = Some(OwnLease {
                    used: goes_on.is_some_and(|old| old.used),
                    ..lease_here
                });
                member.demand = None;
                member.alone = false;
                member.applied = Some(seen.version);
                if goes_on.is_none() {
                    member.local = Local::Open { until: now };
                }
                let order = Order::Lease {
                    start_by: lease_here.start_by,
                    ends: probes_end,
                    renewed: goes_on.is_some(),
                };
                self.order(key, order);
            }
            // The batch is sent again once the lost record has been restored.
            Act::Batch { .. } if member.lost.is_some() => {}
            Act::Batch { .. } => member.tally.sent = None,
            Act::Close { .. } | Act::Reopen { .. } => {
                if seen.version == flight.about {
                    // The lease had ended, so the fleet decides without these probes.
                    member.applied = None;
                    self.counters.outrun += 1;
                }
                member.result = None;
            }
            Act::Trip { .. } => {
                if seen.state == State::Closed && !seen.votes.contains_key(name) {
                    self.counters.outrun += 1;
                }
            }
            Act::Hold { .. } | Act::Release { .. } | Act::Reset { .. } => {
                member.words.pop_front();
            }
            Act::Assert { .. } => {}
        }
    }

    /// Applies the record to the local breaker, if it is news.
    pub(super) fn follow(&mut self, key: &Key, now: Timestamp) {
        if self.health.is_away() {
            return;
        }
        let Some(member) = self.members.get(key) else {
            return;
        };
        if !member.known || member.held || member.lost.is_some() || member.is_poisoned(now) {
            return;
        }
        let server = self.server_now(member.seen.as_ref(), now);
        let mut record = member.seen.clone().unwrap_or_else(Record::fresh);
        record.expire(server);
        if record.hold != member.fleet_hold {
            self.follow_hold(key, &record);
        }
        if record.hold.is_some() {
            return;
        }
        self.watch_rows(key, server, now);
        let Some(member) = self.members.get(key) else {
            return;
        };
        if member.applied == Some(record.version) || member.ignores(record.version, now) {
            return;
        }
        match record.state {
            State::Closed => self.follow_closed(key, &record, now),
            State::Open => self.follow_open(key, &record, now),
            State::HalfOpen => self.follow_half_open(key, &record, now),
        }
    }

    fn follow_hold(&mut self, key: &Key, record: &Record) {
        let until = |until: Option<u64>| until.map(|until| self.server_time.when(until));
        let order = match &record.hold {
            Some(hold) => Order::Hold {
                open: hold.open,
                until: until(hold.until),
                by: hold.by.clone(),
                why: hold.why.clone(),
            },
            None => Order::Release,
        };
        let Some(member) = self.members.get_mut(key) else {
            return;
        };
        let was_open = member.fleet_hold.take().map(|hold| hold.open);
        member.fleet_hold = record.hold.clone();
        member.lease = None;
        member.applied = None;
        if record.hold.is_none() {
            // The state in which a breaker continues after a hold.
            member.local = match was_open {
                Some(true) => Local::Probing,
                _ => Local::Closed,
            };
        }
        self.order(key, order);
    }

    fn follow_closed(&mut self, key: &Key, record: &Record, now: Timestamp) {
        let Some(member) = self.members.get_mut(key) else {
            return;
        };
        member.lease = None;
        if member.local == Local::Closed {
            member.applied = Some(record.version);
            if std::mem::take(&mut member.alone) {
                self.order(key, Order::Follow);
            }
            return;
        }
        if self.has_fresh_evidence(key, record, now) {
            let Some(member) = self.members.get_mut(key) else {
                return;
            };
            if member.sharing.quorum > 1 && !member.alone {
                // Outvoted so far: the breaker is open at this node only, and probes on its own.
                member.alone = true;
                member.applied = Some(record.version);
                let extra = Duration::ZERO;
                self.order(key, Order::Alone { extra });
            }
            return;
        }
        let Some(member) = self.members.get_mut(key) else {
            return;
        };
        if record.version == Version::default() {
            // A record that was never written says nothing, so the breaker decides locally.
            member.applied = Some(record.version);
            if !std::mem::replace(&mut member.alone, true) {
                let extra = Duration::ZERO;
                self.order(key, Order::Alone { extra });
            }
            return;
        }
        if now < member.floor && !record.by_operator {
            return;
        }
        member.evidence = None;
        member.local = Local::Closed;
        member.applied = Some(record.version);
        member.alone = false;
        member.demand = None;
        self.counters.adopted += 1;
        let (by, why) = (record.by.clone(), record.why.clone());
        self.order(key, Order::Close { by, why });
    }

    /// True if the local breaker is open for a reason that the record does not include.
    ///
    /// A trip counts for the version of the record in which it happened. For a later version it counts only if it
    /// happened after that version began: a node that was suspended or cut off must not overrule what the fleet has
    /// found out since.
    fn has_fresh_evidence(&mut self, key: &Key, record: &Record, now: Timestamp) -> bool {
        let server = self.server_time.at(now);
        let Some(member) = self.members.get_mut(key) else {
            return false;
        };
        let (by_us, number) = (record.by == self.options.name, record.version.number());
        let fresh = member.evidence.as_ref().is_some_and(|evidence| {
            let same = evidence.about == Some(record.version);
            // Measured by the clock of the present server, also if that was unknown at the time.
            let age = evidence.at.map(|at| now.saturating_since(at).as_millis());
            let later = match (age, server) {
                (None, _) => record.version.since == 0,
                (Some(_), None) => true,
                (Some(age), Some(server)) => {
                    u128::from(server) >= u128::from(record.version.since) + age
                }
            };
            // Our own probes closed the record, so the trip came after that, however late the closing reached the
            // store.
            let next = |about: Version| number == (about.epoch, about.term + 1);
            let after = by_us && evidence.about.is_some_and(next);
            // The version of the trip was lost or damaged, and restored; nothing has happened since.
            let about = evidence.about.unwrap_or_default().number();
            let anew = evidence.at.is_some()
                && record
                    .anew
                    .is_some_and(|anew| about >= (anew.epoch, anew.term));
            now < evidence.until && (same || later || after || anew)
        });
        if !fresh {
            member.evidence = None;
        }
        fresh
    }

    fn follow_open(&mut self, key: &Key, record: &Record, now: Timestamp) {
        let until = self.server_time.when(record.until);
        let Some(member) = self.members.get_mut(key) else {
            return;
        };
        member.floor = until;
        self.open_by_fleet(key, record, until, now);
    }

    fn follow_half_open(&mut self, key: &Key, record: &Record, now: Timestamp) {
        let until = self.server_time.when(record.until);
        let Some(member) = self.members.get_mut(key) else {
            return;
        };
        // The cooldown of this record counts, by the server's present clock.
        member.floor = until;
        if member
            .lease
            .is_some_and(|lease| lease.version == record.version)
        {
            member.applied = Some(record.version);
            return;
        }
        if let Some(result) = &member.result
            && result.about == record.version
        {
            // The probes have decided, and the result is about to be sent.
            return;
        }
        if let Some(lease) = &record.lease {
            let (name, incarnation) = (&self.options.name, &self.options.incarnation);
            let mine = lease.node == *name && lease.incarnation == *incarnation;
            member.ask_at = if mine {
                now
            } else {
                self.server_time.when(lease.ends)
            };
        }
        self.open_by_fleet(key, record, until, now);
    }

    fn open_by_fleet(&mut self, key: &Key, record: &Record, until: Timestamp, now: Timestamp) {
        let Some(member) = self.members.get_mut(key) else {
            return;
        };
        // The node's own trip, as recorded: only the decision about its end passes to the fleet.
        let own = record.state == State::Open
            && record.by == self.options.name
            && matches!(member.local, Local::Open { until: mine } if mine <= until && now < mine);
        member.lease = None;
        member.evidence = None;
        member.result = None;
        member.applied = Some(record.version);
        if own {
            if std::mem::take(&mut member.alone) {
                self.order(key, Order::Follow);
            }
            return;
        }
        member.alone = false;
        member.local = Local::Open { until };
        self.counters.adopted += 1;
        let order = Order::Open {
            until,
            attempts: record.attempts,
            by: record.by.clone(),
            why: record.why.clone(),
        };
        self.order(key, order);
    }

    /// Starts or stops reporting every outcome; while the fleet counts consecutive failures, every success matters.
    fn watch_rows(&mut self, key: &Key, server: u64, now: Timestamp) {
        let Some(member) = self.members.get(key) else {
            return;
        };
        if !member.sharing.counts() {
            return;
        }
        let counting = member.sharing.counts_rows() && member.row(server) > 0;
        let closed = member.local == Local::Closed;
        let tally = &member.tally;
        let idle = tally.waiting.is_none() && tally.sent.is_none() && !tally.awaited;
        if closed && counting && !member.tally.watched {
            self.watch(key, true, now);
        } else if member.tally.watched && (!closed || (!counting && idle)) {
            if closed && member.sharing.counts_rows() {
                self.order(key, Order::EndRow);
            }
            self.watch(key, false, now);
        }
    }

    pub(super) fn watch(&mut self, key: &Key, watched: bool, now: Timestamp) {
        let Some(member) = self.members.get_mut(key) else {
            return;
        };
        if !member.sharing.counts() {
            return;
        }
        member.tally.watched = watched;
        member.tally.awaited = true;
        member.tally.collect_at = watched.then(|| now + BATCH_EVERY);
        if member.local != Local::Closed {
            member.tally.waiting = None;
        }
        self.order(key, Order::Watch(watched));
    }
}
