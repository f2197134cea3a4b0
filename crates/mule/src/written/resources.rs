//! Scripts in files of their own: `resource="dwl/cup.dwl"`.
//!
//! A script's path is relative to `src/main/resources`, from which Mule makes its class path, or to the file that names
//! it. Placeholders in a script are left alone, as Mule leaves them.

use std::collections::HashMap;

use fusebox_plan::dialect::{At, Loader, Notes, Place, quote};

use crate::properties::{Kind, Names};
use crate::xml::{Element, Places, start_of};

/// The elements that a file may give the text of, each with the attribute that names the file.
const SCRIPTED: [(&str, &str); 4] = [
    ("ee:set-payload", "resource"),
    ("ee:set-variable", "resource"),
    ("ee:set-attributes", "resource"),
    ("parse-template", "location"),
];

/// The limit of script files in an application.
const FILES_MAX: usize = 1024;

/// Scripts by the file that names them and by path, with the number of their own file; `None`: a file that cannot be read, which is reported.
type Known = HashMap<(usize, String), Option<(usize, String)>>;

/// Replaces each `resource` of a script by the file's text.
pub(super) fn read(
    elements: &mut [Element],
    names: &mut Names<'_>,
    loader: &dyn Loader,
    notes: &mut Notes,
) {
    let mut known = Known::new();
    for element in elements {
        within(element, &mut known, names, loader, notes);
    }
}

fn within(
    element: &mut Element,
    known: &mut Known,
    names: &mut Names<'_>,
    loader: &dyn Loader,
    notes: &mut Notes,
) {
    let title = element.title();
    if let Some((_, attribute)) = SCRIPTED.iter().find(|(known, _)| *known == title) {
        script(element, attribute, known, names, loader, notes);
    }
    for child in &mut element.children {
        within(child, known, names, loader, notes);
    }
}

fn script(
    element: &mut Element,
    attribute: &str,
    known: &mut Known,
    names: &mut Names<'_>,
    loader: &dyn Loader,
    notes: &mut Notes,
) {
    let Some(attribute) = element.attribute(attribute) else {
        return;
    };
    let path = attribute.value.clone();
    if element.text.is_some() {
        let what = format!(
            "{} has a script, and a file with one",
            quote(&element.title())
        );
        notes.error(attribute.at, what, "keep one of the two");
        return;
    }
    let found = file(&path, known, names, loader, notes);
    // A file that is not there is reported once, so the element is given a script all the same.
    let (at, text) = match found {
        Some((file, text)) => (start_of(file), text),
        None => (path.at, "null".to_owned()),
    };
    element.text_places = places(&text, at);
    element.text = Some(At { at, value: text });
}

fn file(
    path: &At<String>,
    known: &mut Known,
    names: &mut Names<'_>,
    loader: &dyn Loader,
    notes: &mut Notes,
) -> Option<(usize, String)> {
    // Mule reads scripts from the class path alone.
    let name = path.value.trim();
    let name = name.strip_prefix("classpath:").unwrap_or(name);
    let name = name.trim_start_matches('/').to_owned();
    let key = (path.at.file, name.clone());
    if let Some(found) = known.get(&key) {
        return found.clone();
    }
    if known.len() == FILES_MAX {
        let what = format!("there are more than {FILES_MAX} files with scripts");
        notes.error(path.at, what, "write short scripts into their elements");
        return None;
    }
    let sought = At {
        at: path.at,
        value: name,
    };
    let opened = names.open(&sought, path.at.file, Kind::Resource, loader, notes);
    let found = opened.and_then(|(file, text)| {
        let text = text?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        Some((file, text.replace("\r\n", "\n")))
    });
    known.insert(key, found.clone());
    found
}

/// The places of a file's text, line by line.
fn places(text: &str, start: Place) -> Places {
    let mut places = Places::default();
    let mut offset = 0;
    for (line, number) in text.split_inclusive('\n').zip(start.line..) {
        let at = Place {
            line: number,
            ..start
        };
        places.spelled(offset, at);
        offset += line.len();
    }
    places
}
