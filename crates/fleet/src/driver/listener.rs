//! The listener of shared breakers: it queues events for the task, on the thread of the call that caused them.

use std::sync::Arc;

use fusebox_breaker::{Breaker, Listener, Transition};

use super::Fleet;
use crate::share::Share;

/// A listener that forwards events to a fleet and to an optional second listener.
pub(super) struct FleetListener {
    pub fleet: Fleet,
    pub share: Share,
    pub also: Option<Arc<dyn Listener>>,
}

impl Listener for FleetListener {
    fn transition(&self, breaker: &Breaker, transition: &Transition) {
        self.fleet.inbox.transition(breaker, transition);
        if let Some(also) = &self.also {
            also.transition(breaker, transition);
        }
    }

    fn demanded(&self, breaker: &Breaker) {
        self.fleet.inbox.demanded(breaker);
        if let Some(also) = &self.also {
            also.demanded(breaker);
        }
    }

    fn stirred(&self, breaker: &Breaker) {
        self.fleet.inbox.stirred(breaker);
        if let Some(also) = &self.also {
            also.stirred(breaker);
        }
    }

    fn made(&self, breaker: &Breaker) {
        if let Err(error) = self.fleet.join(breaker, self.share) {
            self.fleet.inbox.rejected(breaker.name().clone(), error);
        }
        if let Some(also) = &self.also {
            also.made(breaker);
        }
    }
}
