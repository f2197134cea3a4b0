//! The last n calls, one bit each.

use super::Tally;
use crate::log::Run;

/// Number of next calls that are examined to see which leave the window: no more can be noted at once.
const AHEAD: u32 = 32;

/// A ring of the last `size` outcomes; a set bit is a failure.
#[derive(Clone, Debug)]
pub(crate) struct Calls {
    size: u32,
    next: u32,
    calls: u32,
    failures: u32,
    bits: Box<[u64]>,
}

impl Calls {
    pub fn new(size: u32) -> Self {
        Calls {
            size,
            next: 0,
            calls: 0,
            failures: 0,
            bits: Box::default(),
        }
    }

    pub fn size(&self) -> u32 {
        self.size
    }

    /// Takes as many at a time as fit before the end of a word or of the ring.
    pub fn record(&mut self, run: Run) {
        if self.bits.is_empty() {
            self.bits = vec![0; self.size.div_ceil(64) as usize].into_boxed_slice();
        }
        let mut rest = run;
        while rest.length > 0 {
            let (at, shift) = ((self.next / 64) as usize, self.next % 64);
            let run;
            (run, rest) = rest.split((64 - shift).min(self.size - self.next));
            let mask = (u64::MAX >> (64 - run.length)) << shift;
            // Positions that were never taken are zero.
            let left = (self.bits[at] & mask).count_ones();
            self.bits[at] = self.bits[at] & !mask | run.hits << shift;
            self.failures = self.failures - left + run.count();
            self.calls = (self.calls + run.length).min(self.size);
            self.next = (self.next + run.length) % self.size;
        }
    }

    pub fn tally(&self) -> Tally {
        Tally {
            calls: self.calls.into(),
            failures: self.failures.into(),
        }
    }

    /// A hit that replaces a hit changes nothing, so misses must leave. More of them leave when others come in between.
    pub fn room(&self, missing: u64) -> u64 {
        if missing >= AHEAD.into() || self.bits.is_empty() {
            return missing;
        }
        let mut leaving = 0;
        for ahead in 0..self.size.min(AHEAD) {
            let place = (self.next + ahead) % self.size;
            let is_miss = self.bits[(place / 64) as usize] >> (place % 64) & 1 == 0;
            if is_miss && leaving == missing {
                return ahead.into();
            }
            leaving += u64::from(is_miss);
        }
        self.size.min(AHEAD).into()
    }

    pub fn clear(&mut self) {
        *self = Calls::new(self.size);
    }
}
