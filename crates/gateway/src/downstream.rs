//! The way in: sockets, connections, and the dispatch of each request to its route.

pub mod accepting;
pub mod connection;
pub mod cors;
pub mod dispatch;
pub mod handshake;
pub mod http2;
pub mod refusal;
pub mod serving;
pub mod session;
mod socket;
mod unframed;
