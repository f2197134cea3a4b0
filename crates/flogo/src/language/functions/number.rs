//! The package `number`, with `random` alone.

use super::{Function, Takes, Type};
use crate::language::expression::{Context, EvalError};
use crate::language::value::Value;

pub(crate) const FUNCTIONS: &[Function] = &[Function {
    name: "random",
    takes: Takes::Many(Type::Int),
    run: random,
}];

/// A random whole number from 0 to below the argument, which is 10 by default.
fn random(args: &[Value], context: &mut Context<'_>) -> Result<Value, EvalError> {
    let bound = args.first().map_or(Ok(10), Value::to_int)?;
    let Some(bound) = u64::try_from(bound).ok().filter(|bound| *bound > 0) else {
        return Err(EvalError::new(format!(
            "number.random expects a bound above 0, found {bound}"
        )));
    };
    // The upper half of the product is as uniform as the bits are, and always below the bound.
    let scaled = (u128::from(context.draw()) * u128::from(bound)) >> 64;
    Ok(Value::Int(i64::try_from(scaled).unwrap_or(0)))
}
