//! Objects, and the conditions and results of a write.

use crate::{StoreError, WallTime};
use bytes::Bytes;
use std::time::Duration;

/// An object as stored, with its version and expiry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// The content, as bytes.
    pub value: Bytes,
    /// The content's media type, for example `application/json`.
    pub media_type: String,
    /// The number of the write that stored the object. Higher than every number the store issued before, for any key,
    /// also across removals and restarts.
    pub version: u64,
    /// The moment from which the object counts as expired. `None`: it never expires.
    pub expires_at: Option<WallTime>,
}

/// An object to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewObject {
    /// The content, at most [`Limits::value_bytes_max`](crate::Limits::value_bytes_max) bytes.
    pub value: Bytes,
    /// The content's media type, at most [`Limits::media_type_bytes_max`](crate::Limits::media_type_bytes_max) bytes.
    pub media_type: String,
    /// The time to live. `None`: the partition's, by default unlimited. Less than a millisecond counts as one. At most
    /// [`Limits::ttl_max`](crate::Limits::ttl_max).
    pub ttl: Option<Duration>,
}

impl NewObject {
    /// Makes an object of bytes and a media type, with its partition's time to live.
    pub fn new(value: impl Into<Bytes>, media_type: impl Into<String>) -> Self {
        NewObject {
            value: value.into(),
            media_type: media_type.into(),
            ttl: None,
        }
    }

    /// Makes an object of plain text.
    pub fn text(value: impl Into<String>) -> Self {
        NewObject::new(value.into(), TEXT)
    }

    /// Sets the time to live.
    #[must_use]
    pub fn living(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }
}

/// The condition under which a write happens. An expired object counts as absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// In any case, without a condition.
    Always,
    /// Only if the key holds no object.
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

/// The result of a [`put`](crate::ObjectStore::put).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// The object was stored.
    Stored {
        /// The version assigned to the object.
        version: u64,
    },
    /// The condition did not hold, so nothing was changed.
    Refused {
        /// The version under the key, or `None` if the key holds no object.
        current: Option<u64>,
    },
}

/// The media type of plain text, and of a number created by an increment.
pub(crate) const TEXT: &str = "text/plain";

/// The sum of a stored decimal number and `by`. `None` stands for an absent object, which counts as 0.
pub(crate) fn add_to_stored(
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
