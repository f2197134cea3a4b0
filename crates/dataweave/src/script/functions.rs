//! The functions that scripts may call.
//! ([Core](https://docs.mulesoft.com/dataweave/latest/dw-core), and some of its neighbours)

use super::coerce::{self, Coerced, unfit};
use super::cursor::{Cursor, Parsed};
use super::modules::Module;
use super::run::Run;
use super::tree::{Name, Node};
use super::{EvalFault, header};
use crate::value::{Key, Value};

mod arrays;
mod binaries;
mod crypto;
mod dates;
mod list;
mod masks;
mod number;
mod object;
mod objects;
mod other;
mod radix;
mod runtime;
mod strings;
mod text;
mod timer;
mod url;
mod words;

pub(super) use masks::{MASK, mask};
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
    /// The index of an argument that is only evaluated when the function asks for it.
    pub(super) lazy: Option<usize>,
    body: Body,
}

/// The implementation of a function, by its first argument. Null in place of an array, object or text gives null.
enum Body {
    /// Gets all arguments, of any kind.
    Any(AnyBody),
    /// Gets the items of an array, then the other arguments.
    Array(ArrayBody),
    /// Gets the entries of an object, then the other arguments.
    Object(ObjectBody),
    /// Gets a text, then the other arguments.
    Text(TextBody),
}

/// A key of an object with its value.
type Entry = (Key, Value);

impl Builtin {
    /// True for a function that fails as the script says.
    pub(super) fn fails(&self) -> bool {
        matches!(self.name, "fail" | "failIf")
    }

    /// A function with a fixed number of arguments.
    const fn of(name: &'static str, count: usize, body: Body) -> Builtin {
        Builtin {
            name,
            least: count,
            most: count,
            takes_function: false,
            lazy: None,
            body,
        }
    }

    /// The function with further arguments that may be left out.
    const fn up_to(self, most: usize) -> Builtin {
        Builtin { most, ..self }
    }

    /// The function with functions written with `$` as arguments after the first.
    const fn higher(self) -> Builtin {
        Builtin {
            takes_function: true,
            ..self
        }
    }

    /// The function with an argument that is only evaluated when it asks for it.
    const fn lazy(self, at: usize) -> Builtin {
        Builtin {
            lazy: Some(at),
            ..self
        }
    }

    /// Runs the function on at least as many arguments as it requires.
    pub(super) fn run(&self, run: &mut Run<'_>, args: &[Value]) -> Coerced<Value> {
        let plain: Vec<Value>;
        let args = match args.iter().any(|arg| matches!(arg, Value::Selected(_))) {
            true => {
                plain = args.iter().map(|arg| arg.plain().clone()).collect();
                &plain
            }
            false => args,
        };
        let expected = match (&self.body, args) {
            (Body::Any(body), _) => return body(run, args),
            (_, [Value::Null, ..]) => return Ok(Value::Null),
            (Body::Array(body), [Value::Array(array), rest @ ..]) => {
                return body(run, array.items(), rest);
            }
            (Body::Object(body), [Value::Object(object), rest @ ..]) => {
                return body(run, object.entries(), rest);
            }
            (Body::Text(body), [value, rest @ ..]) => {
                return body(run, &coerce::text(value)?, rest);
            }
            (Body::Object(_), _) => "an object",
            _ => "an array",
        };
        Err(misfit(self.name, expected, &args[0]))
    }
}

type AnyBody = fn(&mut Run<'_>, &[Value]) -> Coerced<Value>;
type ArrayBody = fn(&mut Run<'_>, &[Value], &[Value]) -> Coerced<Value>;
type ObjectBody = fn(&mut Run<'_>, &[Entry], &[Value]) -> Coerced<Value>;
type TextBody = fn(&mut Run<'_>, &str, &[Value]) -> Coerced<Value>;

const fn plain(name: &'static str, count: usize, body: AnyBody) -> Builtin {
    Builtin::of(name, count, Body::Any(body))
}

const fn of_array(name: &'static str, count: usize, body: ArrayBody) -> Builtin {
    Builtin::of(name, count, Body::Array(body))
}

const fn of_object(name: &'static str, count: usize, body: ObjectBody) -> Builtin {
    Builtin::of(name, count, Body::Object(body))
}

const fn of_text(name: &'static str, count: usize, body: TextBody) -> Builtin {
    Builtin::of(name, count, Body::Text(body))
}

const ALL: [&[Builtin]; 6] = [
    list::FUNCTIONS,
    number::FUNCTIONS,
    object::FUNCTIONS,
    other::FUNCTIONS,
    other::OF_MULE,
    text::FUNCTIONS,
];

/// The modules besides the core, whose functions need an import or their full name.
pub(super) static MODULES: [Module; 14] = [
    Module {
        path: "dw::Core",
        functions: &[],
        shares: true,
    },
    Module {
        path: "dw::core::Strings",
        functions: &[strings::FUNCTIONS, words::FUNCTIONS],
        shares: true,
    },
    Module {
        path: "dw::core::Arrays",
        functions: &[arrays::FUNCTIONS, arrays::OF_BOTH],
        shares: true,
    },
    Module {
        path: "dw::core::Objects",
        functions: &[objects::FUNCTIONS, arrays::OF_BOTH],
        shares: true,
    },
    Module {
        path: "dw::core::Binaries",
        functions: &[binaries::FUNCTIONS],
        shares: false,
    },
    Module {
        path: "dw::core::URL",
        functions: &[url::FUNCTIONS],
        shares: false,
    },
    Module {
        path: "dw::core::Numbers",
        functions: &[radix::FUNCTIONS],
        shares: false,
    },
    Module {
        path: "dw::core::Dates",
        functions: &[dates::DATES],
        shares: false,
    },
    Module {
        path: "dw::core::Periods",
        functions: &[dates::PERIODS],
        shares: false,
    },
    Module {
        path: "dw::Runtime",
        functions: &[runtime::FUNCTIONS],
        shares: false,
    },
    Module {
        path: "dw::Crypto",
        functions: &[crypto::FUNCTIONS],
        shares: false,
    },
    Module {
        path: "dw::util::Timer",
        functions: &[timer::FUNCTIONS],
        shares: false,
    },
    Module {
        path: "dw::util::Values",
        functions: &[masks::FUNCTIONS],
        shares: false,
    },
    Module {
        path: "Mule",
        functions: &[other::OF_MULE],
        shares: false,
    },
];

/// Finds a function of the core by name.
pub(super) fn find(name: &str) -> Option<&'static Builtin> {
    let mut all = ALL.into_iter().flatten();
    all.find(|builtin| builtin.name == name)
}

/// The names of all functions of the core.
pub(super) fn names<'a>() -> impl Iterator<Item = &'a str> {
    ALL.into_iter().flatten().map(|builtin| builtin.name)
}

/// The name that differs from a misspelt one by at most two letters.
pub(super) fn nearest<'a>(names: impl Iterator<Item = &'a str>, name: &str) -> Option<&'a str> {
    let near = names.map(|known| (strsim::osa_distance(known, name), known));
    let near = near.min().filter(|(distance, _)| *distance <= 2);
    near.map(|(_, known)| known)
}

/// Checks a call before evaluation: the format of `read` and `write` must be supported.
pub(super) fn check(cursor: &Cursor<'_>, name: &Name, args: &[Node], at: usize) -> Parsed<()> {
    if cursor.declared.contains(&name.text) || !matches!(&*name.text, "read" | "write") {
        return Ok(());
    }
    match args.get(1) {
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

/// The parts of an array or object for which a function holds, called with the arguments that `given` makes.
pub(super) fn kept<T: Clone>(
    run: &mut Run<'_>,
    parts: &[T],
    test: &Value,
    given: fn(usize, &T) -> Vec<Value>,
) -> Coerced<Vec<T>> {
    let mut kept = Vec::new();
    for (at, part) in parts.iter().enumerate() {
        if coerce::boolean(&applied(run, test, given(at, part))?)? {
            kept.push(part.clone());
        }
    }
    Ok(kept)
}

/// The arguments of a function for an item: the item and its index.
pub(super) fn item_given(at: usize, item: &Value) -> Vec<Value> {
    vec![item.clone(), count(at)]
}

/// The arguments of a function for an entry: its value and its key.
pub(super) fn entry_given(_: usize, (key, value): &Entry) -> Vec<Value> {
    vec![key.value(value), key.to_value()]
}

/// An index as a number.
fn count(count: usize) -> Value {
    crate::value::number::Number::from(count).into()
}

/// The error for an argument of the wrong kind.
fn misfit(function: &str, expected: &str, value: &Value) -> EvalFault {
    unfit(format_args!("`{function}` expects {expected}"), value)
}
