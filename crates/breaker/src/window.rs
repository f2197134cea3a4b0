//! Windows: a rule's memory of the calls, and its way to forget.
//!
//! Each takes one outcome in constant time and returns its tally in constant time (in `log k` for the times of `k`
//! failures), whatever its length. Memory is allocated at the first outcome that must be remembered and never grows
//! after it. Time is an argument and never goes back; the machine ensures that.

use std::time::Duration;

use crate::log::Run;
use crate::settings::{Over, Rule, WindowKind};
use crate::time::Timestamp;

mod buckets;
mod calls;
mod flights;
mod memory;
mod times;
mod tumbling;

#[cfg(test)]
mod laws;

use buckets::Buckets;
use calls::Calls;
pub(crate) use flights::{Flight, Flights};
use memory::{Memory, Weight};
use times::Times;
use tumbling::{TumblingCalls, TumblingTime};

/// The counts of a window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Number of calls; in windows that see failures alone, of failures.
    pub calls: u64,
    /// Number of failures among them.
    pub failures: u64,
}

impl Tally {
    fn take(&mut self, run: Run) {
        self.calls += u64::from(run.length);
        self.failures += u64::from(run.count());
    }
}

/// The window of one rule.
#[derive(Clone, Debug)]
pub(crate) enum Window {
    /// Failures since the last success.
    Row {
        failures: u64,
    },
    /// The times of the last failures.
    Times {
        times: Times,
        sees: Sees,
    },
    /// The last n calls.
    Calls(Calls),
    /// The calls of a time.
    Time(Buckets),
    /// Up to n calls, then from zero.
    TumblingCalls(TumblingCalls),
    /// The calls of a time, then from zero.
    TumblingTime {
        time: TumblingTime,
        sees: Sees,
    },
    Flights(Flights),
    /// The last outcomes, weighed by age.
    Memory(Memory),
}

/// The calls that a window of time remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sees {
    /// Every single call.
    Calls,
    /// Failures but no successes.
    Failures,
    /// Failures in a row: a success empties the window.
    Row,
}

impl Window {
    /// The empty window that a rule needs.
    pub fn of(rule: &Rule, kind: WindowKind) -> Self {
        let (over, sees, keep) = match *rule {
            Rule::ConsecutiveFailures { within: None, .. } => return Window::Row { failures: 0 },
            Rule::ConsecutiveFailures {
                threshold,
                within: Some(within),
            } => (Over::Time(within), Sees::Row, threshold),
            Rule::Failures {
                threshold, over, ..
            } => (over, Sees::Failures, threshold),
            Rule::FailureRate { over, .. } | Rule::SlowRate { over, .. } => (over, Sees::Calls, 0),
            Rule::Stalled { longer_than, .. } => {
                return Window::Flights(Flights::new(longer_than));
            }
            Rule::Adaptive { memory } => return Window::Memory(Memory::new(memory)),
        };
        match (over, kind, sees) {
            (Over::Calls(calls), WindowKind::Sliding, _) => Window::Calls(Calls::new(calls)),
            (Over::Calls(calls), WindowKind::Tumbling, _) => {
                Window::TumblingCalls(TumblingCalls::new(calls))
            }
            (Over::Time(span), WindowKind::Sliding, Sees::Calls) => {
                Window::Time(Buckets::new(span))
            }
            (Over::Time(span), WindowKind::Sliding, Sees::Failures | Sees::Row) => Window::Times {
                times: Times::new(keep, span),
                sees,
            },
            (Over::Time(span), WindowKind::Tumbling, _) => Window::TumblingTime {
                time: TumblingTime::new(span),
                sees,
            },
        }
    }

    /// Takes one outcome: true for a hit of the rule, for most rules a failure.
    pub fn record(&mut self, failed: bool, now: Timestamp) {
        match self {
            Window::Flights(_) => {}
            Window::Memory(memory) => {
                let weight = if failed {
                    Weight::Failure
                } else {
                    Weight::Success
                };
                memory.record(weight, now);
            }
            Window::Row { failures } => *failures = if failed { *failures + 1 } else { 0 },
            Window::Times { times, .. } if failed => times.record(now),
            Window::Calls(calls) => calls.record(Run::one(failed)),
            Window::Time(buckets) => buckets.record(Run::one(failed), now),
            Window::TumblingCalls(calls) => calls.record(Run::one(failed)),
            Window::TumblingTime { time, sees } if failed || *sees == Sees::Calls => {
                time.record(Run::one(failed), now);
            }
            Window::Times { sees, .. } | Window::TumblingTime { sees, .. } => {
                if *sees == Sees::Row {
                    self.clear();
                }
            }
        }
    }

    /// Takes a run of outcomes as if one by one, all at `now`.
    pub fn record_run(&mut self, run: Run, now: Timestamp) {
        if run.length == 0 {
            return;
        }
        match self {
            Window::Row { failures } if run.row() == run.length => {
                *failures += u64::from(run.length);
            }
            Window::Row { failures } => *failures = u64::from(run.row()),
            Window::Calls(calls) => calls.record(run),
            Window::Time(buckets) => buckets.record(run, now),
            Window::TumblingCalls(calls) => calls.record(run),
            Window::TumblingTime { time, sees } if *sees == Sees::Calls => {
                time.record(run, now);
            }
            Window::Times { .. }
            | Window::TumblingTime { .. }
            | Window::Flights(_)
            | Window::Memory(_) => run.iter().for_each(|failed| self.record(failed, now)),
        }
    }

    /// The counts at `now`.
    pub fn tally(&self, now: Timestamp) -> Tally {
        match self {
            Window::Row { failures } => Tally {
                calls: *failures,
                failures: *failures,
            },
            Window::Times { times, .. } => times.tally(now),
            Window::Calls(calls) => calls.tally(),
            Window::Time(buckets) => buckets.tally(now),
            Window::TumblingCalls(calls) => calls.tally(),
            Window::TumblingTime { time, .. } => time.tally(now),
            Window::Flights(flights) => flights.tally(now),
            Window::Memory(memory) => memory.tally(),
        }
    }

    /// True if an empty window would decide the same.
    pub fn is_blank(&self, now: Timestamp) -> bool {
        match self {
            Window::Memory(memory) => memory.is_blank(),
            _ => self.tally(now).calls == 0,
        }
    }

    /// True if it has a hit of its rule.
    pub fn holds_failures(&self, now: Timestamp) -> bool {
        match self {
            Window::Memory(memory) => !memory.is_blank(),
            _ => self.tally(now).failures > 0,
        }
    }

    /// True if the window, from `now` on, behaves as one that was just made at the start of time.
    pub fn is_as_new(&self, now: Timestamp) -> bool {
        let empty = self.tally(now).calls == 0;
        match self {
            Window::TumblingTime { time, .. } => empty && time.is_as_new(now),
            _ => empty,
        }
    }

    /// The calls in flight, if this window watches them.
    pub fn flights(&mut self) -> Option<&mut Flights> {
        match self {
            Window::Flights(flights) => Some(flights),
            _ => None,
        }
    }

    /// Notes that a call was refused by chance, so its outcome is unknown.
    pub fn refuse(&mut self, now: Timestamp) {
        if let Window::Memory(memory) = self {
            memory.record(Weight::Unknown, now);
        }
    }

    /// The probability with which this window's rule refuses a call.
    pub fn refuses_with(&self, now: Timestamp) -> Option<f64> {
        match self {
            Window::Memory(memory) => Some(memory.probability(now)),
            _ => None,
        }
    }

    /// True if a failure may be booked later than it came, with the time before which nothing is forgotten. Times that
    /// are stored one by one cannot wait; nor can an outcome that may begin the time of a window that looks at failures
    /// alone.
    pub fn waits(&self, now: Timestamp) -> (bool, Timestamp) {
        match self {
            Window::Row { .. } | Window::Calls(_) | Window::TumblingCalls(_) => {
                (true, Timestamp::MAX)
            }
            Window::Time(buckets) => (true, buckets.edge(now)),
            Window::TumblingTime { time, sees } => match sees {
                Sees::Calls => (true, time.edge(now)),
                Sees::Failures | Sees::Row => (false, Timestamp::MAX),
            },
            Window::Times { .. } | Window::Flights(_) | Window::Memory(_) => {
                (false, Timestamp::MAX)
            }
        }
    }

    /// The number of hits in a row that leave at most `missing` more hits in the window than there are now, at the
    /// least; as many hits with misses between them do so too.
    pub fn room(&self, missing: u64) -> u64 {
        match self {
            Window::Calls(calls) => calls.room(missing),
            _ => missing,
        }
    }

    /// Begins with a closed period: forgets everything, and starts its own time now.
    pub fn begin(&mut self, now: Timestamp) {
        match self {
            Window::TumblingTime { time, .. } => time.begin(now),
            Window::Row { .. }
            | Window::Times { .. }
            | Window::Calls(_)
            | Window::Time(_)
            | Window::TumblingCalls(_)
            | Window::Flights(_)
            | Window::Memory(_) => self.clear(),
        }
    }

    /// Forgets everything and frees its memory.
    pub fn clear(&mut self) {
        match self {
            Window::Row { failures } => *failures = 0,
            Window::Times { times, .. } => times.clear(),
            Window::Calls(calls) => calls.clear(),
            Window::Time(buckets) => buckets.clear(),
            Window::TumblingCalls(calls) => calls.clear(),
            Window::TumblingTime { time, .. } => time.clear(),
            Window::Flights(flights) => flights.clear(),
            Window::Memory(memory) => memory.clear(),
        }
    }

    /// True if a success would leave this window as it is.
    pub fn success_changes_nothing(&self) -> bool {
        match self {
            Window::Row { failures } => *failures == 0,
            Window::Flights(_) => true,
            Window::Times { times, sees } => *sees == Sees::Failures || times.is_blank(),
            Window::TumblingTime { time, sees } => match sees {
                Sees::Calls => false,
                Sees::Failures => true,
                Sees::Row => time.is_blank(),
            },
            Window::Calls(_) | Window::Time(_) | Window::TumblingCalls(_) | Window::Memory(_) => {
                false
            }
        }
    }

    /// Takes over the calls of another window of the same rule kind if their shapes fit; true if they did.
    pub fn carry(&mut self, old: &Window) -> bool {
        match (self, old) {
            (Window::Row { failures }, Window::Row { failures: old }) => *failures = *old,
            (
                Window::Times { times, sees },
                Window::Times {
                    times: old,
                    sees: saw,
                },
            ) if sees == saw => {
                times.carry(old);
            }
            (Window::Calls(calls), Window::Calls(old)) if calls.size() == old.size() => {
                *calls = old.clone();
            }
            (Window::Time(buckets), Window::Time(old)) if buckets.span() == old.span() => {
                *buckets = old.clone();
            }
            (Window::TumblingCalls(calls), Window::TumblingCalls(old))
                if calls.size() == old.size() =>
            {
                *calls = old.clone();
            }
            (
                Window::TumblingTime { time, sees },
                Window::TumblingTime {
                    time: old,
                    sees: saw,
                },
            ) if sees == saw && time.span() == old.span() => *time = old.clone(),
            (Window::Flights(flights), Window::Flights(old)) => flights.carry(old),
            (Window::Memory(memory), Window::Memory(old)) if memory.size() == old.size() => {
                *memory = old.clone();
            }
            _ => return false,
        }
        true
    }
}

/// A span in nanoseconds, at least one.
fn span_nanos(span: Duration) -> u64 {
    crate::time::nanos(span).max(1)
}
