//! Makes the circuit breakers of many processes agree through a store, off the request path.
//!
//! Every process is a [`Node`]: it decides at once from what it knows, and tells the others beside that. The fleet's
//! truth of a breaker is one [`Record`], changed by [`Command`]s that are carried out where the record lives, on that
//! place's clock. The [`guide`] tells what is promised, and what is not.
//!
//! # Contents
//! - the truth and how it changes: [`Record`], [`Version`], [`Command`], [`change`], [`LUA`]
//! - one process of the fleet, pure: [`Node`], told by [`Input`], answering with [`Output`]
//! - what a breaker shares: [`Share`], [`Sharing`]
//! - what stands between a node and its breakers: [`SharedBreakers`]
//! - a node at work, with the feature `driver`: [`fleet()`], [`Fleet`], [`Driver`]
//! - what a node shows of itself: [`Health`], [`Counters`], [`News`]

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

pub use breakers::SharedBreakers;
pub use change::{LUA, NODES_MAX, Rewritten, change};
pub use command::{Act, Command, CountRule, Led, SPAN_MAX, WHY_MAX};
pub use counters::Counters;
#[cfg(feature = "driver")]
pub use driver::{Driver, Fleet, FleetOptions, FleetStatus, FleetView, OnNews, fleet};
pub use node::{
    AWAY_AFTER, BATCH_EVERY, Batch, Event, FleetCount, Health, Input, Key, LEASE_MARGIN, Local,
    MemberView, News, Node, NodeOptions, Order, Output, PROBE_MARGIN, QUEUED_MAX, READ_KEYS, ROUND,
    TRY_AGAIN, Word,
};
pub use record::{
    Anew, FleetHold, LastBatch, Lease, NUMBER_END, RECORD_BYTES_MAX, Record, SCHEMA, Stamp, State,
    Version, Want,
};
pub use share::{Share, ShareError, Sharing};

/// The manual.
#[cfg(any(doc, all(doctest, feature = "driver")))]
pub mod guide {
    //! [admin.md, metrics]: crate::FleetStatus
    #![doc = include_str!("../docs/fleet.md")]
}

/// The example of the package's own page.
#[cfg(all(doctest, feature = "driver"))]
#[doc = include_str!("../README.md")]
struct Readme;
