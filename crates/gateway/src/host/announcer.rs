//! The listener of all breakers: logs each transition, counts it, and has its record written.

use std::collections::HashMap;
use std::sync::Arc;

use fusebox_breaker::{Breaker, Listener, Phase, Reason, Transition};
use parking_lot::Mutex;

use crate::host::hold_ends::HoldEnds;
use crate::host::records::Changed;

/// The most different transitions that are counted, since clients can make up keys.
const COUNTED_MAX: usize = 20_000;

/// The labels under which a transition is counted.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TransitionKey {
    /// The breaker's name.
    pub breaker: Arc<str>,
    /// The state that was left.
    pub from: &'static str,
    /// The state that was entered; the same where only a hold or the generation changed.
    pub to: &'static str,
    /// The reason's token.
    pub reason: &'static str,
}

/// The listener of all the gateway's breakers.
#[derive(Debug, Default)]
pub struct Announcer {
    counts: Mutex<HashMap<TransitionKey, u64>>,
    /// The breakers whose record must be written.
    pub changed: Arc<Changed>,
    /// The holds that have an end.
    pub hold_ends: Arc<HoldEnds>,
}

impl Announcer {
    /// The number of occurrences of each transition, in order.
    pub fn counts(&self) -> Vec<(TransitionKey, u64)> {
        let counts = self.counts.lock();
        let mut all: Vec<_> = counts
            .iter()
            .map(|(key, count)| (key.clone(), *count))
            .collect();
        all.sort();
        all
    }

    fn count(&self, breaker: &Breaker, transition: &Transition) {
        let key = TransitionKey {
            breaker: breaker.name().clone(),
            from: transition.from.as_str(),
            to: transition.to.as_str(),
            reason: transition.reason.token(),
        };
        let mut counts = self.counts.lock();
        let full = counts.len() >= COUNTED_MAX && !counts.contains_key(&key);
        let key = if full {
            TransitionKey {
                breaker: "other".into(),
                ..key
            }
        } else {
            key
        };
        *counts.entry(key).or_default() += 1;
    }
}

impl Listener for Announcer {
    fn transition(&self, breaker: &Breaker, transition: &Transition) {
        self.count(breaker, transition);
        self.changed.mark(breaker);
        if matches!(
            transition.reason,
            Reason::HeldOpen { .. } | Reason::HeldClosed { .. }
        ) {
            self.hold_ends.note(breaker, transition.at);
        }
        let (name, generation) = (breaker.name(), transition.generation);
        let (from, to) = (transition.from.as_str(), transition.to.as_str());
        let token = transition.reason.token();
        let reason = &transition.reason;
        if transition.from == transition.to {
            // A hold or a reset: the state beneath is unchanged.
            tracing::info!(breaker = %name, from, to, token, generation, "breaker {name}: {reason}");
        } else if transition.to == Phase::Open {
            tracing::warn!(breaker = %name, from, to, token, generation, "breaker {name} is open: {reason}");
        } else {
            let to_words = to.replace('_', "-");
            tracing::info!(breaker = %name, from, to, token, generation, "breaker {name} is {to_words}: {reason}");
        }
    }
}
