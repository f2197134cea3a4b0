//! A start tag with its attributes.

use fusebox_plan::dialect::{At, Place, quote};

use super::ATTRIBUTES_MAX;
use super::cursor::{Cursor, is_space};
use super::document::{Reader, Stop};
use super::places::Places;
use super::quoting::{End, bare_length, is_attribute, lenient_end, plain_end};
use super::value::{Part, Value};
use crate::app::Compat;

/// A start tag, as written.
pub(super) struct Tag<'a> {
    /// The name with its prefix.
    pub name: &'a str,
    /// The place of its `<`.
    pub at: Place,
    pub attributes: Vec<WrittenAttribute<'a>>,
    /// True if the tag ends with `/>`.
    pub is_empty: bool,
}

/// An attribute, as written.
pub(super) struct WrittenAttribute<'a> {
    /// The name with its prefix.
    pub name: &'a str,
    pub at: Place,
    pub value: At<String>,
    pub places: Places,
}

impl<'a> Reader<'a, '_> {
    /// Reads the tag at the current position.
    pub fn tag(&mut self) -> Result<Tag<'a>, Stop> {
        let at = self.cursor.place();
        self.cursor.take(1);
        let name = self.cursor.name();
        let mut tag = Tag {
            name,
            at,
            attributes: Vec::new(),
            is_empty: false,
        };
        let mut reported = false;
        let mut count = 0_usize;
        loop {
            let spaced = self.cursor.space();
            if self.cursor.eat("/>") {
                tag.is_empty = true;
                return Ok(tag);
            }
            if self.cursor.eat(">") {
                return Ok(tag);
            }
            let place = self.cursor.place();
            match self.cursor.peek() {
                None => {
                    let what = format!("the tag {} has no end", quote(&format!("<{name}")));
                    self.error(at, what, "close it with `>` or `/>`");
                    return Err(Stop);
                }
                Some('<') => {
                    let what = format!(
                        "the tag {} has no `>` before the next tag begins in line {}",
                        quote(&format!("<{name}")),
                        place.line
                    );
                    self.error(at, what, "close it with `>` or `/>`");
                    return Ok(tag);
                }
                _ => {}
            }
            let glued = !spaced && !is_attribute(self.cursor.rest());
            let attribute = if glued { "" } else { self.cursor.name() };
            if attribute.is_empty() {
                self.skip_junk(name, place, &mut reported);
                continue;
            }
            if !spaced && !reported {
                reported = true;
                let what = format!("missing space before {}", quote(attribute));
                self.error(place, what, "put a space between two attributes");
            }
            count += 1;
            if let Some(written) = self.attribute(attribute, place)? {
                if count <= ATTRIBUTES_MAX {
                    tag.attributes.push(written);
                } else if count == ATTRIBUTES_MAX + 1 {
                    let shown = quote(&format!("<{name}"));
                    let what = format!("{shown} has more than {ATTRIBUTES_MAX} attributes");
                    self.error(place, what, "remove some");
                }
            }
        }
    }

    /// Skips text that is not an attribute; reports it once for each tag.
    fn skip_junk(&mut self, tag: &str, place: Place, reported: &mut bool) {
        let rest = self.cursor.rest();
        let ends = |char: char| is_space(char) || matches!(char, '<' | '>' | '/');
        let first = rest.chars().next().map_or(0, char::len_utf8);
        let length = first + rest[first..].find(ends).unwrap_or(rest.len() - first);
        let junk = self.cursor.take(length);
        if !*reported {
            *reported = true;
            let what = format!(
                "{} in the tag {} is not an attribute",
                quote(junk),
                quote(&format!("<{tag}"))
            );
            let mend = "write attributes as `name=\"value\"`; a quote within a value is `&quot;`";
            self.error(place, what, mend);
        }
    }

    /// Reads the rest of an attribute after its name. `None`: it has no value, which is reported.
    fn attribute(
        &mut self,
        name: &'a str,
        at: Place,
    ) -> Result<Option<WrittenAttribute<'a>>, Stop> {
        self.cursor.space();
        if !self.cursor.eat("=") {
            let what = format!("the attribute {} has no value", quote(name));
            self.error(at, what, format!("write `{name}=\"…\"`, or remove it"));
            return Ok(None);
        }
        self.cursor.space();
        let raw = match self.cursor.peek() {
            Some(quote @ ('"' | '\'')) => self.quoted(name, quote)?,
            _ => match self.bare(name) {
                Some(raw) => raw,
                None => return Ok(None),
            },
        };
        let mut value = Value::default();
        value.add(raw.value, raw.at, Part::Attribute, self.notes);
        let (value, places) = value.finish(raw.at);
        Ok(Some(WrittenAttribute {
            name,
            at,
            value,
            places,
        }))
    }

    /// Reads a value in quotes.
    fn quoted(&mut self, name: &str, mark: char) -> Result<At<&'a str>, Stop> {
        let opened = self.cursor.place();
        self.cursor.take(1);
        let start = self.cursor.place();
        let rest = self.cursor.rest();
        let end = match self.compat {
            Compat::Strict => plain_end(rest, mark),
            Compat::Intent => lenient_end(rest, mark, &mut self.lookahead),
        };
        let end = match end {
            End::Quote(end) => end,
            End::Later { first, end } => {
                let at = within(rest, start, first);
                let what = format!(
                    "a quote within the expression of {} is not XML; it is read as part of the expression",
                    quote(name)
                );
                self.notes
                    .warn(at, what, "write `&quot;`, or quote the text with `'`");
                end
            }
            End::Open => {
                let what = format!("the value of {} has no closing quote", quote(name));
                self.error(opened, what, format!("close it with `{mark}`"));
                return Err(Stop);
            }
        };
        let raw = self.cursor.take(end);
        self.cursor.take(1);
        if let Some(angle) = raw.find('<') {
            let what = format!("a bare `<` in the value of {} is not XML", quote(name));
            self.tolerate(within(raw, start, angle), &what, "write `&lt;`");
        }
        Ok(At::new(raw, start))
    }

    /// Reads a value without quotes.
    fn bare(&mut self, name: &str) -> Option<At<&'a str>> {
        let start = self.cursor.place();
        let length = bare_length(self.cursor.rest(), &mut self.lookahead);
        let raw = self.cursor.take(length);
        if raw.is_empty() {
            let what = format!("the attribute {} has no value", quote(name));
            self.error(start, what, format!("write `{name}=\"…\"`, or remove it"));
            return None;
        }
        let quoted = quote(name);
        let what = format!("the value of {quoted} has no quotes, which is not XML");
        self.tolerate(start, &what, "put it in quotes");
        Some(At::new(raw, start))
    }
}

/// The place of a byte of a text that begins at `start`.
pub(super) fn within(text: &str, start: Place, byte: usize) -> Place {
    let mut cursor = Cursor::within(text, start);
    cursor.take(byte);
    cursor.place()
}
