//! Texts that are one literal as a whole, which has rules of its own: no escapes, more numbers.

use super::CompileError;
use crate::language::number;
use crate::language::value::Value;

/// The value of a text that is one literal, blanks around it aside.
///
/// # Errors
/// For a single quote character, which opens a text and closes none.
pub(crate) fn read(text: &str) -> Result<Option<Value>, CompileError> {
    let trimmed = text.trim();
    if let Ok(int) = number::read_int(trimmed) {
        return Ok(Some(Value::Int(int)));
    }
    if let Ok(float) = number::read_float(trimmed) {
        return Ok(Some(Value::Float(float)));
    }
    if let Some(quote @ ('"' | '\'' | '`')) = trimmed.chars().next() {
        let rest = &trimmed[1..];
        if rest.is_empty() {
            return Err(CompileError {
                message: format!(
                    "unable to compile expression '{text}': the text that {quote} opens has no end"
                ),
                at: text.len() - text.trim_start().len(),
            });
        }
        if let Some(inner) = rest.strip_suffix(quote)
            && !inner.contains(quote)
        {
            return Ok(Some(Value::from(inner)));
        }
    }
    if trimmed.eq_ignore_ascii_case("false") {
        return Ok(Some(Value::Bool(false)));
    }
    if trimmed.eq_ignore_ascii_case("true") {
        return Ok(Some(Value::Bool(true)));
    }
    Ok(Value::from_whole_json(trimmed).ok())
}
