//! The gateway as a whole: started, reloaded, drained; its records and its place in a fleet.

pub mod announcer;
pub mod gateway;
pub mod membership;
pub mod record;
pub mod records;
