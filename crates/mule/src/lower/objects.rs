//! Object stores, declared or implied, and their operations.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use fusebox_plan::dialect::{Place, quote};

use super::Lowering;
use super::open::Open;
use crate::app::{Compat, Does, Given, Idempotent, ObjectCall, ObjectOperation, StoreDeclaration};
use crate::xml::Element;

pub(super) const STORE: &str = "os:object-store";

/// The stores of the application, by name.
#[derive(Default)]
pub(super) struct Stores {
    by_name: BTreeMap<Arc<str>, Arc<StoreDeclaration>>,
    /// The private stores, by position.
    private: BTreeMap<Place, Arc<StoreDeclaration>>,
    /// The number of private stores with the same alias.
    again: BTreeMap<String, u32>,
}

impl Stores {
    pub fn all(&self) -> Vec<Arc<StoreDeclaration>> {
        self.by_name.values().cloned().collect()
    }
}

/// The expiry of the stores in which Mule itself keeps the ids of messages.
pub(super) fn five_minutes(store: StoreDeclaration) -> StoreDeclaration {
    StoreDeclaration {
        ttl: Some(Duration::from_secs(300)),
        sweep_every: Some(Duration::from_secs(6)),
        ..store
    }
}

impl<'a> Lowering<'a> {
    /// Reads the declared stores.
    pub fn declare_stores(&mut self) {
        for open in self.open_globals(&[STORE]) {
            if let Some(name) = self.text(&open, "name") {
                let name: Arc<str> = name.text.into();
                let store = Arc::new(self.declaration(&open, name.clone()));
                self.stores.by_name.insert(name, store);
            }
        }
    }

    fn declaration(&mut self, open: &Open<'a>, name: Arc<str>) -> StoreDeclaration {
        let persistent = self.flag(open, "persistent") != Some(false);
        let unit = self.word(open, "entryTtlUnit");
        let ttl = match open.has("entryTtl") && unit.is_some() {
            true => self.span(open, "entryTtl", "entryTtlUnit"),
            false => None,
        };
        let entries_max = self.whole(open, "maxEntries");
        if entries_max.is_some_and(|max| max < 0) {
            let what = "`maxEntries` is negative, which means no limit";
            let mend = "remove it, or write the number of entries to keep";
            self.warn(open.at(), what, mend);
        }
        let interval = self.whole(open, "expirationInterval");
        let sweep_every = match interval {
            Some(interval) if interval > 0 => {
                self.span(open, "expirationInterval", "expirationIntervalUnit")
            }
            _ => {
                self.word(open, "expirationIntervalUnit");
                None
            }
        };
        StoreDeclaration {
            name,
            site: self.site(open.at()),
            persistent,
            ttl: ttl.filter(|ttl| !ttl.is_zero()),
            entries_max: entries_max
                .and_then(|max| u64::try_from(max).ok())
                .filter(|max| *max > 0),
            sweep_every,
        }
    }

    /// The store that an attribute names; an undeclared one is added.
    pub fn store_named(&mut self, open: &Open<'a>, attr: &str) -> Option<Arc<StoreDeclaration>> {
        let name = self.text(open, attr)?;
        if let Some(store) = self.stores.by_name.get(name.text) {
            return Some(store.clone());
        }
        if self.globals.find(name.text, &[STORE]).is_some() {
            return None;
        }
        let declare = format!("declare it: `<os:object-store name=\"{}\"/>`", name.text);
        let mend = self.mend(name.text, &[STORE], &declare);
        let what = format!("nothing declares the object store {}", quote(name.text));
        let what = match self.compat {
            Compat::Intent => format!("{what}, so one is added: persistent, without expiry"),
            Compat::Strict => what,
        };
        self.deviation(name.at(), what, mend);
        let store = Arc::new(StoreDeclaration {
            name: name.text.into(),
            site: self.site(name.at()),
            persistent: true,
            ttl: None,
            entries_max: None,
            sweep_every: Some(Duration::from_secs(60)),
        });
        self.stores
            .by_name
            .insert(store.name.clone(), store.clone());
        Some(store)
    }

    /// The store of an operation; `None`: the application's default store.
    pub fn store_of(&mut self, open: &Open<'a>) -> Option<Arc<StoreDeclaration>> {
        let private = self.part(open, "os:private-object-store");
        match (private, open.has("objectStore")) {
            (Some(private), false) => self.private_store(private),
            (Some(private), true) => {
                let what = "the operation names a store and has a private one";
                self.error(private.at, what, "keep one of the two");
                None
            }
            (None, true) => self.store_named(open, "objectStore"),
            (None, false) => None,
        }
    }

    fn private_store(&mut self, element: &'a Element) -> Option<Arc<StoreDeclaration>> {
        if let Some(store) = self.stores.private.get(&element.at) {
            return Some(store.clone());
        }
        let open = self.open(element)?;
        let alias = self.text(&open, "alias")?;
        // A private store has a single user, so it gets another name if its alias is in use.
        let name = self.free_name(alias.text);
        let store = Arc::new(self.declaration(&open, name.into()));
        self.stores
            .by_name
            .insert(store.name.clone(), store.clone());
        self.stores.private.insert(element.at, store.clone());
        Some(store)
    }

    /// The value that an `os:store` stores: its child, or the attribute that published flows write instead.
    fn stored_value(&mut self, open: &Open<'a>) -> Option<Given> {
        let child = self.given_part(open, "os:value");
        let Some(attribute) = open.attribute("value") else {
            return child;
        };
        let mend = "write it as the child `<os:value>…</os:value>`";
        if child.is_some() {
            let what = "`os:store` has its value twice, as an attribute and as a child";
            self.error(attribute.at, what, "remove the attribute");
            return child;
        }
        let what = "`os:store` has no attribute `value` in Mule";
        match self.compat {
            Compat::Intent => {
                let what = format!("{what}; it is read as the child `os:value`");
                self.warn(attribute.at, what, mend);
            }
            Compat::Strict => self.error(attribute.at, what, mend),
        }
        self.given(open, "value")
    }

    /// Reads an `idempotent-message-validator`.
    pub fn idempotent(&mut self, open: &Open<'a>) -> Option<Does> {
        let id = self.script(open, "idExpression");
        let value = self.script(open, "valueExpression");
        let named = open.has("objectStore") || self.part(open, "os:private-object-store").is_some();
        let store = match named {
            true => self.store_of(open)?,
            false => self.own_store("idempotent", open.at(), five_minutes),
        };
        Some(Does::Idempotent(Idempotent {
            id: id?,
            value: value?,
            store,
        }))
    }

    /// A store in memory that an element has for itself.
    pub fn own_store(
        &mut self,
        name: &str,
        at: Place,
        settings: impl Fn(StoreDeclaration) -> StoreDeclaration,
    ) -> Arc<StoreDeclaration> {
        if let Some(store) = self.stores.private.get(&at) {
            return store.clone();
        }
        let store = Arc::new(settings(StoreDeclaration {
            name: self.free_name(name).into(),
            site: self.site(at),
            persistent: false,
            ttl: None,
            entries_max: None,
            sweep_every: None,
        }));
        self.stores
            .by_name
            .insert(store.name.clone(), store.clone());
        self.stores.private.insert(at, store.clone());
        store
    }

    /// A name that no store has: this one, or this one with a number.
    fn free_name(&mut self, wanted: &str) -> String {
        let mut name = wanted.to_owned();
        while self.stores.by_name.contains_key(&*name)
            || self.globals.find(&name, &[STORE]).is_some()
        {
            let number = self.stores.again.entry(wanted.to_owned()).or_insert(1);
            *number += 1;
            name = format!("{wanted}#{number}");
        }
        name
    }

    /// Reads an operation on a store.
    pub fn object_call(&mut self, open: &Open<'a>) -> Option<Does> {
        let store = self.store_of(open);
        let operation = match open.shape.name {
            "os:store" => ObjectOperation::Store {
                key: self.given(open, "key")?,
                value: self.stored_value(open),
                fail_if_present: self.truth(open, "failIfPresent"),
                fail_on_null: self.truth(open, "failOnNullValue"),
            },
            "os:retrieve" => ObjectOperation::Retrieve {
                key: self.given(open, "key")?,
                default: self.given_part(open, "os:default-value"),
            },
            "os:contains" => ObjectOperation::Contains(self.given(open, "key")?),
            "os:remove" => ObjectOperation::Remove(self.given(open, "key")?),
            "os:clear" => ObjectOperation::Clear,
            "os:retrieve-all-keys" => ObjectOperation::RetrieveAllKeys,
            "os:retrieve-all" => ObjectOperation::RetrieveAll,
            name => unreachable!("{name} is a processor without a meaning"),
        };
        let has_result = open.shape.attribute("target").is_some();
        let target = has_result.then(|| self.target(open)).flatten();
        Some(Does::Object(Box::new(ObjectCall {
            store,
            operation,
            target,
        })))
    }
}
