//! The named elements of an application, and references to them.

use std::collections::{BTreeMap, BTreeSet};

use fusebox_plan::dialect::{At, Notes, Place, nearest, quote};

use super::Lowering;
use super::open::misplaced;
use super::shapes::{self, ATTRIBUTE_ALIASES, ELEMENT_ALIASES, Role};
use super::unsupported;
use super::values::Written;
use crate::app::{Compat, ErrorType, FlowId};
use crate::xml::Element;

/// The elements outside flows.
pub(super) struct Globals<'a> {
    /// The elements, each with its name in the table.
    elements: Vec<(&'static str, &'a Element)>,
    named: BTreeMap<&'a str, (&'static str, &'a Element)>,
    flows: BTreeMap<&'a str, FlowId>,
    /// The number of flows, with those that have no unique name.
    flow_count: usize,
    /// The error types that the application itself raises.
    pub raised: BTreeSet<ErrorType>,
    /// The modules of elements that are not supported, as the namespaces of their errors begin.
    refused: BTreeSet<String>,
    /// The modules that the application names or has elements of, as the namespaces of their errors begin.
    used: BTreeSet<String>,
}

/// The elements that are flows.
pub(super) const FLOWS: &[&str] = &["flow", "sub-flow"];

/// Elements whose `name` is not a global name.
const UNNAMED: &[&str] = &[
    "global-property",
    "configuration",
    "configuration-properties",
];

/// The limit of names that are compared for a suggestion.
const NAMES_MAX: usize = 2_000;

impl<'a> Globals<'a> {
    /// Collects the allowed elements; reports the others, and duplicate names.
    pub fn collect(elements: &'a [Element], files: &[&str], notes: &mut Notes) -> Globals<'a> {
        let mut globals = Globals {
            elements: Vec::new(),
            named: BTreeMap::new(),
            flows: BTreeMap::new(),
            flow_count: 0,
            raised: BTreeSet::new(),
            refused: BTreeSet::new(),
            used: BTreeSet::new(),
        };
        let has_flows = elements.iter().any(|element| element.title() == "flow");
        let mut beside = BTreeSet::new();
        for element in elements {
            let title = element.title();
            if has_flows && unsupported::is_of_build(&title) {
                // A file of this kind among those with flows hides nothing of them.
                if beside.insert(element.at.file) {
                    let (what, mend) = unsupported::refusal(&title, notes.errors());
                    notes.warn(element.at, what, format!("{mend}, or ignore this"));
                }
                continue;
            }
            match shapes::find(&title) {
                Some(shape) if matches!(shape.role, Role::Global | Role::Handler) => {
                    globals.add(shape.name, element, files, notes);
                }
                Some(shape) => {
                    let (what, mend) = misplaced(shape, None);
                    notes.error_about(element.at, title, what, mend);
                }
                None => unsupported::refuse(element, notes),
            }
            raised(element, &mut globals.raised);
            refused(element, &mut globals.refused);
            used(element, &mut globals.used);
        }
        globals
    }

    fn add(&mut self, kind: &'static str, element: &'a Element, files: &[&str], notes: &mut Notes) {
        let index = self.flow_count;
        self.flow_count += usize::from(FLOWS.contains(&kind));
        self.elements.push((kind, element));
        let Some(name) = name_of(element).filter(|_| !UNNAMED.contains(&kind)) else {
            return;
        };
        if let Some((other, first)) = self.named.get(name.value.as_str()) {
            let (quoted, other, there) = (quote(&name.value), quote(other), shown(first.at, files));
            let what = format!("the name {quoted} is taken: a {other} has it at {there}");
            notes.error(name.at, what, "give each its own name");
            return;
        }
        self.named.insert(&name.value, (kind, element));
        if FLOWS.contains(&kind) {
            self.flows.insert(&name.value, FlowId(index));
        }
    }

    /// True if the application uses a module, whose name begins the namespace of its errors.
    pub fn uses(&self, namespace: &str) -> bool {
        self.used.contains(namespace)
    }

    /// Adds modules that the application has; those that are supported are known anyway.
    pub fn add_modules(&mut self, modules: &BTreeSet<String>) {
        let is_ours = |module: &str| {
            let mut shapes = shapes::SHAPES.iter();
            shapes.any(|shape| shape.name.split_once(':').is_some_and(|it| it.0 == module))
        };
        let ours = ["core", "documentation"];
        for module in modules {
            let module = module.strip_prefix("ee/").unwrap_or(module);
            self.used.insert(letters(module));
            if !module.is_empty() && !ours.contains(&module) && !is_ours(module) {
                self.refused.insert(letters(module));
            }
        }
    }

    /// True for an error of a module that has elements here which are not supported, and which are reported.
    pub fn is_of_refused(&self, kind: &ErrorType) -> bool {
        let namespace = letters(&kind.namespace);
        let of =
            |module: &String| namespace.starts_with(&**module) || module.starts_with(&namespace);
        !namespace.is_empty() && self.refused.iter().any(of)
    }

    /// All elements of some kinds, in order.
    pub fn each(&self, kinds: &[&str]) -> Vec<&'a Element> {
        let elements = self.elements.iter();
        let found = elements.filter(|(kind, _)| kinds.contains(kind));
        found.map(|(_, element)| *element).collect()
    }

    /// The element with a name, if it is of one of these kinds.
    pub fn find(&self, name: &str, kinds: &[&str]) -> Option<&'a Element> {
        let (kind, element) = *self.named.get(name)?;
        kinds.contains(&kind).then_some(element)
    }

    /// The flow with a name.
    pub fn flow(&self, name: &str) -> Option<FlowId> {
        self.flows.get(name).copied()
    }

    /// The remedy for an unknown name: a similar name, or else `otherwise`.
    fn mend(&self, name: &str, kinds: &[&str], otherwise: &str) -> String {
        if let Some((other, _)) = self.named.get(name) {
            return format!("{} is a {}", quote(name), quote(other));
        }
        let known = self.named.iter().take(NAMES_MAX);
        let known = known.filter(|(_, (kind, _))| kinds.contains(kind));
        match nearest(name, known.map(|(name, _)| *name)) {
            Some(near) => format!("did you mean {}? Or {otherwise}", quote(near)),
            None => otherwise.to_owned(),
        }
    }
}

impl<'a> Lowering<'a> {
    /// The remedy for an unknown name: a similar name, or else `otherwise`.
    pub fn mend(&mut self, name: &str, kinds: &[&str], otherwise: &str) -> String {
        match self.may_guess() {
            true => self.globals.mend(name, kinds, otherwise),
            false => otherwise.to_owned(),
        }
    }

    /// The element of some kinds with a name; reports a name that none has.
    pub fn known(
        &mut self,
        name: Written<'a>,
        kinds: &[&str],
        what: &str,
        otherwise: &str,
    ) -> Option<&'a Element> {
        let found = self.globals.find(name.text, kinds);
        if found.is_none() && !self.is_partial {
            let what = format!("unknown {what} {}", quote(name.text));
            let mend = self.mend(name.text, kinds, otherwise);
            self.wrong(name, what, mend);
        }
        found
    }

    /// Counts a suggestion; false if there have been too many.
    pub fn may_guess(&mut self) -> bool {
        self.guesses += 1;
        self.guesses <= unsupported::GUESSES_MAX
    }
}

/// The name of an element, with its position.
pub(super) fn name_of(element: &Element) -> Option<&At<String>> {
    element.attribute("name").map(|attribute| &attribute.value)
}

/// `FILE:LINE`, for a message about another place.
pub(super) fn shown(at: Place, files: &[&str]) -> String {
    let file = files.get(at.file).copied().unwrap_or_default();
    format!("{file}:{}", at.line)
}

/// Collects the modules of elements.
fn used(element: &Element, modules: &mut BTreeSet<String>) {
    if !element.module.is_empty() {
        modules.insert(letters(&element.module));
    }
    for child in &element.children {
        used(child, modules);
    }
}

/// Collects the modules of elements that are not supported.
fn refused(element: &Element, modules: &mut BTreeSet<String>) {
    if !element.module.is_empty() && shapes::find(&element.title()).is_none() {
        modules.insert(letters(&element.module));
        // Its errors have two namespaces.
        if &*element.module == "salesforce" {
            modules.insert("SFDC".to_owned());
        }
    }
    for child in &element.children {
        refused(child, modules);
    }
}

/// The letters and digits of a name, in capitals.
fn letters(name: &str) -> String {
    let letters = name.chars().filter(char::is_ascii_alphanumeric);
    letters.map(|c| c.to_ascii_uppercase()).collect()
}

/// Collects the error types of `raise-error` and `error-mapping`.
fn raised(element: &Element, types: &mut BTreeSet<ErrorType>) {
    let named = match element.title().as_str() {
        "raise-error" => element.attribute("type"),
        "error-mapping" => element.attribute("targetType"),
        _ => None,
    };
    types.extend(named.map(|attribute| ErrorType::parse(&attribute.value.value)));
    for child in &element.children {
        raised(child, types);
    }
}

/// Replaces names that published flows use by those of Mule, with a note for each.
pub(super) fn rename(elements: &mut [Element], compat: Compat, notes: &mut Notes) {
    let mut say = |at: Place, wrong: &str, right: &str| {
        let what = format!("Mule has no {}", quote(wrong));
        match compat {
            Compat::Intent => {
                let what = format!("{what}; it is read as {}", quote(right));
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
            let both = element.attribute(right).is_some();
            let mut attributes = element.attributes.iter_mut();
            if let Some(attribute) = attributes.find(|attribute| &*attribute.name == *wrong)
                && !both
            {
                say(attribute.at, wrong, right);
                attribute.name = (*right).into();
            }
        }
        if title == "http:default-headers" {
            let mut children = element.children.iter_mut();
            for header in children.by_ref().filter(|it| it.title() == "http:header") {
                say(header.at, "http:header", "http:default-header");
                header.name = "default-header".into();
            }
        }
        rename_within(&mut element.children, say);
    }
}
