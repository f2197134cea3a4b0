//! Literals: numbers, texts, dates, regular expressions.

use super::cursor::{Cursor, Parsed};
use super::tree::{Node, Piece};
use super::{parse, path};
use crate::value::Value;
use crate::value::iso;
use crate::value::number::Number;
use crate::value::regex::Pattern;

/// Parses a number: `12`, `1.5`, `2e3`.
pub(super) fn number(cursor: &mut Cursor<'_>) -> Parsed<Node> {
    let start = cursor.at;
    let rest = cursor.rest();
    let digits = |from: usize| {
        let tail = &rest[from..];
        from + tail
            .find(|char: char| !char.is_ascii_digit())
            .unwrap_or(tail.len())
    };
    let mut end = digits(0);
    if rest[end..].starts_with('.') && digits(end + 1) > end + 1 {
        end = digits(end + 1);
    }
    if rest[end..].starts_with(['e', 'E']) {
        let sign = usize::from(rest[end + 1..].starts_with(['+', '-']));
        let after = digits(end + 1 + sign);
        if after > end + 1 + sign {
            end = after;
        }
    }
    cursor.at += end;
    if cursor.word().is_some() {
        return Err(cursor.unexpected("an operator"));
    }
    match Number::parse(&rest[..end]) {
        Some(number) => Ok(Node::Literal(number.into())),
        None => Err(cursor.fault(
            start,
            "the number is too large",
            "write one of at most 1000 digits",
        )),
    }
}

/// Parses a text in any of the three kinds of quotes.
pub(super) fn string(cursor: &mut Cursor<'_>) -> Parsed<Node> {
    let start = cursor.at;
    let Some(quote) = cursor.peek() else {
        return Err(cursor.unexpected("a text in quotes"));
    };
    cursor.at += 1;
    let mut pieces = Vec::new();
    let mut plain = String::new();
    loop {
        let Some(char) = cursor.peek() else {
            return Err(cursor.fault(start, "the text in quotes has no end", "close its quotes"));
        };
        match char {
            _ if char == quote => {
                cursor.at += 1;
                break;
            }
            '\\' => plain.push(escape(cursor)?),
            '$' => match interpolated(cursor)? {
                Some(node) => {
                    if !plain.is_empty() {
                        pieces.push(Piece::Plain(std::mem::take(&mut plain).into()));
                    }
                    pieces.push(Piece::Value(node));
                }
                None => plain.push('$'),
            },
            _ => {
                cursor.at += char.len_utf8();
                plain.push(char);
            }
        }
    }
    if pieces.is_empty() {
        return Ok(Node::Literal(Value::from(plain)));
    }
    if !plain.is_empty() {
        pieces.push(Piece::Plain(plain.into()));
    }
    Ok(Node::Text(pieces))
}

/// Parses `$(…)` or `$name`, or in a function written with `$` also `$` alone; elsewhere `$` is an ordinary character,
/// and is skipped.
fn interpolated(cursor: &mut Cursor<'_>) -> Parsed<Option<Node>> {
    cursor.at += 1;
    if cursor.eat("(") {
        let node = cursor.inner(parse::expression)?;
        cursor.expect(")")?;
        return Ok(Some(node));
    }
    match cursor.word() {
        Some(word) => {
            cursor.at += word.len();
            Ok(Some(path::named(cursor, word)))
        }
        None if cursor.binders > 0 => Ok(dollars(cursor)),
        None => Ok(None),
    }
}

/// Parses the rest of `$`, `$$` or `$$$` in a text; `None` if what follows is neither the end nor another word.
fn dollars(cursor: &mut Cursor<'_>) -> Option<Node> {
    let more = cursor.rest().chars().take_while(|char| *char == '$');
    let more = u8::try_from(more.count()).ok().filter(|more| *more < 3)?;
    let after = &cursor.rest()[usize::from(more)..];
    if after.starts_with(|char: char| char.is_alphanumeric() || char == '(') {
        return None;
    }
    cursor.at += usize::from(more);
    cursor.dollars += 1;
    Some(Node::Implicit(more + 1))
}

fn escape(cursor: &mut Cursor<'_>) -> Parsed<char> {
    let start = cursor.at;
    cursor.at += 1;
    let char = match cursor.peek() {
        Some('n') => '\n',
        Some('t') => '\t',
        Some('r') => '\r',
        Some('b') => '\u{8}',
        Some('f') => '\u{c}',
        Some('0') => '\0',
        Some(char @ ('\\' | '/' | '"' | '\'' | '`' | '$')) => char,
        Some('u') => {
            cursor.at += 1;
            let mut code = unit(cursor)?;
            if (0xd800..0xdc00).contains(&code) {
                // The second half of a pair; without one the first half is no character.
                let low = if cursor.eat("\\u") { unit(cursor)? } else { 0 };
                if (0xdc00..0xe000).contains(&low) {
                    code = 0x1_0000 + ((code - 0xd800) << 10) + (low - 0xdc00);
                }
            }
            let what = "this is not a character";
            return char::from_u32(code)
                .ok_or_else(|| cursor.fault(start, what, "write the character itself"));
        }
        // A backslash before another character is one itself: `"get:\orders"`, `"\w+"`.
        _ => return Ok('\\'),
    };
    // All characters of simple escapes are ASCII.
    cursor.at += 1;
    Ok(char)
}

fn unit(cursor: &mut Cursor<'_>) -> Parsed<u32> {
    let digits = cursor.rest().get(..4);
    let digits = digits.filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let unit = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
    let unit = unit.ok_or_else(|| cursor.unexpected("four hexadecimal digits"))?;
    cursor.at += 4;
    Ok(unit)
}

/// Parses a date, time, zone or period: `|2026-01-01T00:00:00Z|`.
pub(super) fn date(cursor: &mut Cursor<'_>) -> Parsed<Node> {
    let start = cursor.at;
    let text = &cursor.rest()[1..];
    let closed = text.split_once('|').map(|(text, _)| text);
    let Some(text) = closed.filter(|text| !text.contains('\n')) else {
        return Err(cursor.fault(start, "the date has no end", "close it with `|`"));
    };
    let Some(value) = iso::any(text.trim()) else {
        return Err(cursor.fault(
            start,
            &format!("`{text}` is not a date, time, zone or period"),
            "write it by ISO 8601: |2026-01-31T10:00:00Z|, |2026-01-31|, |10:00:00|, |+01:00|, |PT5M|",
        ));
    };
    cursor.at += text.len() + 2;
    Ok(Node::Literal(value))
}

/// Parses a regular expression: `/a+b/`, with `\/` for a slash.
pub(super) fn regex(cursor: &mut Cursor<'_>) -> Parsed<Node> {
    let start = cursor.at;
    cursor.at += 1;
    let mut text = String::new();
    loop {
        match cursor.peek() {
            None | Some('\n') => {
                let what = "the regular expression has no end";
                let mend = "close it with `/`";
                return Err(cursor.fault(start, what, mend));
            }
            Some('/') => {
                cursor.at += 1;
                break;
            }
            Some('\\') => {
                cursor.at += 1;
                if !cursor.starts("/") {
                    text.push('\\');
                }
                if let Some(char) = cursor.peek() {
                    text.push(char);
                    cursor.at += char.len_utf8();
                }
            }
            Some(char) => {
                text.push(char);
                cursor.at += char.len_utf8();
            }
        }
    }
    match Pattern::new(&text) {
        Ok(pattern) => Ok(Node::Literal(Value::Regex(pattern))),
        Err(what) => Err(cursor.fault(
            start,
            &format!("the regular expression cannot be used: {what}"),
            "write it without looking around and back references",
        )),
    }
}
