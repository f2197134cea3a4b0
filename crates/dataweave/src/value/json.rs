//! JSON as DataWeave reads and writes it: exact numbers, and all of several equal keys, in order.

mod arrange;
mod read;
mod write;

pub(crate) use read::read;
pub(crate) use write::{Layout, SkipNull, write};

use super::Value;
use crate::fault::EvalFault;

impl Value {
    /// Reads a JSON text; a leading byte order mark is skipped.
    ///
    /// # Errors
    /// If the text is not valid JSON, with the position; if it is nested too deep; or if the value needs too much
    /// memory.
    pub fn from_json(text: &str) -> Result<Value, EvalFault> {
        read(text)
    }
}
