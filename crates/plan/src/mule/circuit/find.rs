//! The circuits in what flows do.
//!
//! A call has a circuit if nothing leads to it any more once a failure of it has left something in an
//! object store, and something did before. Whatever the flow calls its entries and variables, and
//! however it is divided, is the same to this.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::failures::{Failure, Failures, Outcome};
use super::trace::{self, Held, Increment};
use super::ways::{Act, Call, Walk, Way};
use super::{Circuit, Cooldown, Count, Entry, EntryKey, EntryKeyPart, Opens, Refusal, flaws};
use crate::mule::app::{App, Does, Flow, FlowName, Processor, Site};
use crate::mule::number::Number;
use crate::mule::symbol::{Form, Relation, Sign, Symbol, Unit, is_now};
use crate::mule::value::Value;

/// More failures than any circuit waits for.
const MANY: i64 = 1_000_000_000;

/// An application's circuits, by the order of its flows.
pub(crate) fn circuits(app: &App) -> Vec<Circuit> {
    let failures = Failures::of(app);
    let mut walk = Walk::new(app, &failures);
    let roots = roots(app);
    let first: Vec<_> = roots.iter().map(|flow| walk.through(flow)).collect();
    let mut all = first;
    walk.constants = constants(all.iter().flatten().flatten());
    if !walk.constants.is_empty() {
        walk.asked = asked(all.iter().flatten().flatten());
        all = roots.iter().map(|flow| walk.through(flow)).collect();
    }
    let mut found: Vec<Circuit> = Vec::new();
    for ways in all.iter().flatten() {
        let calls: BTreeSet<usize> = ways.iter().flat_map(|way| called(way)).collect();
        for call in calls {
            let Some(circuit) = (Sighting {
                walk: &walk,
                ways,
                call,
            })
            .circuit() else {
                continue;
            };
            match found.iter_mut().find(|known| known.state == circuit.state) {
                Some(known) => join(known, circuit),
                None => found.push(circuit),
            }
        }
    }
    found
}

/// The flows that start by themselves; and those that nobody refers to.
fn roots(app: &App) -> Vec<&Flow> {
    let mut referred = BTreeSet::new();
    let mut look = |processor: &Processor| {
        if let Does::FlowRef {
            flow: FlowName::Known(id),
            ..
        } = &processor.does
        {
            referred.insert(id.0);
        }
    };
    for flow in &app.flows {
        flow.walk(&mut look);
    }
    for handler in app.default_handlers.iter().flat_map(|handlers| &handlers.0) {
        handler.chain.walk(&mut look);
    }
    let flows = app.flows.iter().enumerate();
    flows
        .filter(|(at, flow)| flow.source.is_some() || !referred.contains(at))
        .map(|(_, flow)| &**flow)
        .collect()
}

fn called<'w>(way: &'w Way<'_>) -> impl Iterator<Item = usize> + use<'w> {
    way.acts.iter().filter_map(|act| match act {
        Act::Called { call, .. } => Some(*call),
        _ => None,
    })
}

/// The numbers that keys of objects in entries have whenever they are written.
fn constants<'w, 'a: 'w>(
    ways: impl Iterator<Item = &'w Way<'a>>,
) -> BTreeMap<(usize, Arc<str>), Symbol> {
    // For each key of an entry: its number, or that it has no single one.
    let mut keys: BTreeMap<(usize, Arc<str>), Option<Number>> = BTreeMap::new();
    let mut opaque = BTreeSet::new();
    for act in ways.flat_map(|way| &way.acts) {
        let Act::Wrote { entry, value, .. } = act else {
            continue;
        };
        let value = value.bare().parsed();
        let Symbol::Object { base, fields } = &value else {
            if value != Symbol::Entry(*entry) {
                opaque.insert(*entry);
            }
            continue;
        };
        if base
            .as_ref()
            .is_some_and(|base| **base != Symbol::Entry(*entry))
        {
            opaque.insert(*entry);
        }
        for (key, value) in fields {
            let same = Symbol::Entry(*entry).field(key);
            if *value == same {
                continue;
            }
            let number = match value.known() {
                Some(Value::Number(number)) => Some(number.clone()),
                _ => None,
            };
            keys.entry((*entry, key.clone()))
                .and_modify(|known| {
                    if *known != number {
                        *known = None;
                    }
                })
                .or_insert(number);
        }
    }
    keys.into_iter()
        .filter(|((entry, _), _)| !opaque.contains(entry))
        .filter_map(|(key, number)| Some((key, Symbol::Known(number?.into()))))
        .collect()
}

/// The keys of objects in entries that conditions look at.
fn asked<'w, 'a: 'w>(ways: impl Iterator<Item = &'w Way<'a>>) -> BTreeSet<(usize, Arc<str>)> {
    let mut keys = BTreeSet::new();
    for act in ways.flat_map(|way| &way.acts) {
        let Act::Held { condition, .. } = act else {
            continue;
        };
        for slot in trace::slots(condition) {
            if let Symbol::Field(of, key) = &slot
                && let Symbol::Entry(entry) = **of
            {
                keys.insert((entry, key.clone()));
            }
        }
    }
    keys
}

/// Two sightings of one circuit.
fn join(known: &mut Circuit, other: Circuit) {
    for upstream in other.upstreams {
        if !known.upstreams.contains(&upstream) {
            known.upstreams.push(upstream);
        }
    }
    for failure in other.failures {
        if !known.failures.contains(&failure) {
            known.failures.push(failure);
        }
    }
    for site in other.calls {
        if !known.calls.contains(&site) {
            known.calls.push(site);
        }
    }
    for flaw in other.flaws {
        if !known.flaws.contains(&flaw) {
            known.flaws.push(flaw);
        }
    }
}

/// One call of a flow, on all the ways of the flow.
pub(super) struct Sighting<'w, 'a> {
    pub walk: &'w Walk<'a>,
    pub ways: &'w [Way<'a>],
    pub call: usize,
}

/// How the circuit before a call is opened.
struct Trip<'w, 'a> {
    /// The way that opens it.
    way: &'w Way<'a>,
    /// What that leaves in the entries.
    held: Held,
    /// The entry that stands against the call then, and what of it is asked.
    slot: Option<Symbol>,
    entry: usize,
}

/// What counts the failures of a call.
#[derive(Clone)]
struct Counting<'a> {
    increment: Increment,
    threshold: Option<u64>,
    site: &'a Site,
}

impl<'w, 'a> Sighting<'w, 'a> {
    fn circuit(&self) -> Option<Circuit> {
        let leads = self.leads();
        let empty: Held = (0..self.walk.entries.len())
            .map(|entry| (entry, None))
            .collect();
        let passes = |held: &Held, later| {
            leads
                .iter()
                .any(|lead| trace::against(lead, held, later).entries.is_empty())
        };
        if !passes(&empty, false) {
            return None;
        }
        let trips = self.trips(&leads);
        let (trips, counting) = if trips.is_empty() {
            let (trips, counting) = self.counted_trips(&leads)?;
            (trips, Some(counting))
        } else {
            let counting = self.counting(&trips);
            (trips, counting)
        };
        let trip = trips.first()?;
        let entries = &self.walk.entries;
        let key = entry_key(&entries[trip.entry].key);
        let by_count = counting
            .as_ref()
            .is_some_and(|counting| counting.increment.slot.of_entry() == Some(trip.entry))
            && trip.slot.as_ref().is_none_or(|slot| {
                counting
                    .as_ref()
                    .is_some_and(|it| it.increment.slot == *slot)
            });
        // One failure of one request, or a count of its attempts, is no state of an upstream.
        if (counting.is_none() || by_count) && key.literal().is_none() {
            return None;
        }
        let failures = self.failures(counting.as_ref(), trip.entry);
        let of_upstream = |failure: &Failure| {
            failure
                .status
                .is_none_or(|status| status >= 500 || status == 429)
        };
        if !failures.iter().any(of_upstream) {
            return None;
        }
        let opens = match (&trip.slot, by_count) {
            (_, true) => Opens::AtLeast(counting.as_ref().and_then(|it| it.threshold)),
            (None, _) => Opens::Present,
            (Some(slot), _) => {
                let value = trip.held.get(&trip.entry).cloned().flatten()?;
                match trace::plain(&trace::at_slot(&value, slot)) {
                    Some(value) => Opens::Is(value),
                    None => Opens::Present,
                }
            }
        };
        let state = self.entry(trip.entry, trip.slot.as_ref());
        let again: Vec<&[Act<'a>]> = leads
            .iter()
            .filter(|lead| trace::against(lead, &trip.held, true).entries.is_empty())
            .copied()
            .collect();
        let half_open = again.iter().find_map(|lead| {
            let written = trace::left(lead).remove(&trip.entry)??;
            let slot = trip.slot.as_ref()?;
            trace::plain(&trace::at_slot(&written, slot))
        });
        let cooldown = self.cooldown(&again, trip);
        let closes = self.closes(trip, &leads);
        let success_resets = counting.as_ref().is_some_and(|counting| {
            let entry = counting.increment.slot.of_entry();
            self.after(|outcome| outcome == Outcome::Good)
                .any(|(_, after)| {
                    entry.is_some_and(|entry| trace::left(after).contains_key(&entry))
                })
        }) || counting.is_none();
        let call = &self.walk.calls[self.call];
        let mut circuit = Circuit {
            name: state.to_string().into(),
            site: self.site_of_gate(trip.entry).clone(),
            opens,
            trip_site: written_at(self.failed(trip.way), trip.entry)
                .unwrap_or(call.site)
                .clone(),
            half_open,
            count: counting.as_ref().map(|counting| {
                let entry = counting.increment.slot.of_entry().unwrap_or(trip.entry);
                Count {
                    entry: self.entry(entry, Some(&counting.increment.slot)),
                    threshold: counting.threshold,
                    site: counting.site.clone(),
                }
            }),
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
        let evidence = flaws::Evidence {
            sighting: self,
            again: &again,
            leads: &leads,
            state: trip.entry,
            slot: trip.slot.as_ref(),
            held: &trip.held,
            trip: self.failed(trip.way),
            closed_at: closes.and_then(|(_, site)| site),
            count: counting
                .as_ref()
                .and_then(|counting| counting.increment.slot.of_entry()),
        };
        circuit.flaws = flaws::of(&circuit, &evidence);
        Some(circuit)
    }

    /// What happens on each way before the call.
    fn leads(&self) -> Vec<&'w [Act<'a>]> {
        let mut leads: Vec<&[Act<'a>]> = Vec::new();
        for way in self.ways {
            if let Some(at) = self.at(way)
                && !leads.contains(&&way.acts[..at])
            {
                leads.push(&way.acts[..at]);
            }
        }
        leads
    }

    fn at(&self, way: &Way<'a>) -> Option<usize> {
        way.acts
            .iter()
            .position(|act| matches!(act, Act::Called { call, .. } if *call == self.call))
    }

    /// What a way does after the call.
    fn failed(&self, way: &'w Way<'a>) -> &'w [Act<'a>] {
        let at = self.at(way).map_or(way.acts.len(), |at| at + 1);
        &way.acts[at..]
    }

    /// The ways on which the call ended in some manner, with what they do after it.
    pub fn after(
        &self,
        ended: impl Fn(Outcome) -> bool,
    ) -> impl Iterator<Item = (Outcome, &'w [Act<'a>])> {
        self.ways.iter().filter_map(move |way| {
            let at = self.at(way)?;
            match &way.acts[at] {
                Act::Called { outcome, .. } if ended(*outcome) => {
                    Some((*outcome, &way.acts[at + 1..]))
                }
                _ => None,
            }
        })
    }

    fn bad_ways(&self) -> impl Iterator<Item = &'w Way<'a>> {
        self.ways.iter().filter(|way| {
            self.at(way).is_some_and(|at| {
                matches!(&way.acts[at], Act::Called { outcome, .. } if *outcome != Outcome::Good)
            })
        })
    }

    /// The ways on which a failure of the call leaves what stands against it.
    fn trips(&self, leads: &[&[Act<'a>]]) -> Vec<Trip<'w, 'a>> {
        self.bad_ways()
            .filter_map(|way| self.trip(way, trace::left(self.failed(way)), leads))
            .collect()
    }

    fn trip(&self, way: &'w Way<'a>, held: Held, leads: &[&[Act<'a>]]) -> Option<Trip<'w, 'a>> {
        if held.is_empty() {
            return None;
        }
        let mut votes: BTreeMap<usize, usize> = BTreeMap::new();
        let mut slots: Vec<Symbol> = Vec::new();
        for later in [true, false] {
            for lead in leads {
                let against = trace::against(lead, &held, later);
                if against.entries.is_empty() && !later {
                    return None;
                }
                if later || votes.is_empty() {
                    slots.extend(against.slots);
                }
                for entry in against.entries {
                    // What the flow finds when no time has passed decides, unless nothing else does.
                    *votes.entry(entry).or_default() += if later { leads.len() + 1 } else { 1 };
                }
            }
        }
        let counts = |entry: usize| {
            let mut acts = self.failed(way).iter();
            acts.any(|act| match act {
                Act::Wrote {
                    entry: written,
                    value,
                    ..
                } => *written == entry && slots_counted(entry, value),
                _ => false,
            })
        };
        let entry = votes
            .into_iter()
            .max_by_key(|(entry, votes)| (*votes, !counts(*entry), std::cmp::Reverse(*entry)))
            .map(|(entry, _)| entry)?;
        let slot = slots
            .into_iter()
            .find(|slot| slot.of_entry() == Some(entry));
        Some(Trip {
            way,
            held,
            slot,
            entry,
        })
    }

    /// The ways on which failures are counted, where the count itself stands against the call.
    fn counted_trips(&self, leads: &[&[Act<'a>]]) -> Option<(Vec<Trip<'w, 'a>>, Counting<'a>)> {
        let mut trips = Vec::new();
        let mut counting: Option<Counting<'a>> = None;
        for way in self.bad_ways() {
            let after = self.failed(way);
            for increment in counted(after) {
                // What is counted whatever becomes of the call is no count of failures.
                let always = self
                    .after(|outcome| outcome == Outcome::Good)
                    .any(|(_, after)| counted(after).contains(&increment));
                if always {
                    continue;
                }
                let mut held = Held::new();
                for act in after {
                    if let Act::Wrote { entry, value, .. } = act {
                        let many = value.clone().parsed().rewritten(&|part| {
                            let (slot, by) = trace::offset(&part.bare())?;
                            (slot == increment.slot && by == increment.by)
                                .then(|| Symbol::Known(MANY.into()))
                        });
                        held.insert(*entry, Some(trace::forgotten(&many)));
                    }
                }
                let Some(trip) = self.trip(way, held, leads) else {
                    continue;
                };
                if trip.slot.as_ref() != Some(&increment.slot) {
                    continue;
                }
                for act in leads.iter().copied().flatten() {
                    let Act::Held { condition, site } = act else {
                        continue;
                    };
                    // The call is made below the limit, so what holds is that it is not reached.
                    let refused = condition.clone().negation();
                    // A count is looked at before the next failure is added to it.
                    let before = Increment {
                        slot: increment.slot.clone(),
                        by: increment.by,
                    };
                    if let Some(threshold) = trace::threshold(&refused, &before) {
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

    /// What counts the failures until the circuit opens.
    fn counting(&self, trips: &[Trip<'w, 'a>]) -> Option<Counting<'a>> {
        let mut increments: Vec<Increment> = Vec::new();
        for way in self.bad_ways() {
            for increment in counted(self.failed(way)) {
                if !increments.contains(&increment) {
                    increments.push(increment);
                }
            }
        }
        let mut found: Option<Counting<'a>> = None;
        for trip in trips {
            for act in self.failed(trip.way) {
                let Act::Held { condition, site } = act else {
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
            // A threshold of one is met by the first failure, whose count is known.
            let increment = increments.into_iter().next()?;
            let entry = increment.slot.of_entry()?;
            let trip = trips.first()?;
            let site = written_at(self.failed(trip.way), entry)?;
            Some(Counting {
                increment,
                threshold: Some(1),
                site,
            })
        })
    }

    /// The failures that count, or that open the circuit where nothing counts.
    fn failures(&self, counting: Option<&Counting<'a>>, state: usize) -> Vec<Failure> {
        let mut found: Vec<Failure> = Vec::new();
        for (outcome, after) in self.after(|outcome| outcome != Outcome::Good) {
            let counts = match counting {
                Some(counting) => counted(after).contains(&counting.increment),
                None => written_at(after, state).is_some(),
            };
            if !counts {
                continue;
            }
            for failure in self.walk.failures.alike(outcome) {
                if !found.contains(failure) {
                    found.push(failure.clone());
                }
            }
        }
        found
    }

    fn entry(&self, entry: usize, slot: Option<&Symbol>) -> Entry {
        let known = &self.walk.entries[entry];
        let field = match slot {
            Some(Symbol::Field(of, key)) if matches!(**of, Symbol::Entry(_)) => Some(key.clone()),
            _ => None,
        };
        Entry {
            store: known.store.clone(),
            key: entry_key(&known.key),
            field,
        }
    }

    /// Where the flow asks for the circuit's state.
    fn site_of_gate(&self, entry: usize) -> &'a Site {
        let acts = self.ways.iter().flat_map(|way| &way.acts);
        let mut reads = acts.filter_map(|act| match act {
            Act::Read {
                entry: read, site, ..
            } if *read == entry => Some(*site),
            _ => None,
        });
        reads.next().unwrap_or(self.walk.calls[self.call].site)
    }

    /// When calls pass again, by the ways on which enough time has passed.
    fn cooldown(&self, again: &[&[Act<'a>]], trip: &Trip<'w, 'a>) -> Cooldown {
        let conditions = again.iter().copied().flatten().filter_map(|act| match act {
            Act::Held { condition, .. } if condition.has(&is_now) => Some(condition),
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
        if !again.is_empty() {
            return Cooldown::Timeout(None);
        }
        let store = self.walk.entries[trip.entry].store.as_ref();
        match store.and_then(|store| Some((store.ttl?, store.sweep_every?))) {
            Some((ttl, sweep)) if !ttl.is_zero() => Cooldown::Expiry { ttl, sweep },
            _ => Cooldown::Never,
        }
    }

    /// What a success writes so that calls pass, and where it does so without asking again.
    fn closes(
        &self,
        trip: &Trip<'w, 'a>,
        leads: &[&[Act<'a>]],
    ) -> Option<(Option<Value>, Option<&'a Site>)> {
        let good = self.after(|outcome| outcome == Outcome::Good);
        good.filter_map(|(_, after)| {
            let mut asked = false;
            for act in after {
                match act {
                    Act::Read { entry, .. } if *entry == trip.entry => asked = true,
                    Act::Wrote { entry, value, site } if *entry == trip.entry => {
                        let value = trace::forgotten(value);
                        let held: Held = [(*entry, Some(value.clone()))].into();
                        let passes = leads
                            .iter()
                            .any(|lead| trace::against(lead, &held, false).entries.is_empty());
                        if !passes {
                            continue;
                        }
                        let said = trip
                            .slot
                            .as_ref()
                            .and_then(|slot| trace::plain(&trace::at_slot(&value, slot)));
                        return Some((said, (!asked).then_some(*site)));
                    }
                    Act::Removed { entry, site } if *entry == trip.entry => {
                        return Some((None, (!asked).then_some(*site)));
                    }
                    _ => {}
                }
            }
            None
        })
        .next()
    }

    /// What becomes of a call that is not made.
    fn refusal(&self, trip: &Trip<'w, 'a>) -> Refusal {
        let refused = self.ways.iter().find(|way| {
            called(way).next().is_none()
                && trace::against(&way.acts, &trip.held, false)
                    .entries
                    .is_empty()
                && way.acts.iter().any(|act| match act {
                    Act::Held { condition, .. } => {
                        trace::substituted(condition, &trip.held).truth() == Some(true)
                    }
                    Act::Found { entry, found } => *found && trip.held.contains_key(entry),
                    _ => false,
                })
        });
        let Some(way) = refused else {
            return Refusal::default();
        };
        let status = way.vars.get("httpStatus").and_then(Symbol::number);
        let body = match way.payload.known() {
            Some(Value::String(text)) => Some(text.clone()),
            _ => None,
        };
        Refusal {
            status: status.and_then(|status| u16::try_from(status.to_i64()?).ok()),
            body,
            error: way
                .raised
                .as_ref()
                .map(|raised| raised.kind.to_string().into()),
        }
    }
}

/// The increments that some acts write.
fn counted(acts: &[Act<'_>]) -> Vec<Increment> {
    let mut found = Vec::new();
    for act in acts {
        if let Act::Wrote { entry, value, .. } = act {
            found.extend(trace::increments(*entry, value));
        }
    }
    found
}

/// Whether a value of an entry is a count and nothing else.
fn slots_counted(entry: usize, value: &Symbol) -> bool {
    let increments = trace::increments(entry, value);
    increments
        .iter()
        .any(|increment| increment.slot == Symbol::Entry(entry))
}

/// Where an entry is written last.
fn written_at<'a>(acts: &[Act<'a>], entry: usize) -> Option<&'a Site> {
    acts.iter().rev().find_map(|act| match act {
        Act::Wrote {
            entry: written,
            site,
            ..
        } if *written == entry => Some(*site),
        _ => None,
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

/// A condition on time with what is stored in place of what entries hold.
fn stored_times(condition: &Symbol, held: &Held) -> Symbol {
    // Stored moments are told from now by standing for themselves.
    condition.rewritten(&|part| match part {
        Symbol::Entry(entry) => {
            let value = held.get(entry)?.clone()?;
            Some(value.rewritten(&|part| is_now(part).then(|| Symbol::input("then"))))
        }
        _ => None,
    })
}

/// How much time must have passed for a condition to hold.
fn time(condition: &Symbol) -> Option<std::time::Duration> {
    let Symbol::Compare(left, relation, right) = condition else {
        return None;
    };
    let upward = matches!(relation, Relation::Greater | Relation::GreaterEqual);
    // `now - then > limit`, `now > then + limit`
    let (elapsed, limit) = match (&**left, &**right) {
        (elapsed, Symbol::Known(limit)) if upward => (elapsed, limit.clone()),
        (now, Symbol::Sum(_, Sign::Plus, limit)) if upward && now.has(&is_now) => {
            (now, limit.known()?.clone())
        }
        (Symbol::Sum(_, Sign::Plus, limit), now) if !upward && now.has(&is_now) => {
            (now, limit.known()?.clone())
        }
        _ => return None,
    };
    match limit {
        Value::Period(period) if period.is_exact() => period.time.try_into().ok(),
        Value::Number(number) => {
            let number = u64::try_from(number.to_i64()?).ok()?;
            Some(match unit(elapsed) {
                Unit::Seconds => std::time::Duration::from_secs(number),
                Unit::Milliseconds => std::time::Duration::from_millis(number),
            })
        }
        _ => None,
    }
}

/// What one of a time is: that of the outermost form.
pub(super) fn unit(symbol: &Symbol) -> Unit {
    match symbol {
        Symbol::As(_, Form::Number(unit)) => *unit,
        Symbol::Sum(left, _, right) => match unit(left) {
            Unit::Seconds => unit(right),
            found => found,
        },
        Symbol::As(of, _) => unit(of),
        _ => Unit::Seconds,
    }
}
