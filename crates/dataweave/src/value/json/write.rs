//! Writes values as JSON.

use crate::fault::EvalFault;
use crate::value::{Array, Object, Value, media, text};

/// The layout of a JSON text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Layout {
    /// True for one value per line, indented by two spaces for each level. Default true.
    pub indent: bool,
    /// The nulls to skip. Default: none of them.
    pub skip_null: SkipNull,
}

/// The places where nulls are skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SkipNull {
    Nowhere,
    Objects,
    Arrays,
    Everywhere,
}

impl Layout {
    /// The layout without line breaks and spaces.
    pub const ON_ONE_LINE: Layout = Layout {
        indent: false,
        skip_null: SkipNull::Nowhere,
    };
}

impl Default for Layout {
    fn default() -> Layout {
        Layout {
            indent: true,
            skip_null: SkipNull::Nowhere,
        }
    }
}

/// Writes a value as JSON; dates and the like become strings.
///
/// # Errors
/// If the value contains a function or binary data that is not UTF-8, or if the text is too long.
pub(crate) fn write(value: &Value, layout: Layout) -> Result<String, EvalFault> {
    let mut writer = Writer {
        text: String::new(),
        layout,
    };
    writer.value(value, 0)?;
    Ok(writer.text)
}

struct Writer {
    text: String,
    layout: Layout,
}

impl Writer {
    fn value(&mut self, value: &Value, depth: usize) -> Result<(), EvalFault> {
        text::check_text(self.text.len())?;
        match value {
            Value::Null => self.text.push_str("null"),
            Value::Bool(bool) => self.text.push_str(if *bool { "true" } else { "false" }),
            Value::Number(number) => self.text.push_str(&number.to_string()),
            Value::String(text) => self.string(text),
            Value::Binary(bytes) => self.string(&media::utf8(bytes)?),
            Value::Array(array) => self.array(array, depth)?,
            Value::Object(object) => match object.message_payload() {
                Some(payload) => self.value(payload, depth)?,
                None => self.object(object, depth)?,
            },
            Value::Function(_) => {
                return Err(EvalFault::new("a function cannot be written as JSON"));
            }
            Value::DateTime(_)
            | Value::LocalDateTime(_)
            | Value::Date(_)
            | Value::Time(..)
            | Value::LocalTime(_)
            | Value::Zone(_)
            | Value::Period(_)
            | Value::Regex(_)
            | Value::Type(_) => self.string(&text::text(value)?),
        }
        Ok(())
    }

    fn array(&mut self, array: &Array, depth: usize) -> Result<(), EvalFault> {
        use SkipNull::{Arrays, Everywhere};
        let skip = matches!(self.layout.skip_null, Arrays | Everywhere);
        let mut first = true;
        self.text.push('[');
        for item in array.items() {
            if !(skip && item.is_null()) {
                self.begin(&mut first, depth + 1);
                self.value(item, depth + 1)?;
            }
        }
        self.end(first, depth);
        self.text.push(']');
        Ok(())
    }

    fn object(&mut self, object: &Object, depth: usize) -> Result<(), EvalFault> {
        use SkipNull::{Everywhere, Objects};
        let skip = matches!(self.layout.skip_null, Objects | Everywhere);
        let mut first = true;
        self.text.push('{');
        for (key, value) in object.entries() {
            if !(skip && value.is_null()) {
                self.begin(&mut first, depth + 1);
                self.string(key);
                self.text
                    .push_str(if self.layout.indent { ": " } else { ":" });
                self.value(value, depth + 1)?;
            }
        }
        self.end(first, depth);
        self.text.push('}');
        Ok(())
    }

    fn begin(&mut self, first: &mut bool, depth: usize) {
        if !std::mem::replace(first, false) {
            self.text.push(',');
        }
        self.line(depth);
    }

    fn end(&mut self, empty: bool, depth: usize) {
        if !empty {
            self.line(depth);
        }
    }

    fn line(&mut self, depth: usize) {
        if self.layout.indent {
            self.text.push('\n');
            self.text.extend(std::iter::repeat_n("  ", depth));
        }
    }

    fn string(&mut self, text: &str) {
        self.text.push('"');
        for char in text.chars() {
            match char {
                '"' => self.text.push_str("\\\""),
                '\\' => self.text.push_str("\\\\"),
                '\n' => self.text.push_str("\\n"),
                '\r' => self.text.push_str("\\r"),
                '\t' => self.text.push_str("\\t"),
                '\u{8}' => self.text.push_str("\\b"),
                '\u{c}' => self.text.push_str("\\f"),
                '\0'..='\u{1f}' => self.text.push_str(&format!("\\u{:04x}", u32::from(char))),
                _ => self.text.push(char),
            }
        }
        self.text.push('"');
    }
}
