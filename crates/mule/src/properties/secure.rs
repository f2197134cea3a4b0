//! Secure properties: files whose values may be encrypted, for `${secure::key}`.
//!
//! A value is decrypted when it is used, so no key is needed where none is.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use fusebox_plan::dialect::{At, Loader, Notes, Place, quote, suggest};

use super::cipher::{self, Fault};
use super::search::{Kind, Names};
use super::{Entries, Table, entries, file_of, is_yaml};
use crate::xml::{Attribute, Element, Places};

/// The element of a configuration.
pub(super) const CONFIG: &str = "secure-properties:config";

/// The problem and the remedy; `None`: they have been reported.
type Problem = Option<(String, String)>;

/// The key of a configuration as written, with its placeholders.
#[derive(Debug, Clone)]
pub(crate) struct Key {
    pub value: At<String>,
    pub places: Places,
}

/// The lock of a configuration's values.
#[derive(Clone)]
pub(crate) struct Lock {
    at: Place,
    key: Option<Key>,
    algorithm: String,
    mode: String,
    random_vectors: bool,
    /// True once a value could not be decrypted, which is reported.
    pub is_broken: bool,
}

impl Lock {
    /// The place for its errors: that of the key.
    pub fn at(&self) -> Place {
        self.key.as_ref().map_or(self.at, |key| key.value.at)
    }

    /// The key as written.
    pub fn key(&self) -> Option<&Key> {
        self.key.as_ref()
    }

    /// Decrypts a value; `fill` gives the key's text.
    pub fn open(
        &self,
        text: &str,
        fill: impl FnOnce(&Key) -> Option<String>,
    ) -> Result<String, Problem> {
        let fault = |what: &str, mend: &str| Some((what.to_owned(), mend.to_owned()));
        if cipher::UNKNOWN.contains(&self.algorithm.as_str()) {
            let what = format!("the algorithm {} is not supported", quote(&self.algorithm));
            let mend = "give the value by `--set secure::KEY=VALUE`, or encrypt it with `AES`";
            return Err(fault(&what, mend));
        }
        let Some(key) = &self.key else {
            let what = "the configuration has no key";
            return Err(fault(what, "add `key=\"${…}\"`, and give it by `--set`"));
        };
        let key = fill(key).ok_or(None)?;
        let text: String = text.split_whitespace().collect();
        let encrypted = BASE64_STANDARD.decode(text).map_err(|_| {
            let mend = "write what the secure properties tool prints, between `![` and `]`, or give the value: `--set secure::KEY=VALUE`";
            fault("it is not Base64", mend)
        })?;
        let Lock {
            algorithm, mode, ..
        } = self;
        let plain = cipher::decrypt(algorithm, mode, self.random_vectors, &key, &encrypted);
        plain.map_err(|found| match found {
            Fault::KeyLength(lengths) => {
                let what = format!(
                    "a key of `{algorithm}` has {lengths} bytes, and this one has {}",
                    key.len()
                );
                fault(&what, "give the key that it was encrypted with")
            }
            Fault::Blocks => fault(
                &format!("it is not made of whole blocks of `{algorithm}`"),
                "check that the value is complete, the algorithm, and `useRandomIVs`",
            ),
            Fault::Garbage => fault(
                "it was encrypted with another key",
                "give that key, and check `algorithm`, `mode` and `useRandomIVs`, or give the value: `--set secure::KEY=VALUE`",
            ),
        })
    }
}

/// The encrypted part of a value, `![…]`; `None`: the value is plain.
pub(super) fn encrypted(value: &str) -> Option<&str> {
    value.trim().strip_prefix("![")?.strip_suffix(']')
}

/// The part of a remedy that offers to give a single value.
pub(super) const OR_GIVE: &str = ", or give the value: `--set secure::KEY=VALUE`";

/// Reads a configuration and its file into the table.
pub(super) fn add(
    element: &Element,
    table: &mut Table<'_>,
    names: &mut Names<'_>,
    loader: &dyn Loader,
    notes: &mut Notes,
) {
    let lock = lock_of(element, table, notes);
    match read(element, lock, table, names, loader, notes) {
        Some((lock, entries)) => table.add_secure(lock, entries),
        None => table.secure_incomplete = true,
    }
}

/// The properties of a configuration; `None`: its file cannot be read, which is reported.
fn read(
    element: &Element,
    mut lock: Lock,
    table: &mut Table<'_>,
    names: &mut Names<'_>,
    loader: &dyn Loader,
    notes: &mut Notes,
) -> Option<(Lock, Entries)> {
    let path = file_of(element, table, notes)?;
    let is_yaml = is_yaml(&path, notes)?;
    let of = element.at.file;
    if names.is_missing(&path.value, of, Kind::Resource, loader) {
        let what = format!(
            "the file {} is not there, so its properties have no values",
            quote(&path.value)
        );
        notes.warn(path.at, what, "give them by `--set secure::KEY=VALUE`");
        return Some((lock, Vec::new()));
    }
    let (file, text) = names.open(&path, of, Kind::Resource, loader, notes)?;
    let mut text = text?;
    if flag(element, "fileLevelEncryption", table, notes) {
        if !table.is_given(&lock) {
            let what = format!(
                "the key of the file {} is not given, so its properties have no values",
                quote(&path.value)
            );
            notes.warn(
                lock.at(),
                what,
                "give it, or the values: `--set secure::KEY=VALUE`",
            );
            return Some((lock, Vec::new()));
        }
        text = table.whole_file(&mut lock, &text, notes)?;
    }
    if is_yaml && unquoted(&text, file, notes) {
        return None;
    }
    let found = entries(&text, is_yaml, file, notes)?;
    Some((lock, found))
}

/// Reports encrypted values without quotes, which YAML takes for tags; true if there are some.
fn unquoted(text: &str, file: usize, notes: &mut Notes) -> bool {
    let mut found = false;
    for (line, text) in (1..).zip(text.lines()) {
        let Some(at) = text
            .find(": ![")
            .filter(|_| !text.trim_start().starts_with('#'))
        else {
            continue;
        };
        let at = Place {
            file,
            line,
            col: u32::try_from(text[..at + 2].chars().count() + 1).unwrap_or(1),
        };
        let what = "an encrypted value without quotes is a tag of YAML";
        notes.error(at, what, "put quotes around it: `\"![…]\"`");
        found = true;
    }
    found
}

fn lock_of(element: &Element, table: &mut Table<'_>, notes: &mut Notes) -> Lock {
    let key = element.attribute("key").map(|key| Key {
        value: key.value.clone(),
        places: key.places.clone(),
    });
    let mut lock = Lock {
        at: element.at,
        key,
        algorithm: "AES".to_owned(),
        mode: "CBC".to_owned(),
        random_vectors: false,
        is_broken: false,
    };
    let Some(encrypt) = element
        .children
        .iter()
        .find(|child| child.is("secure-properties:encrypt"))
    else {
        return lock;
    };
    let algorithms: Vec<&str> = cipher::ALGORITHMS
        .iter()
        .chain(cipher::UNKNOWN)
        .copied()
        .collect();
    let known: [(&str, &[&str], &mut String); 2] = [
        ("algorithm", &algorithms, &mut lock.algorithm),
        ("mode", cipher::MODES, &mut lock.mode),
    ];
    for (name, words, setting) in known {
        match word(encrypt, name, words, table, notes) {
            Some(found) => *setting = found,
            // The word is reported, and every value needs it.
            None => lock.is_broken |= encrypt.attribute(name).is_some(),
        }
    }
    lock.random_vectors = flag(encrypt, "useRandomIVs", table, notes);
    lock
}

/// The value of an attribute with its placeholders filled in; `None`: there is none, or it has an error.
fn filled(attribute: &Attribute, table: &mut Table<'_>, notes: &mut Notes) -> Option<String> {
    match table.fill(&attribute.value, &attribute.places, notes) {
        Some(filled) if filled.state.is_broken => None,
        Some(filled) => Some(filled.value.value),
        None => Some(attribute.value.value.clone()),
    }
}

fn word(
    element: &Element,
    name: &str,
    words: &[&str],
    table: &mut Table<'_>,
    notes: &mut Notes,
) -> Option<String> {
    let attribute = element.attribute(name)?;
    let text = filled(attribute, table, notes)?;
    let text = text.trim();
    let found = words.iter().find(|word| **word == text);
    if found.is_none() {
        let what = format!("{} is {}", quote(name), quote(text));
        let mend = suggest(text, words.iter().copied());
        notes.error(attribute.value.at, what, mend);
    }
    found.map(ToString::to_string)
}

fn flag(element: &Element, name: &str, table: &mut Table<'_>, notes: &mut Notes) -> bool {
    word(element, name, &["true", "false"], table, notes).as_deref() == Some("true")
}
