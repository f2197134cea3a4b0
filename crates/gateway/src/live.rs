//! A plan as it runs, and what a reload keeps of it.

pub mod changes;
pub mod live_plan;
pub mod router;
pub mod shared;
pub mod tls;
