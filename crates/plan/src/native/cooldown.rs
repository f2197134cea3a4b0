//! Reads `cooldown:`: a fixed duration, or a map of a growing one.

use std::time::Duration;

use fusebox_breaker::{Cooldown, RetryAfter};

use crate::diagnostic::{At, Notes, Place, place_of, value_of};
use crate::fields::Fields;
use crate::keys;
use crate::tree::Kind;

#[derive(Debug, Default)]
pub(super) struct DraftCooldown {
    at: Place,
    grows: bool,
    base: Option<At<Duration>>,
    factor: Option<At<f64>>,
    max: Option<At<Duration>>,
    jitter: Option<At<f64>>,
}

/// Reads the cooldown in a key of a map.
pub(super) fn read_cooldown(
    of: &Fields<'_>,
    key: &'static str,
    notes: &mut Notes,
) -> Option<DraftCooldown> {
    let (_, node) = of.get(key)?;
    if !matches!(node.kind, Kind::Map(_)) {
        let base = of.duration(key, notes)?;
        return Some(DraftCooldown {
            at: node.at,
            base: Some(base),
            ..DraftCooldown::default()
        });
    }
    let cooldown = Fields::open(node, &keys::COOLDOWN, notes)?;
    Some(DraftCooldown {
        at: node.at,
        grows: true,
        base: cooldown.duration("base", notes),
        factor: cooldown.real("factor", notes),
        max: cooldown.duration("max", notes),
        jitter: cooldown.share("jitter", notes),
    })
}

impl DraftCooldown {
    pub(super) fn place(&self, key: &str) -> Place {
        let at = match key {
            "base" => place_of(&self.base),
            "factor" => place_of(&self.factor),
            "max" => place_of(&self.max),
            "jitter" => place_of(&self.jitter),
            _ => None,
        };
        at.unwrap_or(self.at)
    }

    /// Checks and resolves the cooldown. `retry_after` matters because `max` bounds an upstream's `Retry-After` too;
    /// `growing` makes the defaults from the base, which is `base` where the file has none.
    pub(super) fn check(
        &self,
        retry_after: RetryAfter,
        growing: impl Fn(Duration) -> Cooldown,
        base: Duration,
        notes: &mut Notes,
    ) -> Cooldown {
        let base = self.base.as_ref().map_or(base, |base| base.value);
        if !self.grows {
            return Cooldown::fixed(base);
        }
        let defaults = growing(base);
        if let (Some(At { value: factor, at }), Some(_)) = (&self.factor, &self.max)
            && *factor == 1.0
            && retry_after == RetryAfter::Ignore
        {
            notes.warn(
                *at,
                "with `factor: 1` the cooldown never grows towards `max`",
                "raise the factor, or remove `max`",
            );
        }
        Cooldown {
            base,
            factor: value_of(&self.factor).unwrap_or(defaults.factor),
            max: value_of(&self.max).unwrap_or(defaults.max),
            jitter: value_of(&self.jitter).unwrap_or(defaults.jitter),
        }
    }
}
