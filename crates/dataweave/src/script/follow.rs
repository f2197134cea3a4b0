//! Evaluates values with the selectors and arguments that follow them.

use std::sync::Arc;

use super::coerce::{self, Coerced, shown, unfit};
use super::functions::{entry_given, item_given, kept};
use super::run::{Env, Run};
use super::tree::{Key, Lambda, Node, Step};
use super::{EvalFault, select};
use crate::value::Value;
use crate::value::media::{Format, Typed};

impl Run<'_> {
    pub(super) fn path(&mut self, base: &Node, steps: &[Step], env: &Env) -> Coerced<Value> {
        let (mut found, mut steps) = (None, steps);
        if let Some((metadata, rest)) = self.metadata(base, steps, env)? {
            found = Some(Some(metadata));
            steps = rest;
        }
        // Reads a single variable without reading all of them.
        if let (None, Node::Name(name), [Step::Key(Key::Fixed(key)), rest @ ..]) =
            (&found, base, steps)
            && &*name.text == "vars"
            && self.local(&name.text, env)?.is_none()
        {
            let there = self.context.event.vars.contains_key(&**key);
            found = Some(if there { Some(self.var(key)?) } else { None });
            steps = rest;
            if let Some(selected) = found.as_mut()
                && let Some(marked) = self.marked(selected, steps.first(), key)?
            {
                found = Some(Some(marked));
                steps = &steps[1..];
            }
        }
        let mut value = match found {
            Some(found) => found.unwrap_or_default(),
            None => self.eval(base, env)?,
        };
        while let [step, rest @ ..] = steps {
            steps = rest;
            self.step(1)?;
            let (selected, name) = match step {
                Step::Call(args) => {
                    value = self.call_with(&value, args, env)?;
                    continue;
                }
                // Only parts of the event have metadata.
                Step::Meta(_) => {
                    value = Value::Null;
                    continue;
                }
                // Without a selector before them.
                Step::Present => {
                    value = (!value.is_null()).into();
                    continue;
                }
                Step::Required => {
                    if value.is_null() {
                        return Err(EvalFault::new("a value is required, found Null"));
                    }
                    continue;
                }
                _ => {
                    let asks = matches!(steps.first(), Some(Step::Present));
                    self.select(&value, step, asks, env)?
                }
            };
            let mut selected = selected;
            value = match self.marked(&mut selected, steps.first(), &name)? {
                Some(marked) => {
                    steps = &steps[1..];
                    marked
                }
                None => selected.unwrap_or_default(),
            };
        }
        Ok(value)
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

    /// The result and the name of a selector. If a `?` follows, a value without keys gives no result instead of an
    /// error.
    fn select(
        &mut self,
        value: &Value,
        step: &Step,
        asks: bool,
        env: &Env,
    ) -> Coerced<(Option<Value>, Arc<str>)> {
        let quiet = |selected: Coerced<Option<Value>>| match selected {
            Err(_) if asks && !matches!(value, Value::Object(_) | Value::Array(_)) => Ok(None),
            selected => selected,
        };
        Ok(match step {
            Step::Key(key) | Step::All(key) | Step::Deep(key) | Step::DeepAll(key) => {
                let key = self.key(key, env)?;
                let selected = match step {
                    Step::Key(_) => quiet(select::key(self, value, &key)),
                    Step::All(_) => quiet(select::all(self, value, &key)),
                    Step::Deep(_) => select::deep(self, value, &key, false),
                    _ => select::deep(self, value, &key, true),
                };
                (selected?, key)
            }
            Step::Descendants => (select::descendants(self, value)?, "..".into()),
            Step::Index(node) => {
                let index = self.eval(node, env)?;
                let name = shown(&index);
                (quiet(select::index(self, value, &index))?, name.into())
            }
            Step::Slice(from, to) => {
                let (from, to) = (self.eval(from, env)?, self.eval(to, env)?);
                (select::slice(self, value, &from, &to)?, "to".into())
            }
            Step::Filter(lambda) => (self.filter(value, lambda, env)?, "?".into()),
            Step::Meta(_) | Step::Present | Step::Required | Step::Call(_) => {
                (Some(value.clone()), "".into())
            }
        })
    }

    fn key(&mut self, key: &Key, env: &Env) -> Coerced<Arc<str>> {
        match key {
            Key::Fixed(key) => Ok(key.clone()),
            Key::Computed(node) => coerce::text(&self.eval(node, env)?),
        }
    }

    /// Evaluates `[?(condition)]`; `None`: nothing satisfies the condition.
    fn filter(&mut self, value: &Value, lambda: &Arc<Lambda>, env: &Env) -> Coerced<Option<Value>> {
        let test = self.closure(lambda, env)?;
        match value {
            Value::Null => Ok(None),
            Value::Array(array) => {
                let kept = kept(self, array.items(), &test, item_given)?;
                Ok((!kept.is_empty()).then(|| Value::array(kept)))
            }
            Value::Object(object) => {
                let kept = kept(self, object.entries(), &test, entry_given)?;
                Ok((!kept.is_empty()).then(|| Value::object(kept)))
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
