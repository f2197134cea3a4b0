//! Reads `ejection:`, the rule by which an endpoint gets no calls for a while, and makes the endpoint's breaker of it.

use std::time::Duration;

use fusebox_breaker::{Cooldown, HalfOpen, OnPanic, OnProbeTimeout, Rule, Settings};
use fusebox_call::Ejection;

use super::breaker::CallTimes;
use super::cooldown::{DraftCooldown, read_cooldown};
use super::ramp::{DraftRamp, read_ramp};
use super::trip::{DraftTrip, read_trip_keys};
use super::validate::validate;
use crate::diagnostic::{At, Notes, Place};
use crate::fields::Fields;
use crate::keys;

/// The default of `consecutive_failures`.
const FAILURES: u32 = 5;
/// The default of `for.base`.
const BASE: Duration = Duration::from_secs(10);
/// The default of `max_ejected`.
const EJECTED_MAX: f64 = 0.5;
/// The default of `min_healthy`.
const HEALTHY_MIN: u32 = 1;

#[derive(Debug)]
pub(crate) enum DraftEjection {
    Off,
    On(Box<DraftRules>),
}

#[derive(Debug)]
pub(crate) struct DraftRules {
    at: Place,
    trip: Option<DraftTrip>,
    cooldown: Option<DraftCooldown>,
    ejected_max: Option<At<f64>>,
    healthy_min: Option<At<u32>>,
    ramp: Option<DraftRamp>,
}

/// The ejection in the file; `None` also for one that could not be read.
pub(super) fn read_ejection(upstream: &Fields<'_>, notes: &mut Notes) -> Option<DraftEjection> {
    let Some(map) = upstream.map_in("ejection", notes) else {
        upstream.word("ejection", notes)?;
        return Some(DraftEjection::Off);
    };
    let ejection = map?;
    let is_rule = |(key, _): &(&str, Place)| keys::TRIP.key(key).is_some();
    let has_rules = ejection.places().iter().any(is_rule);
    Some(DraftEjection::On(Box::new(DraftRules {
        at: ejection.at,
        trip: match has_rules {
            true => Some(read_trip_keys(&ejection, notes)?),
            false => None,
        },
        cooldown: read_cooldown(&ejection, "for", notes),
        ejected_max: ejection.share("max_ejected", notes),
        healthy_min: ejection.count("min_healthy", notes),
        ramp: read_ramp(&ejection, notes),
    })))
}

/// The ejection of endpoints with all defaults.
pub(super) fn standard(times: CallTimes<'_>) -> Ejection {
    Ejection {
        breaker: Settings {
            trip: vec![Rule::ConsecutiveFailures {
                threshold: FAILURES,
                within: None,
            }],
            cooldown: standard_cooldown(BASE),
            half_open: HalfOpen {
                probe_timeout: times.probe,
                on_probe_timeout: OnProbeTimeout::Fail,
                ..HalfOpen::default()
            },
            // A panic in the gateway is the gateway's own fault, not the endpoint's.
            on_panic: OnPanic::Ignored,
            ..Settings::default()
        },
        ejected_max: EJECTED_MAX,
        healthy_min: HEALTHY_MIN,
    }
}

fn standard_cooldown(base: Duration) -> Cooldown {
    Cooldown {
        max: Duration::from_secs(300).max(base),
        ..Cooldown::exponential(base)
    }
}

impl DraftRules {
    /// The place of `ejection`.
    pub fn at(&self) -> Place {
        self.at
    }

    /// The ejection, compared with the times of the upstream's calls. `listed` is the number of endpoints, where it is
    /// known.
    pub fn check(
        &self,
        times: CallTimes<'_>,
        listed: Option<usize>,
        notes: &mut Notes,
    ) -> Ejection {
        let standard = standard(times);
        let mut breaker = standard.breaker;
        if let Some(trip) = &self.trip {
            breaker.trip = trip.rules(notes);
            trip.check_reach(times, notes);
            trip.check_sense(notes);
            let is_adaptive = |rule: &Rule| matches!(rule, Rule::Adaptive { .. });
            if breaker.trip.iter().any(is_adaptive) {
                notes.error(
                    trip.place("adaptive"),
                    "`adaptive` never trips, so it could eject no endpoint",
                    "use a rule that trips, such as `consecutive_failures: 5`",
                );
                breaker.trip.retain(|rule| !is_adaptive(rule));
            }
        }
        if let Some(cooldown) = &self.cooldown {
            breaker.cooldown = cooldown.check(breaker.retry_after, standard_cooldown, BASE, notes);
        }
        breaker.ramp = self.ramp.as_ref().and_then(DraftRamp::check);
        let place = |section: &str, key: &str| match section {
            "cooldown" => self.cooldown.as_ref().map(|it| it.place(key)),
            "ramp" => self.ramp.as_ref().map(|it| it.place(key)),
            _ => None,
        };
        let trips = self.trip.as_ref().map(std::slice::from_ref);
        validate(&breaker, trips.unwrap_or_default(), self.at, place, notes);
        let ejection = Ejection {
            breaker,
            ejected_max: self.ejected_max.as_ref().map_or(EJECTED_MAX, |it| it.value),
            healthy_min: self.healthy_min.as_ref().map_or(HEALTHY_MIN, |it| it.value),
        };
        if let Some(listed) = listed {
            self.check_limits(&ejection, listed, notes);
        }
        ejection
    }

    /// Warns about limits by which no endpoint is ever ejected.
    fn check_limits(&self, ejection: &Ejection, listed: usize, notes: &mut Notes) {
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a part of a list's length"
        )]
        let most = (listed as f64 * ejection.ejected_max).floor() as usize;
        if let (Some(limit), 0) = (&self.ejected_max, most) {
            notes.warn(
                limit.at,
                format!(
                    "of {listed} endpoints `max_ejected` allows none to be ejected, so none ever is"
                ),
                "raise it, or write `ejection: off` if that is meant",
            );
        } else if let Some(limit) = &self.healthy_min
            && usize::try_from(limit.value).is_ok_and(|healthy| healthy >= listed)
        {
            notes.warn(
                limit.at,
                format!(
                    "`min_healthy` keeps all {listed} endpoints in use, so none is ever ejected"
                ),
                "lower it, or write `ejection: off` if that is meant",
            );
        }
    }
}
