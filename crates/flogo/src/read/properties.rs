//! The application's properties and channels.

use std::collections::HashSet;
use std::sync::Arc;

use fusebox_plan::dialect::{Loader, Node, Notes, Place, quote};

use crate::EvalError;
use crate::Map;
use crate::NilKind;
use crate::Value;
use crate::program::Channel;
use crate::read::located;
use crate::read::object::{Object, is_null, text};
use crate::read::outside::Outside;
use crate::read::secret;

/// Reads `properties`; a value from the command line replaces one from outside, and that a property's own. `start` is
/// the application's beginning.
pub(crate) fn properties(
    items: &[Node],
    loader: &dyn Loader,
    start: Place,
    notes: &mut Notes,
) -> Map {
    let outside = Outside::read(loader, start, notes);
    let mut properties = Map::new();
    for property in Object::each(items, "a property", notes) {
        let what = "a property has no name";
        let Some(name) = property.needed("name", what, "add `\"name\"`", notes) else {
            continue;
        };
        let shown = quote(name.get());
        let kind = property.text("type", notes);
        let entry = property.get("value");
        let written = entry.map_or(Value::Null, |entry| located::value(&entry.value));
        let place = entry.map_or(property.at, |entry| entry.value.at);
        let set = loader.property(name.get()).map(Value::from);
        let found = match set {
            Some(value) => Some((value, "--set".to_owned())),
            None => match outside.find(name.get(), loader) {
                Some(Ok(found)) => Some((found.value, found.from)),
                Some(Err(what)) => {
                    let what = format!("property {shown}: {what}");
                    notes.error(place, what, secret::mend());
                    None
                }
                None => None,
            },
        };
        let kind_name = match kind {
            Some(kind) if !kind.get().eq_ignore_ascii_case("any") => kind.get(),
            // Without a type, a value from elsewhere takes that of the file's value.
            _ if found.is_some() && !written.is_null() => written.kind(),
            _ => "any",
        };
        let (given, from) = found.unwrap_or_else(|| (written.clone(), "the file".to_owned()));
        // A faulty property keeps the file's value, so that its users are not reported as well.
        let value = match typed(&given, kind_name) {
            Some(Ok(value)) => value,
            Some(Err(error)) => {
                let why = error.message;
                let what = format!("property {shown}: invalid {kind_name} from {from}: {why}");
                notes.error(place, what, "correct the value, or the type");
                written
            }
            None => {
                let what = format!("property {shown}: unsupported type {}", quote(kind_name));
                let mend = "use string, int, float64, bool, object, array, params or any";
                notes.error(kind.map_or(property.at, |kind| kind.at), what, mend);
                written
            }
        };
        if properties.insert(name.get().into(), value).is_some() {
            let what = format!("the property {shown} is given twice");
            notes.error(name.at, what, "keep one of the two");
        }
    }
    properties
}

/// Coerces a value to a type; `None` for an unknown type.
fn typed(value: &Value, kind: &str) -> Option<Result<Value, EvalError>> {
    let is_null = value.is_null();
    Some(match kind.to_ascii_lowercase().as_str() {
        "" | "any" | "unknown" => Ok(value.clone()),
        // Without a value a property is the zero of its type, as in Go.
        "bytes" if is_null => Ok(Value::Nil(NilKind::Bytes)),
        "object" | "map" if is_null => Ok(Value::Nil(NilKind::Object)),
        "params" if is_null => Ok(Value::Nil(NilKind::Params)),
        "array" if is_null => Ok(Value::Null),
        "string" => Ok(Value::from(value.to_text())),
        "bytes" => Ok(Value::Bytes(value.to_text().into())),
        "int" | "integer" | "int32" | "int64" | "long" => value.to_int().map(Value::from),
        "float" | "float32" | "float64" | "double" | "number" => value.to_float().map(Value::from),
        "bool" | "boolean" => value.to_bool().map(Value::from),
        "object" | "map" => value.to_object().map(Value::Object),
        "array" => Ok(Value::Array(value.to_array())),
        "params" => value.to_params().map(Value::Params),
        _ => return None,
    })
}

/// Reads `channels`, each `NAME` or `NAME:CAPACITY`.
pub(crate) fn channels(items: &[Node], notes: &mut Notes) -> Vec<Channel> {
    let mut channels: Vec<Channel> = Vec::new();
    let mut names: HashSet<Arc<str>> = HashSet::new();
    for item in items.iter().filter(|item| !is_null(item)) {
        let Some(text) = text(item).filter(|text| !text.get().is_empty()) else {
            let what = format!("a channel must be a text, found {}", item.describe());
            notes.error(item.at, what, "write `\"NAME\"` or `\"NAME:CAPACITY\"`");
            continue;
        };
        let (name, size) = text.get().split_once(':').unwrap_or((text.get(), ""));
        let capacity = match size {
            "" => 0,
            size => size.parse().unwrap_or_else(|_| {
                let size = quote(size);
                notes.warn(
                    item.at,
                    format!("the size {size} of channel '{name}' is not a number, so 0 is used"),
                    "write it as in `\"orders:5\"`",
                );
                0
            }),
        };
        if capacity > CAPACITY_MAX {
            let found = format!("channel '{name}' has a capacity of {capacity} messages");
            let what = format!("{found}, more than {CAPACITY_MAX}");
            notes.error(item.at, what, "lower the number");
            continue;
        }
        let name: Arc<str> = name.into();
        if !names.insert(name.clone()) {
            let what = format!("channel '{name}' already exists");
            notes.error(item.at, what, "give each channel a name of its own");
            continue;
        }
        channels.push(Channel { name, capacity });
    }
    channels
}

/// The most messages in a channel.
const CAPACITY_MAX: usize = 1 << 20;
