//! The rule of the adaptive limit: one step for each window, without threads or clocks.

use crate::settings::Adaptive;

/// Times up to this many times the baseline are normal.
const TOLERANCE: f64 = 1.5;
/// The part of the way to a new limit in a window, up and down.
const UP: f64 = 0.2;
const DOWN: f64 = 0.4;
/// The most that a step aims down at.
const STEEPEST: f64 = 0.5;
/// The part of a difference that the baseline follows in a window: of slower times, and of faster ones.
const RISE: f64 = 0.005;
const FALL: f64 = 0.02;
/// The cut of a baseline that is above twice the times of late, in a window.
const FAR_FALL: f64 = 0.95;
/// A queue halves with the limit. Times above this part of what they were are no queue.
const SAME_TIMES: f64 = 0.7;
/// Times above this part of what they were are a queue that grows.
const GROWN_TIMES: f64 = 1.1;

/// The limit, and what it remembers of the windows before. Times are in seconds.
#[derive(Debug)]
pub(super) struct Gradient {
    bounds: (f64, f64),
    limit: f64,
    baseline: Option<f64>,
    phase: Phase,
}

#[derive(Debug, Clone, Copy)]
enum Phase {
    /// The limit doubles until times rise.
    Starting,
    /// Times are normal.
    Level,
    /// Times are above normal, and the limit shrinks from this one, at which they were these.
    Shrinking { from: f64, times: f64 },
}

impl Gradient {
    pub fn new(settings: Adaptive) -> Gradient {
        let min = settings.min.max(1) as f64;
        Gradient {
            bounds: (min, min.max(settings.max as f64)),
            limit: min,
            baseline: None,
            phase: Phase::Starting,
        }
    }

    pub fn limit(&self) -> usize {
        self.limit as usize
    }

    /// Takes in a window: the mean time of its calls, and the most of them in flight at once.
    pub fn step(&mut self, recent: f64, peak: usize) {
        let recent = recent.max(1e-6);
        let is_reached = peak >= self.limit();
        let baseline = self.follow(recent, is_reached);
        let gradient = (TOLERANCE * baseline / recent).clamp(STEEPEST, 1.0);
        let is_used = peak as f64 * 2.0 >= self.limit;
        let next = match self.phase {
            Phase::Starting if gradient == 1.0 && is_reached => self.limit * 2.0,
            _ => {
                let aim = self.limit * gradient + self.limit.sqrt();
                let part = if aim > self.limit { UP } else { DOWN };
                let next = self.limit + part * (aim - self.limit);
                if is_used { next } else { next.min(self.limit) }
            }
        };
        self.phase = self.phase_after(gradient, recent);
        self.limit = next.clamp(self.bounds.0, self.bounds.1);
    }

    /// The baseline after the times of a window.
    fn follow(&mut self, recent: f64, is_reached: bool) -> f64 {
        let old = self.baseline.unwrap_or(recent);
        let new = if recent < old {
            let near = old + FALL * (recent - old);
            if old > 2.0 * recent {
                near * FAR_FALL
            } else {
                near
            }
        } else if is_reached {
            old
        } else {
            old + RISE * (recent - old)
        };
        self.baseline = Some(new);
        new
    }

    fn phase_after(&mut self, gradient: f64, recent: f64) -> Phase {
        let here = Phase::Shrinking {
            from: self.limit,
            times: recent,
        };
        match self.phase {
            Phase::Starting if gradient == 1.0 => Phase::Starting,
            _ if gradient == 1.0 => Phase::Level,
            Phase::Starting | Phase::Level => here,
            // The queue still grew: what a smaller limit does to it is seen from here.
            Phase::Shrinking { times, .. } if recent > GROWN_TIMES * times => here,
            Phase::Shrinking { from, times }
                if self.limit <= from / 2.0 || self.limit == self.bounds.0 =>
            {
                if recent <= SAME_TIMES * times {
                    return here;
                }
                self.baseline = Some(recent);
                Phase::Starting
            }
            Phase::Shrinking { .. } => self.phase,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn gradient(min: usize, max: usize) -> Gradient {
        Gradient::new(Adaptive { min, max })
    }

    /// The limits after windows of the same time, all places in use.
    fn limits(gradient: &mut Gradient, recent: f64, windows: usize) -> Vec<usize> {
        (0..windows)
            .map(|_| {
                gradient.step(recent, gradient.limit());
                gradient.limit()
            })
            .collect()
    }

    #[test]
    fn it_doubles_from_min_until_times_rise() {
        let mut gradient = gradient(8, 1_000);
        assert_eq!(limits(&mut gradient, 0.02, 4), [16, 32, 64, 128]);
        let shrinking = limits(&mut gradient, 0.08, 2);
        assert!(shrinking[0] < 128 && shrinking[1] < shrinking[0]);
        let growing = limits(&mut gradient, 0.02, 2);
        assert!((shrinking[1] + 1..=shrinking[1] + 5).contains(&growing[1]));
    }

    #[test]
    fn it_grows_only_if_half_of_it_is_used() {
        let mut gradient = gradient(8, 1_000);
        limits(&mut gradient, 0.02, 3);
        gradient.step(0.02, 31);
        assert_eq!(gradient.limit(), 64);
        gradient.step(0.02, 32);
        assert!(gradient.limit() > 64);
    }

    #[test]
    fn times_that_halve_with_the_limit_are_a_queue() {
        let mut gradient = gradient(8, 1_000);
        limits(&mut gradient, 0.02, 4);
        // A service of 20 workers: times in proportion to the calls in flight.
        for _ in 0..200 {
            let in_flight = gradient.limit();
            gradient.step(0.001 * in_flight as f64, in_flight);
        }
        assert!((30..40).contains(&gradient.limit()), "{gradient:?}");
    }

    #[test]
    fn times_that_stay_although_the_limit_has_halved_are_the_service_itself() {
        let mut gradient = gradient(8, 1_000);
        limits(&mut gradient, 0.02, 4);
        let after = limits(&mut gradient, 0.1, 60);
        assert!(after.iter().min().unwrap() >= &40, "{after:?}");
        assert!(after.last().unwrap() > &128, "{after:?}");
    }

    #[test]
    fn a_min_of_0_or_above_max_is_mended() {
        assert_eq!(gradient(0, 10).limit(), 1);
        let mut gradient = gradient(20, 10);
        assert_eq!(limits(&mut gradient, 0.02, 3), [20; 3]);
    }

    proptest! {
        #[test]
        fn it_stays_within_its_bounds(
            min in 1usize..50, more in 0usize..1_000, windows in prop::collection::vec((0.0f64..5.0, 0.0f64..1.2), 1..300),
        ) {
            let mut gradient = gradient(min, min + more);
            for (recent, used) in windows {
                let before = gradient.limit();
                gradient.step(recent, (before as f64 * used) as usize);
                prop_assert!((min..=min + more).contains(&gradient.limit()));
                // No dip: a window takes a fifth of it at most.
                prop_assert!(gradient.limit() as f64 >= 0.8 * before as f64 - 1.0);
            }
        }
    }
}
