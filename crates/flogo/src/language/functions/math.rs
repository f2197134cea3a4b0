//! The package `math`, on floats.

use super::{Function, Type, of};
use crate::language::value::Value;

const ONE: &[Type] = &[Type::Float];

pub(crate) const FUNCTIONS: &[Function] = &[
    of("ceil", ONE, |args, _| Ok(args[0].to_float()?.ceil().into())),
    of("floor", ONE, |args, _| {
        Ok(args[0].to_float()?.floor().into())
    }),
    of("isNaN", ONE, |args, _| {
        Ok(args[0].to_float()?.is_nan().into())
    }),
    of("mod", &[Type::Float, Type::Float], |args, _| {
        Ok(Value::Float(args[0].to_float()? % args[1].to_float()?))
    }),
    of("round", ONE, |args, _| {
        Ok(args[0].to_float()?.round().into())
    }),
    of("roundToEven", ONE, |args, _| {
        Ok(args[0].to_float()?.round_ties_even().into())
    }),
    of("trunc", ONE, |args, _| {
        Ok(args[0].to_float()?.trunc().into())
    }),
];
