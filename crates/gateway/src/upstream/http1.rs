//! HTTP/1 towards upstreams, over a byte stream: the exchange that waits for an answer writes its request and reads the answer by
//! itself.
//!
//! A connection belongs to its exchange while it is in use, and to its pool otherwise: there is no task for it and no channel to
//! one (docs/decisions/0032). `httparse` reads the lines of a head; their meaning, and the heads that are refused, are decided here.

mod answer_head;
mod body;
mod chunked;
mod connection;
mod driver;
mod exchange;
mod fault;
mod known_head;
mod request_head;
mod upload;
mod wire;

pub use answer_head::HeadLimits;
pub use body::{HoldingBody, Left};
pub use connection::Http1;
pub use exchange::exchange;
pub use fault::{Fault, HeadFault};
pub use wire::Idleness;

#[cfg(test)]
mod tests;
