//! The stamps that a machine accepts, and the time that it goes by.
//!
//! The time is the latest stamp accepted; one that goes back counts as the latest. One that is more than a year ahead
//! of it is of another clock: accepted once, it would open the machine for decades. It is refused and counted, and its
//! event changes nothing. The first stamp of all is accepted whatever it says, and so is the first after a reset.

use std::time::Duration;

use super::{Machine, State};
use crate::clock;
use crate::outcome::{HoldKind, RejectReason, Rejection};
use crate::settings::{Mode, Watches};
use crate::time::Timestamp;
use crate::transition::Transitions;

use super::grant::{Admission, Checked, Grant, GrantKind, Settled};
use super::steps::CHANCE_RETRY;
use crate::outcome::SettledAs;

/// The most by which a stamp may be ahead of the last one accepted: a year of 365 days, in nanoseconds.
const AHEAD_MAX: u64 = 365 * 24 * 3_600 * 1_000_000_000;

/// True of a stamp that is further ahead of the last one accepted than any clock that ran meanwhile could be. A year is
/// enough for that, unless the process has run longer: a breaker whose calls all succeed learns no time from them.
pub(crate) fn is_far(now: Timestamp, last: Timestamp) -> bool {
    let ahead = now.as_nanos().saturating_sub(last.as_nanos());
    ahead > AHEAD_MAX && Duration::from_nanos(ahead) > clock::uptime()
}

fn year_after(time: Timestamp) -> Timestamp {
    Timestamp::from_nanos(time.as_nanos().saturating_add(AHEAD_MAX))
}

/// The latest stamp accepted; `None` before the first one, and after a reset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Latest(Option<Timestamp>);

impl Latest {
    /// True once a stamp was accepted.
    pub fn has_begun(self) -> bool {
        self.0.is_some()
    }

    /// The time from which on a stamp may be too far ahead; the start of time without a stamp.
    pub fn horizon(self) -> Timestamp {
        self.0.map_or(Timestamp::ZERO, year_after)
    }

    /// The latest stamp with this [horizon](Latest::horizon); `None` for the start of time.
    pub fn of_horizon(horizon: Timestamp) -> Self {
        let latest = horizon.as_nanos().saturating_sub(AHEAD_MAX);
        Latest((horizon > Timestamp::ZERO).then(|| Timestamp::from_nanos(latest)))
    }
}

impl Machine {
    /// The latest stamp accepted.
    pub(crate) fn latest(&self) -> Latest {
        self.latest
    }

    /// Sets the machine to the time at which it was folded.
    pub(super) fn resume_at(&mut self, latest: Latest) {
        self.latest = latest;
    }

    pub(super) fn time(&self) -> Timestamp {
        self.latest.0.unwrap_or(self.since)
    }

    /// The time by which to read the machine: its own, if that is later, or if `now` is too far ahead.
    pub(super) fn moment(&self, now: Timestamp) -> Timestamp {
        match self.latest.0 {
            Some(latest) if now <= latest || self.is_refused(now, latest) => latest,
            Some(_) | None => now,
        }
    }

    /// Takes a stamp and returns the time; `None` if the stamp is refused, which is then counted.
    pub(super) fn accept(&mut self, now: Timestamp) -> Option<Timestamp> {
        match self.latest.0 {
            Some(latest) if now <= latest => return Some(latest),
            Some(latest) if self.is_refused(now, latest) => {
                self.totals.far_stamps += 1;
                return None;
            }
            // After a reset whose own stamp was of another clock.
            None if now < self.since => {
                self.since = now;
                self.begin_windows(now);
            }
            Some(_) | None => {}
        }
        self.latest = Latest(Some(now));
        Some(now)
    }

    /// Forgets the time: the next stamp is taken as the first.
    pub(super) fn restart_clock(&mut self) {
        self.latest = Latest::default();
        self.lead.restart_clock();
    }

    fn is_refused(&self, now: Timestamp, latest: Timestamp) -> bool {
        is_far(now, latest) && !self.is_due(now, latest)
    }

    /// True of a time that the machine itself announced to callers for their return: its cooldown, its hold or its
    /// probes may last longer than a year.
    fn is_due(&self, now: Timestamp, latest: Timestamp) -> bool {
        let due = match (&self.hold, &self.state) {
            (Some(hold), _) => hold.until,
            (None, State::Open { until }) => Some(*until),
            (None, State::HalfOpen(probing)) => self.next_place(probing, latest),
            (None, State::Closed { .. }) => None,
        };
        due.is_some_and(|due| is_far(due, latest) && now >= due && now < year_after(due))
    }

    /// The answer to a call whose stamp was refused, by the state before it. No place is taken, no chance is drawn, and
    /// the call is not watched in flight.
    pub(super) fn admit_at_a_far_stamp(&self, told: Timestamp) -> Admission {
        let mode = self.settings.mode;
        let kind = match self.refusal_at_a_far_stamp() {
            _ if mode == Mode::Disabled => GrantKind::Untracked,
            Some(rejection) if mode == Mode::Monitor => GrantKind::Shadow(rejection),
            Some(rejection) => {
                return Admission {
                    result: Err(rejection),
                    transitions: Transitions::default(),
                };
            }
            None if self.hold.is_some() => GrantKind::Held,
            None => match self.settings.watches() {
                Watches::Durations => GrantKind::Timed(told),
                Watches::Outcomes if self.settings.wants_starts() => GrantKind::Timed(told),
                Watches::Outcomes | Watches::Flights => GrantKind::Call,
            },
        };
        self.granted(kind, Transitions::default())
    }

    /// The same without a permit.
    pub(super) fn check_at_a_far_stamp(&self) -> Checked {
        let refusal = self.refusal_at_a_far_stamp();
        let enforced = refusal.filter(|_| self.settings.mode == Mode::Enforce);
        Checked {
            result: enforced.map_or(Ok(()), Err),
            transitions: Transitions::default(),
        }
    }

    fn refusal_at_a_far_stamp(&self) -> Option<Rejection> {
        let (reason, retry_at) = match (&self.hold, &self.state) {
            (Some(hold), _) => match hold.kind {
                HoldKind::Open => (RejectReason::HeldOpen, hold.until),
                HoldKind::Closed => return None,
            },
            (None, State::Closed { .. }) => return None,
            (None, State::Open { until }) => (RejectReason::BreakerOpen, Some(*until)),
            (None, State::HalfOpen(_)) => {
                let soon = self.time() + CHANCE_RETRY;
                (RejectReason::BreakerProbing, Some(soon))
            }
        };
        Some(Rejection::at(reason, self.state.phase(), retry_at))
    }

    /// Takes back a grant whose outcome came with a stamp that was refused: its place is free, and nothing is counted.
    pub(super) fn settle_at_a_far_stamp(&mut self, grant: &Grant) -> Settled {
        self.answered(grant);
        if grant.generation == self.generation
            && let GrantKind::Probe(slot) = grant.kind
            && let State::HalfOpen(probing) = &mut self.state
        {
            probing.free(slot);
        }
        uncounted()
    }
}

/// The fate of an outcome that came with a stamp that was refused.
pub(super) fn uncounted() -> Settled {
    Settled {
        counted: SettledAs::Untracked,
        transitions: Transitions::default(),
    }
}
