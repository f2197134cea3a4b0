//! The package `utils`: base64, and unique names.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Function, Type, of, text};
use crate::language::expression::{Context, EvalError};
use crate::language::value::Value;

pub(crate) const FUNCTIONS: &[Function] = &[
    of("decodeBase64", &[Type::Text], |args, _| {
        Ok(Value::Bytes(decode(text(&args[0]).as_bytes())?.into()))
    }),
    of("encodeBase64", &[Type::Bytes], encode),
    of("uuid", &[], uuid),
];

/// Decodes base64; line breaks are ignored.
pub(crate) fn decode(encoded: &[u8]) -> Result<Vec<u8>, EvalError> {
    let mut encoded = encoded.to_vec();
    encoded.retain(|byte| !matches!(byte, b'\r' | b'\n'));
    STANDARD
        .decode(encoded)
        .map_err(|error| EvalError::new(format!("illegal base64 data: {error}")))
}

/// Encodes bytes in base64, as bytes.
fn encode(args: &[Value], _: &mut Context<'_>) -> Result<Value, EvalError> {
    let encoded = match &args[0] {
        Value::Bytes(bytes) => STANDARD.encode(bytes),
        _ => String::new(),
    };
    Ok(Value::Bytes(encoded.into()))
}

/// A random identifier of [RFC 9562](https://www.rfc-editor.org/rfc/rfc9562), version 4.
fn uuid(_: &[Value], context: &mut Context<'_>) -> Result<Value, EvalError> {
    let high = context.draw() & !0xf000 | 0x4000;
    let low = context.draw() & !(0b11 << 62) | 0b10 << 62;
    Ok(format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        high >> 32,
        high >> 16 & 0xffff,
        high & 0xffff,
        low >> 48,
        low & 0xffff_ffff_ffff
    )
    .into())
}
