//! What the parts of an application's reader share: notes, the machine, names, places.

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

/// Bytes in a line within which a character is looked for: a line is read anew for each fault in it.
const LINE_MAX: usize = 64 * 1024;

/// What the reader carries along.
pub(crate) struct Reader<'a> {
    pub notes: &'a mut Notes,
    pub loader: &'a dyn Loader,
    /// Every text that has been read, by the number of its file.
    pub texts: Vec<SourceText>,
    /// What expressions in triggers and handlers may name.
    pub around: Names,
    /// What expressions within a microgateway's definition may name.
    pub inside: Names,
    /// The environment, as `$.env` shows it.
    pub env: Value,
}

/// A file's name and text.
pub(crate) struct SourceText {
    pub name: String,
    pub text: Arc<str>,
    /// The byte at which each line begins.
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

    /// A line by its number, from 1.
    fn line(&self, number: u32) -> &str {
        let index = number.saturating_sub(1) as usize;
        let start = self.lines.get(index).copied().unwrap_or(self.text.len());
        let end = self.lines.get(index + 1).copied();
        self.text[start..end.unwrap_or(self.text.len())].trim_end_matches('\n')
    }
}

/// Whose names an expression may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whose {
    Handlers,
    Definitions,
}

impl Reader<'_> {
    /// Compiles a whole text: a condition. Of one that is wrong Flogo tells first that it is one, which
    /// is `what`, with its text.
    pub fn condition(&mut self, text: Text<'_>, what: &str, whose: Whose) -> Option<Expression> {
        let what = format!("{what}: {}: ", text.shown().trim_matches('`'));
        self.compile_as(text, 0, text.get(), &what, whose)
    }

    /// A value as the file gives it: an expression if it is a text that begins with `=`, else literal.
    /// `None` where the expression is wrong.
    pub fn given(&mut self, node: &Node, whose: Whose) -> Option<Given> {
        match expression_of(node) {
            Some((text, source)) => self
                .compile(text, MARK.len_utf8(), source, whose)
                .map(Given::Expression),
            None => Some(Given::Literal(located::value(node))),
        }
    }

    /// Compiles `source`, which begins at byte `skip` of a text of the file.
    pub fn compile(
        &mut self,
        text: Text<'_>,
        skip: usize,
        source: &str,
        whose: Whose,
    ) -> Option<Expression> {
        self.compile_as(text, skip, source, "", whose)
    }

    fn compile_as(
        &mut self,
        text: Text<'_>,
        skip: usize,
        source: &str,
        what: &str,
        whose: Whose,
    ) -> Option<Expression> {
        let names = match whose {
            Whose::Handlers => &self.around,
            Whose::Definitions => &self.inside,
        };
        match Expression::compile(source, names) {
            Ok(expression) => Some(expression),
            Err(error) => {
                let at = self.place_in(text, skip + error.at);
                self.notes.error(
                    at,
                    format!("{what}{}", error.message),
                    "correct the expression",
                );
                None
            }
        }
    }

    /// Where a byte of a text stands in its file.
    pub fn place_in(&self, text: Text<'_>, offset: usize) -> Place {
        let Text { at, scalar } = text;
        // A decrypted text stands elsewhere than it reads.
        let (None, Some(source)) = (&scalar.written, self.texts.get(at.file)) else {
            return at;
        };
        let line = source.line(at.line);
        if line.len() > LINE_MAX {
            return at;
        }
        let chars = scalar
            .text
            .char_indices()
            .take_while(|(byte, _)| *byte < offset)
            .count();
        // A text of JSON stands on one line.
        let alone = Place { line: 1, ..at };
        let found = place_within(&[line], alone, scalar, chars);
        Place {
            line: at.line,
            ..found
        }
    }

    /// Evaluates settings once, in a scope that stands still.
    pub fn settings<'n>(
        &mut self,
        at: Place,
        entries: &'n [Entry],
        scope: &Map,
        whose: Whose,
    ) -> Option<Settings<'n>> {
        let before = self.notes.errors();
        let mut sorted: Vec<&Entry> = entries.iter().collect();
        sorted.sort_by(|one, two| one.key.cmp(&two.key));
        let mut values = Map::new();
        for entry in sorted {
            let Some(given) = self.given(&entry.value, whose) else {
                continue;
            };
            let value = match given.eval(scope) {
                Ok(value) => value,
                Err(error) => {
                    self.notes.error(
                        entry.value.at,
                        error.message,
                        match whose {
                            Whose::Handlers => "a setting is evaluated at the start: it sees `$env[NAME]` and `$property[NAME]`",
                            Whose::Definitions => "a setting is evaluated at the start: it sees `$.conf`, `$.env` and `$.async`, and no request",
                        },
                    );
                    continue;
                }
            };
            let path: Vec<Arc<str>> = match whose {
                Whose::Handlers => vec![entry.key.as_str().into()],
                Whose::Definitions => dotted(&entry.key),
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

/// The mend where a dotted name leads through something that is no object.
pub(crate) const NESTED: &str =
    "a name with dots goes into objects: rename it, or give the object as a whole";

/// The parts of a name with dots.
pub(crate) fn dotted(name: &str) -> Vec<Arc<str>> {
    name.split('.').map(Arc::from).collect()
}

/// The text of an expression, without its mark, where a value is one.
pub(crate) fn expression_of(node: &Node) -> Option<(Text<'_>, &str)> {
    let text = text(node)?;
    Some((text, text.get().strip_prefix(MARK)?))
}
