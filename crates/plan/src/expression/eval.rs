//! Evaluates an expression's tree, counting every step.

use std::sync::Arc;

use super::functions;
use super::term::{Binary, Loop, Op, Term};
use super::value::{Map, MapKey, Value};
use super::{EvalError, STEPS_MAX, TEXT_MAX};
use crate::diagnostic::quote;

/// The values of an expression's variables during one evaluation.
pub(crate) trait Scope {
    /// The variable's value, computed only when an expression uses it.
    fn variable(&self, name: &str) -> Option<Value>;

    /// A member of a variable, if it can be read without building the whole value: `Some(None)` for a missing member,
    /// `None` if the whole must be built.
    fn member(&self, _variable: &str, _key: &str) -> Option<Option<Value>> {
        None
    }
}

/// A scope without any variable.
pub(super) struct Nothing;

impl Scope for Nothing {
    fn variable(&self, _name: &str) -> Option<Value> {
        None
    }
}

/// The most items in a list that an expression makes.
const ITEMS_MAX: usize = 10_000;

pub(super) fn run(tree: &Term, scope: &dyn Scope) -> Result<Value, EvalError> {
    let mut run = Run {
        scope,
        steps: 0,
        locals: Vec::new(),
    };
    run.eval(tree).map_err(|stop| match stop {
        Stop::Failed(error) | Stop::Limit(error) => error,
    })
}

/// The reason why an evaluation ended without a value.
#[derive(Debug, Clone)]
enum Stop {
    /// An ordinary failure, which CEL's `&&` and `||` absorb if the other side decides alone.
    Failed(EvalError),
    /// A limit was reached, which ends the whole evaluation.
    Limit(EvalError),
}

type Outcome = Result<Value, Stop>;

struct Run<'a> {
    scope: &'a dyn Scope,
    steps: u32,
    locals: Vec<Outcome>,
}

fn failed<T>(at: usize, what: impl Into<String>) -> Result<T, Stop> {
    Err(Stop::Failed(EvalError::at(at, what)))
}

/// Fails with a text that ends with the type of the value found.
fn found<T>(at: usize, what: &str, value: &Value) -> Result<T, Stop> {
    failed(at, format!("{what} {}", value.kind().article()))
}

fn limit<T>(at: usize, what: impl Into<String>) -> Result<T, Stop> {
    Err(Stop::Limit(EvalError::at(at, what)))
}

impl Run<'_> {
    fn pay(&mut self, at: usize, steps: usize) -> Result<(), Stop> {
        self.steps = self
            .steps
            .saturating_add(u32::try_from(steps).unwrap_or(u32::MAX));
        match self.steps > STEPS_MAX {
            true => limit(
                at,
                format!("the expression took more than {STEPS_MAX} steps"),
            ),
            false => Ok(()),
        }
    }

    fn eval(&mut self, term: &Term) -> Outcome {
        let at = term.at;
        self.pay(at, 1)?;
        match &term.op {
            Op::Literal(value) => Ok(value.clone()),
            Op::Variable { name, .. } => match self.scope.variable(name) {
                Some(value) => Ok(value),
                None => failed(at, format!("the variable {} has no value", quote(name))),
            },
            Op::Local(slot) => match self.locals.get(*slot) {
                Some(value) => value.clone(),
                None => failed(at, "a loop's variable has no value"),
            },
            Op::Select { of, field } => match self.member(of, field)? {
                Some(value) => Ok(value),
                None => failed(at, format!("no such key {}", quote(field))),
            },
            Op::Has { of, field } => Ok(Value::Bool(self.member(of, field)?.is_some())),
            Op::Index(sides) => self.index(at, sides),
            Op::Not(term) => Ok(Value::Bool(!self.bool(term)?)),
            Op::Negate(inner) => match self.eval(inner)? {
                Value::Int(i64::MIN) => failed(at, "the number is out of range"),
                Value::Int(int) => Ok(Value::Int(-int)),
                Value::Double(double) => Ok(Value::Double(-double)),
                Value::Span(i64::MIN) => failed(at, "the duration is out of range"),
                Value::Span(nanos) => Ok(Value::Span(-nanos)),
                value => found(at, "`-` does not take", &value),
            },
            Op::And(sides) => self.logic(sides, false),
            Op::Or(sides) => self.logic(sides, true),
            Op::If(terms) => {
                let [condition, yes, no] = &**terms;
                if self.bool(condition)? {
                    self.eval(yes)
                } else {
                    self.eval(no)
                }
            }
            Op::NotStrictlyFalse(term) => match self.eval(term) {
                Ok(value) => Ok(Value::Bool(!matches!(value, Value::Bool(false)))),
                Err(Stop::Failed(_)) => Ok(Value::Bool(true)),
                Err(stop) => Err(stop),
            },
            Op::Binary(binary, sides) => self.binary(at, *binary, sides),
            Op::List(items) => Ok(Value::List(Arc::new(self.all(items)?))),
            Op::Map(entries) => self.map(entries),
            Op::Call(function, arguments) => {
                let arguments = self.all(arguments)?;
                for argument in &arguments {
                    self.pay(at, weight(argument))?;
                }
                functions::call(*function, &arguments).or_else(|what| failed(at, what))
            }
            Op::Matches(term, regex) => match self.eval(term)? {
                Value::Text(text) if text.len() > TEXT_MAX => {
                    let length = text.len();
                    let most = format!("`matches` accepts texts of at most {TEXT_MAX} bytes");
                    failed(at, format!("{most}, found {length}"))
                }
                Value::Text(text) => {
                    // Matching costs more per byte than comparing does.
                    self.pay(at, text.len() / 64)?;
                    Ok(Value::Bool(regex.is_match(&text)))
                }
                value => found(at, "`matches` does not take", &value),
            },
            Op::Loop(loops) => self.run_loop(loops),
        }
    }

    fn bool(&mut self, term: &Term) -> Result<bool, Stop> {
        match self.eval(term)? {
            Value::Bool(b) => Ok(b),
            value => found(term.at, "expected a bool, found", &value),
        }
    }

    fn all(&mut self, terms: &[Term]) -> Result<Vec<Value>, Stop> {
        terms.iter().map(|term| self.eval(term)).collect()
    }

    /// `&&` (`decides` is false) and `||` (`decides` is true): either side may decide alone, even if the other fails.
    fn logic(&mut self, sides: &[Term; 2], decides: bool) -> Outcome {
        let left = match self.bool(&sides[0]) {
            Ok(left) if left == decides => return Ok(Value::Bool(decides)),
            Err(stop @ Stop::Limit(_)) => return Err(stop),
            left => left,
        };
        let right = self.bool(&sides[1])?;
        if right == decides {
            return Ok(Value::Bool(decides));
        }
        left.map(|_| Value::Bool(!decides))
    }

    /// Evaluates `of.field`; `None` if the key is missing.
    fn member(&mut self, of: &Term, field: &Arc<str>) -> Result<Option<Value>, Stop> {
        if let Op::Variable { name, .. } = &of.op
            && let Some(member) = self.scope.member(name, field)
        {
            return Ok(member);
        }
        match self.eval(of)? {
            Value::Map(map) => Ok(map.get(&MapKey::Text(Arc::clone(field))).cloned()),
            value => failed(of.at, format!("{} has no keys", value.kind().article())),
        }
    }

    fn index(&mut self, at: usize, sides: &[Term; 2]) -> Outcome {
        let [of, index] = sides;
        let key = self.eval(index)?;
        if let (Op::Variable { name, .. }, Value::Text(key)) = (&of.op, &key)
            && let Some(member) = self.scope.member(name, key)
        {
            return match member {
                Some(value) => Ok(value),
                None => failed(at, format!("no such key {}", quote(key))),
            };
        }
        match (self.eval(of)?, key) {
            (Value::List(items), key) => {
                let Some(MapKey::Int(index)) = key.key() else {
                    let kind = key.kind().as_str();
                    return failed(at, format!("a list has no index of type {kind}"));
                };
                let index = usize::try_from(index).ok();
                match index.and_then(|index| items.get(index)) {
                    Some(value) => Ok(value.clone()),
                    None => {
                        let length = items.len();
                        failed(at, format!("the index is outside the list of {length}"))
                    }
                }
            }
            (Value::Map(map), key) => match key.key().and_then(|key| map.get(&key).cloned()) {
                Some(value) => Ok(value),
                None => failed(at, format!("no such key {}", show_key(&key))),
            },
            (value, _) => failed(at, format!("{} has no index", value.kind().article())),
        }
    }

    fn map(&mut self, entries: &[(Term, Term)]) -> Outcome {
        let mut map = Map::new();
        for (key, value) in entries {
            let name = self.eval(key)?;
            let Some(name) = name.key() else {
                let kind = name.kind().article();
                return failed(key.at, format!("{kind} cannot be a key"));
            };
            if map.insert(name, self.eval(value)?).is_some() {
                return failed(key.at, "the key is given twice");
            }
        }
        Ok(Value::Map(Arc::new(map)))
    }

    fn binary(&mut self, at: usize, binary: Binary, sides: &[Term; 2]) -> Outcome {
        let left = self.eval(&sides[0])?;
        let right = self.eval(&sides[1])?;
        let ordered = |left: &Value, right: &Value| match left.order(right) {
            Some(order) => Ok(Some(order)),
            // NaN has no order, which is not an error.
            None if left.kind().is_number() && right.kind().is_number() => Ok(None),
            None => {
                let (left, right) = (left.kind().article(), right.kind().article());
                failed(at, format!("{left} and {right} have no order"))
            }
        };
        Ok(Value::Bool(match binary {
            Binary::Equal => self.equals(at, &left, &right)?,
            Binary::NotEqual => !self.equals(at, &left, &right)?,
            Binary::Less => ordered(&left, &right)?.is_some_and(|order| order.is_lt()),
            Binary::AtMost => ordered(&left, &right)?.is_some_and(|order| order.is_le()),
            Binary::Greater => ordered(&left, &right)?.is_some_and(|order| order.is_gt()),
            Binary::AtLeast => ordered(&left, &right)?.is_some_and(|order| order.is_ge()),
            Binary::In => self.contains(at, &left, &right)?,
            _ => return self.arithmetic(at, binary, left, right),
        }))
    }

    fn equals(&mut self, at: usize, left: &Value, right: &Value) -> Result<bool, Stop> {
        left.equals(right, &mut |steps| self.pay(at, steps))
    }

    fn contains(&mut self, at: usize, item: &Value, of: &Value) -> Result<bool, Stop> {
        match of {
            Value::List(items) => {
                for other in items.iter() {
                    self.pay(at, 1)?;
                    if self.equals(at, item, other)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Value::Map(map) => Ok(item.key().is_some_and(|key| map.contains_key(&key))),
            value => found(at, "`in` expects a list or a map, found", value),
        }
    }

    fn arithmetic(&mut self, at: usize, binary: Binary, left: Value, right: Value) -> Outcome {
        let overflow = || failed(at, "the result is out of range");
        match (left, right) {
            (Value::Int(a), Value::Int(b)) => {
                if b == 0 && matches!(binary, Binary::Divide | Binary::Remainder) {
                    return failed(at, "division by zero");
                }
                let result = match binary {
                    Binary::Add => a.checked_add(b),
                    Binary::Subtract => a.checked_sub(b),
                    Binary::Multiply => a.checked_mul(b),
                    Binary::Divide => a.checked_div(b),
                    _ => a.checked_rem(b),
                };
                result.map(Value::Int).map_or_else(overflow, Ok)
            }
            (Value::UInt(a), Value::UInt(b)) => {
                if b == 0 && matches!(binary, Binary::Divide | Binary::Remainder) {
                    return failed(at, "division by zero");
                }
                let result = match binary {
                    Binary::Add => a.checked_add(b),
                    Binary::Subtract => a.checked_sub(b),
                    Binary::Multiply => a.checked_mul(b),
                    Binary::Divide => a.checked_div(b),
                    _ => a.checked_rem(b),
                };
                result.map(Value::UInt).map_or_else(overflow, Ok)
            }
            (Value::Double(a), Value::Double(b)) if binary != Binary::Remainder => {
                Ok(Value::Double(match binary {
                    Binary::Add => a + b,
                    Binary::Subtract => a - b,
                    Binary::Multiply => a * b,
                    _ => a / b,
                }))
            }
            (Value::Span(a), Value::Span(b)) if binary == Binary::Add => {
                a.checked_add(b).map(Value::Span).map_or_else(overflow, Ok)
            }
            (Value::Span(a), Value::Span(b)) if binary == Binary::Subtract => {
                a.checked_sub(b).map(Value::Span).map_or_else(overflow, Ok)
            }
            (Value::Text(a), Value::Text(b)) if binary == Binary::Add => {
                self.measure(at, a.len() + b.len())?;
                Ok(Value::Text([&*a, &*b].concat().into()))
            }
            (Value::Bytes(a), Value::Bytes(b)) if binary == Binary::Add => {
                self.measure(at, a.len() + b.len())?;
                Ok(Value::Bytes([&*a, &*b].concat().into()))
            }
            (Value::List(mut a), Value::List(b)) if binary == Binary::Add => {
                let length = a.len() + b.len();
                if length > ITEMS_MAX {
                    let what = format!("the list would have more than {ITEMS_MAX} items");
                    return limit(at, what);
                }
                self.pay(at, length / 16)?;
                Arc::make_mut(&mut a).extend(b.iter().cloned());
                Ok(Value::List(a))
            }
            (a, b) => {
                let (a, b) = (a.kind().article(), b.kind().article());
                failed(at, format!("the operator cannot combine {a} and {b}"))
            }
        }
    }

    /// Checks a text's length before the text is built.
    fn measure(&mut self, at: usize, bytes: usize) -> Result<(), Stop> {
        if bytes > TEXT_MAX {
            let what = format!("the text would have {bytes} bytes, more than {TEXT_MAX}");
            return limit(at, what);
        }
        self.pay(at, bytes / 1024)
    }

    fn run_loop(&mut self, loops: &Loop) -> Outcome {
        let items: Vec<Value> = match self.eval(&loops.range)? {
            Value::List(items) => items.to_vec(),
            Value::Map(map) => map.keys().map(MapKey::value).collect(),
            value => {
                let what = "a loop expects a list or a map, found";
                return found(loops.range.at, what, &value);
            }
        };
        self.pay(loops.range.at, items.len() / 16)?;
        let start = self.eval(&loops.start)?;
        let depth = self.locals.len();
        self.locals.push(Ok(start));
        let outcome = self.turns(loops, items, depth);
        self.locals.truncate(depth + 1);
        let result = outcome.and_then(|()| self.eval(&loops.result));
        self.locals.truncate(depth);
        result
    }

    fn turns(&mut self, loops: &Loop, items: Vec<Value>, gathered: usize) -> Result<(), Stop> {
        for item in items {
            self.locals.truncate(gathered + 1);
            self.locals.push(Ok(item));
            if matches!(self.eval(&loops.condition)?, Value::Bool(false)) {
                break;
            }
            // A failed turn is kept too, since CEL's `&&` and `||` may absorb it in a later one.
            let next = match self.eval(&loops.step) {
                Err(stop @ Stop::Limit(_)) => return Err(stop),
                next => next,
            };
            self.locals[gathered] = next;
        }
        Ok(())
    }
}

/// The steps that reading a value costs.
fn weight(value: &Value) -> usize {
    match value {
        Value::Text(text) => text.len() / 1024,
        Value::Bytes(bytes) => bytes.len() / 1024,
        _ => 0,
    }
}

fn show_key(key: &Value) -> String {
    match key {
        Value::Text(text) => quote(text),
        Value::Int(int) => int.to_string(),
        Value::UInt(uint) => uint.to_string(),
        Value::Bool(b) => b.to_string(),
        value => format!("of type {}", value.kind().as_str()),
    }
}
