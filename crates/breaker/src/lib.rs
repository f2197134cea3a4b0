//! Decides whether a call may pass.
//!
//! It starts no thread, and reads no clock: the caller gives the time, asks for a permit, makes the call and records
//! its outcome. Or it hands the call to a [`Guard`], which does all that with a clock of its own. The [`guide`]
//! explains the use and the exact behaviour.
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
//! - configuration: [`Settings`], [`Rule`], [`Cooldown`], [`HalfOpen`], [`Ramp`], [`Mode`]
//! - the machine, pure and unshared: [`machine`]
//! - the breaker, shared between threads: [`Breaker`], [`Permit`], [`Listener`]
//! - many breakers by key: [`Registry`], [`KeyTemplate`]
//! - a breaker that many processes share: [`fleet`]
//! - a call in one line: [`Guard`], by key [`Guards`], with a [`Clock`] and a [`Classify`]; as `tower` layers behind the
//!   feature `tower`, and for HTTP, whose calls last until their bodies end, behind the feature `http`
//! - views of a breaker: [`Snapshot`], [`Saved`], and an [`Explanation`](machine::Explanation)
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
mod rule_kind;
pub mod settings;
mod settings_error;
mod window;

pub mod machine;

mod advance;
mod breaker;
mod fleet_led;
mod inherited;
mod key_template;
mod key_text;
mod last_use;
mod log;
mod permit;
mod rare_state;
mod refused;
mod refusing;
pub mod registry;
mod shared;
mod state_word;
mod token;

mod call_error;
#[cfg(feature = "tower")]
mod calling;
mod classify;
mod clock;
mod guard;
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
pub mod snapshot;

#[cfg(any(feature = "metrics", feature = "tracing"))]
mod observe;
#[cfg(feature = "serde")]
mod serial;

pub use advance::Advance;
pub use breaker::Breaker;
pub use breaker::builder::Builder;
pub use breaker::listener::Listener;
pub use call::Call;
pub use call_error::{BoxError, Boxed, CallError};
pub use cause::Cause;
pub use classify::{Classify, ErrorsFail};
pub use clock::{Clock, MonotonicClock};
pub use guard::Guard;
pub use guards::Guards;
#[cfg(feature = "http")]
pub use http::{BreakerHttpLayer, ClassifyHttp, HttpEnd, KeyedBreakerHttpLayer};
pub use key_template::{KeyTemplate, KeyTemplateError};
#[cfg(feature = "tower")]
pub use keyed_layer::KeyedBreakerLayer;
#[cfg(feature = "tower")]
pub use layer::BreakerLayer;
#[cfg(feature = "metrics")]
pub use observe::MetricsListener;
#[cfg(feature = "tracing")]
pub use observe::TracingListener;
pub use outcome::{Hold, HoldKind, Outcome, Phase, RejectReason, Rejection};
pub use permit::{OwnedPermit, Permit};
pub use ramp::Ramp;
pub use ratio::Ratio;
pub use refused::Refused;
pub use registry::{OnOverflow, Registry, RegistryBuilder};
pub use settings::{
    CloseRule, Cooldown, HalfOpen, Mode, OnAbandoned, OnPanic, OnProbeTimeout, Over, Probes,
    RetryAfter, Rule, Settings, SettingsErrors,
};
pub use snapshot::{Saved, SavedState, Snapshot, Totals};
pub use time::Timestamp;
pub use transition::{Reason, Transition};

/// Parts of a fleet's protocol, for code that makes breakers of many processes agree.
pub mod fleet {
    pub use crate::fleet_led::WeakBreaker;
    pub use crate::machine::{FleetOpening, FleetTally, ProbeLease};
}

/// The services, futures and bodies that the layers make, for code that has to name their types.
#[cfg(feature = "tower")]
pub mod layers {
    #[cfg(feature = "http")]
    pub use crate::http::{
        BreakerHttpFuture, BreakerHttpService, ByHead, ByStatus, GuardedBody,
        KeyedBreakerHttpService,
    };
    pub use crate::keyed_layer::KeyedBreakerService;
    pub use crate::layer::{BreakerFuture, BreakerService};
}

/// The example of the package's own page.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
