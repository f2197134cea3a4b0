//! A node's knowledge of one shared breaker.

use std::collections::VecDeque;
use std::time::Duration;

use fusebox_breaker::Timestamp;

use super::io::{Batch, Local, Word};
use crate::command::Act;
use crate::record::{FleetHold, Record, State, Version};
use crate::share::Sharing;

/// The time for which a store may refuse the lease to everybody after the cooldown before its state is ignored.
const DENIED_MAX: Duration = Duration::from_secs(3);

/// The time after which an ignored state is tried again.
const DENIED_FOR: Duration = Duration::from_secs(30);

/// One breaker of this node, with all that is known of its record.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub sharing: Sharing,
    pub local: Local,
    /// True if an operator of this node holds the breaker, so that the fleet's state is not applied.
    pub held: bool,
    /// True if the breaker decides locally when to probe.
    pub alone: bool,
    /// The newest record seen; retained if the store loses it.
    pub seen: Option<Record>,
    /// True if the record was read since the last outage of the store.
    pub known: bool,
    /// The version of the record that was applied to the local breaker.
    pub applied: Option<Version>,
    /// The fleet-wide hold that was applied here.
    pub fleet_hold: Option<FleetHold>,
    /// If the record is lost, the time at which to restore it.
    pub lost: Option<Timestamp>,
    /// Implausible bytes found in the record's place.
    pub poison: Option<Poison>,
    /// The time of the last report that the record is unusable.
    pub reported_at: Option<Timestamp>,
    /// A trip of this node that the fleet does not know of.
    pub evidence: Option<Evidence>,
    /// The result of probes under a lease of this node.
    pub result: Option<ProbeResult>,
    pub lease: Option<OwnLease>,
    /// The version in which no node gets the lease although the cooldown is over, and the start of that.
    pub denied: Option<(Version, Timestamp)>,
    /// The time of the last call rejected for lack of a lease.
    pub demand: Option<Timestamp>,
    /// The version in which this node's wish for another node's lease has been recorded.
    pub wanted: Option<Version>,
    /// The earliest time at which a lease may be free.
    pub ask_at: Timestamp,
    /// The time before which the fleet does not close, except by an operator.
    pub floor: Timestamp,
    pub tally: Tally,
    pub words: VecDeque<(u64, Word, Timestamp)>,
    pub in_flight: Option<InFlight>,
    /// The earliest time for the next command, after a failure.
    pub send_at: Timestamp,
    /// The member's present entry in the node's agenda.
    pub wake: Option<Timestamp>,
}

/// A trip by this node's own evidence.
#[derive(Debug, Clone)]
pub(super) struct Evidence {
    pub until: Timestamp,
    pub attempts: u32,
    pub why: String,
    /// The time of the trip, or `None` if it was before the breaker joined.
    pub at: Option<Timestamp>,
    /// The version of the record known at the time of the trip.
    pub about: Option<Version>,
}

/// Bytes in a record's place that no fleet with these settings has written.
#[derive(Debug, Clone)]
pub(super) struct Poison {
    /// The bytes there now, or `None` if there is a record again.
    pub bytes: Option<Vec<u8>>,
    /// The opening described by these bytes, if a fleet may have decided it.
    pub opening: Option<Opening>,
    /// The first and the last time that such bytes were found, without a longer interruption between.
    pub since: Timestamp,
    pub last: Timestamp,
}

/// An opening with a time in the future, from a clock that has been set back since.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Opening {
    /// The version of the record that describes it.
    pub version: Version,
    /// The length of its cooldown.
    pub cooldown: Duration,
    pub attempts: u32,
    pub why: String,
    pub by: String,
}

#[derive(Debug, Clone)]
pub(super) struct ProbeResult {
    pub about: Version,
    pub act: Act,
    pub at: Timestamp,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct OwnLease {
    pub version: Version,
    pub start_by: Timestamp,
    pub ends: Timestamp,
    /// True once a probe has begun under it.
    pub used: bool,
    /// True if it is not renewed any more.
    pub last: bool,
}

/// Counts for the fleet, on their way from the breaker to the store.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally {
    /// True if the breaker reports every outcome.
    pub watched: bool,
    /// True if the breaker was asked for its counts and has not answered yet.
    pub awaited: bool,
    /// The time of the next collection.
    pub collect_at: Option<Timestamp>,
    /// Collected but unsent counts, with the time of the first.
    pub waiting: Option<(Batch, Timestamp)>,
    /// Sent but unanswered counts, with their sequence number and time.
    pub sent: Option<(u64, Batch, Timestamp)>,
}

impl Tally {
    /// True if there are failures that the fleet does not know of.
    pub fn has_failures(&self) -> bool {
        let waiting = self.waiting.as_ref().map(|(batch, _)| batch.failures);
        let sent = self.sent.as_ref().map(|(_, batch, _)| batch.failures);
        waiting.max(sent).is_some_and(|failures| failures > 0)
    }
}

#[derive(Debug, Clone)]
pub(super) struct InFlight {
    pub id: u64,
    pub act: Act,
    pub about: Version,
    pub sent: Timestamp,
    /// The version and revision of the newest record seen when it was sent.
    pub seen: Option<(Version, u64)>,
}

impl Member {
    pub fn new(sharing: Sharing, local: Local) -> Self {
        // The state before the breaker joined counts only for a fleet without any record of the breaker.
        let evidence = match local {
            Local::Open { until } => Some(Evidence {
                until,
                attempts: 1,
                why: "open since before it joined".to_owned(),
                at: None,
                about: None,
            }),
            Local::Closed | Local::Probing => None,
        };
        Member {
            sharing,
            local,
            held: false,
            alone: false,
            seen: None,
            known: false,
            applied: None,
            fleet_hold: None,
            lost: None,
            poison: None,
            reported_at: None,
            evidence,
            result: None,
            lease: None,
            denied: None,
            demand: None,
            wanted: None,
            ask_at: Timestamp::ZERO,
            floor: Timestamp::ZERO,
            tally: Tally::default(),
            words: VecDeque::new(),
            in_flight: None,
            send_at: Timestamp::ZERO,
            wake: None,
        }
    }

    /// The version of the newest record seen.
    pub fn version(&self) -> Version {
        self.seen
            .as_ref()
            .map_or(Version::default(), |seen| seen.version)
    }

    /// The version and revision of the newest record seen.
    pub fn seen_revision(&self) -> Option<(Version, u64)> {
        self.seen.as_ref().map(|seen| (seen.version, seen.revision))
    }

    /// True if for long the store has refused the lease to everybody although the cooldown is over. Then it lies or its
    /// clock stands still, and the breaker must not wait for it. `about` is the version for which the lease was
    /// requested.
    pub fn is_denied(&mut self, state: State, about: Version, now: Timestamp) -> bool {
        let new = |(version, since): &mut (Version, Timestamp)| {
            *version != about || now.saturating_since(*since) >= DENIED_FOR
        };
        self.denied.take_if(new);
        if state != State::Open || self.version() != about {
            self.denied = None;
            return false;
        }
        self.denied.get_or_insert((about, now));
        self.ignores(about, now)
    }

    /// True while a version is ignored because the store has refused the lease in it for too long.
    pub fn ignores(&self, version: Version, now: Timestamp) -> bool {
        self.denied.is_some_and(|(denied, since)| {
            let ago = now.saturating_since(since);
            denied == version && (DENIED_MAX..DENIED_FOR).contains(&ago)
        })
    }

    /// The fleet's count of consecutive failures at this time of the server.
    pub fn row(&self, server: u64) -> u64 {
        let Some(seen) = &self.seen else {
            return 0;
        };
        let rules = self.sharing.rules.iter().enumerate();
        rules
            .filter(|(_, rule)| rule.row)
            .map(|(number, rule)| seen.counted(number, rule.within, server))
            .sum()
    }
}
