//! Handling of poison: bytes in a record's place that no fleet with this node's settings has written. The node ignores
//! them, reports them, and restores the record from its own knowledge.

use std::time::Duration;

use fusebox_breaker::Timestamp;

use super::due::truncated;
use super::io::{Key, Local, News};
use super::member::{Member, Opening, Poison};
use super::{AWAY_AFTER, Node};
use crate::change::is_of_later_schema;
use crate::record::{RECORD_BYTES_MAX, Record, State};

/// The tolerance for a cooldown beyond the longest possible one: the known server time lags behind the real one, and
/// the clocks of two servers differ.
const TOLERANCE: Duration = Duration::from_secs(1);

/// The tolerance for nodes with other settings, as during a change of them, and for the difference between two servers'
/// clocks.
const LENIENCE: Duration = Duration::from_secs(60);

/// The time without poison after which a repeatedly poisoned record counts again.
const CLEAN_FOR: Duration = Duration::from_millis(500);

/// The interval between reports on one breaker's record.
const REPORT_EVERY: Duration = Duration::from_secs(60);

/// The judgement of bytes in a record's place.
pub(super) enum Judgement {
    Sound(Box<Record>),
    /// A record of a later version of this program.
    LaterSchema,
    /// Implausible or foreign data.
    Poison {
        /// The reason for rejecting the bytes.
        why: &'static str,
        /// An opening in the rejected record that counts from now on in spite of that.
        opening: Option<Opening>,
    },
}

impl Node {
    /// Judges bytes in a record's place, at this time of the server if known.
    pub(super) fn judge(&self, key: &Key, bytes: &[u8], server: Option<u64>) -> Judgement {
        let poison = |why| Judgement::Poison { why, opening: None };
        let Some(record) = Record::read(bytes) else {
            return match bytes.len() {
                0 => poison("its key holds other data"),
                RECORD_BYTES_MAX.. => poison("it is longer than any record"),
                _ if is_of_later_schema(bytes) => Judgement::LaterSchema,
                _ => poison("it is damaged"),
            };
        };
        let Some((member, server)) = self.members.get(key).zip(server) else {
            return Judgement::Sound(Box::new(record));
        };
        match member.implausibility(&record, server) {
            Some(why) => Judgement::Poison {
                why,
                opening: member.opening_in(&record, server),
            },
            None => Judgement::Sound(Box::new(record)),
        }
    }

    /// Reacts to poison in a record's place.
    pub(super) fn handle_poison(
        &mut self,
        key: &Key,
        bytes: &[u8],
        why: &'static str,
        opening: Option<Opening>,
        now: Timestamp,
    ) {
        let at = match opening {
            Some(_) => now,
            None => self.draw_assertion(key, now),
        };
        let Some(member) = self.members.get_mut(key) else {
            return;
        };
        let since = member.poison.as_ref().map_or(now, |poison| poison.since);
        member.poison = Some(Poison {
            bytes: Some(bytes.to_vec()),
            opening,
            since,
            last: now,
        });
        member.known = true;
        member.lost.get_or_insert(at);
        let waits = member.local != Local::Closed && !member.alone;
        let alone = member.is_poisoned(now) && waits;
        let report = member.is_report_due(now);
        if alone {
            self.go_alone(key);
        }
        if report {
            let key = key.clone();
            self.report(News::RecordUnsound { key, why });
        }
    }

    /// Reacts to a record that this version cannot use: the breaker decides locally.
    pub(super) fn handle_later_schema(&mut self, key: &Key, now: Timestamp) {
        let Some(member) = self.members.get_mut(key) else {
            return;
        };
        member.known = false;
        let report = member.is_report_due(now);
        if member.local != Local::Closed && !member.alone {
            self.go_alone(key);
        }
        if report {
            let key = key.clone();
            self.report(News::RecordUnreadable { key });
        }
    }
}

impl Member {
    /// True if poison returns as often as the record is restored, or writing fails: the breaker then decides locally.
    pub(super) fn is_poisoned(&self, now: Timestamp) -> bool {
        let long = |poison: &Poison| {
            let until = if poison.bytes.is_some() {
                now
            } else {
                poison.last
            };
            until.saturating_since(poison.since) >= AWAY_AFTER
        };
        self.poison.as_ref().is_some_and(long)
    }

    /// Reacts to a plausible or absent record. Returns the time to check again, if poison may return.
    pub(super) fn clear_poison(&mut self, now: Timestamp) -> Option<Timestamp> {
        let was = self.is_poisoned(now);
        if let Some(poison) = &mut self.poison {
            (poison.bytes, poison.opening) = (None, None);
        }
        let clean = |poison: &mut Poison| now.saturating_since(poison.last) >= CLEAN_FOR;
        if self.poison.take_if(clean).is_some() && was {
            // The fleet's state counts again.
            self.applied = None;
        }
        self.poison.as_ref().map(|poison| poison.last + CLEAN_FOR)
    }

    fn is_report_due(&mut self, now: Timestamp) -> bool {
        let due = |at: Timestamp| now.saturating_since(at) >= REPORT_EVERY;
        let due = self.reported_at.is_none_or(due);
        if due {
            self.reported_at = Some(now);
        }
        due
    }

    /// True if the record has another state or another end of the cooldown than a known record of the same version.
    /// Every such change begins a term, except the end of a hold, which follows from time alone.
    fn contradicts_known(&self, record: &Record) -> bool {
        let seen = self.seen.as_ref();
        let held = record.hold.is_some() || seen.is_some_and(|seen| seen.hold.is_some());
        // A record that was never written is closed.
        let known = seen.map_or((State::Closed, 0), |seen| (seen.state, seen.until));
        self.version() == record.version && !held && known != (record.state, record.until)
    }

    /// The opening in a rejected record, if only its times are implausible, being in the future, and its cooldown is
    /// within the limits. It results from a server's clock that was set back, or from another server whose clock was
    /// ahead.
    fn opening_in(&self, record: &Record, server: u64) -> Option<Opening> {
        let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let cooldown = record.until.checked_sub(record.version.since)?;
        let longest = self.sharing.longest;
        let told = record.state == State::Open
            && record.hold.is_none()
            && record.version != self.version()
            && record.version.since > server
            && record.version.since <= server.saturating_add(ms(LENIENCE))
            && cooldown <= ms(longest.saturating_add(TOLERANCE));
        told.then(|| Opening {
            version: record.version,
            cooldown: Duration::from_millis(cooldown).min(longest),
            attempts: record.attempts,
            why: truncated(&record.why),
            by: truncated(&record.by),
        })
    }

    /// The reason to reject a parsed record at this time of the server, or `None` if it is plausible.
    fn implausibility(&self, record: &Record, server: u64) -> Option<&'static str> {
        let after = |time: Duration| {
            let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
            server.saturating_add(ms)
        };
        let longest = self.sharing.longest.saturating_add(TOLERANCE);
        if record.until > after(longest) {
            return Some("its cooldown ends later than the longest one can");
        }
        if self.contradicts_known(record) {
            return Some("its state differs from the known one of the same version");
        }
        let longest = longest.saturating_add(self.sharing.lease());
        let lenient = after(longest.saturating_mul(2).saturating_add(LENIENCE));
        if record.votes.values().any(|ends| *ends > lenient) {
            return Some("a vote in it lasts longer than the longest cooldown");
        }
        if record
            .lease
            .as_ref()
            .is_some_and(|lease| lease.ends > lenient)
        {
            return Some("the lease in it lasts longer than any probe");
        }
        let soon = after(LENIENCE);
        let lease = record.lease.iter().map(|lease| lease.since);
        let want = record.want.iter().map(|want| want.at);
        let last = record.last.values().map(|last| last.at);
        let counted = record
            .counts
            .values()
            .flat_map(|counts| counts.iter().step_by(2));
        let mut times = lease.chain(want).chain(last).chain(counted.copied());
        if record.version.since > soon || times.any(|at| at > soon) {
            return Some("it contains a time in the future");
        }
        None
    }
}
