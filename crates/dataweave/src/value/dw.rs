//! DataWeave's own form of values, `application/dw`: what a script would write for them.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::json::Layout;
use super::text;
use super::{Object, Value};
use crate::fault::EvalFault;

/// Writes a value as a script that has it.
///
/// # Errors
/// If the value contains a function, or if the text is too long.
pub(crate) fn write(value: &Value, layout: Layout) -> Result<String, EvalFault> {
    let mut writer = Writer {
        text: String::new(),
        indent: layout.indent,
    };
    writer.value(value, 0)?;
    Ok(writer.text)
}

struct Writer {
    text: String,
    indent: bool,
}

impl Writer {
    fn value(&mut self, value: &Value, depth: usize) -> Result<(), EvalFault> {
        text::check_text(self.text.len())?;
        match value.plain() {
            Value::Null => self.text.push_str("null"),
            Value::String(text) => self.string(text),
            Value::Bool(_) | Value::Number(_) | Value::Type(_) => {
                self.text.push_str(&text::text(value)?);
            }
            Value::Binary(bytes) => {
                let text = BASE64_STANDARD.encode(&**bytes);
                self.text
                    .push_str(&format!("\"{text}\" as Binary {{base: \"64\"}}"));
            }
            Value::Regex(pattern) => {
                let source = pattern.source().replace('/', "\\/");
                self.text.push_str(&format!("/{source}/"));
            }
            Value::Array(array) if array.items().is_empty() => self.text.push_str("[]"),
            Value::Array(array) => {
                self.text.push('[');
                for (at, item) in array.items().iter().enumerate() {
                    self.line(at, depth + 1);
                    self.value(item, depth + 1)?;
                }
                self.end(depth, ']');
            }
            Value::Object(object) => match object.message_payload() {
                Some(payload) => self.value(payload, depth)?,
                None => self.object(object, depth)?,
            },
            Value::Selected(_) | Value::Function(_) => {
                return Err(EvalFault::new("a function cannot be written as a value"));
            }
            Value::DateTime(_)
            | Value::LocalDateTime(_)
            | Value::Date(_)
            | Value::Time(..)
            | Value::LocalTime(_)
            | Value::Zone(_)
            | Value::Period(_) => {
                let text = text::text(value)?;
                self.text.push_str(&format!("|{text}|"));
            }
        }
        Ok(())
    }

    fn object(&mut self, object: &Object, depth: usize) -> Result<(), EvalFault> {
        if object.entries().is_empty() {
            self.text.push_str("{}");
            return Ok(());
        }
        self.text.push('{');
        for (at, (key, value)) in object.entries().iter().enumerate() {
            self.line(at, depth + 1);
            self.key(key);
            self.text.push_str(": ");
            self.value(value, depth + 1)?;
        }
        self.end(depth, '}');
        Ok(())
    }

    /// Writes a key, in quotes unless it is a name.
    fn key(&mut self, key: &str) {
        let starts = key.starts_with(|char: char| char.is_ascii_alphabetic() || char == '_');
        let goes_on = |char: char| char.is_ascii_alphanumeric() || char == '_';
        match starts && key.chars().all(goes_on) {
            true => self.text.push_str(key),
            false => self.string(key),
        }
    }

    /// Begins the line of a part.
    fn line(&mut self, at: usize, depth: usize) {
        if at > 0 {
            self.text.push(',');
        }
        match self.indent {
            true => {
                self.text.push('\n');
                self.text.extend(std::iter::repeat_n("  ", depth));
            }
            false if at > 0 => self.text.push(' '),
            false => {}
        }
    }

    fn end(&mut self, depth: usize, bracket: char) {
        if self.indent {
            self.text.push('\n');
            self.text.extend(std::iter::repeat_n("  ", depth));
        }
        self.text.push(bracket);
    }

    fn string(&mut self, text: &str) {
        self.text.push('"');
        for char in text.chars() {
            match char {
                '"' | '\\' | '$' => self.text.extend(['\\', char]),
                '\n' => self.text.push_str("\\n"),
                '\r' => self.text.push_str("\\r"),
                '\t' => self.text.push_str("\\t"),
                '\0'..='\u{1f}' => self.text.push_str(&format!("\\u{:04x}", u32::from(char))),
                _ => self.text.push(char),
            }
        }
        self.text.push('"');
    }
}
