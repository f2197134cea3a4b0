//! Writes values as JSON.

use super::arrange::arranged;
use crate::fault::EvalFault;
use crate::value::{Array, Object, Value, csv, text, xml};

/// The layout of a text of any format, by the options of an `output` directive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Layout {
    /// True for one value per line, indented by two spaces for each level. Default true.
    pub indent: bool,
    /// The nulls to skip. Default: none of them.
    pub skip_null: SkipNull,
    /// True if JSON has the attributes of keys. Default false.
    pub attributes: bool,
    /// True if JSON has the values of equal keys in a list. Default false.
    pub lists: bool,
    /// The way to write XML.
    pub xml: xml::Style,
    /// The way to write CSV.
    pub csv: csv::Style,
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
        attributes: false,
        lists: false,
        xml: xml::Style::PLAIN,
        csv: csv::Style::PLAIN,
    };
}

impl Default for Layout {
    fn default() -> Layout {
        Layout {
            indent: true,
            ..Layout::ON_ONE_LINE
        }
    }
}

/// Writes a value as JSON; dates and the like become strings, and bytes that are not UTF-8 become `\u{fffd}`.
///
/// # Errors
/// If the value contains a function, or if the text is too long.
pub(crate) fn write(value: &Value, layout: Layout) -> Result<String, EvalFault> {
    let mut writer = Writer {
        text: String::new(),
        layout,
    };
    match layout.attributes || layout.lists {
        true => writer.value(&arranged(value, layout), 0)?,
        false => writer.value(value, 0)?,
    }
    Ok(writer.text)
}

struct Writer {
    text: String,
    layout: Layout,
}

impl Writer {
    fn value(&mut self, value: &Value, depth: usize) -> Result<(), EvalFault> {
        text::check_text(self.text.len())?;
        match value.plain() {
            Value::Null => self.text.push_str("null"),
            Value::Bool(bool) => self.text.push_str(if *bool { "true" } else { "false" }),
            Value::Number(number) => self.text.push_str(&number.to_string()),
            Value::String(text) => self.string(text),
            Value::Binary(bytes) => self.string(&String::from_utf8_lossy(bytes)),
            Value::Array(array) => self.array(array, depth)?,
            Value::Object(object) => match object.message_payload() {
                Some(payload) => self.value(payload, depth)?,
                None => self.object(object, depth)?,
            },
            Value::Selected(_) | Value::Function(_) => {
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
        let skip = self.layout.skip_null;
        let skip = matches!(skip, SkipNull::Arrays | SkipNull::Everywhere);
        let items = array.items().iter().map(|item| (None, item));
        self.parts(['[', ']'], items, skip, depth)
    }

    fn object(&mut self, object: &Object, depth: usize) -> Result<(), EvalFault> {
        let skip = self.layout.skip_null;
        let skip = matches!(skip, SkipNull::Objects | SkipNull::Everywhere);
        let entries = object.entries().iter();
        let entries = entries.map(|(key, value)| (Some(&**key), value));
        self.parts(['{', '}'], entries, skip, depth)
    }

    /// Writes the parts of an array, or of an object with their keys, between brackets.
    fn parts<'v>(
        &mut self,
        brackets: [char; 2],
        parts: impl Iterator<Item = (Option<&'v str>, &'v Value)>,
        skips_null: bool,
        depth: usize,
    ) -> Result<(), EvalFault> {
        let mut first = true;
        self.text.push(brackets[0]);
        for (key, value) in parts.filter(|(_, value)| !(skips_null && value.is_null())) {
            if !std::mem::replace(&mut first, false) {
                self.text.push(',');
            }
            self.line(depth + 1);
            if let Some(key) = key {
                self.string(key);
                let colon = if self.layout.indent { ": " } else { ":" };
                self.text.push_str(colon);
            }
            self.value(value, depth + 1)?;
        }
        if !first {
            self.line(depth);
        }
        self.text.push(brackets[1]);
        Ok(())
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
