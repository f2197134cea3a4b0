//! Keeps objects under keys, with a version and a time to live.
//!
//! An [`ObjectStore`] holds [`Object`]s in named partitions. Every write gives the object a new version, higher than
//! any version that the store issued before; an object may have a time to live.
//!
//! There are three stores. [`MemoryStore`] keeps objects in memory and is the reference implementation of every
//! operation. [`EmbeddedStore`] keeps a file in a data directory and acknowledges a write only once it is durable.
//! [`ValkeyStore`] keeps objects on a server that several gateways share. The last two need the features `embedded` and
//! `valkey`; no feature is on by default.
//!
//! ```
//! use fusebox_store::{MemoryStore, Limits, NewObject, ObjectStore, Put, SystemClock, When};
//! use std::{sync::Arc, time::Duration};
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
//! # runtime.block_on(async {
//! let store = MemoryStore::new(Limits::default(), Arc::new(SystemClock));
//!
//! let answer = NewObject::text("42").living(Duration::from_secs(60));
//! let put = store.put("answers", "life", answer, When::Absent).await?;
//! assert!(matches!(put, Put::Stored { .. }));
//!
//! let again = store.put("answers", "life", NewObject::text("41"), When::Absent).await?;
//! assert!(matches!(again, Put::Refused { current: Some(_) }));
//!
//! let object = store.get("answers", "life").await?.expect("it was just stored");
//! assert_eq!(object.value, "42");
//! # Ok::<(), fusebox_store::StoreError>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Several processes coordinate through [`records`]: small values that are changed where they are stored, in memory for
//! one process and for tests, or on a server for a fleet.
//!
//! The [`guide`] lists the guarantees, and the behaviour when a disk or a server fails.
//! The crate needs no async runtime and knows nothing of breakers or HTTP. It reads the time from the [`Clock`] passed
//! to the store.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod clock;
#[cfg(feature = "embedded")]
mod embedded;
mod error;
#[cfg(feature = "hostile")]
mod hostile;
mod limits;
mod memory;
mod object;
mod partition;
mod shared;
mod store;
#[cfg(feature = "testing")]
pub mod testing;
#[cfg(feature = "valkey")]
mod valkey;

pub use clock::{Clock, ManualClock, SystemClock, WallTime};
#[cfg(feature = "embedded")]
pub use embedded::{Durability, EmbeddedOptions, EmbeddedStore, OnDamage, Opened};
pub use error::StoreError;
#[cfg(feature = "hostile")]
pub use hostile::{Fault, HostileStore};
pub use limits::Limits;
pub use memory::MemoryStore;
pub use object::{NewObject, Object, Put, When};
pub use partition::{Expiry, PartitionSettings};
pub use store::{ObjectStore, Pending};
#[cfg(feature = "valkey")]
pub use valkey::{ValkeyOptions, ValkeyStore};

/// Shared records: small values that many processes read, change and subscribe to.
pub mod records {
    #[cfg(feature = "hostile")]
    pub use crate::shared::HostileRecords;
    pub use crate::shared::{
        Applied, Change, ChangeFn, Changed, MemoryRecords, NextPush, Push, Pushes,
        RECORD_BYTES_MAX, RECORD_KEY_MAX, ReadOut, SharedRecords,
    };
    #[cfg(feature = "valkey")]
    pub use crate::valkey::ValkeyRecords;
}

/// The guide to the stores: guarantees, durability, failures.
#[cfg(any(doc, all(doctest, feature = "embedded", feature = "valkey")))]
pub mod guide {
    #![doc = include_str!("../docs/store.md")]
}

/// The README's example, compiled as a doctest.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
