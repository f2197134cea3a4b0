//! The module `dw::core::Numbers`: whole numbers in digits of another base.
//! ([Numbers](https://docs.mulesoft.com/dataweave/latest/dw-numbers))

use super::{Builtin, misfit, plain};
use crate::script::EvalFault;
use crate::script::coerce::{self, Coerced};
use crate::script::run::Run;
use crate::value::Value;
use crate::value::number::Number;

pub(super) const FUNCTIONS: &[Builtin] = &[
    plain("fromBinary", 1, |run, args| of_digits(run, &args[0], 2)),
    plain("fromHex", 1, |run, args| of_digits(run, &args[0], 16)),
    plain("fromRadixNumber", 2, |run, args| {
        let radix = radix(&args[1])?;
        of_digits(run, &args[0], radix)
    }),
    plain("toBinary", 1, |run, args| in_digits(run, &args[0], 2)),
    plain("toHex", 1, |run, args| in_digits(run, &args[0], 16)),
    plain("toRadixNumber", 2, |run, args| {
        let radix = radix(&args[1])?;
        in_digits(run, &args[0], radix)
    }),
];

fn radix(value: &Value) -> Coerced<u32> {
    let radix = u32::try_from(coerce::integer(value)?).ok();
    let radix = radix.filter(|radix| (2..=36).contains(radix));
    radix.ok_or_else(|| misfit("toRadixNumber", "a base from 2 to 36", value))
}

fn of_digits(run: &mut Run<'_>, value: &Value, radix: u32) -> Coerced<Value> {
    if value.is_null() {
        return Ok(Value::Null);
    }
    let text = coerce::text(value)?;
    // Each digit multiplies a number of as many digits.
    run.step(text.len().saturating_mul(text.len()) / 16)?;
    let (negative, digits) = match text.trim().strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.trim()),
    };
    let fault = || {
        EvalFault::new(format!(
            "{} has no digits of base {radix}",
            coerce::shown(value)
        ))
    };
    if digits.is_empty() {
        return Err(fault());
    }
    let base = Number::from(i64::from(radix));
    let mut number = Number::from(0_i64);
    for char in digits.chars() {
        let digit = char.to_digit(radix).ok_or_else(fault)?;
        number = number
            .multiply(&base)?
            .add(&Number::from(i64::from(digit)))?;
    }
    Ok(if negative { number.negated() } else { number }.into())
}

fn in_digits(run: &mut Run<'_>, value: &Value, radix: u32) -> Coerced<Value> {
    if value.is_null() {
        return Ok(Value::Null);
    }
    let number = coerce::number(value)?;
    if !number.is_integer() {
        return Err(misfit("toRadixNumber", "a whole number", value));
    }
    run.step(number.digits().saturating_mul(number.digits()) / 4)?;
    let base = Number::from(i64::from(radix));
    let mut rest = number.magnitude();
    let mut digits = Vec::new();
    while !rest.is_zero() || digits.is_empty() {
        let digit = rest.remainder(&base)?;
        let value = digit.to_i64().and_then(|digit| u32::try_from(digit).ok());
        digits.push(char::from_digit(value.unwrap_or(0), radix).unwrap_or('0'));
        rest = rest.subtract(&digit)?.divide(&base)?;
    }
    if number.is_negative() {
        digits.push('-');
    }
    Ok(digits.iter().rev().collect::<String>().into())
}
