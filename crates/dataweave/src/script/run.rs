//! The state of an evaluation, and its budget.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, OnceLock};

use super::coerce::{self, Coerced};
use super::functions::Builtin;
use super::tree::{Declaration, Declared, Lambda, Name};
use super::{EvalFault, NESTING_MAX, STEPS_MAX, VALUE_DEPTH_MAX, types};
use crate::event::Context;
use crate::value::json;
use crate::value::regex::Pattern;
use crate::value::{Function, Key, Nesting, Value};

/// A running evaluation.
pub(super) struct Run<'a> {
    pub context: &'a Context<'a>,
    steps_left: u32,
    nesting: u16,
    /// True if the last error is one that the script itself raised.
    refused: bool,
    /// The parts of the event that have been read.
    payload: Option<Value>,
    vars: HashMap<Arc<str>, Value>,
}

/// The names in scope with their values, innermost first.
pub(super) type Env = Option<Arc<Frame>>;

pub(super) struct Frame {
    slots: Slots,
    parent: Env,
    depth: u16,
}

enum Slots {
    Values(Vec<(Arc<str>, Value)>),
    /// The declarations of a header, each evaluated at its first use.
    Declared(Arc<[Declaration]>, Vec<OnceLock<Value>>),
}

impl Frame {
    /// Makes a frame of values.
    pub fn values(values: Vec<(Arc<str>, Value)>, parent: &Env) -> Env {
        let around = parent.as_ref().map_or(0, |parent| parent.depth);
        let within = Nesting::over(values.iter().map(|(_, value)| value)).depth;
        Some(Arc::new(Frame {
            slots: Slots::Values(values),
            parent: parent.clone(),
            depth: within.max(around.saturating_add(1)),
        }))
    }

    /// Makes a frame of a header's declarations.
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

/// A function with the names in its scope.
#[derive(Clone)]
pub(crate) struct Closure(pub(super) Callee);

/// The target of a call.
#[derive(Clone)]
pub(super) enum Callee {
    Builtin(&'static Builtin),
    Lambda(Arc<Lambda>, Env),
    /// Functions of one name.
    Overloads(Arc<Vec<Arc<Lambda>>>, Env),
}

impl Closure {
    pub(crate) fn nesting(&self) -> Nesting {
        let around = match &self.0 {
            Callee::Lambda(_, Some(frame)) | Callee::Overloads(_, Some(frame)) => frame.depth,
            _ => 0,
        };
        Nesting {
            depth: around.saturating_add(1),
            functions: true,
            selected: false,
        }
    }
}

impl fmt::Debug for Closure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Callee::Builtin(builtin) => f.write_str(builtin.name),
            Callee::Overloads(lambdas, _) => write!(f, "{} functions", lambdas.len()),
            Callee::Lambda(lambda, _) => {
                let names = lambda.params.iter().map(|param| &*param.name);
                write!(f, "({}) -> …", names.collect::<Vec<_>>().join(", "))
            }
        }
    }
}

/// A key that is equal for equal values, for sets of values.
pub(super) type SetKey = (crate::value::Kind, String);

impl<'a> Run<'a> {
    pub fn new(context: &'a Context<'a>) -> Run<'a> {
        Run {
            context,
            steps_left: STEPS_MAX,
            nesting: 0,
            refused: false,
            payload: None,
            vars: HashMap::new(),
        }
    }

    /// Takes steps from the budget.
    pub fn step(&mut self, steps: usize) -> Coerced<()> {
        let steps = u32::try_from(steps).unwrap_or(u32::MAX);
        self.steps_left = self.steps_left.checked_sub(steps).ok_or_else(|| {
            EvalFault::new(format!(
                "the expression costs more than {STEPS_MAX} steps: simplify it, or bound its input"
            ))
        })?;
        Ok(())
    }

    /// Takes the steps for copying values.
    pub fn copy(&mut self, values: usize) -> Coerced<()> {
        self.step(values / 16)
    }

    /// Takes the steps for reading a text of some bytes.
    pub fn read(&mut self, bytes: usize) -> Coerced<()> {
        self.step(bytes / 1024)
    }

    /// Takes the steps for making a text of some bytes, before it is made.
    pub fn text(&mut self, bytes: usize) -> Coerced<()> {
        coerce::check_text(bytes)?;
        self.read(bytes)
    }

    /// The error that a script raises itself.
    pub fn refused(&mut self, message: &str) -> EvalFault {
        self.refused = true;
        EvalFault::new(message)
    }

    /// True if the script raised the last error itself; forgets it.
    pub fn take_refusal(&mut self) -> bool {
        std::mem::take(&mut self.refused)
    }

    /// Lets the caller wait after the evaluation.
    pub fn wait(&mut self, millis: u64) -> Coerced<()> {
        match self.context.waits {
            Some(waits) => waits.add(millis),
            None => Ok(()),
        }
    }

    /// Evaluates a nested part, up to the limit of nesting.
    pub fn nested<T>(&mut self, work: impl FnOnce(&mut Self) -> Coerced<T>) -> Coerced<T> {
        if self.nesting == NESTING_MAX {
            return Err(EvalFault::new(format!(
                "more than {NESTING_MAX} nested parts are evaluated: a function may call itself \
                 without end"
            )));
        }
        self.nesting += 1;
        let done = work(self);
        self.nesting -= 1;
        done
    }

    /// Makes an array, unless it is nested too deep.
    pub fn array(&mut self, items: Vec<Value>) -> Coerced<Value> {
        shallow(Value::array(items))
    }

    /// Makes an object, unless it is nested too deep.
    pub fn object(&mut self, entries: Vec<(Key, Value)>) -> Coerced<Value> {
        shallow(Value::keyed(entries))
    }

    /// Makes a function of a lambda.
    pub fn closure(&mut self, lambda: &Arc<Lambda>, env: &Env) -> Coerced<Value> {
        let called = Callee::Lambda(lambda.clone(), env.clone());
        shallow(Value::Function(Function(Closure(called))))
    }

    /// A regular expression; one that is compiled during the evaluation costs additional steps.
    pub fn pattern(&mut self, value: &Value) -> Coerced<Pattern> {
        if !matches!(value, Value::Regex(_)) {
            self.step(1000)?;
        }
        coerce::pattern(value)
    }

    /// The key of a value in a set.
    pub fn set_key(&mut self, value: &Value) -> Coerced<SetKey> {
        let text = match value {
            Value::DateTime(at) => at.timestamp().to_string(),
            Value::Binary(bytes) => format!("{bytes:?}"),
            _ => json::write(value, json::Layout::ON_ONE_LINE)?,
        };
        self.read(text.len())?;
        Ok((value.kind(), text))
    }

    /// Makes a set of values.
    pub fn set(&mut self, values: &[Value]) -> Coerced<HashSet<SetKey>> {
        values.iter().map(|value| self.set_key(value)).collect()
    }

    /// The value of a name: of the script, of the event, a function, or a type.
    pub fn name(&mut self, name: &Name, env: &Env) -> Coerced<Value> {
        if let Some(value) = self.local(&name.text, env)? {
            return Ok(value);
        }
        if let Some(value) = self.part(&name.text)? {
            return Ok(value);
        }
        if let Some(builtin) = name.builtin {
            let called = Callee::Builtin(builtin);
            return Ok(Value::Function(Function(Closure(called))));
        }
        if let Some(kind) = types::kind(&name.text) {
            return Ok(Value::Type(kind));
        }
        let name = &name.text;
        Err(EvalFault::new(format!(
            "unknown name `{name}`: variables of the flow are `vars.{name}`, and texts need quotes"
        )))
    }

    /// The value of a name that the script itself declares.
    pub fn local(&mut self, name: &Arc<str>, env: &Env) -> Coerced<Option<Value>> {
        let mut frame = env.as_ref();
        while let Some(here) = frame {
            match &here.slots {
                Slots::Values(values) => {
                    // The last of equal names applies.
                    let mut values = values.iter().rev();
                    if let Some((_, value)) = values.find(|(known, _)| known == name) {
                        return Ok(Some(value.clone()));
                    }
                }
                Slots::Declared(declarations, cells) => {
                    let mut known = declarations.iter().zip(cells);
                    if let Some((found, cell)) = known.find(|(known, _)| known.name == *name) {
                        return self.declaration(here, found, cell).map(Some);
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
            Declared::Fun(lambdas) => match lambdas.as_slice() {
                [lambda] => return self.closure(lambda, &env),
                _ => {
                    let called = Callee::Overloads(lambdas.clone(), env);
                    return shallow(Value::Function(Function(Closure(called))));
                }
            },
            Declared::Var { value, of } => (value, of),
            // The names of the module mean its own declarations.
            Declared::Own(own, name) => {
                let env = Frame::declared(&own.declarations, &None);
                return Ok(self.local(name, &env)?.unwrap_or(Value::Null));
            }
        };
        let mut value = self.eval(node, &env)?;
        if let Some(of) = of {
            value = coerce::to_type(&value, of, self.context.zone)?;
        }
        // A function holds its frame; stored in the frame, neither would ever be dropped.
        if !value.nesting().functions {
            // Already set if evaluating the variable has used the variable.
            let _ = cell.set(value.clone());
        }
        Ok(value)
    }

    /// A part of the event or of its context.
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
                Value::object(entries)
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
            // The release that the documentation describes.
            "mule" => Value::record([("version", "4.4.0".into())]),
            _ => return Ok(None),
        }))
    }

    fn payload(&mut self) -> Coerced<Value> {
        if let Some(payload) = &self.payload {
            return Ok(payload.clone());
        }
        let value = self.context.event.payload.read();
        let value = value.map_err(|fault| in_part("the payload", fault))?;
        self.payload = Some(value.clone());
        Ok(value)
    }

    /// A variable of the flow; null if it is not set.
    pub fn var(&mut self, name: &str) -> Coerced<Value> {
        if let Some(value) = self.vars.get(name) {
            return Ok(value.clone());
        }
        let Some((name, typed)) = self.context.event.vars.get_key_value(name) else {
            return Ok(Value::Null);
        };
        let value = typed.read();
        let value = value.map_err(|fault| in_part(&format!("vars.{name}"), fault))?;
        self.vars.insert(name.clone(), value.clone());
        Ok(value)
    }
}

fn in_part(part: &str, fault: EvalFault) -> EvalFault {
    EvalFault::new(format!("{part} cannot be read: {}", fault.description))
}

fn shallow(value: Value) -> Coerced<Value> {
    if value.nesting().depth > VALUE_DEPTH_MAX {
        return Err(EvalFault::new(format!(
            "more than {VALUE_DEPTH_MAX} nested arrays, objects and functions"
        )));
    }
    Ok(value)
}
