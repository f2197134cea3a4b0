//! The package `number`, with `random` alone.

use super::{Function, Type, many};
use crate::language::expression::{Context, EvalError, fail};
use crate::language::value::Value;

pub(crate) const FUNCTIONS: &[Function] = &[many("random", Type::Int, random)];

/// A random whole number from 0 to below the argument, which is 10 by default.
fn random(args: &[Value], context: &mut Context<'_>) -> Result<Value, EvalError> {
    let bound = args.first().map_or(Ok(10), Value::to_int)?;
    let Some(bound) = u64::try_from(bound).ok().filter(|bound| *bound > 0) else {
        let what = "number.random expects a bound above 0";
        return fail(format!("{what}, found {bound}"));
    };
    // The upper half of the product is as uniform as the bits are, and always below the bound.
    let scaled = (u128::from(context.draw()) * u128::from(bound)) >> 64;
    Ok(Value::Int(i64::try_from(scaled).unwrap_or(0)))
}
