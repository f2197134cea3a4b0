//! Waiting until a call may pass, without holding a place.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::{Poll, Waker};
use std::time::Duration;

use crate::breaker::Breaker;
use crate::clock::Clock;
use crate::guard::Guard;

/// The shortest sleep, so that a refusal whose time has come does not cause a busy loop.
const NAP: Duration = Duration::from_millis(1);

impl<K, C: Clock> Guard<K, C> {
    /// Waits until the breaker would let a call pass: as long as its refusal says, by the caller's own `sleep`, or
    /// until an earlier event of the breaker, such as a release, a reset, new settings, a probe's answer, or permission
    /// to probe from its fleet.
    ///
    /// It takes no permit. Of several callers that wait for a probe's place one gets it, and the others are refused and
    /// wait again. Nor does it draw by chance: in a ramp and under an adaptive rule it is ready at once, and the call
    /// alone draws. A caller that is refused [by chance](crate::RejectReason::is_chance) waits as long as the refusal
    /// says, since asking again at once would be to draw until it passes:
    ///
    /// ```no_run
    /// # use fusebox_breaker::{CallError, Guard};
    /// # async fn send() -> Result<(), std::io::Error> { Ok(()) }
    /// # async fn sleep(_: std::time::Duration) {}
    /// # async fn deliver(guard: Guard) -> Result<(), std::io::Error> {
    /// loop {
    ///     guard.ready_by(sleep).await;
    ///     match guard.call_async(send).await {
    ///         Ok(()) => return Ok(()),
    ///         Err(CallError::Rejected(refused)) if refused.reason.is_chance() => {
    ///             sleep(refused.retry_in().unwrap_or_default()).await;
    ///         }
    ///         Err(CallError::Rejected(_)) => continue,
    ///         Err(CallError::Failed(error)) => return Err(error),
    ///     }
    /// }
    /// # }
    /// ```
    ///
    /// `sleep` is that of the caller's runtime, such as `tokio::time::sleep`; with the feature `tokio` there is
    /// `Guard::ready`. A breaker without waiting callers pays nothing, and a closed one is ready at once.
    pub async fn ready_by<S: Future>(&self, sleep: impl Fn(Duration) -> S) {
        if self.breaker().undated_token().is_some() {
            return;
        }
        let mut waiter = Waiter {
            breaker: self.breaker(),
            number: None,
        };
        loop {
            let now = self.now();
            let checked = poll_fn(|context| {
                // The waker comes first and the check second, so that an event in between wakes.
                waiter.wait(context.waker());
                Poll::Ready(self.breaker().check_with_luck(now))
            });
            let Err(rejection) = checked.await else {
                return;
            };
            let nap = rejection.wait(now).map(|wait| sleep(wait.max(NAP)));
            let mut nap = pin!(nap);
            poll_fn(|context| {
                if !waiter.still_waits(context.waker()) {
                    return Poll::Ready(());
                }
                match nap.as_mut().as_pin_mut() {
                    Some(nap) => nap.poll(context).map(drop),
                    None => Poll::Pending,
                }
            })
            .await;
        }
    }

    /// Waits until the breaker would let a call pass, see [`ready_by`](Guard::ready_by), by tokio's time.
    #[cfg(feature = "tokio")]
    pub async fn ready(&self) {
        self.ready_by(tokio::time::sleep).await;
    }
}

/// A waker known to the breaker, until it is woken or dropped.
struct Waiter<'a> {
    breaker: &'a Breaker,
    number: Option<u64>,
}

impl Waiter<'_> {
    fn wait(&mut self, waker: &Waker) {
        self.leave();
        let rare = self.breaker.0.rare.get_or_make();
        self.number = Some(rare.wait(waker));
    }

    fn still_waits(&self, waker: &Waker) -> bool {
        let rare = self.breaker.0.rare.get_or_make();
        self.number
            .is_some_and(|number| rare.still_waits(number, waker))
    }

    fn leave(&mut self) {
        if let Some(number) = self.number.take() {
            self.breaker.0.rare.get_or_make().forget(number);
        }
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.leave();
    }
}
