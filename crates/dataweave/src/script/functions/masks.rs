//! The module `dw::util::Values`: new values at all places of a name within a value, `a mask "b" with c`.
//! ([Values](https://docs.mulesoft.com/dataweave/latest/dw-values))

use super::{Builtin, applied, misfit, plain};
use crate::script::EvalFault;
use crate::script::coerce::{self, Coerced};
use crate::script::run::Run;
use crate::value::{Key, Value};

pub(super) const FUNCTIONS: &[Builtin] = &[
    plain(MASK, 2, |_, _| {
        let what = "`mask` and `with` belong together: write `a mask b with c`";
        Err(EvalFault::new(what))
    }),
    plain("field", 1, |run, args| element(run, FIELD, args)).up_to(2),
    plain("attr", 1, |run, args| element(run, ATTRIBUTE, args)).up_to(2),
    plain("index", 1, |run, args| element(run, INDEX, args)),
];

pub(in crate::script) const MASK: &str = "mask";

/// The kinds of elements of a path, by their names in DataWeave.
const FIELD: &str = "Object";
const ATTRIBUTE: &str = "Attribute";
const INDEX: &str = "Array";

/// An element of a path as an object. Before the name there may be a namespace.
fn element(run: &mut Run<'_>, kind: &str, args: &[Value]) -> Coerced<Value> {
    let (namespace, selector) = match args {
        [namespace, selector] => (namespace.clone(), selector),
        _ => (Value::Null, &args[0]),
    };
    if !namespace.is_null() {
        let what = "path elements with a namespace are not supported: leave the namespace out";
        return Err(EvalFault::new(what));
    }
    let selector = match kind {
        INDEX => selector.clone(),
        _ => Value::String(coerce::text(selector)?),
    };
    run.object(vec![
        ("kind".into(), kind.into()),
        ("namespace".into(), namespace),
        ("selector".into(), selector),
    ])
}

/// The places that a mask takes.
enum Mask {
    Field(Value),
    Attribute(Value),
    Index(Value),
}

impl Mask {
    fn read(selector: &Value) -> Coerced<Mask> {
        let element = match selector.plain() {
            text @ Value::String(_) => return Ok(Mask::Field(text.clone())),
            number @ Value::Number(_) => return Ok(Mask::Index(number.clone())),
            Value::Object(element) => element,
            other => return Err(unfit(other)),
        };
        let part = |name: &str| {
            let mut entries = element.entries().iter();
            entries.find_map(|(key, value)| (**key == *name).then_some(value))
        };
        let (Some(Value::String(kind)), Some(selector)) = (part("kind"), part("selector")) else {
            return Err(unfit(selector));
        };
        match &**kind {
            FIELD => Ok(Mask::Field(selector.clone())),
            ATTRIBUTE => Ok(Mask::Attribute(selector.clone())),
            INDEX => Ok(Mask::Index(selector.clone())),
            _ => Err(unfit(&Value::Object(element.clone()))),
        }
    }
}

fn unfit(selector: &Value) -> EvalFault {
    let expected = "a name, an index, or `field`, `attr` or `index` of one";
    misfit(MASK, expected, selector)
}

/// Replaces the simple values at the places that `selector` names, at any depth. Where the new value is a function, it
/// gets the old one and the elements of the path to it.
pub(in crate::script) fn mask(
    run: &mut Run<'_>,
    value: &Value,
    selector: &Value,
    by: &Value,
) -> Coerced<Value> {
    let mask = Mask::read(selector)?;
    within(run, value, &mask, by, &mut Vec::new())
}

/// The value with new ones at its places. Values have a bounded depth, and so has the recursion.
fn within(
    run: &mut Run<'_>,
    value: &Value,
    mask: &Mask,
    by: &Value,
    path: &mut Vec<Value>,
) -> Coerced<Value> {
    match value.plain() {
        Value::Object(object) => {
            let mut entries = Vec::with_capacity(object.entries().len());
            for (key, value) in object.entries() {
                let key = attributes(run, key, mask, by, path)?;
                let name = Value::String(key.name().clone());
                let masked = matches!(mask, Mask::Field(wanted) if *wanted == name);
                let value = step(run, (FIELD, name), value, masked, (mask, by), path)?;
                entries.push((key, value));
            }
            run.object(entries)
        }
        Value::Array(array) => {
            let mut items = Vec::with_capacity(array.items().len());
            for (at, value) in array.items().iter().enumerate() {
                let at = super::count(at);
                let masked = matches!(mask, Mask::Index(wanted) if *wanted == at);
                let item = step(run, (INDEX, at), value, masked, (mask, by), path)?;
                items.push(item);
            }
            run.array(items)
        }
        simple => Ok(simple.clone()),
    }
}

/// The value of one element further along the path.
fn step(
    run: &mut Run<'_>,
    (kind, selector): (&str, Value),
    value: &Value,
    masked: bool,
    (mask, by): (&Mask, &Value),
    path: &mut Vec<Value>,
) -> Coerced<Value> {
    path.push(element(run, kind, &[selector])?);
    let new = match value.plain() {
        Value::Object(_) | Value::Array(_) => within(run, value, mask, by, path),
        simple if masked => new_value(run, simple, by, path),
        simple => Ok(simple.clone()),
    };
    path.pop();
    new
}

fn new_value(run: &mut Run<'_>, old: &Value, by: &Value, path: &[Value]) -> Coerced<Value> {
    let elements = run.array(path.to_vec())?;
    applied(run, by, vec![old.clone(), elements])
}

/// The key with new values of its attributes.
fn attributes(
    run: &mut Run<'_>,
    key: &Key,
    mask: &Mask,
    by: &Value,
    path: &mut Vec<Value>,
) -> Coerced<Key> {
    let Mask::Attribute(Value::String(wanted)) = mask else {
        return Ok(key.clone());
    };
    if !key.attributes().iter().any(|(name, _)| **name == **wanted) {
        return Ok(key.clone());
    }
    let mut all = key.attributes().to_vec();
    let element = element(run, ATTRIBUTE, &[Value::String(wanted.clone())])?;
    path.push(element);
    for (name, value) in &mut all {
        if **name == **wanted {
            *value = new_value(run, value, by, path)?;
        }
    }
    path.pop();
    Ok(Key::marked(
        key.name().clone(),
        key.namespace().cloned(),
        all,
    ))
}
