//! The operator `update`: a value with new values at some places within it.
//! ([Update](https://docs.mulesoft.com/dataweave/latest/dw-operators#update-operator))

use std::sync::Arc;

use super::EvalFault;
use super::coerce::{self, Coerced};
use super::cursor::{Cursor, Parsed};
use super::parse::{IMPLICIT, expression, operand};
use super::run::{Env, Frame, Run};
use super::tree::{Change, Key, Node, Place};
use super::{body, path};
use crate::value::Value;

/// Parses the rest of an `update`: `{ case a at .b[0].c! if (d) -> e … }`.
pub(super) fn cases(cursor: &mut Cursor<'_>) -> Parsed<Vec<Change>> {
    cursor.inner(|cursor| {
        cursor.expect("{")?;
        let mut changes = Vec::new();
        loop {
            cursor.blank()?;
            if cursor.eat("}") {
                return Ok(changes);
            }
            if !cursor.eat_word("case") {
                return Err(cursor.unexpected("`case` or `}`"));
            }
            changes.push(change(cursor)?);
            // Commas between cases are optional.
            cursor.blank()?;
            cursor.eat(",");
        }
    })
}

fn change(cursor: &mut Cursor<'_>) -> Parsed<Change> {
    cursor.blank()?;
    let mut name = None;
    if let Some(word) = cursor.word() {
        cursor.at += word.len();
        cursor.declared.insert(word.into());
        name = Some(Arc::from(word));
        cursor.blank()?;
        if !cursor.eat_word("at") {
            return Err(cursor.unexpected("`at`"));
        }
        cursor.blank()?;
    }
    let mut place = Vec::new();
    loop {
        cursor.blank()?;
        if cursor.eat(".") {
            place.push(Place::Key(path::key(cursor)?));
        } else if cursor.eat("[") {
            place.push(Place::Index(cursor.inner(expression)?));
            cursor.expect("]")?;
        } else {
            break;
        }
    }
    if place.is_empty() {
        return Err(cursor.unexpected("a place, such as `.name` or `[0]`"));
    }
    let inserts = cursor.eat("!");
    cursor.blank()?;
    let dollars = cursor.dollars;
    let binds = usize::from(name.is_none());
    cursor.binders += binds;
    let when = match cursor.eat_word("if") {
        true => Some(cursor.inner(operand)?),
        false => None,
    };
    cursor.expect("->")?;
    let then = cursor.inner(|cursor| body::or_pair(cursor, expression))?;
    cursor.binders -= binds;
    if name.is_none() {
        cursor.dollars = dollars;
    }
    Ok(Change {
        name: name.unwrap_or_else(|| IMPLICIT[0].into()),
        place,
        inserts,
        when,
        then,
    })
}

/// A step to a place, with its key or index evaluated.
enum Way {
    Key(Arc<str>),
    Index(i64),
}

impl Run<'_> {
    /// Evaluates an `update`; each case sees the value that the cases before it have left.
    pub(super) fn updated(&mut self, value: Value, cases: &[Change], env: &Env) -> Coerced<Value> {
        cases.iter().try_fold(value, |value, case| {
            let way = self.way(&case.place, env)?;
            let changed = self.at_place(&value, &way, case, env)?;
            Ok(changed.unwrap_or(value))
        })
    }

    fn way(&mut self, place: &[Place], env: &Env) -> Coerced<Vec<Way>> {
        let steps = place.iter().map(|step| {
            Ok(match step {
                Place::Key(Key::Fixed(key)) => Way::Key(key.clone()),
                Place::Key(Key::Computed(node)) => Way::Key(coerce::text(&self.eval(node, env)?)?),
                Place::Index(node) => self.index_way(node, env)?,
            })
        });
        steps.collect()
    }

    /// The step of `[index]`, in which a text is a key.
    fn index_way(&mut self, node: &Node, env: &Env) -> Coerced<Way> {
        let index = self.eval(node, env)?;
        match &index {
            Value::String(key) => Ok(Way::Key(key.clone())),
            _ => coerce::integer(&index).map(Way::Index),
        }
    }

    /// The value with the place at the end of a way changed; `None`: it stays as it is.
    fn at_place(
        &mut self,
        value: &Value,
        way: &[Way],
        case: &Change,
        env: &Env,
    ) -> Coerced<Option<Value>> {
        let Some((step, rest)) = way.split_first() else {
            return self.changed(value, case, env);
        };
        self.step(1)?;
        match (value, step) {
            (Value::Object(object), Way::Key(key)) => {
                let mut entries = object.entries().to_vec();
                self.copy(entries.len())?;
                let mut found = false;
                let mut changed = false;
                for (name, value) in &mut entries {
                    if **name != **key {
                        continue;
                    }
                    found = true;
                    let new = self.nested(|run| run.at_place(value, rest, case, env))?;
                    if let Some(new) = new {
                        *value = new;
                        changed = true;
                    }
                }
                if !found && case.inserts {
                    let new = self.nested(|run| run.at_place(&Value::Null, rest, case, env))?;
                    if let Some(new) = new {
                        entries.push((key.clone(), new));
                        changed = true;
                    }
                }
                changed.then(|| self.object(entries)).transpose()
            }
            // Like the selector: in each object of the list.
            (Value::Array(array), Way::Key(_)) => {
                let mut items = array.items().to_vec();
                self.copy(items.len())?;
                let mut changed = false;
                for item in &mut items {
                    if let Value::Object(_) = item
                        && let Some(new) = self.nested(|run| run.at_place(item, way, case, env))?
                    {
                        *item = new;
                        changed = true;
                    }
                }
                changed.then(|| self.array(items)).transpose()
            }
            (Value::Array(array), Way::Index(index)) => {
                let mut items = array.items().to_vec();
                self.copy(items.len())?;
                let length = i64::try_from(items.len()).unwrap_or(i64::MAX);
                let at = if *index < 0 { *index + length } else { *index };
                let at = usize::try_from(at).ok();
                if let Some(item) = at.and_then(|at| items.get_mut(at)) {
                    let Some(new) = self.nested(|run| run.at_place(item, rest, case, env))? else {
                        return Ok(None);
                    };
                    *item = new;
                } else if case.inserts && *index == length {
                    let new = self.nested(|run| run.at_place(&Value::Null, rest, case, env))?;
                    let Some(new) = new else { return Ok(None) };
                    items.push(new);
                } else {
                    return Ok(None);
                }
                self.array(items).map(Some)
            }
            // What is missing on the way is made.
            (Value::Null, Way::Key(_)) if case.inserts => {
                let empty = Value::object(Vec::new());
                self.at_place(&empty, way, case, env)
            }
            (Value::Null, Way::Index(_)) if case.inserts => {
                let empty = Value::array(Vec::new());
                self.at_place(&empty, way, case, env)
            }
            _ => Ok(None),
        }
    }

    /// The new value of a place; `None`: the case's condition does not hold.
    fn changed(&mut self, value: &Value, case: &Change, env: &Env) -> Coerced<Option<Value>> {
        let env = Frame::values(vec![(case.name.clone(), value.clone())], env);
        if let Some(when) = &case.when
            && !coerce::boolean(&self.eval(when, &env)?)?
        {
            return Ok(None);
        }
        let new = self.eval(&case.then, &env)?;
        if new.nesting().functions {
            return Err(EvalFault::new(
                "a function cannot be a value within another",
            ));
        }
        Ok(Some(new))
    }
}
