//! A value as written: entities, line ends, and characters outside XML.

use fusebox_plan::dialect::{At, Notes, Place, quote};

use super::cursor::Cursor;
use super::places::Places;

/// The kind of source text that a value is read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// An attribute: line ends and tabs are spaces ([XML 1.0, 3.3.3](https://www.w3.org/TR/xml/#AVNormalize)).
    Attribute,
    /// Text between tags.
    Text,
    /// CDATA, without entities.
    Cdata,
}

/// A value under construction from pieces of source text.
#[derive(Default)]
pub(super) struct Value {
    pub text: String,
    pub places: Places,
    /// The place of its first piece.
    pub start: Option<Place>,
    faults: usize,
}

/// The limit of errors reported for one value.
const FAULTS_MAX: usize = 20;

impl Value {
    /// Appends a piece of source text. `at` is the place where it begins.
    pub fn add(&mut self, raw: &str, at: Place, part: Part, notes: &mut Notes) {
        if raw.is_empty() {
            return;
        }
        self.start.get_or_insert(at);
        self.places.spelled(self.text.len(), at);
        let mut cursor = Cursor::within(raw, at);
        while let Some(char) = cursor.peek() {
            let place = cursor.place();
            match char {
                '&' if part != Part::Cdata => {
                    self.places.made(self.text.len(), place);
                    match entity(&mut cursor) {
                        Ok(char) => self.text.push(char),
                        Err((what, mend)) => {
                            self.fault(place, what, mend, notes);
                            self.text.push('&');
                        }
                    }
                    self.places.spelled(self.text.len(), cursor.place());
                }
                '\n' | '\r' | '\t' => {
                    if !cursor.eat("\r\n") {
                        cursor.take(1);
                    }
                    self.text.push(match (part, char) {
                        (Part::Attribute, _) => ' ',
                        (_, '\t') => '\t',
                        _ => '\n',
                    });
                    self.places.spelled(self.text.len(), cursor.place());
                }
                char if is_forbidden(char) => {
                    let code = u32::from(char);
                    let what = format!("the character U+{code:04X} is not allowed in XML");
                    self.fault(place, what, "remove it".to_owned(), notes);
                    cursor.take(char.len_utf8());
                    self.places.spelled(self.text.len(), cursor.place());
                }
                _ => {
                    let plain = cursor.take_while(|char| {
                        !matches!(char, '&' | '\n' | '\r' | '\t') && !is_forbidden(char)
                    });
                    if plain.is_empty() {
                        // An `&` in CDATA.
                        self.text.push_str(cursor.take(char.len_utf8()));
                    } else {
                        self.text.push_str(plain);
                    }
                }
            }
        }
    }

    fn fault(&mut self, at: Place, what: String, mend: String, notes: &mut Notes) {
        self.faults += 1;
        if self.faults <= FAULTS_MAX {
            notes.error(at, what, mend);
        }
    }

    /// The value of an attribute; `at` is the place of an empty value.
    pub fn finish(self, at: Place) -> (At<String>, Places) {
        (At::new(self.text, self.start.unwrap_or(at)), self.places)
    }

    /// The value without surrounding white space; `None`: there is nothing else.
    pub fn trimmed(self) -> Option<(At<String>, Places)> {
        let cut = self.text.len() - self.text.trim_start().len();
        let trimmed = self.text.trim();
        if trimmed.is_empty() {
            return None;
        }
        let trimmed = trimmed.to_owned();
        let whole = At::new(self.text, self.start?);
        let at = self.places.of(&whole, cut);
        let places = self.places.part(at, cut, cut + trimmed.len());
        Some((At::new(trimmed, at), places))
    }
}

/// True for characters outside of [XML 1.0, 2.2](https://www.w3.org/TR/xml/#charsets).
fn is_forbidden(char: char) -> bool {
    matches!(char, '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}')
}

/// Reads an entity at the cursor and returns its character. After an error the cursor is past the `&`.
fn entity(cursor: &mut Cursor<'_>) -> Result<char, (String, String)> {
    /// The longest entity name.
    const NAME_MAX: usize = 32;
    cursor.take(1);
    let rest = cursor.rest();
    let length = rest
        .char_indices()
        .take(NAME_MAX)
        .find(|(_, char)| !char.is_alphanumeric() && *char != '#')
        .filter(|(length, char)| *char == ';' && *length > 0)
        .map(|(length, _)| length);
    let Some(length) = length else {
        return Err((
            "this `&` does not begin an entity".to_owned(),
            "write `&amp;` for the character itself".to_owned(),
        ));
    };
    let name = &rest[..length];
    let char = match name {
        "lt" => '<',
        "gt" => '>',
        "amp" => '&',
        "quot" => '"',
        "apos" => '\'',
        _ => match name.strip_prefix('#') {
            Some(number) => character(number).ok_or_else(|| {
                let what = format!("{} is not a character of XML", quote(&format!("&{name};")));
                (
                    what,
                    "write its code in decimal, `&#233;`, or in hexadecimal, `&#xE9;`".to_owned(),
                )
            })?,
            None => {
                let what = format!("the entity {} is not defined", quote(&format!("&{name};")));
                let mend = "write the character itself; there are `&lt;`, `&gt;`, `&amp;`, `&quot;`, `&apos;` and `&#…;`";
                return Err((what, mend.to_owned()));
            }
        },
    };
    cursor.take(length + 1);
    Ok(char)
}

fn character(number: &str) -> Option<char> {
    let code = match number.strip_prefix('x') {
        Some(digits) if digits.starts_with(|char: char| char.is_ascii_hexdigit()) => {
            u32::from_str_radix(digits, 16).ok()?
        }
        None if number.starts_with(|char: char| char.is_ascii_digit()) => number.parse().ok()?,
        _ => return None,
    };
    char::from_u32(code).filter(|char| !is_forbidden(*char))
}
