//! Reads values by the shapes of their keys, and reports the expected shape where a value has another.

mod choices;

use std::net::SocketAddr;
use std::time::Duration;

use fusebox_breaker::{Over, Ratio};

use crate::diagnostic::{At, Notes, Place, nearest, quote, suggest};
use crate::keys::{Key, Shape, Table};
use crate::tree::{Entry, Kind, Node, Scalar, Style};
use crate::words;

/// The entries of one map, read by name and by the shape that the table gives their keys.
pub(crate) struct Fields<'n> {
    table: &'static Table,
    pub at: Place,
    entries: &'n [Entry],
}

impl<'n> Fields<'n> {
    /// Opens a map; reports unknown keys, keys that are not supported yet, and missing required keys.
    pub fn open(node: &'n Node, table: &'static Table, notes: &mut Notes) -> Option<Fields<'n>> {
        let Kind::Map(entries) = &node.kind else {
            let mend = short_form(node, table).unwrap_or_else(|| {
                let or_empty = match &node.kind {
                    Kind::Scalar(scalar) if scalar.is_null() => ", or `{}` for an empty one",
                    _ => "",
                };
                format!("write a map with any of {}{or_empty}", names(table))
            });
            return mismatch(node, "a map", mend, notes);
        };
        for entry in entries {
            match table.key(&entry.key) {
                None => unknown(entry, table, notes),
                Some(key) => match key.shape {
                    Shape::Later(mend) => {
                        let what = format!("{} is not supported yet", quote(&entry.key));
                        notes.error(entry.at, what, mend);
                    }
                    Shape::Foreign { why, mend } => notes.error(entry.at, why, mend),
                    _ => {}
                },
            }
        }
        for (name, example) in table.required {
            if named(entries, table, name).is_none() {
                notes.error(
                    node.at,
                    format!("{} needs the key `{name}`", noun(table)),
                    format!("add `{name}: {example}`"),
                );
            }
        }
        Some(Fields {
            table,
            at: node.at,
            entries,
        })
    }

    /// The value of a key of this table, if the file has the key.
    pub fn get(&self, name: &'static str) -> Option<(&'static Key, &'n Node)> {
        let key = self.table.key(name);
        debug_assert!(
            key.is_some(),
            "the table `{}` has no key `{name}`",
            self.table.name
        );
        let entry = self.entries.iter().find(|entry| entry.key == name)?;
        Some((key?, &entry.value))
    }

    pub fn place(&self, name: &str) -> Option<Place> {
        let mut entries = self.entries.iter();
        Some(entries.find(|entry| entry.key == name)?.at)
    }

    /// The place of a key, or of an unknown one that is taken for it and has been reported.
    pub fn named(&self, name: &'static str) -> Option<Place> {
        named(self.entries, self.table, name)
    }

    /// The places of all keys of this table that the file has.
    pub fn places(&self) -> Vec<(&'static str, Place)> {
        let place = |key: &'static Key| Some((key.name, self.place(key.name)?));
        self.table.all().filter_map(place).collect()
    }

    pub fn section(&self, name: &'static str, notes: &mut Notes) -> Option<Fields<'n>> {
        let (key, node) = self.get(name)?;
        match key.shape {
            Shape::Table(table) => Fields::open(node, table, notes),
            _ => None,
        }
    }

    pub fn scalar(&self, name: &'static str, notes: &mut Notes) -> Option<At<&'n Scalar>> {
        let (_, node) = self.get(name)?;
        scalar(node, name, "a text", notes).map(|scalar| At::new(scalar, node.at))
    }

    pub fn text(&self, name: &'static str, notes: &mut Notes) -> Option<At<String>> {
        Some(self.scalar(name, notes)?.map(|scalar| scalar.text.clone()))
    }

    pub fn duration(&self, name: &'static str, notes: &mut Notes) -> Option<At<Duration>> {
        self.parsed(name, "a duration such as `5s`", words::duration, notes)
    }

    /// A duration, possibly zero.
    pub fn delay(&self, name: &'static str, notes: &mut Notes) -> Option<At<Duration>> {
        self.parsed(name, "a duration such as `5s`", words::delay, notes)
    }

    pub fn size(&self, name: &'static str, notes: &mut Notes) -> Option<At<u64>> {
        self.parsed(name, "a size such as `64KiB`", words::size, notes)
    }

    pub fn rate(&self, name: &'static str, notes: &mut Notes) -> Option<At<u64>> {
        self.parsed(name, "a rate such as `1KiB/s`", words::rate, notes)
    }

    pub fn ratio(&self, name: &'static str, notes: &mut Notes) -> Option<At<Ratio>> {
        self.parsed(name, "a ratio such as `50%`", words::ratio, notes)
    }

    pub fn share(&self, name: &'static str, notes: &mut Notes) -> Option<At<f64>> {
        self.parsed(name, "a ratio such as `20%`", words::share, notes)
    }

    pub fn over(&self, name: &'static str, notes: &mut Notes) -> Option<At<Over>> {
        let expected = "a window such as `10s` or `100 calls`";
        self.parsed(name, expected, words::over, notes)
    }

    pub fn address(&self, name: &'static str, notes: &mut Notes) -> Option<At<SocketAddr>> {
        let (_, node) = self.get(name)?;
        address(node, name, notes)
    }

    /// A whole number within the range in the table.
    pub fn whole(&self, name: &'static str, notes: &mut Notes) -> Option<At<u64>> {
        let (key, node) = self.get(name)?;
        match key.shape {
            Shape::Whole { min, max } => whole(node, name, min, max, None, notes),
            Shape::Either([Shape::Whole { min, max }, other]) => {
                let word = match other {
                    Shape::Word([word]) => Some(*word),
                    _ => None,
                };
                whole(node, name, *min, *max, word, notes)
            }
            _ => None,
        }
    }

    /// A whole number of calls, probes or failures, from 1.
    pub fn count(&self, name: &'static str, notes: &mut Notes) -> Option<At<u32>> {
        let number = self.whole(name, notes)?;
        // The tables bound these numbers by u32::MAX.
        Some(number.map(|number| u32::try_from(number).unwrap_or(u32::MAX)))
    }

    pub fn real(&self, name: &'static str, notes: &mut Notes) -> Option<At<f64>> {
        let (key, _) = self.get(name)?;
        let Shape::Real { min, max } = key.shape else {
            return None;
        };
        let expected = format!("a number from {min} to {max}");
        let read = |text: &str| match text.trim().parse::<f64>() {
            Ok(number) if (min..=max).contains(&number) => Ok(number),
            _ => Err(expected.clone()),
        };
        self.parsed(name, &expected, read, notes)
    }

    pub fn flag(&self, name: &'static str, notes: &mut Notes) -> Option<At<bool>> {
        let expected = "`true` or `false`";
        let read = |text: &str| text.parse().map_err(|_| expected.to_owned());
        self.parsed(name, expected, read, notes)
    }

    /// True without any key.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// False if a key's value is another than the map that it must be; true also without the key.
    pub fn is_map(&self, name: &'static str) -> bool {
        self.get(name)
            .is_none_or(|(_, node)| matches!(node.kind, Kind::Map(_)))
    }

    fn parsed<T>(
        &self,
        name: &'static str,
        shape: &str,
        parse: impl FnOnce(&str) -> Result<T, words::Expected>,
        notes: &mut Notes,
    ) -> Option<At<T>> {
        let (_, node) = self.get(name)?;
        let scalar = scalar(node, name, shape, notes)?;
        match parse(&scalar.text) {
            Ok(value) => Some(At::new(value, node.at)),
            Err(expected) => {
                let (expected, mend) = mend_of(&expected);
                let mend = hidden(scalar).unwrap_or(mend);
                wrong(node, name, expected, mend, notes)
            }
        }
    }
}

/// The mend for a scalar in place of a map, if it is a value of the key that stands for the others.
fn short_form(node: &Node, table: &Table) -> Option<String> {
    let Kind::Scalar(scalar) = &node.kind else {
        return None;
    };
    let text = scalar.text.trim();
    let is_number = || text.parse::<u32>().is_ok();
    let is_url = || text.starts_with("http://") || text.starts_with("https://");
    let whole = match table.name {
        "endpoint" if is_url() => format!("- url: {text}"),
        "upstream" if is_url() => format!("{{ url: {text} }}"),
        "bulkhead" if is_number() => format!("bulkhead: {{ concurrent: {text} }}"),
        "retry" if is_number() => format!("retry: {{ attempts: {text} }}"),
        "health" if text.starts_with('/') => format!("health: {{ path: {text} }}"),
        _ => return None,
    };
    // The content of a variable or file is not shown.
    scalar
        .written
        .is_none()
        .then(|| format!("write {}", quote(&whole)))
}

fn named(entries: &[Entry], table: &'static Table, name: &str) -> Option<Place> {
    let known = || table.all().map(|key| key.name);
    let exact = entries.iter().find(|entry| entry.key == name);
    let unknown = || {
        let mut unknown = entries.iter().filter(|it| table.key(&it.key).is_none());
        unknown.find(|entry| nearest(&entry.key, known()) == Some(name))
    };
    exact.or_else(unknown).map(|entry| entry.at)
}

/// The items of a list; reports any other value.
pub(crate) fn items<'n>(node: &'n Node, name: &str, notes: &mut Notes) -> Option<&'n [Node]> {
    match &node.kind {
        Kind::List(items) => Some(items),
        _ => {
            let mend = format!("write `{name}: […]`, or one `- …` a line");
            mismatch(node, "a list", mend, notes)
        }
    }
}

/// The text of a scalar that is neither null nor broken; reports any other value.
pub(crate) fn scalar<'n>(
    node: &'n Node,
    name: &str,
    expected: &str,
    notes: &mut Notes,
) -> Option<&'n Scalar> {
    match &node.kind {
        Kind::Scalar(scalar) if scalar.broken => None,
        Kind::Scalar(scalar) if !scalar.is_null() => Some(scalar),
        _ => {
            let (expected, mend) = mend_of(expected);
            let mend = format!("{mend}, or remove the key");
            wrong(node, name, expected, mend, notes)
        }
    }
}

/// A whole number from `min` to `max`. `word` is the alternative that the message offers.
fn whole(
    node: &Node,
    name: &str,
    min: u64,
    max: u64,
    word: Option<&str>,
    notes: &mut Notes,
) -> Option<At<u64>> {
    let mut expected = match (min, max) {
        (min, max) if min == max => format!("`{min}`"),
        (1, max) if max == u64::from(u32::MAX) => "a whole number of at least 1".to_owned(),
        _ => format!("a whole number from {min} to {max}"),
    };
    if let Some(word) = word {
        expected.push_str(&format!(" or `{word}`"));
    }
    let scalar = scalar(node, name, &expected, notes)?;
    let number = scalar
        .text
        .trim()
        .parse::<u64>()
        .ok()
        .filter(|number| (min..=max).contains(number));
    let quoted = scalar.style != Style::Plain && scalar.written.is_none();
    match number {
        Some(number) if !quoted => Some(At::new(number, node.at)),
        Some(number) => {
            let found = scalar.shown();
            let what = format!("`{name}` must be {expected}, found the text {found}");
            notes.refuse(node.at, what, format!("remove the quotes: write {number}"))
        }
        None => wrong(node, name, &expected, format!("write {expected}"), notes),
    }
}

/// An address with its port, such as `127.0.0.1:8080`.
pub(crate) fn address(node: &Node, name: &str, notes: &mut Notes) -> Option<At<SocketAddr>> {
    let expected = "an address with its port, such as `127.0.0.1:8080`";
    let scalar = scalar(node, name, expected, notes)?;
    let text = scalar.text.trim();
    if let Ok(address) = text.parse() {
        return Some(At::new(address, node.at));
    }
    let port = |text: &str| text.parse::<u16>().ok();
    let mend = match text.rsplit_once(':') {
        None if port(text).is_some() => {
            format!(
                "write `127.0.0.1:{text}` for this machine alone, `0.0.0.0:{text}` for everyone"
            )
        }
        None if text.parse::<std::net::IpAddr>().is_ok() => format!("add a port: `{text}:8080`"),
        Some(("" | "*", number)) if port(number).is_some() => format!("write `0.0.0.0:{number}`"),
        Some(("localhost", number)) if port(number).is_some() => {
            format!("write `127.0.0.1:{number}`")
        }
        _ => "write one such as `127.0.0.1:8080`; an IPv6 address is in brackets, as `[::1]:8080`"
            .to_owned(),
    };
    let mend = hidden(scalar).unwrap_or(mend);
    wrong(node, name, "an address with its port", mend, notes)
}

/// The mend for a value from a variable or a file, which shows nothing of the value.
fn hidden(scalar: &Scalar) -> Option<String> {
    scalar.written.as_ref().map(|_| CORRECT_FILLING.to_owned())
}

const CORRECT_FILLING: &str = "correct the content of the variable or file";

/// Reports a fault in a scalar's content, without quoting the content if it came from a variable or a file.
pub(crate) fn refuse<T>(
    at: Place,
    scalar: &Scalar,
    what: String,
    mend: String,
    notes: &mut Notes,
) -> Option<T> {
    if scalar.written.is_none() {
        return notes.refuse(at, what, mend);
    }
    let what = format!("{} expands to an invalid value", scalar.shown());
    notes.refuse(at, what, CORRECT_FILLING)
}

/// The expectation and its mend: an example or a hint, if the expectation contains one.
fn mend_of(expected: &str) -> (&str, String) {
    if let Some((expected, hint)) = expected.split_once(": write ") {
        return (expected, format!("write {hint}"));
    }
    match expected.split_once(" such as ") {
        Some((expected, example)) => (
            expected.trim_end_matches(','),
            format!("write one such as {example}"),
        ),
        None => (expected, format!("write {expected}")),
    }
}

fn unknown(entry: &Entry, table: &'static Table, notes: &mut Notes) {
    let known = table.supported().map(|key| key.name);
    let what = format!("unknown key {} in {}", quote(&entry.key), noun(table));
    notes.error(entry.at, what, suggest(&entry.key, known));
}

fn noun(table: &Table) -> String {
    match table.name {
        "file" => "the configuration".to_owned(),
        "upstream" | "endpoint" => format!("an {}", table.name),
        "listener" | "route" | "breaker" | "rung" => format!("a {}", table.name),
        "fields" => "changes of fields".to_owned(),
        "rung_answer" => "`respond`".to_owned(),
        "adaptive_limit" => "`adaptive`".to_owned(),
        name => format!("`{name}`"),
    }
}

fn names(table: &'static Table) -> String {
    let names: Vec<_> = table.supported().map(|key| key.name).collect();
    names.join(", ")
}

fn mismatch<T>(node: &Node, expected: &str, mend: String, notes: &mut Notes) -> Option<T> {
    if matches!(&node.kind, Kind::Scalar(scalar) if scalar.broken) {
        return None;
    }
    let what = format!("expected {expected}, found {}", node.describe());
    notes.refuse(node.at, what, mend)
}

/// Reports a value of another shape than its key has.
pub(crate) fn wrong<T>(
    node: &Node,
    name: &str,
    expected: &str,
    mend: String,
    notes: &mut Notes,
) -> Option<T> {
    let what = format!("`{name}` must be {expected}, found {}", node.describe());
    notes.refuse(node.at, what, mend)
}
