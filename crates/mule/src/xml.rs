//! The elements of an application's files.
//!
//! - [`parse`]: from a file's text to its elements; `document` nests them
//! - `tag`: a start tag with attributes; `value`: the decoding of a value; `quoting`: the end of a value
//! - `cursor`: a text with a position; `places`: the origin of each part of a value
//! - `modules`: the module of a prefix
//!
//! The grammar is that of [XML 1.0](https://www.w3.org/TR/xml/) without document types, and with several top-level
//! elements where XML allows one. Published flows are not always valid XML:
//! [`Compat::Intent`](super::app::Compat::Intent) accepts some deviations, each with a warning.

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
pub(crate) use modules::named_in;
pub(crate) use places::Places;

/// The limit of nested elements.
pub(crate) const DEPTH_MAX: usize = 64;
/// The limit of an element's attributes.
pub(crate) const ATTRIBUTES_MAX: usize = 128;

/// The place where a file begins.
pub(crate) fn start_of(file: usize) -> Place {
    Place {
        file,
        line: 1,
        col: 1,
    }
}

/// An element with its content.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Element {
    /// The module: the conventional prefix of its namespace (`http`, `os`, `ee`), empty for the core.
    pub module: Arc<str>,
    /// The name without prefix.
    pub name: Arc<str>,
    /// The position of its tag.
    pub at: Place,
    /// The attributes in order, without those of `doc:` and `xsi:` and without namespace declarations.
    pub attributes: Vec<Attribute>,
    /// The child elements.
    pub children: Vec<Element>,
    /// The text with CDATA, joined and trimmed; `None`: there is only white space.
    pub text: Option<At<String>>,
    /// The places where the parts of the text were written.
    pub text_places: Places,
    /// The state of the placeholders in the text.
    pub text_state: Filling,
}

/// The state of the placeholders in a value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Filling {
    /// True if a placeholder could not be filled in, which is reported. Nothing else is said of the value.
    pub is_broken: bool,
    /// The values of secure properties in it, which no message shows.
    pub secrets: Vec<Arc<str>>,
}

/// An attribute of an element.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Attribute {
    /// The name, with its prefix if it has one.
    pub name: Arc<str>,
    /// The position of its name.
    pub at: Place,
    /// The value with its position; entities are decoded and placeholders filled in.
    pub value: At<String>,
    /// The places where the parts of the value were written.
    pub places: Places,
    /// The state of the placeholders in the value.
    pub state: Filling,
}

impl Element {
    /// The conventional name: `http:listener`, `flow`.
    pub fn title(&self) -> String {
        modules::title(&self.module, &self.name)
    }

    /// True if the conventional name is this.
    pub fn is(&self, title: &str) -> bool {
        self.title() == title
    }

    /// Finds an attribute by its name, with its prefix if it has one.
    pub fn attribute(&self, name: &str) -> Option<&Attribute> {
        let mut attributes = self.attributes.iter();
        attributes.find(|attribute| &*attribute.name == name)
    }

    /// The place where a character of the text was written, from its line and column in the text, both from 1.
    pub fn text_place(&self, line: usize, col: usize) -> Place {
        match &self.text {
            Some(text) => self.text_places.at(text, line, col),
            None => self.at,
        }
    }
}

impl Attribute {
    /// The place where a character of the value was written, from its line and column in the value, both from 1.
    pub fn place(&self, line: usize, col: usize) -> Place {
        self.places.at(&self.value, line, col)
    }
}

#[cfg(test)]
mod tests;
