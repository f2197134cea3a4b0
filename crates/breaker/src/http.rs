//! HTTP behind a breaker: a call lasts until its response's body has ended, and is judged by status, trailers and end.

mod body;
mod classify;
mod grpc;
mod keyed;
mod layer;
mod retry_after;

pub use body::GuardedBody;
pub use classify::{ByHead, ByStatus, ClassifyHttp, HttpEnd};
pub use keyed::{KeyedBreakerHttpLayer, KeyedBreakerHttpService};
pub use layer::{BreakerHttpFuture, BreakerHttpLayer, BreakerHttpService};
