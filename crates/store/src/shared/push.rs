//! Pushes: changed records as delivered to a subscriber.

use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;

/// The future of a subscriber's next push.
pub type NextPush<'a> = Pin<Box<dyn Future<Output = Push> + Send + 'a>>;

/// A message to a subscriber.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Push {
    /// A record was written. Pushes may come late, twice and out of order, so a record must contain its own version.
    Record {
        /// The record's key.
        key: String,
        /// The record's bytes.
        record: Bytes,
    },
    /// Pushes may have been missed, so the records of interest must be read. Also the first message to every
    /// subscriber.
    Gap,
}

/// A subscription. After a broken connection it subscribes again by itself, and delivers a [`Push::Gap`].
pub trait Pushes: Send {
    /// Subscribes to a key, soon after the call. A record written before that is not pushed, so read the record once
    /// afterwards.
    fn follow(&mut self, key: &str);

    /// Unsubscribes from a key. Pushes already under way may still be delivered.
    fn unfollow(&mut self, key: &str);

    /// Waits for the next push. Dropping the future loses nothing.
    fn next(&mut self) -> NextPush<'_>;
}
