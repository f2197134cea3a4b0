//! `application/x-www-form-urlencoded`, by the [URL standard](https://url.spec.whatwg.org/#application/x-www-form-urlencoded).

use std::sync::Arc;

use super::text::text;
use crate::fault::EvalFault;
use crate::value::{Object, Value};

/// Reads the pairs of a form, each value as a text; a key may occur several times.
pub(crate) fn read(text: &str) -> Value {
    let pairs = form_urlencoded::parse(text.as_bytes());
    let entries = pairs.map(|(key, value)| (Arc::from(key), Value::text(value)));
    Value::object(entries.collect())
}

/// Writes the pairs of an object as a form.
///
/// # Errors
/// If a value has no text.
pub(crate) fn write(object: &Object) -> Result<String, EvalFault> {
    let mut form = form_urlencoded::Serializer::new(String::new());
    for (key, value) in object.entries() {
        form.append_pair(key, &text(value)?);
    }
    Ok(form.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_read_and_written_back() {
        let text = "a=1&b=x+y%26z&a=%C3%A9&c=";
        let Value::Object(object) = read(text) else {
            unreachable!("a form is an object");
        };
        assert_eq!(object.get("b"), Some(&"x y&z".into()));
        assert_eq!(write(&object).as_deref(), Ok(text));
        assert_eq!(read("x%zz&"), Value::record([("x%zz", "".into())]));
    }
}
