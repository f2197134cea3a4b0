//! The package `error`: properties of a service's failure.

use super::{Function, Type, of};
use crate::language::expression::fail;
use crate::language::value::Value;

pub(crate) const FUNCTIONS: &[Function] = &[
    of("isneterror", &[Type::Any], |args, _| {
        let network = matches!(&args[0], Value::Error(fault) if fault.is_network());
        Ok(network.into())
    }),
    // The message of a fault; empty for other values.
    of("string", &[Type::Any], |args, _| match &args[0] {
        Value::Error(fault) => Ok(fault.message.clone().into()),
        _ => Ok("".into()),
    }),
    of("type", &[Type::Any], |args, _| match &args[0] {
        Value::Null => fail("nil has no type"),
        value => Ok(value.go_type().into()),
    }),
];
