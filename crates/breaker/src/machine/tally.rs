//! The counts of a fleet: the outcomes of a closed machine since the fleet last took them.

use super::State;
use crate::log::Run;
use crate::settings::Rule;

/// Outcomes of calls since they were last taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FleetTally {
    /// True if a call succeeded.
    pub had_success: bool,
    /// Number of failures after the last success; all, if there was none.
    pub row: u64,
    /// Number of all failures.
    pub failures: u64,
}

impl FleetTally {
    /// True if nothing was counted.
    pub fn is_empty(&self) -> bool {
        *self == FleetTally::default()
    }

    fn add(&mut self, later: FleetTally) {
        self.row = match later.had_success {
            true => later.row,
            false => self.row + later.row,
        };
        self.had_success |= later.had_success;
        self.failures += later.failures;
    }
}

/// The way in which a machine counts for a fleet.
#[derive(Clone, Debug, Default)]
pub(super) enum Counting {
    /// The machine does not count.
    #[default]
    Off,
    /// The machine reports the first failure, and may pass over successes that change nothing.
    Asleep {
        tally: FleetTally,
        stirred: bool,
        told: bool,
    },
    /// The machine counts every outcome, and reports only on request.
    Awake { tally: FleetTally },
}

impl Counting {
    pub fn asleep() -> Self {
        Counting::Asleep {
            tally: FleetTally::default(),
            stirred: false,
            told: false,
        }
    }

    pub fn is_on(&self) -> bool {
        !matches!(self, Counting::Off)
    }

    pub fn is_asleep(&self) -> bool {
        matches!(self, Counting::Asleep { .. })
    }

    pub fn is_awake(&self) -> bool {
        matches!(self, Counting::Awake { .. })
    }

    /// True if nothing would be lost without it.
    pub fn is_blank(&self) -> bool {
        match self {
            Counting::Off => true,
            Counting::Asleep { tally, told, .. } => tally.is_empty() && !told,
            Counting::Awake { .. } => false,
        }
    }

    pub fn outcome(&mut self, failed: bool) {
        let failures = u64::from(failed);
        self.add(FleetTally {
            had_success: !failed,
            row: failures,
            failures,
        });
    }

    pub fn run(&mut self, run: Run) {
        self.add(FleetTally {
            had_success: run.count() < run.length,
            row: run.row().into(),
            failures: run.count().into(),
        });
    }

    fn add(&mut self, later: FleetTally) {
        match self {
            Counting::Off => {}
            Counting::Awake { tally } => tally.add(later),
            Counting::Asleep {
                tally,
                stirred,
                told,
            } => {
                tally.add(later);
                *stirred |= tally.failures > 0 && !*told;
                *told |= tally.failures > 0;
            }
        }
    }

    /// True if there was a first failure; returned once.
    pub fn take_stirred(&mut self) -> bool {
        match self {
            Counting::Asleep { stirred, .. } => std::mem::take(stirred),
            Counting::Off | Counting::Awake { .. } => false,
        }
    }

    /// The counts, which start again at zero.
    pub fn take(&mut self) -> FleetTally {
        match self {
            Counting::Off => FleetTally::default(),
            Counting::Asleep { tally, told, .. } => {
                *told = false;
                std::mem::take(tally)
            }
            Counting::Awake { tally } => std::mem::take(tally),
        }
    }

    /// Starts again, as a closed period does.
    pub fn clear(&mut self) {
        if let Counting::Asleep { stirred, .. } = self {
            *stirred = false;
        }
        self.take();
    }

    pub fn wake(&mut self, awake: bool) -> FleetTally {
        let tally = self.take();
        if self.is_on() {
            *self = match awake {
                true => Counting::Awake {
                    tally: FleetTally::default(),
                },
                false => Counting::asleep(),
            };
        }
        tally
    }
}

impl super::Machine {
    /// Starts or stops counting outcomes for a fleet. The machine reports the first failure ([`Listener::stirred`]); to
    /// count every outcome it must be [awake](super::Machine::wake_for_fleet).
    ///
    /// [`Listener::stirred`]: crate::Listener::stirred
    pub fn count_for_fleet(&mut self, counts: bool) {
        if counts != self.counting.is_on() {
            self.counting = match counts {
                true => Counting::asleep(),
                false => Counting::Off,
            };
        }
    }

    /// Starts or stops counting every outcome, also successes that change nothing here. Returns the counts until now.
    pub fn wake_for_fleet(&mut self, awake: bool) -> FleetTally {
        self.counting.wake(awake)
    }

    /// Notes a success elsewhere in the fleet: rows of failures that were counted here end, as by a success here.
    pub fn end_row_by_fleet(&mut self) {
        let now = self.time();
        if matches!(self.state, State::Closed { .. }) {
            for (rule, window) in self.settings.trip.iter().zip(&mut self.windows) {
                if matches!(rule, Rule::ConsecutiveFailures { .. }) {
                    window.record(false, now);
                }
            }
        }
    }

    /// The counts since they were last taken.
    pub fn take_fleet_tally(&mut self) -> FleetTally {
        self.counting.take()
    }
}
