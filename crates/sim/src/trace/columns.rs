//! Reads comma-separated values by the names in their first line (RFC 4180, without line ends within quotes).

use std::borrow::Cow;

use super::map::{FACTS, FieldMap, Taken};
use super::{Line, Unreadable, text};

/// The meaning of each column.
#[derive(Clone, Debug)]
pub struct Columns(Vec<Meaning>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Meaning {
    Fact(usize),
    Header(String),
    Nothing,
}

impl Columns {
    /// The columns of a line of names.
    pub fn of(line: &[u8], map: &FieldMap) -> Columns {
        let line = line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(line);
        let mut columns = Vec::new();
        let mut each = |field: &[u8]| {
            let name = unquoted(field);
            let name = name.trim();
            columns.push(match (map.header_of(name), map.fact_of(name)) {
                (Some(header), _) => Meaning::Header(header.to_owned()),
                (None, Some(fact)) => Meaning::Fact(fact),
                (None, None) => Meaning::Nothing,
            });
        };
        fields(line, &mut each);
        Columns(columns)
    }

    pub fn read<'a>(&self, line: &'a [u8]) -> Result<Line<'a>, Unreadable> {
        let mut read = Taken::default();
        let mut at = 0;
        let whole = fields(line, |field| {
            match self.0.get(at) {
                Some(Meaning::Fact(fact)) => read.take(*fact, field.trim_ascii()),
                Some(Meaning::Header(name)) => {
                    let value: Cow<'a, str> = unquoted(field);
                    read.line.headers.push((name.clone().into(), value));
                }
                Some(Meaning::Nothing) | None => {}
            }
            at += 1;
        });
        if !whole || at != self.0.len() {
            return Err(Unreadable::Form(
                "as many values as there are names in the first line",
            ));
        }
        read.finish()
    }

    /// The first fact without which no line can be read, if it has no column.
    pub fn lacks(&self) -> Option<&'static str> {
        let has = |names: &[&str]| {
            let is = |meaning: &Meaning| matches!(meaning, Meaning::Fact(fact) if names.contains(&FACTS[*fact].0));
            self.0.iter().any(is)
        };
        if !has(&["at", "at_ms", "at_us", "at_ns"]) {
            Some("at")
        } else if !has(&["status", "error", "outcome"]) {
            Some("status")
        } else {
            None
        }
    }
}

/// The fields of a line; false if a quote is not closed.
fn fields<'a>(line: &'a [u8], mut each: impl FnMut(&'a [u8])) -> bool {
    let mut rest = line;
    loop {
        let end = match rest.first() {
            Some(b'"') => match closing(rest) {
                Some(end) => end,
                None => return false,
            },
            _ => memchr::memchr(b',', rest).unwrap_or(rest.len()),
        };
        each(&rest[..end]);
        match rest.get(end) {
            None => return true,
            Some(b',') => rest = &rest[end + 1..],
            Some(_) => return false,
        }
    }
}

/// The place after the quote that closes a quoted field.
fn closing(field: &[u8]) -> Option<usize> {
    let mut at = 1;
    loop {
        at += memchr::memchr(b'"', field.get(at..)?)? + 1;
        if field.get(at) != Some(&b'"') {
            return Some(at);
        }
        at += 1;
    }
}

fn unquoted(field: &[u8]) -> Cow<'_, str> {
    match field {
        [b'"', inner @ .., b'"'] if inner.contains(&b'"') => {
            Cow::Owned(text(inner).replace("\"\"", "\""))
        }
        [b'"', inner @ .., b'"'] => text(inner),
        _ => text(field),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_by_the_names_above_them() {
        let columns = Columns::of(b"time,\"status\",note,ms,upstream", &FieldMap::default());
        assert_eq!(columns.lacks(), None);
        let line = columns.read(br#"12.5,503,"a, ""b""",30,"orders""#).unwrap();
        assert_eq!(
            (line.at, line.status, line.lasted),
            (12_500_000_000, Some(503), Some(30_000_000))
        );
        assert_eq!(line.upstream.as_deref(), Some("orders"));
        for line in ["1,2", "1,200,\"a,1,b", "1,200,\"a\"x,1,b", "1,200,a,1,b,c"] {
            assert!(columns.read(line.as_bytes()).is_err(), "{line}");
        }
    }

    #[test]
    fn missing_columns_are_known_from_the_first_line() {
        let lacks = |line: &str| Columns::of(line.as_bytes(), &FieldMap::default()).lacks();
        assert_eq!(lacks("when,status"), Some("at"));
        assert_eq!(lacks("at,ms"), Some("status"));
    }
}
