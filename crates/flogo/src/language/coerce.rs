//! Conversions between kinds of values, by Flogo's `coerce` rules.

use std::sync::Arc;

use crate::language::expression::{EvalError, fail};
use crate::language::number::{self, truncate};
use crate::language::value::{Map, NilKind, Params, Value};

/// The most characters of a value in an error message.
const SHOWN_MAX: usize = 200;

impl Value {
    /// Converts to text: a float without exponent, nothing for null, JSON for arrays and objects. Values that JSON
    /// cannot express (an array with `NaN`) become the empty text.
    pub fn to_text(&self) -> String {
        self.text().map(|text| text.to_string()).unwrap_or_default()
    }

    /// Converts to text, like [`to_text`](Value::to_text).
    ///
    /// # Errors
    /// Fails if JSON cannot express the value.
    pub(crate) fn text(&self) -> Result<Arc<str>, EvalError> {
        Ok(match self {
            Value::Str(text) | Value::Num(text) => text.clone(),
            Value::Null => "".into(),
            Value::Bool(bool) => bool.to_string().into(),
            Value::Int(int) | Value::Long(int) => int.to_string().into(),
            Value::Float(float) => number::plain(*float).into(),
            Value::Bytes(bytes) => String::from_utf8_lossy(bytes).into(),
            Value::Nil(NilKind::Bytes) => "".into(),
            Value::Array(_)
            | Value::Object(_)
            | Value::Params(_)
            | Value::Struct(_)
            | Value::Error(_)
            | Value::Nil(_) => self
                .to_json_text()
                .map_err(|_| self.cannot_be("string"))?
                .into(),
        })
    }

    /// Converts to a truth value: numbers are true unless 0; texts are `1 t T TRUE true True` or `0 f F FALSE false
    /// False`; null is false.
    ///
    /// # Errors
    /// Fails for other texts and kinds.
    pub fn to_bool(&self) -> Result<bool, EvalError> {
        match self {
            Value::Bool(bool) => Ok(*bool),
            Value::Int(int) | Value::Long(int) => Ok(*int != 0),
            Value::Float(float) => Ok(*float != 0.0),
            Value::Num(text) => Ok(number::read_long(text)? != 0),
            Value::Null => Ok(false),
            _ => {
                let text = self.text()?;
                match &*text {
                    "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
                    "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false),
                    _ => {
                        let text = shown(&format!("{text:?}"));
                        fail(format!("strconv.ParseBool: parsing {text}: invalid syntax"))
                    }
                }
            }
        }
    }

    /// Converts to a whole number: floats are rounded towards zero, texts are decimal, truth values are 1 and 0, null
    /// is 0.
    ///
    /// # Errors
    /// Fails for other texts and kinds.
    pub fn to_int(&self) -> Result<i64, EvalError> {
        match self {
            Value::Str(text) => Ok(number::read_int(text)?),
            _ => self.to_long(),
        }
    }

    /// Like [`to_int`](Value::to_int), with the error messages of Go's `ToInt64`.
    pub(crate) fn to_long(&self) -> Result<i64, EvalError> {
        match self {
            Value::Int(int) | Value::Long(int) => Ok(*int),
            Value::Float(float) => Ok(truncate(*float)),
            Value::Num(text) | Value::Str(text) => Ok(number::read_long(text)?),
            Value::Bool(bool) => Ok(i64::from(*bool)),
            Value::Null => Ok(0),
            _ => Err(self.cannot_be("integer")),
        }
    }

    /// Converts to a float: texts in Go's syntax, 1 and 0 for truth values, 0 for null.
    ///
    /// # Errors
    /// Fails for other texts and kinds.
    pub fn to_float(&self) -> Result<f64, EvalError> {
        match self {
            Value::Float(float) => Ok(*float),
            Value::Int(int) | Value::Long(int) => Ok(*int as f64),
            Value::Num(text) | Value::Str(text) => Ok(number::read_float(text)?),
            Value::Bool(bool) => Ok(f64::from(u8::from(*bool))),
            Value::Null => Ok(0.0),
            _ => Err(self.cannot_be("float64")),
        }
    }

    /// The whole number with which arithmetic continues, 0 if the value is not a number.
    pub(crate) fn nearest_int(&self) -> i64 {
        match self {
            Value::Num(text) | Value::Str(text) => number::num_int(text),
            _ => self.to_long().unwrap_or(0),
        }
    }

    /// The float with which arithmetic continues, 0 if the value is not a number.
    pub(crate) fn nearest_float(&self) -> f64 {
        match self {
            Value::Num(text) | Value::Str(text) => number::num_float(text),
            _ => self.to_float().unwrap_or(0.0),
        }
    }

    /// Converts to a map of texts: an object with each member as text; a text that is a JSON object of texts, or
    /// `k=v,k2=v2`. Null becomes an empty map.
    ///
    /// # Errors
    /// Fails for other texts and kinds.
    pub fn to_params(&self) -> Result<Arc<Params>, EvalError> {
        match self {
            Value::Params(params) => Ok(params.clone()),
            Value::Null | Value::Nil(_) => Ok(Arc::default()),
            Value::Object(members) => members
                .iter()
                .map(|(name, member)| Ok((name.clone(), member.text()?)))
                .collect::<Result<Params, EvalError>>()
                .map(Arc::new),
            Value::Str(text) if text.is_empty() => Ok(Arc::default()),
            Value::Str(text) => match json_params(text).or_else(|| pairs(text)) {
                Some(params) => Ok(Arc::new(params)),
                None => Err(self.cannot_be("params")),
            },
            _ => match pairs(&self.text()?) {
                Some(params) => Ok(Arc::new(params)),
                None => fail("invalid params"),
            },
        }
    }

    /// Converts to an object: a text must be a JSON object, or empty for an empty one. Null becomes an empty object.
    ///
    /// # Errors
    /// Fails for other texts and kinds.
    pub fn to_object(&self) -> Result<Arc<Map>, EvalError> {
        match self {
            Value::Object(members) => Ok(members.clone()),
            Value::Params(texts) => Ok(Arc::new(members_of(texts))),
            Value::Null | Value::Nil(_) => Ok(Arc::default()),
            _ => {
                let text = self.text()?;
                if text.is_empty() {
                    return Ok(Arc::default());
                }
                match Value::from_whole_json(&text) {
                    Ok(Value::Object(members)) => Ok(members),
                    Ok(Value::Null) => Ok(Arc::default()),
                    _ => Err(Value::Str(text).cannot_be("map[string]interface{}")),
                }
            }
        }
    }

    /// Converts to an array: a text that is a JSON array; null becomes an empty array, any other value an array of one
    /// item.
    pub fn to_array(&self) -> Arc<Vec<Value>> {
        match self {
            Value::Array(items) => items.clone(),
            Value::Null | Value::Nil(NilKind::Array) => Arc::default(),
            Value::Bytes(bytes) => {
                Arc::new(bytes.iter().map(|byte| i64::from(*byte).into()).collect())
            }
            Value::Str(text) if text.is_empty() => Arc::default(),
            Value::Str(text) => match Value::from_whole_json(text) {
                Ok(Value::Array(items)) => items,
                Ok(Value::Null) => Arc::default(),
                _ => Arc::new(vec![self.clone()]),
            },
            _ => Arc::new(vec![self.clone()]),
        }
    }

    /// The error that the value cannot be coerced to a type, in Flogo's words.
    pub(crate) fn cannot_be(&self, of: &str) -> EvalError {
        let shown = shown(&self.go_syntax());
        EvalError::new(format!("unable to coerce {shown} to {of}"))
    }

    /// The value in an error message.
    pub(crate) fn shown(&self) -> String {
        match self {
            Value::Null => "<nil>".to_owned(),
            _ => shown(&self.to_text()),
        }
    }

    /// The value in Go's syntax (`%#v`).
    fn go_syntax(&self) -> String {
        let list = |open: &str, items: &mut dyn Iterator<Item = String>| {
            let items: Vec<String> = items.take(SHOWN_MAX).collect();
            format!("{open}{{{}}}", items.join(", "))
        };
        match self {
            Value::Num(text) | Value::Str(text) => format!("{text:?}"),
            Value::Float(float) => {
                number::for_json(*float).unwrap_or_else(|| number::plain(*float))
            }
            Value::Array(items) => list(self.go_type(), &mut items.iter().map(Value::go_syntax)),
            Value::Object(members) => {
                let member =
                    |(name, member): (_, &Value)| format!("{name:?}:{}", member.go_syntax());
                list(self.go_type(), &mut members.iter().map(member))
            }
            Value::Params(texts) => {
                let text = |(name, text)| format!("{name:?}:{text:?}");
                list(self.go_type(), &mut texts.iter().map(text))
            }
            Value::Error(fault) => format!("{}({:?})", fault.kind.go_type(), fault.message),
            Value::Null => "<nil>".to_owned(),
            Value::Nil(_) => format!("{}(nil)", self.go_type()),
            _ => self.to_text(),
        }
    }
}

/// A map of texts as the members of an object.
pub(crate) fn members_of(texts: &Params) -> Map {
    let texts = texts.iter();
    texts
        .map(|(name, text)| (name.clone(), Value::Str(text.clone())))
        .collect()
}

/// Shortens a text for an error message.
fn shown(text: &str) -> String {
    match text.char_indices().nth(SHOWN_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Reads a JSON object whose members are texts, with null for the empty text.
fn json_params(text: &str) -> Option<Params> {
    match Value::from_whole_json(text) {
        Ok(Value::Object(members)) => members
            .iter()
            .map(|(name, member)| match member {
                Value::Str(text) => Some((name.clone(), text.clone())),
                Value::Null => Some((name.clone(), "".into())),
                _ => None,
            })
            .collect(),
        Ok(Value::Null) => Some(Params::new()),
        _ => None,
    }
}

/// Reads pairs in the form `k=v,k2=v2`.
fn pairs(text: &str) -> Option<Params> {
    text.split(',')
        .map(|pair| match pair.split_once('=') {
            Some((name, value)) if !value.contains('=') => Some((name.into(), value.into())),
            _ => None,
        })
        .collect()
}
