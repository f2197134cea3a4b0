//! Tries values of a breaker's settings on one log, and ranks them by a stated cost.
//!
//! # Cost
//! A failed call that the breaker lets through costs 1; a good call that it refuses costs [`Sweep::good_call`], by
//! default 1. Every failed call of the log is either let through or avoided, so the cheapest value avoids the most
//! failures for the good calls that it loses. Of equal cost the one with fewer trips comes first, then the one that
//! changes fewer of today's settings, then the one tried first.
//!
//! # Pareto
//! A value is on the front if no other lets fewer failures through without losing more good calls, or the reverse.

mod axis;
mod line;

use std::cmp::Ordering;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering as Atomic};
use std::sync::{Mutex, PoisonError};

use fusebox_breaker::Settings;

pub use axis::{Axis, AxisError, Value};
pub use line::{paste, whole};

use crate::rerun::{Call, Extent, Report, rerun};

/// The most combinations of values that are tried.
pub const COMBINATIONS_MAX: usize = 2_000;

/// The values to try.
#[derive(Clone, Debug)]
pub struct Sweep {
    /// The settings and their values; all combinations are tried.
    pub axes: Vec<Axis>,
    /// The cost of a refused good call, against 1 of a failed call that is let through.
    pub good_call: f64,
}

/// The calls of one breaker, and the extent of its runs.
pub type Calls<'a> = (&'a [Call], Extent);

/// The result of one combination of values.
#[derive(Clone, Debug, PartialEq)]
pub struct Tried {
    /// The values in the order of the axes.
    pub values: Vec<Value>,
    /// Number of trips, reopenings among them.
    pub trips: u64,
    /// Failed calls let through.
    pub failed: u64,
    /// Good calls refused.
    pub refused_good: u64,
    /// Failed calls refused.
    pub refused_failed: u64,
    /// The cost by [`Sweep::good_call`].
    pub cost: f64,
    /// True if it is on the Pareto front.
    pub on_front: bool,
    /// Number of its values that are not today's.
    pub changes: usize,
    /// True if its settings are today's.
    pub is_today: bool,
    /// The lines to paste into the breaker's section.
    pub line: String,
}

/// All results, the cheapest first, and the result of today's settings.
#[derive(Clone, Debug, PartialEq)]
pub struct Ranked {
    /// The results in order of their rank.
    pub tried: Vec<Tried>,
    /// The result of today's settings.
    pub today: Tried,
    /// Combinations that are no valid settings, and were left out.
    pub invalid: usize,
}

impl Ranked {
    /// The best combination; `None` if none is valid.
    pub fn best(&self) -> Option<&Tried> {
        self.tried.first()
    }

    /// True if the best is cheaper than today's settings.
    pub fn improves(&self) -> bool {
        self.best().is_some_and(|best| best.cost < self.today.cost)
    }
}

impl Sweep {
    /// Number of combinations.
    pub fn combinations(&self) -> usize {
        let lengths = self.axes.iter().map(|axis| axis.values.len());
        lengths.fold(1, usize::saturating_mul)
    }

    /// Tries all combinations on the calls of breakers that share their settings, on `threads` threads.
    ///
    /// # Errors
    /// Today's settings, or all combinations, are invalid; the text says why.
    pub fn run(
        &self,
        today: &Settings,
        breakers: &[Calls<'_>],
        threads: NonZeroUsize,
    ) -> Result<Ranked, String> {
        let of_today = run(today, breakers).map_err(|why| format!("today's settings: {why}"))?;
        let today_tried = self.tried(Vec::new(), today, today, &of_today);
        let total = self.combinations().min(COMBINATIONS_MAX);
        let next = AtomicUsize::new(0);
        let results = Mutex::new(Vec::with_capacity(total));
        let work = || {
            loop {
                let number = next.fetch_add(1, Atomic::Relaxed);
                if number >= total {
                    return;
                }
                let values = self.values(number);
                let result = self.apply(today, &values).and_then(|settings| {
                    let report = run(&settings, breakers)?;
                    Ok(self.tried(values, today, &settings, &report))
                });
                let mut results = results.lock().unwrap_or_else(PoisonError::into_inner);
                results.push((number, result));
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..threads.get().min(total) {
                scope.spawn(work);
            }
            work();
        });
        let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
        results.sort_by_key(|(number, _)| *number);
        let mut why = None;
        let (mut tried, mut invalid) = (Vec::new(), 0);
        for (_, result) in results {
            match result {
                Ok(one) => tried.push(one),
                Err(error) => {
                    invalid += 1;
                    why.get_or_insert(error);
                }
            }
        }
        if let (true, Some(why)) = (tried.is_empty(), why) {
            return Err(why);
        }
        mark_front(&mut tried);
        // Stable: of equals the one tried first stays first.
        tried.sort_by(|one, other| {
            let by_cost = one.cost.partial_cmp(&other.cost).unwrap_or(Ordering::Equal);
            let by_trips = one.trips.cmp(&other.trips);
            let by_changes = one.changes.cmp(&other.changes);
            by_cost.then(by_trips).then(by_changes)
        });
        Ok(Ranked {
            tried,
            today: today_tried,
            invalid,
        })
    }

    /// The values of a combination by its number; the last axis changes first.
    fn values(&self, number: usize) -> Vec<Value> {
        let mut rest = number;
        let mut values: Vec<_> = self
            .axes
            .iter()
            .rev()
            .map(|axis| {
                let value = axis.values[rest % axis.values.len()];
                rest /= axis.values.len();
                value
            })
            .collect();
        values.reverse();
        values
    }

    fn apply(&self, today: &Settings, values: &[Value]) -> Result<Settings, String> {
        let mut settings = today.clone();
        let mut pairs: Vec<_> = self
            .axes
            .iter()
            .map(|axis| axis.setting)
            .zip(values)
            .collect();
        // Rules first: windows belong to rules.
        pairs.sort_by_key(|(setting, _)| !setting.is_rule());
        for (setting, value) in &pairs {
            setting.apply(**value, &pairs, &mut settings)?;
        }
        settings.validate().map_err(|errors| match errors.first() {
            Some(error) => error.to_string(),
            None => "invalid settings".to_owned(),
        })?;
        Ok(settings)
    }

    fn tried(
        &self,
        values: Vec<Value>,
        today: &Settings,
        settings: &Settings,
        report: &Report,
    ) -> Tried {
        let changes = self.axes.iter().zip(&values).filter(|(axis, value)| {
            let mut alone = today.clone();
            let applied = axis.setting.apply(**value, &[], &mut alone);
            applied.is_err() || alone != *today
        });
        let changes = changes.count();
        Tried {
            values,
            trips: report.trips.len() as u64,
            failed: report.failed,
            refused_good: report.refused_good,
            refused_failed: report.refused_failed,
            cost: report.failed as f64 + self.good_call * report.refused_good as f64,
            on_front: false,
            changes,
            is_today: settings == today,
            line: paste(settings, today),
        }
    }
}

fn run(settings: &Settings, breakers: &[Calls<'_>]) -> Result<Report, String> {
    let settings = Arc::new(settings.clone());
    let mut sum = Report::default();
    for (calls, extent) in breakers {
        let extent = Extent {
            timeline: None,
            ..*extent
        };
        let report = rerun(&settings, calls, extent).map_err(|errors| {
            let errors: Vec<_> = errors.iter().map(ToString::to_string).collect();
            errors.join("; ")
        })?;
        sum.add(report);
    }
    Ok(sum)
}

/// Marks the results that no other beats in both failures let through and good calls lost.
fn mark_front(tried: &mut [Tried]) {
    let mut order: Vec<usize> = (0..tried.len()).collect();
    order.sort_by_key(|at| (tried[*at].failed, tried[*at].refused_good));
    let mut best: Option<(u64, u64)> = None;
    for at in order {
        let one = &mut tried[at];
        let pair = (one.failed, one.refused_good);
        one.on_front = best.is_none_or(|best| pair == best || pair.1 < best.1);
        if one.on_front {
            best = Some(pair);
        }
    }
}
