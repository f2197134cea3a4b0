//! The shared context of an application's readers: notes, loader, names, places.

use std::sync::Arc;

use fusebox_plan::dialect::{Entry, Loader, Node, Notes, Place, place_within};

use crate::Expression;
use crate::Map;
use crate::Names;
use crate::Value;
use crate::flow::Given;
use crate::read::located;
use crate::read::object::{Text, text};
use crate::read::settings::Settings;

/// The mark of an expression at the start of a text.
const MARK: char = '=';

/// The longest line, in bytes, in which characters are counted: the line is scanned again for each fault in it.
const LINE_MAX: usize = 64 * 1024;

/// The context of reading an application.
pub(crate) struct Reader<'a> {
    pub notes: &'a mut Notes,
    pub loader: &'a dyn Loader,
    /// The texts of all files that have been read, by the files' indices.
    pub texts: Vec<SourceText>,
    /// The names available to expressions in triggers and handlers.
    pub handler_names: Names,
    /// The names available to expressions in a microgateway's definition.
    pub definition_names: Names,
    /// The names available to expressions in a flow.
    pub flow_names: Names,
    /// The environment, as the value of `$.env`.
    pub env: Value,
}

/// The name and the text of a file.
pub(crate) struct SourceText {
    pub name: String,
    pub text: Arc<str>,
    /// The offset of the beginning of each line, in bytes.
    lines: Vec<usize>,
}

impl SourceText {
    pub fn new(name: &str, text: &str) -> SourceText {
        let ends = text.match_indices('\n').map(|(at, _)| at + 1);
        SourceText {
            name: name.to_owned(),
            text: text.into(),
            lines: std::iter::once(0).chain(ends).collect(),
        }
    }

    /// A line by its number, from 1, without its end.
    fn line(&self, number: u32) -> &str {
        let index = number.saturating_sub(1) as usize;
        let start = self.lines.get(index).copied().unwrap_or(self.text.len());
        let end = self.lines.get(index + 1).copied();
        self.text[start..end.unwrap_or(self.text.len())].trim_end_matches('\n')
    }
}

/// The owner of an expression, which determines the available names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    Handlers,
    Definitions,
    Flows,
}

impl Reader<'_> {
    /// Notes an error.
    pub fn error(&mut self, at: Place, what: impl Into<String>, mend: impl Into<String>) {
        self.notes.error(at, what, mend);
    }

    /// Notes an error, and gives `None` in place of the value that it prevents.
    pub fn refuse<T>(
        &mut self,
        at: Place,
        what: impl Into<String>,
        mend: impl Into<String>,
    ) -> Option<T> {
        self.notes.refuse(at, what, mend)
    }

    /// Compiles a whole text as a condition. Flogo's message for a fault begins with `what` and the text.
    pub fn condition(&mut self, text: Text<'_>, what: &str, owner: Owner) -> Option<Expression> {
        let what = format!("{what}: {}: ", text.shown().trim_matches('`'));
        self.compile_as(text, 0, text.get(), &what, owner)
    }

    /// A value in the file: an expression if it is a text that begins with `=`, otherwise a literal. `None` after an
    /// error in the expression.
    pub fn given(&mut self, node: &Node, owner: Owner) -> Option<Given> {
        match expression_of(node) {
            Some((text, source)) => {
                let compiled = self.compile(text, MARK.len_utf8(), source, owner);
                compiled.map(Given::Expression)
            }
            None => Some(Given::Literal(located::value(node))),
        }
    }

    /// Compiles `source`, which begins at byte `skip` of a text in the file.
    pub fn compile(
        &mut self,
        text: Text<'_>,
        skip: usize,
        source: &str,
        owner: Owner,
    ) -> Option<Expression> {
        let skip = isize::try_from(skip).unwrap_or(isize::MAX);
        self.compile_as(text, skip, source, "", owner)
    }

    /// Compiles `start`, a blank and a text in the file as one expression.
    pub fn compile_after(
        &mut self,
        text: Text<'_>,
        start: &str,
        owner: Owner,
    ) -> Option<Expression> {
        let source = format!("{start} {}", text.get());
        let start = isize::try_from(start.len() + 1).unwrap_or(isize::MAX);
        self.compile_as(text, -start, &source, "", owner)
    }

    /// Compiles `source`, whose beginning is `skip` bytes after that of a text in the file.
    fn compile_as(
        &mut self,
        text: Text<'_>,
        skip: isize,
        source: &str,
        what: &str,
        owner: Owner,
    ) -> Option<Expression> {
        let names = match owner {
            Owner::Handlers => &self.handler_names,
            Owner::Definitions => &self.definition_names,
            Owner::Flows => &self.flow_names,
        };
        match Expression::compile(source, names) {
            Ok(expression) => Some(expression),
            Err(error) => {
                let at = self.place_in(text, error.at.saturating_add_signed(skip));
                let what = format!("{what}{}", error.message);
                self.refuse(at, what, "correct the expression")
            }
        }
    }

    /// The place in the file of a byte of a text.
    pub fn place_in(&self, text: Text<'_>, offset: usize) -> Place {
        let Text { at, scalar } = text;
        // A decrypted text has other offsets than its text in the file.
        let (None, Some(source)) = (&scalar.written, self.texts.get(at.file)) else {
            return at;
        };
        let line = source.line(at.line);
        if line.len() > LINE_MAX {
            return at;
        }
        let before = scalar.text.char_indices();
        let chars = before.take_while(|(byte, _)| *byte < offset).count();
        // A text in JSON is always on one line.
        let alone = Place { line: 1, ..at };
        let found = place_within(&[line], alone, scalar, chars);
        Place {
            line: at.line,
            ..found
        }
    }

    /// Evaluates settings once, in a constant scope.
    pub fn settings<'n>(
        &mut self,
        at: Place,
        entries: &'n [Entry],
        scope: &Map,
        owner: Owner,
    ) -> Option<Settings<'n>> {
        let before = self.notes.errors();
        let hint = match owner {
            Owner::Handlers | Owner::Flows => {
                "a setting is evaluated at the start: it sees `$env[NAME]` and `$property[NAME]`"
            }
            Owner::Definitions => {
                "a setting is evaluated at the start: it sees `$.conf`, `$.env` and `$.async`, and no request"
            }
        };
        let mut sorted: Vec<&Entry> = entries.iter().collect();
        sorted.sort_by(|one, two| one.key.cmp(&two.key));
        let mut values = Map::new();
        for entry in sorted {
            let Some(given) = self.given(&entry.value, owner) else {
                continue;
            };
            let value = match given.eval(scope) {
                Ok(value) => value,
                Err(error) => {
                    self.error(entry.value.at, error.message, hint);
                    continue;
                }
            };
            let path: Vec<Arc<str>> = match owner {
                Owner::Handlers | Owner::Flows => vec![entry.key.as_str().into()],
                Owner::Definitions => dotted(&entry.key),
            };
            if let Err(error) = crate::mapping::assign(&mut values, &path, value) {
                self.notes.error(entry.at, error.message, NESTED);
            }
        }
        (before == self.notes.errors()).then_some(Settings {
            at,
            values,
            entries,
        })
    }
}

/// The mend for a dotted name that leads through a value that is not an object.
pub(crate) const NESTED: &str =
    "a name with dots goes into objects: rename it, or give the object as a whole";

/// The parts of a dotted name.
pub(crate) fn dotted(name: &str) -> Vec<Arc<str>> {
    name.split('.').map(Arc::from).collect()
}

/// The text of an expression, without its mark; `None` for other values.
pub(crate) fn expression_of(node: &Node) -> Option<(Text<'_>, &str)> {
    let text = text(node)?;
    Some((text, text.get().strip_prefix(MARK)?))
}
