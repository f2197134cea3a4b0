//! An application as written: the elements of all files, with placeholders filled in.

mod aside;
mod resources;

use std::collections::{BTreeSet, HashSet};

use fusebox_dataweave::{Compat, Properties};
use fusebox_plan::dialect::{Loader, Notes};

use super::properties::{self, Kind, Names, Table, plain};
use super::xml::{self, Element};

mod template;

/// The limit of imported files in an application.
const IMPORTS_MAX: usize = 64;

/// An application as written.
pub(crate) struct WrittenApp {
    /// The elements of all files in order; imported elements replace their `import`.
    pub elements: Vec<Element>,
    /// The properties that `p('key')` reads.
    pub properties: Properties,
    /// True if a part of the application could not be read, which is reported: a name that nothing defines may be
    /// there.
    pub is_partial: bool,
    /// The modules whose namespaces the files name.
    pub modules: BTreeSet<String>,
}

/// The rules by which the files are understood.
pub(crate) fn compat(loader: &dyn Loader) -> Compat {
    if loader.is_strict() {
        Compat::Strict
    } else {
        Compat::Intent
    }
}

/// Reads the files of an application. `names` are the names of all files so far; imported files and property files
/// are appended.
///
/// `None`: no file can be parsed, which is in the notes. Other errors are there, too, and the rest is read on.
pub(crate) fn read(
    texts: &[(usize, &str)],
    names: &mut Vec<String>,
    loader: &dyn Loader,
    notes: &mut Notes,
) -> Option<WrittenApp> {
    let errors = notes.errors();
    let compat = compat(loader);
    let mut elements = Vec::new();
    for (file, text) in texts {
        let filled =
            template::is_template(text).then(|| template::filled(text, *file, loader, notes));
        let text = filled.as_deref().unwrap_or(text);
        elements.extend(xml::parse(text, *file, compat, notes).unwrap_or_default());
    }
    let is_broken = notes.errors() > errors;
    if is_broken && elements.is_empty() {
        return None;
    }
    let given = names.len();
    let mut names = Names { all: names, given };
    let mut elements = import(elements, &mut names, loader, notes);
    aside::set_aside(&mut elements, notes);
    let is_partial = is_broken || notes.errors() > errors;
    let mut table = Table::new(loader).beside(&names);
    table.add_globals(&elements, notes);
    table.add_globals(given_to_policies(&elements).as_slice(), notes);
    properties::add_files(&mut table, &elements, &mut names, loader, notes);
    for element in &mut elements {
        // Errors in properties are reported where a property is used, since unused ones may be wrong.
        if !properties::gives_properties(element) {
            fill(element, &mut table, notes);
        }
    }
    table.tell_absent(compat, notes);
    resources::read(&mut elements, &mut names, loader, notes);
    Some(WrittenApp {
        elements,
        properties: table.all(notes),
        is_partial,
        modules: texts
            .iter()
            .flat_map(|(_, text)| xml::named_in(text))
            .map(str::to_owned)
            .collect(),
    })
}

/// The property `apiId`, which the platform gives to policies, unless the application defines it.
fn given_to_policies(elements: &[Element]) -> Option<Element> {
    const NAME: &str = "apiId";
    let policy = elements.iter().find(|it| it.is("http-policy:proxy"))?;
    let is_defined = |element: &Element| {
        let name = element.attribute("name");
        element.is("global-property") && name.is_some_and(|it| it.value.value == NAME)
    };
    if elements.iter().any(is_defined) {
        return None;
    }
    let value = template::given(NAME)?;
    let text = format!("<global-property name=\"{NAME}\" value=\"{value}\"/>");
    let nothing = &mut Notes::default();
    let made = xml::parse(&text, policy.at.file, Compat::Strict, nothing);
    made?.pop()
}

/// Replaces each `import` by the elements of its file; a file is read once.
///
/// Placeholders in an import's path may use the command line, the environment, and the files named so far.
fn import(
    elements: Vec<Element>,
    names: &mut Names<'_>,
    loader: &dyn Loader,
    notes: &mut Notes,
) -> Vec<Element> {
    let mut seen: HashSet<String> = names.all.iter().map(|name| plain(name)).collect();
    let mut table = Table::new(loader);
    // Errors in global properties are reported later, when all of them are known.
    table.add_globals(&elements, &mut Notes::default());
    let mut all = Vec::with_capacity(elements.len());
    let mut imports = 0;
    let mut left = vec![elements.into_iter()];
    while let Some(next) = left.last_mut() {
        let Some(element) = next.next() else {
            left.pop();
            continue;
        };
        if !element.is("import") {
            all.push(element);
            continue;
        }
        let Some(path) = properties::file_of(&element, &mut table, notes) else {
            continue;
        };
        let path = path.map(|path| plain(&path));
        let of = element.at.file;
        let candidates = names.candidates(&path.value, of, Kind::Flows);
        if candidates.iter().any(|name| seen.contains(name)) {
            continue;
        }
        imports += 1;
        if imports > IMPORTS_MAX {
            let what = format!("more than {IMPORTS_MAX} files are imported");
            notes.error(path.at, what, "put the application into fewer files");
            return all;
        }
        let opened = names.open(&path, of, Kind::Flows, loader, notes);
        let Some((file, text)) = opened else {
            continue;
        };
        seen.insert(names.all[file].clone());
        if let Some(text) = text
            && let Some(imported) = xml::parse(&text, file, compat(loader), notes)
        {
            left.push(imported.into_iter());
        }
    }
    all
}

/// Fills in the placeholders of an element and its descendants.
fn fill(element: &mut Element, table: &mut Table<'_>, notes: &mut Notes) {
    for attribute in &mut element.attributes {
        if let Some(filled) = table.fill(&attribute.value, &attribute.places, notes) {
            attribute.value = filled.value;
            attribute.places = filled.places;
            attribute.state = filled.state;
        }
    }
    if let Some(text) = &element.text
        && let Some(filled) = table.fill(text, &element.text_places, notes)
    {
        element.text = Some(filled.value);
        element.text_places = filled.places;
        element.text_state = filled.state;
    }
    for child in &mut element.children {
        fill(child, table, notes);
    }
}

#[cfg(test)]
mod tests;
