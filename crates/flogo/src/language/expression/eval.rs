//! The evaluation of scripts, with its limits.

use std::cell::Cell;

use super::node::{Node, Operator, Segment, Sign};
use super::{EvalError, STEPS_MAX, TEXT_MAX, TEXTS_MAX, fail, operators};
use crate::language::path::{self, Manner};
use crate::language::random::Random;
use crate::language::scope::Scope;
use crate::language::value::Value;

/// The context of an evaluation: its scope, and the rest of its budget.
pub(crate) struct Context<'a> {
    scope: &'a dyn Scope,
    skip_missing: bool,
    random: &'a Random,
    cost: &'a Cost,
}

/// The rest of the budget of one expression, or of a whole mapping.
pub(crate) struct Cost {
    steps_left: Cell<usize>,
    bytes_left: Cell<usize>,
}

impl Default for Cost {
    fn default() -> Cost {
        Cost {
            steps_left: Cell::new(STEPS_MAX),
            bytes_left: Cell::new(TEXTS_MAX),
        }
    }
}

impl Cost {
    /// Charges a number of steps.
    pub fn step(&self, steps: usize) -> Result<(), EvalError> {
        let Some(left) = self.steps_left.get().checked_sub(steps) else {
            return fail(format!(
                "the expression costs more than {STEPS_MAX} steps: simplify it, or bound its texts"
            ));
        };
        self.steps_left.set(left);
        Ok(())
    }

    /// Charges the bytes of a text that was made.
    fn made(&self, bytes: usize) -> Result<(), EvalError> {
        let Some(left) = self.bytes_left.get().checked_sub(bytes) else {
            let most = TEXTS_MAX;
            return fail(format!(
                "the expression makes texts of more than {most} bytes in all"
            ));
        };
        self.bytes_left.set(left);
        Ok(())
    }
}

impl<'a> Context<'a> {
    pub fn new(
        scope: &'a dyn Scope,
        skip_missing: bool,
        random: &'a Random,
        cost: &'a Cost,
    ) -> Context<'a> {
        Context {
            scope,
            skip_missing,
            random,
            cost,
        }
    }

    /// The value of a name in the scope.
    pub fn get(&self, name: &str) -> Result<Value, EvalError> {
        let found = self.scope.get(name);
        found.ok_or_else(|| EvalError::new(missing(name)))
    }

    /// Follows a path from a value, which may have to parse texts.
    pub fn walk(&mut self, value: &Value, path: &str) -> Result<Value, EvalError> {
        if let (Value::Str(text), false) = (value, path.is_empty()) {
            self.read_text(text.len())?;
        }
        let manner = Manner {
            skip_missing: self.skip_missing,
            proved_only: self.scope.is_proved_only(),
        };
        path::walk(value, path, manner)
    }

    /// Draws 64 random bits.
    pub fn draw(&self) -> u64 {
        self.random.draw()
    }

    /// Charges the reading or making of a text of that many bytes.
    pub fn read_text(&mut self, bytes: usize) -> Result<(), EvalError> {
        self.step(bytes / 1024)
    }

    /// Charges a text of that many bytes before it is made.
    pub fn make_text(&mut self, bytes: usize) -> Result<(), EvalError> {
        self.check_text(bytes)?;
        self.read_text(bytes)
    }

    /// Charges a text that was made.
    pub fn made(&self, text: &str) -> Result<(), EvalError> {
        self.cost.made(text.len())
    }

    /// Checks the length of a text that will be made.
    pub fn check_text(&self, bytes: usize) -> Result<(), EvalError> {
        match bytes > TEXT_MAX {
            true => fail(format!(
                "the expression makes a text of more than {TEXT_MAX} bytes"
            )),
            false => Ok(()),
        }
    }

    /// Charges a number of steps.
    pub fn step(&mut self, steps: usize) -> Result<(), EvalError> {
        self.cost.step(steps)
    }
}

impl Node {
    pub fn eval(&self, context: &mut Context<'_>) -> Result<Value, EvalError> {
        context.step(1)?;
        match self {
            Node::Literal(value) => Ok(value.clone()),
            Node::Reference(reference) => reference.eval(context),
            Node::Computed { resolver, rest } => {
                let mut text = String::new();
                for segment in rest {
                    match segment {
                        Segment::Text(segment) => text.push_str(segment),
                        Segment::Index(node) => text.push_str(&node.index(context)?),
                    }
                }
                resolver
                    .resolve(&text, context.skip_missing)
                    .map_err(EvalError::new)?
                    .eval(context)
            }
            Node::Unary { signs, of } => {
                let value = of.eval(context)?;
                signs
                    .iter()
                    .rev()
                    .try_fold(value, |value, sign| match sign {
                        Sign::Not => operators::not(&value),
                        Sign::Minus => operators::negate(&value),
                    })
            }
            Node::Chain { first, rest } => {
                let mut left = first.eval(context)?;
                for (operator, right) in rest {
                    left = apply(*operator, &left, right, context)?;
                }
                Ok(left)
            }
            Node::Choice { cases, otherwise } => {
                for (condition, then) in cases {
                    if condition.eval(context)?.to_bool()? {
                        return then.eval(context);
                    }
                }
                otherwise.eval(context)
            }
            Node::Call { function, args } => {
                let args = args
                    .iter()
                    .map(|arg| arg.eval(context))
                    .collect::<Result<Vec<_>, _>>()?;
                function.call(args, context)
            }
            Node::IsDefined(of) => Ok(defined(of.eval(context))?.is_some().into()),
            Node::GetValue(both) => match defined(both.0.eval(context))? {
                Some(value) => Ok(value),
                None => both.1.eval(context),
            },
        }
    }

    /// The text of an index: a quoted literal keeps its quotes, which make it a key.
    fn index(&self, context: &mut Context<'_>) -> Result<String, EvalError> {
        if let Node::Literal(Value::Str(key)) = self {
            return Ok(format!("[\"{key}\"]"));
        }
        let value = self.eval(context).map_err(|error| {
            let what = "eval array index expression error";
            EvalError::new(format!("{what}: {}", error.message))
        })?;
        Ok(format!("[{}]", value.text()?))
    }
}

fn apply(
    operator: Operator,
    left: &Value,
    right: &Node,
    context: &mut Context<'_>,
) -> Result<Value, EvalError> {
    let decided = match operator {
        Operator::Or => Some(true),
        Operator::And => Some(false),
        _ => None,
    };
    if let Some(decided) = decided {
        let holds = left.to_bool()? == decided || right.eval(context)?.to_bool()? == decided;
        return Ok((holds == decided).into());
    }
    let right = right.eval(context)?;
    if let (Operator::Add, Value::Str(left), false) = (operator, left, right.is_null()) {
        let right = right.to_text();
        context.make_text(left.len() + right.len())?;
        let both = format!("{left}{right}");
        context.made(&both)?;
        return Ok(both.into());
    }
    operators::apply(operator, left, &right)
}

/// The message for a name that the scope does not have. Outputs and errors of a flow's tasks have names of their own.
fn missing(name: &str) -> String {
    if let Some(output) = name.strip_prefix("_A.") {
        return match output.split_once('.') {
            Some((task, output)) => format!(
                "failed to resolve activity attr: '{output}', not found in activity '{task}'"
            ),
            None => format!("failed to resolve activity value: '{output}'"),
        };
    }
    match name.strip_prefix("_E") {
        Some("") => "failed to resolve error, not found in flow".to_owned(),
        Some(task) if task.starts_with('.') => {
            format!(
                "failed to resolve activity [{}] error, not found in flow",
                &task[1..]
            )
        }
        _ => format!("failed to resolve variable: '{name}' in scope"),
    }
}

/// The value, or `None` for null and for a missing path, variable or environment variable. Other errors remain.
fn defined(value: Result<Value, EvalError>) -> Result<Option<Value>, EvalError> {
    const ABSENT: [&str; 7] = [
        "path not found",
        "unable to evaluate path",
        "failed to resolve variable",
        "failed to resolve activity attr",
        "failed to resolve activity value",
        "failed to resolve Environment Variable",
        "failed to resolve Property",
    ];
    match value {
        Ok(Value::Null) => Ok(None),
        Ok(value) => Ok(Some(value)),
        Err(error) if ABSENT.iter().any(|words| error.message.contains(words)) => Ok(None),
        Err(error) => Err(error),
    }
}
