//! Reads `trip:`: maps of rules, and what their windows belong to.

use std::time::Duration;

use fusebox_breaker::{Over, Ratio, Rule};

use crate::diagnostic::{At, Notes, Place};
use crate::fields::Fields;
use crate::keys;
use crate::tree::{Kind, Node};
use crate::words::{show_duration, show_over};

/// `min_calls` where a rate rule over a time names none (docs/machine.md).
const MIN_CALLS: u32 = 20;
/// `over` where a rate rule names none (docs/machine.md).
const OVER: Over = Over::Time(Duration::from_secs(10));

#[derive(Debug)]
pub(super) struct DraftTrip {
    at: Place,
    consecutive_failures: Option<At<u32>>,
    failures: Option<At<u32>>,
    pub(super) failure_rate: Option<At<Ratio>>,
    within: Option<At<Duration>>,
    over: Option<At<Over>>,
    pub(super) min_calls: Option<At<u32>>,
    full: Option<At<bool>>,
    /// Where each key stands, whether or not its value could be read.
    places: Vec<(&'static str, Place)>,
}

pub(super) fn read_trips(breaker: &Fields<'_>, notes: &mut Notes) -> Option<Vec<DraftTrip>> {
    let (_, node) = breaker.get("trip")?;
    match &node.kind {
        Kind::List(items) => {
            if items.is_empty() {
                notes.error(
                    node.at,
                    "there is no rule, so the breaker can never trip",
                    "add `- consecutive_failures: 5`, or remove the key",
                );
            }
            Some(
                items
                    .iter()
                    .filter_map(|item| read_trip(item, notes))
                    .collect(),
            )
        }
        _ => Some(read_trip(node, notes).into_iter().collect()),
    }
}

fn read_trip(node: &Node, notes: &mut Notes) -> Option<DraftTrip> {
    let faults = notes.errors();
    let trip = Fields::open(node, &keys::TRIP, notes)?;
    let draft = DraftTrip {
        at: node.at,
        consecutive_failures: trip.count("consecutive_failures", notes),
        failures: trip.count("failures", notes),
        failure_rate: trip.ratio("failure_rate", notes),
        within: trip.duration("within", notes),
        over: trip.over("over", notes),
        min_calls: trip.count("min_calls", notes),
        full: trip.flag("full", notes),
        places: trip.places(),
    };
    // With a value missing, a comparison of the others would blame the wrong one.
    (faults == notes.errors()).then_some(draft)
}

impl DraftTrip {
    pub(super) fn place(&self, key: &str) -> Place {
        let exact = self.places.iter().find(|(name, _)| *name == key);
        exact.map_or(self.at, |(_, at)| *at)
    }

    /// The rules of this map (docs/machine.md: `within` belongs to count rules, `over` and
    /// `min_calls` to rate rules; `failures` may look over calls instead of a time).
    pub(super) fn rules(&self, notes: &mut Notes) -> Vec<Rule> {
        let mut rules = Vec::new();
        if let Some(threshold) = &self.consecutive_failures {
            rules.push(Rule::ConsecutiveFailures {
                threshold: threshold.value,
                within: self.within.as_ref().map(|within| within.value),
            });
        }
        let mut over_used = self.failure_rate.is_some();
        if let Some(threshold) = &self.failures {
            let (over, used) = self.window_of_failures(threshold, notes);
            over_used |= used;
            if let Some(over) = over {
                let full = self.full.as_ref().is_some_and(|full| full.value);
                rules.push(Rule::Failures {
                    threshold: threshold.value,
                    over,
                    full,
                });
            }
        }
        if let Some(rate) = &self.failure_rate {
            let over = self.over.as_ref().map_or(OVER, |over| over.value);
            let min_calls = match (&self.min_calls, over) {
                (Some(calls), _) => calls.value,
                (None, Over::Calls(calls)) => calls,
                (None, Over::Time(_)) => MIN_CALLS,
            };
            rules.push(Rule::FailureRate {
                rate: rate.value,
                over,
                min_calls,
            });
        }
        self.refuse_idle(over_used, notes);
        rules
    }

    /// The window of `failures`, and whether `over` speaks of it.
    fn window_of_failures(&self, threshold: &At<u32>, notes: &mut Notes) -> (Option<Over>, bool) {
        match (&self.within, &self.over) {
            (Some(_), Some(over)) if self.failure_rate.is_none() => {
                notes.error(
                    over.at,
                    "`failures` has two windows, `within` and `over`",
                    "keep one of them, or give each rule a map of its own",
                );
                (None, true)
            }
            (Some(within), _) => (Some(Over::Time(within.value)), false),
            (
                None,
                Some(At {
                    value: over @ Over::Calls(_),
                    ..
                }),
            ) => (Some(*over), true),
            (
                None,
                Some(At {
                    value: Over::Time(time),
                    at,
                }),
            ) => {
                notes.error(
                    *at,
                    "`over` gives `failures` no window: over a time it belongs to rate rules",
                    format!("write `within: {}`", show_duration(*time)),
                );
                (None, true)
            }
            (None, None) => {
                notes.error(
                    threshold.at,
                    "`failures` has no window",
                    "add `within: 60s` or `over: 100 calls`, or use `consecutive_failures`",
                );
                (None, true)
            }
        }
    }

    /// Keys that no rule of this map uses would silently do nothing.
    fn refuse_idle(&self, over_used: bool, notes: &mut Notes) {
        let counts = self.consecutive_failures.is_some() || self.failures.is_some();
        if !counts && self.failure_rate.is_none() {
            notes.error(
                self.at,
                "this map has no rule, so it can never trip",
                "add `consecutive_failures: 5`, `failures: 20` or `failure_rate: 50%`",
            );
            return;
        }
        if let Some(within) = &self.within
            && !counts
        {
            let mend = format!("write `over: {}`", show_duration(within.value));
            notes.error(
                within.at,
                "`within` belongs to `failures` and `consecutive_failures`, and there is neither",
                mend,
            );
        }
        if let Some(over) = &self.over
            && !over_used
        {
            let mend = match over.value {
                Over::Time(time) => format!("write `within: {}`", show_duration(time)),
                Over::Calls(_) => format!(
                    "use `failures` with `over: {}`, or remove it",
                    show_over(over.value)
                ),
            };
            notes.error(
                over.at,
                "`over` belongs to `failure_rate` and `failures`, and none of them uses it",
                mend,
            );
        }
        if let Some(calls) = &self.min_calls
            && self.failure_rate.is_none()
        {
            notes.error(
                calls.at,
                "`min_calls` belongs to `failure_rate`, and there is none",
                "remove it",
            );
        }
        if let Some(full) = &self.full
            && self.failures.is_none()
        {
            notes.error(
                full.at,
                "`full` belongs to `failures` over a number of calls, and there is none",
                "remove it",
            );
        }
    }
}
