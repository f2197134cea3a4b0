//! The functions of expressions, by package.

use crate::language::expression::{Context, EvalError};
use crate::language::value::Value;

mod array;
mod builtin;
mod coerce;
mod error;
mod http;
mod json;
mod math;
mod number;
pub(crate) mod pattern;
mod string;
mod url;
mod utils;

/// A package of functions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Package {
    Array,
    Builtin,
    Coerce,
    /// Known only by name: none of its functions is supported.
    DateTime,
    Error,
    Http,
    Json,
    Math,
    Number,
    String,
    Url,
    Utils,
}

impl Package {
    /// All packages, in the order of their names.
    pub const ALL: [Package; 12] = [
        Package::Array,
        Package::Builtin,
        Package::Coerce,
        Package::DateTime,
        Package::Error,
        Package::Http,
        Package::Json,
        Package::Math,
        Package::Number,
        Package::String,
        Package::Url,
        Package::Utils,
    ];

    /// The packages of every microgateway, without an import.
    pub const BUILT_IN: [Package; 6] = [
        Package::Builtin,
        Package::Coerce,
        Package::Error,
        Package::Json,
        Package::Number,
        Package::String,
    ];

    /// The package's default name, without an import's alias.
    pub fn name(self) -> &'static str {
        match self {
            Package::Array => "array",
            Package::Builtin => "builtin",
            Package::Coerce => "coerce",
            Package::DateTime => "datetime",
            Package::Error => "error",
            Package::Http => "http",
            Package::Json => "json",
            Package::Math => "math",
            Package::Number => "number",
            Package::String => "string",
            Package::Url => "url",
            Package::Utils => "utils",
        }
    }

    /// True if some of Flogo's functions in the package are not supported.
    pub fn is_partial(self) -> bool {
        matches!(self, Package::DateTime | Package::Http)
    }

    fn functions(self) -> &'static [Function] {
        match self {
            Package::Array => array::FUNCTIONS,
            Package::Builtin => builtin::FUNCTIONS,
            Package::Coerce => coerce::FUNCTIONS,
            Package::DateTime => &[],
            Package::Error => error::FUNCTIONS,
            Package::Http => http::FUNCTIONS,
            Package::Json => json::FUNCTIONS,
            Package::Math => math::FUNCTIONS,
            Package::Number => number::FUNCTIONS,
            Package::String => string::FUNCTIONS,
            Package::Url => url::FUNCTIONS,
            Package::Utils => utils::FUNCTIONS,
        }
    }
}

/// Finds a function of a package; names are case-sensitive.
pub(crate) fn find(package: Package, name: &str) -> Option<Function> {
    let mut functions = package.functions().iter();
    functions.find(|function| function.name == name).copied()
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
            return Err(EvalError::new(format!(
                "{} function should have {} arguments",
                self.name,
                types.len()
            )));
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
            (Type::Any, Value::Num(text)) if text.contains('.') => value.to_float()?.into(),
            (Type::Any, Value::Num(_)) => Value::Long(value.to_long()?),
            (Type::Any, _) => value.clone(),
            (Type::Text, _) => value.text()?.into(),
            (Type::Int, _) => value.to_int()?.into(),
            (Type::Float, _) => value.to_float()?.into(),
            (Type::Bool, _) => value.to_bool()?.into(),
            (_, Value::Null) => Value::Null,
            (Type::Bytes, Value::Bytes(_)) => value.clone(),
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
