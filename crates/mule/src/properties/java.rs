//! The format of `.properties` files.
//!
//! The format is that of Java's
//! [Properties](https://docs.oracle.com/en/java/javase/17/docs/api/java.base/java/util/Properties.html#load(java.io.Reader)):
//! a key, `=`, `:` or white space, a value; comments begin with `#` or `!`; a line that ends with an odd number of `\`
//! continues on the next line.

use std::collections::HashMap;
use std::sync::Arc;

use fusebox_plan::dialect::{Notes, Place, quote};

use super::Entry;

/// Reads a file. If a key occurs twice, the last value applies.
pub(super) fn read(text: &str, file: usize, notes: &mut Notes) -> Vec<(Arc<str>, Entry)> {
    let mut entries: Vec<(Arc<str>, Entry)> = Vec::new();
    let mut seen: HashMap<Arc<str>, usize> = HashMap::new();
    for (number, line) in logical_lines(text) {
        let at = Place {
            file,
            line: u32::try_from(number).unwrap_or(u32::MAX),
            col: 1,
        };
        let (key, value) = split(&line);
        let (Some(key), Some(value)) = (unescape(key), unescape(value)) else {
            let what = "expected four hexadecimal digits after `\\u`";
            notes.error(at, what, "write `\\u00e9`, or the character itself");
            continue;
        };
        let key: Arc<str> = key.into();
        // A value may span several lines; its errors are reported at the first.
        let entry = Entry::at(value, at);
        match seen.get(&key) {
            Some(first) => {
                let quoted = quote(&key);
                let what =
                    format!("the property {quoted} is defined twice; the last value applies");
                notes.warn(at, what, "keep one of the two");
                entries[*first].1 = entry;
            }
            None => {
                seen.insert(key.clone(), entries.len());
                entries.push((key, entry));
            }
        }
    }
    entries
}

/// The lines with content, each with its continuations and with the number of its first line.
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let mut logical = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (index, line) in text.split('\n').enumerate() {
        let line = line.strip_suffix('\r').unwrap_or(line);
        let line = line.trim_start_matches([' ', '\t', '\u{c}']);
        if open.is_none() && (line.is_empty() || line.starts_with(['#', '!'])) {
            continue;
        }
        let backslashes = line.chars().rev().take_while(|char| *char == '\\').count();
        let continues = backslashes % 2 == 1;
        let (_, whole) = open.get_or_insert_with(|| (index + 1, String::new()));
        whole.push_str(&line[..line.len() - usize::from(continues)]);
        if !continues {
            logical.extend(open.take());
        }
    }
    logical.extend(open);
    logical
}

/// The key and the value of a line, both as written.
fn split(line: &str) -> (&str, &str) {
    let is_space = |char| matches!(char, ' ' | '\t' | '\u{c}');
    let mut escaped = false;
    let ends = |char: char| {
        let is_escaped = escaped;
        escaped = !is_escaped && char == '\\';
        !is_escaped && (is_space(char) || matches!(char, '=' | ':'))
    };
    let end = line.find(ends).unwrap_or(line.len());
    let rest = line[end..].trim_start_matches(is_space);
    let value = rest.strip_prefix(['=', ':']).unwrap_or(rest);
    (&line[..end], value.trim_start_matches(is_space))
}

/// A text with its escapes resolved; `None`: an escape is not a character.
fn unescape(text: &str) -> Option<String> {
    // A pair of surrogates is one character.
    let mut units: Vec<u16> = Vec::new();
    let mut chars = text.chars();
    let mut buffer = [0; 2];
    while let Some(char) = chars.next() {
        let plain = match char {
            '\\' => match chars.next() {
                Some('n') => '\n',
                Some('t') => '\t',
                Some('r') => '\r',
                Some('f') => '\u{c}',
                Some('u') => {
                    let digits: String = chars.by_ref().take(4).collect();
                    if digits.len() != 4 || !digits.chars().all(|char| char.is_ascii_hexdigit()) {
                        return None;
                    }
                    units.push(u16::from_str_radix(&digits, 16).ok()?);
                    continue;
                }
                Some(char) => char,
                None => break,
            },
            char => char,
        };
        units.extend_from_slice(plain.encode_utf16(&mut buffer));
    }
    String::from_utf16(&units).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str) -> Vec<(String, String, u32)> {
        let mut notes = Notes::default();
        let entries = read(text, 0, &mut notes);
        assert_eq!(notes.errors(), 0);
        entries
            .into_iter()
            .map(|(key, entry)| (key.to_string(), entry.value.value, entry.value.at.line))
            .collect()
    }

    #[test]
    fn the_separators_and_escapes_of_java_are_read() {
        let pair = |key: &str, value: &str, line| (key.to_owned(), value.to_owned(), line);
        assert_eq!(
            pairs(
                "# no\n ! no\nhost = a b \nport:80\r\nname x\na\\ b\\=c=\\u00e9\\ud83d\\ude00\\n\nlong = 1,\\\n   2,\\\n 3\nempty=\nalone\nend=x\\\\"
            ),
            [
                pair("host", "a b ", 3),
                pair("port", "80", 4),
                pair("name", "x", 5),
                pair("a b=c", "é😀\n", 6),
                pair("long", "1,2,3", 7),
                pair("empty", "", 10),
                pair("alone", "", 11),
                pair("end", "x\\", 12),
            ]
        );
    }

    #[test]
    fn of_two_values_the_last_holds_and_a_broken_escape_is_refused() {
        let mut notes = Notes::default();
        let entries = read("a=1\na=2\nb=\\u12", 3, &mut notes);
        assert_eq!(entries.len(), 1);
        assert_eq!(entries[0].1.value.value, "2");
        let found = notes.finish(&["", "", "", "p"]);
        let found: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(
            found,
            [
                "p:2:1: warning: the property `a` is defined twice; the last value applies; keep one of the two",
                "p:3:1: error: expected four hexadecimal digits after `\\u`; write `\\u00e9`, or the character itself",
            ]
        );
    }
}
