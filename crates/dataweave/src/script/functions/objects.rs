//! The module `dw::core::Objects`.
//! ([Objects](https://docs.mulesoft.com/dataweave/latest/dw-objects))

use super::object::{entries_of, keys, names, values};
use super::{Builtin, applied, entry_given, misfit, of_object, plain};
use crate::script::coerce::{self, Coerced};
use crate::script::run::Run;
use crate::value::Value;

pub(super) const FUNCTIONS: &[Builtin] = &[
    of_object("entrySet", 1, entries_of),
    of_object("keySet", 1, keys),
    of_object("nameSet", 1, names),
    of_object("valueSet", 1, values),
    plain("everyEntry", 2, |run, args| {
        any(run, args, "everyEntry", false)
    })
    .higher(),
    plain("someEntry", 2, |run, args| {
        any(run, args, "someEntry", true)
    })
    .higher(),
    plain("mergeWith", 2, merge_with),
];

/// Evaluates `someEntry` (`wanted` is true) or `everyEntry` (false). Null has no entries.
fn any(run: &mut Run<'_>, args: &[Value], name: &str, wanted: bool) -> Coerced<Value> {
    match &args[0] {
        Value::Null => {}
        Value::Object(object) => {
            for (at, entry) in object.entries().iter().enumerate() {
                let holds = applied(run, &args[1], entry_given(at, entry))?;
                if coerce::boolean(&holds)? == wanted {
                    return Ok(wanted.into());
                }
            }
        }
        other => return Err(misfit(name, "an object", other)),
    }
    Ok((!wanted).into())
}

/// Adds the entries of the second object to those of the first whose keys the second does not have.
fn merge_with(run: &mut Run<'_>, args: &[Value]) -> Coerced<Value> {
    let (source, target) = match (&args[0], &args[1]) {
        (Value::Null, other) | (other, Value::Null) => return Ok(other.clone()),
        (Value::Object(source), Value::Object(target)) => (source, target),
        (Value::Object(_), other) | (other, _) => {
            return Err(misfit("mergeWith", "two objects", other));
        }
    };
    run.copy(source.entries().len() + target.entries().len())?;
    let keys: std::collections::HashSet<&str> =
        target.entries().iter().map(|(key, _)| &**key).collect();
    let kept = source
        .entries()
        .iter()
        .filter(|(key, _)| !keys.contains(&**key));
    let merged = kept.chain(target.entries()).cloned().collect();
    run.object(merged)
}
