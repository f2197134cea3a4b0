//! Decides whether a call may pass.
//!
//! It starts no thread, and reads no clock: the caller says when it is, asks for a permit, makes the call and records
//! how it ended. Or it hands the call to a [`Guard`], which does all that with a clock of its own. The [`guide`] tells how
//! to use it and, exactly, what happens then.
//!
//! ```
//! use fusebox_breaker::{Breaker, Outcome, Settings, Timestamp};
//!
//! let breaker = Breaker::new("orders", Settings::default())?;
//! match breaker.admit(Timestamp::ZERO) {
//!     Ok(permit) => {
//!         // the call, then
//!         permit.record(Outcome::Success, Timestamp::from_millis(12));
//!     }
//!     Err(rejection) => println!("{rejection}; come back at {:?}", rejection.retry_at),
//! }
//! # Ok::<(), fusebox_breaker::SettingsErrors>(())
//! ```
//!
//! # Contents
//! - words: [`Outcome`], [`Call`], [`Phase`], [`Rejection`], [`Hold`], [`Transition`], [`Reason`], [`Timestamp`], [`Ratio`]
//! - what a breaker is told: [`Settings`], [`Rule`], [`Cooldown`], [`HalfOpen`], [`Ramp`], [`Mode`]
//! - the machine, pure and unshared: [`Machine`]
//! - the breaker, shared between threads: [`Breaker`], [`Permit`], [`Listener`]
//! - many breakers by key: [`Registry`], [`KeyTemplate`]
//! - a breaker that many processes share: [`ProbeLease`], [`FleetOpening`], [`FleetTally`]
//! - a call in one line: [`Guard`], by key [`Guards`], with a [`Clock`] and a [`Classify`]; as `tower` layers behind the
//!   feature `tower`, and for HTTP, whose calls last until their bodies end, behind the feature `http`
//! - what a breaker shows of itself: [`Snapshot`], [`Explanation`], [`Saved`]
//!
//! # Features
//! None is on by default.
//! - `serde`: [`Settings`] and [`Saved`] are read and written, [`Snapshot`], [`Transition`] and [`Rejection`] are written
//! - `metrics`, `tracing`: ready-made [listeners](Listener) for the `metrics` facade and for `tracing`
//! - `tower`: layers
//! - `http`: layers whose calls last until their bodies end
//! - `tokio`: `Guard::ready` waits until a call may pass

#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(any(doc, doctest))]
pub mod guide;

mod call;
mod cause;
mod chance;
mod outcome;
mod ratio;
mod time;
mod transition;

mod cooldown;
mod ramp;
mod rule;
mod settings;
mod window;

mod machine;

mod breaker;
mod inherited;
mod key_template;
mod key_text;
mod leave;
mod led;
mod listener;
mod log;
mod permit;
mod refused;
mod registry;
mod shared;
mod side;
mod word;

mod call_error;
#[cfg(feature = "tower")]
mod calling;
mod classify;
mod clock;
mod guard;
mod guarded;
mod guards;
#[cfg(feature = "http")]
mod http;
#[cfg(feature = "tower")]
mod keyed_layer;
#[cfg(feature = "tower")]
mod layer;
mod ready;
mod undated;

mod recorder;
mod snapshot;

#[cfg(any(feature = "metrics", feature = "tracing"))]
mod observe;
#[cfg(feature = "serde")]
mod serial;

pub use breaker::{Breaker, Builder};
pub use call::Call;
pub use call_error::{BoxError, Boxed, CallError};
pub use cause::{Cause, Causes};
pub use chance::Chance;
pub use classify::{Classify, ErrorsFail};
pub use clock::{Clock, MonotonicClock};
pub use guard::Guard;
pub use guards::Guards;
#[cfg(feature = "http")]
pub use http::{
    BreakerHttpFuture, BreakerHttpLayer, BreakerHttpService, ByHead, ByStatus, ClassifyHttp,
    GuardedBody, HttpEnd, KeyedBreakerHttpLayer, KeyedBreakerHttpService,
};
pub use key_template::{KeyTemplate, KeyTemplateError};
pub use key_text::KeyParts;
#[cfg(feature = "tower")]
pub use keyed_layer::{KeyedBreakerLayer, KeyedBreakerService};
#[cfg(feature = "tower")]
pub use layer::{BreakerFuture, BreakerLayer, BreakerService};
pub use led::WeakBreaker;
pub use listener::Listener;
pub use machine::{
    Admission, Checked, Explanation, FleetOpening, FleetTally, ForcedTrip, Gap, Grant, Machine,
    Next, ProbeLease, Reconfigured, RuleGap, Settled, SettledAs, WindowFate,
};
#[cfg(feature = "tracing")]
pub use observe::TracingListener;
#[cfg(feature = "metrics")]
pub use observe::{METRICS_BREAKERS_MAX, MetricsListener};
pub use outcome::{Hold, HoldKind, Outcome, Phase, RejectReason, Rejection};
pub use permit::{OwnedPermit, Permit};
pub use ramp::Ramp;
pub use ratio::Ratio;
pub use recorder::{Flown, RECENT_OUTCOMES};
pub use refused::Refused;
pub use registry::{
    DEFAULT_MAX_KEYS, IDLE_AFTER_MIN, KeyCounts, OVERFLOW_BREAKERS, OnOverflow, Registry,
    RegistryBuilder,
};
pub use rule::RuleKind;
pub use settings::{
    CloseRule, Compare, Cooldown, HalfOpen, History, JudgeOn, MAX_CALLS, MAX_FAILURES, MAX_MEMORY,
    Mode, OnAbandoned, OnPanic, OnPeriodTimeout, OnProbeTimeout, Over, Places, Probes, RetryAfter,
    Rule, Settings, SettingsError, SettingsErrors, SlowProbes, WindowKind,
};
pub use snapshot::{
    ProbeStatus, RECENT, RampStatus, RuleStatus, Saved, SavedHold, SavedState, Snapshot, Totals,
};
pub use time::Timestamp;
pub use transition::{Reason, Transition, Transitions};

/// The example of the package's own page.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
