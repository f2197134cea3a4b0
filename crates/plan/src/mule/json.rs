//! JSON as DataWeave reads and writes it: numbers exact, equal keys kept, in order.

mod read;
mod write;

pub(crate) use read::read;
pub(crate) use write::{Layout, SkipNull, write};
