//! The functions of expressions, by package.

use crate::language::expression::{Context, EvalError, fail};
use crate::language::value::{NilKind, Value};

mod array;
mod builtin;
pub(crate) mod coerce;
mod error;
pub(crate) mod http;
mod json;
mod math;
mod number;
pub(crate) mod pattern;
mod string;
mod url;
mod utils;

/// A package of functions.
pub(crate) struct Package {
    /// The default name, without an import's alias.
    pub name: &'static str,
    functions: &'static [Function],
    /// True for the packages of every microgateway, which need no import.
    pub is_built_in: bool,
    /// True if some of Flogo's functions in the package are not supported.
    pub is_partial: bool,
}

/// All packages, in the order of their names.
pub(crate) static PACKAGES: [Package; 12] = [
    package("array", array::FUNCTIONS),
    built_in("builtin", builtin::FUNCTIONS),
    built_in("coerce", coerce::FUNCTIONS),
    // Known only by name: none of its functions is supported.
    partial("datetime", &[]),
    built_in("error", error::FUNCTIONS),
    partial("http", http::FUNCTIONS),
    built_in("json", json::FUNCTIONS),
    package("math", math::FUNCTIONS),
    built_in("number", number::FUNCTIONS),
    built_in("string", string::FUNCTIONS),
    package("url", url::FUNCTIONS),
    package("utils", utils::FUNCTIONS),
];

const fn package(name: &'static str, functions: &'static [Function]) -> Package {
    Package {
        name,
        functions,
        is_built_in: false,
        is_partial: false,
    }
}

const fn built_in(name: &'static str, functions: &'static [Function]) -> Package {
    Package {
        is_built_in: true,
        ..package(name, functions)
    }
}

const fn partial(name: &'static str, functions: &'static [Function]) -> Package {
    Package {
        is_partial: true,
        ..package(name, functions)
    }
}

impl std::fmt::Debug for Package {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

impl Package {
    /// Finds a function; names are case-sensitive.
    pub fn function(&self, name: &str) -> Option<Function> {
        let mut functions = self.functions.iter();
        functions.find(|function| function.name == name).copied()
    }
}

/// A function of a package.
#[derive(Clone, Copy)]
pub(crate) struct Function {
    /// The name without the package.
    pub name: &'static str,
    pub takes: Takes,
    pub run: Run,
}

/// The implementation of a function.
pub(crate) type Run = fn(&[Value], &mut Context<'_>) -> Result<Value, EvalError>;

/// The parameters of a function.
#[derive(Clone, Copy)]
pub(crate) enum Takes {
    /// One argument of each type.
    Each(&'static [Type]),
    /// Any number of arguments, all of one type.
    Many(Type),
}

/// The type to which an argument is coerced before the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Type {
    /// Any value; number texts become numbers.
    Any,
    Text,
    Int,
    Float,
    Bool,
    Bytes,
    Params,
    Object,
    Array,
    /// Any value, like [`Any`](Type::Any), with an empty list for one that is nil.
    Items,
}

/// A function with one argument of each type.
const fn of(name: &'static str, types: &'static [Type], run: Run) -> Function {
    let takes = Takes::Each(types);
    Function { name, takes, run }
}

/// A function with any number of arguments of a type.
const fn many(name: &'static str, of: Type, run: Run) -> Function {
    let takes = Takes::Many(of);
    Function { name, takes, run }
}

impl Function {
    /// Coerces the arguments and calls the function.
    ///
    /// # Errors
    /// Fails for too few or too many arguments, for arguments of the wrong type, and if the function fails.
    pub fn call(
        &self,
        mut args: Vec<Value>,
        context: &mut Context<'_>,
    ) -> Result<Value, EvalError> {
        if let Takes::Each(types) = self.takes
            && types.len() != args.len()
        {
            let (name, count) = (self.name, types.len());
            return fail(format!("{name} function should have {count} arguments"));
        }
        for (at, arg) in args.iter_mut().enumerate() {
            let of = match self.takes {
                Takes::Each(types) => types[at],
                Takes::Many(of) => of,
            };
            *arg = of.coerce(arg)?;
            // Every function reads its texts.
            if let (Type::Text, Value::Str(text)) = (of, &*arg) {
                context.read_text(text.len())?;
            }
        }
        let result = (self.run)(&args, context)?;
        if let Value::Str(text) = &result {
            context.made(text)?;
        }
        Ok(result)
    }
}

impl Type {
    /// Coerces a value to this type.
    pub fn coerce(self, value: &Value) -> Result<Value, EvalError> {
        Ok(match (self, value) {
            (Type::Any | Type::Items, Value::Num(text)) if text.contains('.') => {
                value.to_float()?.into()
            }
            (Type::Any | Type::Items, Value::Num(_)) => Value::Long(value.to_long()?),
            (Type::Items, Value::Nil(NilKind::Array)) => Value::from(Vec::new()),
            (Type::Any | Type::Items, _) => value.clone(),
            (Type::Text, _) => value.text()?.into(),
            (Type::Int, _) => value.to_int()?.into(),
            (Type::Float, _) => value.to_float()?.into(),
            (Type::Bool, _) => value.to_bool()?.into(),
            (Type::Bytes, Value::Null) => Value::Nil(NilKind::Bytes),
            (Type::Params, Value::Null) => Value::Nil(NilKind::Params),
            (Type::Object, Value::Null) => Value::Nil(NilKind::Object),
            (_, Value::Null) => Value::Null,
            (Type::Bytes, Value::Bytes(_) | Value::Nil(NilKind::Bytes))
            | (Type::Params, Value::Nil(NilKind::Params))
            | (Type::Object, Value::Nil(NilKind::Object | NilKind::Unproved))
            | (Type::Array, Value::Nil(NilKind::Array)) => value.clone(),
            (Type::Bytes, _) => Value::Bytes(value.text()?.as_bytes().to_vec().into()),
            (Type::Params, _) => Value::Params(value.to_params()?),
            (Type::Object, _) => Value::Object(value.to_object()?),
            (Type::Array, Value::Array(_) | Value::Bytes(_)) => value.clone(),
            (Type::Array, Value::Str(text)) if text.is_empty() => Value::from(Vec::new()),
            // A text that is not an array stays a text.
            (Type::Array, Value::Str(text)) => match Value::from_whole_json(text) {
                Ok(array @ Value::Array(_)) => array,
                Ok(Value::Null) => Value::Null,
                _ => value.clone(),
            },
            (Type::Array, _) => return Err(value.cannot_be("[]interface {}")),
        })
    }
}

/// The text of an argument of type [`Type::Text`].
fn text(arg: &Value) -> &str {
    match arg {
        Value::Str(text) => text,
        _ => "",
    }
}

/// A count as a whole number.
fn count(count: usize) -> Value {
    Value::Int(i64::try_from(count).unwrap_or(i64::MAX))
}
