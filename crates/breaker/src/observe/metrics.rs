//! A listener that keeps metrics through the `metrics` facade, under the gateway's names.

use std::collections::HashSet;
use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard};

use ::metrics::{SharedString, Unit, counter, describe_counter, describe_gauge, gauge};

use crate::breaker::Breaker;
use crate::breaker::listener::Listener;
use crate::outcome::Phase;
use crate::refused::Refused;
use crate::rule_kind::RuleKind;
use crate::time::Timestamp;
use crate::transition::Transition;

const STATE: &str = "fusebox_breaker_state";
const HELD: &str = "fusebox_breaker_held";
const TRANSITIONS: &str = "fusebox_breaker_transitions_total";
const REJECTED: &str = "fusebox_breaker_rejected_total";
const REJECTED_REASON: &str = "fusebox_breaker_rejected_reason_total";
const WOULD_REJECT: &str = "fusebox_breaker_would_reject_total";
const CALLS: &str = "fusebox_breaker_calls_total";
const ADMIT_PROBABILITY: &str = "fusebox_breaker_admit_probability";
const RAMP_RATIO: &str = "fusebox_breaker_ramp_ratio";
const FAILURE_RATIO: &str = "fusebox_breaker_failure_ratio";
const SLOW_RATIO: &str = "fusebox_breaker_slow_ratio";
const WINDOW_CALLS: &str = "fusebox_breaker_window_calls";
const STALLED_CALLS: &str = "fusebox_breaker_stalled_calls";

/// Keeps metrics of breakers through the `metrics` facade, for whichever exporter the program installs. The names and
/// labels are those of the gateway, so one dashboard shows both:
///
/// | name | labels | kept by |
/// |---|---|---|
/// | `fusebox_breaker_state` | `breaker`, `state` | transitions: 1 for the state it is in, 0 for the others |
/// | `fusebox_breaker_held` | `breaker` | transitions: 1 while an operator holds it |
/// | `fusebox_breaker_transitions_total` | `breaker`, `from`, `to`, `reason` | transitions, holds, resets |
/// | `fusebox_breaker_rejected_total`, `fusebox_breaker_rejected_reason_total` | `breaker`, `state` or `reason` | refusals by guards and layers, and those that callers of `admit` [tell](Breaker::refused) |
/// | `fusebox_breaker_calls_total` | `breaker`, `outcome`: `failure`, `ignored`, `late` | [`observe`](MetricsListener::observe); successes are not among them, since a breaker does not [count](crate::Totals) them all |
/// | `fusebox_breaker_would_reject_total` | `breaker` | `observe`: calls that monitor mode let pass |
/// | `fusebox_breaker_admit_probability`, `fusebox_breaker_ramp_ratio` | `breaker` | `observe` |
/// | `fusebox_breaker_failure_ratio`, `fusebox_breaker_slow_ratio`, `fusebox_breaker_window_calls`, `fusebox_breaker_stalled_calls` | `breaker` | `observe`, where there are such rules |
///
/// An admitted call costs nothing, a refused one two counters of the recorder. A transition takes a lock of the
/// listener, so that the state written last is the last one. Of all breakers that share a listener the first 1,000 to
/// change have labels of their own, the transitions of the rest are counted as `other`, so keys that clients choose
/// cannot fill the exporter.
///
/// ```
/// use fusebox_breaker::{Breaker, MetricsListener, Settings};
/// use std::sync::Arc;
///
/// // After the program's recorder is installed.
/// let metrics = Arc::new(MetricsListener::new());
/// let breaker = Breaker::builder("orders", Settings::default())
///     .listener(metrics.clone())
///     .build()?;
/// metrics.watch(&breaker);
/// # Ok::<(), fusebox_breaker::SettingsErrors>(())
/// ```
#[derive(Debug)]
pub struct MetricsListener {
    /// The names that have labels of their own.
    labelled: RwLock<HashSet<Arc<str>>>,
}

impl Default for MetricsListener {
    fn default() -> Self {
        MetricsListener::new()
    }
}

impl MetricsListener {
    /// Number of breakers that get labels of their own.
    pub const BREAKERS_MAX: usize = 1_000;

    /// A listener for any number of breakers. Describes the metrics to the recorder that is installed at that time.
    pub fn new() -> Self {
        describe_gauge!(
            STATE,
            Unit::Count,
            "1 for the state the breaker is in, 0 for the others"
        );
        describe_gauge!(HELD, Unit::Count, "1 while an operator holds the breaker");
        describe_counter!(TRANSITIONS, Unit::Count, "Transitions, holds and resets");
        describe_counter!(REJECTED, Unit::Count, "Calls refused, by the state");
        describe_counter!(REJECTED_REASON, Unit::Count, "Calls refused, by the reason");
        describe_counter!(
            WOULD_REJECT,
            Unit::Count,
            "Calls that monitor mode let pass"
        );
        describe_counter!(CALLS, Unit::Count, "Outcomes of calls, without successes");
        describe_gauge!(
            ADMIT_PROBABILITY,
            "The probability with which a call passes now"
        );
        describe_gauge!(RAMP_RATIO, "The share of calls that passes after a close");
        describe_gauge!(FAILURE_RATIO, "The share of failures that a rule sees");
        describe_gauge!(SLOW_RATIO, "The share of slow calls that a rule sees");
        describe_gauge!(
            WINDOW_CALLS,
            Unit::Count,
            "The calls in the window of a rate"
        );
        describe_gauge!(STALLED_CALLS, Unit::Count, "The calls that hang");
        MetricsListener {
            labelled: RwLock::default(),
        }
    }

    /// Writes a breaker's state at once, as its last event left it: without it a breaker appears with its first
    /// transition.
    pub fn watch(&self, breaker: &Breaker) {
        let mut labelled = self.labelled();
        if let Some(name) = own_label(&mut labelled, breaker) {
            show(&name, breaker, Timestamp::ZERO);
        }
    }

    /// Reads a breaker, for callers that do so every few seconds or at each scrape. `now` is the time by the clock of
    /// its calls; reading changes nothing. A breaker past the first 1,000 is passed over.
    pub fn observe(&self, breaker: &Breaker, now: Timestamp) {
        let mut labelled = self.labelled();
        let Some(name) = own_label(&mut labelled, breaker) else {
            return;
        };
        show(&name, breaker, now);
        drop(labelled);
        let snapshot = breaker.snapshot(now);
        let totals = snapshot.totals;
        for (outcome, total) in [
            ("failure", totals.failures),
            ("ignored", totals.ignored),
            ("late", totals.late),
        ] {
            counter!(CALLS, "breaker" => name.clone(), "outcome" => outcome).absolute(total);
        }
        counter!(WOULD_REJECT, "breaker" => name.clone()).absolute(totals.would_reject);
        let set = |metric: &'static str, value: f64| {
            gauge!(metric, "breaker" => name.clone()).set(value);
        };
        set(ADMIT_PROBABILITY, snapshot.admit_probability);
        set(RAMP_RATIO, snapshot.ramp.map_or(1.0, |ramp| ramp.share));
        for rule in &snapshot.rules {
            match rule.rule {
                RuleKind::FailureRate => set(FAILURE_RATIO, rule.observed),
                RuleKind::SlowRate => set(SLOW_RATIO, rule.observed),
                RuleKind::Stalled => set(STALLED_CALLS, rule.observed),
                RuleKind::ConsecutiveFailures | RuleKind::Failures | RuleKind::Adaptive => continue,
            }
            if rule.rule != RuleKind::Stalled {
                set(WINDOW_CALLS, rule.calls as f64);
            }
        }
    }

    /// The label of a refusal. Refusals come as fast as callers ask, so they hold one another up only until the breaker
    /// is known.
    fn label(&self, breaker: &Breaker) -> SharedString {
        let name = breaker.name();
        let known = self.labelled.read().unwrap_or_else(PoisonError::into_inner);
        if known.contains(name) {
            return SharedString::from_shared(name.clone());
        }
        if known.len() >= MetricsListener::BREAKERS_MAX {
            return OTHER;
        }
        drop(known);
        own_label(&mut self.labelled(), breaker).unwrap_or(OTHER)
    }

    fn labelled(&self) -> RwLockWriteGuard<'_, HashSet<Arc<str>>> {
        self.labelled
            .write()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Listener for MetricsListener {
    fn refused(&self, breaker: &Breaker, refused: &Refused) {
        let name = self.label(breaker);
        counter!(REJECTED, "breaker" => name.clone(), "state" => refused.phase.as_str())
            .increment(1);
        counter!(REJECTED_REASON, "breaker" => name, "reason" => refused.reason.as_str())
            .increment(1);
    }

    fn transition(&self, breaker: &Breaker, transition: &Transition) {
        let mut labelled = self.labelled();
        let own = own_label(&mut labelled, breaker);
        if let Some(name) = &own {
            show(name, breaker, transition.at);
        }
        drop(labelled);
        counter!(
            TRANSITIONS,
            "breaker" => own.unwrap_or(OTHER),
            "from" => transition.from.as_str(),
            "to" => transition.to.as_str(),
            "reason" => transition.reason.token(),
        )
        .increment(1);
    }
}

/// The label of all breakers beyond the most.
const OTHER: SharedString = SharedString::const_str("other");

/// A breaker's own label, if it has one or there is room for one.
fn own_label(labelled: &mut HashSet<Arc<str>>, breaker: &Breaker) -> Option<SharedString> {
    let name = breaker.name();
    if !labelled.contains(name) {
        if labelled.len() >= MetricsListener::BREAKERS_MAX {
            return None;
        }
        labelled.insert(name.clone());
    }
    Some(SharedString::from_shared(name.clone()))
}

/// Writes the present state instead of the transition's: of two threads the later writer may have the earlier
/// transition.
fn show(name: &SharedString, breaker: &Breaker, now: Timestamp) {
    let snapshot = breaker.snapshot(now);
    for phase in [Phase::Closed, Phase::Open, Phase::HalfOpen] {
        let is = f64::from(u8::from(snapshot.phase == phase));
        gauge!(STATE, "breaker" => name.clone(), "state" => phase.as_str()).set(is);
    }
    let held = f64::from(u8::from(snapshot.hold.is_some()));
    gauge!(HELD, "breaker" => name.clone()).set(held);
}
