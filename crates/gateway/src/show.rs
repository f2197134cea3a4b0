//! The view of a running gateway: metrics, the state of its breakers, pages of lists.

mod call_metrics;
pub mod calls;
pub mod circuits;
mod families;
pub mod fleet_metrics;
pub mod key_metrics;
pub mod metrics;
pub mod overview;
pub mod pages;
pub mod process_metrics;
pub mod ranking;
pub mod sampling;
pub mod status;
pub mod upstreams;
