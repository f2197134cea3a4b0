//! How a subscriber hears of records that changed.

use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;

/// The next thing a subscriber hears, when it comes.
pub type NextPush<'a> = Pin<Box<dyn Future<Output = Push> + Send + 'a>>;

/// What a subscriber hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Push {
    /// A record was written. Pushes may come late, twice, and out of order: the records must tell which is newer.
    Record {
        /// Its key.
        key: String,
        /// The record.
        record: Bytes,
    },
    /// Something may have been missed: read what matters. Also the first thing every subscriber hears.
    Gap,
}

/// A subscription. It mends itself: after a broken connection it listens anew and tells of the [`Push::Gap`].
pub trait Pushes: Send {
    /// Listens to this key from soon on. A record that is written before that is not pushed, so read it after.
    fn follow(&mut self, key: &str);

    /// Listens to this key no longer. What was on its way may still come.
    fn unfollow(&mut self, key: &str);

    /// Waits for the next push. Dropping the future loses nothing.
    fn next(&mut self) -> NextPush<'_>;
}
