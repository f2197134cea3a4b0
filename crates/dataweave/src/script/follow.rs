//! Evaluates values with the selectors and arguments that follow them.

use std::sync::Arc;

use super::coerce::{self, Coerced, shown, unfit};
use super::functions::{entry_given, item_given, kept};
use super::run::{Env, Run};
use super::select::Wanted;
use super::tree::{Key, Lambda, Node, Step};
use super::{EvalFault, operators, select};
use crate::value::Value;
use crate::value::media::{Format, Typed};

/// The result of a selector, if it selects something, and its name.
type Found = (Option<Value>, Arc<str>);

impl Run<'_> {
    pub(super) fn path(&mut self, base: &Node, steps: &[Step], env: &Env) -> Coerced<Value> {
        let (mut value, mut steps) = match self.part_of_event(base, steps, env)? {
            Some(found) => found,
            None => (self.eval(base, env)?, steps),
        };
        while let [step, rest @ ..] = steps {
            self.step(1)?;
            (value, steps) = self.followed(value, step, rest, env)?;
        }
        Ok(value)
    }

    /// A single variable, without reading all of them, or the metadata of a part of the event, with the steps after it.
    fn part_of_event<'s>(
        &mut self,
        base: &Node,
        steps: &'s [Step],
        env: &Env,
    ) -> Coerced<Option<(Value, &'s [Step])>> {
        if let Some(found) = self.metadata(base, steps, env)? {
            return Ok(Some(found));
        }
        let (Node::Name(name), [Step::Key(Key::Fixed(key)), rest @ ..]) = (base, steps) else {
            return Ok(None);
        };
        if &*name.text != "vars" || self.local(&name.text, env)?.is_some() {
            return Ok(None);
        }
        let there = self.context.event.vars.contains_key(&**key);
        let mut found = if there { Some(self.var(key)?) } else { None };
        Ok(Some(match self.marked(&mut found, rest.first(), key)? {
            Some(marked) => (marked, &rest[1..]),
            None => (found.unwrap_or_default(), rest),
        }))
    }

    /// The value after a step, with the steps after it.
    fn followed<'s>(
        &mut self,
        value: Value,
        step: &Step,
        rest: &'s [Step],
        env: &Env,
    ) -> Coerced<(Value, &'s [Step])> {
        match step {
            Step::Call(args) => Ok((self.call_with(&value, args, env)?, rest)),
            // Only parts of the event have metadata.
            Step::Meta(_) => Ok((Value::Null, rest)),
            // Without a selector before them.
            Step::Present => Ok(((!value.is_null()).into(), rest)),
            Step::Required if value.is_null() => {
                Err(EvalFault::new("a value is required, found Null"))
            }
            Step::Required => Ok((value, rest)),
            _ => self.selected(&value, step, rest, env),
        }
    }

    /// The value of a selector, with the steps after it and after its `?` or `!`.
    fn selected<'s>(
        &mut self,
        value: &Value,
        step: &Step,
        rest: &'s [Step],
        env: &Env,
    ) -> Coerced<(Value, &'s [Step])> {
        let asks = matches!(rest.first(), Some(Step::Present));
        let (mut selected, name) = match self.select(value, step, env) {
            // Asked for a key, a value without keys has none.
            Err(_) if asks && is_keyless(value, step) => (None, "".into()),
            selected => selected?,
        };
        Ok(match self.marked(&mut selected, rest.first(), &name)? {
            Some(marked) => (marked, &rest[1..]),
            None => (selected.unwrap_or_default(), rest),
        })
    }

    /// Applies a following `?` or `!` to the result of a selector.
    fn marked(
        &mut self,
        selected: &mut Option<Value>,
        next: Option<&Step>,
        name: &str,
    ) -> Coerced<Option<Value>> {
        match next {
            Some(Step::Present) => Ok(Some(selected.is_some().into())),
            Some(Step::Required) => match selected.take() {
                Some(value) => Ok(Some(value)),
                None => Err(EvalFault::new(format!(
                    "the key `{name}` is required, and missing"
                ))),
            },
            _ => Ok(None),
        }
    }

    /// The result and the name of a selector. Each kind is a method of its own, so that one does not hold the others'
    /// values on the stack.
    fn select(&mut self, value: &Value, step: &Step, env: &Env) -> Coerced<Found> {
        match step {
            Step::Index(node) => self.indexed(value, node, env),
            Step::Slice(from, to) => self.sliced(value, from, to, env),
            Step::Filter(lambda) => Ok((self.filter(value, lambda, env)?, "?".into())),
            Step::Descendants => Ok((select::descendants(self, value)?, "..".into())),
            Step::Attributes => Ok((select::attributes(value), "@".into())),
            Step::Namespace => Ok((select::namespace(value), "#".into())),
            Step::Key(key)
            | Step::All(key)
            | Step::Deep(key)
            | Step::DeepAll(key)
            | Step::Attribute(key)
            | Step::DeepAttribute(key)
            | Step::Entries(key)
            | Step::DeepEntries(key) => self.keyed(value, step, key, env),
            Step::Meta(_) | Step::Present | Step::Required | Step::Call(_) => {
                Ok((Some(value.clone()), "".into()))
            }
        }
    }

    fn indexed(&mut self, value: &Value, node: &Node, env: &Env) -> Coerced<Found> {
        let index = self.eval(node, env)?;
        let name = shown(&index);
        Ok((select::index(self, value, &index)?, name.into()))
    }

    fn sliced(&mut self, value: &Value, from: &Node, to: &Node, env: &Env) -> Coerced<Found> {
        let (from, to) = (self.eval(from, env)?, self.eval(to, env)?);
        Ok((select::slice(self, value.plain(), &from, &to)?, "to".into()))
    }

    fn keyed(&mut self, value: &Value, step: &Step, key: &Key, env: &Env) -> Coerced<Found> {
        let key = self.key(key, env)?;
        let selected = match step {
            Step::All(_) => select::all(self, value, &key),
            Step::Deep(_) => select::deep(self, value, &key, false),
            Step::DeepAll(_) => select::deep(self, value, &key, true),
            Step::Attribute(_) => select::attribute(self, value, &key),
            Step::Entries(_) => select::entries(self, value, &key),
            Step::DeepEntries(_) | Step::DeepAttribute(_) => {
                let all = select::descendants(self, value)?.unwrap_or_default();
                match step {
                    Step::DeepAttribute(_) => select::attribute(self, &all, &key),
                    _ => {
                        let own = select::entries(self, value, &key)?;
                        let inner = select::entries(self, &all, &key)?;
                        match (own, inner) {
                            (Some(own), Some(inner)) => {
                                operators::concat(self, &own, &inner).map(Some)
                            }
                            (own, inner) => Ok(own.or(inner)),
                        }
                    }
                }
            }
            _ => select::key(self, value, &key),
        };
        Ok((selected?, key.name))
    }

    pub(super) fn key(&mut self, key: &Key, env: &Env) -> Coerced<Wanted> {
        Ok(match key {
            Key::Fixed(name) => Wanted {
                name: name.clone(),
                namespace: None,
            },
            Key::Computed(node) => Wanted {
                name: coerce::text(&self.eval(node, env)?)?,
                namespace: None,
            },
            Key::Spaced(spaced) => Wanted {
                namespace: Some(spaced.0.clone()),
                ..self.key(&spaced.1, env)?
            },
        })
    }

    /// Evaluates `[?(condition)]`; `None`: nothing satisfies the condition.
    fn filter(&mut self, value: &Value, lambda: &Arc<Lambda>, env: &Env) -> Coerced<Option<Value>> {
        let test = self.closure(lambda, env)?;
        match value.plain() {
            Value::Null => Ok(None),
            Value::Array(array) => {
                let kept = kept(self, array.items(), &test, item_given)?;
                Ok((!kept.is_empty()).then(|| Value::array(kept)))
            }
            Value::Object(object) => {
                let kept = kept(self, object.entries(), &test, entry_given)?;
                Ok((!kept.is_empty()).then(|| Value::keyed(kept)))
            }
            _ => Err(unfit("`[?(…)]` expects an array or object", value)),
        }
    }

    /// The metadata of a part of the event, `payload.^mimeType` or `vars.a.^mimeType`, with the steps after it.
    fn metadata<'s>(
        &mut self,
        base: &Node,
        steps: &'s [Step],
        env: &Env,
    ) -> Coerced<Option<(Value, &'s [Step])>> {
        let Node::Name(name) = base else {
            return Ok(None);
        };
        if !steps
            .iter()
            .take(2)
            .any(|step| matches!(step, Step::Meta(_)))
            || self.local(&name.text, env)?.is_some()
        {
            return Ok(None);
        }
        let event = self.context.event;
        let java = Typed::java(Value::Null);
        Ok(match (&*name.text, steps) {
            ("payload", [Step::Meta(what), rest @ ..]) => Some((meta(&event.payload, what), rest)),
            ("attributes" | "error", [Step::Meta(what), rest @ ..]) => {
                Some((meta(&java, what), rest))
            }
            ("message", [Step::Key(Key::Fixed(key)), Step::Meta(what), rest @ ..])
                if &**key == "payload" =>
            {
                Some((meta(&event.payload, what), rest))
            }
            ("vars", [Step::Key(Key::Fixed(key)), Step::Meta(what), rest @ ..]) => {
                let of = event.vars.get(key);
                Some((of.map(|of| meta(of, what)).unwrap_or_default(), rest))
            }
            _ => None,
        })
    }
}

/// True if a selector by key or index is asked of a value that has neither.
fn is_keyless(value: &Value, step: &Step) -> bool {
    let by_key = matches!(
        step,
        Step::Key(_) | Step::All(_) | Step::Entries(_) | Step::Index(_)
    );
    by_key && !matches!(value.plain(), Value::Object(_) | Value::Array(_))
}

/// Metadata of a value by its name; null for what the value does not have.
fn meta(of: &Typed, name: &str) -> Value {
    match (name, &of.value) {
        ("mimeType", _) => of.media_type.essence().into(),
        ("mediaType", _) => of.media_type.as_str().into(),
        ("encoding", _) => of.media_type.charset().into(),
        ("contentLength", Value::String(text)) => {
            crate::value::number::Number::from(text.len()).into()
        }
        ("contentLength", Value::Binary(bytes)) => {
            crate::value::number::Number::from(bytes.len()).into()
        }
        ("raw", Value::String(text)) => Value::bytes(text.as_bytes().to_vec()),
        ("raw", Value::Binary(_)) => of.value.clone(),
        ("class", Value::String(_)) if of.media_type.format() == Format::Java => {
            "java.lang.String".into()
        }
        _ => Value::Null,
    }
}
