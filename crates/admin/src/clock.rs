//! The only reader of the time, so that tests may set it.

pub use tokio::time::Instant;

/// The present moment of the monotonic clock.
pub fn now() -> Instant {
    Instant::now()
}
