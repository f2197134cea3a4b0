//! A guarded call under way: holds the token, distinguishes the call's own panics, and settles in the end.

use std::borrow::Borrow;
use std::marker::PhantomData;
#[cfg(feature = "http")]
use std::time::Duration;

use crate::call::Call;
use crate::clock::Clock;
use crate::guard::Guard;
use crate::refused::Refused;
use crate::time::Timestamp;
use crate::token::Token;
use crate::undated::{TimedAdmission, TimedToken};

/// A call that may outlive the borrow of its guard.
#[cfg(feature = "tower")]
pub(crate) type OwnedGuarded<K, C> = Guarded<Guard<K, C>, K, C>;

/// A call under way. Dropped, it was abandoned; dropped by a panic of the call itself, it panicked. Either counts as the
/// settings say, at the time of the drop.
pub(crate) struct Guarded<G, K, C>
where
    G: Borrow<Guard<K, C>>,
    C: Clock,
{
    guard: G,
    /// The call's token; spent once the call has ended.
    token: Token,
    /// The time at which the call began, if a rule needs it.
    began: Option<Timestamp>,
    /// The running code. A drop during the call's own code means that a panic of that code unwinds; a thread that
    /// panics for another reason drops calls that are not running.
    now: Now,
    /// The time at which the answer began, if a rule needs it. From then on `began` is the start of the wait for its
    /// rest.
    #[cfg(feature = "http")]
    answered: Option<Timestamp>,
    parts: PhantomData<fn() -> (K, C)>,
}

/// The running code. As wide as a register: where a call moves, a byte is read back together with the padding beside
/// it, which waits until the byte has left the processor's store buffer, and that takes longer than all else.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
enum Now {
    Waits,
    Runs,
}

impl<G, K, C> Guarded<G, K, C>
where
    G: Borrow<Guard<K, C>>,
    C: Clock,
{
    /// Asks the breaker, and reads the clock only where the answer depends on it.
    #[inline]
    pub fn begin(guard: G) -> Result<Self, Refused> {
        match guard.borrow().breaker().undated_token() {
            Some(token) => Ok(Guarded::of(guard, TimedToken { token, at: None })),
            None => {
                let admission = ask(guard.borrow());
                match admission.refused {
                    None => Ok(Guarded::of(guard, admission.timed)),
                    Some(refused) => Err(refused),
                }
            }
        }
    }

    #[inline]
    fn of(guard: G, timed: TimedToken) -> Self {
        Guarded {
            guard,
            token: timed.token,
            began: timed.at,
            now: Now::Waits,
            #[cfg(feature = "http")]
            answered: None,
            parts: PhantomData,
        }
    }

    /// Runs the call's own code, or a part of it: a panic there is the call's.
    #[inline]
    pub fn within<R>(&mut self, part: impl FnOnce() -> R) -> R {
        self.now = Now::Runs;
        let result = part();
        self.now = Now::Waits;
        result
    }

    /// As [`within`](Guarded::within) for a call stored elsewhere: when the part panics, the call has ended, even if
    /// the code that catches the panic keeps the storage.
    #[cfg(feature = "tower")]
    pub fn within_kept<R>(kept: &mut Option<Self>, part: impl FnOnce() -> R) -> R {
        let ends = Ends(kept);
        let result = match ends.0 {
            Some(guarded) => guarded.within(part),
            None => part(),
        };
        std::mem::forget(ends);
        result
    }

    /// Records the outcome that the classifier finds. A panic of the classifier is not the call's, which is then ignored.
    ///
    /// Ends in place, since moving the fields just written piece by piece takes longer than all else.
    #[inline]
    pub fn end(&mut self, classify: impl FnOnce(&K) -> Call) {
        // Dropped without a beginning, it is ignored however long it lasted.
        let at = self.began.take();
        #[cfg(feature = "http")]
        let at = at.filter(|_| self.answered.is_none());
        let call = classify(&self.guard.borrow().classifier);
        let guard = self.guard.borrow();
        let breaker = guard.breaker();
        breaker.end(&mut self.token, at, call, || guard.now());
    }

    /// As [`end`](Guarded::end) for a call stored elsewhere; nothing remains in the storage.
    #[cfg(feature = "tower")]
    #[inline]
    pub fn end_kept(kept: &mut Option<Self>, classify: impl FnOnce(&K) -> Call) {
        if let Some(guarded) = &mut Ends(kept).0 {
            guarded.end(classify);
        }
    }

    /// Judges a part of the answer while the call continues. A panic of the classifier is not the call's, which is then
    /// ignored.
    #[cfg(feature = "http")]
    pub fn look<R>(&mut self, judge: impl FnOnce(&K) -> R) -> R {
        let began = self.began.take();
        let judged = judge(&self.guard.borrow().classifier);
        self.began = began;
        judged
    }

    /// Notes that the other side has begun to answer, and returns the time until then, if a rule or the caller needs
    /// it. The rest may be read slowly: from here on only the time of waiting for the other side counts.
    #[cfg(feature = "http")]
    pub fn answered(&mut self, wants_time: bool) -> Option<Duration> {
        let began = self.began.take();
        if began.is_none() && !wants_time {
            return None;
        }
        let guard = self.guard.borrow();
        let now = guard.now();
        self.answered = Some(now);
        if let Some(grant) = self.token.boxed()
            && grant.is_flight()
        {
            guard.breaker().answered(grant);
        }
        began.map(|began| now.saturating_since(began))
    }

    /// Notes that the caller waits for more of the answer.
    #[cfg(feature = "http")]
    pub fn waits(&mut self) {
        if self.answered.is_some() && self.began.is_none() {
            self.began = Some(self.guard.borrow().now());
        }
    }

    /// Notes that more of the answer has come; true if it began at least `long` ago.
    #[cfg(feature = "http")]
    pub fn flows(&mut self, long: Option<Duration>) -> bool {
        self.began = None;
        match (self.answered, long) {
            (Some(answered), Some(long)) => {
                self.guard.borrow().now().saturating_since(answered) >= long
            }
            _ => false,
        }
    }

    #[cold]
    fn unsettled(&mut self) {
        let timed = TimedToken {
            token: self.token.take(),
            at: self.began,
        };
        let guard = self.guard.borrow();
        if self.now == Now::Waits {
            guard.breaker().give_up(timed, || guard.now());
        } else if let Some(grant) = timed.token.into_grant() {
            guard.breaker().panicked(grant, guard.now());
        }
    }
}

impl<G, K, C> Drop for Guarded<G, K, C>
where
    G: Borrow<Guard<K, C>>,
    C: Clock,
{
    #[inline]
    fn drop(&mut self) {
        if !self.token.is_spent() {
            self.unsettled();
        }
    }
}

/// Ends the call in a storage elsewhere, even if a panic unwinds.
#[cfg(feature = "tower")]
struct Ends<'a, T>(&'a mut Option<T>);

#[cfg(feature = "tower")]
impl<T> Drop for Ends<'_, T> {
    #[inline]
    fn drop(&mut self) {
        *self.0 = None;
    }
}

/// Kept out of line, away from calls that need no time.
#[inline(never)]
fn ask<K, C: Clock>(guard: &Guard<K, C>) -> TimedAdmission {
    let breaker = guard.breaker();
    match breaker.refused_by_far(|| guard.coarse()) {
        Some(refused) => TimedAdmission {
            timed: TimedToken {
                token: Token::default(),
                at: None,
            },
            refused: Some(refused),
        },
        None => breaker.ask_at(guard.now()),
    }
}
