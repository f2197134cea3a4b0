//! The schemas that steps of a `graphql` activity name: read while the application is, and never at a client's wish.

use std::sync::Arc;

use fusebox_plan::dialect::{Entry, Node, Place, quote};

use crate::flow::{Activity, Service};
use crate::read::library;
use crate::read::object::{Object, text};
use crate::read::reader::{Owner, Reader};
use crate::{Map, Value};

/// Reads the schema of each step, by the name that `schemaFile` has in its input, or in the settings. `steps`: as written.
pub(crate) fn read(services: &mut [Service], steps: &[Node], scope: &Map, reader: &mut Reader<'_>) {
    for step in steps.iter().filter_map(Object::of) {
        let named = step.get("service").and_then(|entry| text(&entry.value));
        let Some(named) = named else { continue };
        let service = services.iter_mut().find(|it| &*it.name == named.get());
        let Some(service) = service else { continue };
        let Activity::GraphQl(activity) = &mut service.activity else {
            continue;
        };
        let input = step.get("input").and_then(|entry| Object::of(&entry.value));
        let given = input.and_then(|input| input.get("schemaFile"));
        let (name, at) = match given {
            Some(entry) => match evaluated(entry, scope, reader) {
                Some(value) => (value.to_text(), entry.value.at),
                None => continue,
            },
            None => {
                let setting = match &service.settings {
                    Value::Object(settings) => settings.get("schemaFile"),
                    _ => None,
                };
                (setting.map(Value::to_text).unwrap_or_default(), named.at)
            }
        };
        if activity.schemas.contains_key(name.as_str()) {
            continue;
        }
        if name.is_empty() {
            let what = format!("the step of {} has no `schemaFile`", named.shown());
            let mend = "name a file: without a schema every request is refused";
            reader.notes.warn(at, what, mend);
            continue;
        }
        let schema = file(&name, at, reader);
        activity.schemas.insert(name.into(), schema);
    }
}

/// The value of `schemaFile`, which must be known at the start.
fn evaluated(entry: &Entry, scope: &Map, reader: &mut Reader<'_>) -> Option<Value> {
    let given = reader.given(&entry.value, Owner::Definitions)?;
    match given.eval(scope) {
        Ok(value) => Some(value),
        Err(error) => {
            let what = format!("`schemaFile` must be known at the start: {}", error.message);
            let mend = "name a file, or take it from `$.conf`, `$env[NAME]` or `$property[NAME]`: no request may choose one";
            reader.refuse(entry.value.at, what, mend)
        }
    }
}

/// The text of a schema. One that cannot be used is an output of each run, as in the original, and a warning here.
fn file(name: &str, at: Place, reader: &mut Reader<'_>) -> Result<Arc<str>, String> {
    let path = name.strip_prefix("file://").unwrap_or(name);
    let mend = "correct it: until then every request is refused with this";
    match library::local(path, at, reader) {
        Ok(text) => {
            #[cfg(feature = "graphql")]
            if let Err(fault) = crate::graphql::Schema::parse(&text) {
                let what = format!("the schema {} cannot be used: {fault}", quote(name));
                reader.notes.warn(at, what, mend);
            }
            Ok(text.into())
        }
        Err(error) => {
            let what = format!("the schema {} cannot be read: {error}", quote(name));
            reader.notes.warn(at, what, mend);
            Err(error.to_string())
        }
    }
}
