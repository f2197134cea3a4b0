//! The Object Store connector.

use std::sync::Arc;
use std::time::Duration;

use super::{Given, Site, Target};

/// An object store (`os:object-store`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreDeclaration {
    /// Its name, and its partition's; unique.
    pub name: Arc<str>,
    /// Where it is declared; or first used, where [`Compat::Intent`](super::Compat::Intent) supplies it.
    pub site: Site,
    /// Whether its entries outlive the process. Default true.
    pub persistent: bool,
    /// The age at which an entry is due to go; `None`: never.
    pub ttl: Option<Duration>,
    /// How many entries a sweep leaves; `None`: all.
    pub entries_max: Option<u64>,
    /// From one sweep to the next; `None`: nothing is ever swept. Default 1 min.
    pub sweep_every: Option<Duration>,
}

/// An operation on an object store (`os:*`).
#[derive(Debug, Clone, PartialEq)]
pub struct ObjectCall {
    /// One of [`App::stores`](super::App::stores); `None`: the application's default one.
    pub store: Option<Arc<StoreDeclaration>>,
    /// What is done.
    pub operation: ObjectOperation,
    /// Where the result goes; `None`: into the message.
    pub target: Option<Target>,
}

/// What is done with an object store.
#[derive(Debug, Clone, PartialEq)]
pub enum ObjectOperation {
    /// `os:store`: payload, attributes and variables stay.
    Store {
        /// The entry's key.
        key: Given,
        /// Its value; `None`: the payload.
        value: Option<Given>,
        /// Whether an entry that is there is an error. Default false.
        fail_if_present: Given,
        /// Whether null is an error, or else left alone. Default true.
        fail_on_null: Given,
    },
    /// `os:retrieve`.
    Retrieve {
        /// The entry's key.
        key: Given,
        /// What is given where there is none.
        default: Option<Given>,
    },
    /// `os:contains`: true or false.
    Contains {
        /// The entry's key.
        key: Given,
    },
    /// `os:remove`.
    Remove {
        /// The entry's key.
        key: Given,
    },
    /// `os:clear`.
    Clear,
    /// `os:retrieve-all-keys`: an array.
    RetrieveAllKeys,
    /// `os:retrieve-all`: an object.
    RetrieveAll,
}
