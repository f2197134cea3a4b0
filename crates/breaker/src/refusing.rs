//! Refusals by guards and layers: counted, and told with the breaker's name and why it is open.

use std::sync::Arc;

use crate::breaker::Breaker;
use crate::outcome::Rejection;
use crate::refused::{Refused, Told};
use crate::time::Timestamp;

impl Breaker {
    /// Counts a refusal of this breaker's [`admit`](Breaker::admit), tells it to the listeners, and returns it with the
    /// breaker's name and its reason. Guards and layers do so for each of their refusals.
    ///
    /// `admit` itself writes nothing when it refuses, so a caller of it that wants its refusals in
    /// [`Totals`](crate::Totals) calls this. Threads hardly meet here: each counts at a place of its own.
    #[inline(never)]
    pub fn refused(&self, rejection: Rejection, now: Timestamp) -> Refused {
        self.refused_with(rejection, now, self.told())
    }

    /// As [`refused`](Breaker::refused), at a coarse time: no earlier than the state began, so that nobody is told to wait for
    /// longer than it lasts.
    #[inline(never)]
    pub(crate) fn refused_coarsely(&self, rejection: Rejection, coarse: Timestamp) -> Refused {
        let told = self.told();
        self.refused_with(rejection, coarse.max(told.since), told)
    }

    #[inline(always)]
    fn refused_with(&self, rejection: Rejection, at: Timestamp, told: Arc<Told>) -> Refused {
        let refused = Refused {
            rejection,
            at,
            told,
        };
        self.tell_refused(&refused);
        refused
    }

    /// Counts the refusal, and tells what those of the same generation were told.
    fn told(&self) -> Arc<Told> {
        let generation = self.0.core.word().generation();
        let place = self.0.side.get_or_make();
        let mut refusals = place.stripe();
        refusals.count += 1;
        match &refusals.told {
            Some(told) if told.generation == generation => told.clone(),
            _ => {
                let told = Arc::new(self.0.core.look(|machine| Told {
                    breaker: self.name().clone(),
                    generation: machine.generation(),
                    since: machine.since(),
                    why: machine.why_closed_to_calls(),
                }));
                refusals.told = Some(told.clone());
                told
            }
        }
    }
}
