//! JSON as DataWeave reads and writes it: numbers exact, equal keys kept, in order.

mod read;
mod write;

pub(crate) use read::read;
pub(crate) use write::{Layout, SkipNull, write};

use super::Value;
use crate::fault::EvalFault;

impl Value {
    /// The value of a JSON text; a byte order mark before it is no part of it.
    ///
    /// # Errors
    /// Where it is no JSON, with the place; nests too deep; or takes too much memory as a value.
    pub fn from_json(text: &str) -> Result<Value, EvalFault> {
        read(text)
    }
}
