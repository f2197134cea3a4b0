//! The effects of object store operations on a path.

use std::sync::Arc;

use fusebox_dataweave::symbol::Symbol;

use super::{Act, Ends, Entry, Raised, Walk, Way};
use crate::app::{ErrorType, Given, ObjectCall, ObjectOperation, Site, StoreDeclaration};

impl<'a> Walk<'a> {
    pub(super) fn object(
        &mut self,
        call: &'a ObjectCall,
        site: &'a Site,
        mut way: Way<'a>,
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
                let entry = self.entry(call, key, &way);
                let value = match value {
                    Some(value) => self.given(value, &way),
                    None => way.payload.clone(),
                };
                let once = self.given(fail_if_present, &way).truth() == Some(true);
                let mut ends = Vec::new();
                let ways = match once {
                    true => self.found(entry, way),
                    false => vec![(way, false)],
                };
                for (mut way, there) in ways {
                    if there {
                        ends.push((way, Some(missing("KEY_ALREADY_EXISTS"))));
                        continue;
                    }
                    way.held.insert(entry, Some(value.clone()));
                    way.acts.push(Act::Wrote {
                        entry,
                        value: value.clone(),
                        site,
                    });
                    ends.push((way, None));
                }
                ends
            }
            ObjectOperation::Retrieve { key, default } => {
                let entry = self.entry(call, key, &way);
                way.acts.push(Act::Read {
                    entry,
                    site,
                    over_message: call.target.is_none(),
                });
                let mut ends = Vec::new();
                for (mut way, there) in self.found(entry, way) {
                    let value = if there {
                        let held = way.held.get(&entry).cloned().flatten();
                        held.unwrap_or(Symbol::Entry(entry))
                    } else {
                        match default {
                            Some(default) => self.given(default, &way),
                            None => {
                                ends.push((way, Some(missing("KEY_NOT_FOUND"))));
                                continue;
                            }
                        }
                    };
                    self.result(call, value, &mut way);
                    ends.push((way, None));
                }
                ends
            }
            ObjectOperation::Contains { key } => {
                let entry = self.entry(call, key, &way);
                way.acts.push(Act::Read {
                    entry,
                    site,
                    over_message: false,
                });
                let mut ends = Vec::new();
                for (mut way, there) in self.found(entry, way) {
                    self.result(call, Symbol::flag(there), &mut way);
                    ends.push((way, None));
                }
                ends
            }
            ObjectOperation::Remove { key } => {
                let entry = self.entry(call, key, &way);
                let mut ends = Vec::new();
                for (mut way, there) in self.found(entry, way) {
                    if !there {
                        ends.push((way, Some(missing("KEY_NOT_FOUND"))));
                        continue;
                    }
                    way.held.insert(entry, None);
                    way.acts.push(Act::Removed { entry, site });
                    ends.push((way, None));
                }
                ends
            }
            ObjectOperation::Clear => {
                let store = call.store.as_ref().map(|store| &store.name);
                for (entry, known) in self.entries.iter().enumerate() {
                    if known.store.as_ref().map(|store| &store.name) == store {
                        way.held.insert(entry, None);
                        way.acts.push(Act::Removed { entry, site });
                    }
                }
                vec![(way, None)]
            }
            ObjectOperation::RetrieveAllKeys | ObjectOperation::RetrieveAll => {
                self.result(call, Symbol::Unknown, &mut way);
                vec![(way, None)]
            }
        }
    }

    /// The index of an entry, which is added if it is new.
    fn entry(&mut self, call: &ObjectCall, key: &Given, way: &Way<'_>) -> usize {
        let key = self.given(key, way).bare();
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
    fn found(&self, entry: usize, way: Way<'a>) -> Vec<(Way<'a>, bool)> {
        if let Some(held) = way.held.get(&entry) {
            let there = held.is_some();
            return vec![(way, there)];
        }
        let as_if = |found: bool| {
            let mut way = way.clone();
            let held = found.then_some(Symbol::Entry(entry));
            way.held.insert(entry, held);
            way.acts.push(Act::Found { entry, found });
            (way, found)
        };
        vec![as_if(true), as_if(false)]
    }

    fn result(&self, call: &ObjectCall, value: Symbol, way: &mut Way<'a>) {
        match &call.target {
            Some(target) => self.set_target(target, value, Symbol::NULL, way),
            None => {
                way.payload = value;
                way.attributes = Symbol::NULL;
            }
        }
    }
}
