//! The rest of a machine without any state.

use std::sync::Arc;

use super::{Latest, Machine, State, windows_of};
use crate::chance::Source;
use crate::settings::Settings;
use crate::snapshot::Totals;
use crate::time::Timestamp;

/// A closed machine that never changed, with empty windows and nothing in flight. Counts beyond these widths hardly
/// ever go with all that; a machine with higher ones is not folded.
#[derive(Clone, Debug)]
pub(crate) struct Folded {
    settings: Arc<Settings>,
    seed: u64,
    successes: u32,
    failures: u16,
    /// The ignored ones, with [`LED`] and [`COUNTS`]: every byte here is one of each idle breaker.
    ignored: u16,
}

/// Set if the machine follows a fleet.
const LED: u16 = 1 << 15;

/// Set if it counts for a fleet.
const COUNTS: u16 = 1 << 14;

impl Folded {
    pub fn settings(&self) -> &Arc<Settings> {
        &self.settings
    }

    /// The machine, at the time at which it was folded.
    pub fn unfold(&self, latest: Latest) -> Machine {
        let mut machine = Machine::blank(self.settings.clone(), self.seed);
        let totals = Totals {
            successes: self.successes.into(),
            failures: self.failures.into(),
            ignored: (self.ignored & !(LED | COUNTS)).into(),
            late: 0,
            far_stamps: 0,
            refused: 0,
            would_reject: 0,
        };
        machine.resume_at(latest);
        machine.totals = totals;
        // At least as many as there were: each ended as one of these.
        machine.flown = settled(totals);
        if self.ignored & LED != 0 {
            machine.follow_fleet();
        }
        machine.count_for_fleet(self.ignored & COUNTS != 0);
        machine
    }
}

fn settled(totals: Totals) -> u64 {
    totals.successes + totals.failures + totals.ignored
}

impl Machine {
    pub(super) fn blank(settings: Arc<Settings>, seed: u64) -> Self {
        Machine {
            state: State::Closed { ramp: None },
            hold: None,
            generation: 0,
            attempts: 0,
            since: Timestamp::ZERO,
            latest: Latest::default(),
            windows: windows_of(&settings),
            totals: Totals::default(),
            recent: Default::default(),
            outcomes: Default::default(),
            usual: Default::default(),
            flown: 0,
            random: Source::Seeded(fastrand::Rng::with_seed(seed)),
            lead: Default::default(),
            counting: Default::default(),
            settings,
        }
    }

    /// The rest of the machine beside [the latest time](Machine::latest), if no event at `now` or later could show the
    /// difference; without the last outcomes and the usual duration.
    pub(crate) fn fold(&self, now: Timestamp) -> Option<Folded> {
        let now = self.moment(now);
        // No transition, so no hold, no attempts, and no permit of another generation.
        let unchanged =
            self.recent.is_empty() && matches!(self.state, State::Closed { ramp: None });
        let mut windows = self.windows.iter();
        let Source::Seeded(random) = &self.random else {
            return None;
        };
        let empty = windows.all(|window| window.is_as_new(now));
        let countable = self.totals.late == 0
            && self.totals.would_reject == 0
            && self.totals.far_stamps == 0
            && self.flown <= settled(self.totals);
        (unchanged && empty && countable && self.counting.is_blank()).then_some(())?;
        let ignored = u16::try_from(self.totals.ignored).ok();
        let ignored = ignored.filter(|ignored| *ignored < COUNTS)?;
        let flag = |set, bit| if set { bit } else { 0 };
        Some(Folded {
            settings: self.settings.clone(),
            seed: random.get_seed(),
            successes: self.totals.successes.try_into().ok()?,
            failures: self.totals.failures.try_into().ok()?,
            ignored: ignored
                | flag(self.lead.is_fleet(), LED)
                | flag(self.counting.is_on(), COUNTS),
        })
    }
}
