//! The functions that scripts may call.
//! ([Core](https://docs.mulesoft.com/dataweave/latest/dw-core), and some of its neighbours)

use super::coerce::{Coerced, shown};
use super::cursor::{Cursor, Parsed};
use super::run::Run;
use super::tree::{Name, Node};
use super::{EvalFault, header};
use crate::value::Value;

mod list;
mod number;
mod object;
mod other;
mod text;

pub(super) use text::{groups, replace};

/// A built-in function.
pub(super) struct Builtin {
    pub(super) name: &'static str,
    /// The number of required arguments.
    pub(super) least: usize,
    /// The number of accepted arguments; further ones are dropped.
    pub(super) most: usize,
    /// True if arguments after the first may be functions written with `$`.
    pub(super) takes_function: bool,
    pub(super) run: Body,
}

/// The implementation of a function.
type Body = fn(&mut Run<'_>, &[Value]) -> Coerced<Value>;

/// A function whose arguments are plain values.
const fn plain(name: &'static str, least: usize, most: usize, run: Body) -> Builtin {
    Builtin {
        name,
        least,
        most,
        takes_function: false,
        run,
    }
}

/// A function with a value and a function as arguments.
const fn higher(name: &'static str, run: Body) -> Builtin {
    Builtin {
        name,
        least: 2,
        most: 2,
        takes_function: true,
        run,
    }
}

const ALL: [&[Builtin]; 5] = [
    list::FUNCTIONS,
    number::FUNCTIONS,
    object::FUNCTIONS,
    other::FUNCTIONS,
    text::FUNCTIONS,
];

/// Finds a function by name.
pub(super) fn find(name: &str) -> Option<&'static Builtin> {
    let mut all = ALL.into_iter().flatten();
    all.find(|builtin| builtin.name == name)
}

/// The names of all functions.
pub(super) fn names<'a>() -> impl Iterator<Item = &'a str> {
    ALL.into_iter().flatten().map(|builtin| builtin.name)
}

/// Checks a call before evaluation: the format of `read` and `write` must be supported.
pub(super) fn check(cursor: &Cursor<'_>, name: &Name, args: &[Node], at: usize) -> Parsed<()> {
    if cursor.declared.contains(&name.text) || !matches!(&*name.text, "read" | "write") {
        return Ok(());
    }
    match args.get(1) {
        None if args.len() == 1 => Err(cursor.fault(
            at,
            &format!("`{}` needs a format", name.text),
            "name one: 'application/json'",
        )),
        Some(Node::Literal(Value::String(format))) => {
            header::supported(cursor, format, at).map(drop)
        }
        _ => Ok(()),
    }
}

/// The result of a function argument; a constant in place of a function is the result itself.
fn applied(run: &mut Run<'_>, function: &Value, args: Vec<Value>) -> Coerced<Value> {
    match function {
        Value::Function(_) => run.call(function, args),
        constant => {
            run.step(1)?;
            Ok(constant.clone())
        }
    }
}

/// An index as a number.
fn count(count: usize) -> Value {
    crate::value::number::Number::from(count).into()
}

/// The error for an argument of the wrong kind.
fn misfit(function: &str, expected: &str, value: &Value) -> EvalFault {
    EvalFault::new(format!(
        "`{function}` expects {expected}, found {}",
        shown(value)
    ))
}
