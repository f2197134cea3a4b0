//! Texts that are a single literal, which has its own rules: no escapes, more numbers.

use super::CompileError;
use crate::language::number;
use crate::language::value::Value;

/// The value of a text that is a single literal, apart from blanks around it.
///
/// # Errors
/// Fails for a single quote character, which opens a text without closing it.
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
                message: format!("unable to compile expression '{text}': no closing {quote}"),
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
