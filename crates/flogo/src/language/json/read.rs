//! Parses JSON text to values.
//!
//! Numbers may be kept as text, a lone surrogate becomes U+FFFD, and the last of equal names wins. Unlike Go, which
//! nests 10,000 deep, parsing stops at [`DEPTH_MAX`], so that no value can overflow a stack.

use super::{JsonFault, JsonFaultKind, Numbers};
use crate::language::number;
use crate::language::value::{Map, Value};

/// The most nested arrays and objects.
const DEPTH_MAX: usize = 500;

impl Value {
    /// Parses the first JSON value of a text, as a stream's decoder does: the rest of the text is ignored.
    ///
    /// # Errors
    /// In Go's words: `EOF` for a blank text, `unexpected EOF` for one that ends too early, otherwise `invalid
    /// character …`.
    pub fn from_json_text(text: &str, numbers: Numbers) -> Result<Value, JsonFault> {
        let mut reader = Reader::new(text, numbers);
        match reader.value(0) {
            // A stream's decoder reaches the end before it can look at a missing byte.
            Err(_) if reader.ended => {
                reader.at = text.len();
                Err(match text.bytes().all(is_space) {
                    true => reader.fault("EOF", JsonFaultKind::Empty),
                    false => reader.fault("unexpected EOF", JsonFaultKind::Truncated),
                })
            }
            read => read,
        }
    }

    /// Parses a whole text as one JSON value; numbers are floats.
    pub(crate) fn from_whole_json(text: &str) -> Result<Value, JsonFault> {
        let mut reader = Reader::new(text, Numbers::Float);
        let value = reader.value(0)?;
        reader.skip_space();
        match reader.peek() {
            None => Ok(value),
            Some(byte) => Err(reader.unexpected(byte, "after top-level value")),
        }
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    numbers: Numbers,
    /// True if the end came where a byte was required.
    ended: bool,
}

impl<'a> Reader<'a> {
    fn new(text: &'a str, numbers: Numbers) -> Reader<'a> {
        Reader {
            text,
            at: 0,
            numbers,
            ended: false,
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while self.peek().is_some_and(is_space) {
            self.at += 1;
        }
    }

    /// The next byte that is not a blank.
    fn token(&mut self) -> Result<u8, JsonFault> {
        self.skip_space();
        self.peek().ok_or_else(|| self.end())
    }

    fn fault(&self, message: impl Into<String>, kind: JsonFaultKind) -> JsonFault {
        JsonFault {
            message: message.into(),
            offset: self.at as u64,
            kind,
        }
    }

    fn end(&mut self) -> JsonFault {
        self.ended = true;
        self.fault("unexpected end of JSON input", JsonFaultKind::Truncated)
    }

    /// The error about the current byte.
    fn unexpected(&mut self, byte: u8, place: &str) -> JsonFault {
        self.at += 1;
        let message = format!("invalid character {} {place}", quoted(byte));
        self.fault(message, JsonFaultKind::Syntax)
    }

    /// The error inside a literal, a number or an escape: Go feeds its state machine a blank to find out whether the
    /// text may end there.
    fn unfinished(&mut self, place: &str) -> JsonFault {
        match self.peek() {
            Some(byte) => self.unexpected(byte, place),
            None => {
                self.ended = true;
                let message = format!("invalid character ' ' {place}");
                self.fault(message, JsonFaultKind::Syntax)
            }
        }
    }

    fn value(&mut self, depth: usize) -> Result<Value, JsonFault> {
        match self.token()? {
            byte @ (b'{' | b'[') if depth == DEPTH_MAX => {
                Err(self.unexpected(byte, "exceeded max depth"))
            }
            b'{' => self.object(depth + 1),
            b'[' => self.array(depth + 1),
            b'"' => self.string().map(Value::from),
            b'-' | b'0'..=b'9' => self.number(),
            b't' => self.word("true", Value::Bool(true)),
            b'f' => self.word("false", Value::Bool(false)),
            b'n' => self.word("null", Value::Null),
            byte => Err(self.unexpected(byte, "looking for beginning of value")),
        }
    }

    fn object(&mut self, depth: usize) -> Result<Value, JsonFault> {
        let mut members = Map::new();
        self.at += 1;
        if self.token()? == b'}' {
            self.at += 1;
            return Ok(members.into());
        }
        loop {
            let byte = self.token()?;
            if byte != b'"' {
                return Err(self.unexpected(byte, "looking for beginning of object key string"));
            }
            let name = self.string()?;
            match self.token()? {
                b':' => self.at += 1,
                byte => return Err(self.unexpected(byte, "after object key")),
            }
            let member = self.value(depth)?;
            members.insert(name.into(), member);
            if self.ends(b'}', "after object key:value pair")? {
                return Ok(members.into());
            }
        }
    }

    /// Skips a comma, or the closing bracket: then true.
    fn ends(&mut self, close: u8, place: &str) -> Result<bool, JsonFault> {
        let byte = self.token()?;
        if byte != b',' && byte != close {
            return Err(self.unexpected(byte, place));
        }
        self.at += 1;
        Ok(byte == close)
    }

    fn array(&mut self, depth: usize) -> Result<Value, JsonFault> {
        let mut items = Vec::new();
        self.at += 1;
        if self.token()? == b']' {
            self.at += 1;
            return Ok(items.into());
        }
        loop {
            items.push(self.value(depth)?);
            if self.ends(b']', "after array element")? {
                return Ok(items.into());
            }
        }
    }

    fn word(&mut self, word: &str, value: Value) -> Result<Value, JsonFault> {
        for expected in word.bytes() {
            if self.peek() != Some(expected) {
                let expected = char::from(expected);
                return Err(self.unfinished(&format!("in literal {word} (expecting '{expected}')")));
            }
            self.at += 1;
        }
        Ok(value)
    }

    fn number(&mut self) -> Result<Value, JsonFault> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek() {
            Some(b'0') => self.at += 1,
            _ => self.digits("in numeric literal")?,
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits("after decimal point in numeric literal")?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits("in exponent of numeric literal")?;
        }
        let text = &self.text[start..self.at];
        match self.numbers {
            Numbers::Text => Ok(Value::Num(text.into())),
            Numbers::Float => number::read_float(text).map(Value::Float).map_err(|_| {
                let message =
                    format!("json: cannot unmarshal number {text} into Go value of type float64");
                self.fault(message, JsonFaultKind::Range)
            }),
        }
    }

    /// Skips digits, of which there must be one.
    fn digits(&mut self, place: &str) -> Result<(), JsonFault> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        match self.at == start {
            true => Err(self.unfinished(place)),
            false => Ok(()),
        }
    }

    /// Reads a string, at its opening quote.
    fn string(&mut self) -> Result<String, JsonFault> {
        let mut string = String::new();
        self.at += 1;
        loop {
            let start = self.at;
            let ends = |byte: u8| matches!(byte, b'"' | b'\\' | 0..=0x1f);
            while self.peek().is_some_and(|byte| !ends(byte)) {
                self.at += 1;
            }
            string.push_str(&self.text[start..self.at]);
            match self.peek() {
                None => return Err(self.end()),
                Some(b'"') => {
                    self.at += 1;
                    return Ok(string);
                }
                Some(b'\\') => string.push(self.escape()?),
                Some(byte) => return Err(self.unexpected(byte, "in string literal")),
            }
        }
    }

    fn escape(&mut self) -> Result<char, JsonFault> {
        self.at += 1;
        let escaped = match self.peek() {
            Some(byte @ (b'"' | b'\\' | b'/')) => char::from(byte),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode(),
            _ => return Err(self.unfinished("in string escape code")),
        };
        self.at += 1;
        Ok(escaped)
    }

    /// Reads `uXXXX`, with its other half if it is the first of a surrogate pair.
    fn unicode(&mut self) -> Result<char, JsonFault> {
        self.at += 1;
        let unit = self.unit()?;
        if let Some(char) = char::from_u32(unit) {
            return Ok(char);
        }
        let after = self.at;
        if (0xd800..0xdc00).contains(&unit) && self.text[self.at..].starts_with("\\u") {
            self.at += 2;
            let low = self.unit()?;
            if (0xdc00..0xe000).contains(&low) {
                let code = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
                return Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            self.at = after;
        }
        Ok(char::REPLACEMENT_CHARACTER)
    }

    fn unit(&mut self) -> Result<u32, JsonFault> {
        let mut unit = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|byte| char::from(byte).to_digit(16));
            let digit =
                digit.ok_or_else(|| self.unfinished("in \\u hexadecimal character escape"))?;
            unit = unit * 16 + digit;
            self.at += 1;
        }
        Ok(unit)
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// A byte in Go's error messages: as a character, in single quotes.
fn quoted(byte: u8) -> String {
    match byte {
        b'\'' => r"'\''".to_owned(),
        b'"' => "'\"'".to_owned(),
        b'\\' => r"'\\'".to_owned(),
        b'\n' => r"'\n'".to_owned(),
        b'\r' => r"'\r'".to_owned(),
        b'\t' => r"'\t'".to_owned(),
        0..=0x1f | 0x7f => format!("'\\x{byte:02x}'"),
        0x80..=0xa0 | 0xad => format!("'\\u{byte:04x}'"),
        _ => format!("'{}'", char::from(byte)),
    }
}
