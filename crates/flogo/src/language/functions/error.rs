//! The package `error`: properties of a service's failure.

use super::{Function, Takes, Type};
use crate::language::expression::{Context, EvalError};
use crate::language::value::Value;

pub(crate) const FUNCTIONS: &[Function] = &[
    Function {
        name: "isneterror",
        takes: Takes::Each(&[Type::Any]),
        run: is_network,
    },
    Function {
        name: "string",
        takes: Takes::Each(&[Type::Any]),
        run: message,
    },
    Function {
        name: "type",
        takes: Takes::Each(&[Type::Any]),
        run: type_name,
    },
];

/// True if the value is a network fault.
fn is_network(args: &[Value], _: &mut Context<'_>) -> Result<Value, EvalError> {
    let network = matches!(&args[0], Value::Error(fault) if fault.is_network());
    Ok(network.into())
}

/// The message of a fault; empty for other values.
fn message(args: &[Value], _: &mut Context<'_>) -> Result<Value, EvalError> {
    Ok(match &args[0] {
        Value::Error(fault) => fault.message.clone().into(),
        _ => "".into(),
    })
}

/// The name of the value's type in Go.
fn type_name(args: &[Value], _: &mut Context<'_>) -> Result<Value, EvalError> {
    match &args[0] {
        Value::Null => Err(EvalError::new("nil has no type")),
        value => Ok(value.go_type().into()),
    }
}
