//! The listener of shared breakers: writes down what it hears, in the thread whose call brought it about.

use std::sync::Arc;

use fusebox_breaker::{Breaker, Listener, Transition};

use super::Fleet;
use crate::share::Share;

/// Hears for a fleet, and passes on.
pub(super) struct Ear {
    pub fleet: Fleet,
    pub share: Share,
    pub also: Option<Arc<dyn Listener>>,
}

impl Listener for Ear {
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
            self.fleet.inbox.refused(breaker.name().clone(), error);
        }
        if let Some(also) = &self.also {
            also.made(breaker);
        }
    }
}
