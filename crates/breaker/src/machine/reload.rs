//! New settings for a running machine: parts that fit are kept, others are cleared, and both are reported.

use std::fmt;
use std::sync::Arc;

use super::{Machine, State, windows_of};
use crate::rule_kind::RuleKind;
use crate::settings::{Rule, Settings, SettingsErrors};
use crate::time::Timestamp;
use crate::transition::{Reason, Transitions};
use crate::window::Window;

/// The effect of a change of settings.
#[derive(Clone, Debug, PartialEq)]
pub struct Reconfigured {
    /// True if state, generation and attempts were kept, which they are if old and new rules have a kind in common. A
    /// hold is kept in any case.
    pub state_kept: bool,
    /// The fate of each new rule's window, in the order of the settings.
    pub windows: Vec<(RuleKind, WindowFate)>,
    /// Transitions caused by the change.
    pub transitions: Transitions,
}

/// The fate of a rule's window, the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WindowFate {
    /// Carried over from the old settings.
    Carried,
    /// Started again: the old rule of this kind had a window of another shape.
    Cleared,
    /// Started new: there was no rule of this kind.
    New,
}

impl fmt::Display for Reconfigured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.state_kept {
            return f.write_str(
                "began anew, closed with empty windows: the new settings have no rule in common with the old ones",
            );
        }
        f.write_str("state, generation and attempts kept")?;
        for (rule, fate) in &self.windows {
            write!(f, "; {rule}: ")?;
            f.write_str(match fate {
                WindowFate::Carried => "window carried over",
                WindowFate::Cleared => "window cleared, its shape changed",
                WindowFate::New => "a new rule with an empty window",
            })?;
        }
        Ok(())
    }
}

impl Machine {
    /// Takes new settings. The windows' content is judged with the next outcome, not at once.
    ///
    /// # Errors
    /// All faults of the new settings; the old ones then stay in force.
    pub fn reconfigure(
        &mut self,
        settings: impl Into<Arc<Settings>>,
        now: Timestamp,
    ) -> Result<Reconfigured, SettingsErrors> {
        let settings = settings.into();
        settings.validate()?;
        let mut transitions = Transitions::default();
        let now = self.catch_up_anyhow(now, &mut transitions);
        let same_family = settings.trip.iter().any(|rule| self.has(rule.kind()));
        let mut windows = windows_of(&settings);
        windows.iter_mut().for_each(|window| window.begin(now));
        let fates = if same_family {
            self.carry_into(&settings, &mut windows)
        } else {
            settings
                .trip
                .iter()
                .map(|rule| (rule.kind(), WindowFate::New))
                .collect()
        };
        self.windows = windows;
        self.settings = settings;
        self.fit_ramp(now);
        if !same_family {
            self.close(Reason::Reconfigured, None, now, &mut transitions);
        }
        Ok(Reconfigured {
            state_kept: same_family,
            windows: fates,
            transitions,
        })
    }

    /// The result that [`Machine::reconfigure`] would have, without a change.
    ///
    /// # Errors
    /// All faults of the new settings.
    pub fn would_reconfigure(
        &self,
        settings: impl Into<Arc<Settings>>,
        now: Timestamp,
    ) -> Result<Reconfigured, SettingsErrors> {
        self.clone().reconfigure(settings, now)
    }

    /// Ends a ramp that the new settings lack; one with other numbers continues with them from its share.
    fn fit_ramp(&mut self, now: Timestamp) {
        let settings = self.settings.ramp;
        if let State::Closed { ramp } = &mut self.state {
            *ramp = ramp.zip(settings).map(|(ramp, new)| ramp.refit(new, now));
        }
    }

    fn has(&self, kind: RuleKind) -> bool {
        self.settings.trip.iter().any(|rule| rule.kind() == kind)
    }

    /// Fills each new window from the old ones of its kind that fit. Windows of one shape have seen the same calls, so
    /// two new ones may well be filled from the same old one.
    fn carry_into(
        &self,
        settings: &Settings,
        windows: &mut [Window],
    ) -> Vec<(RuleKind, WindowFate)> {
        settings
            .trip
            .iter()
            .map(Rule::kind)
            .zip(windows)
            .map(|(kind, window)| {
                let of_kind = self.settings.trip.iter().zip(&self.windows);
                let fates = of_kind
                    .filter(|(rule, _)| rule.kind() == kind)
                    .map(|(_, old)| match window.carry(old) {
                        true => WindowFate::Carried,
                        false => WindowFate::Cleared,
                    });
                (kind, fates.min().unwrap_or(WindowFate::New))
            })
            .collect()
    }
}
