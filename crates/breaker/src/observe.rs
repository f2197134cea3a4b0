//! Ready-made listeners: one for metrics, one for the log.

#[cfg(feature = "metrics")]
mod metrics;
#[cfg(feature = "tracing")]
mod tracing;

#[cfg(feature = "metrics")]
pub use self::metrics::MetricsListener;
#[cfg(feature = "tracing")]
pub use self::tracing::TracingListener;
