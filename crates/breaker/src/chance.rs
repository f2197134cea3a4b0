//! Chance: apart from time, the only input of a machine from outside.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// A source of random numbers, for callers that want their own in place of the seeded one.
///
/// It is called for a cooldown's jitter, in a ramp, and by an adaptive rule, inside the decision: it must be quick and
/// must not call the breaker. A panic, or a NaN, counts as 0.
pub trait Chance: Send + Sync {
    /// A number drawn uniformly from 0 (included) to 1 (excluded).
    fn draw(&self) -> f64;
}

/// The source of a machine's random numbers.
#[derive(Clone)]
pub(crate) enum Source {
    Seeded(fastrand::Rng),
    Given(Arc<dyn Chance>),
}

impl Source {
    pub fn draw(&mut self) -> f64 {
        let drawn = match self {
            Source::Seeded(random) => random.f64(),
            Source::Given(chance) => {
                catch_unwind(AssertUnwindSafe(|| chance.draw())).unwrap_or_default()
            }
        };
        // The comparison is false for a NaN.
        if drawn >= 0.0 { drawn.min(1.0) } else { 0.0 }
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Source::Seeded(_) => "Seeded",
            Source::Given(_) => "Given",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Hostile(f64);

    impl Chance for Hostile {
        fn draw(&self) -> f64 {
            assert!(self.0 >= 0.0 || self.0.is_nan(), "drawn in anger");
            self.0
        }
    }

    #[test]
    fn a_hostile_source_stays_within_0_and_1() {
        let drawn = |number| Source::Given(Arc::new(Hostile(number))).draw();
        let numbers = [f64::NAN, f64::INFINITY, -1.0, 7.0, 0.5];
        assert_eq!(numbers.map(drawn), [0.0, 1.0, 0.0, 1.0, 0.5]);
    }
}
