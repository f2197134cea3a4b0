//! A breaker as a row of the table, and its place in the order.

use std::cmp::Ordering;
use std::time::SystemTime;

use serde::de::{Deserialize, Deserializer};
use serde_json::Value;

/// The seconds that a row's picture shows.
const MINUTE: usize = 60;

/// A breaker in the words of `GET /api/v1/state`, or a circuit that a flow builds by hand.
#[derive(Debug, Clone, PartialEq, serde::Deserialize)]
pub struct Row {
    /// The breaker's name, as paths of the API have it.
    pub name: String,
    /// The upstream before which it stands.
    #[serde(default)]
    pub upstream: Option<String>,
    /// The kind: `upstream`, `endpoint`, `service` or `flow`.
    #[serde(default)]
    pub kind: String,
    /// The machine's state, also under a hold.
    pub state: Phase,
    /// The mode: `enforce`, `monitor` or `disabled`.
    #[serde(default)]
    pub mode: String,
    /// An operator's hold.
    #[serde(default)]
    pub hold: Option<Hold>,
    /// The time of the last transition.
    #[serde(default, deserialize_with = "time")]
    pub since: Option<SystemTime>,
    /// The time at which it is worth calling again.
    #[serde(default, deserialize_with = "time")]
    pub retry_at: Option<SystemTime>,
    /// The cause of a state that is not simply closed.
    #[serde(default)]
    pub why: Option<String>,
    /// The growing part of the calls that passes after a close.
    #[serde(default)]
    pub ramp: Option<Ramp>,
    /// The rates of the last ten seconds; `None` if nothing counts its calls.
    #[serde(default)]
    pub rates: Option<Rates>,
    /// Calls that succeeded, failed and were refused in each second of the last minute, the oldest first.
    #[serde(default)]
    pub minute: Option<Vec<[u64; 3]>>,
    /// The endpoints in use, of all of the upstream's.
    #[serde(default)]
    pub endpoints: Option<Endpoints>,
    /// The rules; read for their observations alone.
    #[serde(default)]
    pub rules: Vec<Value>,
}

/// A breaker's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// All calls pass.
    Closed,
    /// No call passes.
    Open,
    /// Single calls try the upstream.
    HalfOpen,
}

impl Phase {
    /// The state of an event's word; `None`: this program does not know it.
    pub fn read(word: &Value) -> Option<Phase> {
        serde_json::from_value(word.clone()).ok()
    }
}

/// An operator's hold.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
pub struct Hold {
    /// The state in which the breaker is held: `open` or `closed`.
    pub kind: Phase,
    /// The end of the hold; `None`: when it is released.
    #[serde(default, deserialize_with = "time")]
    pub until: Option<SystemTime>,
    /// The operator's reason.
    #[serde(default)]
    pub reason: String,
    /// The operator's name.
    #[serde(default)]
    pub by: String,
}

/// A ramp after a close.
#[derive(Debug, Clone, PartialEq, serde::Deserialize)]
pub struct Ramp {
    /// The share of the calls that pass, from 0 to 1.
    pub share: f64,
    /// The time from which all pass.
    #[serde(default, deserialize_with = "time")]
    pub ends: Option<SystemTime>,
}

/// The rates of a breaker's calls. Facts that need a call are `None` without one.
#[derive(Debug, Clone, Default, PartialEq, serde::Deserialize)]
#[serde(default)]
pub struct Rates {
    /// Calls in a second that went to the upstream.
    pub calls_per_s: f64,
    /// The share of them that failed, from 0 to 1.
    pub failed_ratio: Option<f64>,
    /// Calls in a second that were refused.
    pub refused_per_s: f64,
    /// Calls in a second that a fallback answered.
    pub fallback_per_s: f64,
    /// The median duration in milliseconds.
    pub p50_ms: Option<f64>,
    /// The duration that 95 % of the calls do not exceed.
    pub p95_ms: Option<f64>,
    /// The duration that 99 % of the calls do not exceed.
    pub p99_ms: Option<f64>,
}

/// The endpoints of an upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
pub struct Endpoints {
    /// The number of those that get calls.
    pub in_use: u64,
    /// The number of all.
    pub of: u64,
}

/// The look of a row: what an operator must know of it first. The first ones need attention first, in the order of the
/// API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Look {
    /// Open, until its cooldown has ended.
    Open,
    /// Half-open: it lets probes pass.
    HalfOpen,
    /// Held open by an operator.
    HeldOpen,
    /// Held closed by an operator.
    HeldClosed,
    /// Closed, and a growing part of the calls passes.
    Ramp,
    /// Closed, and a rule has seen failures.
    Failing,
    /// Closed without failures.
    Closed,
    /// Disabled: it neither refuses nor watches.
    Disabled,
}

impl Look {
    /// The place in the order; holds of both kinds share one.
    pub fn rank(self) -> u8 {
        match self {
            Look::Open => 0,
            Look::HalfOpen => 1,
            Look::HeldOpen | Look::HeldClosed => 2,
            Look::Ramp => 3,
            Look::Failing => 4,
            Look::Closed => 5,
            Look::Disabled => 6,
        }
    }
}

impl Row {
    /// The row's look.
    pub fn look(&self) -> Look {
        if self.mode == "disabled" {
            return Look::Disabled;
        }
        if let Some(hold) = &self.hold {
            return match hold.kind {
                Phase::Open => Look::HeldOpen,
                Phase::Closed | Phase::HalfOpen => Look::HeldClosed,
            };
        }
        match self.state {
            Phase::Open => Look::Open,
            Phase::HalfOpen => Look::HalfOpen,
            Phase::Closed if self.ramp.is_some() => Look::Ramp,
            Phase::Closed if self.rules.iter().any(has_seen) => Look::Failing,
            Phase::Closed => Look::Closed,
        }
    }

    /// True if the breaker refuses its calls now.
    pub fn refuses(&self) -> bool {
        matches!(self.look(), Look::Open | Look::HeldOpen)
    }

    /// True for one endpoint of an upstream, whose fault is the upstream's business.
    pub fn is_endpoint(&self) -> bool {
        self.kind == "endpoint"
    }

    /// True for a circuit that a flow builds by hand.
    pub fn is_flow(&self) -> bool {
        self.kind == "flow"
    }

    /// Takes the numbers of a second; `None`: nothing happened in it.
    pub fn pulse(&mut self, news: Option<(Rates, [u64; 3])>) {
        let (rates, second) = news.map_or((None, [0; 3]), |(rates, second)| (Some(rates), second));
        if let Some(rates) = rates {
            self.rates = Some(rates);
        }
        if let Some(minute) = &mut self.minute {
            minute.push(second);
            let old = minute.len().saturating_sub(MINUTE);
            minute.drain(..old);
        }
    }
}

fn has_seen(rule: &Value) -> bool {
    rule["observed"].as_f64().is_some_and(|it| it > 0.0)
}

/// The order of the rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Sort {
    /// Those that need attention first.
    #[default]
    Attention,
    /// Ordered by name.
    Name,
    /// Most calls first.
    Calls,
    /// Largest share of failures first.
    Failed,
    /// Most refusals first.
    Refused,
    /// Slowest first, by the 99th percentile.
    Slow,
}

impl Sort {
    /// The next order, in a circle.
    pub fn next(self) -> Sort {
        match self {
            Sort::Attention => Sort::Name,
            Sort::Name => Sort::Calls,
            Sort::Calls => Sort::Failed,
            Sort::Failed => Sort::Refused,
            Sort::Refused => Sort::Slow,
            Sort::Slow => Sort::Attention,
        }
    }

    /// The order in words.
    pub fn word(self) -> &'static str {
        match self {
            Sort::Attention => "attention",
            Sort::Name => "name",
            Sort::Calls => "calls",
            Sort::Failed => "failed",
            Sort::Refused => "refused",
            Sort::Slow => "p99",
        }
    }

    /// Compares two rows; equal ones by name.
    pub fn compare(self, one: &Row, other: &Row) -> Ordering {
        let by = |number: fn(&Rates) -> Option<f64>| {
            let of = |row: &Row| row.rates.as_ref().and_then(number).unwrap_or(-1.0);
            of(other).total_cmp(&of(one))
        };
        let order = match self {
            Sort::Attention => one.look().rank().cmp(&other.look().rank()),
            Sort::Name => Ordering::Equal,
            Sort::Calls => by(|rates| Some(rates.calls_per_s)),
            Sort::Failed => by(|rates| rates.failed_ratio),
            Sort::Refused => by(|rates| Some(rates.refused_per_s)),
            Sort::Slow => by(|rates| rates.p99_ms),
        };
        order.then_with(|| one.name.cmp(&other.name))
    }
}

/// Reads a time; one that cannot be read is none.
pub fn time<'de, D: Deserializer<'de>>(from: D) -> Result<Option<SystemTime>, D::Error> {
    let text = Option::<String>::deserialize(from)?;
    Ok(text.and_then(|text| humantime::parse_rfc3339(&text).ok()))
}
