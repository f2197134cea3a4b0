//! Coordinates the circuit breakers of several processes through a store, off the request path.
//!
//! Every process is a node: it decides at once from its local knowledge, and exchanges decisions with the other nodes
//! in the background. The shared state of a breaker is one record, changed by commands that run where the record is
//! stored, on that place's clock. The [`guide`] lists the guarantees and their limits.
//!
//! # Contents
//! - a running node, with the feature `driver`: [`fleet()`], [`Fleet`], [`Driver`]
//! - the kinds of sharing: [`Share`]
//! - a node's state and reports: [`Health`], [`News`]
//! - the protocol as pure code, for simulations and other drivers: [`protocol`]

#![cfg_attr(docsrs, feature(doc_cfg))]

mod change;
mod command;
mod record;

mod share;

mod breakers;
mod counters;
#[cfg(feature = "driver")]
mod driver;
mod node;
mod server_time;

#[cfg(feature = "driver")]
pub use driver::{Driver, Fleet, FleetOptions, FleetStatus, FleetView, OnNews, fleet};
pub use node::{FleetCount, Health, News};
pub use share::{Share, ShareError};

/// The protocol: a node as a state machine without clock or socket, with its records and commands.
pub mod protocol {
    pub use crate::breakers::SharedBreakers;
    pub use crate::change::{LUA, NODES_MAX, Rewritten, change};
    pub use crate::command::{Act, Command, CountRule, Led, SPAN_MAX, WHY_MAX};
    pub use crate::counters::Counters;
    pub use crate::node::{
        AWAY_AFTER, BATCH_EVERY, Batch, Event, Input, Key, LEASE_MARGIN, Local, MemberView, Node,
        NodeOptions, Order, Output, PROBE_MARGIN, QUEUED_MAX, READ_KEYS, ROUND, TRY_AGAIN, Word,
    };
    pub use crate::record::{
        Anew, FleetHold, LastBatch, Lease, NUMBER_END, RECORD_BYTES_MAX, Record, SCHEMA, Stamp,
        State, Version, Want,
    };
    pub use crate::share::Sharing;
}

/// The guide to fleets: sharing, guarantees, failures, operation.
#[cfg(any(doc, all(doctest, feature = "driver")))]
pub mod guide {
    //!
    //! [admin.md, metrics]: crate::FleetStatus
    //!
    #![doc = include_str!("../docs/fleet.md")]
}

/// The README's example, compiled as a doctest.
#[cfg(all(doctest, feature = "driver"))]
#[doc = include_str!("../README.md")]
struct Readme;
