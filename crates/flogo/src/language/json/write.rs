//! Writes values as JSON text.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{JsonFault, JsonFaultKind};
use crate::language::fault::FaultKind;
use crate::language::number;
use crate::language::value::Value;

/// The most bytes of a value's text, approximately: twice the largest body that is accepted, since a value can contain
/// one part many times.
const BYTES_MAX: usize = 64 << 20;

impl Value {
    /// Writes the value as JSON text: names sorted, `<`, `>` and `&` escaped, floats in their shortest form, number
    /// texts unchanged, bytes in base64, errors as their Go struct.
    ///
    /// # Errors
    /// Fails if a float is infinite or not a number, which JSON cannot express, or if the text would exceed 64 MiB.
    pub fn to_json_text(&self) -> Result<String, JsonFault> {
        let mut text = String::new();
        write_value(self, &mut text)?;
        Ok(text)
    }
}

fn write_value(value: &Value, text: &mut String) -> Result<(), JsonFault> {
    if text.len() > BYTES_MAX {
        return Err(JsonFault {
            message: format!("the value's JSON is longer than {BYTES_MAX} bytes"),
            offset: text.len() as u64,
            kind: JsonFaultKind::TooLong,
        });
    }
    match value {
        Value::Null | Value::Nil(_) => text.push_str("null"),
        Value::Bool(bool) => text.push_str(if *bool { "true" } else { "false" }),
        Value::Int(int) | Value::Long(int) => push(text, format_args!("{int}")),
        Value::Float(float) => match number::for_json(*float) {
            Some(float) => text.push_str(&float),
            None => {
                return Err(JsonFault {
                    message: format!("json: unsupported value: {}", number::plain(*float)),
                    offset: 0,
                    kind: JsonFaultKind::Range,
                });
            }
        },
        Value::Num(number) => text.push_str(number),
        Value::Str(string) => write_string(string, text),
        Value::Bytes(bytes) => {
            text.push('"');
            STANDARD.encode_string(bytes, text);
            text.push('"');
        }
        Value::Array(items) => {
            text.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    text.push(',');
                }
                write_value(item, text)?;
            }
            text.push(']');
        }
        Value::Object(members) => write_members(members, text, write_value)?,
        Value::Params(members) => write_members(members, text, |member, text| {
            write_string(member, text);
            Ok(())
        })?,
        Value::Struct(of) => write_fields(&of.fields, text)?,
        Value::Error(fault) => match &fault.kind {
            FaultKind::System { number } => push(text, format_args!("{number}")),
            _ => write_fields(&fault.fields(), text)?,
        },
    }
    Ok(())
}

fn write_fields(fields: &[(&str, Value)], text: &mut String) -> Result<(), JsonFault> {
    text.push('{');
    for (at, (name, value)) in fields.iter().enumerate() {
        if at > 0 {
            text.push(',');
        }
        write_string(name, text);
        text.push(':');
        write_value(value, text)?;
    }
    text.push('}');
    Ok(())
}

fn write_members<M>(
    members: &BTreeMap<Arc<str>, M>,
    text: &mut String,
    write: impl Fn(&M, &mut String) -> Result<(), JsonFault>,
) -> Result<(), JsonFault> {
    text.push('{');
    for (at, (name, member)) in members.iter().enumerate() {
        if at > 0 {
            text.push(',');
        }
        write_string(name, text);
        text.push(':');
        write(member, text)?;
    }
    text.push('}');
    Ok(())
}

fn write_string(string: &str, text: &mut String) {
    text.push('"');
    for char in string.chars() {
        match char {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            '\u{8}' => text.push_str("\\b"),
            '\u{c}' => text.push_str("\\f"),
            '\0'..='\u{1f}' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                push(text, format_args!("\\u{:04x}", u32::from(char)));
            }
            _ => text.push(char),
        }
    }
    text.push('"');
}

fn push(text: &mut String, part: std::fmt::Arguments<'_>) {
    text.write_fmt(part).expect("a String takes any text");
}
