//! Diagnostics of a file: place, fault, and mend.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashSet};
use std::fmt;

/// An error or a warning about a configuration file.
///
/// `Display` writes one line: `FILE:LINE:COL: error: what; mend`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// The name of the source, as the caller gave it.
    pub file: String,
    /// The line, from 1.
    pub line: u32,
    /// The column in characters, from 1.
    pub col: u32,
    /// The weight of the diagnostic: only an error prevents a plan.
    pub severity: Severity,
    /// The fault, such as `unknown key`, without an end mark.
    pub what: String,
    /// The mend: a remedy that the author of the file can apply.
    pub mend: String,
    /// The construct that the fault is about, such as an element's name, for counting; `None`: no single one.
    pub about: Option<String>,
}

/// The weight of a diagnostic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The file gives no plan.
    Error,
    /// The file gives a plan, which its author may not have meant.
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
        })
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Diagnostic {
            file,
            line,
            col,
            severity,
            what,
            mend,
            ..
        } = self;
        write!(f, "{file}:{line}:{col}: {severity}: {what}; {mend}")
    }
}

/// A place in one of the sources.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Place {
    /// The number of the source, from 0, in the order in which sources were read.
    pub file: usize,
    /// The line, from 1.
    pub line: u32,
    /// The column in characters, from 1.
    pub col: u32,
}

impl Place {
    /// The beginning of a source.
    pub const fn start(file: usize) -> Place {
        let (line, col) = (1, 1);
        Place { file, line, col }
    }
}

/// A value and its place in a file.
#[derive(Debug, Clone, PartialEq)]
pub struct At<T> {
    /// The value that was read.
    pub value: T,
    /// The place of its text.
    pub at: Place,
}

impl<T> At<T> {
    /// Joins a value and its place.
    pub fn new(value: T, at: Place) -> At<T> {
        At { value, at }
    }

    /// Converts the value and keeps the place.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> At<U> {
        At {
            value: f(self.value),
            at: self.at,
        }
    }
}

/// The value of a key, if the file has a valid one.
pub(crate) fn value_of<T: Clone>(key: &Option<At<T>>) -> Option<T> {
    key.as_ref().map(|key| key.value.clone())
}

/// The place of a key's value, if the file has a valid one.
pub(crate) fn place_of<T>(key: &Option<At<T>>) -> Option<Place> {
    key.as_ref().map(|key| key.at)
}

/// Collects diagnostics while a plan is read and checked, so that all faults are reported at once.
#[derive(Debug, Clone, Default)]
pub struct Notes {
    list: Vec<(Place, Severity, String, String, Option<String>)>,
    /// The errors of one cause, by the cause: one diagnostic for all.
    shared: BTreeMap<String, Vec<Shared>>,
    errors: usize,
    runs: BTreeMap<String, usize>,
}

/// An error that shares its cause with others: place, construct, fault and mend.
type Shared = (Place, String, String, String);

impl Notes {
    /// Adds an error at a place: the fault, and its mend.
    pub fn error(&mut self, at: Place, what: impl Into<String>, mend: impl Into<String>) {
        self.errors += 1;
        self.list
            .push((at, Severity::Error, what.into(), mend.into(), None));
    }

    /// Adds an error about a construct, such as an element that is not supported, which summaries count.
    pub fn error_about(
        &mut self,
        at: Place,
        about: impl Into<String>,
        what: impl Into<String>,
        mend: impl Into<String>,
    ) {
        self.errors += 1;
        let about = Some(about.into());
        self.list
            .push((at, Severity::Error, what.into(), mend.into(), about));
    }

    /// Adds an error about a construct that has its cause in common with others, such as a module that is not supported:
    /// the first in the order of files' names becomes a diagnostic, with the places of the others; summaries count each.
    pub fn error_of_cause(
        &mut self,
        cause: impl Into<String>,
        at: Place,
        about: impl Into<String>,
        what: impl Into<String>,
        mend: impl Into<String>,
    ) {
        self.errors += 1;
        let shared = (at, about.into(), what.into(), mend.into());
        self.shared.entry(cause.into()).or_default().push(shared);
    }

    /// The constructs that errors are about, each with its count, the most frequent first; those about no single
    /// construct count as `other`.
    pub fn blocks(&self) -> Vec<(String, usize)> {
        let errors = self.list.iter().filter(|it| it.1 == Severity::Error);
        // One error may have been added twice.
        let alone = errors.map(|(at, _, what, _, about)| (*at, what, about.as_deref()));
        let shared = self.shared.values().flatten();
        let shared = shared.map(|(at, about, what, _)| (*at, what, Some(about.as_str())));
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for (_, _, about) in alone.chain(shared).collect::<HashSet<_>>() {
            *counts.entry(about.unwrap_or("other")).or_default() += 1;
        }
        let counts = counts.into_iter();
        let mut blocks: Vec<_> = counts
            .map(|(name, count)| (name.to_owned(), count))
            .collect();
        blocks.sort_by_key(|(_, count)| Reverse(*count));
        blocks
    }

    /// Counts a construct that runs, for summaries.
    pub fn count_run(&mut self, construct: impl Into<String>) {
        *self.runs.entry(construct.into()).or_default() += 1;
    }

    /// The constructs that run, each with its count, the most frequent first.
    pub fn runs(&self) -> Vec<(String, usize)> {
        let mut runs: Vec<_> = self.runs.clone().into_iter().collect();
        runs.sort_by_key(|(_, count)| Reverse(*count));
        runs
    }

    /// Adds an error, and gives `None` in place of the value that it prevents.
    pub fn refuse<T>(
        &mut self,
        at: Place,
        what: impl Into<String>,
        mend: impl Into<String>,
    ) -> Option<T> {
        self.error(at, what, mend);
        None
    }

    /// Adds an error whose cause may be at other places too, and gives `None` in place of the value that it prevents.
    /// All with the same text are one diagnostic, at the first place, with the places of the others.
    pub fn refuse_alike<T>(
        &mut self,
        at: Place,
        what: impl Into<String>,
        mend: impl Into<String>,
    ) -> Option<T> {
        let what = what.into();
        self.error_of_cause(what.clone(), at, "other", what, mend);
        None
    }

    /// Adds a warning at a place: the doubt, and its mend.
    pub fn warn(&mut self, at: Place, what: impl Into<String>, mend: impl Into<String>) {
        self.list
            .push((at, Severity::Warning, what.into(), mend.into(), None));
    }

    /// Adds all diagnostics of other notes.
    pub fn append(&mut self, other: Notes) {
        self.errors += other.errors;
        self.list.extend(other.list);
        for (cause, shared) in other.shared {
            self.shared.entry(cause).or_default().extend(shared);
        }
        for (construct, count) in other.runs {
            *self.runs.entry(construct).or_default() += count;
        }
    }

    /// The number of errors so far.
    pub fn errors(&self) -> usize {
        self.errors
    }

    /// All diagnostics in the order of their places, without repetitions. `names` are the names of the sources.
    pub fn finish(mut self, names: &[&str]) -> Vec<Diagnostic> {
        for (_, mut shared) in std::mem::take(&mut self.shared) {
            // The order in which the files were named changes nothing.
            let name = |at: &Place| names.get(at.file).copied().unwrap_or_default();
            shared.sort_by(|one, other| {
                let key = |it: &Shared| (name(&it.0).to_owned(), it.clone());
                key(one).cmp(&key(other))
            });
            shared.dedup();
            let mut shared = shared.into_iter();
            let Some((at, about, what, mend)) = shared.next() else {
                continue;
            };
            let others: Vec<Place> = shared.map(|(at, ..)| at).collect();
            let mend = format!("{mend}{}", elsewhere(&others, at.file, names));
            self.list
                .push((at, Severity::Error, what, mend, Some(about)));
        }
        self.list.sort();
        self.list.dedup();
        self.list
            .into_iter()
            .map(|(at, severity, what, mend, about)| Diagnostic {
                file: names.get(at.file).copied().unwrap_or_default().to_owned(),
                line: at.line,
                col: at.col,
                severity,
                what,
                mend,
                about,
            })
            .collect()
    }
}

/// The end of a line about several errors: `; 3 more: 12:5, b.xml:4:1, …`, with the file where it is another one.
fn elsewhere(places: &[Place], file: usize, names: &[&str]) -> String {
    const SHOWN_MAX: usize = 6;
    let mut shown = Vec::new();
    let mut last = file;
    for at in places.iter().take(SHOWN_MAX) {
        let name = names.get(at.file).copied().unwrap_or_default();
        shown.push(match at.file == last {
            true => format!("{}:{}", at.line, at.col),
            false => format!("{name}:{}:{}", at.line, at.col),
        });
        last = at.file;
    }
    if places.len() > SHOWN_MAX {
        shown.push("…".to_owned());
    }
    match places.len() {
        0 => String::new(),
        count => format!("; {count} more: {}", shown.join(", ")),
    }
}

/// Quotes a text for a message: in backquotes, on one line, at most 60 characters.
pub fn quote(text: &str) -> String {
    const CHARS_MAX: usize = 60;
    // Most texts are names, of which a file may have ten thousands.
    let is_plain = |byte: u8| matches!(byte, b' '..=b'~') && byte != b'\\';
    if text.len() <= CHARS_MAX && text.bytes().all(is_plain) {
        return ["`", text, "`"].concat();
    }
    let mut shown: String = text
        .chars()
        .take(CHARS_MAX)
        .flat_map(char::escape_debug)
        .collect();
    if text.chars().nth(CHARS_MAX).is_some() {
        shown.push('…');
    }
    format!("`{}`", shown.replace("\\\"", "\"").replace("\\'", "'"))
}

/// The candidate nearest to `word`, if one is near enough for a "did you mean".
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    const CHARS_MAX: usize = 64;
    // Only the first candidates are compared, so that files with thousands of names and mistakes are still read in
    // time.
    const CANDIDATES_MAX: usize = 256;
    let length = word.chars().count();
    if length == 0 || length > CHARS_MAX {
        return None;
    }
    let lower = word.to_lowercase();
    candidates
        .into_iter()
        .take(CANDIDATES_MAX)
        .filter(|candidate| candidate.len() <= CHARS_MAX)
        .filter_map(|candidate| {
            let other = candidate.to_lowercase();
            let edits = strsim::damerau_levenshtein(&lower, &other);
            let contained = length >= 4 && (other.contains(&lower) || lower.contains(&other));
            let near = edits <= 1 + length.max(other.chars().count()) / 5;
            (near || contained).then_some((edits, candidate))
        })
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, candidate)| candidate)
}

/// A mend for an unknown word: "did you mean" with a near candidate, otherwise the list of candidates.
pub fn suggest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str> + Clone) -> String {
    if let Some(near) = nearest(word, candidates.clone()) {
        return format!("did you mean {}?", quote(near));
    }
    const SHOWN_MAX: usize = 20;
    let mut seen = HashSet::new();
    let distinct = candidates.into_iter().filter(|it| seen.insert(*it));
    let all: Vec<&str> = distinct.take(SHOWN_MAX + 1).collect();
    match all.len() {
        0 => "remove it".to_owned(),
        1 => format!("expected {}", all[0]),
        n if n > SHOWN_MAX => format!("expected one of {}, …", all[..SHOWN_MAX].join(", ")),
        _ => format!("expected one of {}", all.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quoted_text_stays_on_one_line_and_is_cut() {
        assert_eq!(quote("a\nb\u{1b}[0m"), "`a\\nb\\u{1b}[0m`");
        assert_eq!(quote(&"x".repeat(100)).chars().count(), 63);
        // Plain texts take a shorter way to the same result.
        assert_eq!(quote("it's \"x\" ~"), "`it's \"x\" ~`");
        assert_eq!(quote("it's \"é\" ~"), "`it's \"é\" ~`");
        assert_eq!(quote("a\\b"), "`a\\\\b`");
    }

    #[test]
    fn errors_of_one_cause_are_one_line_that_names_the_others() {
        let mut notes = Notes::default();
        let place = |line, file| Place { file, line, col: 1 };
        for line in [9, 4, 4] {
            assert_eq!(
                notes.refuse_alike::<()>(place(line, 0), "no x", "mend"),
                None
            );
        }
        notes.refuse_alike::<()>(place(2, 0), "no y", "mend");
        let mut other = Notes::default();
        other.refuse_alike::<()>(place(7, 0), "no x", "mend");
        notes.append(other);
        assert_eq!(notes.errors(), 5);
        let shown: Vec<_> = notes
            .finish(&["f"])
            .into_iter()
            .map(|it| (it.line, it.what, it.mend))
            .collect();
        let wanted = [
            (2, "no y".to_owned(), "mend".to_owned()),
            (4, "no x".to_owned(), "mend; 2 more: 7:1, 9:1".to_owned()),
        ];
        assert_eq!(shown, wanted);
        let mut notes = Notes::default();
        notes.refuse_alike::<()>(place(3, 0), "no x", "mend");
        notes.refuse_alike::<()>(place(1, 1), "no x", "mend");
        assert_eq!(notes.finish(&["f", "g"])[0].mend, "mend; 1 more: g:1:1");
    }

    #[test]
    fn a_near_word_is_suggested_and_a_far_one_is_not() {
        assert_eq!(
            nearest("cooldwon", ["cooldown", "compare"]),
            Some("cooldown")
        );
        assert_eq!(
            nearest("consecutive", ["consecutive_failures", "failures"]),
            Some("consecutive_failures")
        );
        assert_eq!(nearest("zebra", ["cooldown", "compare"]), None);
        assert_eq!(
            suggest("zebra", ["first", "last", "first"]),
            "expected one of first, last"
        );
        assert_eq!(nearest(&"x".repeat(1_000_000), ["x"]), None);
    }
}
