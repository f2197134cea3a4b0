//! Mappings: how a handler's `input` and `output`, a step's inputs and a response's data become values.

use std::sync::Arc;

use crate::EvalError;
use crate::Map;
use crate::Scope;
use crate::Value;
use crate::flow::{Assignment, Base, Data, ForEach, Given, MapNode, Mapping};
use crate::language::expression::Cost;

impl Given {
    /// The value: the literal, or what the expression gives.
    ///
    /// # Errors
    /// What the expression says.
    pub fn eval(&self, scope: &dyn Scope) -> Result<Value, EvalError> {
        match self {
            Given::Literal(value) => Ok(value.clone()),
            Given::Expression(expression) => expression.eval(scope),
        }
    }
}

impl Data {
    /// The value that a response answers with.
    ///
    /// # Errors
    /// What the first expression that fails says, or why a name finds no object to be put into.
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

/// Evaluates assignments in their order and puts each value where its name says.
///
/// All are evaluated before the first is stored, so none sees another's value.
///
/// # Errors
/// What the first expression that fails says, or why a name finds no object to be put into; the
/// object is then as it was, or holds some of the values.
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

/// Puts a value where the parts of a name lead: `["a", "b"]` sets `b` in the object `a`, which is
/// made where there is none. Objects that others hold too are copied, not changed.
///
/// # Errors
/// Where the way leads through something that is no object.
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
            let mut inner: Map = params
                .iter()
                .map(|(name, text)| (name.clone(), Value::from(text.clone())))
                .collect();
            assign(&mut inner, rest, value)?;
            *next = Value::from(inner);
            Ok(())
        }
        other => Err(EvalError {
            message: format!(
                "'{}' cannot be set: '{first}' is of the kind {}, and no object",
                path.join("."),
                other.kind()
            ),
        }),
    }
}

impl Mapping {
    /// The object that the mapping makes.
    ///
    /// # Errors
    /// What the first expression that fails says, what a loop finds instead of a list, or that it all
    /// costs more than one expression may: loops within loops are as long as clients make them.
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
            MapNode::Given(Given::Literal(value)) => Ok(value.clone()),
            MapNode::Given(Given::Expression(expression)) => expression.eval_within(scope, cost),
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
                        // What is no truth value does not hold.
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
        let source = self
            .source
            .eval_within(scope, cost)
            .map_err(|error| EvalError {
                message: format!("foreach eval source array error, {}", error.message),
            })?;
        let items = source.to_array().map_err(|_| EvalError {
            message: format!("foreach source [{}] not an array", source.to_text()),
        })?;
        let mut made = Vec::new();
        for item in items.iter() {
            cost.step(1)?;
            let inner = LoopScope {
                outer: scope,
                item,
                name: self.name.as_deref(),
            };
            if let Some(filter) = &self.filter
                && !filter.eval_within(&inner, cost)?.to_bool()?
            {
                continue;
            }
            made.push(self.item(item, &inner, cost)?);
        }
        Ok(Value::from(made))
    }

    fn item(&self, item: &Value, scope: &dyn Scope, cost: &Cost) -> Result<Value, EvalError> {
        let base = match &self.base {
            None => None,
            Some(Base::Item) => Some(item.clone()),
            Some(Base::Given(Given::Literal(value))) => Some(value.clone()),
            Some(Base::Given(Given::Expression(expression))) => {
                Some(expression.eval_within(scope, cost)?)
            }
        };
        let fields = eval_entries(&self.fields, scope, cost)?;
        let Some(base) = base else {
            return Ok(Value::from(fields));
        };
        if fields.is_empty() {
            return Ok(base);
        }
        let mut object = Map::clone(&*base.to_object()?);
        cost.step(u32::try_from(object.len()).unwrap_or(u32::MAX))?;
        object.extend(fields);
        Ok(Value::from(object))
    }
}

/// The name under which a loop's item is found: `$loop` is short for it.
const LOOP_ITEM: &str = "_loop";

/// The scope within a loop.
struct LoopScope<'a> {
    outer: &'a dyn Scope,
    item: &'a Value,
    name: Option<&'a str>,
}

impl Scope for LoopScope<'_> {
    fn get(&self, name: &str) -> Option<Value> {
        if name == LOOP_ITEM || Some(name) == self.name {
            return Some(self.item.clone());
        }
        self.outer.get(name)
    }
}
