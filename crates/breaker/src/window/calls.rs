//! The last n calls, one bit each.

use super::Tally;

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

    pub fn record(&mut self, failed: bool) {
        if self.bits.is_empty() {
            self.bits = vec![0; self.size.div_ceil(64) as usize].into_boxed_slice();
        }
        let word = &mut self.bits[(self.next / 64) as usize];
        let bit = 1u64 << (self.next % 64);
        if self.calls == self.size {
            self.failures -= u32::from(*word & bit != 0);
        } else {
            self.calls += 1;
        }
        if failed {
            *word |= bit;
            self.failures += 1;
        } else {
            *word &= !bit;
        }
        self.next = (self.next + 1) % self.size;
    }

    pub fn tally(&self) -> Tally {
        Tally {
            calls: self.calls.into(),
            failures: self.failures.into(),
        }
    }

    pub fn clear(&mut self) {
        *self = Calls::new(self.size);
    }
}
