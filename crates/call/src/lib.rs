//! The course of one call: its attempts, the retry budget, the choice of an endpoint, the limit of calls in flight.
//!
//! Nothing here sends anything. Time and chance are arguments, so that the gateway over real sockets and the simulator on
//! virtual time run the same decisions. `docs/calls.md` is the text that this crate follows.

pub mod adaptive;
pub mod attempts;
pub mod balance;
pub mod budget;
pub mod endpoints;
pub mod grpc;
pub mod health;
pub mod settings;

pub use grpc::GrpcCodes;
pub use settings::{
    Adaptive, Backoff, Balance, Budget, Bulkhead, Concurrent, Ejection, Hedge, Jitter, Retry,
    RetryOn,
};
