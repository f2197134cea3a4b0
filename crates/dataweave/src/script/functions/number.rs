//! Functions of numbers.

use bigdecimal::RoundingMode;

use super::{Builtin, misfit, plain};
use crate::script::coerce::{self, Coerced};
use crate::script::run::Run;
use crate::value::Value;
use crate::value::number::{Number, Operation};

pub(super) const FUNCTIONS: &[Builtin] = &[
    plain("abs", 1, |_, args| of(args, Number::magnitude)),
    plain("ceil", 1, |_, args| rounded(args, RoundingMode::Ceiling)),
    plain("floor", 1, |_, args| rounded(args, RoundingMode::Floor)),
    plain("round", 1, |_, args| rounded(args, RoundingMode::HalfUp)),
    plain("sqrt", 1, sqrt),
    plain("mod", 2, |_, args| binary(args, Number::remainder)),
    plain("pow", 2, |_, args| binary(args, Number::power)),
    plain("to", 2, to),
    plain("random", 0, random),
    plain("randomInt", 1, random_int),
    plain("isInteger", 1, |_, args| of(args, Number::is_integer)),
    plain("isDecimal", 1, |_, args| of(args, |it| !it.is_integer())),
    plain("isEven", 1, |_, args| parity(args, true)),
    plain("isOdd", 1, |_, args| parity(args, false)),
];

fn of<T: Into<Value>>(args: &[Value], operation: fn(&Number) -> T) -> Coerced<Value> {
    Ok(operation(&coerce::number(&args[0])?).into())
}

fn rounded(args: &[Value], mode: RoundingMode) -> Coerced<Value> {
    Ok(coerce::number(&args[0])?.rounded(0, mode).into())
}

fn binary(args: &[Value], operation: Operation) -> Coerced<Value> {
    let (a, b) = (coerce::number(&args[0])?, coerce::number(&args[1])?);
    Ok(operation(&a, &b)?.into())
}

fn sqrt(_: &mut Run<'_>, args: &[Value]) -> Coerced<Value> {
    let root = coerce::number(&args[0])?.root();
    root.map(Value::from)
        .ok_or_else(|| misfit("sqrt", "a number that is not negative", &args[0]))
}

fn parity(args: &[Value], even: bool) -> Coerced<Value> {
    let remainder = coerce::number(&args[0])?.remainder(&Number::from(2_i64))?;
    Ok((remainder.is_zero() == even && remainder.is_integer()).into())
}

/// Evaluates `to`: both ends included, in falling order if the first end is the greater one.
fn to(run: &mut Run<'_>, args: &[Value]) -> Coerced<Value> {
    let (from, to) = (coerce::integer(&args[0])?, coerce::integer(&args[1])?);
    let length = usize::try_from(from.abs_diff(to)).unwrap_or(usize::MAX);
    run.step(length)?;
    let items: Vec<Value> = if from <= to {
        (from..=to).map(Value::from).collect()
    } else {
        (to..=from).rev().map(Value::from).collect()
    };
    run.array(items)
}

fn random(run: &mut Run<'_>, _: &[Value]) -> Coerced<Value> {
    // A float between 0 and 1 has 53 bits.
    let drawn = run.context.random.draw() >> 11;
    let float = drawn as f64 / (1_u64 << 53) as f64;
    Ok(Number::from_f64(float).map(Value::from).unwrap_or_default())
}

/// A random whole number from 0 up to the argument, exclusive.
fn random_int(run: &mut Run<'_>, args: &[Value]) -> Coerced<Value> {
    let bound = coerce::integer(&args[0])?;
    let Some(bound) = u64::try_from(bound).ok().filter(|bound| *bound > 0) else {
        return Err(misfit("randomInt", "a number greater than 0", &args[0]));
    };
    let drawn = (u128::from(run.context.random.draw()) * u128::from(bound)) >> 64;
    Ok(Number::from(drawn as i128).into())
}
