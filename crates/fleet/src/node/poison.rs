//! What a node does with bytes in a record's place that no fleet with its settings has written: it believes nothing of
//! them, says so, and makes the record anew from what it knows.

use std::time::Duration;

use fusebox_breaker::Timestamp;

use super::due::clipped;
use super::member::{Member, Opening, Poison};
use super::words::{Key, Local, News};
use super::{AWAY_AFTER, Node};
use crate::change::is_of_later_schema;
use crate::record::{RECORD_BYTES_MAX, Record, State};

/// By how much a cooldown may seem longer than it is, on top of all that lengthens it: what is known of the server's time
/// lags behind it, and two servers' clocks differ.
const SLACK: Duration = Duration::from_secs(1);

/// How far a node whose settings are not (yet) the same may look ahead, and how far two servers' clocks may differ.
const LENIENCE: Duration = Duration::from_secs(60);

/// A record that was poisoned again and again counts when it was not for so long.
const PEACE: Duration = Duration::from_millis(500);

/// How often people are told of one breaker's record.
const TOLD_EVERY: Duration = Duration::from_secs(60);

/// What bytes in a record's place are.
pub(super) enum Judged {
    /// A record.
    Sound(Box<Record>),
    /// The record of a later version of this program.
    Later,
    /// Neither.
    Poison {
        /// Why it is not believed.
        why: &'static str,
        /// The opening that counts all the same, from now on.
        opening: Option<Opening>,
    },
}

impl Node {
    /// Judges what lies in a record's place at this time of the server, where that is known.
    pub(super) fn judge(&self, key: &Key, bytes: &[u8], server: Option<u64>) -> Judged {
        let poison = |why| Judged::Poison { why, opening: None };
        let Some(record) = Record::read(bytes) else {
            return match bytes.len() {
                0 => poison("something else lies under its key"),
                RECORD_BYTES_MAX.. => poison("it is longer than any record"),
                _ if is_of_later_schema(bytes) => Judged::Later,
                _ => poison("it is damaged"),
            };
        };
        let Some((member, server)) = self.members.get(key).zip(server) else {
            return Judged::Sound(Box::new(record));
        };
        match member.disbelief(&record, server) {
            Some(why) => Judged::Poison {
                why,
                opening: member.opening_in(&record, server),
            },
            None => Judged::Sound(Box::new(record)),
        }
    }

    /// Found something in a record's place that is not to be believed.
    pub(super) fn find_poison(
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
        let tell = member.is_to_be_told(now);
        if alone {
            self.go_alone(key);
        }
        if tell {
            let key = key.clone();
            self.tell(News::RecordUnsound { key, why });
        }
    }

    /// A record that is not for us: the breaker is on its own.
    pub(super) fn give_up_on(&mut self, key: &Key, now: Timestamp) {
        let Some(member) = self.members.get_mut(key) else {
            return;
        };
        member.known = false;
        let tell = member.is_to_be_told(now);
        if member.local != Local::Closed && !member.alone {
            self.go_alone(key);
        }
        if tell {
            let key = key.clone();
            self.tell(News::RecordUnreadable { key });
        }
    }
}

impl Member {
    /// Whether poison comes back as often as the record is made anew, or nothing is written: the breaker is on its own.
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

    /// Found a record, or nothing; says when to look again, if it may be poison then.
    pub(super) fn find_no_poison(&mut self, now: Timestamp) -> Option<Timestamp> {
        let was = self.is_poisoned(now);
        if let Some(poison) = &mut self.poison {
            (poison.bytes, poison.opening) = (None, None);
        }
        let peace = |poison: &mut Poison| now.saturating_since(poison.last) >= PEACE;
        if self.poison.take_if(peace).is_some() && was {
            // The fleet's word counts again.
            self.applied = None;
        }
        self.poison.as_ref().map(|poison| poison.last + PEACE)
    }

    fn is_to_be_told(&mut self, now: Timestamp) -> bool {
        let due = |at: Timestamp| now.saturating_since(at) >= TOLD_EVERY;
        let due = self.told_at.is_none_or(due);
        if due {
            self.told_at = Some(now);
        }
        due
    }

    /// Whether another state, or another end of a cooldown, stands under the number of what was seen: every change of
    /// these begins a term, but the end of a hold, which time alone decides.
    fn is_told_otherwise(&self, record: &Record) -> bool {
        let seen = self.seen.as_ref();
        let held = record.hold.is_some() || seen.is_some_and(|seen| seen.hold.is_some());
        // A record that was never written is closed.
        let known = seen.map_or((State::Closed, 0), |seen| (seen.state, seen.until));
        self.version() == record.version && !held && known != (record.state, record.until)
    }

    /// An opening in a record that is not believed which is no longer than a cooldown may be, though its times have not
    /// come: the server's clock was set back, or another server's, which was ahead, has been here before.
    fn opening_in(&self, record: &Record, server: u64) -> Option<Opening> {
        let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let cooldown = record.until.checked_sub(record.version.since)?;
        let longest = self.sharing.longest;
        let told = record.state == State::Open
            && record.hold.is_none()
            && record.version != self.version()
            && record.version.since > server
            && record.version.since <= server.saturating_add(ms(LENIENCE))
            && cooldown <= ms(longest.saturating_add(SLACK));
        told.then(|| Opening {
            version: record.version,
            cooldown: Duration::from_millis(cooldown).min(longest),
            attempts: record.attempts,
            why: clipped(&record.why),
            by: clipped(&record.by),
        })
    }

    /// Why a record that can be read is not to be believed at this time of the server.
    fn disbelief(&self, record: &Record, server: u64) -> Option<&'static str> {
        let after = |time: Duration| {
            let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
            server.saturating_add(ms)
        };
        let longest = self.sharing.longest.saturating_add(SLACK);
        if record.until > after(longest) {
            return Some("it is open for longer than the longest cooldown");
        }
        if self.is_told_otherwise(record) {
            return Some("it tells of another state under the number of one that is known");
        }
        let longest = longest.saturating_add(self.sharing.lease());
        let lenient = after(longest.saturating_mul(2).saturating_add(LENIENCE));
        if record.votes.values().any(|ends| *ends > lenient) {
            return Some("a node's vote in it lasts for longer than the longest cooldown");
        }
        if record
            .lease
            .as_ref()
            .is_some_and(|lease| lease.ends > lenient)
        {
            return Some("the leave to probe in it lasts for longer than any probe");
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
            return Some("it tells of a time that has not come");
        }
        None
    }
}
