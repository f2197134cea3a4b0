//! Checks an element against its shape: attributes, required attributes, children.

use fusebox_plan::dialect::{Place, quote, suggest};

use super::Lowering;
use super::listen::RESPONSE;
use super::shapes::{self, Absent, Attr, Body, Kind, Role, SHAPES, Shape};
use super::unsupported;
use crate::xml::{Attribute, Element};

/// An element with its shape. Attributes and children outside the shape have been reported.
#[derive(Clone, Copy)]
pub(super) struct Open<'a> {
    pub element: &'a Element,
    pub shape: &'static Shape,
}

impl<'a> Open<'a> {
    /// The position of the element.
    pub fn at(&self) -> Place {
        self.element.at
    }

    /// An attribute of the element, as written.
    pub fn attribute(&self, name: &str) -> Option<&'a Attribute> {
        debug_assert!(
            self.shape.attribute(name).is_some(),
            "{} has no {name}",
            self.shape.name
        );
        self.element.attribute(name)
    }

    /// True if the attribute is written.
    pub fn has(&self, name: &str) -> bool {
        self.attribute(name).is_some()
    }

    /// The attribute's shape.
    pub fn attr(&self, name: &str) -> &'static Attr {
        self.shape
            .attribute(name)
            .expect("only names of the table are asked for")
    }

    /// The child elements with a name.
    pub fn parts(&self, name: &'static str) -> impl Iterator<Item = &'a Element> + use<'a> {
        debug_assert!(
            self.shape.allows(name),
            "{} does not allow {name}",
            self.shape.name
        );
        let children = self.element.children.iter();
        children.filter(move |child| child.title() == name)
    }

    /// The child elements that are processors.
    pub fn processors(&self) -> impl Iterator<Item = &'a Element> + use<'a> {
        let shape = self.shape;
        let children = self.element.children.iter();
        children.filter(move |child| {
            let title = child.title();
            !shape.allows(&title) && shapes::find(&title).is_some_and(is_step)
        })
    }
}

impl<'a> Lowering<'a> {
    /// Checks an element against its shape. `None`: it has no shape, which is reported.
    pub fn open(&mut self, element: &'a Element) -> Option<Open<'a>> {
        let title = element.title();
        let Some(shape) = shapes::find(&title) else {
            unsupported::refuse(element, self.notes);
            return None;
        };
        if shape.body != Body::Free {
            self.check_attributes(element, shape);
            self.check_children(element, shape);
        }
        Some(Open { element, shape })
    }

    fn check_attributes(&mut self, element: &'a Element, shape: &'static Shape) {
        for attribute in &element.attributes {
            let name = &*attribute.name;
            match shape.attribute(name).map(|attr| attr.kind) {
                None if name.contains(':') => {
                    self.no_effect(attribute.at, name, "it is of another namespace");
                }
                None => {
                    let known = shape.attributes.iter();
                    let known = known.filter(|attr| !matches!(attr.kind, Kind::Refused(..)));
                    let mend = match self.may_guess() {
                        true => suggest(name, known.map(|attr| attr.name)),
                        false => "remove it".to_owned(),
                    };
                    let what = format!("{} has no attribute {}", quote(shape.name), quote(name));
                    let about = format!("{} {name}=", shape.name);
                    self.notes.error_about(attribute.at, about, what, mend);
                }
                Some(Kind::Refused(why, mend)) => {
                    let what = format!("{} is not supported: {why}", quote(name));
                    let about = format!("{} {name}=", shape.name);
                    self.notes.error_about(attribute.at, about, what, mend);
                }
                Some(Kind::Unheeded(why)) => self.no_effect(attribute.at, name, why),
                Some(_) => {}
            }
        }
        for attr in shape.attributes {
            if attr.absent == Absent::Wrong && element.attribute(attr.name).is_none() {
                let what = format!("{} has no {}", quote(shape.name), quote(attr.name));
                let mend = format!("add `{}=\"…\"`", attr.name);
                self.error(element.at, what, mend);
            }
        }
    }

    fn check_children(&mut self, element: &'a Element, shape: &'static Shape) {
        for child in &element.children {
            let title = child.title();
            let other = shapes::find(&title);
            if shape.allows(&title) {
                if let Some(Role::Accepted(why)) = other.map(|other| other.role)
                    && !why.is_empty()
                {
                    self.no_effect(child.at, &title, why);
                }
                continue;
            }
            match other {
                Some(other) if shape.body == Body::Processors && is_step(other) => {}
                Some(other) => {
                    let (what, mend) = misplaced(other, Some(shape));
                    self.notes.error_about(child.at, title, what, mend);
                }
                None => unsupported::refuse(child, self.notes),
            }
        }
        if let Some(text) = &element.text
            && shape.body != Body::Text
        {
            let what = format!(
                "{} must not contain text: {}",
                quote(shape.name),
                quote(&text.value)
            );
            self.error(text.at, what, "remove it");
        }
    }

    fn no_effect(&mut self, at: Place, name: &str, why: &str) {
        let what = format!("{} has no effect: {why}", quote(name));
        self.warn(at, what, "remove it, or ignore this");
    }

    /// The single child with a name; further ones are reported.
    pub fn part(&mut self, open: &Open<'a>, name: &'static str) -> Option<&'a Element> {
        let mut parts = open.parts(name);
        let first = parts.next();
        for again in parts {
            let what = format!("{} has {} twice", quote(open.shape.name), quote(name));
            let mend = "keep one";
            self.error(again.at, what, mend);
        }
        first
    }

    /// The children with a name, checked.
    pub fn open_parts(&mut self, open: &Open<'a>, name: &'static str) -> Vec<Open<'a>> {
        let parts = open.parts(name);
        parts.filter_map(|part| self.open(part)).collect()
    }

    /// The elements of some kinds outside flows, checked.
    pub fn open_globals(&mut self, kinds: &[&str]) -> Vec<Open<'a>> {
        let elements = self.globals.each(kinds).into_iter();
        elements.filter_map(|element| self.open(element)).collect()
    }

    /// The single child with a name, checked.
    pub fn open_part(&mut self, open: &Open<'a>, name: &'static str) -> Option<Open<'a>> {
        let part = self.part(open, name)?;
        self.open(part)
    }
}

/// True for a processor, and for `http:response`, which published flows write as one.
fn is_step(shape: &Shape) -> bool {
    shape.role == Role::Processor || shape.name == RESPONSE
}

/// The problem and the remedy for an element in a wrong place.
pub(super) fn misplaced(shape: &Shape, within: Option<&Shape>) -> (String, String) {
    let name = quote(shape.name);
    let what = match within {
        Some(within) => format!("{name} is not allowed in {}", quote(within.name)),
        None => format!("{name} is not allowed outside flows"),
    };
    let homes = SHAPES.iter().filter(|home| home.allows(shape.name));
    let homes: Vec<String> = homes.map(|home| quote(home.name)).collect();
    let has_chain =
        |part: &&&str| shapes::find(part).is_some_and(|part| part.body == Body::Processors);
    let inner = within.into_iter().flat_map(|within| within.parts);
    let inner: Vec<String> = inner.filter(has_chain).map(|part| quote(part)).collect();
    let mend = match shape.role {
        Role::Global => "move it out of the flow".to_owned(),
        Role::Processor if !inner.is_empty() => format!("put it into {}", inner.join(" or ")),
        Role::Processor if within.is_none() => {
            "put it into a flow: `<flow name=\"main\">…</flow>`".to_owned()
        }
        Role::Processor => "move it before or after".to_owned(),
        Role::Source => "make it the first element of a `flow`".to_owned(),
        _ if homes.is_empty() => "move it out of the flow".to_owned(),
        _ => format!("it belongs in {}", homes.join(", ")),
    };
    (what, mend)
}
