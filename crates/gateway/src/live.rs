//! A plan as it runs, and the parts of it that a reload keeps.

pub mod by_name;
pub mod changes;
pub mod live_builder;
pub mod live_plan;
pub mod router;
pub mod shared;
pub mod sni;
pub mod tls;
