//! Elements, as they stand in an application's files.

use std::sync::Arc;

use crate::diagnostic::{At, Place};

/// An element.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Element {
    /// The module: the conventional prefix of its namespace (`http`, `os`, `ee`), empty for the core.
    pub module: Arc<str>,
    /// Its name without prefix.
    pub name: Arc<str>,
    /// Where its tag begins.
    pub at: Place,
    /// Its attributes, by their order; those of `doc:` and `xsi:` and namespace declarations left out.
    pub attributes: Vec<Attribute>,
    /// The elements within it.
    pub children: Vec<Element>,
    /// Its text and CDATA, joined and trimmed; `None` where there is nothing but white space.
    pub text: Option<At<String>>,
}

/// An attribute.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Attribute {
    /// Its name, with its prefix if it has one.
    pub name: Arc<str>,
    /// Where its name begins.
    pub at: Place,
    /// Its value, with entities decoded and placeholders replaced, and where it begins.
    pub value: At<String>,
}
