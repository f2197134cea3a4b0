//! Limits of a registry: the number of keys, and the conditions of an eviction.

use std::time::Duration;

use super::OnOverflow;
use crate::settings::{Over, Rule, Settings, SettingsError, SettingsErrors};

/// The most keys that a registry holds by default.
pub const DEFAULT_MAX_KEYS: usize = 10_000;

/// The least of what [`idle_after`](crate::RegistryBuilder::idle_after) is by default: ten minutes.
pub const IDLE_AFTER_MIN: Duration = Duration::from_secs(600);

/// The longest name of a family, in bytes.
const FAMILY_MAX: usize = 65_000;

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Limits {
    /// The configured time; `None`: by the settings.
    pub idle_after: Option<Duration>,
    pub on_overflow: OnOverflow,
}

impl Limits {
    pub fn idle_after(self, settings: &Settings) -> Duration {
        self.idle_after.unwrap_or_else(|| {
            let mut longest = settings
                .cooldown
                .longest()
                .max(settings.half_open.probe_timeout);
            for window in settings.trip.iter().filter_map(window) {
                longest = longest.max(window);
            }
            longest.saturating_mul(10).max(IDLE_AFTER_MIN)
        })
    }
}

/// The time that a rule looks back.
fn window(rule: &Rule) -> Option<Duration> {
    match *rule {
        Rule::ConsecutiveFailures { within, .. } => within,
        Rule::Failures { over, .. }
        | Rule::FailureRate { over, .. }
        | Rule::SlowRate { over, .. } => match over {
            Over::Time(time) => Some(time),
            Over::Calls(_) => None,
        },
        Rule::Stalled { longer_than, .. } => Some(longer_than),
        Rule::Adaptive { .. } => None,
    }
}

/// The position of the key in the name of a family's breaker.
pub(super) fn key_at(family: &str) -> u16 {
    u16::try_from(family.len() + 1).expect("the registry's builder checked its family's name")
}

pub(super) fn check_family(family: &str) -> Result<(), SettingsErrors> {
    if family.len() <= FAMILY_MAX {
        return Ok(());
    }
    SettingsErrors::of(vec![SettingsError::new(
        "family",
        format!("a name of {} bytes is too long for a family", family.len()),
        "give one of at most 65,000 bytes",
    )])
}
