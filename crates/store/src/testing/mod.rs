//! For tests: a real server to start, stop, freeze and kill, and a way to it that can be slow.
//!
//! Everything here panics when it cannot do what it is asked, as a test should.

mod proxy;
mod server;

pub use proxy::Proxy;
pub use server::Server;
