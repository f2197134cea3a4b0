//! The lowest floor: the access log, the clock, counters, ids, stores and listening sockets.

pub mod access_log;
pub mod action;
pub mod certificate;
pub mod clock;
pub mod closing;
pub mod connection_slots;
pub mod histogram;
pub mod ids;
pub mod key_pair;
pub mod listen;
pub mod measures;
pub mod meter;
pub mod pulse;
pub mod series;
pub mod stores;
pub mod transport;
