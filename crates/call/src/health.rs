//! Active health checks without the checking: when the next one is due, and what their results in a row say.

use std::time::Duration;

use fusebox_breaker::Timestamp;

/// The finding of an endpoint's health checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Health {
    /// Too few results yet, or no checks; as good as healthy.
    #[default]
    Unknown,
    /// The last results say that it works.
    Healthy,
    /// The last results say that it does not.
    Unhealthy,
}

impl Health {
    /// The word `unknown`, `healthy` or `unhealthy`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Health::Unknown => "unknown",
            Health::Healthy => "healthy",
            Health::Unhealthy => "unhealthy",
        }
    }
}

/// The pace of health checks and the results that they need (`health:`).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HealthPace {
    /// `interval`: the time from one check to the next. Default 5 s.
    pub interval: Duration,
    /// `timeout`: the longest time that a check may take. Default 1 s.
    pub timeout: Duration,
    /// `rise`: the good results in a row that make an endpoint healthy, 1 or more. Default 2.
    pub rise: u32,
    /// `fall`: the bad results in a row that make it unhealthy, 1 or more. Default 3.
    pub fall: u32,
    /// `jitter`: the share of the interval over which a check's time is spread, half of it to either side; 0 to 1.
    /// Default 0.2.
    pub jitter: f64,
}

impl Default for HealthPace {
    fn default() -> HealthPace {
        HealthPace {
            interval: Duration::from_secs(5),
            timeout: Duration::from_secs(1),
            rise: 2,
            fall: 3,
            jitter: 0.2,
        }
    }
}

/// The checks of one endpoint: at most one in flight, their results counted in rows.
#[derive(Debug, Clone)]
pub struct HealthChecks {
    pace: HealthPace,
    health: Health,
    /// The kind of the last results, and their number in a row.
    row: (bool, u32),
    next: Next,
}

/// The next check.
#[derive(Debug, Clone, Copy)]
enum Next {
    At(Timestamp),
    /// In flight since then.
    Begun(Timestamp),
}

impl HealthChecks {
    /// Checks of an endpoint of unknown health. The first one is due at a random time within the first interval, so that
    /// not all endpoints of all nodes are checked at once.
    pub fn new(pace: HealthPace, now: Timestamp, chance: &mut fastrand::Rng) -> HealthChecks {
        HealthChecks {
            pace,
            health: Health::Unknown,
            row: (true, 0),
            next: Next::At(now + pace.interval.mul_f64(chance.f64())),
        }
    }

    /// The finding so far.
    pub fn health(&self) -> Health {
        self.health
    }

    /// The time of the next check; `None` while one is in flight.
    pub fn next_at(&self) -> Option<Timestamp> {
        match self.next {
            Next::At(at) => Some(at),
            Next::Begun(_) => None,
        }
    }

    /// Begins a check, if one is due and none is in flight.
    #[must_use]
    pub fn begin(&mut self, now: Timestamp) -> bool {
        let is_due = self.next_at().is_some_and(|at| at <= now);
        if is_due {
            self.next = Next::Begun(now);
        }
        is_due
    }

    /// Takes the result of the check in flight, and returns the finding if it is another one now. A result without a
    /// check in flight changes nothing.
    pub fn end(
        &mut self,
        good: bool,
        now: Timestamp,
        chance: &mut fastrand::Rng,
    ) -> Option<Health> {
        let Next::Begun(begun) = self.next else {
            return None;
        };
        let spread = 1.0 + self.pace.jitter * (chance.f64() - 0.5);
        self.next = Next::At((begun + self.pace.interval.mul_f64(spread)).max(now));
        self.row = match self.row {
            (kind, times) if kind == good => (kind, times.saturating_add(1)),
            _ => (good, 1),
        };
        let found = match self.row {
            (true, times) if times >= self.pace.rise => Health::Healthy,
            (false, times) if times >= self.pace.fall => Health::Unhealthy,
            _ => self.health,
        };
        let changed = found != self.health;
        self.health = found;
        changed.then_some(found)
    }

    /// Gives up the check in flight without a result, as when its task ends; the next one is due at once.
    pub fn give_up(&mut self, now: Timestamp) {
        if let Next::Begun(_) = self.next {
            self.next = Next::At(now);
        }
    }

    /// Takes another pace. The finding and the row stay, and the time of the next check too, unless the new interval ends
    /// earlier.
    pub fn set_pace(&mut self, pace: HealthPace, now: Timestamp) {
        self.pace = pace;
        if let Next::At(at) = self.next {
            self.next = Next::At(at.min(now + pace.interval));
        }
    }
}

/// The return of an upstream whose open breaker is closed by health checks, and by no client
/// (`half_open: { probe: health }`): one for each endpoint, of which any may close.
#[derive(Debug, Clone, Default)]
pub struct HealthReturn {
    /// The cooldown's end to which the row belongs.
    cooldown_end: Timestamp,
    row: u32,
}

impl HealthReturn {
    /// Takes the result of a check that began at `begun`, and says whether the breaker is to be closed: after
    /// `successes` good ones in a row that all began when its cooldown had ended. A bad one begins the row anew.
    pub fn take(
        &mut self,
        good: bool,
        begun: Timestamp,
        cooldown_end: Timestamp,
        successes: u32,
    ) -> bool {
        if self.cooldown_end != cooldown_end {
            *self = HealthReturn {
                cooldown_end,
                row: 0,
            };
        }
        if begun < cooldown_end {
            return false;
        }
        self.row = if good { self.row.saturating_add(1) } else { 0 };
        let closes = self.row >= successes.max(1);
        if closes {
            self.row = 0;
        }
        closes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(secs: u64) -> Timestamp {
        Timestamp::from_secs(secs)
    }

    /// The findings after each of those results.
    fn findings(results: &[bool]) -> Vec<Health> {
        let mut chance = fastrand::Rng::with_seed(1);
        let mut checks = HealthChecks::new(HealthPace::default(), at(0), &mut chance);
        let heard = results.iter().map(|good| {
            let now = checks.next_at().unwrap();
            assert!(checks.begin(now));
            checks.end(*good, now, &mut chance);
            checks.health()
        });
        heard.collect()
    }

    #[test]
    fn two_good_results_in_a_row_make_healthy_and_three_bad_ones_unhealthy() {
        use Health::{Healthy, Unhealthy, Unknown};
        assert_eq!(
            findings(&[true, false, true, true]),
            [Unknown, Unknown, Unknown, Healthy]
        );
        assert_eq!(
            findings(&[false, false, true, false, false, false, true, true]),
            [
                Unknown, Unknown, Unknown, Unknown, Unknown, Unhealthy, Unhealthy, Healthy
            ]
        );
    }

    #[test]
    fn a_change_is_told_once() {
        let mut chance = fastrand::Rng::with_seed(1);
        let mut checks = HealthChecks::new(HealthPace::default(), at(0), &mut chance);
        let told = (1..6).map(|turn| {
            assert!(checks.begin(at(turn * 10)));
            checks.end(false, at(turn * 10), &mut chance)
        });
        let told: Vec<_> = told.collect();
        assert_eq!(told, [None, None, Some(Health::Unhealthy), None, None]);
    }

    #[test]
    fn at_most_one_check_is_in_flight_and_a_slow_one_delays_the_next() {
        let mut chance = fastrand::Rng::with_seed(1);
        let mut checks = HealthChecks::new(HealthPace::default(), at(0), &mut chance);
        assert!(checks.begin(at(10)));
        assert!(!checks.begin(at(100)) && checks.next_at().is_none());
        checks.end(true, at(200), &mut chance);
        assert_eq!(checks.next_at(), Some(at(200)));
        assert_eq!(checks.end(true, at(201), &mut chance), None);
        assert!(checks.begin(at(201)));
        checks.give_up(at(202));
        assert!(checks.begin(at(202)));
    }

    #[test]
    fn a_reload_keeps_the_finding_and_asks_sooner_if_the_interval_is_shorter() {
        let mut chance = fastrand::Rng::with_seed(1);
        let pace = HealthPace {
            interval: Duration::from_secs(600),
            fall: 1,
            ..HealthPace::default()
        };
        let mut checks = HealthChecks::new(pace, at(0), &mut chance);
        assert!(checks.begin(at(600)));
        checks.end(false, at(600), &mut chance);
        checks.set_pace(HealthPace::default(), at(601));
        assert_eq!(checks.health(), Health::Unhealthy);
        assert_eq!(checks.next_at(), Some(at(606)));
    }

    #[test]
    fn health_closes_after_its_successes_in_a_row_after_the_cooldown() {
        let mut back = HealthReturn::default();
        let mut take = |good, begun| back.take(good, at(begun), at(10), 2);
        assert!(!take(true, 8) && !take(true, 9) && !take(true, 10));
        assert!(!take(false, 11) && !take(true, 12));
        assert!(take(true, 13));
    }

    #[test]
    fn a_row_does_not_outlive_its_open_period() {
        let mut back = HealthReturn::default();
        assert!(!back.take(true, at(10), at(10), 2));
        assert!(!back.take(true, at(50), at(40), 2));
        assert!(back.take(true, at(55), at(40), 2));
    }

    proptest! {
        #[test]
        fn checks_are_an_interval_apart_give_or_take_the_jitter(seed: u64, jitter in 0.0f64..=1.0) {
            let mut chance = fastrand::Rng::with_seed(seed);
            let pace = HealthPace { jitter, ..HealthPace::default() };
            let mut checks = HealthChecks::new(pace, at(0), &mut chance);
            let first = checks.next_at().unwrap();
            prop_assert!(first <= at(5));
            prop_assert!(checks.begin(first));
            checks.end(true, first, &mut chance);
            let pause = (checks.next_at().unwrap() - first).as_secs_f64();
            prop_assert!((pause - 5.0).abs() <= 2.5 * jitter + 1e-6);
        }
    }
}
