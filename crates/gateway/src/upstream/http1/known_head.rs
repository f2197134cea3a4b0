//! The lines of earlier heads on a connection: most come again in the same order, and a line that is known is not read anew.
//!
//! A line means the same wherever it stands in a head, since folded ones are refused. The lines are copies, so that they hold no
//! buffer of the connection. A head with other lines costs a comparison, and only now and then a copy.

use std::ops::Range;

use http::{HeaderName, HeaderValue};

use super::answer_head::StatusLine;

/// The most fields of a head that are known.
const FIELDS_MAX: usize = 24;

/// The most bytes of a line that are kept.
const LINE_MAX: usize = 128;

/// The number of other lines that come in the place of one before it gives way without having come again.
const PATIENCE: u8 = 16;

/// The lines by their places in a head.
#[derive(Debug, Default)]
pub struct KnownHead {
    first: Option<Known<StatusLine>>,
    fields: Vec<Known<Field>>,
}

/// A line that came at its place.
#[derive(Debug)]
struct Known<T> {
    /// The line with its end, as the upstream writes it.
    line: Box<[u8]>,
    /// The line's meaning.
    means: T,
    /// True if it has come again since it was kept.
    has_come_again: bool,
    /// The number of other lines that it still outlasts.
    patience: u8,
}

/// A field with the places of its name and value in its line.
#[derive(Debug)]
pub struct Field {
    /// The field's name.
    pub name: HeaderName,
    /// The field's value.
    pub value: HeaderValue,
    /// The end of the name, with which the line begins.
    pub name_end: usize,
    /// The place of the value.
    pub value_at: Range<usize>,
}

impl KnownHead {
    /// The meaning of the status line that bytes begin with, and its length; `None`: it is not known.
    pub fn first(&mut self, bytes: &[u8]) -> Option<(&StatusLine, usize)> {
        self.first.as_mut()?.beginning(bytes)
    }

    /// The field that bytes begin with and its line's length, if it is the one that came at this place before.
    pub fn field(&mut self, place: usize, bytes: &[u8]) -> Option<(&Field, usize)> {
        self.fields.get_mut(place)?.beginning(bytes)
    }

    /// The known field at a place.
    pub fn at(&self, place: usize) -> Option<&Field> {
        self.fields.get(place).map(|known| &known.means)
    }

    /// Takes note of a status line that was not known.
    pub fn note_first(&mut self, line: &[u8], means: StatusLine) {
        if line.len() > LINE_MAX {
            return;
        }
        if self.first.as_mut().is_none_or(Known::gives_way) {
            self.first = Some(Known::of(line, means));
        }
    }

    /// Takes note of the field of a line that was not known at this place.
    pub fn note_field(&mut self, place: usize, line: &[u8], field: impl FnOnce() -> Option<Field>) {
        if line.len() > LINE_MAX || place >= FIELDS_MAX || self.fields.len() < place {
            return;
        }
        let field = || Some(Known::of(line, field()?));
        match self.fields.get_mut(place) {
            None => self.fields.extend(field()),
            Some(known) => {
                if known.gives_way()
                    && let Some(field) = field()
                {
                    *known = field;
                }
            }
        }
    }
}

impl<T> Known<T> {
    fn of(line: &[u8], means: T) -> Known<T> {
        Known {
            line: line.into(),
            means,
            has_come_again: false,
            patience: PATIENCE,
        }
    }

    fn beginning(&mut self, bytes: &[u8]) -> Option<(&T, usize)> {
        let is_it = bytes.starts_with(&self.line);
        self.has_come_again |= is_it;
        is_it.then_some((&self.means, self.line.len()))
    }

    /// True if another line takes its place: it had its use, or has waited for it long enough.
    fn gives_way(&mut self) -> bool {
        let had_its_use = std::mem::take(&mut self.has_come_again);
        if !had_its_use && self.patience > 0 {
            self.patience -= 1;
            return false;
        }
        true
    }
}
