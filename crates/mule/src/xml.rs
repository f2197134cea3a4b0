//! Elements, as they stand in an application's files.
//!
//! - [`parse`]: from a file's text to its elements; `document` nests them
//! - `tag`: a start tag and its attributes; `value`: how a value is written; `quoting`: where it ends
//! - `cursor`: a text and the place one is at; `places`: where each part of a value was written
//! - `modules`: which module a prefix means
//!
//! The grammar is that of [XML 1.0](https://www.w3.org/TR/xml/) without document types, and with several
//! elements side by side where XML has one. Published flows are not always XML:
//! [`Compat::Intent`](super::app::Compat::Intent) reads some of what they write, each time with a warning.

mod cursor;
mod document;
mod modules;
mod places;
mod quoting;
mod tag;
mod value;

use std::sync::Arc;

use fusebox_plan::dialect::{At, Place};

pub(crate) use document::parse;
pub(crate) use places::Places;

/// Elements inside one another.
pub(crate) const DEPTH_MAX: usize = 64;
/// Attributes of one element.
pub(crate) const ATTRIBUTES_MAX: usize = 128;

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
    /// Where the parts of its text were written.
    pub text_places: Places,
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
    /// Where the parts of its value were written.
    pub places: Places,
}

impl Element {
    /// Its name as it is conventionally written: `http:listener`, `flow`.
    pub fn title(&self) -> String {
        modules::title(&self.module, &self.name)
    }

    /// The attribute of a name, with its prefix if it has one.
    pub fn attribute(&self, name: &str) -> Option<&Attribute> {
        self.attributes
            .iter()
            .find(|attribute| &*attribute.name == name)
    }

    /// Where the character of its text stands that is in this line and column of it, both from 1.
    pub fn text_place(&self, line: usize, col: usize) -> Place {
        match &self.text {
            Some(text) => self.text_places.at(text, line, col),
            None => self.at,
        }
    }
}

impl Attribute {
    /// Where the character of its value stands that is in this line and column of it, both from 1.
    pub fn place(&self, line: usize, col: usize) -> Place {
        self.places.at(&self.value, line, col)
    }
}

#[cfg(test)]
mod tests;
