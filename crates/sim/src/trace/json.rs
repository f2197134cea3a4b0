//! Reads the members of one JSON object without building it: a log has millions of lines, and few of their members are
//! wanted.
//!
//! Other members are checked for their shape alone: strings, brackets and separators.

use std::borrow::Cow;

use memchr::memchr2;

use super::Unreadable;

/// The error of a line that is not an object.
pub const NOT_JSON: Unreadable = Unreadable::Form("a JSON object");

/// The members of an object, each with its name and value as they are written; the name without its quotes.
pub fn members<'a>(
    line: &'a [u8],
    mut each: impl FnMut(&'a [u8], &'a [u8]),
) -> Result<(), Unreadable> {
    let rest = entries(line, b'{', b'}', |rest| {
        let (name, rest) = string(rest).ok_or(NOT_JSON)?;
        let rest = rest.trim_ascii_start();
        let [b':', rest @ ..] = rest else {
            return Err(NOT_JSON);
        };
        let (value, rest) = value(rest.trim_ascii_start())?;
        each(&name[1..name.len() - 1], value);
        Ok(rest)
    })?;
    match rest.trim_ascii_start() {
        b"" => Ok(()),
        _ => Err(NOT_JSON),
    }
}

/// The items of an array as they are written.
pub fn items<'a>(array: &'a [u8], mut each: impl FnMut(&'a [u8])) -> Result<(), Unreadable> {
    entries(array, b'[', b']', |rest| {
        let (value, rest) = value(rest)?;
        each(value);
        Ok(rest)
    })?;
    Ok(())
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

/// Reads the entries between two brackets, separated by commas; returns the bytes after the second one.
fn entries<'a>(
    text: &'a [u8],
    open: u8,
    close: u8,
    mut entry: impl FnMut(&'a [u8]) -> Result<&'a [u8], Unreadable>,
) -> Result<&'a [u8], Unreadable> {
    let text = text.trim_ascii_start();
    if text.first() != Some(&open) {
        return Err(NOT_JSON);
    }
    let mut rest = text[1..].trim_ascii_start();
    if rest.first() == Some(&close) {
        return Ok(&rest[1..]);
    }
    loop {
        rest = entry(rest)?.trim_ascii_start();
        match rest.split_first() {
            Some((b',', after)) => rest = after.trim_ascii_start(),
            Some((byte, after)) if *byte == close => return Ok(after),
            _ => return Err(NOT_JSON),
        }
    }
}

/// A string with its quotes, and the bytes after it.
fn string(text: &[u8]) -> Option<(&[u8], &[u8])> {
    if text.first() != Some(&b'"') {
        return None;
    }
    let mut at = 1;
    loop {
        at += memchr2(b'"', b'\\', text.get(at..)?)?;
        if text[at] == b'"' {
            return Some(text.split_at(at + 1));
        }
        at += 2;
    }
}

/// A value, and the bytes after it.
fn value(text: &[u8]) -> Result<(&[u8], &[u8]), Unreadable> {
    match text.first() {
        Some(b'"') => string(text).ok_or(NOT_JSON),
        Some(b'{' | b'[') => nested(text),
        Some(b'-' | b'0'..=b'9' | b't' | b'f' | b'n') => {
            let is_end =
                |byte: &u8| matches!(byte, b',' | b'}' | b']') || byte.is_ascii_whitespace();
            let end = text.iter().position(is_end).unwrap_or(text.len());
            let (value, rest) = text.split_at(end);
            let is_word = matches!(value, b"true" | b"false" | b"null");
            let is_number =
                |byte: &u8| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E');
            match is_word || value.iter().all(is_number) {
                true => Ok((value, rest)),
                false => Err(NOT_JSON),
            }
        }
        _ => Err(NOT_JSON),
    }
}

/// An object or an array; its brackets must pair.
fn nested(text: &[u8]) -> Result<(&[u8], &[u8]), Unreadable> {
    let (mut at, mut depth) = (0, 0_u32);
    loop {
        match text.get(at) {
            Some(b'"') => at += string(&text[at..]).ok_or(NOT_JSON)?.0.len(),
            Some(b'{' | b'[') => {
                depth += 1;
                at += 1;
            }
            Some(b'}' | b']') => {
                depth -= 1;
                at += 1;
                if depth == 0 {
                    return Ok(text.split_at(at));
                }
            }
            Some(_) => at += 1,
            None => return Err(NOT_JSON),
        }
    }
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
