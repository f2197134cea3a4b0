//! `application/x-www-form-urlencoded`, by the [URL standard](https://url.spec.whatwg.org/#application/x-www-form-urlencoded).

use std::sync::Arc;

use crate::fault::EvalFault;
use crate::value::{Object, Value};

/// Reads the pairs of a form, each value as a text; a key may occur several times.
pub(crate) fn read(text: &str) -> Value {
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    let entries = pairs.map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (Arc::from(decode(key)), Value::from(decode(value)))
    });
    Value::object(entries.collect())
}

/// Writes the pairs of an object as a form.
///
/// # Errors
/// If a value has no text.
pub(crate) fn write(object: &Object) -> Result<String, EvalFault> {
    let mut text = String::new();
    for (key, value) in object.entries() {
        if !text.is_empty() {
            text.push('&');
        }
        encode(key, &mut text);
        text.push('=');
        encode(&super::text::text(value)?, &mut text);
    }
    Ok(text)
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        let escaped = match (first, after) {
            (b'%', [high, low, ..]) => hex(*high).zip(hex(*low)),
            _ => None,
        };
        match (escaped, first) {
            (Some((high, low)), _) => {
                bytes.push(high * 16 + low);
                rest = &after[2..];
            }
            (None, b'+') => bytes.push(b' '),
            (None, byte) => bytes.push(*byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn hex(digit: u8) -> Option<u8> {
    let digit = char::from(digit).to_digit(16)?;
    u8::try_from(digit).ok()
}

fn encode(text: &str, into: &mut String) {
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'*' | b'-' | b'.' | b'_' => {
                into.push(char::from(byte));
            }
            b' ' => into.push('+'),
            _ => into.push_str(&format!("%{byte:02X}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_read_and_written_back() {
        let text = "a=1&b=x+y%26z&a=%C3%A9&c=";
        let Value::Object(object) = read(text) else {
            unreachable!("a form is an object");
        };
        assert_eq!(object.get("b"), Some(&"x y&z".into()));
        assert_eq!(write(&object).as_deref(), Ok(text));
        assert_eq!(read("x%zz&"), Value::record([("x%zz", "".into())]));
    }
}
