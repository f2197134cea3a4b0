//! Reads `trip:`: maps of rules, with the windows that their rules share.

use std::time::Duration;

use fusebox_breaker::{Over, Ratio, Rule};

use super::breaker::CallTimes;
use crate::diagnostic::{At, Notes, Place, value_of};
use crate::fields::Fields;
use crate::keys;
use crate::tree::{Kind, Node};
use crate::words::{show_duration, show_over};

/// The default of `min_calls` for a rate rule over a time (docs/machine.md).
const MIN_CALLS: u32 = 20;
/// The default of `over` for a rate rule (docs/machine.md).
const OVER: Over = Over::Time(Duration::from_secs(10));
/// The default of `memory` for an adaptive rule (docs/configuration.md).
const MEMORY: u32 = 5;

#[derive(Debug)]
pub(super) struct DraftTrip {
    at: Place,
    consecutive_failures: Option<At<u32>>,
    failures: Option<At<u32>>,
    failure_rate: Option<At<Ratio>>,
    slow_rate: Option<At<Ratio>>,
    slower_than: Option<At<Duration>>,
    stalled: Option<At<u32>>,
    longer_than: Option<At<Duration>>,
    /// The memory of an adaptive rule, if the map has one.
    adaptive: Option<Option<At<u32>>>,
    within: Option<At<Duration>>,
    over: Option<At<Over>>,
    min_calls: Option<At<u32>>,
    full: Option<At<bool>>,
    /// The places of all keys, even of those with invalid values.
    places: Vec<(&'static str, Place)>,
}

pub(super) fn read_trips(breaker: &Fields<'_>, notes: &mut Notes) -> Option<Vec<DraftTrip>> {
    let (_, node) = breaker.get("trip")?;
    match &node.kind {
        Kind::List(items) => {
            if items.is_empty() {
                notes.error(
                    node.at,
                    "`trip` is empty, so the breaker can never trip",
                    "add `- consecutive_failures: 5`, or remove the key",
                );
            }
            let trips = items.iter().filter_map(|item| read_trip(item, notes));
            Some(trips.collect())
        }
        _ => Some(read_trip(node, notes).into_iter().collect()),
    }
}

fn read_trip(node: &Node, notes: &mut Notes) -> Option<DraftTrip> {
    let faults = notes.errors();
    let trip = read_trip_keys(&Fields::open(node, &keys::TRIP, notes)?, notes);
    // With a key unknown, the rules of the others may not be those that were meant.
    trip.filter(|_| faults == notes.errors())
}

/// Reads the rules in a map that has the keys of `trip`; `None` if one could not be read.
pub(super) fn read_trip_keys(trip: &Fields<'_>, notes: &mut Notes) -> Option<DraftTrip> {
    let faults = notes.errors();
    let draft = DraftTrip {
        at: trip.at,
        consecutive_failures: trip.count("consecutive_failures", notes),
        failures: trip.count("failures", notes),
        failure_rate: trip.ratio("failure_rate", notes),
        slow_rate: trip.ratio("slow_rate", notes),
        slower_than: trip.duration("slower_than", notes),
        stalled: trip.count("stalled", notes),
        longer_than: trip.duration("longer_than", notes),
        adaptive: trip
            .section("adaptive", notes)
            .map(|adaptive| adaptive.count("memory", notes)),
        within: trip.duration("within", notes),
        over: trip.over("over", notes),
        min_calls: trip.count("min_calls", notes),
        full: trip.flag("full", notes),
        places: trip.places(),
    };
    // With one value missing, a comparison of the others would report the wrong one.
    (faults == notes.errors()).then_some(draft)
}

impl DraftTrip {
    pub(super) fn place(&self, key: &str) -> Place {
        let exact = self.places.iter().find(|(name, _)| *name == key);
        exact.map_or(self.at, |(_, at)| *at)
    }

    /// The rules of this map (docs/machine.md: `within` belongs to count rules, `over` and `min_calls` to rate rules;
    /// `failures` may count over calls instead of a time).
    pub(super) fn rules(&self, notes: &mut Notes) -> Vec<Rule> {
        let mut rules = Vec::new();
        if let Some(threshold) = &self.consecutive_failures {
            rules.push(Rule::ConsecutiveFailures {
                threshold: threshold.value,
                within: value_of(&self.within),
            });
        }
        let mut over_used = self.has_rate();
        if let Some(threshold) = &self.failures {
            let (over, used) = self.window_of_failures(threshold, notes);
            over_used |= used;
            if let Some(over) = over {
                rules.push(Rule::Failures {
                    threshold: threshold.value,
                    over,
                    full: self.is_full(),
                });
            }
        }
        let (over, min_calls) = self.window_of_rates();
        if let Some(rate) = &self.failure_rate {
            rules.push(Rule::FailureRate {
                rate: rate.value,
                over,
                min_calls,
            });
        }
        let slow = pair(
            &self.slow_rate,
            &self.slower_than,
            ("slow_rate", "80%"),
            ("slower_than", "2s"),
            notes,
        );
        if let Some((rate, slower_than)) = slow {
            rules.push(Rule::SlowRate {
                rate,
                slower_than,
                over,
                min_calls,
            });
        }
        let stalled = pair(
            &self.stalled,
            &self.longer_than,
            ("stalled", "20"),
            ("longer_than", "5s"),
            notes,
        );
        if let Some((calls, longer_than)) = stalled {
            rules.push(Rule::Stalled { calls, longer_than });
        }
        if let Some(memory) = &self.adaptive {
            let memory = value_of(memory).unwrap_or(MEMORY);
            rules.push(Rule::Adaptive { memory });
        }
        self.refuse_idle(over_used, notes);
        rules
    }

    /// Reports rules that no call can ever meet.
    pub(super) fn check_reach(&self, times: CallTimes<'_>, notes: &mut Notes) {
        let request = times.request;
        let limits = [
            // A call that ends at its timeout has lasted that long.
            (&self.slower_than, "slower_than", request),
            (
                &self.longer_than,
                "longer_than",
                request - Duration::from_nanos(1),
            ),
        ];
        for (limit, key, most) in limits {
            if let Some(limit) = limit
                && limit.value > most
            {
                notes.error(
                    limit.at,
                    format!(
                        "`{key}` is {}, and every call ends after {}, so the rule could never trip",
                        show_duration(limit.value),
                        times.limit(),
                    ),
                    times.mend(),
                );
            }
        }
    }

    /// Warns about rules that the first success after a close can meet, if windows are kept across an open period: the
    /// rules that are judged on every outcome, once their window is full or has enough calls.
    pub(super) fn check_kept(&self, notes: &mut Notes) {
        let rules = [
            ("failure_rate", "failures", self.failure_rate.is_some()),
            ("slow_rate", "slow calls", self.slow_rate.is_some()),
            (
                "failures",
                "failures",
                self.failures.is_some() && self.is_full(),
            ),
        ];
        for (key, kept, met_by_success) in rules {
            if met_by_success {
                notes.warn(
                    self.place(key),
                    format!("with `history: keep` the first success after a close can trip `{key}` again, on the {kept} that were kept"),
                    "add `judge_on: failures` beside `history`, or remove `history: keep`",
                );
            }
        }
    }

    /// Warns about settings that work and are hardly intended.
    pub(super) fn check_sense(&self, notes: &mut Notes) {
        let Some(At { value: 1, at }) = self.min_calls else {
            return;
        };
        for (rate, call) in [(&self.failure_rate, "failed"), (&self.slow_rate, "slow")] {
            if rate.is_some() {
                let kind = if call == "slow" { "slow" } else { "failure" };
                notes.warn(
                    at,
                    format!("with `min_calls: 1` a single {call} call is a {kind} rate of 100%"),
                    "give the number of calls on which a rate means something, such as 20",
                );
            }
        }
    }

    /// True if the map has a rule for consecutive failures.
    pub(super) fn has_row(&self) -> bool {
        self.consecutive_failures.is_some()
    }

    fn is_full(&self) -> bool {
        value_of(&self.full).unwrap_or(false)
    }

    fn has_rate(&self) -> bool {
        self.failure_rate.is_some() || self.slow_rate.is_some()
    }

    /// The window of every rate rule, and the least number of calls in it.
    fn window_of_rates(&self) -> (Over, u32) {
        let over = value_of(&self.over).unwrap_or(OVER);
        let min_calls = match (&self.min_calls, over) {
            (Some(calls), _) => calls.value,
            (None, Over::Calls(calls)) => calls,
            (None, _) => MIN_CALLS,
        };
        (over, min_calls)
    }

    /// The window of `failures`, and whether `over` defines it.
    fn window_of_failures(&self, threshold: &At<u32>, notes: &mut Notes) -> (Option<Over>, bool) {
        match (&self.within, &self.over) {
            (Some(_), Some(over)) if !self.has_rate() => {
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
            (None, Some(At { value: over, at })) => {
                notes.error(
                    *at,
                    "`over` with a time applies to rate rules, not to `failures`",
                    format!("write `within: {}`", show_over(*over)),
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

    /// Reports keys that no rule of this map uses, since they would silently do nothing.
    fn refuse_idle(&self, over_used: bool, notes: &mut Notes) {
        let counts = self.consecutive_failures.is_some() || self.failures.is_some();
        let others = self.stalled.is_some() || self.adaptive.is_some();
        // A limit without its rule has been reported already.
        let lone = self.slower_than.is_some() || self.longer_than.is_some();
        if !counts && !self.has_rate() && !others {
            if !lone {
                notes.error(
                    self.at,
                    "this map has no rule, so it can never trip",
                    "add `consecutive_failures: 5`, `failures: 20` or `failure_rate: 50%`",
                );
            }
            return;
        }
        if let Some(within) = &self.within
            && !counts
        {
            let mend = format!("write `over: {}`", show_duration(within.value));
            notes.error(
                within.at,
                "`within` belongs to `failures` and `consecutive_failures`, and neither is given",
                mend,
            );
        }
        if let Some(over) = &self.over
            && !over_used
        {
            let mend = match over.value {
                _ if !counts => "remove it".to_owned(),
                Over::Calls(_) => format!(
                    "use `failures` with `over: {}`, or remove it",
                    show_over(over.value)
                ),
                time => format!("write `within: {}`", show_over(time)),
            };
            notes.error(
                over.at,
                "`over` belongs to `failure_rate`, `slow_rate` and `failures`, and none of them uses it",
                mend,
            );
        }
        if let Some(calls) = &self.min_calls
            && !self.has_rate()
        {
            notes.error(
                calls.at,
                "`min_calls` belongs to `failure_rate` and `slow_rate`, and neither is given",
                "remove it",
            );
        }
        if let Some(full) = &self.full
            && self.failures.is_none()
        {
            notes.error(
                full.at,
                "`full` belongs to `failures` over a number of calls, which is missing",
                "remove it",
            );
        }
    }
}

/// A rule and its limit, if both exist; reports a missing one. Each comes with its name and an example.
pub(super) fn pair<R: Copy>(
    rule: &Option<At<R>>,
    limit: &Option<At<Duration>>,
    (rule_name, rule_example): (&str, &str),
    (limit_name, limit_example): (&str, &str),
    notes: &mut Notes,
) -> Option<(R, Duration)> {
    match (rule, limit) {
        (Some(rule), Some(limit)) => return Some((rule.value, limit.value)),
        (Some(rule), None) => notes.error(
            rule.at,
            format!("`{rule_name}` has no `{limit_name}`"),
            format!("add `{limit_name}: {limit_example}`"),
        ),
        (None, Some(limit)) => notes.error(
            limit.at,
            format!("`{limit_name}` belongs to `{rule_name}`, which is missing"),
            format!("add `{rule_name}: {rule_example}`, or remove it"),
        ),
        (None, None) => {}
    }
    None
}
