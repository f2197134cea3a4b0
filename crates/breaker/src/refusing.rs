//! Refusals by guards and layers: counted, and announced with the breaker's name and the reason why it is open.

use std::sync::Arc;

use crate::breaker::Breaker;
use crate::outcome::Rejection;
use crate::refused::{RefusalContext, Refused};
use crate::time::Timestamp;

impl Breaker {
    /// Counts a refusal of this breaker's [`admit`](Breaker::admit), announces it to the listeners, and returns it with
    /// the breaker's name and its reason. Guards and layers do so for each of their refusals.
    ///
    /// `admit` itself writes nothing when it refuses, so a caller of it that wants its refusals in
    /// [`Totals`](crate::Totals) calls this. Threads hardly meet here: each counts in a stripe of its own.
    #[inline(never)]
    pub fn refused(&self, rejection: Rejection, now: Timestamp) -> Refused {
        self.refused_with(rejection, now, self.context())
    }

    /// As [`refused`](Breaker::refused), at a coarse time: no earlier than the state began, so that no caller waits for
    /// longer than it lasts.
    #[inline(never)]
    pub(crate) fn refused_coarsely(&self, rejection: Rejection, coarse: Timestamp) -> Refused {
        let context = self.context();
        self.refused_with(rejection, coarse.max(context.since), context)
    }

    #[inline(always)]
    fn refused_with(
        &self,
        rejection: Rejection,
        at: Timestamp,
        context: Arc<RefusalContext>,
    ) -> Refused {
        let refused = Refused {
            rejection,
            at,
            context,
        };
        self.tell_refused(&refused);
        refused
    }

    /// Counts the refusal, and returns the context of its generation.
    fn context(&self) -> Arc<RefusalContext> {
        let generation = self.0.core.word().generation();
        let rare = self.0.rare.get_or_make();
        let mut refusals = rare.stripe();
        refusals.count += 1;
        match &refusals.context {
            Some(context) if context.generation == generation => context.clone(),
            _ => {
                let context = Arc::new(self.0.core.look(|machine| RefusalContext {
                    breaker: self.name().clone(),
                    generation: machine.generation(),
                    since: machine.since(),
                    why: machine.stop_reason(),
                }));
                refusals.context = Some(context.clone());
                context
            }
        }
    }
}
