//! What the end-to-end tests share: the real program, a service behind it, a client before it.
//!
//! Everything is blocking and plain: a test reads from top to bottom, a thread stands for a client.
//! No test sleeps to let something happen; it waits for the event itself, within [`PATIENCE`].
#![allow(dead_code, unused_imports, reason = "each test file uses a part of it")]

pub mod authority;
pub mod calls;
mod exposition;
pub mod flogo;
mod gateway;
pub mod hostile;
pub mod mule;
mod program;
pub mod python;
mod stream;
pub mod tls;
mod upstream;
mod waiting;
mod wire;

pub use exposition::Exposition;
pub use gateway::{Gateway, Setup};
pub use program::{Finished, Program};
pub use stream::{Frame, Stream};
pub use upstream::{Backlogged, Call, Refusing, Seen, Upstream};
pub use waiting::{Dial, Gate, PATIENCE, eventually, until};
pub use wire::{Client, Ending, Fields, Response, Wire};

/// A file with one upstream `orders` behind one route for every path, and `breaker` before it.
pub fn orders(upstream: &Upstream, breaker: &str) -> String {
    orders_at(&upstream.url(), breaker)
}

/// The same for any URL; `breaker` is a flow mapping, such as `{ cooldown: 1s }`.
pub fn orders_at(url: &str, breaker: &str) -> String {
    format!(
        "listen: 127.0.0.1:0
upstreams:
  orders:
    url: {url}
    breaker: {breaker}
routes:
  - path: \"/{{*rest}}\"
    upstream: orders
"
    )
}
