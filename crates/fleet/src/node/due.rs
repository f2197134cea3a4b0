//! What is due of a breaker: the one command that brings the fleet nearer to what is known here.

use std::time::Duration;

use fusebox_breaker::Timestamp;

use super::member::{InFlight, Leading, Member};
use super::words::{Batch, Key, Local, Order, Output, Word};
use super::{BATCH_EVERY, Node, QUEUED_MAX};
use crate::command::{Act, Command, Led, SPAN_MAX, WHY_MAX};
use crate::record::{Record, Stamp, State, Version};

/// How long a refused call counts as a wish to probe.
const DEMAND_LASTS: Duration = Duration::from_secs(2);

/// A lease is renewed when no probe may begin any more in less than this.
const RENEW_BEFORE: Duration = Duration::from_secs(1);

/// A span as a command tells it: in milliseconds, rounded up, at least one.
pub(super) fn span(time: Duration) -> u64 {
    let ms = u64::try_from(time.as_nanos().div_ceil(1_000_000));
    ms.unwrap_or(SPAN_MAX).clamp(1, SPAN_MAX)
}

/// A text as a command tells it.
pub(super) fn clipped(text: &str) -> String {
    text.chars().take(WHY_MAX).collect()
}

impl Node {
    /// Does what is due of a breaker, and says when something will be.
    pub(super) fn do_what_is_due(&mut self, key: &Key, now: Timestamp) -> Option<Timestamp> {
        self.drop_what_is_old(key, now);
        self.collect_what_is_due(key, now);
        let ready = self.members.get(key).is_some_and(|member| {
            let free = member.in_flight.is_none() && now >= member.send_at;
            member.known && free && !self.health.is_away()
        });
        if ready && let Some((about, act)) = self.choose(key, now) {
            self.send(key, about, act, now);
        }
        self.due_at(key, now)
    }

    fn drop_what_is_old(&mut self, key: &Key, now: Timestamp) {
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
            // Nobody has heard of it, and it is over.
            member.applied = None;
        }
        self.counters.dropped += dropped;
        words.into_iter().for_each(|word| self.drop_word(key, word));
    }

    fn collect_what_is_due(&mut self, key: &Key, now: Timestamp) {
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

    /// The command that matters most, with the state of the record that it is about.
    fn choose(&mut self, key: &Key, now: Timestamp) -> Option<(Version, Act)> {
        let member = self.members.get(key)?;
        let version = member.version();
        let server = self.server_now(member.seen.as_ref(), now);
        let mut record = member.seen.clone().unwrap_or_else(Record::fresh);
        record.settle(server);
        if let Some(at) = member.lost {
            let pressing = member.evidence.is_some()
                || !member.words.is_empty()
                || member.tally.has_failures();
            return (now >= at || pressing).then(|| (version, assertion(member, &record, now)));
        }
        if let Some((_, word, _)) = member.words.front() {
            return Some((version, spoken(word)));
        }
        if let Some(result) = &member.result {
            return Some((result.about, result.act.clone()));
        }
        // What is not followed is not told of trips either: they may be older than it.
        if record.hold.is_some() || member.held || member.is_poisoned(now) {
            return None;
        }
        match record.state {
            State::Closed => {
                let trip = self.trip(member, &record, now);
                trip.or_else(|| self.batch(key, server))
            }
            State::Open | State::HalfOpen => self.ask_for_lease(key, &record, now),
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
            // A node that was alone stays open for some longer, and one whose trip was forced for as long as that says.
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
                // Successes that end no row.
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

    fn ask_for_lease(&mut self, key: &Key, record: &Record, now: Timestamp) -> Option<Act> {
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

    /// When a lease is to be asked for or renewed; none while nobody here wants one.
    fn lease_due_at(&self, member: &Member, record: &Record, now: Timestamp) -> Option<Timestamp> {
        if member.alone || member.local == Local::Closed || member.result.is_some() {
            return None;
        }
        let renewable = |lease: &Leading| lease.version == record.version && !lease.last;
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
            // Once to say that somebody else wants it too, and again when it may be free.
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
        self.counters.commands += 1;
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
            seen: member.seen_as(),
        });
        self.asked.insert(id, key.clone());
        let from = Stamp {
            node: self.options.name.clone(),
            incarnation: self.options.incarnation.clone(),
            sequence,
        };
        let poison = member.poison.as_ref();
        let poison = poison.and_then(|poison| poison.bytes.clone());
        let (key, command) = (key.clone(), Command { about, from, act });
        self.outputs.push_back(Output::Apply {
            id,
            key,
            command,
            poison,
        });
    }

    /// Sends what is known of a record, beside whatever else is under way, and returns its number.
    pub(super) fn send_assertion(&mut self, key: &Key, now: Timestamp) -> u64 {
        let (id, sequence) = (self.id(now), self.sequence());
        if let Some(member) = self.members.get(key) {
            let record = member.seen.clone().unwrap_or_else(Record::fresh);
            let from = Stamp {
                node: self.options.name.clone(),
                incarnation: self.options.incarnation.clone(),
                sequence,
            };
            let (about, act) = (record.version, assertion(member, &record, now));
            let (key, command) = (key.clone(), Command { about, from, act });
            self.counters.commands += 1;
            self.counters.asserts += 1;
            self.asked.insert(id, key.clone());
            let poison = member.poison.as_ref();
            self.outputs.push_back(Output::Apply {
                id,
                key,
                command,
                poison: poison.and_then(|poison| poison.bytes.clone()),
            });
        }
        id
    }

    /// When something of a breaker will be due, if nothing happens before.
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
        // What was due has been tried; more comes of it only when the node is told something.
        times.into_iter().flatten().filter(|at| *at > now).min()
    }
}

fn spoken(word: &Word) -> Act {
    match word.clone() {
        Word::Hold {
            open,
            span: time,
            why,
            by,
        } => Act::Hold {
            open,
            span: time.map(span),
            why: clipped(&why),
            by: clipped(&by),
        },
        Word::Release { by } => Act::Release { by: clipped(&by) },
        Word::Reset { by } => Act::Reset { by: clipped(&by) },
    }
}

/// What is known of a record that the store has lost.
fn assertion(member: &Member, record: &Record, now: Timestamp) -> Act {
    // Not for longer than others believe: the settings may have changed meanwhile.
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
    // Of what is open here, no older opening says more.
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
