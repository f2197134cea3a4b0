//! What everything stands on: the clock, counters, ids, stores, sockets that listen.

pub mod action;
pub mod clock;
pub mod closing;
pub mod connection_slots;
pub mod ids;
pub mod listen;
pub mod measures;
pub mod meter;
pub mod pulse;
pub mod stores;
pub mod transport;
