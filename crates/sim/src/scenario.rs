//! The format of a scenario. Unknown fields are rejected, so that nothing is silently ignored.

use std::time::Duration;

use serde::Deserialize;

/// The kind of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The breaker behaves as written.
    Conformance,
    /// Libraries differ; the breaker behaves as written with the settings of the case.
    Divergence,
    /// The case shows a defect of a library, so it is not run.
    Defect,
}

impl Kind {
    /// The name of the kind: `conformance`, `divergence` or `defect`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Kind::Conformance => "conformance",
            Kind::Divergence => "divergence",
            Kind::Defect => "defect",
        }
    }
}

/// The part of a case that is run.
#[derive(Debug, Deserialize)]
pub struct Scenario {
    pub config: Config,
    pub steps: Vec<Step>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub trip: Trip,
    pub slow: Option<Slow>,
    pub cooldown: Cooldown,
    pub half_open: HalfOpen,
    #[serde(default)]
    pub ignored: Ignored,
    #[serde(default)]
    pub late_results: LateResults,
}

/// A library's treatment of outcomes from an older generation. The breaker here always discards them; this field
/// decides whether counts belong to a generation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "serde_json::Value")]
pub enum LateResults {
    #[default]
    Counted,
    DiscardByGeneration,
}

impl From<serde_json::Value> for LateResults {
    fn from(value: serde_json::Value) -> Self {
        if value == "discard_by_generation" {
            LateResults::DiscardByGeneration
        } else {
            LateResults::Counted
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trip {
    pub policy: Policy,
    pub threshold: Option<u32>,
    pub failures: Option<u32>,
    pub window_calls: Option<u32>,
    pub window_ms: Option<u64>,
    pub min_calls: Option<u32>,
    pub failure_rate: Option<f64>,
    #[serde(default)]
    pub compare: Compare,
    #[serde(default)]
    pub evaluate_on: EvaluateOn,
    /// Number of parts of a library's window; the window here is divided at least as finely.
    #[serde(rename = "buckets")]
    _buckets: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    Consecutive,
    CountWindowRate,
    CountWindowCount,
    TimeWindowRate,
    TimeWindowCount,
    TumblingWindowRate,
    TumblingWindowConsecutive,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum Compare {
    #[default]
    #[serde(rename = ">=")]
    AtLeast,
    #[serde(rename = ">")]
    Above,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EvaluateOn {
    #[default]
    EveryOutcome,
    Failure,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Slow {
    pub duration_ms: u64,
    #[serde(default = "above")]
    pub compare: Compare,
    pub rate: f64,
}

fn above() -> Compare {
    Compare::Above
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cooldown {
    pub kind: CooldownKind,
    pub ms: Option<u64>,
    pub initial_ms: Option<u64>,
    pub multiplier: Option<f64>,
    pub max_ms: Option<u64>,
    /// Always a closing, as in the breaker here; other values are rejected.
    #[serde(default, rename = "resets_on")]
    _resets_on: ResetsOn,
    #[serde(default)]
    pub admit_when_elapsed: AdmitWhenElapsed,
    /// True if a result may carry its own open duration.
    #[serde(default)]
    pub from_result: FromResult,
}

/// A switch that is on for any value except `false` and `null`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "serde_json::Value")]
pub struct FromResult(pub bool);

impl From<serde_json::Value> for FromResult {
    fn from(value: serde_json::Value) -> Self {
        FromResult(!matches!(
            value,
            serde_json::Value::Null | serde_json::Value::Bool(false)
        ))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CooldownKind {
    Fixed,
    Exponential,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResetsOn {
    #[default]
    Close,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum AdmitWhenElapsed {
    #[default]
    #[serde(rename = ">=")]
    At,
    #[serde(rename = ">")]
    After,
    #[serde(rename = "timer")]
    Timer,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HalfOpen {
    /// `None` is unlimited.
    pub max_calls: Option<u32>,
    pub decide: Decide,
    pub decide_after: Option<u32>,
    pub close_after: Option<u32>,
    pub open_on_first_failure: Option<bool>,
    pub successes: Option<u32>,
    pub of: Option<u32>,
    pub open_after: Option<u32>,
    pub close_after_successes: Option<u32>,
    /// `None` and 0 are unlimited.
    pub max_wait_ms: Option<u64>,
    pub after_max_wait: Option<StateName>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decide {
    RateOverProbes,
    ConsecutiveSuccesses,
    SuccessRatio,
    FailureCount,
    FirstProbe,
    FirstResult,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ignored {
    #[default]
    NeutralReleasePermit,
    CountsAsSuccess,
}

/// A state in the format; the last four are holds or modes of the breaker here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StateName {
    Closed,
    Open,
    HalfOpen,
    ForcedOpen,
    Isolated,
    Disabled,
    MetricsOnly,
}

impl StateName {
    pub const fn as_str(self) -> &'static str {
        match self {
            StateName::Closed => "closed",
            StateName::Open => "open",
            StateName::HalfOpen => "half_open",
            StateName::ForcedOpen => "forced_open",
            StateName::Isolated => "isolated",
            StateName::Disabled => "disabled",
            StateName::MetricsOnly => "metrics_only",
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case", deny_unknown_fields)]
#[allow(clippy::enum_variant_names)] // The names are those of the format.
pub enum Step {
    Advance {
        ms: u64,
        /// Real waiting in a library's test; virtual time needs none.
        #[serde(default, rename = "real_time")]
        _real_time: bool,
        state: Option<StateName>,
        #[serde(rename = "note")]
        _note: Option<String>,
    },
    /// No effect, since the breaker does not use wall clocks.
    WallClockStep {
        #[serde(rename = "ms")]
        _ms: i64,
        state: Option<StateName>,
        #[serde(rename = "note")]
        _note: Option<String>,
    },
    Acquire {
        id: String,
        expect: Option<Expect>,
        retry_after_ms: Option<u64>,
        state: Option<StateName>,
        #[serde(rename = "note")]
        _note: Option<String>,
    },
    Complete {
        id: String,
        outcome: Ending,
        /// Default: the virtual time between permit and outcome.
        duration_ms: Option<u64>,
        state: Option<StateName>,
        #[serde(rename = "note")]
        _note: Option<String>,
    },
    Call {
        outcome: Ending,
        /// Default: the virtual time between permit and outcome.
        duration_ms: Option<u64>,
        expect: Option<Expect>,
        #[serde(default = "once")]
        times: u32,
        retry_after_ms: Option<u64>,
        state: Option<StateName>,
        #[serde(rename = "note")]
        _note: Option<String>,
    },
    Force {
        to: StateName,
        state: Option<StateName>,
        #[serde(rename = "note")]
        _note: Option<String>,
    },
    Repeat {
        times: u32,
        steps: Vec<Step>,
        state: Option<StateName>,
        #[serde(rename = "note")]
        _note: Option<String>,
    },
    Check(Check),
}

fn once() -> u32 {
    1
}

/// Values to be compared with the breaker's state.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Check {
    pub buffered: Option<u64>,
    pub buffered_max: Option<u64>,
    pub failure_rate: Option<f64>,
    pub slow_rate: Option<f64>,
    /// Calls in the window, plus permits of the present generation without an outcome.
    pub requests: Option<u64>,
    pub failures: Option<u64>,
    pub generator_attempts: Option<Vec<u32>>,
    pub state: Option<StateName>,
    #[serde(rename = "note")]
    _note: Option<String>,
}

impl Check {
    /// True if a value is checked that needs a window of all calls.
    pub fn asks_for_calls(&self) -> bool {
        self.buffered.is_some()
            || self.buffered_max.is_some()
            || self.failure_rate.is_some()
            || self.requests.is_some()
            || self.failures.is_some()
    }
}

impl Step {
    /// The state expected after the step.
    pub fn state(&self) -> Option<StateName> {
        match self {
            Step::Advance { state, .. }
            | Step::WallClockStep { state, .. }
            | Step::Acquire { state, .. }
            | Step::Complete { state, .. }
            | Step::Call { state, .. }
            | Step::Force { state, .. }
            | Step::Repeat { state, .. }
            | Step::Check(Check { state, .. }) => *state,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Expect {
    Permit,
    Reject,
}

/// The end of a call, or `None` if it does not end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Ending {
    None,
    Success,
    Failure,
    Ignored,
    Cancelled,
    /// A failure that carries the time to stay open.
    RetryAfter(Duration),
}

impl TryFrom<String> for Ending {
    type Error = String;

    fn try_from(word: String) -> Result<Self, String> {
        Ok(match word.as_str() {
            "none" => Ending::None,
            "success" => Ending::Success,
            "failure" => Ending::Failure,
            "ignored" => Ending::Ignored,
            "cancelled" => Ending::Cancelled,
            _ => word
                .strip_prefix("retry_after_")
                .and_then(|rest| rest.strip_suffix('s'))
                .and_then(|seconds| seconds.parse().ok())
                .map(|seconds| Ending::RetryAfter(Duration::from_secs(seconds)))
                .ok_or_else(|| {
                    format!(
                        "unknown outcome `{word}`; expected success, failure, ignored, cancelled, none or retry_after_30s"
                    )
                })?,
        })
    }
}
