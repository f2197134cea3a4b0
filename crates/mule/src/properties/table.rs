//! The table of properties, and filling in of placeholders.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use fusebox_dataweave::{Compat, Properties};
use fusebox_plan::dialect::{At, Loader, Notes, Place, nearest, quote};

use super::UNFILLED;
use super::absent::Absent;
use super::search::{Kind, Names};
use super::secure::{self, Lock};
use crate::xml::{Element, Filling as State, Places};

/// The limit of a value after filling in, in bytes.
const BYTES_MAX: usize = 1 << 20;
/// The limit of filled-in text in an application, in bytes.
const BYTES_TOTAL_MAX: usize = 16 << 20;
/// The limit of errors reported for one value.
const FAULTS_MAX: usize = 20;
/// The limit of nested placeholders, and of properties that refer to others.
const DEPTH_MAX: usize = 32;

/// The prefix of the keys of secure properties.
const SECURE: &str = "secure::";

/// A property as written, placeholders included.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub value: At<String>,
    pub places: Places,
    /// The index of the secure configuration whose file has it.
    pub lock: Option<usize>,
}

impl Entry {
    /// A property whose errors are all reported at one place.
    pub fn at(value: String, at: Place) -> Entry {
        let mut places = Places::default();
        places.made(0, at);
        Entry {
            value: At::new(value, at),
            places,
            lock: None,
        }
    }
}

/// The table of an application's properties.
pub(crate) struct Table<'l> {
    loader: &'l dyn Loader,
    /// The names of the application's own files, beside which a file of a placeholder is looked for.
    names: Vec<String>,
    files: HashMap<Arc<str>, Property>,
    globals: HashMap<Arc<str>, Property>,
    /// True if a property file could not be read.
    pub incomplete: bool,
    /// The property files that are nowhere.
    pub absent: Absent,
    /// True if a file of secure properties could not be read.
    pub secure_incomplete: bool,
    /// The secure configurations.
    locks: Vec<Lock>,
    /// The keys without a value that have been reported.
    told: HashSet<String>,
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
    Done(Value),
    /// The value has an error, which is reported.
    Broken,
}

/// An unusable placeholder: the problem and the remedy.
type Problem = (String, String);

/// The value of a placeholder. An error of `None` has been reported.
type Filling<T> = Result<T, Option<Problem>>;

/// The value of a property.
#[derive(Debug, Clone)]
pub(crate) struct Value {
    text: Arc<str>,
    /// The values of secure properties in it.
    secrets: Vec<Arc<str>>,
}

impl Value {
    fn plain(text: impl Into<Arc<str>>) -> Value {
        Value {
            text: text.into(),
            secrets: Vec::new(),
        }
    }

    fn secret(text: impl Into<Arc<str>>) -> Value {
        let text: Arc<str> = text.into();
        Value {
            secrets: vec![text.clone()],
            text,
        }
    }
}

/// A value with its placeholders filled in.
pub(crate) struct Whole {
    pub value: At<String>,
    pub places: Places,
    pub state: State,
}

impl<'l> Table<'l> {
    pub fn new(loader: &'l dyn Loader) -> Table<'l> {
        Table {
            loader,
            names: Vec::new(),
            files: HashMap::new(),
            globals: HashMap::new(),
            incomplete: false,
            absent: Absent::default(),
            secure_incomplete: false,
            locks: Vec::new(),
            told: HashSet::new(),
            left: BYTES_TOTAL_MAX,
            depth: 0,
        }
    }

    /// The table of an application with these files.
    pub fn beside(mut self, names: &Names<'_>) -> Table<'l> {
        self.names = names.all.clone();
        self
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
                lock: None,
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
    ///
    /// A key that decrypts nothing is reported, even where only `p('key')` asks for a value.
    pub fn all(mut self, notes: &mut Notes) -> Properties {
        let mut all = Properties::new();
        let keys = self.globals.keys().chain(self.files.keys());
        let mut keys: Vec<Arc<str>> = keys.cloned().collect();
        // Sorted, so that each reading reports the same fault; those that are reported come first.
        keys.sort_by_key(|key| (!key.starts_with(SECURE), key.clone()));
        for key in keys {
            // Errors in properties that nothing uses are ignored.
            let mut unheard = Notes::default();
            let is_said = key.starts_with(SECURE) && self.overriding(&key).is_none();
            let is_said = is_said && self.has_key(&key);
            let notes = match is_said {
                true => &mut *notes,
                false => &mut unheard,
            };
            if let Ok(Some(value)) = self.written(&key, notes) {
                all.insert(key, value.text);
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

    /// True if the key of a secure property's configuration is given.
    fn has_key(&mut self, key: &str) -> bool {
        let Some(Property::Written(Entry {
            lock: Some(lock), ..
        })) = self.files.get(key)
        else {
            return false;
        };
        let lock = self.locks.get(*lock).cloned();
        lock.is_some_and(|lock| self.is_given(&lock))
    }

    /// True if the key of a secure configuration is given.
    pub fn is_given(&mut self, lock: &Lock) -> bool {
        let Some(key) = lock.key() else {
            return false;
        };
        let told = self.told.clone();
        let filled = self.fill(&key.value, &key.places, &mut Notes::default());
        self.told = told;
        filled.is_none_or(|filled| !filled.state.is_broken)
    }

    /// Fills in the placeholders of a value; `None`: it has no placeholders.
    ///
    /// A placeholder with an error stays as written, and the error is reported.
    pub fn fill(
        &mut self,
        value: &At<String>,
        places: &Places,
        notes: &mut Notes,
    ) -> Option<Whole> {
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
        let mut state = State::default();
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
                    if found.text.len() > self.left
                        || filled.text.len() + found.text.len() > BYTES_MAX =>
                {
                    let what = "this exceeds the limits of filled-in text: 1 MiB for a value, 16 MiB in total";
                    notes.error(place, what, "keep large content out of the properties");
                    return Some(Whole::broken(value, places));
                }
                Ok(found) => {
                    self.left -= found.text.len();
                    filled.places.made(filled.text.len(), place);
                    filled.text.push_str(&found.text);
                    state.secrets.extend(found.secrets);
                }
                Err(fault) => {
                    if let Some((what, mend)) = fault {
                        notes.error_about(place, "property", what, mend);
                    }
                    faults += 1;
                    if faults == FAULTS_MAX {
                        return Some(Whole::broken(value, places));
                    }
                    state.is_broken = true;
                    filled.copy(start, end);
                }
            }
            at = end;
        }
        filled.copy(at, text.len());
        let Filled { text, places, .. } = filled;
        Some(Whole {
            value: At::new(text, value.at),
            places,
            state,
        })
    }

    /// The value of a placeholder, from the text between its braces. An error of `None` has been reported.
    fn value_of(&mut self, inside: &str, notes: &mut Notes) -> Filling<Value> {
        if self.depth >= DEPTH_MAX {
            let what = format!("more than {DEPTH_MAX} nested placeholders");
            return Err(Some((what, "write the value itself".to_owned())));
        }
        self.depth += 1;
        let value = self.value_within(inside, notes);
        self.depth -= 1;
        value
    }

    fn value_within(&mut self, inside: &str, notes: &mut Notes) -> Filling<Value> {
        // `${${env}.host}`: the key itself contains a placeholder.
        let mut key = inside.to_owned();
        if key.contains("${") {
            let written = At::new(key.clone(), Place::default());
            // Errors within have a message of their own, for the whole key.
            let told = self.told.clone();
            let filled = self.fill(&written, &Places::default(), &mut Notes::default());
            self.told = told;
            let is_broken = filled.as_ref().is_some_and(|it| it.state.is_broken);
            if let Some(filled) = filled {
                key = filled.value.value;
            }
            if is_broken {
                let what = format!("the key {} has an undefined placeholder", quote(inside));
                let mend = "set its property: `--set KEY=VALUE`";
                return Err(Some((what, mend.to_owned())));
            }
        }
        if let Some(path) = key.strip_prefix("file::") {
            let names = Names {
                given: self.names.len(),
                all: &mut self.names,
            };
            let found = names.text(path, 0, Kind::Resource, self.loader);
            return found.map(Value::plain).map_err(Some);
        }
        if let Some(value) = self.overriding(&key) {
            return Ok(match key.starts_with(SECURE) {
                true => Value::secret(value),
                false => Value::plain(value),
            });
        }
        match self.written(&key, notes) {
            Ok(Some(value)) => Ok(value),
            // The key may be in the file that could not be read, which is reported.
            Ok(None)
                if match key.starts_with(SECURE) {
                    true => self.secure_incomplete,
                    false => self.incomplete,
                } =>
            {
                if !key.starts_with(SECURE) && !key.starts_with(UNFILLED) {
                    self.absent.wanted.insert(key);
                }
                Err(None)
            }
            // Filling in the template has said it.
            Ok(None) if key.starts_with(UNFILLED) => Err(None),
            // One fault, however often the property is used.
            Ok(None) => Err(self.told.insert(key.clone()).then(|| self.missing(&key))),
            Err(fault) => Err(fault),
        }
    }

    /// The value on the command line or in the environment.
    fn overriding(&self, key: &str) -> Option<String> {
        self.loader.property(key).or_else(|| self.loader.env(key))
    }

    /// The value in a file or a global property, with its own placeholders filled in.
    fn written(&mut self, key: &str, notes: &mut Notes) -> Filling<Option<Value>> {
        let of_file = self.files.contains_key(key);
        let Some(property) = self.property(of_file, key) else {
            return Ok(None);
        };
        match property {
            Property::Done(value) => Ok(Some(value.clone())),
            Property::Broken => Err(None),
            Property::Busy => {
                let what = format!("the property {} refers to itself", quote(key));
                let mend = format!(
                    "set it: `--set {key}=VALUE`, or replace one placeholder of the circle by its value"
                );
                Err(Some((what, mend)))
            }
            Property::Written(_) => {
                let Property::Written(entry) = std::mem::replace(property, Property::Busy) else {
                    return Ok(None);
                };
                let (done, result) = match self.evaluated(key, entry, notes) {
                    Some(value) => (Property::Done(value.clone()), Ok(Some(value))),
                    None => (Property::Broken, Err(None)),
                };
                if let Some(property) = self.property(of_file, key) {
                    *property = done;
                }
                result
            }
        }
    }

    /// The value of an entry, decrypted or with its placeholders filled in; `None`: an error, which is reported.
    fn evaluated(&mut self, key: &str, entry: Entry, notes: &mut Notes) -> Option<Value> {
        if let Some(lock) = entry.lock
            && let Some(encrypted) = secure::encrypted(&entry.value.value)
        {
            let text = self.unlocked(lock, key, encrypted, notes)?;
            return Some(Value::secret(text));
        }
        let (text, state) = match self.fill(&entry.value, &entry.places, notes) {
            Some(filled) => (filled.value.value, filled.state),
            None => (entry.value.value, State::default()),
        };
        let mut value = Value::plain(text);
        value.secrets = state.secrets;
        if entry.lock.is_some() {
            value.secrets.push(value.text.clone());
        }
        (!state.is_broken).then_some(value)
    }

    /// A decrypted text. The first that cannot be decrypted is reported, at the configuration's key.
    fn unlocked(
        &mut self,
        lock: usize,
        key: &str,
        text: &str,
        notes: &mut Notes,
    ) -> Option<String> {
        let mut lock_of = self.locks.get(lock)?.clone();
        let name = quote(key.strip_prefix(SECURE).unwrap_or(key));
        let plain = self.opened(&mut lock_of, &name, text, notes);
        self.locks[lock] = lock_of;
        plain
    }

    fn opened(
        &mut self,
        lock: &mut Lock,
        name: &str,
        text: &str,
        notes: &mut Notes,
    ) -> Option<String> {
        if lock.is_broken {
            return None;
        }
        let filled = lock.open(text, |key| {
            match self.fill(&key.value, &key.places, notes) {
                Some(filled) if filled.state.is_broken => None,
                Some(filled) => Some(filled.value.value),
                None => Some(key.value.value.clone()),
            }
        });
        match filled {
            Ok(plain) => Some(plain),
            Err(fault) => {
                if let Some((what, mend)) = fault {
                    // A file that is encrypted as a whole has no value that could be given in its place.
                    let mend = match name.strip_prefix('`') {
                        Some(name) => {
                            let name = name.trim_end_matches('`');
                            mend.replace("secure::KEY", &format!("secure::{name}"))
                        }
                        None => mend.replace(secure::OR_GIVE, ""),
                    };
                    notes.error(
                        lock.at(),
                        format!("{name} cannot be decrypted: {what}"),
                        mend,
                    );
                }
                lock.is_broken = true;
                None
            }
        }
    }

    /// The text of a file that is encrypted as a whole; `None`: it cannot be decrypted, which is reported.
    pub fn whole_file(&mut self, lock: &mut Lock, text: &str, notes: &mut Notes) -> Option<String> {
        let text = encrypted_or_whole(text);
        self.opened(lock, "the file", text, notes)
    }

    /// Adds a secure configuration, and the properties of its file that no earlier file has defined.
    pub fn add_secure(&mut self, lock: Lock, entries: Vec<(Arc<str>, Entry)>) {
        let index = self.locks.len();
        self.locks.push(lock);
        let entries = entries.into_iter().map(|(key, entry)| {
            let lock = Some(index);
            (format!("{SECURE}{key}").into(), Entry { lock, ..entry })
        });
        self.add_file(entries.collect());
    }

    /// Reports the property files that are nowhere.
    pub fn tell_absent(&mut self, compat: Compat, notes: &mut Notes) {
        std::mem::take(&mut self.absent).tell(compat, notes);
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
        let what = format!("the property {quoted} has no value");
        if let Some((name, default)) = key.split_once(':')
            && !default.starts_with(':')
        {
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

/// The encrypted text of a whole file, with or without `![…]` around it.
fn encrypted_or_whole(text: &str) -> &str {
    secure::encrypted(text).unwrap_or(text)
}

impl Whole {
    fn broken(value: &At<String>, places: &Places) -> Whole {
        Whole {
            value: value.clone(),
            places: places.clone(),
            state: State {
                is_broken: true,
                secrets: Vec::new(),
            },
        }
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
