//! Makes the circuit breakers of many processes agree through a store, off the request path.
//!
//! Every process is a node: it decides at once from what it knows, and tells the others beside that. The fleet's truth of
//! a breaker is one record, changed by commands that are carried out where the record lives, on that place's clock. The
//! [`guide`] tells what is promised, and what is not.
//!
//! # Contents
//! - a node at work, with the feature `driver`: [`fleet()`], [`Fleet`], [`Driver`]
//! - what a breaker shares: [`Share`]
//! - what a node shows of itself: [`Health`], [`News`]
//! - the protocol itself, pure, for simulations and other drivers: [`protocol`]

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

/// The protocol: a node as a machine without a clock or a socket, and the records and commands by which nodes agree.
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

/// The manual.
#[cfg(any(doc, all(doctest, feature = "driver")))]
pub mod guide {
    //!
    //! [admin.md, metrics]: crate::FleetStatus
    //!
    #![doc = include_str!("../docs/fleet.md")]
}

/// The example of the package's own page.
#[cfg(all(doctest, feature = "driver"))]
#[doc = include_str!("../README.md")]
struct Readme;
