//! What a node knows of one shared breaker.

use std::collections::VecDeque;
use std::time::Duration;

use fusebox_breaker::Timestamp;

use super::words::{Batch, Local, Word};
use crate::command::Act;
use crate::record::{FleetHold, Record, State, Version};
use crate::share::Sharing;

/// How long a store may give a lease to nobody whose cooldown is over.
const DENIED_MAX: Duration = Duration::from_secs(3);

/// After so long it is tried again.
const DENIED_FOR: Duration = Duration::from_secs(30);

/// One breaker of this node, and what is known of its record.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub sharing: Sharing,
    pub local: Local,
    /// An operator of this node holds it: the fleet's word waits.
    pub held: bool,
    /// It decides alone when to probe.
    pub alone: bool,
    /// The newest record seen; it stays when the store loses it.
    pub seen: Option<Record>,
    /// Whether the record was read since the store was last away.
    pub known: bool,
    /// The state of the record that the breaker here was brought to.
    pub applied: Option<Version>,
    /// The hold over the fleet that was placed here.
    pub fleet_hold: Option<FleetHold>,
    /// The record is lost, and to be made anew then.
    pub lost: Option<Timestamp>,
    /// What lies in the record's place and cannot be believed.
    pub poison: Option<Poison>,
    /// When people were last told that a record is not to be used.
    pub told_at: Option<Timestamp>,
    /// A trip of its own that the fleet does not know of.
    pub evidence: Option<Evidence>,
    /// What the probes under a lease of this node decided.
    pub result: Option<ProbeResult>,
    /// The lease of this node.
    pub lease: Option<Leading>,
    /// In this state of the record, which says that the cooldown is over, the store gives the lease to nobody; since when.
    pub denied: Option<(Version, Timestamp)>,
    /// When a call was last refused for want of a lease.
    pub demand: Option<Timestamp>,
    /// In this state of the record, the fleet knows that this node wants the lease that another has.
    pub wanted: Option<Version>,
    /// No lease is to be had before.
    pub ask_at: Timestamp,
    /// The fleet does not close before, but by an operator.
    pub floor: Timestamp,
    pub tally: Tally,
    pub words: VecDeque<(u64, Word, Timestamp)>,
    pub in_flight: Option<InFlight>,
    /// After a failure: nothing is sent before.
    pub send_at: Timestamp,
    /// When the node last put it on its agenda.
    pub wake: Option<Timestamp>,
}

/// A trip by its own evidence.
#[derive(Debug, Clone)]
pub(super) struct Evidence {
    pub until: Timestamp,
    pub attempts: u32,
    pub why: String,
    /// When; none where it was before the breaker joined.
    pub at: Option<Timestamp>,
    /// The state of the record that was known then.
    pub about: Option<Version>,
}

/// Bytes in a record's place that no fleet with these settings has written.
#[derive(Debug, Clone)]
pub(super) struct Poison {
    /// What lies there now; none where that is a record again.
    pub bytes: Option<Vec<u8>>,
    /// The opening that those bytes tell of, where a fleet may have decided it.
    pub opening: Option<Opening>,
    /// When such was first found, and last, without a while of peace in between.
    pub since: Timestamp,
    pub last: Timestamp,
}

/// An opening that cannot have been at the time that is told of it, by a clock that has been set back since.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Opening {
    /// The state of the record that tells of it.
    pub version: Version,
    /// Its whole cooldown.
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
pub(super) struct Leading {
    pub version: Version,
    pub start_by: Timestamp,
    pub ends: Timestamp,
    /// A probe has begun.
    pub used: bool,
    /// It is not renewed any more.
    pub last: bool,
}

/// What is counted together, on its way.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally {
    /// Whether the breaker notes every outcome.
    pub watched: bool,
    /// The breaker was asked, and has not answered yet.
    pub awaited: bool,
    /// When to collect next.
    pub collect_at: Option<Timestamp>,
    /// Collected, not sent, with the time of the first of it.
    pub waiting: Option<(Batch, Timestamp)>,
    /// Sent, not answered, with its sequence.
    pub sent: Option<(u64, Batch, Timestamp)>,
}

impl Tally {
    /// Whether the fleet is to hear of failures.
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
    /// The newest write of the record that was seen then.
    pub seen: Option<(Version, u64)>,
}

impl Member {
    pub fn new(sharing: Sharing, local: Local) -> Self {
        // What a breaker was restored to counts for a fleet that has never heard of it, and for no other.
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
            told_at: None,
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

    /// The state of the record as far as known.
    pub fn version(&self) -> Version {
        self.seen
            .as_ref()
            .map_or(Version::default(), |seen| seen.version)
    }

    /// The newest write of the record that was seen.
    pub fn seen_as(&self) -> Option<(Version, u64)> {
        self.seen.as_ref().map(|seen| (seen.version, seen.revision))
    }

    /// Whether the store has given the lease to nobody for long, although the cooldown is over: it lies, or its clock
    /// stands still, and the breaker is not to wait for it. `about` is the state in which the lease was asked for.
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
        self.follows_nobody(about, now)
    }

    /// Whether the store has denied the lease in this state for so long that the state is not to be followed, for a while.
    pub fn follows_nobody(&self, version: Version, now: Timestamp) -> bool {
        self.denied.is_some_and(|(denied, since)| {
            let ago = now.saturating_since(since);
            denied == version && (DENIED_MAX..DENIED_FOR).contains(&ago)
        })
    }

    /// The failures in a row that the fleet counts at the server's time.
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
