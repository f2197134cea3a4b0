//! The word to the connections of a listener that it closes.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// Tells the connections of a listener that they are to finish what is in flight, and end.
#[derive(Debug, Default)]
pub struct Closing {
    begun: AtomicBool,
    wake: Notify,
}

impl Closing {
    /// The time has come.
    pub fn begin(&self) {
        self.begun.store(true, Ordering::Release);
        self.wake.notify_waiters();
    }

    /// Whether the time has come.
    pub fn has_begun(&self) -> bool {
        self.begun.load(Ordering::Acquire)
    }

    /// Wakes when it comes; who asks [`Closing::has_begun`] after enabling this misses nothing.
    pub fn notified(&self) -> tokio::sync::futures::Notified<'_> {
        self.wake.notified()
    }

    /// Waits until it comes.
    pub async fn wait(&self) {
        let mut notified = std::pin::pin!(self.notified());
        notified.as_mut().enable();
        if !self.has_begun() {
            notified.await;
        }
    }
}
