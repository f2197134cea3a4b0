//! A listener that writes transitions to `tracing`.

use crate::breaker::Breaker;
use crate::breaker::listener::Listener;
use crate::outcome::Phase;
use crate::transition::Transition;

/// Writes an event for every transition: a warning for a breaker that opens, else information.
///
/// The events have the target `fusebox_breaker`, the fields `breaker`, `from`, `to`, `token` (the reason's stable word)
/// and `generation`, and a message such as `breaker orders is open: 5 consecutive failures, the limit is 5`; they are
/// those of the gateway's log. They are written in the thread whose call caused the transition: a subscriber that may
/// block belongs behind a queue.
///
/// ```
/// use fusebox_breaker::{Breaker, Settings, TracingListener};
/// use std::sync::Arc;
///
/// let breaker = Breaker::builder("orders", Settings::default())
///     .listener(Arc::new(TracingListener))
///     .build()?;
/// # Ok::<(), fusebox_breaker::SettingsErrors>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct TracingListener;

impl Listener for TracingListener {
    fn transition(&self, breaker: &Breaker, transition: &Transition) {
        let (name, generation) = (breaker.name(), transition.generation);
        let (from, to) = (transition.from.as_str(), transition.to.as_str());
        let token = transition.reason.token();
        let reason = &transition.reason;
        macro_rules! tell {
            ($level:ident, $($message:tt)+) => {
                ::tracing::$level!(
                    target: "fusebox_breaker", breaker = %name, from, to, token, generation, $($message)+
                )
            };
        }
        match transition.to {
            _ if transition.from == transition.to => tell!(info, "breaker {name}: {reason}"),
            Phase::Open => tell!(warn, "breaker {name} is open: {reason}"),
            Phase::HalfOpen => tell!(info, "breaker {name} is half-open: {reason}"),
            Phase::Closed => tell!(info, "breaker {name} is closed: {reason}"),
        }
    }
}
