//! A text with a position in it.

use fusebox_plan::dialect::Place;

use super::start_of;

/// A text with a position in it.
///
/// The position only moves forward, so that computing all places costs no more than one pass over the text.
#[derive(Clone)]
pub(super) struct Cursor<'a> {
    text: &'a str,
    at: usize,
    place: Place,
}

impl<'a> Cursor<'a> {
    pub fn new(text: &'a str, file: usize) -> Cursor<'a> {
        Cursor::within(text, start_of(file))
    }

    /// A cursor in a part of a text; `place` is where the part begins.
    pub fn within(text: &'a str, place: Place) -> Cursor<'a> {
        Cursor { text, at: 0, place }
    }

    pub fn place(&self) -> Place {
        self.place
    }

    pub fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    pub fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    /// Advances by some bytes and returns them.
    pub fn take(&mut self, bytes: usize) -> &'a str {
        let taken = &self.text[self.at..self.at + bytes];
        for char in taken.chars() {
            if char == '\n' {
                self.place.line = self.place.line.saturating_add(1);
                self.place.col = 1;
            } else {
                self.place.col = self.place.col.saturating_add(1);
            }
        }
        self.at += bytes;
        taken
    }

    /// Advances while characters satisfy `such`.
    pub fn take_while(&mut self, such: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        self.take(rest.find(|char| !such(char)).unwrap_or(rest.len()))
    }

    /// Advances past a mark and returns the text before it. Without the mark, advances to the end and returns `None`.
    pub fn take_through(&mut self, mark: &str) -> Option<&'a str> {
        let rest = self.rest();
        match rest.find(mark) {
            Some(length) => {
                self.take(length + mark.len());
                Some(&rest[..length])
            }
            None => {
                self.take(rest.len());
                None
            }
        }
    }

    /// Advances past a text if it comes next.
    pub fn eat(&mut self, text: &str) -> bool {
        let next = self.rest().starts_with(text);
        if next {
            self.take(text.len());
        }
        next
    }

    pub fn space(&mut self) -> bool {
        !self.take_while(is_space).is_empty()
    }

    /// Takes the name that comes next, with its prefix; empty if there is none.
    pub fn name(&mut self) -> &'a str {
        match self.peek() {
            Some(first) if is_name_start(first) => self.take_while(is_name),
            _ => "",
        }
    }
}

pub(super) fn is_space(char: char) -> bool {
    matches!(char, ' ' | '\t' | '\n' | '\r')
}

/// True if a name can begin with the character. Beyond ASCII this is wider than XML's table, without harm here.
pub(super) fn is_name_start(char: char) -> bool {
    char.is_ascii_alphabetic() || char == '_' || (!char.is_ascii() && char.is_alphabetic())
}

pub(super) fn is_name(char: char) -> bool {
    is_name_start(char)
        || char.is_ascii_digit()
        || matches!(char, '-' | '.' | ':')
        || (!char.is_ascii() && char.is_alphanumeric())
}
