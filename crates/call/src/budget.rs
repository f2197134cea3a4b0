//! The retry budget: a token bucket over all workers, without a lock.
//!
//! # Two accounts
//! One account takes in `ratio` with each call, the other `min` with each second. Both begin with `min`. A retry needs a
//! whole token in either account and is charged to both, so that the two never add up: over a stretch of calls the
//! retries are at most `ratio` of the calls, or `min` a second where that is more. The account by time owes nothing; the
//! account by calls owes up to ten seconds of `min`, which the next calls pay back. A thousand calls that all fail make
//! 200 retries and `min`, however long the upstream had been idle before.
//!
//! # Capacity
//! The capacity is ten seconds of deposits: `ratio` of the calls in the current second of the clock and the nine before
//! it, or ten times `min` where that is more. Neither account holds more, so an hour without retries saves nothing up
//! beyond that.
//!
//! # Cost
//! A call costs one atomic addition, and a few writes more if it is the first one in a second. A retry costs a
//! compare-and-swap.

#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_utils::CachePadded;
use fusebox_breaker::Timestamp;

use crate::settings::Budget;

/// The seconds of deposits that are held.
const HELD_SECONDS: u64 = 10;
/// The places for marks: more than the seconds that are looked back at.
const MARKS: usize = 16;
/// The largest `min`: its account's time then still fits into half a word.
const LARGEST_MIN: u32 = 1_000_000;
const NANOS: u64 = 1_000_000_000;

/// The retries and hedges that one upstream affords, over all workers. Exists only where retry or hedge is on.
#[derive(Debug)]
pub struct RetryBudget {
    ratio: f64,
    min: u32,
    /// The units of time in which the account by time takes in one token.
    grain: u32,
    /// All calls so far.
    calls: CachePadded<AtomicU64>,
    /// Both accounts, as `Accounts` reads them.
    accounts: AtomicU64,
    /// The last second of the clock in which the accounts were settled.
    settled: AtomicU64,
    /// Seconds of late, each with the calls before its beginning: both in half a word.
    marks: [AtomicU64; MARKS],
}

/// The tokens of both accounts at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Accounts {
    /// Whole tokens from calls; below zero: debts.
    by_calls: i32,
    /// Units of time, `grain` of which are a token. Below zero only for a thread whose time is late.
    by_time: i32,
}

impl RetryBudget {
    /// A budget that holds `min` tokens. A `min` above a million counts as a million.
    pub fn new(settings: Budget, now: Timestamp) -> RetryBudget {
        let min = settings.min.min(LARGEST_MIN);
        let budget = RetryBudget {
            ratio: settings.ratio,
            min,
            grain: (65_536 / min.max(1)).max(1),
            calls: CachePadded::default(),
            accounts: AtomicU64::new(0),
            settled: AtomicU64::new(seconds(now)),
            marks: std::array::from_fn(|_| AtomicU64::new(0)),
        };
        let start = Accounts {
            by_calls: min as i32,
            by_time: (min * budget.grain) as i32,
        };
        let word = budget.write(start, 0, now);
        budget.accounts.store(word, Ordering::Relaxed);
        budget.mark(seconds(now), 0);
        budget
    }

    /// Pays in for one call, whose attempts come later.
    #[inline]
    pub fn deposit(&self, now: Timestamp) {
        self.settle(now);
        self.calls.fetch_add(1, Ordering::Relaxed);
    }

    /// Takes the token of one retry or hedge; false if there is none.
    #[must_use]
    pub fn take(&self, now: Timestamp) -> bool {
        self.settle(now);
        let mut word = self.accounts.load(Ordering::Relaxed);
        loop {
            let calls = self.calls.load(Ordering::Relaxed);
            let accounts = self.read(word, calls, now);
            let Some(charged) = self.charge(accounts) else {
                return false;
            };
            let new = self.write(charged, calls, now);
            let order = (Ordering::AcqRel, Ordering::Relaxed);
            match (self.accounts).compare_exchange_weak(word, new, order.0, order.1) {
                Ok(_) => return true,
                Err(other) => word = other,
            }
        }
    }

    /// The whole tokens that are there.
    pub fn tokens(&self, now: Timestamp) -> u32 {
        let word = self.accounts.load(Ordering::Acquire);
        let accounts = if self.is_long_idle(self.settled.load(Ordering::Acquire), now) {
            Accounts {
                by_time: self.full_time(),
                ..self.read(word, self.calls.load(Ordering::Relaxed), now)
            }
        } else {
            self.read(word, self.calls.load(Ordering::Relaxed), now)
        };
        let by_time = accounts.by_time / self.grain as i32;
        accounts.by_calls.max(by_time).max(0) as u32
    }

    /// The most tokens that can be there: ten seconds of deposits.
    pub fn capacity(&self, now: Timestamp) -> u32 {
        let earliest = seconds(now).saturating_sub(HELD_SECONDS - 1);
        let calls = self.calls.load(Ordering::Relaxed);
        let marks = self
            .marks
            .iter()
            .map(|mark| mark.load(Ordering::Relaxed))
            .filter(|mark| (earliest..=seconds(now)).contains(&(mark >> 32)));
        let of_late = marks
            .min()
            .map_or(0, |oldest| (calls as u32).wrapping_sub(oldest as u32));
        self.floor().max(self.earned(of_late.into()) as u32)
    }

    /// The part of the capacity that is there, from 0 to 1: the metric `fusebox_retry_budget_ratio`. 0 if the capacity
    /// is 0.
    pub fn ratio(&self, now: Timestamp) -> f64 {
        let capacity = self.capacity(now);
        let tokens = self.tokens(now).min(capacity);
        f64::from(tokens) / f64::from(capacity.max(1))
    }

    /// Both accounts less one token; `None` if neither has one.
    fn charge(&self, accounts: Accounts) -> Option<Accounts> {
        let Accounts { by_calls, by_time } = accounts;
        let grain = self.grain as i32;
        if by_calls < 1 && by_time < grain {
            return None;
        }
        Some(Accounts {
            by_calls: (by_calls - 1).max(-(self.floor() as i32)),
            by_time: if by_time > 0 {
                (by_time - grain).max(0)
            } else {
                by_time
            },
        })
    }

    /// Cuts the accounts down to the capacity and marks the second, at the first sight of each second.
    #[inline]
    fn settle(&self, now: Timestamp) {
        if self.settled.load(Ordering::Relaxed) < seconds(now) {
            self.settle_second(now);
        }
    }

    #[cold]
    fn settle_second(&self, now: Timestamp) {
        // In this order: a take that came after another thread's settling changes the word, and the exchange fails.
        let word = self.accounts.load(Ordering::Acquire);
        let settled = self.settled.load(Ordering::Acquire);
        if settled >= seconds(now) {
            return;
        }
        let calls = self.calls.load(Ordering::Relaxed);
        let mut accounts = self.read(word, calls, now);
        if self.is_long_idle(settled, now) {
            accounts.by_time = self.full_time();
        }
        let new = self.write(accounts, calls, now);
        let order = (Ordering::AcqRel, Ordering::Relaxed);
        let _ = (self.accounts).compare_exchange(word, new, order.0, order.1);
        self.mark(seconds(now), calls);
        self.settled.fetch_max(seconds(now), Ordering::Release);
    }

    /// True if the account by time has filled up since the last settling: its half of the word may have wrapped.
    fn is_long_idle(&self, settled: u64, now: Timestamp) -> bool {
        seconds(now).saturating_sub(settled) > HELD_SECONDS
    }

    fn mark(&self, second: u64, calls: u64) {
        let place = &self.marks[second as usize % MARKS];
        let old = place.load(Ordering::Relaxed);
        if old >> 32 != second || old == 0 {
            let new = (second << 32) | (calls & u64::from(u32::MAX));
            let _ = place.compare_exchange(old, new, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    /// The accounts in a word: the tokens spent in the upper half, the time at which the account by time was empty in
    /// the lower one. Both are differences that wrap.
    fn read(&self, word: u64, calls: u64, now: Timestamp) -> Accounts {
        let (spent, emptied) = ((word >> 32) as u32, word as u32);
        let by_calls = (self.earned(calls) as u32).wrapping_sub(spent) as i32;
        let by_time = self.units(now).wrapping_sub(emptied) as i32;
        Accounts {
            by_calls: by_calls.min(self.capacity(now).min(i32::MAX as u32) as i32),
            by_time: by_time.min(self.full_time()),
        }
    }

    fn write(&self, accounts: Accounts, calls: u64, now: Timestamp) -> u64 {
        let spent = (self.earned(calls) as u32).wrapping_sub(accounts.by_calls as u32);
        let emptied = self.units(now).wrapping_sub(accounts.by_time as u32);
        (u64::from(spent) << 32) | u64::from(emptied)
    }

    /// The whole tokens for a number of calls.
    fn earned(&self, calls: u64) -> u64 {
        // A hair more, so that 100 calls at 0.29 are 29 tokens and not 28.999….
        (self.ratio * calls as f64 + 1e-6) as u64
    }

    /// The moment in units of the account by time, modulo 2^32.
    fn units(&self, now: Timestamp) -> u32 {
        let each_second = u128::from(self.min) * u128::from(self.grain);
        (u128::from(now.as_nanos()) * each_second / u128::from(NANOS)) as u32
    }

    /// Ten seconds of the account by time.
    fn full_time(&self) -> i32 {
        (self.floor() * self.grain) as i32
    }

    /// Ten seconds of `min`, in tokens.
    fn floor(&self) -> u32 {
        HELD_SECONDS as u32 * self.min
    }
}

fn seconds(now: Timestamp) -> u64 {
    now.as_nanos() / NANOS
}
