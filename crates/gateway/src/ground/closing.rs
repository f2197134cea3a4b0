//! The signal that a listener closes, to its connections.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// Signals the connections of a listener to finish the requests in flight and to end.
#[derive(Debug, Default)]
pub struct Closing {
    begun: AtomicBool,
    wake: Notify,
}

impl Closing {
    /// Sets the signal, once and for ever.
    pub fn begin(&self) {
        self.begun.store(true, Ordering::Release);
        self.wake.notify_waiters();
    }

    /// True once [`Closing::begin`] has been called.
    pub fn has_begun(&self) -> bool {
        self.begun.load(Ordering::Acquire)
    }

    /// A future that wakes on the signal. A caller that enables it and then checks [`Closing::has_begun`] misses
    /// nothing.
    pub fn notified(&self) -> tokio::sync::futures::Notified<'_> {
        self.wake.notified()
    }

    /// Waits for the signal; returns at once if it is set.
    pub async fn wait(&self) {
        let mut notified = std::pin::pin!(self.notified());
        notified.as_mut().enable();
        if !self.has_begun() {
            notified.await;
        }
    }
}
