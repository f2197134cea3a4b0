//! XML as DataWeave reads and writes it: an element is a key with its namespace and attributes, and repeated elements
//! are repeated keys. ([XML Format](https://docs.mulesoft.com/dataweave/latest/dataweave-formats-xml))

mod read;
mod write;

pub(crate) use read::{NullOn, read};
pub(crate) use write::{Style, write};

/// The key of the text of an element that also has elements.
const TEXT: &str = "__text";

/// The namespace of `xsi:nil`.
const XSI: &str = "http://www.w3.org/2001/XMLSchema-instance";
