//! A position in a script's text, with the basic steps of parsing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::functions::Builtin;
use super::modules::Module;
use super::own::Own;
use super::tree::Declaration;
use super::types::Target;
use super::{DEPTH_MAX, ParseFault};
use crate::library::{Empty, Library};
use crate::value::Namespace;

pub(super) type Parsed<T> = Result<T, ParseFault>;

/// A reader of a script's text from left to right, which never goes back further than a word.
pub(super) struct Cursor<'a> {
    pub text: &'a str,
    pub at: usize,
    end: usize,
    depth: usize,
    /// The number of `$` so far that have no meaning yet.
    pub dollars: usize,
    /// The number of enclosing parts that give `$` a meaning.
    pub binders: usize,
    /// The names that the script declares anywhere.
    pub declared: BTreeSet<Arc<str>>,
    /// The names that are called and not built in, with their offsets.
    pub called: Vec<(Arc<str>, usize)>,
    /// The names that are read, each with the offset where it first is.
    pub names: BTreeMap<Arc<str>, usize>,
    /// The variables that are read by name, `vars.x`.
    pub vars: BTreeSet<Arc<str>>,
    /// True if `vars` is read in another way.
    pub all_vars: bool,
    /// True if a function is named that fails as the script says: `fail`, `failIf`.
    pub fails: bool,
    /// The number of conversions and demands, which fail by their input: `a as Number`, `a!`.
    pub demands: usize,
    /// The namespaces that headers declare, by their prefixes.
    pub namespaces: BTreeMap<Arc<str>, Namespace>,
    /// The types that the header declares.
    pub types: BTreeMap<Arc<str>, Target>,
    /// The functions that are imported, by the names that the script gives them.
    pub imported: BTreeMap<Arc<str>, &'static Builtin>,
    /// The modules of the project that are imported whole, by the names that the script gives them.
    pub own_modules: BTreeMap<Arc<str>, Arc<Own>>,
    /// The functions of the project's modules that are named in full, without an import.
    pub taken: Vec<Declaration>,
    /// The files around the script.
    pub library: &'a dyn Library,
    /// The modules that are being read, the outermost first.
    pub within: Vec<Arc<str>>,
    /// The modules that are imported whole, by the names that the script gives them.
    pub modules: BTreeMap<Arc<str>, &'static Module>,
}

/// The length of the letters, digits and underscores at the start of a text.
pub(super) fn word_length(text: &str) -> usize {
    let ends = |char: char| !(char.is_ascii_alphanumeric() || char == '_');
    text.find(ends).unwrap_or(text.len())
}

impl<'a> Cursor<'a> {
    pub fn new(text: &'a str, start: usize, end: usize) -> Cursor<'a> {
        Cursor {
            text,
            at: start,
            end,
            depth: 0,
            dollars: 0,
            binders: 0,
            declared: BTreeSet::new(),
            called: Vec::new(),
            names: BTreeMap::new(),
            vars: BTreeSet::new(),
            all_vars: false,
            fails: false,
            demands: 0,
            namespaces: BTreeMap::new(),
            types: BTreeMap::new(),
            imported: BTreeMap::new(),
            modules: BTreeMap::new(),
            own_modules: BTreeMap::new(),
            taken: Vec::new(),
            library: &Empty,
            within: Vec::new(),
        }
    }

    /// The remaining text.
    pub fn rest(&self) -> &'a str {
        &self.text[self.at..self.end]
    }

    pub fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    pub fn starts(&self, with: &str) -> bool {
        self.rest().starts_with(with)
    }

    /// Takes a text if it comes next.
    pub fn eat(&mut self, text: &str) -> bool {
        let there = self.starts(text);
        self.at += if there { text.len() } else { 0 };
        there
    }

    /// Skips white space and comments.
    pub fn blank(&mut self) -> Parsed<()> {
        loop {
            let rest = self.rest();
            let trimmed = rest.trim_start_matches(|char: char| {
                char.is_whitespace() || matches!(char, '\u{feff}' | '\u{200b}')
            });
            self.at += rest.len() - trimmed.len();
            if trimmed.starts_with("//") {
                self.at += trimmed.find('\n').unwrap_or(trimmed.len());
            } else if trimmed.starts_with("/*") {
                let Some(end) = trimmed.find("*/") else {
                    return Err(self.fault(
                        self.at,
                        "the comment has no end",
                        "close it with `*/`",
                    ));
                };
                self.at += end + 2;
            } else {
                return Ok(());
            }
        }
    }

    /// The word that comes next, if any.
    pub fn word(&self) -> Option<&'a str> {
        let rest = self.rest();
        if !rest.starts_with(|char: char| char.is_ascii_alphabetic() || char == '_') {
            return None;
        }
        Some(&rest[..word_length(rest)])
    }

    /// Takes a whole word if it comes next.
    pub fn eat_word(&mut self, word: &str) -> bool {
        let there = self.word() == Some(word);
        self.at += if there { word.len() } else { 0 };
        there
    }

    /// Takes any word; `expected` describes it in the error.
    pub fn take_word(&mut self, expected: &str) -> Parsed<&'a str> {
        let word = self.word().ok_or_else(|| self.unexpected(expected))?;
        self.at += word.len();
        Ok(word)
    }

    /// Takes the prefix of a namespace, `soap#`, if one comes next and a name follows it.
    pub fn eat_namespace(&mut self) -> Parsed<Option<Namespace>> {
        let Some(word) = self.word() else {
            return Ok(None);
        };
        let after = &self.rest()[word.len()..];
        let Some(after) = after.strip_prefix('#') else {
            return Ok(None);
        };
        let names = |char: char| char.is_ascii_alphabetic() || "_\"'`".contains(char);
        if !after.starts_with(names) {
            return Ok(None);
        }
        let Some(namespace) = self.namespaces.get(word).cloned() else {
            let what = format!("unknown namespace `{word}`");
            let mend = format!("declare it in the header: `ns {word} http://…`");
            return Err(self.fault(self.at, &what, &mend));
        };
        self.at += word.len() + 1;
        Ok(Some(namespace))
    }

    /// Skips white space and takes a text, which must come next.
    pub fn expect(&mut self, text: &str) -> Parsed<()> {
        self.blank()?;
        if self.eat(text) {
            return Ok(());
        }
        Err(self.unexpected(&format!("`{text}`")))
    }

    /// Parses a nested part, up to the limit of nesting.
    pub fn inner<T>(&mut self, parse: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth == DEPTH_MAX {
            return Err(self.fault(
                self.at,
                &format!("more than {DEPTH_MAX} nested parts"),
                "name the inner ones with `var` or `fun` in a header",
            ));
        }
        self.depth += 1;
        let parsed = parse(self);
        self.depth -= 1;
        parsed
    }

    /// Makes an error at an offset in bytes.
    pub fn fault(&self, at: usize, message: &str, mend: &str) -> ParseFault {
        let (line, col) = ParseFault::place(self.text, at);
        ParseFault {
            message: message.to_owned(),
            line,
            col,
            mend: mend.to_owned(),
        }
    }

    /// The error for a text that is not the expected one.
    pub fn unexpected(&self, expected: &str) -> ParseFault {
        const SHOWN: usize = 20;
        let rest = self.rest();
        let shown: String = match self.word() {
            Some(word) => word.chars().take(SHOWN).collect(),
            None => {
                let symbols = rest.chars().take_while(|char| !char.is_whitespace());
                symbols
                    .take_while(|char| !char.is_alphanumeric())
                    .take(3)
                    .collect()
            }
        };
        let found = match (rest.chars().next(), shown.as_str()) {
            (None, _) => "the end of the text".to_owned(),
            (Some(first), "") => format!("`{first}`"),
            _ => format!("`{shown}`"),
        };
        self.fault(
            self.at,
            &format!("expected {expected}, found {found}"),
            "complete the expression, or remove what does not belong to it",
        )
    }
}
