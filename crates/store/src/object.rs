//! What a store keeps, and the conditions and answers of a write.

use crate::{StoreError, WallTime};
use bytes::Bytes;
use std::time::Duration;

/// An object as it stands in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// The content.
    pub value: Bytes,
    /// What the content is, for example `application/json`.
    pub media_type: String,
    /// The number of the write that made it. Higher than any number that the store gave before,
    /// for whatever key, also across removal and restart.
    pub version: u64,
    /// From this moment on the object is expired. `None`: it never expires.
    pub expires_at: Option<WallTime>,
}

/// An object on its way into the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewObject {
    /// The content. At most [`Limits::value_bytes_max`](crate::Limits::value_bytes_max).
    pub value: Bytes,
    /// What the content is. At most
    /// [`Limits::media_type_bytes_max`](crate::Limits::media_type_bytes_max).
    pub media_type: String,
    /// How long it lives. `None`: as long as its partition says, by default for ever. Less than a
    /// millisecond counts as one. At most [`Limits::ttl_max`](crate::Limits::ttl_max).
    pub ttl: Option<Duration>,
}

impl NewObject {
    /// An object of some bytes and a media type, which lives as long as its partition says.
    pub fn new(value: impl Into<Bytes>, media_type: impl Into<String>) -> Self {
        NewObject {
            value: value.into(),
            media_type: media_type.into(),
            ttl: None,
        }
    }

    /// An object of plain text.
    pub fn text(value: impl Into<String>) -> Self {
        NewObject::new(value.into(), TEXT)
    }

    /// The same object with a time to live.
    #[must_use]
    pub fn living(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }
}

/// Under which condition a write happens. An expired object counts as absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// In any case.
    Always,
    /// Only if the key holds nothing.
    Absent,
    /// Only if the key holds an object of exactly this version.
    Version(u64),
}

impl When {
    pub(crate) fn allows(self, current: Option<u64>) -> bool {
        match self {
            When::Always => true,
            When::Absent => current.is_none(),
            When::Version(wanted) => current == Some(wanted),
        }
    }
}

/// What became of a [`put`](crate::ObjectStore::put).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// The object is in the store under this version.
    Stored {
        /// The version the object got.
        version: u64,
    },
    /// The condition did not hold; nothing was changed.
    Refused {
        /// The version that the key holds, if it holds anything.
        current: Option<u64>,
    },
}

/// The media type of text, and so of a number made by an increment.
pub(crate) const TEXT: &str = "text/plain";

/// The number a value stands for, plus `by`. `None` stands for an absent object, which counts 0.
pub(crate) fn added(
    partition: &str,
    key: &str,
    value: Option<&[u8]>,
    by: i64,
) -> Result<i64, StoreError> {
    let number = match value {
        None => 0,
        Some(bytes) => std::str::from_utf8(bytes)
            .ok()
            .and_then(|text| text.parse::<i64>().ok())
            .ok_or_else(|| StoreError::NotANumber {
                partition: partition.to_owned(),
                key: key.to_owned(),
            })?,
    };
    number.checked_add(by).ok_or_else(|| StoreError::Overflow {
        partition: partition.to_owned(),
        key: key.to_owned(),
        number,
        by,
    })
}
