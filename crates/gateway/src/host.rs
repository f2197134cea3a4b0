//! The gateway as a whole: start, reload, drain, records, membership in a fleet.

pub mod announcer;
pub mod certificates;
pub mod endpoint_records;
pub mod gateway;
pub mod hold_ends;
pub mod membership;
pub mod options;
pub mod record;
pub mod records;
