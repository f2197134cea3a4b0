//! Keeps objects under keys, with a version and a time to live.
//!
//! An [`ObjectStore`] holds [`Object`]s in named partitions. Every write gives the object a new
//! version, higher than any version the store has given before; an object may have a time to live.
//! Three stores are here: [`MemoryStore`], which forgets when it is dropped and is the reference for
//! what the operations mean; [`EmbeddedStore`], which keeps a file in a data directory and
//! acknowledges a write only when it is durable; and [`ValkeyStore`], which keeps them on a server
//! that many gateways share. The last two are behind the features `embedded` and `valkey`; none is on by default.
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
//! What several processes agree on is in [`records`]: small ones that are changed where they live, in memory for one
//! process and for tests, and on a server for a fleet.
//!
//! The [`guide`] tells what is promised, and what happens when a disk or a server fails.
//! The crate assumes no async runtime and knows nothing of breakers or HTTP. Time comes from the
//! [`Clock`] that a store is given.

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

/// Records that many processes change together: read, changed and pushed to all.
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

/// The manual.
#[cfg(any(doc, all(doctest, feature = "embedded", feature = "valkey")))]
pub mod guide {
    #![doc = include_str!("../docs/store.md")]
}

/// The example of the package's own page.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
