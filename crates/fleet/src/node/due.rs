//! The next command for a breaker: the one that brings the fleet closest to the local knowledge.

use std::time::Duration;

use fusebox_breaker::Timestamp;

use super::io::{Batch, Key, Local, Order, Output, Word};
use super::member::{InFlight, Member, OwnLease};
use super::{BATCH_EVERY, Node, QUEUED_MAX};
use crate::command::{Act, Command, Led, SPAN_MAX, WHY_MAX};
use crate::record::{Record, Stamp, State, Version};

/// The time for which a rejected call counts as demand for a probe.
const DEMAND_LASTS: Duration = Duration::from_secs(2);

/// The remaining time to begin probes at which a lease is renewed.
const RENEW_BEFORE: Duration = Duration::from_secs(1);

/// Converts a span for a command: milliseconds, rounded up, at least one.
pub(super) fn span(time: Duration) -> u64 {
    let ms = u64::try_from(time.as_nanos().div_ceil(1_000_000));
    ms.unwrap_or(SPAN_MAX).clamp(1, SPAN_MAX)
}

pub(super) fn truncated(text: &str) -> String {
    text.chars().take(WHY_MAX).collect()
}

impl Node {
    /// Does everything that is due for a breaker, and returns the time at which something will be due next.
    pub(super) fn act_if_due(&mut self, key: &Key, now: Timestamp) -> Option<Timestamp> {
        self.drop_expired(key, now);
        self.collect_if_due(key, now);
        let ready = self.members.get(key).is_some_and(|member| {
            let free = member.in_flight.is_none() && now >= member.send_at;
            member.known && free && !self.health.is_away()
        });
        if ready && let Some((about, act)) = self.choose(key, now) {
            self.send(key, about, act, now);
        }
        self.due_at(key, now)
    }

    fn drop_expired(&mut self, key: &Key, now: Timestamp) {
        let Some(member) = self.members.get_mut(key) else {
            return;
        };
        let old = |since: Timestamp| now.saturating_since(since) >= QUEUED_MAX;
        let (mut dropped, mut words) = (0, Vec::new());
        if member.in_flight.is_none() {
            if member.result.take_if(|result| old(result.at)).is_some() {
                // The fleet decides without these probes.
                member.applied = None;
                dropped += 1;
            }
            dropped += u64::from(member.tally.sent.take_if(|(_, _, at)| old(*at)).is_some());
            while member.words.front().is_some_and(|(_, _, at)| old(*at)) {
                words.extend(member.words.pop_front().map(|(_, word, _)| word));
            }
        }
        dropped += u64::from(member.tally.waiting.take_if(|(_, at)| old(*at)).is_some());
        if member
            .evidence
            .take_if(|evidence| now >= evidence.until)
            .is_some()
            && !member.alone
        {
            // The trip was never shared, and its cooldown is over.
            member.applied = None;
        }
        self.counters.dropped += dropped;
        words.into_iter().for_each(|word| self.drop_word(key, word));
    }

    fn collect_if_due(&mut self, key: &Key, now: Timestamp) {
        let away = self.health.is_away();
        let Some(member) = self.members.get_mut(key) else {
            return;
        };
        if member.tally.collect_at.is_none_or(|at| now < at) {
            return;
        }
        if away {
            return self.watch(key, false, now);
        }
        member.tally.collect_at = Some(now + BATCH_EVERY);
        member.tally.awaited = true;
        self.order(key, Order::Collect);
    }

    /// The most important command, with the version of the record that it is about.
    fn choose(&mut self, key: &Key, now: Timestamp) -> Option<(Version, Act)> {
        let member = self.members.get(key)?;
        let version = member.version();
        let server = self.server_now(member.seen.as_ref(), now);
        let mut record = member.seen.clone().unwrap_or_else(Record::fresh);
        record.expire(server);
        if let Some(at) = member.lost {
            let pressing = member.evidence.is_some()
                || !member.words.is_empty()
                || member.tally.has_failures();
            return (now >= at || pressing).then(|| (version, assertion(member, &record, now)));
        }
        if let Some((_, word, _)) = member.words.front() {
            return Some((version, operator_act(word)));
        }
        if let Some(result) = &member.result {
            return Some((result.about, result.act.clone()));
        }
        // While a record is not followed no trip is sent either, since the trip may be older than the record.
        if record.hold.is_some() || member.held || member.is_poisoned(now) {
            return None;
        }
        match record.state {
            State::Closed => {
                let trip = self.trip(member, &record, now);
                trip.or_else(|| self.batch(key, server))
            }
            State::Open | State::HalfOpen => self.lease_request(key, &record, now),
        }
        .map(|act| (version, act))
    }

    fn trip(&self, member: &Member, record: &Record, now: Timestamp) -> Option<Act> {
        let evidence = member.evidence.as_ref()?;
        if record.votes.contains_key(&self.options.name) {
            return None;
        }
        let left = evidence.until.saturating_since(now);
        Some(Act::Trip {
            // A breaker that decided locally stays open for longer, and a forced trip for as long as the operator
            // chose.
            cooldown: span(left.min(member.sharing.longest)),
            attempts: evidence.attempts,
            why: evidence.why.clone(),
            quorum: member.sharing.quorum,
        })
    }

    fn batch(&mut self, key: &Key, server: u64) -> Option<Act> {
        let sequence = self.sequence();
        let share = self.random.f64();
        let member = self.members.get_mut(key)?;
        if member.local != Local::Closed {
            member.tally.waiting = None;
            member.tally.sent = None;
            return None;
        }
        if member.tally.sent.is_none() {
            let counts_rows = member.row(server) > 0;
            let (batch, at) = member.tally.waiting.take()?;
            if batch.failures == 0 && !counts_rows {
                // The batch has only successes, and they reset no count.
                return None;
            }
            member.tally.sent = Some((sequence, batch, at));
        }
        let Batch {
            had_success,
            row,
            failures,
        } = member.tally.sent.as_ref().map(|(_, batch, _)| *batch)?;
        let sharing = &member.sharing;
        let cooldown = sharing.cooldown.mul_f64(1.0 + sharing.jitter * share);
        Some(Act::Batch {
            had_success,
            row,
            failures,
            rules: sharing.rules.clone(),
            cooldown: span(cooldown),
        })
    }

    fn lease_request(&mut self, key: &Key, record: &Record, now: Timestamp) -> Option<Act> {
        let due = self.lease_due_at(self.members.get(key)?, record, now)?;
        let member = self.members.get_mut(key)?;
        if now < due {
            return None;
        }
        if member.lease.is_none() && record.state == State::HalfOpen {
            member.wanted = Some(record.version);
        }
        Some(Act::Lease {
            span: span(member.sharing.lease()),
            used: member.lease.is_some_and(|lease| lease.used),
        })
    }

    /// The time to ask for a lease or for its renewal, or `None` if this node does not want one.
    fn lease_due_at(&self, member: &Member, record: &Record, now: Timestamp) -> Option<Timestamp> {
        if member.alone || member.local == Local::Closed || member.result.is_some() {
            return None;
        }
        let renewable = |lease: &OwnLease| lease.version == record.version && !lease.last;
        if let Some(lease) = member.lease.filter(renewable) {
            let late = lease
                .start_by
                .saturating_since(Timestamp::ZERO + RENEW_BEFORE);
            return Some(Timestamp::ZERO + late);
        }
        let demand = member.demand?;
        if now.saturating_since(demand) >= DEMAND_LASTS {
            return None;
        }
        match record.state {
            State::Closed => None,
            State::Open => Some(self.server_time.when(record.until).max(member.ask_at)),
            // Once to record the wish for the lease, and again when the lease may be free.
            State::HalfOpen if member.wanted != Some(record.version) => Some(now),
            State::HalfOpen => Some(self.server_time.when(record.until).max(member.ask_at)),
        }
    }

    fn send(&mut self, key: &Key, about: Version, act: Act, now: Timestamp) {
        let id = self.id(now);
        let sequence = self.sequence();
        let Some(member) = self.members.get_mut(key) else {
            return;
        };
        let sequence = match &act {
            Act::Batch { .. } => member.tally.sent.as_ref().map(|(sequence, ..)| *sequence),
            act if act.is_word() => member.words.front().map(|(sequence, ..)| *sequence),
            _ => None,
        }
        .unwrap_or(sequence);
        *match &act {
            Act::Trip { .. } => &mut self.counters.trips,
            Act::Batch { .. } => &mut self.counters.batches,
            Act::Lease { .. } => &mut self.counters.leases,
            Act::Close { .. } | Act::Reopen { .. } => &mut self.counters.results,
            Act::Assert { .. } => &mut self.counters.asserts,
            Act::Hold { .. } | Act::Release { .. } | Act::Reset { .. } => &mut self.counters.words,
        } += 1;
        member.in_flight = Some(InFlight {
            id,
            act: act.clone(),
            about,
            sent: now,
            seen: member.seen_revision(),
        });
        self.send_command(key, id, sequence, (about, act));
    }

    fn send_command(&mut self, key: &Key, id: u64, sequence: u64, (about, act): (Version, Act)) {
        let from = Stamp {
            node: self.options.name.clone(),
            incarnation: self.options.incarnation.clone(),
            sequence,
        };
        let member = self.members.get(key);
        let poison = member.and_then(|member| member.poison.as_ref());
        self.counters.commands += 1;
        self.pending.insert(id, key.clone());
        self.outputs.push_back(Output::Apply {
            id,
            key: key.clone(),
            command: Command { about, from, act },
            poison: poison.and_then(|poison| poison.bytes.clone()),
        });
    }

    /// Sends an assertion of a record in addition to other commands under way, and returns its number.
    pub(super) fn send_assertion(&mut self, key: &Key, now: Timestamp) -> u64 {
        let (id, sequence) = (self.id(now), self.sequence());
        if let Some(member) = self.members.get(key) {
            let record = member.seen.clone().unwrap_or_else(Record::fresh);
            let command = (record.version, assertion(member, &record, now));
            self.counters.asserts += 1;
            self.send_command(key, id, sequence, command);
        }
        id
    }

    /// The time at which something will be due for a breaker, unless an input comes first.
    fn due_at(&self, key: &Key, now: Timestamp) -> Option<Timestamp> {
        let member = self.members.get(key)?;
        let drop_at = |since: Timestamp| since + QUEUED_MAX;
        let mut times = vec![
            member.tally.collect_at,
            member.words.front().map(|(_, _, at)| drop_at(*at)),
            member.result.as_ref().map(|result| drop_at(result.at)),
            member.tally.waiting.as_ref().map(|(_, at)| drop_at(*at)),
            member.evidence.as_ref().map(|evidence| evidence.until),
        ];
        if member.in_flight.is_none() && member.known && !self.health.is_away() {
            times.push(member.lost);
            times.push((now < member.send_at).then_some(member.send_at));
            times.push((now < member.floor).then_some(member.floor));
            if let Some(record) = &member.seen {
                times.push(self.lease_due_at(member, record, now));
                let hold = record.hold.as_ref().and_then(|hold| hold.until);
                times.push(hold.map(|until| self.server_time.when(until)));
            }
        }
        // Everything due so far has been tried; only a new input makes more of it possible.
        times.into_iter().flatten().filter(|at| *at > now).min()
    }
}

fn operator_act(word: &Word) -> Act {
    match word.clone() {
        Word::Hold {
            open,
            span: time,
            why,
            by,
        } => Act::Hold {
            open,
            span: time.map(span),
            why: truncated(&why),
            by: truncated(&by),
        },
        Word::Release { by } => Act::Release { by: truncated(&by) },
        Word::Reset { by } => Act::Reset { by: truncated(&by) },
    }
}

/// The assertion of a record that the store has lost.
fn assertion(member: &Member, record: &Record, now: Timestamp) -> Act {
    // Bounded by what other nodes accept, because the settings may have changed meanwhile.
    let left = |ends: Timestamp, most: Duration| match ends.saturating_since(now) {
        Duration::ZERO => 0,
        left => span(left.min(most)),
    };
    let open = record.state != State::Closed;
    let known = open.then(|| left(member.floor, member.sharing.longest));
    let mut led = record.lease.as_ref().map(|lease| {
        let mine = member.lease.map_or(Timestamp::ZERO, |lease| lease.ends);
        Led {
            node: lease.node.clone(),
            span: left(member.ask_at.max(mine), member.sharing.lease()),
        }
    });
    let (mut attempts, mut why, mut by) = (record.attempts, &record.why, &record.by);
    // While a breaker is open here, an older opening adds nothing.
    let opening = member.poison.as_ref().and_then(|it| it.opening.as_ref());
    let opening = opening.filter(|it| !open || it.version.number() > record.version.number());
    if let Some(opening) = opening {
        (attempts, why, by) = (opening.attempts, &opening.why, &opening.by);
        led = None;
    }
    Act::Assert {
        open_for: known.max(opening.map(|opening| span(opening.cooldown))),
        led: led.filter(|led| led.span > 0).map(Box::new),
        attempts,
        why: why.clone(),
        by: by.clone(),
        hold: record.hold.clone(),
    }
}
