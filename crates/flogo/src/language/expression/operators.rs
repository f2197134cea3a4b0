//! The operators on each pair of kinds. The left kind decides.

use std::cmp::Ordering;

use super::node::Operator;
use super::{EvalError, fail};
use crate::language::number;
use crate::language::value::Value;

/// Evaluates the operation `!value`.
pub(crate) fn not(value: &Value) -> Result<Value, EvalError> {
    match value {
        Value::Bool(bool) => Ok((!bool).into()),
        Value::Null => fail("cannot not a nil"),
        _ => fail(format!("cannot not '{}'", value.go_type())),
    }
}

/// Evaluates the operation `-value`.
pub(crate) fn negate(value: &Value) -> Result<Value, EvalError> {
    match value {
        Value::Int(int) | Value::Long(int) => Ok(Value::Int(int.wrapping_neg())),
        Value::Float(float) => Ok((-float).into()),
        Value::Num(text) if text.contains('.') => Ok((-number::num_float(text)).into()),
        Value::Num(text) => Ok(Value::Long(number::num_int(text).wrapping_neg())),
        Value::Null => fail("cannot negate a nil"),
        _ => fail(format!("cannot not '{}'", value.go_type())),
    }
}

/// Evaluates `left operator right`, except for `&&`, `||`, and `+` with a text on its left.
pub(crate) fn apply(operator: Operator, left: &Value, right: &Value) -> Result<Value, EvalError> {
    let holds: fn(Ordering) -> bool = match operator {
        Operator::Equal => return Ok(equal(left, right).into()),
        Operator::Unequal => return Ok((!equal(left, right)).into()),
        Operator::Less => Ordering::is_lt,
        Operator::LessEqual => Ordering::is_le,
        Operator::Greater => Ordering::is_gt,
        Operator::GreaterEqual => Ordering::is_ge,
        _ => return arithmetic(operator, left, right),
    };
    ordered(left, right, holds).map(Value::Bool)
}

/// Two numbers converted to the same kind.
enum Pair {
    Ints(i64, i64),
    /// For pairs with a number text: the result is Go's `int64`.
    Longs(i64, i64),
    Floats(f64, f64),
}

/// Converts both to numbers, if the left one is a number and the right one matches it. A left number text accepts any
/// right value, as 0 if it is not a number.
fn pair(left: &Value, right: &Value) -> Option<Pair> {
    use Value::{Float, Int, Long, Num};
    match (left, right) {
        (Int(a) | Long(a), Int(b) | Long(b)) => Some(Pair::Ints(*a, *b)),
        (Int(a) | Long(a), Float(b)) => Some(Pair::Floats(*a as f64, *b)),
        (Int(a) | Long(a), Num(b)) => Some(Pair::Longs(*a, number::num_int(b))),
        (Float(a), Int(_) | Long(_) | Float(_) | Num(_)) => {
            Some(Pair::Floats(*a, right.nearest_float()))
        }
        (Num(a), _) if a.contains('.') => {
            Some(Pair::Floats(number::num_float(a), right.nearest_float()))
        }
        (Num(a), _) => Some(Pair::Longs(number::num_int(a), right.nearest_int())),
        _ => None,
    }
}

/// Evaluates `==`, which never fails. Only numbers, texts and truth values can be equal to another value, and null to
/// null.
fn equal(left: &Value, right: &Value) -> bool {
    use Value::{Bool, Null, Num, Str};
    match (left, right) {
        (Null, Null) => true,
        (Null, _) | (_, Null) => false,
        (Bool(a), Bool(b)) => a == b,
        (Str(a), Str(b) | Num(b)) => a == b,
        _ => match pair(left, right) {
            Some(Pair::Ints(a, b) | Pair::Longs(a, b)) => a == b,
            Some(Pair::Floats(a, b)) => a == b,
            None => false,
        },
    }
}

/// Evaluates `<`, `<=`, `>`, `>=`. Truth values and nulls have no order: they can only be equal.
fn ordered(left: &Value, right: &Value, holds: fn(Ordering) -> bool) -> Result<bool, EvalError> {
    use Value::{Bool, Null, Num, Str};
    let reflexive = holds(Ordering::Equal);
    let greater = holds(Ordering::Greater);
    match (left, right) {
        (Null, Null) => Ok(reflexive),
        (Null, _) | (_, Null) => Ok(false),
        (Bool(a), Bool(b)) => Ok(reflexive && a == b),
        // In Flogo only `>` ignores the type of the right side.
        (Bool(_), _) if greater && !reflexive => Ok(false),
        (Str(a), Str(b) | Num(b)) => Ok(holds(a.cmp(b))),
        _ => match pair(left, right) {
            Some(Pair::Ints(a, b) | Pair::Longs(a, b)) => Ok(holds(a.cmp(&b))),
            Some(Pair::Floats(a, b)) => Ok(a.partial_cmp(&b).is_some_and(holds)),
            None => {
                let (left, right) = (left.go_type(), right.go_type());
                fail(format!("cannot compare {left} with {right}"))
            }
        },
    }
}

fn arithmetic(operator: Operator, left: &Value, right: &Value) -> Result<Value, EvalError> {
    if left.is_null() || right.is_null() {
        return unfit(operator, &left.shown(), &right.shown());
    }
    match pair(left, right) {
        Some(Pair::Ints(a, b)) => whole(operator, a, b).map(Value::Int),
        Some(Pair::Longs(a, b)) => whole(operator, a, b).map(Value::Long),
        Some(Pair::Floats(..)) if operator == Operator::Remainder => {
            let int = whole(operator, left.nearest_int(), right.nearest_int())?;
            Ok(match left {
                Value::Num(_) => Value::Long(int),
                _ => Value::Int(int),
            })
        }
        Some(Pair::Floats(a, b)) => Ok(Value::Float(match operator {
            Operator::Add => a + b,
            Operator::Subtract => a - b,
            Operator::Multiply => a * b,
            _ => a / b,
        })),
        None => match (operator, right) {
            // Flogo duplicates the right text here.
            (Operator::Add, Value::Str(text) | Value::Num(text)) => {
                Ok(format!("{}{text}", left.to_text()).into())
            }
            _ => unfit(operator, left.go_type(), right.go_type()),
        },
    }
}

/// Arithmetic of whole numbers, with wrapping.
fn whole(operator: Operator, a: i64, b: i64) -> Result<i64, EvalError> {
    match operator {
        Operator::Add => Ok(a.wrapping_add(b)),
        Operator::Subtract => Ok(a.wrapping_sub(b)),
        Operator::Multiply => Ok(a.wrapping_mul(b)),
        _ if b == 0 => fail("integer divide by zero"),
        Operator::Divide => Ok(a.wrapping_div(b)),
        _ => Ok(a.wrapping_rem(b)),
    }
}

/// The error of an operator with unsuitable operands, in Flogo's words, which differ.
fn unfit(operator: Operator, left: &str, right: &str) -> Result<Value, EvalError> {
    fail(match operator {
        Operator::Add => format!("cannot add {left} to {right}"),
        Operator::Subtract => format!("cannot subtract {right} from {left}"),
        Operator::Multiply => format!("cannot multiply {left} with {right}"),
        Operator::Divide => format!("cannot divide {left} with {right}"),
        _ => format!("cannot mod {left} with {right}"),
    })
}
