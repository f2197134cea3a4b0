//! The pause before a repeat.

use std::time::Duration;

use crate::settings::{Backoff, Jitter};

/// The pause before the repeat of a number counted from 0: with full jitter, `draw` of the longest one.
pub(super) fn pause(backoff: &Backoff, repeat: u32, draw: f64) -> Duration {
    let factor = 1u32.checked_shl(repeat).unwrap_or(u32::MAX);
    let longest = backoff.base.saturating_mul(factor).min(backoff.max);
    match backoff.jitter {
        Jitter::Full => {
            let nanos = longest.as_nanos() as f64 * draw.clamp(0.0, 1.0);
            // Of a draw that is no number nothing is left.
            Duration::from_nanos(nanos as u64).min(longest)
        }
        Jitter::None => longest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pauses(jitter: Jitter, draw: f64) -> Vec<u128> {
        let backoff = Backoff {
            jitter,
            ..Backoff::default()
        };
        [0, 1, 2, 5, 6, 31, 32, 1_000]
            .map(|repeat| pause(&backoff, repeat, draw).as_millis())
            .to_vec()
    }

    #[test]
    fn the_longest_pause_doubles_up_to_max() {
        let longest = [25, 50, 100, 800, 1_000, 1_000, 1_000, 1_000];
        assert_eq!(pauses(Jitter::None, 0.3), longest);
        assert_eq!(
            pauses(Jitter::Full, 0.5),
            longest.map(|it| it / 2),
            "half of each"
        );
        assert_eq!(pauses(Jitter::Full, 0.0), [0; 8]);
    }

    #[test]
    fn full_jitter_is_uniform_from_0() {
        let mut random = fastrand::Rng::with_seed(7);
        let mut tenths = [0; 10];
        for _ in 0..10_000 {
            let drawn = pause(&Backoff::default(), 2, random.f64());
            tenths[(drawn.as_secs_f64() / 0.010) as usize] += 1;
        }
        assert!(
            tenths.iter().all(|count| (850..1_150).contains(count)),
            "{tenths:?}"
        );
    }

    proptest! {
        #[test]
        fn a_pause_is_never_longer_than_max(
            base in 0u64..u64::MAX, max in 0u64..u64::MAX, repeat: u32, draw in prop::num::f64::ANY,
        ) {
            let (base, max) = (Duration::from_nanos(base), Duration::from_nanos(max));
            let backoff = Backoff { base, max, jitter: Jitter::Full };
            prop_assert!(pause(&backoff, repeat, draw) <= max);
        }
    }
}
