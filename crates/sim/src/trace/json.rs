//! Reads the members of one JSON object without building it: a log has millions of lines, and few of their members are
//! wanted.
//!
//! Other members are checked for their shape alone: strings, brackets and separators.

use std::borrow::Cow;

use super::Unreadable;

/// The error of a line that is not an object.
pub const NOT_JSON: Unreadable = Unreadable::Form("a JSON object");

/// The members of an object, each with its name and value as they are written; the name without its quotes.
pub fn members<'a>(
    line: &'a [u8],
    mut each: impl FnMut(&'a [u8], &'a [u8]),
) -> Result<(), Unreadable> {
    let end = entries(line, b'{', b'}', |at| {
        if line[at] != b'"' {
            return None;
        }
        let name_end = after_string(line, at)?;
        let colon = after_space(line, name_end);
        if colon >= line.len() || line[colon] != b':' {
            return None;
        }
        let value = after_space(line, colon + 1);
        let end = after_value(line, value)?;
        each(&line[at + 1..name_end - 1], &line[value..end]);
        Some(end)
    });
    match end {
        Some(end) if after_space(line, end) == line.len() => Ok(()),
        _ => Err(NOT_JSON),
    }
}

/// The items of an array as they are written.
pub fn items<'a>(array: &'a [u8], mut each: impl FnMut(&'a [u8])) -> Result<(), Unreadable> {
    let end = entries(array, b'[', b']', |at| {
        let end = after_value(array, at)?;
        each(&array[at..end]);
        Some(end)
    });
    end.map(|_| ()).ok_or(NOT_JSON)
}

/// The value of a member, as it is written.
pub fn member<'a>(object: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let mut found = None;
    members(object, |key, value| {
        if key == name && found.is_none() {
            found = Some(value);
        }
    })
    .ok()?;
    found
}

/// Reads the entries between two brackets, separated by commas; returns the place after the second one. `entry` takes the
/// place where an entry begins, which is within the text, and returns that after it.
fn entries(
    text: &[u8],
    open: u8,
    close: u8,
    mut entry: impl FnMut(usize) -> Option<usize>,
) -> Option<usize> {
    let mut at = after_space(text, 0);
    if at >= text.len() || text[at] != open {
        return None;
    }
    at = after_space(text, at + 1);
    if at < text.len() && text[at] == close {
        return Some(at + 1);
    }
    while at < text.len() {
        at = after_space(text, entry(at)?);
        if at >= text.len() {
            return None;
        }
        match text[at] {
            b',' => at = after_space(text, at + 1),
            byte if byte == close => return Some(at + 1),
            _ => return None,
        }
    }
    None
}

// These loops go by places and single bytes: they are passed for every byte of a log.

fn after_space(text: &[u8], mut at: usize) -> usize {
    while at < text.len() && matches!(text[at], b' ' | b'\t' | b'\r' | b'\n') {
        at += 1;
    }
    at
}

/// The place after a string that begins at `at` with its quote.
fn after_string(text: &[u8], mut at: usize) -> Option<usize> {
    at += 1;
    while at < text.len() {
        match text[at] {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    None
}

/// The place after the value that begins at `at`.
fn after_value(text: &[u8], at: usize) -> Option<usize> {
    if at >= text.len() {
        return None;
    }
    let mut end = at + 1;
    match text[at] {
        b'"' => return after_string(text, at),
        b'{' | b'[' => return after_nested(text, at),
        b'-' | b'0'..=b'9' => {
            while end < text.len()
                && matches!(text[end], b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E')
            {
                end += 1;
            }
        }
        b't' | b'f' | b'n' => {
            while end < text.len() && text[end].is_ascii_lowercase() {
                end += 1;
            }
            if !matches!(&text[at..end], b"true" | b"false" | b"null") {
                return None;
            }
        }
        _ => return None,
    }
    Some(end)
}

/// The place after the object or array that begins at `at`; its brackets must pair.
fn after_nested(text: &[u8], mut at: usize) -> Option<usize> {
    let mut depth = 0_u32;
    while at < text.len() {
        match text[at] {
            b'"' => {
                at = after_string(text, at)?;
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
        at += 1;
    }
    None
}

/// The text of a string, a number or a word; `None` for null, an object and an array. A lone surrogate becomes U+FFFD.
pub fn text_of(value: &[u8]) -> Option<Cow<'_, str>> {
    match value {
        b"null" | [b'{' | b'[', ..] | [] => None,
        [b'"', inner @ .., b'"'] if !inner.contains(&b'\\') => Some(super::text(inner)),
        [b'"', inner @ .., b'"'] => Some(Cow::Owned(unescaped(inner))),
        _ => Some(super::text(value)),
    }
}

/// The bytes of a text without escapes, or of a number: for times and statuses, which need none.
pub fn bare(value: &[u8]) -> &[u8] {
    match value {
        [b'"', inner @ .., b'"'] => inner.trim_ascii(),
        _ => value,
    }
}

fn unescaped(inner: &[u8]) -> String {
    let mut bytes = Vec::with_capacity(inner.len());
    let mut units: Vec<u16> = Vec::new();
    let mut rest = inner;
    while let Some((byte, after)) = rest.split_first() {
        let escape = (*byte == b'\\').then(|| after.first().copied()).flatten();
        let unit = match (escape, after.get(1..5)) {
            (Some(b'u'), Some(digits)) => {
                let digits = std::str::from_utf8(digits).ok();
                digits.and_then(|digits| u16::from_str_radix(digits, 16).ok())
            }
            _ => None,
        };
        if let Some(unit) = unit {
            units.push(unit);
            rest = &after[5..];
            continue;
        }
        put(&mut bytes, &mut units);
        match escape {
            None => {
                bytes.push(*byte);
                rest = after;
            }
            Some(escape) => {
                bytes.push(match escape {
                    b'n' => b'\n',
                    b't' => b'\t',
                    b'r' => b'\r',
                    b'b' => 8,
                    b'f' => 12,
                    other => other,
                });
                rest = &after[1..];
            }
        }
    }
    put(&mut bytes, &mut units);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Writes the characters of escaped UTF-16, which comes in pairs.
fn put(bytes: &mut Vec<u8>, units: &mut Vec<u16>) {
    if !units.is_empty() {
        bytes.extend_from_slice(String::from_utf16_lossy(units).as_bytes());
        units.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_members_of_an_object_are_found_whatever_stands_between_them() {
        let line =
            br#" { "a" : 1 , "b":{"c":["}",2],"d\"":"]"}, "e":"x\"y\\", "f":null,"g":-1.5e3 } "#;
        let value =
            |name: &[u8]| member(line, name).map(|it| String::from_utf8_lossy(it).into_owned());
        assert_eq!(value(b"a").as_deref(), Some("1"));
        assert_eq!(value(b"b").as_deref(), Some(r#"{"c":["}",2],"d\"":"]"}"#));
        assert_eq!(
            text_of(member(line, b"e").unwrap()).as_deref(),
            Some("x\"y\\")
        );
        assert_eq!(text_of(member(line, b"f").unwrap()), None);
        assert_eq!(value(b"g").as_deref(), Some("-1.5e3"));
        assert_eq!(value(b"h"), None);
    }

    #[test]
    fn a_line_that_is_no_object_is_not_read() {
        for line in [
            "",
            "{",
            "[]",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1",
            "{\"a\":1,}",
            "{\"a\":1}x",
            "{\"a\":tru}",
            "{\"a\":\"x}",
            "{\"a\":[1}",
            "{a:1}",
        ] {
            assert_eq!(members(line.as_bytes(), |_, _| ()), Err(NOT_JSON), "{line}");
        }
        assert_eq!(members(b"{}", |_, _| ()), Ok(()));
    }

    #[test]
    fn escapes_are_read_as_json_has_them() {
        let text = text_of(br#""\u00e9\ud83d\ude00\n\/\u12""#).unwrap();
        let expected: String = serde_json::from_str(r#""\u00e9\ud83d\ude00\n\/""#).unwrap();
        assert_eq!(text, format!("{expected}u12"));
    }
}
