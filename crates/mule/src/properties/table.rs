//! The table of properties, and filling in of placeholders.

use std::collections::HashMap;
use std::sync::Arc;

use fusebox_dataweave::Properties;
use fusebox_plan::dialect::{At, Loader, Notes, Place, nearest, quote};

use super::unreadable;
use crate::xml::{Element, Places};

/// The limit of a value after filling in, in bytes.
const BYTES_MAX: usize = 1 << 20;
/// The limit of filled-in text in an application, in bytes.
const BYTES_TOTAL_MAX: usize = 16 << 20;
/// The limit of errors reported for one value.
const FAULTS_MAX: usize = 20;
/// The limit of nested placeholders, and of properties that refer to others.
const DEPTH_MAX: usize = 32;

/// A property as written, placeholders included.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub value: At<String>,
    pub places: Places,
}

impl Entry {
    /// A property whose errors are all reported at one place.
    pub fn at(value: String, at: Place) -> Entry {
        let mut places = Places::default();
        places.made(0, at);
        Entry {
            value: At::new(value, at),
            places,
        }
    }
}

/// The table of an application's properties.
pub(crate) struct Table<'l> {
    loader: &'l dyn Loader,
    files: HashMap<Arc<str>, Property>,
    globals: HashMap<Arc<str>, Property>,
    /// True if a property file could not be read.
    pub incomplete: bool,
    left: usize,
    depth: usize,
}

/// A property of a file, or a global one, in its states of evaluation.
enum Property {
    /// Placeholders are not filled in yet.
    Written(Entry),
    /// Placeholders are being filled in.
    Busy,
    /// The final value.
    Done(Arc<str>),
    /// The value has an error, which is reported.
    Broken,
}

/// An unusable placeholder: the problem and the remedy.
type Problem = (String, String);

/// The value of a placeholder. An error of `None` has been reported.
type Filling<T> = Result<T, Option<Problem>>;

impl<'l> Table<'l> {
    pub fn new(loader: &'l dyn Loader) -> Table<'l> {
        Table {
            loader,
            files: HashMap::new(),
            globals: HashMap::new(),
            incomplete: false,
            left: BYTES_TOTAL_MAX,
            depth: 0,
        }
    }

    /// Adds every `global-property` of an application.
    pub fn add_globals(&mut self, elements: &[Element], notes: &mut Notes) {
        for element in elements.iter().filter(|it| it.is("global-property")) {
            // Missing attributes are reported when the element is checked against its shape.
            let (Some(name), Some(value)) = (element.attribute("name"), element.attribute("value"))
            else {
                continue;
            };
            let entry = Entry {
                value: value.value.clone(),
                places: value.places.clone(),
            };
            let key: Arc<str> = name.value.value.as_str().into();
            if self.globals.insert(key, Property::Written(entry)).is_some() {
                let quoted = quote(&name.value.value);
                let what = format!("the global property {quoted} is defined twice");
                notes.error(name.value.at, what, "keep one of the two");
            }
        }
    }

    /// Adds the properties of a file that no earlier file has defined.
    pub fn add_file(&mut self, entries: Vec<(Arc<str>, Entry)>) {
        for (key, entry) in entries {
            self.files.entry(key).or_insert(Property::Written(entry));
        }
    }

    /// All properties that have a value, as `p('key')` reads them.
    pub fn all(mut self) -> Properties {
        let mut all = Properties::new();
        let keys = self.globals.keys().chain(self.files.keys());
        for key in keys.cloned().collect::<Vec<_>>() {
            // Errors in properties that nothing uses are ignored.
            if let Ok(Some(value)) = self.written(&key, &mut Notes::default()) {
                all.insert(key, value);
            }
        }
        for (key, value) in self.loader.environment() {
            all.insert(key.into(), value.into());
        }
        for (key, value) in &mut all {
            if let Some(set) = self.loader.property(key) {
                *value = set.into();
            }
        }
        all
    }

    /// Fills in the placeholders of a value; returns it with the places of its parts. `None`: it has no placeholders.
    ///
    /// A placeholder with an error stays as written, and the error is reported.
    pub fn fill(
        &mut self,
        value: &At<String>,
        places: &Places,
        notes: &mut Notes,
    ) -> Option<(At<String>, Places)> {
        if !value.value.contains("${") {
            return None;
        }
        let text = value.value.as_str();
        let mut filled = Filled {
            text: String::with_capacity(text.len()),
            places: Places::default(),
            whole: value,
            from: places,
            reached: (0, value.at),
        };
        let mut faults = 0;
        let mut at = 0;
        while let Some(found) = text[at..].find("${") {
            let start = at + found;
            if found > 0 && text[..start].ends_with('\\') {
                filled.copy(at, start - 1);
                filled.copy(start, start + 2);
                at = start + 2;
                continue;
            }
            filled.copy(at, start);
            let (what, end) = match closing(&text[start..]) {
                Some(length) => {
                    let end = start + length;
                    (self.value_of(&text[start + 2..end - 1], notes), end)
                }
                None => {
                    let what = "`${` has no closing `}`".to_owned();
                    let mend = "close it, as in `${key}`, or write `\\${` for the two characters themselves";
                    (Err(Some((what, mend.to_owned()))), text.len())
                }
            };
            let place = filled.go_to(start);
            match what {
                Ok(found)
                    if found.len() > self.left || filled.text.len() + found.len() > BYTES_MAX =>
                {
                    let what = "this exceeds the limits of filled-in text: 1 MiB for a value, 16 MiB in total";
                    notes.error(place, what, "keep large content out of the properties");
                    return None;
                }
                Ok(found) => {
                    self.left -= found.len();
                    filled.places.made(filled.text.len(), place);
                    filled.text.push_str(&found);
                }
                Err(fault) => {
                    if let Some((what, mend)) = fault {
                        notes.error(place, what, mend);
                    }
                    faults += 1;
                    if faults == FAULTS_MAX {
                        return None;
                    }
                    filled.copy(start, end);
                }
            }
            at = end;
        }
        filled.copy(at, text.len());
        let Filled { text, places, .. } = filled;
        Some((At::new(text, value.at), places))
    }

    /// The value of a placeholder, from the text between its braces. An error of `None` has been reported.
    fn value_of(&mut self, inside: &str, notes: &mut Notes) -> Filling<Arc<str>> {
        if self.depth >= DEPTH_MAX {
            let what = format!("more than {DEPTH_MAX} nested placeholders");
            return Err(Some((what, "write the value itself".to_owned())));
        }
        self.depth += 1;
        let value = self.value_within(inside, notes);
        self.depth -= 1;
        value
    }

    fn value_within(&mut self, inside: &str, notes: &mut Notes) -> Filling<Arc<str>> {
        // `${${env}.host}`: the key itself contains a placeholder.
        let mut key = inside.to_owned();
        if key.contains("${") {
            let written = At::new(key.clone(), Place::default());
            let mut inner = Notes::default();
            if let Some((filled, _)) = self.fill(&written, &Places::default(), &mut inner) {
                key = filled.value;
            }
            if inner.errors() > 0 {
                let what = format!("the key {} has an undefined placeholder", quote(inside));
                let mend = "set its property: `--set KEY=VALUE`";
                return Err(Some((what, mend.to_owned())));
            }
        }
        if let Some(path) = key.strip_prefix("file::") {
            let mend = "check the path, and that this process may read it";
            let fault = |error| Some((unreadable(path, &error), mend.to_owned()));
            return self.loader.file(path).map(Arc::from).map_err(fault);
        }
        if let Some(value) = self.overriding(&key) {
            return Ok(value.into());
        }
        match self.written(&key, notes) {
            Ok(Some(value)) => Ok(value),
            // The key may be in the file that could not be read, which is reported.
            Ok(None) => Err((!self.incomplete).then(|| self.missing(&key))),
            Err(fault) => Err(fault),
        }
    }

    /// The value on the command line or in the environment.
    fn overriding(&self, key: &str) -> Option<String> {
        self.loader.property(key).or_else(|| self.loader.env(key))
    }

    /// The value in a file or a global property, with its own placeholders filled in.
    fn written(&mut self, key: &str, notes: &mut Notes) -> Filling<Option<Arc<str>>> {
        let of_file = self.files.contains_key(key);
        let Some(property) = self.property(of_file, key) else {
            return Ok(None);
        };
        match property {
            Property::Done(value) => Ok(Some(value.clone())),
            Property::Broken => Err(None),
            Property::Busy => {
                let what = format!("the property {} refers to itself", quote(key));
                let mend = "replace one placeholder of the circle by its value";
                Err(Some((what, mend.to_owned())))
            }
            Property::Written(_) => {
                let Property::Written(entry) = std::mem::replace(property, Property::Busy) else {
                    return Ok(None);
                };
                let errors = notes.errors();
                let filled = self.fill(&entry.value, &entry.places, notes);
                let value: Arc<str> = match filled {
                    Some((filled, _)) => filled.value.into(),
                    None => entry.value.value.into(),
                };
                let (done, result) = match notes.errors() > errors {
                    true => (Property::Broken, Err(None)),
                    false => (Property::Done(value.clone()), Ok(Some(value))),
                };
                if let Some(property) = self.property(of_file, key) {
                    *property = done;
                }
                result
            }
        }
    }

    fn property(&mut self, of_file: bool, key: &str) -> Option<&mut Property> {
        match of_file {
            true => self.files.get_mut(key),
            false => self.globals.get_mut(key),
        }
    }

    /// The error for an unknown key.
    fn missing(&self, key: &str) -> Problem {
        if key.is_empty() {
            return (
                "`${}` has no key".to_owned(),
                "write `${key}`, or `\\${` for the two characters themselves".to_owned(),
            );
        }
        let quoted = quote(key);
        if let Some(plain) = key.strip_prefix("secure::") {
            let what = format!("{quoted} is an encrypted property, which is not supported");
            let mend = format!(
                "write `${{{plain}}}`, and give its value with `--set {plain}=VALUE` or in the environment"
            );
            return (what, mend);
        }
        let what = format!("the property {quoted} has no value");
        if let Some((name, default)) = key.split_once(':') {
            let default = default.trim_start_matches('-');
            let what = format!("{what}; Mule has no defaults in placeholders");
            let mend = format!(
                "write `${{{name}}}`, and a default `<global-property name=\"{name}\" value=\"{default}\"/>`, which all other sources override"
            );
            return (what, mend);
        }
        let known = self.files.keys().chain(self.globals.keys());
        let mut known: Vec<&str> = known.map(|key| &**key).collect();
        known.sort_unstable();
        let near = nearest(key, known).map_or(String::new(), |near| {
            format!("did you mean {}? Otherwise ", quote(near))
        });
        (what, format!("{near}set it: `--set {key}=VALUE`"))
    }
}

/// A value while its placeholders are filled in.
struct Filled<'a> {
    text: String,
    places: Places,
    whole: &'a At<String>,
    from: &'a Places,
    /// The offset reached in the written value, with its place.
    reached: (usize, Place),
}

impl Filled<'_> {
    /// The place of a byte of the written value; offsets must not decrease from call to call.
    fn go_to(&mut self, offset: usize) -> Place {
        let place = self.from.after(self.reached, self.whole, offset);
        self.reached = (offset, place);
        place
    }

    /// Copies a part of the written value unchanged.
    fn copy(&mut self, start: usize, end: usize) {
        if start < end {
            let at = self.go_to(start);
            self.places
                .extend(self.text.len(), self.from.part(at, start, end));
            self.text.push_str(&self.whole.value[start..end]);
        }
    }
}

/// The length of the placeholder at the start of a text, with nested ones inside.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        if rest.starts_with("${") {
            depth += 1;
            at += 2;
        } else if rest.starts_with('}') {
            depth -= 1;
            at += 1;
            if depth == 0 {
                return Some(at);
            }
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    None
}
