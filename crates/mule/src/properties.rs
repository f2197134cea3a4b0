//! The properties of an application: the values of `${key}`.
//!
//! The sources in descending priority: the command line, the environment, property files in the order of their
//! declaration, `global-property`
//! ([configuring properties](https://docs.mulesoft.com/mule-runtime/latest/configuring-properties)).
//!
//! - [`Table`]: the properties, and filling in of placeholders
//! - `java`: `.properties` files; `yaml`: YAML files
//! - `secure`: files with encrypted values; `cipher`: their decryption
//! - `absent`: files that are nowhere
//! - `search`: the places where a file is looked for

mod absent;
mod cipher;
mod java;
mod search;
mod secure;
mod table;
mod yaml;

use std::sync::Arc;

pub(super) use search::{Kind, Names, plain};
pub(super) use table::{Entry, Table};

use super::xml::Element;
use fusebox_plan::dialect::Loader;
use fusebox_plan::dialect::{At, Notes, quote};

/// The properties of a file, by their keys.
type Entries = Vec<(Arc<str>, Entry)>;

/// The limit of property files in an application.
const FILES_MAX: usize = 64;

/// The start of the key of a placeholder that stands for a value that a template lacks.
pub(super) const UNFILLED: &str = "a template's ";

/// True for elements whose only effect is to define properties.
pub(super) fn gives_properties(element: &Element) -> bool {
    [
        "configuration-properties",
        "global-property",
        secure::CONFIG,
    ]
    .iter()
    .any(|title| element.is(title))
}

/// Reads all property files of the application's `configuration-properties` into the table.
pub(super) fn add_files(
    table: &mut Table<'_>,
    elements: &[Element],
    names: &mut Names<'_>,
    loader: &dyn Loader,
    notes: &mut Notes,
) {
    let declared = elements.iter();
    let declared = declared
        .filter(|element| element.is("configuration-properties") || element.is(secure::CONFIG));
    for (count, element) in declared.enumerate() {
        if count == FILES_MAX {
            let what = format!("there are more than {FILES_MAX} property files");
            notes.error(element.at, what, "put the properties into fewer files");
            return;
        }
        if element.is(secure::CONFIG) {
            secure::add(element, table, names, loader, notes);
            continue;
        }
        match file(element, table, names, loader, notes) {
            Some(entries) => table.add_file(entries),
            None => table.incomplete = true,
        }
    }
}

/// Reads the property file of a `configuration-properties`; `None`: it cannot be read, which is reported.
fn file(
    element: &Element,
    table: &mut Table<'_>,
    names: &mut Names<'_>,
    loader: &dyn Loader,
    notes: &mut Notes,
) -> Option<Entries> {
    let path = file_of(element, table, notes)?;
    let is_yaml = is_yaml(&path, notes)?;
    let of = element.at.file;
    if names.is_missing(&path.value, of, Kind::Resource, loader) {
        let advice = names.advice(&path.value, of, Kind::Resource);
        table.absent.files.push((path, advice));
        return None;
    }
    let (file, text) = names.open(&path, of, Kind::Resource, loader, notes)?;
    entries(&text?, is_yaml, file, notes)
}

/// True for a YAML file, false for a `.properties` file; another is reported.
fn is_yaml(path: &At<String>, notes: &mut Notes) -> Option<bool> {
    let is_yaml = path.value.ends_with(".yaml") || path.value.ends_with(".yml");
    if !is_yaml && !path.value.ends_with(".properties") {
        let what = format!("{} is not a property file", quote(&path.value));
        let mend = "name a file that ends with `.yaml` or `.properties`";
        notes.error(path.at, what, mend);
        return None;
    }
    Some(is_yaml)
}

/// The properties in the text of a file; `None`: the text is not valid, which is reported.
fn entries(text: &str, is_yaml: bool, file: usize, notes: &mut Notes) -> Option<Entries> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
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
    let filled = table.fill(&file.value, &file.places, notes);
    let is_broken = filled.as_ref().is_some_and(|it| it.state.is_broken);
    let path = filled.map_or_else(|| file.value.clone(), |it| it.value);
    let path = path.map(|path| match path.strip_prefix("classpath:") {
        Some(path) => path.trim_start_matches('/').to_owned(),
        None => path,
    });
    (!is_broken).then_some(path)
}
