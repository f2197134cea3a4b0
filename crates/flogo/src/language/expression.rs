//! Flogo's expressions: compilation and evaluation.
//!
//! A text is the first of these that applies: a pure reference (`$.payload.content.id`), a template (`Hello
//! {{$.name}}`), a literal as a whole (`5`, `'text'`, `{"a": 1}`), a script (`$.status >= 500 && $.retry`). Compilation
//! resolves everything that needs no scope: syntax, functions, `$env`. All other errors occur at evaluation, even a
//! wrong number of arguments.
//!
//! Texts come from configuration, but values from clients and upstreams, so the cost of an evaluation is bounded:
//! [`STEPS_MAX`].

use std::fmt;
use std::sync::Arc;

mod eval;
mod literal;
mod look;
mod node;
mod operators;
mod parse;
mod reference;
mod template;
mod token;

pub(crate) use eval::{Context, Cost};
pub(crate) use look::{Comparison, Read};
pub(crate) use node::Operator;

use crate::language::json::JsonFault;
use crate::language::names::Names;
use crate::language::number::NumberFault;
use crate::language::scope::Scope;
use crate::language::value::Value;
use node::Node;
use reference::Reference;

/// The most bytes in an expression.
pub(crate) const BYTES_MAX: usize = 64 * 1024;
/// The most nested parentheses, indices, arguments and branches.
pub(crate) const DEPTH_MAX: usize = 64;
/// The most steps of one evaluation; a step evaluates one node, or reads or makes 1 KiB of text.
pub(crate) const STEPS_MAX: usize = 1 << 20;
/// The most bytes in a text that a function makes.
pub(crate) const TEXT_MAX: usize = 16 << 20;
/// The most bytes in all texts that one evaluation makes.
pub(crate) const TEXTS_MAX: usize = 64 << 20;

/// A fault that keeps a text from compiling.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct CompileError {
    /// The fault, beginning with Flogo's own words.
    pub message: String,
    /// The offset of the fault in the text, in bytes.
    pub at: usize,
}

/// An evaluation's failure.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct EvalError {
    /// The fault, in Flogo's words where it has some.
    pub message: String,
}

impl EvalError {
    pub(crate) fn new(message: impl Into<String>) -> EvalError {
        EvalError {
            message: message.into(),
        }
    }
}

/// Ends an evaluation with an error.
pub(crate) fn fail<T>(message: impl Into<String>) -> Result<T, EvalError> {
    Err(EvalError::new(message))
}

impl<T> From<NumberFault<T>> for EvalError {
    fn from(fault: NumberFault<T>) -> EvalError {
        EvalError::new(fault.message)
    }
}

impl From<JsonFault> for EvalError {
    fn from(fault: JsonFault) -> EvalError {
        EvalError::new(fault.message)
    }
}

/// A compiled expression, cheap to clone.
#[derive(Clone)]
pub struct Expression {
    form: Arc<Form>,
    source: Arc<str>,
    skip_missing: bool,
    random: crate::language::random::Random,
}

/// The compiled form of a text.
enum Form {
    Constant(Value),
    Reference(Reference),
    Template(Vec<template::Piece>),
    Script(Node),
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Expression").field(&self.source).finish()
    }
}

/// Equality of expressions is equality of their texts.
impl PartialEq for Expression {
    fn eq(&self, other: &Expression) -> bool {
        self.source == other.source
    }
}

impl Expression {
    /// Compiles a text, without the `=` that marks it as an expression in a definition.
    ///
    /// # Errors
    /// Fails if the text is empty or too long, its syntax is wrong, or it uses an unknown function, resolver or
    /// environment variable.
    pub fn compile(text: &str, names: &Names) -> Result<Expression, CompileError> {
        if text.len() > BYTES_MAX {
            return Err(CompileError {
                message: format!(
                    "the expression has {} bytes, more than {BYTES_MAX}: split it",
                    text.len()
                ),
                at: BYTES_MAX,
            });
        }
        Ok(Expression {
            form: Arc::new(Form::of(text, names)?),
            source: text.into(),
            skip_missing: names.skip_missing,
            random: names.random.clone(),
        })
    }

    /// Evaluates the expression in a scope.
    ///
    /// # Errors
    /// Fails if a name is not in the scope, a path leads nowhere, an operator or function does not accept its operands,
    /// or the cost exceeds the limit.
    pub fn eval(&self, scope: &dyn Scope) -> Result<Value, EvalError> {
        self.eval_within(scope, &Cost::default())
    }

    /// Evaluates the expression as a part of a larger evaluation, whose cost it adds to.
    pub(crate) fn eval_within(&self, scope: &dyn Scope, cost: &Cost) -> Result<Value, EvalError> {
        let mut context = Context::new(scope, self.skip_missing, &self.random, cost);
        self.form.eval(&mut context)
    }

    /// The expression's source text.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The value, if no scope can change it: a literal, an environment variable.
    pub fn constant(&self) -> Option<&Value> {
        match &*self.form {
            Form::Constant(value) => Some(value),
            _ => None,
        }
    }
}

impl Form {
    fn of(text: &str, names: &Names) -> Result<Form, CompileError> {
        if text.trim().is_empty() {
            return Err(CompileError {
                message: "the expression is empty".to_owned(),
                at: 0,
            });
        }
        if reference::is_pure(text) {
            let reference =
                Reference::of(text, names).map_err(|message| CompileError { message, at: 0 })?;
            return Ok(match reference {
                Reference::Constant(value) => Form::Constant(value),
                reference => Form::Reference(reference),
            });
        }
        if text.contains("{{") {
            return template::parse(text, names).map(Form::Template);
        }
        if let Some(value) = literal::read(text)? {
            return Ok(Form::Constant(value));
        }
        parse::script(text, names).map(Form::Script)
    }

    fn eval(&self, context: &mut Context<'_>) -> Result<Value, EvalError> {
        match self {
            Form::Constant(value) => Ok(value.clone()),
            Form::Reference(reference) => reference.eval(context),
            Form::Template(pieces) => template::eval(pieces, context),
            Form::Script(node) => node.eval(context),
        }
    }
}

/// True for the blanks of a script, which only separate tokens.
fn is_blank(char: char) -> bool {
    matches!(char, ' ' | '\t' | '\n' | '\r' | '\u{b}' | '\u{c}')
}
