//! Values as JSON shows them with the options `writeAttributes` and `duplicateKeyAsArray`.

use std::collections::HashMap;

use super::Layout;
use crate::value::{Key, Value};

/// The value with attributes as keys, `@name`, and with the values of equal keys in lists, as a layout says.
pub(super) fn arranged(value: &Value, layout: Layout) -> Value {
    let object = match value.plain() {
        Value::Array(array) => {
            let items = array.items().iter();
            return Value::array(items.map(|item| arranged(item, layout)).collect());
        }
        Value::Object(object) if object.message_payload().is_none() => object,
        other => return other.clone(),
    };
    let mut places: HashMap<&str, usize> = HashMap::new();
    let mut entries: Vec<(Key, Vec<Value>)> = Vec::new();
    for (key, value) in object.entries() {
        let mut value = arranged(value, layout);
        if layout.attributes && !key.attributes().is_empty() {
            value = with_attributes(key, value);
        }
        let place = places.get(&**key).filter(|_| layout.lists);
        match place.and_then(|place| entries.get_mut(*place)) {
            Some((_, values)) => values.push(value),
            None => {
                places.insert(key, entries.len());
                entries.push((key.clone(), vec![value]));
            }
        }
    }
    let entries = entries.into_iter().map(|(key, mut values)| {
        let value = match values.len() {
            1 => values.remove(0),
            _ => Value::array(values),
        };
        (key, value)
    });
    Value::keyed(entries.collect())
}

/// The entries of a value after the attributes of its key; a text is an entry of its own.
fn with_attributes(key: &Key, value: Value) -> Value {
    let attributes = key.attributes().iter();
    let attributes = attributes.map(|(name, value)| (format!("@{name}").into(), value.clone()));
    let mut entries: Vec<(Key, Value)> = attributes.collect();
    match value {
        Value::Null => {}
        Value::Object(object) => entries.extend_from_slice(object.entries()),
        other => entries.push(("__text".into(), other)),
    }
    Value::keyed(entries)
}
