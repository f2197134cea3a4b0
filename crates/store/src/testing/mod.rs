//! Test support: a real server that can be stopped, frozen and killed, and a proxy with faults.
//!
//! Everything here panics on failure, as a test should.

mod proxy;
mod server;

pub use proxy::Proxy;
pub use server::Server;
