//! The source of random numbers for `uuid()`, `random()` and `randomInt()`.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// A source of random numbers.
#[derive(Clone)]
pub struct Random(Arc<dyn Fn() -> u64 + Send + Sync>);

impl Random {
    /// Makes a source that calls `draw` for 64 random bits at a time.
    pub fn new(draw: impl Fn() -> u64 + Send + Sync + 'static) -> Random {
        Random(Arc::new(draw))
    }

    /// Makes a source whose sequence depends on the seed alone.
    pub fn seeded(seed: u64) -> Random {
        let generator = Mutex::new(fastrand::Rng::with_seed(seed));
        Random::new(move || {
            let mut generator = generator.lock().unwrap_or_else(PoisonError::into_inner);
            generator.u64(..)
        })
    }

    /// Draws 64 random bits.
    pub(crate) fn draw(&self) -> u64 {
        (self.0)()
    }
}

/// Makes a UUID of random bits, RFC 9562 version 4.
pub fn uuid(bits: u128) -> String {
    let bits = bits & !(0xf << 76) | (0x4 << 76);
    let bits = bits & !(0b11 << 62) | (0b10 << 62);
    let digits = format!("{bits:032x}");
    let parts = [0..8, 8..12, 12..16, 16..20, 20..32].map(|range| &digits[range]);
    parts.join("-")
}

/// A source with a random seed.
impl Default for Random {
    fn default() -> Random {
        Random::seeded(fastrand::Rng::new().u64(..))
    }
}

impl fmt::Debug for Random {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Random")
    }
}
