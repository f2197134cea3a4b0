//! The circuit before one call of a flow.

use std::sync::Arc;

use fusebox_dataweave::Value;
use fusebox_dataweave::symbol::{Symbol, is_now};

use super::failures::{Failure, Outcome};
use super::paths::{Act, Call, Path, Walk};
use super::time::{stored_times, time};
use super::trace::{self, StoreState};
use super::trip::{Counting, Trip, increments_in, written_at};
use super::{
    Circuit, Cooldown, Count, Entry, EntryKey, EntryKeyPart, OpenWhen, Refusal, flaws, push,
};
use crate::app::Site;

/// One call of a flow on all paths through the flow.
pub(crate) struct CallPaths<'w, 'a> {
    pub walk: &'w Walk<'a>,
    pub paths: &'w [Path<'a>],
    pub call: usize,
}

impl<'w, 'a> CallPaths<'w, 'a> {
    pub(super) fn circuit(&self) -> Option<Circuit> {
        let prefixes = self.prefixes();
        let empty: StoreState = (0..self.walk.entries.len())
            .map(|entry| (entry, None))
            .collect();
        if !trace::any_passes(&prefixes, &empty, false) {
            return None;
        }
        let trips = self.trips(&prefixes);
        let (trips, counting) = if trips.is_empty() {
            let (trips, counting) = self.counted_trips(&prefixes)?;
            (trips, Some(counting))
        } else {
            let counting = self.counting(&trips);
            (trips, counting)
        };
        let trip = trips.first()?;
        let entries = &self.walk.entries;
        let key = entry_key(&entries[trip.entry].key);
        let count_slot = counting.as_ref().map(|counting| &counting.increment.slot);
        let count_entry = count_slot.and_then(Symbol::of_entry);
        let by_count = count_entry == Some(trip.entry)
            && (trip.slot.is_none() || trip.slot.as_ref() == count_slot);
        // A single failure, or a count, kept per request says nothing about the upstream.
        if (counting.is_none() || by_count) && key.literal().is_none() {
            return None;
        }
        let failures = self.failures(counting.as_ref(), trip.entry);
        let mut statuses = failures.iter().map(|failure| failure.status);
        if !statuses.any(|status| status.is_none_or(|it| it >= 500 || it == 429)) {
            return None;
        }
        let open_when = match (&trip.slot, by_count) {
            (_, true) => OpenWhen::AtLeast(counting.as_ref().and_then(|it| it.threshold)),
            (None, _) => OpenWhen::Present,
            (Some(slot), _) => {
                let value = trip.held.get(&trip.entry).cloned().flatten()?;
                let value = trace::slot_value(&value, slot);
                // The end of the cooldown, beside the count.
                let is_timed = value.has(&is_now) && count_entry == Some(trip.entry);
                match trace::scalar(&value) {
                    Some(value) => OpenWhen::Is(value),
                    None if is_timed => OpenWhen::Counted,
                    None => OpenWhen::Present,
                }
            }
        };
        let state = self.entry(trip.entry, trip.slot.as_ref());
        let mut after_wait = prefixes.clone();
        after_wait.retain(|prefix| trace::passes(prefix, &trip.held, true));
        let half_open = after_wait.iter().find_map(|prefix| {
            let written = trace::store_after(prefix).remove(&trip.entry)??;
            let slot = trip.slot.as_ref()?;
            trace::scalar(&trace::slot_value(&written, slot))
        });
        let cooldown = self.cooldown(&after_wait, trip);
        let closes = self.closes(trip, &prefixes);
        let resets =
            |after| count_entry.is_some_and(|entry| trace::store_after(after).contains_key(&entry));
        let success_resets = counting.is_none() || self.after(true).any(|(_, after)| resets(after));
        let call = &self.walk.calls[self.call];
        let mut circuit = Circuit {
            name: state.to_string().into(),
            site: self.site_of_gate(trip.entry).clone(),
            open_when,
            trip_site: written_at(self.acts_after(trip.path), trip.entry)
                .unwrap_or(call.site)
                .clone(),
            half_open,
            count: counting.as_ref().map(|counting| {
                let entry = count_entry.unwrap_or(trip.entry);
                Count {
                    entry: self.entry(entry, Some(&counting.increment.slot)),
                    threshold: counting.threshold,
                    site: counting.site.clone(),
                }
            }),
            ignored: self.ignored(&failures, count_entry),
            failures,
            upstreams: vec![upstream(call)],
            cooldown,
            closes: closes.as_ref().and_then(|(value, _)| value.clone()),
            success_resets,
            refusal: self.refusal(trip),
            flaws: Vec::new(),
            calls: vec![call.site.clone()],
            state,
        };
        let refused: Vec<&Path<'a>> = self
            .paths
            .iter()
            .filter(|path| trips.iter().any(|trip| is_refused(path, trip)))
            .collect();
        let evidence = flaws::Evidence {
            refused: &refused,
            call_paths: self,
            after_wait: &after_wait,
            prefixes: &prefixes,
            state: trip.entry,
            slot: trip.slot.as_ref(),
            held: &trip.held,
            trip: self.acts_after(trip.path),
            closed_at: closes.and_then(|(_, site)| site),
            count: count_entry,
        };
        circuit.flaws = flaws::of(&circuit, &evidence);
        Some(circuit)
    }

    /// The path prefixes before the call, without duplicates.
    fn prefixes(&self) -> Vec<&'w [Act<'a>]> {
        let mut prefixes: Vec<&[Act<'a>]> = Vec::new();
        for path in self.paths {
            if let Some(at) = self.at(path) {
                push(&mut prefixes, &path.acts[..at]);
            }
        }
        prefixes
    }

    fn at(&self, path: &Path<'a>) -> Option<usize> {
        path.acts
            .iter()
            .position(|act| matches!(act, Act::Called { call, .. } if *call == self.call))
    }

    /// The acts of a path after the call.
    pub(super) fn acts_after(&self, path: &'w Path<'a>) -> &'w [Act<'a>] {
        let at = self.at(path).map_or(path.acts.len(), |at| at + 1);
        &path.acts[at..]
    }

    /// The acts after the call, on the paths where it is a success (`good` is true) or a failure (false).
    pub fn after(&self, good: bool) -> impl Iterator<Item = (Outcome, &'w [Act<'a>])> {
        self.paths.iter().filter_map(move |path| {
            let at = self.at(path)?;
            match &path.acts[at] {
                Act::Called { outcome, .. } if (*outcome == Outcome::Good) == good => {
                    Some((*outcome, &path.acts[at + 1..]))
                }
                _ => None,
            }
        })
    }

    pub(super) fn failed_paths(&self) -> impl Iterator<Item = &'w Path<'a>> {
        self.paths.iter().filter(|path| {
            let called = self.at(path).map(|at| &path.acts[at]);
            called.is_some_and(
                |act| matches!(act, Act::Called { outcome, .. } if *outcome != Outcome::Good),
            )
        })
    }

    /// The failures that are counted, or else that open the circuit.
    fn failures(&self, counting: Option<&Counting<'a>>, state: usize) -> Vec<Failure> {
        let mut found: Vec<Failure> = Vec::new();
        for (outcome, after) in self.after(false) {
            let counts = match counting {
                Some(counting) => increments_in(after).contains(&counting.increment),
                None => written_at(after, state).is_some(),
            };
            if !counts {
                continue;
            }
            let failures = self.walk.failures.alike(outcome).iter();
            failures.for_each(|failure| push(&mut found, failure.clone()));
        }
        found
    }

    /// The failures after which no path counts them and none resets the count.
    fn ignored(&self, failures: &[Failure], count: Option<usize>) -> Vec<Failure> {
        let Some(count) = count else {
            return Vec::new();
        };
        let mut ignored: Vec<Failure> = Vec::new();
        let mut reset: Vec<Failure> = Vec::new();
        for (outcome, after) in self.after(false) {
            let list = match trace::store_after(after).contains_key(&count) {
                true => &mut reset,
                false => &mut ignored,
            };
            let alike = self.walk.failures.alike(outcome).iter();
            alike.for_each(|failure| push(list, failure.clone()));
        }
        ignored.retain(|failure| !failures.contains(failure) && !reset.contains(failure));
        ignored
    }

    fn entry(&self, entry: usize, slot: Option<&Symbol>) -> Entry {
        let known = &self.walk.entries[entry];
        let mut keys = Vec::new();
        let mut at = slot;
        while let Some(Symbol::Field(of, key)) = at {
            keys.push(&**key);
            at = Some(of);
        }
        keys.reverse();
        let field = (!keys.is_empty()).then(|| keys.join(".").into());
        Entry {
            store: known.store.clone(),
            key: entry_key(&known.key),
            field,
        }
    }

    /// The position where the flow reads the circuit's state.
    fn site_of_gate(&self, of: usize) -> &'a Site {
        let acts = self.paths.iter().flat_map(|path| &path.acts);
        let mut reads = acts.filter_map(|act| match act {
            Act::Read { entry, site, .. } if *entry == of => Some(*site),
            _ => None,
        });
        reads.next().unwrap_or(self.walk.calls[self.call].site)
    }

    /// The cooldown, from the conditions on time of the prefixes `after_wait`.
    fn cooldown(&self, after_wait: &[&[Act<'a>]], trip: &Trip<'w, 'a>) -> Cooldown {
        let conditions = after_wait
            .iter()
            .copied()
            .flatten()
            .filter_map(|act| match act {
                Act::Assumed { condition, .. } if condition.has(&is_now) => Some(condition),
                _ => None,
            });
        let mut times = conditions.map(|condition| {
            let held = trip.held.clone();
            time(condition).or_else(|| time(&stored_times(condition, &held)))
        });
        if let Some(first) = times.next() {
            let found = first.or_else(|| times.flatten().next());
            return Cooldown::Timeout(found);
        }
        if !after_wait.is_empty() {
            return Cooldown::Timeout(None);
        }
        let store = self.walk.entries[trip.entry].store.as_ref();
        match store.and_then(|store| store.expiry()) {
            Some((ttl, sweep)) => Cooldown::Expiry { ttl, sweep },
            None => Cooldown::Never,
        }
    }

    /// The value that a success writes to allow calls, and the position if it does not read the state before.
    fn closes(
        &self,
        trip: &Trip<'w, 'a>,
        prefixes: &[&[Act<'a>]],
    ) -> Option<(Option<Value>, Option<&'a Site>)> {
        self.after(true)
            .filter_map(|(_, after)| {
                let mut read_again = false;
                for act in after {
                    match act {
                        Act::Read { entry, .. } if *entry == trip.entry => read_again = true,
                        Act::Wrote { entry, value, site } if *entry == trip.entry => {
                            let value = trace::without_entries(value);
                            let held: StoreState = [(*entry, Some(value.clone()))].into();
                            if !trace::any_passes(prefixes, &held, false) {
                                continue;
                            }
                            let said = trip
                                .slot
                                .as_ref()
                                .and_then(|slot| trace::scalar(&trace::slot_value(&value, slot)));
                            return Some((said, (!read_again).then_some(*site)));
                        }
                        Act::Removed { entry, site } if *entry == trip.entry => {
                            return Some((None, (!read_again).then_some(*site)));
                        }
                        _ => {}
                    }
                }
                None
            })
            .next()
    }

    /// The paths that an open circuit leads to, without the call.
    pub fn refused_paths(&self) -> Vec<&'w Path<'a>> {
        let prefixes = self.prefixes();
        let mut trips = self.trips(&prefixes);
        if trips.is_empty() {
            let counted = self.counted_trips(&prefixes);
            trips = counted.map(|(trips, _)| trips).unwrap_or_default();
        }
        let paths = self.paths.iter();
        let refused = |path: &&Path<'a>| trips.iter().any(|trip| is_refused(path, trip));
        paths.filter(refused).collect()
    }

    /// The flow's result for a call that it does not make.
    fn refusal(&self, trip: &Trip<'w, 'a>) -> Refusal {
        let Some(path) = self.paths.iter().find(|path| is_refused(path, trip)) else {
            return Refusal::default();
        };
        let raised = path.raised.as_ref();
        let status = path.vars.get("httpStatus").and_then(Symbol::number);
        let body = match path.payload.known() {
            Some(Value::String(text)) => Some(text.clone()),
            _ => None,
        };
        Refusal {
            status: status.and_then(|status| u16::try_from(status.to_i64()?).ok()),
            body,
            error: raised.map(|raised| raised.kind.to_string().into()),
        }
    }
}

/// True for a path that a tripped circuit leads to, without a call.
fn is_refused(path: &Path<'_>, trip: &Trip<'_, '_>) -> bool {
    path.called().next().is_none()
        && trace::passes(&path.acts, &trip.held, false)
        && path.acts.iter().any(|act| match act {
            Act::Assumed { condition, .. } => {
                trace::substituted(condition, &trip.held).truth() == Some(true)
            }
            Act::Found { entry, found } => *found && trip.held.contains_key(entry),
            _ => false,
        })
}

fn entry_key(key: &Symbol) -> EntryKey {
    let part = |symbol: &Symbol| match symbol.known() {
        Some(Value::String(text)) => EntryKeyPart::Literal(text.clone()),
        Some(Value::Number(number)) => EntryKeyPart::Literal(number.to_string().into()),
        _ => EntryKeyPart::Any,
    };
    EntryKey(match key {
        Symbol::Text(pieces) => pieces.iter().map(part).collect(),
        other => vec![part(other)],
    })
}

fn upstream(call: &Call<'_>) -> Arc<str> {
    let request = call.request;
    match (&request.config, &request.url) {
        (_, Some(url)) => match url.literal() {
            Some(url) => url.clone(),
            None => "{…}".into(),
        },
        (Some(config), None) => config.name.clone(),
        (None, None) => "".into(),
    }
}
