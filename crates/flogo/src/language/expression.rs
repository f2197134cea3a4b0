//! Flogo's expressions: what a text is, and what it gives.
//!
//! A text is the first that applies of: a pure reference (`$.payload.content.id`), a template
//! (`Hello {{$.name}}`), a literal as a whole (`5`, `'text'`, `{"a": 1}`), a script
//! (`$.status >= 500 && $.retry`). Compiling settles all that needs no scope: syntax, functions,
//! `$env`. All else is an error of the evaluation, even a wrong number of arguments.
//!
//! Texts come from configuration, but values from clients and upstreams, so what an evaluation may
//! cost is bounded: [`STEPS_MAX`].

use std::fmt;
use std::sync::Arc;

mod eval;
mod literal;
mod node;
mod operators;
mod parse;
mod reference;
mod template;
mod token;

pub(crate) use eval::{Context, Cost};

use crate::language::names::Names;
use crate::language::scope::Scope;
use crate::language::value::Value;
use node::Node;
use reference::Reference;

/// Bytes in an expression.
pub(crate) const BYTES_MAX: usize = 64 * 1024;
/// Parentheses, indices, arguments and branches inside one another.
pub(crate) const DEPTH_MAX: usize = 64;
/// Steps of one evaluation; a step is one part evaluated, or 1 KiB of text read or made.
pub(crate) const STEPS_MAX: u32 = 1 << 20;
/// Bytes in a text that a function makes.
pub(crate) const TEXT_MAX: usize = 16 << 20;
/// Bytes in all texts that one evaluation makes.
pub(crate) const TEXTS_MAX: usize = 64 << 20;

/// Why a text is no expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct CompileError {
    /// What is wrong, beginning with Flogo's own words.
    pub message: String,
    /// Where in the text, in bytes.
    pub at: usize,
}

/// Why an expression has no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct EvalError {
    /// What went wrong, in Flogo's words where it has some.
    pub message: String,
}

impl EvalError {
    pub(crate) fn new(message: impl Into<String>) -> EvalError {
        EvalError {
            message: message.into(),
        }
    }
}

/// A compiled expression. Cloning one is cheap.
#[derive(Clone)]
pub struct Expression {
    form: Arc<Form>,
    source: Arc<str>,
    skip_missing: bool,
    random: crate::language::random::Random,
}

/// What a text turned out to be.
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

/// Two expressions are equal if their texts are.
impl PartialEq for Expression {
    fn eq(&self, other: &Expression) -> bool {
        self.source == other.source
    }
}

impl Expression {
    /// Compiles a text, without the `=` that marks it as an expression in a definition.
    ///
    /// # Errors
    /// Where it is empty or too long, its syntax is wrong, or it names a function, a resolver or an
    /// environment variable that there is not.
    pub fn compile(text: &str, names: &Names) -> Result<Expression, CompileError> {
        if text.len() > BYTES_MAX {
            return Err(CompileError {
                message: format!(
                    "the expression has {} bytes, and at most {BYTES_MAX} are allowed: divide it",
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

    /// Evaluates it.
    ///
    /// # Errors
    /// Where a name is not in the scope, a path leads nowhere, an operator or function does not fit its
    /// operands, or it costs too much.
    pub fn eval(&self, scope: &dyn Scope) -> Result<Value, EvalError> {
        self.eval_within(scope, &Cost::default())
    }

    /// Evaluates it as a part of something that may cost no more in all.
    pub(crate) fn eval_within(&self, scope: &dyn Scope, cost: &Cost) -> Result<Value, EvalError> {
        let mut context = Context::new(scope, self.skip_missing, &self.random, cost);
        self.form.eval(&mut context)
    }

    /// The text that it was compiled from.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Its value where no scope can change it: a literal, an environment variable.
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

/// Whether a character only separates: the blanks of a script.
fn is_blank(char: char) -> bool {
    matches!(char, ' ' | '\t' | '\n' | '\r' | '\u{b}' | '\u{c}')
}
