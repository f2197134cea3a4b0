//! The evaluation of mappings: a handler's `input` and `output`, a step's inputs and a response's data.

use std::sync::Arc;

use crate::EvalError;
use crate::Map;
use crate::NilKind;
use crate::Scope;
use crate::Value;
use crate::flow::{Assignment, Base, Data, ForEach, Given, MapNode, Mapping};
use crate::language::coerce::members_of;
use crate::language::expression::{Cost, fail};

impl Given {
    /// Evaluates to the literal, or to the expression's value.
    ///
    /// # Errors
    /// The error of the expression.
    pub fn eval(&self, scope: &dyn Scope) -> Result<Value, EvalError> {
        self.eval_within(scope, &Cost::default())
    }

    fn eval_within(&self, scope: &dyn Scope, cost: &Cost) -> Result<Value, EvalError> {
        match self {
            Given::Literal(value) => Ok(value.clone()),
            Given::Expression(expression) => expression.eval_within(scope, cost),
        }
    }
}

impl Data {
    /// Evaluates the data of a response.
    ///
    /// # Errors
    /// The error of the first expression that fails, or of a name that leads to a value that is not an object.
    pub fn eval(&self, scope: &dyn Scope) -> Result<Value, EvalError> {
        match self {
            Data::One(given) => given.eval(scope),
            Data::Object(entries) => {
                let mut object = Map::new();
                assign_all(entries, scope, &mut object)?;
                Ok(Value::from(object))
            }
        }
    }
}

/// Evaluates assignments in order, and stores each value at its destination.
///
/// All are evaluated before the first is stored, so that no assignment sees another's value.
///
/// # Errors
/// The error of the first expression that fails, or of a name that leads to a value that is not an object. The object
/// is then unchanged, or has some of the values.
pub fn assign_all(
    assignments: &[Assignment],
    scope: &dyn Scope,
    object: &mut Map,
) -> Result<(), EvalError> {
    let values: Vec<Value> = assignments
        .iter()
        .map(|assignment| assignment.value.eval(scope))
        .collect::<Result<_, _>>()?;
    for (assignment, value) in assignments.iter().zip(values) {
        assign(object, &assignment.path, value)?;
    }
    Ok(())
}

/// Stores a value at a path of names: `["a", "b"]` sets `b` in the object `a`, which is created if missing. Shared
/// objects are copied, not changed.
///
/// # Errors
/// Fails if the path leads through a value that is not an object.
pub fn assign(object: &mut Map, path: &[Arc<str>], value: Value) -> Result<(), EvalError> {
    let Some((first, rest)) = path.split_first() else {
        return Ok(());
    };
    if rest.is_empty() {
        object.insert(first.clone(), value);
        return Ok(());
    }
    let next = object
        .entry(first.clone())
        .or_insert_with(|| Value::from(Map::new()));
    match next {
        Value::Object(inner) => assign(Arc::make_mut(inner), rest, value),
        Value::Params(params) => {
            let mut inner = members_of(params);
            assign(&mut inner, rest, value)?;
            *next = Value::from(inner);
            Ok(())
        }
        other => {
            let (path, kind) = (path.join("."), other.kind());
            fail(format!(
                "'{path}' cannot be set: '{first}' is of the kind {kind}, not an object"
            ))
        }
    }
}

impl Mapping {
    /// Evaluates the mapping to an object.
    ///
    /// # Errors
    /// The error of the first expression that fails, of a loop over a value that is not a list, or of a cost above the
    /// limit of an expression: clients can make nested loops long.
    pub fn eval(&self, scope: &dyn Scope) -> Result<Map, EvalError> {
        eval_entries(&self.0, scope, &Cost::default())
    }
}

fn eval_entries(
    entries: &[(Arc<str>, MapNode)],
    scope: &dyn Scope,
    cost: &Cost,
) -> Result<Map, EvalError> {
    entries
        .iter()
        .map(|(name, node)| Ok((name.clone(), node.eval(scope, cost)?)))
        .collect()
}

impl MapNode {
    fn eval(&self, scope: &dyn Scope, cost: &Cost) -> Result<Value, EvalError> {
        cost.step(1)?;
        match self {
            MapNode::Given(given) => given.eval_within(scope, cost),
            MapNode::Object(entries) => eval_entries(entries, scope, cost).map(Value::from),
            MapNode::Array(items) => items
                .iter()
                .map(|item| item.eval(scope, cost))
                .collect::<Result<Vec<_>, _>>()
                .map(Value::from),
            MapNode::ForEach(each) => each.eval(scope, cost),
            MapNode::Branches(branches) => {
                for (condition, node) in branches {
                    let holds = match condition {
                        None => true,
                        // A value that cannot be a truth value does not hold.
                        Some(condition) => {
                            let value = condition.eval_within(scope, cost)?;
                            value.to_bool().unwrap_or(false)
                        }
                    };
                    if holds {
                        return node.eval(scope, cost);
                    }
                }
                Ok(Value::Null)
            }
        }
    }
}

impl ForEach {
    fn eval(&self, scope: &dyn Scope, cost: &Cost) -> Result<Value, EvalError> {
        let source = self.source.eval_within(scope, cost);
        let source = source.map_err(|error| {
            let what = "foreach eval source array error";
            EvalError::new(format!("{what}, {}", error.message))
        })?;
        let items = source.to_array();
        let mut made = Vec::new();
        let is_idle = self.base.is_none() && self.fields.is_empty();
        for (index, item) in items.iter().enumerate().filter(|_| !is_idle) {
            let inner = LoopScope {
                outer: scope,
                seen: seen(item, index, cost)?,
                name: self.name.as_deref(),
            };
            if let Some(filter) = &self.filter
                && !filter.eval_within(&inner, cost)?.to_bool()?
            {
                continue;
            }
            made.push(self.item(item, &inner, cost)?);
        }
        Ok(match made.is_empty() {
            true => Value::Nil(NilKind::Array),
            false => made.into(),
        })
    }

    fn item(&self, item: &Value, scope: &dyn Scope, cost: &Cost) -> Result<Value, EvalError> {
        let base = match &self.base {
            None => None,
            Some(Base::Item) => Some(item.clone()),
            Some(Base::Given(given)) => {
                let value = given.eval_within(scope, cost);
                Some(value.map_err(|error| {
                    let what = "array assign error, eval expression failed";
                    EvalError::new(format!("{what} {}", error.message))
                })?)
            }
        };
        let fields = eval_entries(&self.fields, scope, cost)?;
        let Some(base) = base else {
            return Ok(Value::from(fields));
        };
        if fields.is_empty() {
            return Ok(base);
        }
        let object = base.to_object().map_err(|_| {
            let what = "cannot assign map[string]interface to";
            EvalError::new(format!("{what} [{}]", base.go_type()))
        })?;
        let mut object = Map::clone(&object);
        cost.step(object.len())?;
        object.extend(fields);
        Ok(Value::from(object))
    }
}

/// The variable of a loop's item, for which `$loop` is short.
const LOOP_ITEM: &str = "_loop";

/// The members of `$loop`: those of the item, or the item itself as `data`; and its `index`, from 0.
fn seen(item: &Value, index: usize, cost: &Cost) -> Result<Value, EvalError> {
    let members = match item {
        Value::Bool(_) | Value::Array(_) | Value::Bytes(_) => None,
        Value::Int(_) | Value::Long(_) | Value::Float(_) | Value::Num(_) => None,
        Value::Str(text) => {
            cost.step(text.len() / 1024)?;
            item.to_object().ok()
        }
        _ => item.to_object().ok(),
    };
    cost.step(1 + members.as_ref().map_or(0, |members| members.len()))?;
    let mut members = match members {
        Some(members) => Map::clone(&members),
        None => Map::from([("data".into(), item.clone())]),
    };
    let index = i64::try_from(index).unwrap_or(i64::MAX);
    members.insert("index".into(), index.into());
    Ok(members.into())
}

/// The scope inside a loop.
struct LoopScope<'a> {
    outer: &'a dyn Scope,
    seen: Value,
    name: Option<&'a str>,
}

impl Scope for LoopScope<'_> {
    fn get(&self, name: &str) -> Option<Value> {
        if name == LOOP_ITEM || Some(name) == self.name {
            return Some(self.seen.clone());
        }
        self.outer.get(name)
    }

    fn is_proved_only(&self) -> bool {
        self.outer.is_proved_only()
    }
}
