//! How the circuit before a call opens, and how failures are counted until then.

use std::collections::BTreeMap;

use fusebox_dataweave::symbol::Symbol;

use super::call_paths::CallPaths;
use super::paths::{Act, Path};
use super::push;
use super::trace::{self, Increment, StoreState};
use crate::app::Site;

/// A count of failures above any threshold.
const MANY: i64 = 1_000_000_000;

/// The opening of a circuit.
pub(super) struct Trip<'w, 'a> {
    /// The path on which it opens.
    pub path: &'w Path<'a>,
    /// The entries after that path.
    pub held: StoreState,
    /// The entry that blocks the call, and the part of it that is tested.
    pub slot: Option<Symbol>,
    pub entry: usize,
}

/// The count of a call's failures.
#[derive(Clone)]
pub(super) struct Counting<'a> {
    pub increment: Increment,
    pub threshold: Option<u64>,
    pub site: &'a Site,
}

impl<'w, 'a> CallPaths<'w, 'a> {
    /// The paths on which a failure of the call blocks further calls.
    pub(super) fn trips(&self, prefixes: &[&[Act<'a>]]) -> Vec<Trip<'w, 'a>> {
        self.failed_paths()
            .filter_map(|path| self.trip(path, trace::store_after(self.acts_after(path)), prefixes))
            .collect()
    }

    fn trip(
        &self,
        path: &'w Path<'a>,
        held: StoreState,
        prefixes: &[&[Act<'a>]],
    ) -> Option<Trip<'w, 'a>> {
        if held.is_empty() {
            return None;
        }
        let mut votes: BTreeMap<usize, usize> = BTreeMap::new();
        let mut slots: Vec<Symbol> = Vec::new();
        // The slots of conditions that hold only until some time has passed.
        let mut timed: Vec<Symbol> = Vec::new();
        for later in [true, false] {
            for prefix in prefixes {
                let blockers = trace::blockers(prefix, &held, later);
                if blockers.entries.is_empty() && !later {
                    return None;
                }
                if later {
                    slots.extend(blockers.slots);
                } else {
                    timed.extend(blockers.slots);
                }
                for entry in blockers.entries {
                    // The first weight goes to conditions that hold before any time has passed.
                    *votes.entry(entry).or_default() += if later { prefixes.len() + 1 } else { 1 };
                }
            }
        }
        let counts = |of: usize| {
            let mut acts = self.acts_after(path).iter();
            acts.any(|act| match act {
                Act::Wrote { entry, value, .. } => *entry == of && is_counter(of, value),
                _ => false,
            })
        };
        let weight =
            |(entry, votes): &(usize, usize)| (*votes, !counts(*entry), std::cmp::Reverse(*entry));
        let (entry, _) = votes.into_iter().max_by_key(weight)?;
        let mut slots = slots.into_iter().chain(timed);
        let slot = slots.find(|slot| slot.of_entry() == Some(entry));
        Some(Trip {
            path,
            held,
            slot,
            entry,
        })
    }

    /// The paths on which failures are counted and the count itself blocks the call.
    pub(super) fn counted_trips(
        &self,
        prefixes: &[&[Act<'a>]],
    ) -> Option<(Vec<Trip<'w, 'a>>, Counting<'a>)> {
        let mut trips = Vec::new();
        let mut counting: Option<Counting<'a>> = None;
        for path in self.failed_paths() {
            let after = self.acts_after(path);
            for increment in increments_in(after) {
                // A count that successes increase as well is not a count of failures.
                let mut good = self.after(true);
                if good.any(|(_, after)| increments_in(after).contains(&increment)) {
                    continue;
                }
                let mut held = StoreState::new();
                for act in after {
                    if let Act::Wrote { entry, value, .. } = act {
                        let many = value.clone().parsed().rewritten(&|part| {
                            let (slot, by) = trace::offset(&part.bare())?;
                            (slot == increment.slot && by == increment.by)
                                .then(|| Symbol::Known(MANY.into()))
                        });
                        held.insert(*entry, Some(trace::without_entries(&many)));
                    }
                }
                let Some(trip) = self.trip(path, held, prefixes) else {
                    continue;
                };
                if trip.slot.as_ref() != Some(&increment.slot) {
                    continue;
                }
                for act in prefixes.iter().copied().flatten() {
                    let Act::Assumed { condition, site } = act else {
                        continue;
                    };
                    // The call is made below the limit, so the path's condition is the negation of reaching it.
                    let refused = condition.clone().negation();
                    if let Some(threshold) = trace::threshold(&refused, &increment) {
                        // The count is tested before the next failure is added.
                        let threshold = threshold.map(|least| least.saturating_sub(1).max(1));
                        counting.get_or_insert(Counting {
                            increment: increment.clone(),
                            threshold,
                            site,
                        });
                    }
                }
                trips.push(trip);
            }
        }
        Some((trips, counting?))
    }

    /// The count that opens the circuit on one of the paths.
    pub(super) fn counting(&self, trips: &[Trip<'w, 'a>]) -> Option<Counting<'a>> {
        let mut increments: Vec<Increment> = Vec::new();
        for path in self.failed_paths() {
            let new = increments_in(self.acts_after(path)).into_iter();
            new.for_each(|increment| push(&mut increments, increment));
        }
        let mut found: Option<Counting<'a>> = None;
        for trip in trips {
            for act in self.acts_after(trip.path) {
                let Act::Assumed { condition, site } = act else {
                    continue;
                };
                for increment in &increments {
                    let Some(threshold) = trace::threshold(condition, increment) else {
                        continue;
                    };
                    let lower = match (&found, threshold) {
                        (None, _) => true,
                        (Some(found), Some(least)) => {
                            found.threshold.is_none_or(|known| least < known)
                        }
                        (Some(_), None) => false,
                    };
                    if lower {
                        found = Some(Counting {
                            increment: increment.clone(),
                            threshold,
                            site,
                        });
                    }
                }
            }
        }
        found.or_else(|| {
            // A threshold of one is reached by the first failure, whose count is constant.
            let increment = increments.into_iter().next()?;
            let entry = increment.slot.of_entry()?;
            let trip = trips.first()?;
            let site = written_at(self.acts_after(trip.path), entry)?;
            Some(Counting {
                increment,
                threshold: Some(1),
                site,
            })
        })
    }
}

/// The increments that acts write.
pub(super) fn increments_in(acts: &[Act<'_>]) -> Vec<Increment> {
    let mut found = Vec::new();
    for act in acts {
        if let Act::Wrote { entry, value, .. } = act {
            found.extend(trace::increments(*entry, value));
        }
    }
    found
}

/// True if a value counts in the entry itself, not in a key of it.
pub(super) fn is_counter(entry: usize, value: &Symbol) -> bool {
    let increments = trace::increments(entry, value);
    increments
        .iter()
        .any(|increment| increment.slot == Symbol::Entry(entry))
}

/// The position of the last write to an entry.
pub(super) fn written_at<'a>(acts: &[Act<'a>], of: usize) -> Option<&'a Site> {
    acts.iter().rev().find_map(|act| match act {
        Act::Wrote { entry, site, .. } if *entry == of => Some(*site),
        _ => None,
    })
}
