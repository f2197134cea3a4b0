//! Reads a machine without changing it, and carries it over a restart.

use super::steps::CHANCE_RETRY;
use super::{MAX_RESTORED_GENERATION, Machine, Probing, RESTORE_MARGIN, State};
use crate::outcome::{Hold, HoldKind, Phase};
use crate::settings::{CloseRule, Mode, Probes, RetryAfter, Settings, Watches};
use crate::snapshot::{
    ProbeStatus, RampStatus, RuleStatus, Saved, SavedHold, SavedState, Snapshot, Totals,
};
use crate::time::Timestamp;
use crate::transition::{Reason, Transitions};
use std::sync::Arc;

impl Machine {
    /// The settings in force.
    pub fn settings(&self) -> &Arc<Settings> {
        &self.settings
    }

    /// The time at which the state began.
    pub(crate) fn since(&self) -> Timestamp {
        self.since
    }

    /// The generation: grows by one with every transition, hold, release and reset.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Trips since the machine was last closed.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Outcomes since the machine was made, each counted exactly once.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// The state at `now`: half-open once the cooldown is over, although the next event carries that out.
    pub fn phase(&self, now: Timestamp) -> Phase {
        self.view(now).phase
    }

    /// The hold at `now`.
    pub fn held(&self, now: Timestamp) -> Option<&Hold> {
        let now = self.moment(now);
        let lasts = |hold: &&Hold| hold.until.is_none_or(|until| now < until);
        self.hold.as_ref().filter(lasts)
    }

    /// The whole state at `now`. Changes nothing.
    pub fn snapshot(&self, now: Timestamp) -> Snapshot {
        let now = self.moment(now);
        let view = self.view(now);
        let rules = self
            .settings
            .trip
            .iter()
            .zip(&self.windows)
            .map(|(rule, window)| {
                let tally = if view.windows_empty {
                    Default::default()
                } else {
                    window.tally(now)
                };
                RuleStatus {
                    rule: rule.kind(),
                    name: rule.kind().as_str(),
                    observed: window
                        .refuses_with(now)
                        .unwrap_or_else(|| rule.observed(tally)),
                    threshold: rule.threshold(),
                    calls: tally.calls,
                    failures: tally.failures,
                    min_calls: rule.min_calls(),
                    over: rule.over(),
                }
            })
            .collect();
        Snapshot {
            phase: view.phase,
            mode: self.settings.mode,
            hold: self.held(now).cloned(),
            generation: self.generation,
            attempts: view.attempts,
            since: view.since,
            retry_at: self.retry_at(now),
            retry_by: self.retry_by(now),
            reason: self.recent.back().map(|last| last.reason.clone()),
            totals: self.totals,
            rules,
            probes: (view.phase == Phase::HalfOpen).then(|| self.probe_status(now)),
            recent: self.recent.iter().cloned().collect(),
            at: now,
            ramp: self.ramp_status(now),
            admit_probability: self.admit_probability(now),
            outcomes: self.outcomes.read(),
        }
    }

    /// The part of the state that outlives the process.
    pub fn saved(&self, now: Timestamp) -> Saved {
        let now = self.moment(now);
        let view = self.view(now);
        let state = match (view.phase, &self.state) {
            (Phase::Closed, _) => SavedState::Closed,
            (Phase::Open, State::Open { until }) => SavedState::Open {
                remaining: until.saturating_since(now),
            },
            (Phase::Open | Phase::HalfOpen, _) => SavedState::HalfOpen,
        };
        Saved {
            state,
            generation: self.generation,
            attempts: view.attempts,
            hold: self.held(now).map(|hold| SavedHold {
                kind: hold.kind,
                remaining: hold.until.map(|until| until.saturating_since(now)),
                reason: hold.reason.clone(),
                by: hold.by.clone(),
            }),
            written_at: None,
        }
    }

    /// Restores the state that an earlier process left: state, rest of the cooldown, attempts and hold; windows are
    /// empty.
    ///
    /// The rest of a cooldown is at most the longest that the settings allow. Half-open returns as open with nothing
    /// remaining. The generation continues 1,000 above the saved one or the machine's own, whichever is higher, because
    /// a saved one may be older than the last that was given out.
    pub fn restore(&mut self, saved: &Saved, now: Timestamp) -> Transitions {
        let mut transitions = Transitions::default();
        let now = self.accept(now).unwrap_or(self.time());
        let (state, retry_at) = match saved.state {
            SavedState::Closed => (State::Closed { ramp: None }, None),
            SavedState::Open { remaining } => {
                let until = now + remaining.min(self.settings.cooldown.longest());
                (State::Open { until }, Some(until))
            }
            SavedState::HalfOpen => (State::Open { until: now }, Some(now)),
        };
        self.begin_windows(now);
        self.attempts = saved.attempts;
        self.generation = self
            .generation
            .max(saved.generation.min(MAX_RESTORED_GENERATION))
            + RESTORE_MARGIN;
        self.hold = saved.hold.as_ref().map(|hold| Hold {
            kind: hold.kind,
            until: hold.remaining.map(|remaining| now + remaining),
            reason: hold.reason.clone(),
            by: hold.by.clone(),
        });
        self.enter(state, Reason::Restored, retry_at, now, &mut transitions);
        transitions
    }

    /// True if nothing would be lost with this machine: closed, no hold, nothing in its windows.
    pub fn is_idle(&self, now: Timestamp) -> bool {
        let now = self.moment(now);
        self.hold.is_none()
            && matches!(self.state, State::Closed { ramp: None })
            && self.windows.iter().all(|window| window.is_blank(now))
    }

    /// True if a success recorded now by a call granted in this generation would leave everything as it is.
    pub(crate) fn success_changes_nothing(&self) -> bool {
        matches!(self.state, State::Closed { .. })
            && !self.counting.is_awake()
            && self.settings.retry_after != RetryAfter::Trip
            && self.hold.is_none()
            && self.settings.mode != Mode::Disabled
            && self
                .windows
                .iter()
                .all(|window| window.success_changes_nothing())
    }

    /// True if admission while closed depends on the state alone: no chance, and no call watched in flight.
    pub(crate) fn admits_by_state(&self) -> bool {
        matches!(self.state, State::Closed { ramp: None })
            && self.settings.watches() != Watches::Flights
            && !self.settings.has_adaptive()
    }

    /// The end of the machine's cooldown, while it is open.
    pub(crate) fn open_until(&self) -> Option<Timestamp> {
        match self.state {
            State::Open { until } => Some(until),
            State::Closed { .. } | State::HalfOpen(_) => None,
        }
    }

    /// The hold as the last event left it.
    pub(crate) fn placed_hold(&self) -> Option<&Hold> {
        self.hold.as_ref()
    }

    /// The state as the last event left it.
    pub(crate) fn frozen_phase(&self) -> Phase {
        self.state.phase()
    }

    /// True while calls come back share by share.
    pub(super) fn is_ramping(&self, now: Timestamp) -> bool {
        self.ramp_status(now).is_some()
    }

    fn ramp_status(&self, now: Timestamp) -> Option<RampStatus> {
        match self.state {
            State::Closed { ramp: Some(ramp) } if self.view(now).phase == Phase::Closed => {
                let (share, ends) = (ramp.share(now), ramp.ends());
                (share < 1.0).then_some(RampStatus { share, ends })
            }
            _ => None,
        }
    }

    /// The probability with which a call passes, as far as state, hold, ramp and adaptive rules say.
    fn admit_probability(&self, now: Timestamp) -> f64 {
        if self.settings.mode != Mode::Enforce {
            return 1.0;
        }
        if let Some(hold) = self.held(now) {
            return match hold.kind {
                HoldKind::Open => 0.0,
                HoldKind::Closed => 1.0,
            };
        }
        let view = self.view(now);
        match view.phase {
            Phase::Open => 0.0,
            Phase::HalfOpen if self.retry_at(now).is_some() => 0.0,
            Phase::HalfOpen => 1.0,
            Phase::Closed => {
                let share = self.ramp_status(now).map_or(1.0, |ramp| ramp.share);
                let rules = self.windows.iter().filter(|_| !view.windows_empty);
                let passes = rules.filter_map(|window| window.refuses_with(now));
                share * passes.map(|refused| 1.0 - refused).product::<f64>()
            }
        }
    }

    fn retry_at(&self, now: Timestamp) -> Option<Timestamp> {
        if self.settings.mode == Mode::Disabled {
            return None;
        }
        if let Some(hold) = self.held(now) {
            return hold.until.filter(|_| hold.kind == HoldKind::Open);
        }
        if self.waits_for_lease(now) {
            return Some(now + CHANCE_RETRY);
        }
        match (self.view(now).phase, &self.state) {
            (Phase::Open, State::Open { until }) => Some(*until),
            (Phase::HalfOpen, State::HalfOpen(probing)) => {
                let by = self.place_free_by(probing, now)?;
                Some(self.come_again(by, now))
            }
            _ => None,
        }
    }

    /// The latest time at which a probe's place is free again, while none is.
    fn retry_by(&self, now: Timestamp) -> Option<Timestamp> {
        let free_to_act = self.settings.mode != Mode::Disabled && self.hold.is_none();
        match &self.state {
            State::HalfOpen(probing) if free_to_act && self.lead.lets_probe(now) => {
                self.place_free_by(probing, now)
            }
            _ => None,
        }
    }

    fn place_free_by(&self, probing: &Probing, now: Timestamp) -> Option<Timestamp> {
        let full = probing.is_full(probing.in_flight_at(now), &self.settings.half_open);
        full.then(|| self.next_place(probing, now))?
    }

    fn probe_status(&self, now: Timestamp) -> ProbeStatus {
        let half_open = &self.settings.half_open;
        let (in_flight, successes, failures) = match &self.state {
            State::HalfOpen(probing) if self.hold.is_none() => (
                probing.in_flight_at(now),
                probing.successes,
                probing.failures,
            ),
            State::HalfOpen(_) | State::Open { .. } | State::Closed { .. } => (0, 0, 0),
        };
        ProbeStatus {
            in_flight,
            limit: match half_open.probes {
                Probes::Limited(limit) => Some(limit.get()),
                Probes::Unlimited => None,
            },
            needed: match half_open.close {
                CloseRule::Successes(needed) => needed,
                CloseRule::FailureRate { over, .. } => over,
            },
            successes,
            failures,
        }
    }

    /// The machine as the next event at `now` will find it.
    fn view(&self, now: Timestamp) -> View {
        let now = self.moment(now);
        let held = self.held(now).is_some();
        let ended = self.hold.as_ref().filter(|_| !held);
        let (phase, since) = match (ended, &self.state) {
            (Some(hold), _) => {
                let phase = match hold.kind {
                    HoldKind::Open => Phase::HalfOpen,
                    HoldKind::Closed => Phase::Closed,
                };
                (phase, hold.until.unwrap_or(self.since))
            }
            (None, State::Open { until }) if !held && now >= *until => (Phase::HalfOpen, *until),
            (None, state) => (state.phase(), self.since),
        };
        let closed_by_end = ended.is_some() && phase == Phase::Closed;
        View {
            phase,
            since,
            attempts: if closed_by_end { 0 } else { self.attempts },
            windows_empty: closed_by_end,
        }
    }
}

struct View {
    phase: Phase,
    since: Timestamp,
    attempts: u32,
    windows_empty: bool,
}
