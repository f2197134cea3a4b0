//! Scripts in files of their own: `resource="dwl/cup.dwl"`.
//!
//! A script's path is relative to `src/main/resources`, from which Mule makes its class path, or to the file that names
//! it. Placeholders in a script are left alone, as Mule leaves them.

use std::collections::HashMap;
use std::io;

use fusebox_plan::dialect::{At, BYTES_MAX, Loader, Notes, Place, quote};

use super::plain;
use crate::properties::{directory, unreadable};
use crate::xml::{Element, Places, start_of};

/// The elements that a file may give the script of.
const SCRIPTED: [&str; 3] = ["ee:set-payload", "ee:set-variable", "ee:set-attributes"];

/// The limit of script files in an application.
const FILES_MAX: usize = 1024;

/// Scripts by path, with the number of their file; `None`: a file that cannot be read, which is reported.
type Known = HashMap<(String, String), Option<(usize, String)>>;

/// Replaces each `resource` of a script by the file's text.
pub(super) fn read(
    elements: &mut [Element],
    names: &mut Vec<String>,
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
    names: &mut Vec<String>,
    loader: &dyn Loader,
    notes: &mut Notes,
) {
    if SCRIPTED.contains(&&*element.title()) {
        script(element, known, names, loader, notes);
    }
    for child in &mut element.children {
        within(child, known, names, loader, notes);
    }
}

fn script(
    element: &mut Element,
    known: &mut Known,
    names: &mut Vec<String>,
    loader: &dyn Loader,
    notes: &mut Notes,
) {
    let Some(attribute) = element.attribute("resource") else {
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
    names: &mut Vec<String>,
    loader: &dyn Loader,
    notes: &mut Notes,
) -> Option<(usize, String)> {
    // Mule reads scripts from the class path alone.
    let name = path.value.trim();
    let name = name.strip_prefix("classpath:").unwrap_or(name);
    let name = name.trim_start_matches('/').to_owned();
    let base = names
        .first()
        .map_or("", |first| directory(first))
        .to_owned();
    let beside = names.get(path.at.file).map_or("", |file| directory(file));
    let key = (beside.to_owned(), name.clone());
    if let Some(found) = known.get(&key) {
        return found.clone();
    }
    if known.len() == FILES_MAX {
        let what = format!("there are more than {FILES_MAX} files with scripts");
        notes.error(path.at, what, "write short scripts into their elements");
        return None;
    }
    let found =
        find(&name, &base, beside, loader).map_err(|(what, mend)| notes.error(path.at, what, mend));
    let found = found.ok().and_then(|(place, text)| {
        let length = text.len();
        if length > BYTES_MAX {
            let quoted = quote(&place);
            let what =
                format!("the file {quoted} has {length} bytes, above the limit of {BYTES_MAX}");
            notes.error(path.at, what, "split it into several scripts");
            return None;
        }
        names.push(plain(&format!("{base}{place}")));
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        Some((names.len() - 1, text.replace("\r\n", "\n")))
    });
    known.insert(key, found.clone());
    found
}

/// The folders with scripts, relative to that of the file that names one: the resources of its project, in which it
/// may be some folders deep, and its own folder.
const FOLDERS: [&str; 6] = [
    "src/main/resources/",
    "../resources/",
    "../../resources/",
    "../../../resources/",
    "",
    "../",
];

/// Searches the folders for a file that a file in the folder `beside` names. Returns its path from `base` and its text.
///
/// # Errors
/// The problem and the remedy.
pub(crate) fn find(
    name: &str,
    base: &str,
    beside: &str,
    loader: &dyn Loader,
) -> Result<(String, String), (String, String)> {
    let name = name.trim();
    let own = relative(base, beside);
    let places = match (name.strip_prefix("classpath:"), name.starts_with('/')) {
        (None, true) => vec![name.to_owned()],
        (classpath, _) => {
            let name = classpath.unwrap_or(name).trim_start_matches('/');
            let folders = FOLDERS.iter();
            folders
                .map(|folder| format!("{own}{folder}{name}"))
                .collect()
        }
    };
    for place in places {
        match loader.file(&place) {
            Ok(text) => return Ok((place, text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                let mend = "check that it is a text in UTF-8 and that this process may read it";
                return Err((unreadable(&place, &error), mend.to_owned()));
            }
        }
    }
    let mend = "put it into the project's `src/main/resources`, or beside this file";
    Err((format!("missing file {}", quote(name)), mend.to_owned()))
}

/// A folder, as a path that begins at another. Both end with a slash, or are empty.
fn relative(base: &str, folder: &str) -> String {
    if folder.starts_with('/') != base.starts_with('/') {
        return folder.to_owned();
    }
    let (mut from, mut to) = (base, folder);
    while let (Some((one, rest)), Some((other, more))) = (from.split_once('/'), to.split_once('/'))
        && one == other
    {
        (from, to) = (rest, more);
    }
    format!("{}{to}", "../".repeat(from.matches('/').count()))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_told_from_where_the_application_begins() {
        for (base, folder, told) in [
            ("", "", ""),
            ("", "src/", "src/"),
            ("a/", "a/", ""),
            ("a/b/", "a/c/", "../c/"),
            (
                "/p/src/main/mule/common/",
                "/p/src/main/resources/",
                "../../resources/",
            ),
            ("a/", "/b/", "/b/"),
        ] {
            assert_eq!(relative(base, folder), told, "{base} {folder}");
        }
    }
}
