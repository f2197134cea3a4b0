//! The properties of an application: the values of `${key}`.
//!
//! The sources in descending priority: the command line, the environment, property files in the order of their
//! declaration, `global-property`
//! ([configuring properties](https://docs.mulesoft.com/mule-runtime/latest/configuring-properties)).
//!
//! - [`Table`]: the properties, and filling in of placeholders
//! - `java`: `.properties` files; `yaml`: YAML files
//! - [`find`]: the search for a file

mod java;
mod table;
mod yaml;

use std::io;
use std::sync::Arc;

pub(super) use table::{Entry, Table};

use super::xml::Element;
use fusebox_plan::dialect::Loader;
use fusebox_plan::dialect::{At, BYTES_MAX, Notes, quote};

/// The limit of property files in an application.
const FILES_MAX: usize = 64;

/// True for elements whose only effect is to define properties.
pub(super) fn gives_properties(element: &Element) -> bool {
    element.is("configuration-properties") || element.is("global-property")
}

/// Reads all property files of the application's `configuration-properties` into the table.
pub(super) fn add_files(
    table: &mut Table<'_>,
    elements: &[Element],
    names: &mut Vec<String>,
    loader: &dyn Loader,
    notes: &mut Notes,
) {
    let base = names.first().map_or("", |name| directory(name)).to_owned();
    let declared = elements.iter();
    let declared = declared.filter(|element| element.is("configuration-properties"));
    for (count, element) in declared.enumerate() {
        if count == FILES_MAX {
            let what = format!("there are more than {FILES_MAX} property files");
            notes.error(element.at, what, "put the properties into fewer files");
            return;
        }
        match file(element, table, names, &base, loader, notes) {
            Some(entries) => table.add_file(entries),
            None => table.incomplete = true,
        }
    }
}

/// Reads the property file of a `configuration-properties`; `None`: it cannot be read, which is reported.
fn file(
    element: &Element,
    table: &mut Table<'_>,
    names: &mut Vec<String>,
    base: &str,
    loader: &dyn Loader,
    notes: &mut Notes,
) -> Option<Vec<(Arc<str>, Entry)>> {
    let path = file_of(element, table, notes)?;
    let is_yaml = path.value.ends_with(".yaml") || path.value.ends_with(".yml");
    if !is_yaml && !path.value.ends_with(".properties") {
        let what = format!("{} is not a property file", quote(&path.value));
        let mend = "name a file that ends with `.yaml` or `.properties`";
        notes.error(path.at, what, mend);
        return None;
    }
    // Beside the application's file, as when it runs alone; and the resource folder of a Mule project.
    let places = ["", "../resources/", "src/main/resources/"];
    let (file, text) = open(&path, &places, base, names, loader, notes)?;
    let text = text?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    match is_yaml {
        true => yaml::read(text, file, notes),
        false => Some(java::read(text, file, notes)),
    }
}

/// The path in the `file` attribute of an element, if there is one.
pub(super) fn file_of(
    element: &Element,
    table: &mut Table<'_>,
    notes: &mut Notes,
) -> Option<At<String>> {
    if let Some(encoding) = element.attribute("encoding")
        && !encoding.value.value.eq_ignore_ascii_case("utf-8")
    {
        let quoted = quote(&encoding.value.value);
        let what = format!("the encoding {quoted} is not supported");
        let mend = "save the file as UTF-8 and remove `encoding`";
        notes.error(encoding.value.at, what, mend);
    }
    // A missing attribute is reported when the element is checked against its shape.
    let file = element.attribute("file")?;
    let errors = notes.errors();
    let filled = table.fill(&file.value, &file.places, notes);
    let path = filled.map_or_else(|| file.value.clone(), |(value, _)| value);
    let path = path.map(|path| match path.strip_prefix("classpath:") {
        Some(path) => path.trim_start_matches('/').to_owned(),
        None => path,
    });
    (notes.errors() == errors).then_some(path)
}

/// Finds a file and adds its name, below the directory `base`, to `names`. Returns the name's index, and the text
/// unless it is too long. Reports problems.
pub(super) fn open(
    path: &At<String>,
    places: &[&str],
    base: &str,
    names: &mut Vec<String>,
    loader: &dyn Loader,
    notes: &mut Notes,
) -> Option<(usize, Option<String>)> {
    let found = find(&path.value, places, loader);
    let report = |(what, mend)| notes.error(path.at, what, mend);
    let (name, text) = found.map_err(report).ok()?;
    names.push(format!("{base}{name}"));
    let length = text.len();
    if length > BYTES_MAX {
        let quoted = quote(&name);
        let what = format!("the file {quoted} has {length} bytes, above the limit of {BYTES_MAX}");
        notes.error(path.at, what, "split it into several files");
    }
    Some((names.len() - 1, (length <= BYTES_MAX).then_some(text)))
}

/// Searches several places relative to the first file, an absolute path in one place only. Returns the path where the
/// file is, with its text.
///
/// # Errors
/// The problem and the remedy.
fn find(
    path: &str,
    places: &[&str],
    loader: &dyn Loader,
) -> Result<(String, String), (String, String)> {
    let places = match path.starts_with('/') {
        true => &places[..1],
        false => places,
    };
    for place in places {
        let candidate = format!("{place}{path}");
        match loader.file(&candidate) {
            Ok(text) => return Ok((candidate, text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                let mend = "check that it is a text in UTF-8 and that this process may read it";
                return Err((unreadable(&candidate, &error), mend.to_owned()));
            }
        }
    }
    let tried: Vec<String> = places
        .iter()
        .map(|place| quote(&format!("{place}{path}")))
        .collect();
    let tried = tried.join(", ");
    let mend = format!("put it beside the application's first file; searched: {tried}");
    Err((format!("there is no file {}", quote(path)), mend))
}

/// The problem of a file that cannot be read.
pub(super) fn unreadable(path: &str, error: &io::Error) -> String {
    let why = quote(&error.to_string());
    let why = why.trim_matches('`');
    format!("the file {} cannot be read: {why}", quote(path))
}

/// The directory of a path, with the trailing slash; empty if there is none.
pub(super) fn directory(path: &str) -> &str {
    path.rfind('/').map_or("", |slash| &path[..=slash])
}
