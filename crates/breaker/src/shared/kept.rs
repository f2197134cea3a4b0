//! The machine under the lock: whole, or folded away while there is nothing in it.
//!
//! Of a breaker to which nothing has happened but calls that its windows have forgotten, the settings, the seed and a
//! few counts say all. So a breaker among a hundred thousand idle ones is small.

use std::sync::Arc;

use crate::machine::{Folded, Latest, Machine};
use crate::settings::Settings;
use crate::time::Timestamp;

/// A machine, in as little memory as can be.
#[derive(Clone, Debug)]
pub(crate) enum Kept {
    Whole(Box<Machine>),
    Folded(Folded),
}

impl Kept {
    /// Folded at once, where it can be.
    pub fn new(machine: Machine) -> Self {
        let mut kept = Kept::Whole(Box::new(machine));
        kept.fold(Timestamp::ZERO);
        kept
    }

    pub fn settings(&self) -> &Arc<Settings> {
        match self {
            Kept::Whole(machine) => machine.settings(),
            Kept::Folded(folded) => folded.settings(),
        }
    }

    /// The machine, unfolded for good, at the time at which it was folded away.
    pub fn unfold(&mut self, latest: Latest) -> &mut Machine {
        if let Kept::Folded(folded) = self {
            *self = Kept::Whole(Box::new(folded.unfold(latest)));
        }
        match self {
            Kept::Whole(machine) => machine,
            Kept::Folded(_) => unreachable!("it has just been unfolded"),
        }
    }

    /// Folds the machine away, where at `now` there is nothing in it.
    pub fn fold(&mut self, now: Timestamp) {
        if let Kept::Whole(machine) = self
            && let Some(folded) = machine.fold(now)
        {
            *self = Kept::Folded(folded);
        }
    }
}
