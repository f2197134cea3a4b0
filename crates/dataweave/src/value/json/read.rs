//! Reads values from JSON.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;

use crate::fault::{EvalFault, ParseFault};
use crate::limits::{VALUE_DEPTH_MAX, VALUE_MEMORY_MAX};
use crate::value::number::Number;
use crate::value::{Array, Key, Object, Value};

/// Reads a JSON text (RFC 8259); a leading byte order mark is skipped.
///
/// # Errors
/// If the text is not valid JSON, with the position.
pub(crate) fn read(text: &str) -> Result<Value, EvalFault> {
    let mut reader = Reader {
        text: text.strip_prefix('\u{feff}').unwrap_or(text),
        at: 0,
        keys: HashSet::new(),
        memory: 0,
    };
    let value = reader.value(0)?;
    reader.skip_space();
    match reader.peek() {
        None => Ok(value),
        Some(_) => Err(reader.unexpected("the end")),
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    /// The keys so far; equal keys share one text.
    keys: HashSet<Arc<str>>,
    /// The approximate memory of the value so far, in bytes.
    memory: usize,
}

/// The memory of a text, list or object besides its content, in bytes: count, length, rounding of allocations.
const AROUND: usize = 32;

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// The error for a text that is not valid JSON.
    fn fault(&self, at: usize, what: &str) -> EvalFault {
        self.at_place(at, &format!("invalid JSON: {what}"))
    }

    fn at_place(&self, at: usize, what: &str) -> EvalFault {
        let (line, col) = ParseFault::place(self.text, at);
        EvalFault::new(format!("{what}, at line {line}, column {col}"))
    }

    fn unexpected(&self, expected: &str) -> EvalFault {
        let found = match self.text[self.at..].chars().next() {
            Some(char) => format!("{char:?}"),
            None => "the end of the text".to_owned(),
        };
        self.fault(self.at, &format!("expected {expected}, found {found}"))
    }

    /// Adds to the memory of the value.
    fn take(&mut self, bytes: usize) -> Result<(), EvalFault> {
        self.memory += bytes;
        if self.memory <= VALUE_MEMORY_MAX {
            return Ok(());
        }
        let most = VALUE_MEMORY_MAX >> 20;
        Err(EvalFault::new(format!(
            "as a value the JSON needs more than {most} MiB of memory, which is the limit; send it in parts, or pass it on unread"
        )))
    }

    fn eat(&mut self, byte: u8) -> bool {
        let there = self.peek() == Some(byte);
        self.at += usize::from(there);
        there
    }

    fn value(&mut self, depth: u16) -> Result<Value, EvalFault> {
        if depth > VALUE_DEPTH_MAX {
            let what = format!("more than {VALUE_DEPTH_MAX} nested arrays and objects");
            return Err(self.at_place(self.at, &what));
        }
        self.skip_space();
        match self.peek() {
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b'"') => {
                let text = self.string()?;
                self.take(text.len() + AROUND)?;
                Ok(Value::String(text.into()))
            }
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => {
                for (word, value) in [
                    ("null", Value::Null),
                    ("true", Value::Bool(true)),
                    ("false", Value::Bool(false)),
                ] {
                    if self.text[self.at..].starts_with(word) {
                        self.at += word.len();
                        return Ok(value);
                    }
                }
                Err(self.unexpected("a value"))
            }
        }
    }

    /// Reads the parts of an array or object, up to the bracket that closes it.
    fn parts<T>(
        &mut self,
        close: u8,
        mut part: impl FnMut(&mut Self) -> Result<T, EvalFault>,
    ) -> Result<Vec<T>, EvalFault> {
        self.at += 1;
        let mut parts = Vec::new();
        self.skip_space();
        if self.eat(close) {
            return Ok(parts);
        }
        loop {
            parts.push(part(self)?);
            self.take(size_of::<T>())?;
            self.skip_space();
            if self.eat(close) {
                // A vector that grew has spare capacity.
                parts.shrink_to_fit();
                return Ok(parts);
            }
            if !self.eat(b',') {
                let expected = format!("`,` or `{}`", char::from(close));
                return Err(self.unexpected(&expected));
            }
        }
    }

    fn array(&mut self, depth: u16) -> Result<Value, EvalFault> {
        let items = self.parts(b']', |reader| reader.value(depth + 1))?;
        self.take(size_of::<Array>() + AROUND)?;
        Ok(Value::array(items))
    }

    fn object(&mut self, depth: u16) -> Result<Value, EvalFault> {
        let entries = self.parts(b'}', |reader| {
            reader.skip_space();
            if reader.peek() != Some(b'"') {
                return Err(reader.unexpected("a key in quotes"));
            }
            let key = reader.key()?;
            reader.skip_space();
            if !reader.eat(b':') {
                return Err(reader.unexpected("`:`"));
            }
            Ok((Key::from(key), reader.value(depth + 1)?))
        })?;
        self.take(size_of::<Object>() + AROUND)?;
        Ok(Value::keyed(entries))
    }

    fn number(&mut self) -> Result<Value, EvalFault> {
        let start = self.at;
        self.eat(b'-');
        if !self.eat(b'0') {
            self.digits()?;
        }
        if self.eat(b'.') {
            self.digits()?;
        }
        if self.eat(b'e') || self.eat(b'E') {
            let _ = self.eat(b'+') || self.eat(b'-');
            self.digits()?;
        }
        Number::parse(&self.text[start..self.at])
            .map(Value::Number)
            .ok_or_else(|| self.fault(start, "the number has too many digits"))
    }

    fn digits(&mut self) -> Result<(), EvalFault> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at == start {
            return Err(self.unexpected("a digit"));
        }
        Ok(())
    }

    fn key(&mut self) -> Result<Arc<str>, EvalFault> {
        let key = self.string()?;
        if let Some(key) = self.keys.get(&*key) {
            return Ok(key.clone());
        }
        let key: Arc<str> = key.into();
        // The key's text and its place in the set.
        self.take(key.len() + 2 * AROUND)?;
        self.keys.insert(key.clone());
        Ok(key)
    }

    /// Reads a text; it is borrowed if it has no escapes.
    fn string(&mut self) -> Result<Cow<'a, str>, EvalFault> {
        self.at += 1;
        let text = self.text;
        let mut string = Cow::Borrowed("");
        loop {
            let rest = &text[self.at..];
            let Some(end) = rest.find(|char: char| matches!(char, '"' | '\\' | '\0'..='\u{1f}'))
            else {
                self.at = self.text.len();
                return Err(self.unexpected("a closing quote"));
            };
            match string.is_empty() {
                true => string = Cow::Borrowed(&rest[..end]),
                false => string.to_mut().push_str(&rest[..end]),
            }
            self.at += end;
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(string);
                }
                Some(b'\\') => {
                    let char = self.escape()?;
                    string.to_mut().push(char);
                }
                _ => return Err(self.unexpected("a character that is not a control character")),
            }
        }
    }

    fn escape(&mut self) -> Result<char, EvalFault> {
        self.at += 1;
        let plain = match self.peek() {
            Some(byte @ (b'"' | b'\\' | b'/')) => char::from(byte),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                self.at += 1;
                let high = self.unit()?;
                if !(0xd800..0xdc00).contains(&high) || !self.text[self.at..].starts_with("\\u") {
                    // A lone surrogate is not a character.
                    return Ok(char::from_u32(high).unwrap_or(char::REPLACEMENT_CHARACTER));
                }
                let here = self.at;
                self.at += 2;
                let low = self.unit()?;
                let pair = 0x1_0000 + ((high - 0xd800) << 10) + low.wrapping_sub(0xdc00);
                if !(0xdc00..0xe000).contains(&low) {
                    self.at = here;
                    return Ok(char::REPLACEMENT_CHARACTER);
                }
                return Ok(char::from_u32(pair).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            _ => return Err(self.unexpected("an escape such as `\\n`")),
        };
        self.at += 1;
        Ok(plain)
    }

    fn unit(&mut self) -> Result<u32, EvalFault> {
        let digits = self.text.get(self.at..self.at + 4);
        let unit = digits
            .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
            .and_then(|digits| u32::from_str_radix(digits, 16).ok())
            .ok_or_else(|| self.unexpected("four hexadecimal digits"))?;
        self.at += 4;
        Ok(unit)
    }
}
