//! Who hears of the breakers before an upstream: the gateway always, the fleet where they are shared.
//!
//! A breaker keeps the listener that it was made with, while a reload may share it or let it be its own. So the
//! listener is the same one throughout, and passes on to whom the present plan says. It is called only when a breaker
//! changes, wants to probe or counts its first failure.

use std::sync::Arc;

use arc_swap::ArcSwap;
use fusebox_breaker::{Breaker, Listener, Transition};
use fusebox_fleet::{Fleet, Share};
use fusebox_plan::plan;

use crate::upstream::breakers::Guarded;

/// The listener of an upstream's breakers.
pub struct Ears {
    gateway: Arc<dyn Listener>,
    /// `None`: there is no store through which to share.
    fleet: Option<Fleet>,
    hears: ArcSwap<Hears>,
}

struct Hears {
    share: Option<Share>,
    listener: Arc<dyn Listener>,
}

impl Ears {
    /// Nothing is shared yet.
    pub fn new(gateway: Arc<dyn Listener>, fleet: Option<Fleet>) -> Arc<Ears> {
        let alone = Hears {
            share: None,
            listener: gateway.clone(),
        };
        Arc::new(Ears {
            gateway,
            fleet,
            hears: ArcSwap::from_pointee(alone),
        })
    }

    /// A listener beside no breaker.
    pub fn deaf() -> Arc<Ears> {
        Ears::new(Arc::new(Deaf), None)
    }

    /// Passes nothing on any more.
    pub fn silence(&self) {
        self.hears.store(Arc::new(Hears {
            share: None,
            listener: Arc::new(Deaf),
        }));
    }

    /// Shares the breakers that there are, and those that come, as a plan says from now on.
    pub fn share(&self, wanted: plan::Share, breakers: impl FnOnce() -> Vec<Guarded>) {
        let Some(fleet) = &self.fleet else { return };
        let was = self.hears.load().share;
        let share = share_of(wanted);
        if share.is_none() && was.is_none() {
            return;
        }
        let listener = match share {
            Some(share) => fleet.listener(share, Some(self.gateway.clone())),
            None => self.gateway.clone(),
        };
        // Before the breakers are asked for: one that is made in between joins by itself.
        self.hears.store(Arc::new(Hears { share, listener }));
        for guarded in breakers() {
            let breaker = &guarded.breaker;
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

/// Hears nothing.
struct Deaf;

impl Listener for Deaf {
    fn transition(&self, _: &Breaker, _: &Transition) {}
}

/// What a plan wants of a fleet, in the fleet's words.
fn share_of(plan: plan::Share) -> Option<Share> {
    match plan {
        plan::Share::None => None,
        plan::Share::Verdict => Some(Share::Verdict),
        plan::Share::Quorum(nodes) => Some(Share::Quorum(nodes)),
        plan::Share::Counts => Some(Share::Counts),
    }
}

impl Listener for Ears {
    fn transition(&self, breaker: &Breaker, transition: &Transition) {
        self.hears.load().listener.transition(breaker, transition);
    }

    fn demanded(&self, breaker: &Breaker) {
        self.hears.load().listener.demanded(breaker);
    }

    fn stirred(&self, breaker: &Breaker) {
        self.hears.load().listener.stirred(breaker);
    }

    fn made(&self, breaker: &Breaker) {
        self.hears.load().listener.made(breaker);
    }
}

impl std::fmt::Debug for Ears {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ears")
            .field("share", &self.hears.load().share)
            .finish_non_exhaustive()
    }
}
