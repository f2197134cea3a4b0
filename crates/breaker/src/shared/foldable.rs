//! The machine under the lock: whole, or folded while there is no state in it.
//!
//! For a breaker to which nothing has happened but calls that its windows have forgotten, the settings, the seed and a
//! few counts are the whole state. So a breaker among a hundred thousand idle ones is small.

use std::sync::Arc;

use crate::machine::{Folded, Latest, Machine};
use crate::settings::Settings;
use crate::time::Timestamp;

/// A machine in the least memory possible.
#[derive(Clone, Debug)]
pub(crate) enum Foldable {
    Whole(Box<Machine>),
    Folded(Folded),
}

impl Foldable {
    /// Folds the machine at once, if possible.
    pub fn new(machine: Machine) -> Self {
        let mut foldable = Foldable::Whole(Box::new(machine));
        foldable.fold(Timestamp::ZERO);
        foldable
    }

    pub fn settings(&self) -> &Arc<Settings> {
        match self {
            Foldable::Whole(machine) => machine.settings(),
            Foldable::Folded(folded) => folded.settings(),
        }
    }

    /// The machine, unfolded for good, at the time at which it was folded.
    pub fn unfold(&mut self, latest: Latest) -> &mut Machine {
        if let Foldable::Folded(folded) = self {
            *self = Foldable::Whole(Box::new(folded.unfold(latest)));
        }
        match self {
            Foldable::Whole(machine) => machine,
            Foldable::Folded(_) => unreachable!("it has just been unfolded"),
        }
    }

    /// Folds the machine, if at `now` there is no state in it.
    pub fn fold(&mut self, now: Timestamp) {
        if let Foldable::Whole(machine) = self
            && let Some(folded) = machine.fold(now)
        {
            *self = Foldable::Folded(folded);
        }
    }
}
