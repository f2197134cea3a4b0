//! The Object Store connector.

use std::sync::Arc;
use std::time::Duration;

use super::{Given, Site, Target};

/// An object store (`os:object-store`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreDeclaration {
    /// The name of the store and of its partition; unique.
    pub name: Arc<str>,
    /// The position of the declaration; of the first use if [`Compat::Intent`](super::Compat::Intent) adds the store.
    pub site: Site,
    /// True if entries survive a restart. Default true.
    pub persistent: bool,
    /// The age at which an entry expires; `None`: never.
    pub ttl: Option<Duration>,
    /// The number of entries that a sweep leaves; `None`: all.
    pub entries_max: Option<u64>,
    /// The period of sweeps; `None`: no sweeps. Default 1 min.
    pub sweep_every: Option<Duration>,
}

impl StoreDeclaration {
    /// The time to live and the period of sweeps, if entries expire.
    pub fn expiry(&self) -> Option<(Duration, Duration)> {
        let ttl = self.ttl.filter(|ttl| !ttl.is_zero())?;
        Some((ttl, self.sweep_every?))
    }
}

/// True if two operations use the same store; `None` is the default store.
pub fn is_same_store(a: &Option<Arc<StoreDeclaration>>, b: &Option<Arc<StoreDeclaration>>) -> bool {
    a.as_ref().map(|store| &store.name) == b.as_ref().map(|store| &store.name)
}

/// An operation on an object store (`os:*`).
#[derive(Debug, Clone, PartialEq)]
pub struct ObjectCall {
    /// One of [`App::stores`](super::App::stores); `None`: the application's default store.
    pub store: Option<Arc<StoreDeclaration>>,
    /// The operation with its arguments.
    pub operation: ObjectOperation,
    /// The variable for the result; `None`: the result becomes the message.
    pub target: Option<Target>,
}

/// An operation on an object store, with its arguments.
#[derive(Debug, Clone, PartialEq)]
pub enum ObjectOperation {
    /// `os:store`: leaves payload, attributes and variables as they are.
    Store {
        /// The entry's key.
        key: Given,
        /// The entry's value; `None`: the payload.
        value: Option<Given>,
        /// True if an existing entry is an error. Default false.
        fail_if_present: Given,
        /// True if a null value is an error, false if it is ignored. Default true.
        fail_on_null: Given,
    },
    /// `os:retrieve`: the entry's value.
    Retrieve {
        /// The entry's key.
        key: Given,
        /// The result if there is no entry; `None`: a missing entry is an error.
        default: Option<Given>,
    },
    /// `os:contains`: true or false, for an entry's key.
    Contains(Given),
    /// `os:remove`: removes an entry, by its key.
    Remove(Given),
    /// `os:clear`: removes all entries.
    Clear,
    /// `os:retrieve-all-keys`: an array of the keys.
    RetrieveAllKeys,
    /// `os:retrieve-all`: an object of all entries.
    RetrieveAll,
}

impl ObjectOperation {
    /// True if the operation may change an entry.
    pub fn is_write(&self) -> bool {
        match self {
            ObjectOperation::Store { .. } | ObjectOperation::Remove(_) | ObjectOperation::Clear => {
                true
            }
            ObjectOperation::Retrieve { .. }
            | ObjectOperation::Contains(_)
            | ObjectOperation::RetrieveAllKeys
            | ObjectOperation::RetrieveAll => false,
        }
    }
}
