//! What an evaluation sees, and what it may still cost.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, OnceLock};

use super::coerce::{self, Coerced};
use super::functions::Builtin;
use super::tree::{Declaration, Declared, Lambda, Name};
use super::types::kind;
use super::{EvalFault, NESTING_MAX, STEPS_MAX, VALUE_DEPTH_MAX};
use crate::event::Context;
use crate::value::json;
use crate::value::regex::Pattern;
use crate::value::{Function, Object, Shape, Value};

/// A running evaluation.
pub(super) struct Run<'a> {
    pub context: &'a Context<'a>,
    steps_left: u32,
    nesting: u16,
    /// Parts of the event that have been read.
    payload: Option<Value>,
    vars: HashMap<Arc<str>, Value>,
}

/// Names and their values, and those around them.
pub(super) type Env = Option<Arc<Frame>>;

pub(super) struct Frame {
    slots: Slots,
    parent: Env,
    depth: u16,
}

enum Slots {
    Values(Vec<(Arc<str>, Value)>),
    /// Declarations of a header, each evaluated when it is first needed.
    Declared(Arc<[Declaration]>, Vec<OnceLock<Value>>),
}

impl Frame {
    /// A frame of values.
    pub fn values(values: Vec<(Arc<str>, Value)>, parent: &Env) -> Env {
        let around = parent.as_ref().map_or(0, |parent| parent.depth);
        let within = Shape::over(values.iter().map(|(_, value)| value)).depth;
        Some(Arc::new(Frame {
            slots: Slots::Values(values),
            parent: parent.clone(),
            depth: within.max(around.saturating_add(1)),
        }))
    }

    /// A frame of a header's declarations.
    pub fn declared(declarations: &Arc<[Declaration]>, parent: &Env) -> Env {
        if declarations.is_empty() {
            return parent.clone();
        }
        let around = parent.as_ref().map_or(0, |parent| parent.depth);
        let cells = declarations.iter().map(|_| OnceLock::new()).collect();
        Some(Arc::new(Frame {
            slots: Slots::Declared(declarations.clone(), cells),
            parent: parent.clone(),
            depth: around.saturating_add(1),
        }))
    }
}

/// A function, and what is around it.
#[derive(Clone)]
pub(crate) struct Closure(pub(super) Called);

/// What a call runs.
#[derive(Clone)]
pub(super) enum Called {
    Builtin(&'static Builtin),
    Lambda(Arc<Lambda>, Env),
}

impl Closure {
    pub(crate) fn shape(&self) -> Shape {
        let around = match &self.0 {
            Called::Lambda(_, Some(frame)) => frame.depth,
            _ => 0,
        };
        Shape {
            depth: around.saturating_add(1),
            functions: true,
        }
    }
}

impl fmt::Debug for Closure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Called::Builtin(builtin) => f.write_str(builtin.name),
            Called::Lambda(lambda, _) => {
                let names = lambda.params.iter().map(|param| &*param.name);
                write!(f, "({}) -> …", names.collect::<Vec<_>>().join(", "))
            }
        }
    }
}

/// What of a value tells it from others of its kind, for sets of values.
pub(super) type Mark = (crate::value::Kind, String);

impl<'a> Run<'a> {
    pub fn new(context: &'a Context<'a>) -> Run<'a> {
        Run {
            context,
            steps_left: STEPS_MAX,
            nesting: 0,
            payload: None,
            vars: HashMap::new(),
        }
    }

    /// Counts steps.
    pub fn step(&mut self, steps: usize) -> Coerced<()> {
        let steps = u32::try_from(steps).unwrap_or(u32::MAX);
        self.steps_left = self.steps_left.checked_sub(steps).ok_or_else(|| {
            EvalFault::new(format!(
                "the expression costs more than {STEPS_MAX} steps: simplify it, or bound its input"
            ))
        })?;
        Ok(())
    }

    /// Counts the copying of so many values.
    pub fn copy(&mut self, values: usize) -> Coerced<()> {
        self.step(values / 16)
    }

    /// Counts a text of that many bytes that is read.
    pub fn read(&mut self, bytes: usize) -> Coerced<()> {
        self.step(bytes / 1024)
    }

    /// Counts the making of a text of that many bytes, before it is made.
    pub fn text(&mut self, bytes: usize) -> Coerced<()> {
        coerce::check_text(bytes)?;
        self.read(bytes)
    }

    /// Evaluates what is within something else.
    pub fn nested<T>(&mut self, work: impl FnOnce(&mut Self) -> Coerced<T>) -> Coerced<T> {
        if self.nesting == NESTING_MAX {
            return Err(EvalFault::new(format!(
                "more than {NESTING_MAX} parts run inside one another: a function may call itself \
                 without end"
            )));
        }
        self.nesting += 1;
        let done = work(self);
        self.nesting -= 1;
        done
    }

    /// An array, unless it nests too deep.
    pub fn array(&mut self, items: Vec<Value>) -> Coerced<Value> {
        shallow(Value::array(items))
    }

    /// An object, unless it nests too deep.
    pub fn object(&mut self, entries: Vec<(Arc<str>, Value)>) -> Coerced<Value> {
        shallow(Value::object(entries))
    }

    /// The function of a lambda.
    pub fn closure(&mut self, lambda: &Arc<Lambda>, env: &Env) -> Coerced<Value> {
        let called = Called::Lambda(lambda.clone(), env.clone());
        shallow(Value::Function(Function(Closure(called))))
    }

    /// A regular expression; one that is made while the script runs costs more than one that it has.
    pub fn pattern(&mut self, value: &Value) -> Coerced<Pattern> {
        if !matches!(value, Value::Regex(_)) {
            self.step(1000)?;
        }
        coerce::pattern(value)
    }

    /// What tells a value from others in a set.
    pub fn mark(&mut self, value: &Value) -> Coerced<Mark> {
        let layout = json::Layout {
            indent: false,
            ..json::Layout::default()
        };
        let text = match value {
            Value::DateTime(at) => at.timestamp().to_string(),
            _ => json::write(value, layout)?,
        };
        self.read(text.len())?;
        Ok((value.kind(), text))
    }

    /// A set of values.
    pub fn set(&mut self, values: &[Value]) -> Coerced<HashSet<Mark>> {
        values.iter().map(|value| self.mark(value)).collect()
    }

    /// The value of a name: of the script, of the event, a function, a type.
    pub fn name(&mut self, name: &Name, env: &Env) -> Coerced<Value> {
        if let Some(value) = self.local(&name.text, env)? {
            return Ok(value);
        }
        if let Some(value) = self.part(&name.text)? {
            return Ok(value);
        }
        if let Some(builtin) = name.builtin {
            let called = Called::Builtin(builtin);
            return Ok(Value::Function(Function(Closure(called))));
        }
        if let Some(kind) = kind(&name.text) {
            return Ok(Value::Type(kind));
        }
        Err(EvalFault::new(format!(
            "there is no `{}`: variables of the flow are `vars.{}`, and texts stand in quotes",
            name.text, name.text
        )))
    }

    /// The value that the script itself gives a name.
    pub fn local(&mut self, name: &Arc<str>, env: &Env) -> Coerced<Option<Value>> {
        let mut frame = env.as_ref();
        while let Some(here) = frame {
            match &here.slots {
                Slots::Values(values) => {
                    // Of two of one name the later one counts.
                    let mut values = values.iter().rev();
                    if let Some((_, value)) = values.find(|(known, _)| known == name) {
                        return Ok(Some(value.clone()));
                    }
                }
                Slots::Declared(declarations, cells) => {
                    let at = declarations.iter().position(|known| known.name == *name);
                    if let Some(at) = at {
                        return self
                            .declaration(here, &declarations[at], &cells[at])
                            .map(Some);
                    }
                }
            }
            frame = here.parent.as_ref();
        }
        Ok(None)
    }

    fn declaration(
        &mut self,
        frame: &Arc<Frame>,
        declaration: &Declaration,
        cell: &OnceLock<Value>,
    ) -> Coerced<Value> {
        if let Some(value) = cell.get() {
            return Ok(value.clone());
        }
        let env = Some(frame.clone());
        let (node, of) = match &declaration.what {
            Declared::Fun(lambda) => return self.closure(lambda, &env),
            Declared::Var { value, of } => (value, of),
        };
        let mut value = self.eval(node, &env)?;
        if let Some(of) = of {
            value = coerce::to_type(&value, of, self.context.zone)?;
        }
        // A function holds its frame: kept there, neither would ever be dropped.
        if !value.shape().functions {
            // It is set already where the variable's value asked for itself in vain.
            let _ = cell.set(value.clone());
        }
        Ok(value)
    }

    /// A part of the event, or of what is around it.
    fn part(&mut self, name: &str) -> Coerced<Option<Value>> {
        let event = self.context.event;
        Ok(Some(match name {
            "payload" => self.payload()?,
            "attributes" => event.attributes.clone(),
            "vars" => {
                let mut entries = Vec::with_capacity(event.vars.len());
                for name in event.vars.keys() {
                    entries.push((name.clone(), self.var(name)?));
                }
                Value::Object(Arc::new(Object::new(entries, crate::value::Form::Plain)))
            }
            "error" => event.error.clone(),
            "message" => Value::record([
                ("payload", self.payload()?),
                ("attributes", event.attributes.clone()),
            ]),
            "correlationId" => Value::String(event.correlation_id.clone()),
            "flow" => Value::record([("name", self.context.flow.into())]),
            "app" => Value::record([("name", self.context.app.into())]),
            "server" => {
                let zone = self.context.zone.clone();
                let now = self.context.now.to_zoned(zone.clone());
                Value::record([
                    ("dateTime", Value::DateTime(now.into())),
                    ("timeZone", Value::Zone(zone)),
                ])
            }
            // The release whose documentation this follows.
            "mule" => Value::record([("version", "4.4.0".into())]),
            _ => return Ok(None),
        }))
    }

    fn payload(&mut self) -> Coerced<Value> {
        if let Some(payload) = &self.payload {
            return Ok(payload.clone());
        }
        let payload = &self.context.event.payload;
        let value = payload
            .read()
            .map_err(|fault| in_part("the payload", fault))?;
        self.payload = Some(value.clone());
        Ok(value)
    }

    /// A variable of the flow; null where there is none.
    pub fn var(&mut self, name: &str) -> Coerced<Value> {
        if let Some(value) = self.vars.get(name) {
            return Ok(value.clone());
        }
        let Some((name, typed)) = self.context.event.vars.get_key_value(name) else {
            return Ok(Value::Null);
        };
        let value = typed
            .read()
            .map_err(|fault| in_part(&format!("vars.{name}"), fault))?;
        self.vars.insert(name.clone(), value.clone());
        Ok(value)
    }
}

fn in_part(part: &str, fault: EvalFault) -> EvalFault {
    EvalFault::new(format!("{part} cannot be read: {}", fault.description))
}

fn shallow(value: Value) -> Coerced<Value> {
    if value.shape().depth > VALUE_DEPTH_MAX {
        return Err(EvalFault::new(format!(
            "more than {VALUE_DEPTH_MAX} arrays, objects and functions are inside one another"
        )));
    }
    Ok(value)
}
