//! The effects of object store operations on a path.

use fusebox_dataweave::symbol::Symbol;

use super::conditions::split;
use super::{Act, Ends, Entry, Path, Raised, Split, Walk};
use crate::app::{ErrorType, Given, ObjectCall, ObjectOperation, Site, is_same_store};

/// The limit of choices in a stored value that become paths of their own.
const CHOICES_MAX: usize = 12;

impl<'a> Walk<'a> {
    pub fn object(&mut self, call: &'a ObjectCall, site: &'a Site, mut path: Path<'a>) -> Ends<'a> {
        let failed = |name: &str| Some(Raised::of(ErrorType::new("OS", name)));
        match &call.operation {
            ObjectOperation::Store {
                key,
                value,
                fail_if_present,
                ..
            } => {
                let entry = self.entry(call, key, &path);
                let value = match value {
                    Some(value) => self.given(value, &path),
                    None => path.payload.clone(),
                };
                let once = self.given(fail_if_present, &path).truth() == Some(true);
                let paths = match once {
                    true => self.found(entry, path, site),
                    false => vec![(path, false)],
                };
                let mut ends = Vec::new();
                for (path, there) in paths {
                    if there {
                        ends.push((path, failed("KEY_ALREADY_EXISTS")));
                        continue;
                    }
                    for (mut path, value) in settled(value.clone(), path, site) {
                        path.held.insert(entry, Some(value.clone()));
                        path.acts.push(Act::Wrote { entry, value, site });
                        ends.push((path, None));
                    }
                }
                ends
            }
            ObjectOperation::Retrieve { key, default } => {
                let entry = self.entry(call, key, &path);
                path.acts.push(Act::Read {
                    entry,
                    site,
                    over_message: call.target.is_none(),
                });
                let read = |(mut path, there): (Path<'a>, bool)| {
                    let held = path.held.get(&entry).cloned().flatten();
                    let value = match (there, default) {
                        (true, _) => held.unwrap_or(Symbol::Entry(entry)),
                        (false, Some(default)) => self.given(default, &path),
                        (false, None) => return (path, failed("KEY_NOT_FOUND")),
                    };
                    self.result(call, value, &mut path);
                    (path, None)
                };
                self.found(entry, path, site)
                    .into_iter()
                    .map(read)
                    .collect()
            }
            ObjectOperation::Contains(key) => {
                let entry = self.entry(call, key, &path);
                path.acts.push(Act::Read {
                    entry,
                    site,
                    over_message: false,
                });
                let tested = |(mut path, there)| {
                    self.result(call, Symbol::flag(there), &mut path);
                    (path, None)
                };
                self.found(entry, path, site)
                    .into_iter()
                    .map(tested)
                    .collect()
            }
            ObjectOperation::Remove(key) => {
                let entry = self.entry(call, key, &path);
                let removed = |(mut path, there): (Path<'a>, bool)| {
                    if !there {
                        return (path, failed("KEY_NOT_FOUND"));
                    }
                    path.held.insert(entry, None);
                    path.acts.push(Act::Removed { entry, site });
                    (path, None)
                };
                self.found(entry, path, site)
                    .into_iter()
                    .map(removed)
                    .collect()
            }
            ObjectOperation::Clear => {
                for (entry, known) in self.entries.iter().enumerate() {
                    if is_same_store(&known.store, &call.store) {
                        path.held.insert(entry, None);
                        path.acts.push(Act::Removed { entry, site });
                    }
                }
                vec![(path, None)]
            }
            ObjectOperation::RetrieveAllKeys | ObjectOperation::RetrieveAll => {
                self.result(call, Symbol::Unknown, &mut path);
                vec![(path, None)]
            }
        }
    }

    /// The index of an entry, which is added if it is new.
    fn entry(&mut self, call: &ObjectCall, key: &Given, path: &Path<'_>) -> usize {
        let key = self.given(key, path).bare();
        let store = call.store.clone();
        let mut entries = self.entries.iter();
        let known =
            entries.position(|entry| entry.key == key && is_same_store(&entry.store, &store));
        known.unwrap_or_else(|| {
            self.entries.push(Entry { store, key });
            self.entries.len() - 1
        })
    }

    /// Splits a path by an entry's existence, unless that is known.
    fn found(&self, entry: usize, path: Path<'a>, site: &'a Site) -> Split<'a> {
        if let Some(held) = path.held.get(&entry) {
            let there = held.is_some();
            return vec![(path, there)];
        }
        let as_if = |found: bool| {
            let mut path = path.clone();
            let held = found.then_some(Symbol::Entry(entry));
            path.held.insert(entry, held);
            path.decisions.0.push((site, found));
            path.acts.push(Act::Found { entry, found });
            (path, found)
        };
        vec![as_if(true), as_if(false)]
    }

    fn result(&self, call: &ObjectCall, value: Symbol, path: &mut Path<'a>) {
        match &call.target {
            Some(target) => self.set_target(target, value, Symbol::NULL, path),
            None => {
                path.payload = value;
                path.media_type = None;
                path.attributes = Symbol::NULL;
            }
        }
    }
}

/// Splits a path at the choices in a value that depend on stored values, so that `if` in a value is like a `choice`
/// with several values.
fn settled<'a>(value: Symbol, path: Path<'a>, site: &'a Site) -> Vec<(Path<'a>, Symbol)> {
    let mut done = Vec::new();
    let mut left = vec![(path, value, 0)];
    while let Some((path, value, choices)) = left.pop() {
        let when = first_choice(&value).filter(|_| choices < CHOICES_MAX);
        let Some(when) = when else {
            done.push((path, value));
            continue;
        };
        for (path, holds) in split(when.clone(), path, site) {
            let value = value.rewritten(&|part| (*part == when).then(|| Symbol::flag(holds)));
            left.push((path, value, choices + 1));
        }
    }
    done
}

/// The first condition in a value that depends on stored values: that of a choice, or a value that is a condition.
fn first_choice(value: &Symbol) -> Option<Symbol> {
    let mut found = None;
    value.walk(&mut |part| {
        let when = match part {
            Symbol::If(when, ..) => when,
            Symbol::Compare(..) | Symbol::All(_) | Symbol::Any(_) | Symbol::Not(_) => part,
            _ => return,
        };
        if found.is_none() && when.has(&|part| matches!(part, Symbol::Entry(_))) {
            found = Some(when.clone());
        }
    });
    found
}
