//! An application as written: the elements of all files, with placeholders filled in.

pub(crate) mod resources;

use std::collections::HashSet;

use fusebox_dataweave::{Compat, Properties};
use fusebox_plan::dialect::{Loader, Notes};

use super::properties::{self, Table, directory};
use super::xml::{self, Element};

/// The limit of imported files in an application.
const IMPORTS_MAX: usize = 64;

/// The folders of imported files, relative to the first file.
const PLACES: [&str; 2] = ["", "src/main/mule/"];

/// An application as written.
pub(crate) struct WrittenApp {
    /// The elements of all files in order; imported elements replace their `import`.
    pub elements: Vec<Element>,
    /// The properties that `p('key')` reads.
    pub properties: Properties,
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
/// `None`: there are errors, which are in the notes.
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
        elements.extend(xml::parse(text, *file, compat, notes).unwrap_or_default());
    }
    if notes.errors() > errors {
        return None;
    }
    let mut elements = import(elements, names, loader, notes);
    let mut table = Table::new(loader);
    table.add_globals(&elements, notes);
    properties::add_files(&mut table, &elements, names, loader, notes);
    for element in &mut elements {
        // Errors in properties are reported where a property is used, since unused ones may be wrong.
        if !properties::gives_properties(element) {
            fill(element, &mut table, notes);
        }
    }
    resources::read(&mut elements, names, loader, notes);
    (notes.errors() == errors).then(|| WrittenApp {
        elements,
        properties: table.all(),
    })
}

/// Replaces each `import` by the elements of its file; a file is read once.
///
/// Placeholders in an import's path may use the command line, the environment, and the files named so far.
fn import(
    elements: Vec<Element>,
    names: &mut Vec<String>,
    loader: &dyn Loader,
    notes: &mut Notes,
) -> Vec<Element> {
    let base = names.first().map_or("", |name| directory(name)).to_owned();
    let mut seen: HashSet<String> = names
        .iter()
        .map(|name| plain(name.strip_prefix(base.as_str()).unwrap_or(name)))
        .collect();
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
        let is_read = |place: &&str| seen.contains(&format!("{place}{}", path.value));
        if PLACES.iter().any(is_read) {
            continue;
        }
        imports += 1;
        if imports > IMPORTS_MAX {
            let what = format!("more than {IMPORTS_MAX} files are imported");
            notes.error(path.at, what, "put the application into fewer files");
            return all;
        }
        let opened = properties::open(&path, &PLACES, &base, names, loader, notes);
        let Some((file, text)) = opened else {
            continue;
        };
        seen.insert(names[file][base.len()..].to_owned());
        if let Some(text) = text
            && let Some(imported) = xml::parse(&text, file, compat(loader), notes)
        {
            left.push(imported.into_iter());
        }
    }
    all
}

/// A path without redundant parts: `.`, `..` and double slashes.
pub(crate) fn plain(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/').filter(|part| *part != ".") {
        match (part, parts.last()) {
            ("..", Some(&last)) if last != ".." && !last.is_empty() => {
                parts.pop();
            }
            ("", Some(_)) => {}
            _ => parts.push(part),
        }
    }
    parts.join("/")
}

/// Fills in the placeholders of an element and its descendants.
fn fill(element: &mut Element, table: &mut Table<'_>, notes: &mut Notes) {
    for attribute in &mut element.attributes {
        if let Some((value, places)) = table.fill(&attribute.value, &attribute.places, notes) {
            attribute.value = value;
            attribute.places = places;
        }
    }
    if let Some(text) = &element.text
        && let Some((value, places)) = table.fill(text, &element.text_places, notes)
    {
        element.text = Some(value);
        element.text_places = places;
    }
    for child in &mut element.children {
        fill(child, table, notes);
    }
}

#[cfg(test)]
mod tests;
