//! A machine that many processes share: the fleet's decision when it probes, and the takeover of the others' findings.
//!
//! Under a fleet's lead, an open machine whose cooldown has ended continues to refuse until it has a lease to probe,
//! with a begin and an end. In everything else it behaves as any other.

use std::sync::Arc;
use std::time::Duration;

use super::{Machine, State};
use crate::outcome::Phase;
use crate::time::Timestamp;
use crate::transition::{Reason, Transitions};

/// The shortest time between two reports that a call would probe if it were allowed to.
const DEMAND_EVERY: Duration = Duration::from_millis(100);

/// Permission to probe, from the fleet that leads a breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProbeLease {
    /// No probe begins at this time or later.
    pub start_by: Timestamp,
    /// No probe has a deadline later than this.
    pub ends: Timestamp,
    /// True if it continues an earlier lease. A new one begins a half-open period of its own.
    pub renewed: bool,
}

/// The findings of many processes about a breaker that they share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FleetOpening {
    /// The end of the cooldown. If it has passed, one of the processes probes or may do so.
    pub until: Timestamp,
    /// Trips since the breaker was last closed.
    pub attempts: u32,
    /// The process or operator that caused it.
    pub by: Arc<str>,
    /// The reason in words.
    pub reason: Arc<str>,
}

/// The authority that decides when a machine probes.
#[derive(Clone, Debug, Default)]
pub(super) enum Lead {
    #[default]
    Own,
    Fleet(FleetLed),
}

#[derive(Clone, Debug, Default)]
pub(super) struct FleetLed {
    lease: Option<ProbeLease>,
    /// A call was refused for lack of a lease, which has not been reported yet.
    demanded: bool,
    /// The time before which nothing is reported again.
    quiet_until: Timestamp,
}

impl Lead {
    pub fn is_fleet(&self) -> bool {
        matches!(self, Lead::Fleet(_))
    }

    /// True if a probe may begin.
    pub fn lets_probe(&self, now: Timestamp) -> bool {
        match self {
            Lead::Own => true,
            Lead::Fleet(led) => led.lease.is_some_and(|lease| now < lease.start_by),
        }
    }

    /// The latest deadline that a probe may have.
    pub fn latest_deadline(&self) -> Timestamp {
        match self {
            Lead::Own => Timestamp::MAX,
            Lead::Fleet(led) => led.lease.map_or(Timestamp::MAX, |lease| lease.ends),
        }
    }

    /// Notes that a call was refused because none may probe.
    pub fn demand(&mut self, now: Timestamp) {
        if let Lead::Fleet(led) = self
            && now >= led.quiet_until
        {
            led.demanded = true;
            led.quiet_until = now + DEMAND_EVERY;
        }
    }

    /// True if a call was refused so; returned once.
    pub fn take_demand(&mut self) -> bool {
        match self {
            Lead::Own => false,
            Lead::Fleet(led) => std::mem::take(&mut led.demanded),
        }
    }

    /// Forgets times from before, which are of another clock.
    pub fn restart_clock(&mut self) {
        if let Lead::Fleet(led) = self {
            led.quiet_until = Timestamp::ZERO;
        }
    }

    pub fn end_lease(&mut self) {
        if let Lead::Fleet(led) = self {
            led.lease = None;
        }
    }
}

impl Machine {
    /// Lets a fleet decide from now on when to probe. An open machine stays so; a half-open one waits for a
    /// [lease](Machine::probe_by_lease).
    pub fn follow_fleet(&mut self) {
        if !self.lead.is_fleet() {
            self.lead = Lead::Fleet(FleetLed::default());
        }
    }

    /// Decides alone from now on when to probe, as it did before it followed a fleet. An open machine stays open for
    /// `extra` longer.
    pub fn go_alone(&mut self, extra: Duration, now: Timestamp) -> Transitions {
        let mut transitions = Transitions::default();
        let now = self.catch_up_anyhow(now, &mut transitions);
        self.lead = Lead::Own;
        if let State::Open { until } = self.state
            && self.hold.is_none()
            && !extra.is_zero()
        {
            let until = until + extra;
            let reason = Reason::Fleet {
                by: "the fleet".into(),
                reason: "its store does not answer, so this breaker goes on alone".into(),
            };
            self.enter_open(until, reason, now, &mut transitions);
        }
        transitions
    }

    /// Takes over that the fleet is open, and follows it. Under an operator's hold nothing happens.
    pub fn open_by_fleet(&mut self, opening: FleetOpening, now: Timestamp) -> Transitions {
        let mut transitions = Transitions::default();
        let caught_up = self.catch_up(now, &mut transitions);
        let Some(now) = caught_up.filter(|_| self.hold.is_none()) else {
            return transitions;
        };
        self.lead = Lead::Fleet(FleetLed::default());
        let FleetOpening {
            until,
            attempts,
            by,
            reason,
        } = opening;
        let same = matches!(self.state, State::Open { until: mine } if mine == until);
        if !same || self.attempts != attempts {
            self.attempts = attempts;
            let reason = Reason::Fleet { by, reason };
            self.enter_open(until, reason, now, &mut transitions);
        }
        transitions
    }

    /// Takes over that the fleet is closed, and follows it: as after good probes of its own. Under an operator's hold, or
    /// while closed, nothing happens.
    pub fn close_by_fleet(
        &mut self,
        by: Arc<str>,
        reason: Arc<str>,
        now: Timestamp,
    ) -> Transitions {
        let mut transitions = Transitions::default();
        let caught_up = self.catch_up(now, &mut transitions);
        let Some(now) = caught_up.filter(|_| self.hold.is_none()) else {
            return transitions;
        };
        self.follow_fleet();
        if !matches!(self.state, State::Closed { .. }) {
            self.close_well(Reason::Fleet { by, reason }, now, &mut transitions);
        }
        transitions
    }

    /// Lets calls probe while the lease lasts. A closed machine needs none.
    pub fn probe_by_lease(&mut self, lease: ProbeLease, now: Timestamp) -> Transitions {
        let mut transitions = Transitions::default();
        let Some(now) = self.catch_up(now, &mut transitions) else {
            return transitions;
        };
        if !lease.renewed && self.hold.is_none() && matches!(self.state, State::HalfOpen(_)) {
            // Probes under an older lease do not count any more.
            let reason = Reason::Fleet {
                by: "the fleet".into(),
                reason: "another lease to probe begins".into(),
            };
            self.enter_open(now, reason, now, &mut transitions);
        }
        self.follow_fleet();
        if let Lead::Fleet(led) = &mut self.lead
            && !matches!(self.state, State::Closed { .. })
        {
            led.lease = Some(lease);
        }
        transitions
    }

    /// True if the cooldown is over, and no call here may probe.
    pub(super) fn waits_for_lease(&self, now: Timestamp) -> bool {
        self.phase(now) == Phase::HalfOpen && !self.lead.lets_probe(now)
    }
}
