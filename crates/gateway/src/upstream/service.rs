//! A breaker without an upstream, for programs that ask and report.

use std::sync::Arc;

use fusebox_plan::plan::ServiceBreaker;

use crate::upstream::breakers::LiveBreaker;
use crate::upstream::event_switch::EventSwitch;

/// A breaker of `breakers:` as it runs.
#[derive(Debug)]
pub struct LiveService {
    pub plan: Arc<ServiceBreaker>,
    pub live_breaker: LiveBreaker,
    /// The listener of its breaker.
    pub events: Arc<EventSwitch>,
}
