//! The effects of object store operations on a path.

use std::sync::Arc;

use fusebox_dataweave::symbol::Symbol;

use super::{Act, Ends, Entry, Path, Raised, Walk};
use crate::app::{ErrorType, Given, ObjectCall, ObjectOperation, Site, StoreDeclaration};

impl<'a> Walk<'a> {
    pub(super) fn object(
        &mut self,
        call: &'a ObjectCall,
        site: &'a Site,
        mut path: Path<'a>,
    ) -> Ends<'a> {
        let missing = |name: &str| Raised {
            kind: ErrorType::new("OS", name),
            description: Symbol::Unknown,
            cause: None,
        };
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
                let mut ends = Vec::new();
                let paths = match once {
                    true => self.found(entry, path),
                    false => vec![(path, false)],
                };
                for (mut path, there) in paths {
                    if there {
                        ends.push((path, Some(missing("KEY_ALREADY_EXISTS"))));
                        continue;
                    }
                    path.held.insert(entry, Some(value.clone()));
                    path.acts.push(Act::Wrote {
                        entry,
                        value: value.clone(),
                        site,
                    });
                    ends.push((path, None));
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
                let mut ends = Vec::new();
                for (mut path, there) in self.found(entry, path) {
                    let value = if there {
                        let held = path.held.get(&entry).cloned().flatten();
                        held.unwrap_or(Symbol::Entry(entry))
                    } else {
                        match default {
                            Some(default) => self.given(default, &path),
                            None => {
                                ends.push((path, Some(missing("KEY_NOT_FOUND"))));
                                continue;
                            }
                        }
                    };
                    self.result(call, value, &mut path);
                    ends.push((path, None));
                }
                ends
            }
            ObjectOperation::Contains { key } => {
                let entry = self.entry(call, key, &path);
                path.acts.push(Act::Read {
                    entry,
                    site,
                    over_message: false,
                });
                let mut ends = Vec::new();
                for (mut path, there) in self.found(entry, path) {
                    self.result(call, Symbol::flag(there), &mut path);
                    ends.push((path, None));
                }
                ends
            }
            ObjectOperation::Remove { key } => {
                let entry = self.entry(call, key, &path);
                let mut ends = Vec::new();
                for (mut path, there) in self.found(entry, path) {
                    if !there {
                        ends.push((path, Some(missing("KEY_NOT_FOUND"))));
                        continue;
                    }
                    path.held.insert(entry, None);
                    path.acts.push(Act::Removed { entry, site });
                    ends.push((path, None));
                }
                ends
            }
            ObjectOperation::Clear => {
                let store = call.store.as_ref().map(|store| &store.name);
                for (entry, known) in self.entries.iter().enumerate() {
                    if known.store.as_ref().map(|store| &store.name) == store {
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
        let name =
            |store: &Option<Arc<StoreDeclaration>>| store.as_ref().map(|store| store.name.clone());
        let known = self
            .entries
            .iter()
            .position(|entry| entry.key == key && name(&entry.store) == name(&store));
        known.unwrap_or_else(|| {
            self.entries.push(Entry { store, key });
            self.entries.len() - 1
        })
    }

    /// Splits a path by an entry's existence, unless that is known.
    fn found(&self, entry: usize, path: Path<'a>) -> Vec<(Path<'a>, bool)> {
        if let Some(held) = path.held.get(&entry) {
            let there = held.is_some();
            return vec![(path, there)];
        }
        let as_if = |found: bool| {
            let mut path = path.clone();
            let held = found.then_some(Symbol::Entry(entry));
            path.held.insert(entry, held);
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
                path.attributes = Symbol::NULL;
            }
        }
    }
}
