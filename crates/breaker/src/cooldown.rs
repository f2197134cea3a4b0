//! The length of an open period: the formula of `docs/machine.md`, drawn once at the trip.

use std::time::Duration;

use crate::chance::Source;
use crate::settings::Cooldown;
use crate::time::nanos;

impl Cooldown {
    /// The cooldown of the given trip, before jitter: `min(max, base * factor^(attempts - 1))`, rounded up.
    pub fn of_attempt(&self, attempts: u32) -> Duration {
        let exponent = i32::try_from(attempts.saturating_sub(1)).unwrap_or(i32::MAX);
        let growth = self.factor.powi(exponent);
        // The first cooldown is configured to the nanosecond; a detour through floating point would lose some.
        if growth == 1.0 {
            return self.base.min(self.max);
        }
        let grown = (nanos(self.base) as f64 * growth).ceil();
        if grown >= nanos(self.max) as f64 {
            self.max
        } else {
            Duration::from_nanos(grown as u64)
        }
    }

    /// The longest cooldown that can be drawn, jitter included.
    pub fn longest(&self) -> Duration {
        self.lengthened(self.max, 1.0)
    }

    /// The cooldown of the given trip with its jitter.
    ///
    /// `asked` is the other side's own wish, which then replaces the formula.
    pub(crate) fn draw(
        &self,
        attempts: u32,
        asked: Option<Duration>,
        random: &mut Source,
    ) -> Duration {
        let cooldown = match asked {
            Some(asked) => asked.min(self.max),
            None => self.of_attempt(attempts),
        };
        if self.jitter > 0.0 {
            self.lengthened(cooldown, random.draw())
        } else {
            cooldown
        }
    }

    fn lengthened(&self, cooldown: Duration, share: f64) -> Duration {
        let extra = nanos(cooldown) as f64 * self.jitter * share;
        cooldown.saturating_add(Duration::from_nanos(extra as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn seeded(seed: u64) -> Source {
        Source::Seeded(fastrand::Rng::with_seed(seed))
    }

    #[test]
    fn a_fixed_cooldown_is_exact_at_every_attempt() {
        let cooldown = Cooldown::fixed(Duration::from_nanos(30_000_000_007));
        let mut random = seeded(1);
        for attempts in [0, 1, 2, 1_000, u32::MAX] {
            assert_eq!(cooldown.draw(attempts, None, &mut random), cooldown.base);
        }
    }

    #[test]
    fn an_exponential_cooldown_doubles_up_to_its_cap() {
        let cooldown = Cooldown::exponential(SECOND);
        let seconds = |attempts| cooldown.of_attempt(attempts).as_secs();
        assert_eq!(
            [1, 2, 3, 4, 5, 6, u32::MAX].map(seconds),
            [1, 2, 4, 8, 10, 10, 10]
        );
    }

    #[test]
    fn a_fraction_of_a_nanosecond_lengthens_a_cooldown() {
        let cooldown = Cooldown {
            factor: 1.5,
            ..Cooldown::exponential(Duration::from_nanos(1))
        };
        assert_eq!(cooldown.of_attempt(2), Duration::from_nanos(2));
    }

    #[test]
    fn durations_beyond_all_bounds_stop_at_the_cap() {
        let cooldown = Cooldown {
            max: Duration::MAX,
            factor: 1e300,
            ..Cooldown::exponential(SECOND)
        };
        assert_eq!(cooldown.of_attempt(9), Duration::MAX);
        assert_eq!(cooldown.longest(), Duration::MAX);
    }

    proptest! {
        #[test]
        fn jitter_only_lengthens_and_stays_within_its_share(
            attempts in 0u32..40, base in 1u64..1_000_000_000_000, jitter in 0.0f64..=1.0, seed: u64,
        ) {
            let cooldown = Cooldown { jitter, ..Cooldown::exponential(Duration::from_nanos(base)) };
            let plain = cooldown.of_attempt(attempts);
            let drawn = cooldown.draw(attempts, None, &mut seeded(seed));
            prop_assert!(drawn >= plain);
            prop_assert!(drawn.as_secs_f64() <= plain.as_secs_f64() * (1.0 + jitter) + 1e-9);
            prop_assert!(drawn <= cooldown.longest());
        }
    }
}
