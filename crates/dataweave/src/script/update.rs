//! The operator `update`: a value with new values at some places within it.
//! ([Update](https://docs.mulesoft.com/dataweave/latest/dw-operators#update-operator))

use std::sync::Arc;

use super::EvalFault;
use super::coerce::{self, Coerced};
use super::cursor::{Cursor, Parsed};
use super::parse::{IMPLICIT, expression};
use super::run::{Env, Frame, Run};
use super::select::Wanted;
use super::tree::{Change, Node, Place};
use super::{body, path};
use crate::value::{Key, Value};

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
        if cursor.eat(".@") {
            place.push(Place::Attribute(path::key(cursor)?));
            break;
        } else if cursor.eat(".*") || cursor.eat(".") {
            // A key stands for all its values in either form.
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
        true => Some(cursor.inner(expression)?),
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
    Key(Wanted),
    Attribute(Wanted),
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
                Place::Key(key) => Way::Key(self.key(key, env)?),
                Place::Attribute(key) => Way::Attribute(self.key(key, env)?),
                Place::Index(node) => self.index_way(node, env)?,
            })
        });
        steps.collect()
    }

    /// The step of `[index]`, in which a text is a key.
    fn index_way(&mut self, node: &Node, env: &Env) -> Coerced<Way> {
        let index = self.eval(node, env)?;
        match &index {
            Value::String(name) => Ok(Way::Key(Wanted {
                name: name.clone(),
                namespace: None,
            })),
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
        match (value.plain(), step) {
            (Value::Object(object), Way::Key(key)) => {
                self.in_object(object.entries(), key, rest, case, env)
            }
            // Like the selector: in each object of the list.
            (Value::Array(array), Way::Key(_)) => self.in_each(array.items(), way, case, env),
            (Value::Array(array), Way::Index(index)) => {
                self.in_list(array.items(), *index, rest, case, env)
            }
            // Missing parts of the way are added.
            (Value::Null, Way::Key(key)) if case.inserts => {
                self.in_object(&[], key, rest, case, env)
            }
            (Value::Null, Way::Index(index)) if case.inserts => {
                self.in_list(&[], *index, rest, case, env)
            }
            _ => Ok(None),
        }
    }

    fn in_object(
        &mut self,
        entries: &[(Key, Value)],
        key: &Wanted,
        rest: &[Way],
        case: &Change,
        env: &Env,
    ) -> Coerced<Option<Value>> {
        let mut entries = entries.to_vec();
        self.copy(entries.len())?;
        let mut found = false;
        let mut changed = false;
        for (name, value) in &mut entries {
            if !name.is(&key.name, key.namespace.as_ref()) {
                continue;
            }
            found = true;
            if let [Way::Attribute(attribute)] = rest {
                if let Some(new) = self.with_attribute(name, attribute, case, env)? {
                    *name = new;
                    changed = true;
                }
            } else if let Some(new) = self.nested(|run| run.at_place(value, rest, case, env))? {
                *value = new;
                changed = true;
            }
        }
        if !found && case.inserts && !matches!(rest, [Way::Attribute(_)]) {
            let new = self.nested(|run| run.at_place(&Value::Null, rest, case, env))?;
            if let Some(new) = new {
                let name = Key::marked(key.name.clone(), key.namespace.clone(), Vec::new());
                entries.push((name, new));
                changed = true;
            }
        }
        changed.then(|| self.object(entries)).transpose()
    }

    fn in_each(
        &mut self,
        items: &[Value],
        way: &[Way],
        case: &Change,
        env: &Env,
    ) -> Coerced<Option<Value>> {
        let mut items = items.to_vec();
        self.copy(items.len())?;
        let mut changed = false;
        for item in &mut items {
            if let Value::Object(_) = item.plain()
                && let Some(new) = self.nested(|run| run.at_place(item, way, case, env))?
            {
                *item = new;
                changed = true;
            }
        }
        changed.then(|| self.array(items)).transpose()
    }

    fn in_list(
        &mut self,
        items: &[Value],
        index: i64,
        rest: &[Way],
        case: &Change,
        env: &Env,
    ) -> Coerced<Option<Value>> {
        let mut items = items.to_vec();
        self.copy(items.len())?;
        let length = i64::try_from(items.len()).unwrap_or(i64::MAX);
        let from = if index < 0 { length } else { 0 };
        let at = index
            .checked_add(from)
            .and_then(|at| usize::try_from(at).ok());
        let old = at.and_then(|at| items.get(at)).cloned();
        let Some(at) = at.filter(|_| old.is_some() || (case.inserts && index == length)) else {
            return Ok(None);
        };
        let old = old.unwrap_or_default();
        let Some(new) = self.nested(|run| run.at_place(&old, rest, case, env))? else {
            return Ok(None);
        };
        match items.get_mut(at) {
            Some(item) => *item = new,
            None => items.push(new),
        }
        self.array(items).map(Some)
    }

    /// A key with an attribute changed, or added if the case inserts; `None`: it stays as it is.
    fn with_attribute(
        &mut self,
        key: &Key,
        wanted: &Wanted,
        case: &Change,
        env: &Env,
    ) -> Coerced<Option<Key>> {
        let mut attributes = key.attributes().to_vec();
        let mut all = attributes.iter_mut();
        let found = all.find(|(name, _)| name.is(&wanted.name, wanted.namespace.as_ref()));
        match found {
            Some((_, value)) => match self.changed(value, case, env)? {
                Some(new) => *value = Value::String(coerce::text(&new)?),
                None => return Ok(None),
            },
            None if case.inserts => {
                let Some(new) = self.changed(&Value::Null, case, env)? else {
                    return Ok(None);
                };
                let namespace = wanted.namespace.clone();
                let name = Key::marked(wanted.name.clone(), namespace, Vec::new());
                attributes.push((name, Value::String(coerce::text(&new)?)));
            }
            None => return Ok(None),
        }
        let namespace = key.namespace().cloned();
        Ok(Some(Key::marked(key.name().clone(), namespace, attributes)))
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
