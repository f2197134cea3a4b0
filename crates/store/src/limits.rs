//! The size limits of a store, and the one place that checks them.

use crate::{NewObject, StoreError};
use std::time::Duration;

/// The limits of a store. The defaults are those of Anypoint Object Store v2 where it documents one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Characters in a key. Default 256. A key needs at least one character that is not white space.
    pub key_chars_max: usize,
    /// Characters in a partition's name. Default 256.
    pub partition_chars_max: usize,
    /// Bytes in a value. Default 10 MiB.
    pub value_bytes_max: usize,
    /// Bytes in a media type. Default 256, at most 65,535.
    pub media_type_bytes_max: usize,
    /// The longest time to live. Default 30 days. Objects without a time to live are not limited.
    pub ttl_max: Duration,
    /// Writes that may wait for the disk. Default 10,000; further writes are rejected ([`StoreError::Busy`]). Unused by
    /// a memory store.
    pub waiting_writes_max: usize,
    /// Bytes of values that may wait for the disk. Default 64 MiB; a single write is accepted whatever its size. Unused
    /// by a memory store.
    pub waiting_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            key_chars_max: 256,
            partition_chars_max: 256,
            value_bytes_max: 10 << 20,
            media_type_bytes_max: 256,
            ttl_max: Duration::from_secs(30 * 24 * 3600),
            waiting_writes_max: 10_000,
            waiting_bytes_max: 64 << 20,
        }
    }
}

impl Limits {
    pub(crate) fn check_partition(&self, partition: &str) -> Result<(), StoreError> {
        let remedies = ("give it a name", "give it a short name");
        match fault(partition, self.partition_chars_max, remedies) {
            None => Ok(()),
            Some(why) => Err(StoreError::InvalidPartition { why }),
        }
    }

    pub(crate) fn check_place(&self, partition: &str, key: &str) -> Result<(), StoreError> {
        self.check_partition(partition)?;
        let remedies = (
            "give it a character that is not white space, such as a prefix",
            "shorten it or hash it, or raise key_chars_max",
        );
        match fault(key, self.key_chars_max, remedies) {
            None => Ok(()),
            Some(why) => Err(StoreError::InvalidKey { why }),
        }
    }

    pub(crate) fn check_object(&self, object: &NewObject) -> Result<(), StoreError> {
        let media_type_bytes_max = self.media_type_bytes_max.min(usize::from(u16::MAX));
        check_size("value", self.value_bytes_max, object.value.len())?;
        check_size("media type", media_type_bytes_max, object.media_type.len())?;
        self.check_ttl(object.ttl)
    }

    pub(crate) fn check_ttl(&self, ttl: Option<Duration>) -> Result<(), StoreError> {
        match ttl {
            Some(asked) if asked > self.ttl_max => Err(StoreError::TtlTooLong {
                limit: self.ttl_max,
                asked,
            }),
            _ => Ok(()),
        }
    }
}

fn check_size(what: &'static str, limit: usize, size: usize) -> Result<(), StoreError> {
    if size > limit {
        return Err(StoreError::TooLarge { what, limit, size });
    }
    Ok(())
}

/// Describes the fault in a name that is blank or too long, with the matching remedy.
fn fault(name: &str, chars_max: usize, remedies: (&str, &str)) -> Option<String> {
    let (if_blank, if_long) = remedies;
    if name.trim().is_empty() {
        return Some(format!("it is blank; {if_blank}"));
    }
    // A character has at least one byte, so most names need no counting of characters.
    if name.len() <= chars_max {
        return None;
    }
    let chars = name.chars().count();
    (chars > chars_max)
        .then(|| format!("it has {chars} characters, more than the {chars_max} allowed; {if_long}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rejected_key_comes_with_its_remedy() {
        let limits = Limits {
            key_chars_max: 3,
            ..Limits::default()
        };
        let said = |key| limits.check_place("p", key).unwrap_err().to_string();
        assert_eq!(
            said(" "),
            "the key is not valid: it is blank; give it a character that is not white space, such as a prefix"
        );
        assert_eq!(
            said("long"),
            "the key is not valid: it has 4 characters, more than the 3 allowed; \
             shorten it or hash it, or raise key_chars_max"
        );
        assert_eq!(
            limits.check_partition("").unwrap_err().to_string(),
            "the partition's name is not valid: it is blank; give it a name"
        );
    }
}
