//! The module `dw::core::Binaries`.
//! ([Binaries](https://docs.mulesoft.com/dataweave/latest/dw-binaries))

use bytes::Bytes;

use super::{Builtin, misfit, of_array, of_text, plain};
use crate::script::EvalFault;
use crate::script::coerce::{self, Coerced};
use crate::script::run::Run;
use crate::value::Value;

pub(super) const FUNCTIONS: &[Builtin] = &[
    plain("toBase64", 1, |run, args| in_digits(run, &args[0], 64)),
    plain("toHex", 1, |run, args| in_digits(run, &args[0], 16)),
    of_text("fromBase64", 1, |run, text, _| {
        run.text(text.len())?;
        coerce::of_digits(text, &64.into())
    }),
    of_text("fromHex", 1, |run, text, _| {
        run.text(text.len())?;
        coerce::of_digits(text, &16.into())
    }),
    plain("concatWith", 2, |run, args| match (&args[0], &args[1]) {
        (Value::Null, other) | (other, Value::Null) => Ok(other.clone()),
        (a, b) => {
            let (a, b) = (bytes(run, "concatWith", a)?, bytes(run, "concatWith", b)?);
            run.text(a.len() + b.len())?;
            Ok(Value::bytes([&a[..], &b[..]].concat()))
        }
    }),
    plain("readLinesWith", 2, |run, args| {
        if args[0].is_null() {
            return Ok(Value::Null);
        }
        charset(&args[1])?;
        let bytes = bytes(run, "readLinesWith", &args[0])?;
        let text = crate::value::media::utf8(&bytes)?;
        let lines: Vec<Value> = text.lines().map(Value::from).collect();
        run.step(lines.len())?;
        run.array(lines)
    }),
    of_array("writeLinesWith", 2, |run, lines, args| {
        charset(&args[0])?;
        let mut text = String::new();
        for line in lines {
            let line = coerce::text(line)?;
            run.text(text.len() + line.len() + 1)?;
            text.push_str(&line);
            text.push('\n');
        }
        Ok(Value::bytes(text.into_bytes()))
    }),
];

/// The bytes of a binary value, or of what has a text.
pub(super) fn bytes(run: &mut Run<'_>, name: &str, value: &Value) -> Coerced<Bytes> {
    let bytes = match value {
        Value::Binary(bytes) => Bytes::clone(bytes),
        Value::Null | Value::Array(_) | Value::Object(_) => {
            return Err(misfit(name, "binary data or a text", value));
        }
        other => Bytes::copy_from_slice(coerce::text(other)?.as_bytes()),
    };
    run.read(bytes.len())?;
    Ok(bytes)
}

fn in_digits(run: &mut Run<'_>, value: &Value, base: i64) -> Coerced<Value> {
    if value.is_null() {
        return Ok(Value::Null);
    }
    let bytes = bytes(run, "toBase64", value)?;
    run.text(bytes.len().saturating_mul(2))?;
    Ok(coerce::in_digits(&bytes, &base.into())?.into())
}

/// Checks that a charset is one whose texts are UTF-8.
fn charset(value: &Value) -> Coerced<()> {
    let name = coerce::text(value)?;
    match name.to_ascii_lowercase().as_str() {
        "utf-8" | "utf8" | "us-ascii" | "ascii" => Ok(()),
        _ => Err(EvalFault::new(format!(
            "the charset {name:?} is not supported: use \"UTF-8\""
        ))),
    }
}
