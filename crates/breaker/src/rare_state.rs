//! The state of a breaker that few have: refusals counted for guards, waiting callers, panics of listeners.
//!
//! An idle breaker among a hundred thousand must stay small, and a refusal must write nothing that other threads read.
//! So a breaker holds only a number, 0 until it needs such a state, and the states lie apart, in a table that grows and
//! reuses its entries. Within a state each thread has a stripe of its own, as far as there are enough of them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};
use std::task::Waker;

use crate::refused::RefusalContext;

/// Number of threads that can count refusals of one breaker without contention.
const STRIPES: usize = 8;

/// Number of states in the first part of the table; each further part has twice as many.
const FIRST: u32 = 8;

const PARTS: usize = 28;

/// The number of a state, plus one; 0 for none. It is freed with its breaker.
#[derive(Debug, Default)]
pub(crate) struct RareStateHandle(AtomicU32);

#[derive(Default)]
pub(crate) struct RareState {
    stripes: [OnceLock<Box<Stripe>>; STRIPES],
    listener_faults: AtomicU32,
    waiting: AtomicU32,
    waiters: Mutex<Waiters>,
}

/// As large as a processor's prefetch unit, so that two stripes never share one.
#[derive(Default)]
#[repr(align(128))]
struct Stripe(Mutex<Refusals>);

#[derive(Default)]
pub(crate) struct Refusals {
    pub count: u64,
    /// The context of the last refusal, shared by the next ones of the same generation.
    pub context: Option<Arc<RefusalContext>>,
}

#[derive(Default)]
struct Waiters {
    last: u64,
    /// Wakers by number, so that one among many is found at once.
    wakers: BTreeMap<u64, Waker>,
}

struct Table {
    parts: [OnceLock<Box<[RareState]>>; PARTS],
    made: AtomicU32,
    free: Mutex<Vec<u32>>,
}

static TABLE: Table = Table {
    parts: [const { OnceLock::new() }; PARTS],
    made: AtomicU32::new(0),
    free: Mutex::new(Vec::new()),
};

impl Table {
    fn state(&self, number: u32) -> &RareState {
        let number = number + FIRST;
        let part = number.ilog2() - FIRST.ilog2();
        let begins = FIRST << part;
        let states = self.parts[part as usize]
            .get_or_init(|| (0..begins).map(|_| RareState::default()).collect());
        &states[(number - begins) as usize]
    }

    fn take(&self) -> u32 {
        let free = lock(&self.free).pop();
        free.unwrap_or_else(|| self.made.fetch_add(1, Ordering::Relaxed))
    }
}

impl RareStateHandle {
    pub fn get(&self) -> Option<&RareState> {
        let number = self.0.load(Ordering::Acquire).checked_sub(1)?;
        Some(TABLE.state(number))
    }

    /// The state, created if there is none yet.
    pub fn get_or_make(&self) -> &RareState {
        if let Some(state) = self.get() {
            return state;
        }
        let number = TABLE.take();
        let made = (0, number + 1);
        let was = self
            .0
            .compare_exchange(made.0, made.1, Ordering::AcqRel, Ordering::Acquire);
        match was {
            Ok(_) => TABLE.state(number),
            Err(other) => {
                lock(&TABLE.free).push(number);
                TABLE.state(other - 1)
            }
        }
    }

    /// Wakes all waiting callers, after an event that they may wait for.
    pub fn wake(&self) {
        // Either this sees the waiter, or the waiter sees the event; see `RareState::wait`.
        fence(Ordering::SeqCst);
        if let Some(state) = self.get()
            && state.waiting.load(Ordering::Relaxed) > 0
        {
            state.wake();
        }
    }
}

impl Drop for RareStateHandle {
    fn drop(&mut self) {
        if let Some(state) = self.get() {
            state.clear();
            lock(&TABLE.free).push(*self.0.get_mut() - 1);
        }
    }
}

impl RareState {
    /// This thread's stripe, or another one if it is in use.
    pub fn stripe(&self) -> MutexGuard<'_, Refusals> {
        let own = own_stripe();
        for next in 0..STRIPES {
            let stripe = self.stripe_at((own + next) % STRIPES);
            match stripe.try_lock() {
                Ok(refusals) => return refusals,
                Err(TryLockError::Poisoned(poisoned)) => return poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => {}
            }
        }
        lock(self.stripe_at(own))
    }

    fn stripe_at(&self, number: usize) -> &Mutex<Refusals> {
        &self.stripes[number].get_or_init(Box::default).0
    }

    /// Number of all counted refusals.
    pub fn refused(&self) -> u64 {
        let stripes = self.stripes.iter().filter_map(OnceLock::get);
        stripes.map(|stripe| lock(&stripe.0).count).sum()
    }

    pub fn listener_faults(&self) -> u32 {
        self.listener_faults.load(Ordering::Relaxed)
    }

    pub fn count_listener_fault(&self) {
        let faults = &self.listener_faults;
        let _ = faults.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |faults| {
            faults.checked_add(1)
        });
    }

    /// Registers `waker` for the next event, and returns its number.
    pub fn wait(&self, waker: &Waker) -> u64 {
        let mut waiters = lock(&self.waiters);
        waiters.last += 1;
        let number = waiters.last;
        waiters.wakers.insert(number, waker.clone());
        self.waiting.fetch_add(1, Ordering::Relaxed);
        drop(waiters);
        fence(Ordering::SeqCst);
        number
    }

    /// True if the waker of that number still waits; it is then replaced by `waker`.
    pub fn still_waits(&self, number: u64, waker: &Waker) -> bool {
        let mut waiters = lock(&self.waiters);
        let Some(known) = waiters.wakers.get_mut(&number) else {
            return false;
        };
        if !known.will_wake(waker) {
            let replaced = std::mem::replace(known, waker.clone());
            // Dropping it may call this again.
            drop(waiters);
            drop(replaced);
        }
        true
    }

    /// Removes the waker of that number.
    pub fn forget(&self, number: u64) {
        let mut waiters = lock(&self.waiters);
        let forgotten = waiters.wakers.remove(&number);
        if forgotten.is_some() {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
        }
        drop(waiters);
        drop(forgotten);
    }

    fn wake(&self) {
        let woken = {
            let mut waiters = lock(&self.waiters);
            self.waiting.store(0, Ordering::Relaxed);
            std::mem::take(&mut waiters.wakers)
        };
        woken.into_values().for_each(Waker::wake);
    }

    fn clear(&self) {
        for stripe in self.stripes.iter().filter_map(OnceLock::get) {
            *lock(&stripe.0) = Refusals::default();
        }
        self.listener_faults.store(0, Ordering::Relaxed);
        self.waiting.store(0, Ordering::Relaxed);
        lock(&self.waiters).wakers.clear();
    }
}

/// The stripe of this thread, assigned in turn.
fn own_stripe() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static OWN: usize = NEXT.fetch_add(1, Ordering::Relaxed) % STRIPES;
    }
    OWN.try_with(|own| *own).unwrap_or(0)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_side_is_made_once_and_used_again_after_its_breaker() {
        let handles: Vec<_> = (0..100).map(|_| RareStateHandle::default()).collect();
        for (count, handle) in handles.iter().enumerate() {
            assert!(handle.get().is_none());
            handle.get_or_make().stripe().count = count as u64;
        }
        let counts = handles.iter().map(|handle| handle.get_or_make().refused());
        assert!(counts.eq(0..100));
        drop(handles);
        let anew: Vec<_> = (0..100).map(|_| RareStateHandle::default()).collect();
        assert!(
            anew.iter()
                .all(|handle| handle.get_or_make().refused() == 0)
        );
    }

    #[test]
    fn threads_that_meet_at_a_stripe_take_others() {
        let handle = RareStateHandle::default();
        let held: Vec<_> = (0..STRIPES)
            .map(|_| {
                let mut stripe = handle.get_or_make().stripe();
                stripe.count += 1;
                stripe
            })
            .collect();
        drop(held);
        assert_eq!(handle.get_or_make().refused(), STRIPES as u64);
    }
}
