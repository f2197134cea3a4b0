//! Expressions of the native form: a bounded subset of CEL, the Common Expression Language.
//!
//! The `cel` crate parses; evaluation is our own, over a small tree made at load, for the sake of its cost: an
//! expression runs for every call, and the crate's evaluator can neither be interrupted nor bounded, and compiles a
//! regular expression anew at each use. Here every step is counted and every text measured, so that an expression ends
//! within [`STEPS_MAX`] steps whatever a client or an upstream sends. The rest of CEL (timestamps, messages, optional
//! values) is refused at load.

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

/// The most bytes in an expression.
pub(crate) const BYTES_MAX: usize = 4096;
/// The most operators, values and calls in an expression, after its macros are expanded.
pub(crate) const NODES_MAX: usize = 1000;
/// The most brackets inside one another.
pub(crate) const BRACKETS_MAX: usize = 32;
/// The most nested operators: a chain `a + b + …` is as deep as it is long.
pub(crate) const DEPTH_MAX: usize = 128;
/// The most loops (`all`, `exists`, `map`, …) inside one another.
pub(crate) const LOOPS_MAX: usize = 2;
/// The most steps of one evaluation; a step evaluates one operator, or looks at 1 KiB of text.
pub(crate) const STEPS_MAX: u32 = 10_000;
/// The most bytes in a text that an expression makes, or matches against a pattern.
pub(crate) const TEXT_MAX: usize = 64 * 1024;
/// The most bytes in a compiled regular expression.
pub(crate) const REGEX_MAX: usize = 1 << 20;

/// A compiled expression, cheap to clone.
#[derive(Clone)]
pub struct Expression {
    source: Arc<str>,
    tree: Arc<Term>,
    variables: Arc<[String]>,
}

/// Equality of expressions is equality of their texts.
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

/// An evaluation's failure.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct EvalError {
    /// The fault, with its mend where one helps.
    pub what: String,
    /// The character of the expression at which evaluation failed, from 1.
    pub character: Option<usize>,
}

impl EvalError {
    /// A failure at a character, from 0.
    fn at(at: usize, what: impl Into<String>) -> EvalError {
        EvalError {
            what: what.into(),
            character: Some(at + 1),
        }
    }

    /// A failure of no single character.
    pub(crate) fn whole(what: impl Into<String>) -> EvalError {
        EvalError {
            what: what.into(),
            character: None,
        }
    }
}

impl fmt::Display for EvalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.character {
            Some(character) => write!(f, "{} (at character {character})", self.what),
            None => f.write_str(&self.what),
        }
    }
}

/// A fault that keeps a text from compiling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// The character of the fault, from 0.
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

/// The variables that an expression may use, with the types of their values where known.
pub(crate) type Variables<'a> = &'a [(&'a str, Option<Kind>)];

impl Expression {
    /// Compiles an expression over the given variables.
    pub(crate) fn compile(
        source: &str,
        variables: Variables<'_>,
    ) -> Result<Expression, Vec<Fault>> {
        scan::check(source).map_err(|fault| vec![fault])?;
        // The parser recurses per level of nesting and per operator of a chain. `scan` bounds both, and a thread with a
        // large stack makes the bound safe, whatever stack the caller has.
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
                return Err(vec![Fault::new(None, "the parser failed", "simplify it")]);
            }
            Err(error) => {
                let what = format!(
                    "the expression could not be compiled: no thread could be started ({error})"
                );
                let mend = "free resources on this machine, and try again";
                return Err(vec![Fault::new(None, what, mend)]);
            }
        };
        Ok(Expression {
            source: source.into(),
            tree: Arc::new(lowered.tree),
            variables: lowered.variables.into(),
        })
    }

    /// The expression's source text.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// True if the expression refers to the variable.
    pub(crate) fn uses(&self, variable: &str) -> bool {
        self.variables.iter().any(|name| name == variable)
    }

    /// The value that an expression without variables always has; `None` for any other expression.
    pub(crate) fn constant(&self) -> Option<bool> {
        if !self.variables.is_empty() {
            return None;
        }
        match self.eval(&eval::Nothing) {
            Ok(Value::Bool(always)) => Some(always),
            _ => None,
        }
    }

    /// The type of the expression's value, if its operators determine one.
    pub(crate) fn kind(&self) -> Option<Kind> {
        self.tree.kind()
    }

    /// Evaluates the expression, within [`STEPS_MAX`] steps.
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
/// Fails if the text does not compile, uses a name that the scope lacks, or fails to evaluate.
pub fn eval_native(
    expression: &str,
    scope: &serde_json::Value,
) -> Result<serde_json::Value, EvalError> {
    let Some(members) = scope.as_object() else {
        return Err(EvalError::whole("the scope must be a JSON object"));
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
