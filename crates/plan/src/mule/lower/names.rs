//! The names of an application: what stands outside flows, once each, and what refers to it.

use std::collections::{BTreeMap, BTreeSet};

use super::open::misplaced;
use super::outside;
use super::shapes::{self, ATTRIBUTE_ALIASES, ELEMENT_ALIASES, Role};
use crate::diagnostic::{Notes, Place, quote, suggest};
use crate::mule::app::{Compat, ErrorType};
use crate::mule::xml::Element;

/// What stands outside flows.
pub(super) struct Globals<'a> {
    elements: &'a [Element],
    named: BTreeMap<&'a str, &'a Element>,
    /// The types that the application's own elements raise.
    pub raised: BTreeSet<ErrorType>,
}

impl<'a> Globals<'a> {
    /// Finds all that may stand there; the rest, and a name that is given twice, is noted.
    pub fn collect(elements: &'a [Element], files: &[&str], notes: &mut Notes) -> Globals<'a> {
        let mut globals = Globals {
            elements,
            named: BTreeMap::new(),
            raised: BTreeSet::new(),
        };
        for element in elements {
            let title = element.title();
            match shapes::find(&title) {
                Some(shape) if matches!(shape.role, Role::Global | Role::Handler) => {
                    globals.add(element, files, notes);
                }
                Some(shape) => {
                    let (what, mend) = misplaced(shape, None);
                    notes.error(element.at, what, mend);
                }
                None => {
                    let (what, mend) = outside::refusal(&title);
                    notes.error(element.at, what, mend);
                }
            }
            raised(element, &mut globals.raised);
        }
        globals
    }

    fn add(&mut self, element: &'a Element, files: &[&str], notes: &mut Notes) {
        let unnamed = [
            "global-property",
            "configuration",
            "configuration-properties",
        ];
        let Some(name) = name_of(element) else {
            return;
        };
        if unnamed.contains(&element.title().as_str()) {
            return;
        }
        if let Some(first) = self.named.get(name.value) {
            let what = format!(
                "the name {} is taken: a {} has it at {}",
                quote(name.value),
                quote(&first.title()),
                shown(first.at, files)
            );
            notes.error(name.at, what, "give each its own name");
            return;
        }
        self.named.insert(name.value, element);
    }

    /// All that are of one of these kinds, in order.
    pub fn all(
        &self,
        titles: &'static [&'static str],
    ) -> impl Iterator<Item = &'a Element> + use<'a> {
        let elements = self.elements.iter();
        elements.filter(|element| titles.contains(&element.title().as_str()))
    }

    /// That of a name, if it is of one of these kinds.
    pub fn find(&self, name: &str, titles: &[&str]) -> Option<&'a Element> {
        let element = *self.named.get(name)?;
        titles
            .contains(&element.title().as_str())
            .then_some(element)
    }

    /// What to do about a name that nothing of these kinds has, `otherwise` where none is near.
    pub fn mend(&self, name: &str, titles: &[&str], otherwise: &str) -> String {
        if let Some(other) = self.named.get(name) {
            return format!("{} is a {}", quote(name), quote(&other.title()));
        }
        let known: Vec<&str> = self
            .named
            .iter()
            .filter(|(_, element)| titles.contains(&element.title().as_str()))
            .map(|(name, _)| *name)
            .collect();
        let near = suggest(name, known);
        match near.starts_with("did you mean") {
            true => format!("{near} Or {otherwise}"),
            false => otherwise.to_owned(),
        }
    }
}

/// A name and where it is written.
pub(super) struct Name<'a> {
    pub value: &'a str,
    pub at: Place,
}

/// The name that an element has.
pub(super) fn name_of(element: &Element) -> Option<Name<'_>> {
    let attribute = element
        .attributes
        .iter()
        .find(|attribute| &*attribute.name == "name")?;
    Some(Name {
        value: &attribute.value.value,
        at: attribute.value.at,
    })
}

/// `FILE:LINE`, for a message about another place.
pub(super) fn shown(at: Place, files: &[&str]) -> String {
    let file = files.get(at.file).copied().unwrap_or_default();
    format!("{file}:{}", at.line)
}

/// The error types that come to be by `raise-error` and `error-mapping`.
fn raised(element: &Element, types: &mut BTreeSet<ErrorType>) {
    let wanted = match element.title().as_str() {
        "raise-error" => "type",
        "error-mapping" => "targetType",
        _ => "",
    };
    let attributes = element.attributes.iter();
    let named = attributes.filter(|attribute| &*attribute.name == wanted);
    types.extend(named.map(|attribute| ErrorType::parse(&attribute.value.value)));
    for child in &element.children {
        raised(child, types);
    }
}

/// Gives elements and attributes the names that Mule has for them, where published flows use others.
pub(super) fn rename(elements: &mut [Element], compat: Compat, notes: &mut Notes) {
    let mut say = |at: Place, wrong: &str, right: &str| {
        let what = format!("there is no {} in Mule", quote(wrong));
        match compat {
            Compat::Intent => {
                let what = format!("{what}; it is taken for {}", quote(right));
                notes.warn(at, what, format!("write {}", quote(right)));
            }
            Compat::Strict => notes.error(at, what, format!("write {}", quote(right))),
        }
    };
    rename_within(elements, &mut say);
}

fn rename_within(elements: &mut [Element], say: &mut impl FnMut(Place, &str, &str)) {
    for element in elements {
        let title = element.title();
        if let Some((wrong, right)) = ELEMENT_ALIASES.iter().find(|(wrong, _)| *wrong == title) {
            say(element.at, wrong, right);
            element.name = right.rsplit(':').next().unwrap_or(right).into();
        }
        for (_, wrong, right) in ATTRIBUTE_ALIASES.iter().filter(|(of, ..)| *of == title) {
            let both = element
                .attributes
                .iter()
                .any(|attribute| &*attribute.name == *right);
            let mut attributes = element.attributes.iter_mut();
            if let Some(attribute) = attributes.find(|attribute| &*attribute.name == *wrong)
                && !both
            {
                say(attribute.at, wrong, right);
                attribute.name = (*right).into();
            }
        }
        rename_within(&mut element.children, say);
    }
}
