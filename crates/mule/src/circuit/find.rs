//! Finds circuits in the paths through flows.
//!
//! A call has a circuit if there is a path to the call at first, and none after a failure of the call has left its
//! traces in an object store. Names of entries and variables, and the division into flows, do not matter.

use std::collections::{BTreeMap, BTreeSet};

use fusebox_dataweave::symbol::Symbol;
use fusebox_dataweave::{Number, Value};

use super::call_paths::CallPaths;
use super::failures::Failures;
use super::paths::{Act, Path, StoredKey, Walk};
use super::{Circuit, push, trace};
use crate::app::{App, Flow, FlowId};

/// An application's circuits, in the order of its flows.
pub(crate) fn circuits(app: &App) -> Vec<Circuit> {
    let failures = Failures::of(app);
    let mut walk = Walk::new(app, &failures);
    let all = walk_all(app, &mut walk);
    let mut found: Vec<Circuit> = Vec::new();
    for paths in all.iter().filter_map(|(_, paths)| paths.as_ref()) {
        let calls: BTreeSet<usize> = paths.iter().flat_map(Path::called).collect();
        for call in calls {
            let Some(circuit) = (CallPaths {
                walk: &walk,
                paths,
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

/// A flow with all paths through it; `None`: there are too many.
pub(crate) type Walked<'a> = (&'a Flow, Option<Vec<Path<'a>>>);

/// The paths through the flows that run by themselves, in the order of the file.
pub(crate) fn walk_all<'a>(app: &'a App, walk: &mut Walk<'a>) -> Vec<Walked<'a>> {
    let roots = roots(app);
    let mut all: Vec<_> = roots.iter().map(|flow| walk.through(flow)).collect();
    walk.constants = constants(&all);
    if !walk.constants.is_empty() {
        walk.tested = tested_keys(&all);
        all = roots.iter().map(|flow| walk.through(flow)).collect();
    }
    roots.into_iter().zip(all).collect()
}

/// The flows that have a source, and those that no other flow refers to.
fn roots(app: &App) -> Vec<&Flow> {
    let mut referred = BTreeSet::new();
    app.walk(&mut |processor| referred.extend(processor.does.flow()));
    let policies = app.policies.sources.iter().chain(&app.policies.operations);
    referred.extend(policies.map(|policy| policy.flow));
    let flows = app.flows.iter().enumerate();
    flows
        .filter(|(at, flow)| flow.source.is_some() || !referred.contains(&FlowId(*at)))
        .map(|(_, flow)| &**flow)
        .collect()
}

fn acts<'w, 'a>(all: &'w [Option<Vec<Path<'a>>>]) -> impl Iterator<Item = &'w Act<'a>> {
    all.iter().flatten().flatten().flat_map(|path| &path.acts)
}

/// The keys of stored objects that are written with one constant number, with that number.
fn constants(all: &[Option<Vec<Path<'_>>>]) -> BTreeMap<StoredKey, Symbol> {
    // The constant of each key; `None`: it is written with several values.
    let mut keys: BTreeMap<StoredKey, Option<Number>> = BTreeMap::new();
    let mut opaque = BTreeSet::new();
    for act in acts(all) {
        let Act::Wrote { entry, value, .. } = act else {
            continue;
        };
        let value = value.bare().parsed();
        let itself = Symbol::Entry(*entry);
        let nothing = BTreeMap::new();
        let (base, fields) = match &value {
            Symbol::Object { base, fields } => (base.as_deref(), fields),
            other => (Some(other), &nothing),
        };
        if base.is_some_and(|base| *base != itself) {
            opaque.insert(*entry);
        }
        for (key, value) in fields {
            if *value == itself.field(key) {
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

/// The keys of stored objects that conditions test.
fn tested_keys(all: &[Option<Vec<Path<'_>>>]) -> BTreeSet<StoredKey> {
    let mut keys = BTreeSet::new();
    for act in acts(all) {
        let Act::Assumed { condition, .. } = act else {
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

/// Merges two descriptions of one circuit.
fn join(known: &mut Circuit, other: Circuit) {
    let Circuit {
        upstreams,
        failures,
        calls,
        flaws,
        ..
    } = other;
    upstreams
        .into_iter()
        .for_each(|new| push(&mut known.upstreams, new));
    failures
        .into_iter()
        .for_each(|new| push(&mut known.failures, new));
    calls
        .into_iter()
        .for_each(|new| push(&mut known.calls, new));
    flaws
        .into_iter()
        .for_each(|new| push(&mut known.flaws, new));
}
