//! Expressions of the native form: a bounded part of CEL, the Common Expression Language.
//!
//! The `cel` crate parses; evaluation is our own, over a small tree made at load. The reason is
//! what an expression may cost. It runs for every call, and the crate's evaluator can neither be
//! interrupted nor bounded, and compiles a regular expression anew at each use. Here every step is
//! counted and every text measured while it runs, so an expression ends within [`STEPS_MAX`] steps
//! whatever a client or an upstream sends. What CEL has and this has not (timestamps, messages,
//! optional values) is refused at load.

use std::fmt;
use std::sync::Arc;

mod eval;
mod functions;
mod json;
mod lower;
mod scan;
mod term;
mod value;

pub(crate) use eval::Scope;
pub(crate) use value::{Kind, MapKey, Value};

use term::Term;

/// Bytes in an expression.
pub(crate) const BYTES_MAX: usize = 4096;
/// Operators, values and calls in an expression, macros unfolded.
pub(crate) const NODES_MAX: usize = 1000;
/// Brackets inside one another.
pub(crate) const BRACKETS_MAX: usize = 32;
/// Parts inside one another: an operator chain `a + b + …` is as deep as it is long.
pub(crate) const DEPTH_MAX: usize = 128;
/// Loops (`all`, `exists`, `map`, …) inside one another.
pub(crate) const LOOPS_MAX: usize = 2;
/// Steps of one evaluation; a step is one part evaluated, or 1 KiB of text looked at.
pub(crate) const STEPS_MAX: u32 = 10_000;
/// Bytes in a text that an expression makes, or matches against a pattern.
pub(crate) const TEXT_MAX: usize = 64 * 1024;
/// Bytes in a compiled regular expression.
pub(crate) const REGEX_MAX: usize = 1 << 20;

/// A compiled expression.
#[derive(Clone)]
pub struct Expression {
    source: Arc<str>,
    tree: Arc<Term>,
    variables: Arc<[String]>,
}

/// Two expressions are equal if their texts are.
impl PartialEq for Expression {
    fn eq(&self, other: &Expression) -> bool {
        self.source == other.source
    }
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Expression").field(&self.source).finish()
    }
}

/// Why an expression has no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct EvalError {
    /// What went wrong, and where it helps, what to do about it.
    pub what: String,
    /// The character of the expression at which it went wrong, from 1.
    pub character: Option<usize>,
}

impl fmt::Display for EvalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.character {
            Some(character) => write!(f, "{} (at character {character})", self.what),
            None => f.write_str(&self.what),
        }
    }
}

/// Why a text is not an expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// The character, from 0.
    pub at: Option<usize>,
    pub what: String,
    pub mend: String,
}

impl Fault {
    pub fn new(
        at: impl Into<Option<usize>>,
        what: impl Into<String>,
        mend: impl Into<String>,
    ) -> Fault {
        Fault {
            at: at.into(),
            what: what.into(),
            mend: mend.into(),
        }
    }
}

/// Which names an expression may use, and what is known of their values.
pub(crate) type Variables<'a> = &'a [(&'a str, Option<Kind>)];

impl Expression {
    /// Compiles an expression over the given variables.
    pub(crate) fn compile(
        source: &str,
        variables: Variables<'_>,
    ) -> Result<Expression, Vec<Fault>> {
        scan::check(source).map_err(|fault| vec![fault])?;
        // The parser recurses per level of nesting and per operator of a chain. `scan` bounds both;
        // the stack makes the bound safe wherever the caller's own thread stands.
        const STACK_BYTES: usize = 64 << 20;
        let lowered = std::thread::scope(|scope| {
            std::thread::Builder::new()
                .name("expression".to_owned())
                .stack_size(STACK_BYTES)
                .spawn_scoped(scope, || lower::parse(source, variables))
                .map(|thread| thread.join())
        });
        let lowered = match lowered {
            Ok(Ok(lowered)) => lowered?,
            Ok(Err(_panic)) => {
                return Err(vec![Fault::new(
                    None,
                    "the parser gave up on it",
                    "simplify it",
                )]);
            }
            Err(error) => {
                let what =
                    format!("it could not be compiled: no thread could be started ({error})");
                return Err(vec![Fault::new(
                    None,
                    what,
                    "free resources on this machine, and try again",
                )]);
            }
        };
        Ok(Expression {
            source: source.into(),
            tree: Arc::new(lowered.tree),
            variables: lowered.variables.into(),
        })
    }

    /// The text that it was compiled from.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Whether it looks at the variable.
    pub(crate) fn uses(&self, variable: &str) -> bool {
        self.variables.iter().any(|name| name == variable)
    }

    /// What it is known to be before any call: only an expression without variables is.
    pub(crate) fn constant(&self) -> Option<bool> {
        if !self.variables.is_empty() {
            return None;
        }
        match self.eval(&eval::Nothing) {
            Ok(Value::Bool(always)) => Some(always),
            _ => None,
        }
    }

    /// What kind of value it gives, as far as its parts tell.
    pub(crate) fn kind(&self) -> Option<Kind> {
        self.tree.kind()
    }

    /// Evaluates it; ends within [`STEPS_MAX`] steps.
    pub(crate) fn eval(&self, scope: &dyn Scope) -> Result<Value, EvalError> {
        eval::run(&self.tree, scope)
    }
}

/// Evaluates an expression of the native form over a JSON object, whose members are its variables.
///
/// ```
/// let scope = serde_json::json!({ "status": 503, "headers": { "x-cache": "miss" } });
/// let value = fusebox_plan::eval_native("status >= 500 && headers['x-cache'] == 'miss'", &scope);
/// assert_eq!(value, Ok(serde_json::json!(true)));
/// ```
///
/// # Errors
/// Where the text is not an expression, uses a name that the scope has not, or fails while it runs.
pub fn eval_native(
    expression: &str,
    scope: &serde_json::Value,
) -> Result<serde_json::Value, EvalError> {
    let Some(members) = scope.as_object() else {
        return Err(EvalError {
            what: "the scope must be a JSON object".to_owned(),
            character: None,
        });
    };
    let variables: Vec<_> = members.keys().map(|name| (name.as_str(), None)).collect();
    let compiled = Expression::compile(expression, &variables).map_err(|faults| {
        let what: Vec<String> = faults
            .iter()
            .map(|fault| format!("{}; {}", fault.what, fault.mend))
            .collect();
        let character = faults.first().and_then(|fault| fault.at).map(|at| at + 1);
        EvalError {
            what: what.join("; "),
            character,
        }
    })?;
    json::to_json(&compiled.eval(&json::JsonScope(members))?)
}
