//! Forwards breaker events to the gateway and, for shared breakers, to the fleet.
//!
//! A breaker keeps the listener that it was built with, while a reload may share it or stop sharing it. So the listener
//! stays the same, and switches its target as the present plan says. It is called only when a breaker changes state, asks
//! to probe or counts its first failure.

use std::sync::Arc;

use arc_swap::ArcSwap;
use fusebox_breaker::{Breaker, Listener, Transition};
use fusebox_fleet::{Fleet, Share};
use fusebox_plan::plan;

use crate::upstream::breakers::LiveBreaker;

/// The listener of an upstream's breakers, whose target a reload can switch.
pub struct EventSwitch {
    gateway: Arc<dyn Listener>,
    /// The fleet; `None` without a store to share breakers through.
    fleet: Option<Fleet>,
    target: ArcSwap<Target>,
}

struct Target {
    share: Option<Share>,
    listener: Arc<dyn Listener>,
}

impl EventSwitch {
    /// Forwards to the gateway alone; no breaker is shared yet.
    pub fn new(gateway: Arc<dyn Listener>, fleet: Option<Fleet>) -> Arc<EventSwitch> {
        let alone = Target {
            share: None,
            listener: gateway.clone(),
        };
        Arc::new(EventSwitch {
            gateway,
            fleet,
            target: ArcSwap::from_pointee(alone),
        })
    }

    /// A switch without a target, for an upstream without breakers.
    pub fn off() -> Arc<EventSwitch> {
        EventSwitch::new(Arc::new(NoListener), None)
    }

    /// Drops all further events.
    pub fn turn_off(&self) {
        self.target.store(Arc::new(Target {
            share: None,
            listener: Arc::new(NoListener),
        }));
    }

    /// Shares the present breakers and all later ones as the plan `wanted` says, or stops sharing them.
    pub fn share(&self, wanted: plan::Share, breakers: impl FnOnce() -> Vec<LiveBreaker>) {
        let Some(fleet) = &self.fleet else { return };
        let was = self.target.load().share;
        let share = share_of(wanted);
        if share.is_none() && was.is_none() {
            return;
        }
        let listener = match share {
            Some(share) => fleet.listener(share, Some(self.gateway.clone())),
            None => self.gateway.clone(),
        };
        // Stored before `breakers` lists them: a breaker created in between joins by itself.
        self.target.store(Arc::new(Target { share, listener }));
        for live_breaker in breakers() {
            let breaker = &live_breaker.breaker;
            match share {
                None => fleet.leave(breaker),
                Some(share) => {
                    if let Err(error) = fleet.join(breaker, share) {
                        let name = breaker.name();
                        tracing::error!(breaker = %name, %error, "the breaker is not shared");
                    }
                }
            }
        }
    }
}

struct NoListener;

impl Listener for NoListener {
    fn transition(&self, _: &Breaker, _: &Transition) {}
}

/// The sharing that a plan asks for, as the fleet's type; `None`: not shared.
fn share_of(plan: plan::Share) -> Option<Share> {
    match plan {
        plan::Share::None => None,
        plan::Share::Verdict => Some(Share::Verdict),
        plan::Share::Quorum(nodes) => Some(Share::Quorum(nodes)),
        plan::Share::Counts => Some(Share::Counts),
    }
}

impl Listener for EventSwitch {
    fn transition(&self, breaker: &Breaker, transition: &Transition) {
        self.target.load().listener.transition(breaker, transition);
    }

    fn demanded(&self, breaker: &Breaker) {
        self.target.load().listener.demanded(breaker);
    }

    fn stirred(&self, breaker: &Breaker) {
        self.target.load().listener.stirred(breaker);
    }

    fn made(&self, breaker: &Breaker) {
        self.target.load().listener.made(breaker);
    }
}

impl std::fmt::Debug for EventSwitch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EventSwitch")
            .field("share", &self.target.load().share)
            .finish_non_exhaustive()
    }
}
