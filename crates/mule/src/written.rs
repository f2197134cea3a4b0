//! An application as written: the elements of all its files, with placeholders filled.

use std::collections::HashSet;

use fusebox_dataweave::{Compat, Properties};
use fusebox_plan::dialect::{Loader, Notes};

use super::properties::{self, Table, bounded, directory};
use super::xml::{self, Element};

/// How many files an application may import.
const IMPORTS_MAX: usize = 64;

/// Where imported files are looked for, from the first file on.
const PLACES: [&str; 2] = ["", "src/main/mule/"];

/// An application as written.
pub(crate) struct Written {
    /// What stands in its files, one after the other; imported elements stand where their import did.
    pub elements: Vec<Element>,
    /// What `p('key')` reads.
    pub properties: Properties,
}

/// How the files are understood.
pub(crate) fn compat(loader: &dyn Loader) -> Compat {
    if loader.is_strict() {
        Compat::Strict
    } else {
        Compat::Intent
    }
}

/// Reads the files of an application. `names` are those of all files so far; the files that it imports
/// and reads properties from are added.
///
/// `None` if something is wrong, which is then in the notes.
pub(crate) fn read(
    texts: &[(usize, &str)],
    names: &mut Vec<String>,
    loader: &dyn Loader,
    notes: &mut Notes,
) -> Option<Written> {
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
        // Whoever reads a property says what is wrong with it; nobody may.
        if !properties::gives_properties(element) {
            fill(element, &mut table, notes);
        }
    }
    (notes.errors() == errors).then(|| Written {
        elements,
        properties: table.all(),
    })
}

/// The elements with those of imported files where the imports stand; a file is read once.
///
/// What the path of an import is made of comes from outside, or from the files that were named.
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
    // What is wrong with them is told when all of them are known.
    table.add_globals(&elements, &mut Notes::default());
    let mut all = Vec::with_capacity(elements.len());
    let mut imports = 0;
    let mut left = vec![elements.into_iter()];
    while let Some(next) = left.last_mut() {
        let Some(element) = next.next() else {
            left.pop();
            continue;
        };
        if !(element.module.is_empty() && &*element.name == "import") {
            all.push(element);
            continue;
        }
        let Some(path) = properties::file_of(&element, &mut table, notes) else {
            continue;
        };
        let path = path.map(|path| plain(&path));
        if PLACES
            .iter()
            .any(|place| seen.contains(&format!("{place}{}", path.value)))
        {
            continue;
        }
        imports += 1;
        if imports > IMPORTS_MAX {
            let what = format!("more than {IMPORTS_MAX} files are imported");
            notes.error(path.at, what, "put the application into fewer files");
            return all;
        }
        let found = match properties::find(&path, &PLACES, loader) {
            Ok(found) => found,
            Err((what, mend)) => {
                notes.error(path.at, what, mend);
                continue;
            }
        };
        seen.insert(found.path.clone());
        let file = names.len();
        names.push(format!("{base}{}", found.path));
        if let Some(text) = bounded(found, path.at, notes)
            && let Some(imported) = xml::parse(&text, file, compat(loader), notes)
        {
            left.push(imported.into_iter());
        }
    }
    all
}

/// A path without what does not change it.
fn plain(path: &str) -> String {
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

/// Fills the placeholders of an element and of all within it.
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
