//! The variables of an expression, `$.name`, and their form in a file.

use std::sync::Arc;

use crate::language::expression::{EvalError, Expression, fail};
use crate::language::fault::Fault;
use crate::language::names::Names;
use crate::language::value::{Map, Params, Value};

/// The variables of an expression.
pub trait Scope {
    /// The value of `$.name`; `None`, unlike null, is an error where the name is used.
    fn get(&self, name: &str) -> Option<Value>;

    /// True if the parts of a token that is not valid have no members, as to the steps of an action. By default false.
    fn is_proved_only(&self) -> bool {
        false
    }
}

impl Scope for Map {
    fn get(&self, name: &str) -> Option<Value> {
        Map::get(self, name).cloned()
    }
}

/// Reads a scope from JSON, whose numbers are floats. An object with a single tagged member stands for a value that
/// JSON does not have: `{"$params": {…}}` a map of texts, `{"$int": 3}` a whole number, `{"$number": "1.50"}` a
/// number's text, `{"$error": "message"}` a fault, `{"$neterror": "http://host/"}` a network fault.
///
/// # Errors
/// Fails if the scope is not an object, or if a tagged member has an invalid value.
pub fn read_scope(scope: &serde_json::Value) -> Result<Map, EvalError> {
    let Some(members) = scope.as_object() else {
        return fail("the scope must be a JSON object");
    };
    members
        .iter()
        .map(|(name, member)| Ok((Arc::from(name.as_str()), read_value(member)?)))
        .collect()
}

fn read_value(json: &serde_json::Value) -> Result<Value, EvalError> {
    match json {
        serde_json::Value::Array(items) => Ok(items
            .iter()
            .map(read_value)
            .collect::<Result<Vec<_>, _>>()?
            .into()),
        serde_json::Value::Object(members) => {
            let mut iter = members.iter();
            if let (Some((tag, inner)), None) = (iter.next(), iter.next())
                && tag.starts_with('$')
            {
                return read_tagged(tag, inner);
            }
            read_scope(json).map(Value::from)
        }
        _ => Ok(Value::from_json(json)),
    }
}

fn read_tagged(tag: &str, inner: &serde_json::Value) -> Result<Value, EvalError> {
    let value = match tag {
        "$params" => inner.as_object().and_then(|members| {
            let texts = members.iter();
            let texts =
                texts.map(|(name, text)| Some((name.as_str().into(), text.as_str()?.into())));
            texts.collect::<Option<Params>>().map(Value::from)
        }),
        "$int" => inner.as_i64().map(Value::Int),
        "$number" => inner.as_str().map(|text| Value::Num(text.into())),
        "$error" => inner.as_str().map(|text| Fault::plain(text).into()),
        "$neterror" => inner.as_str().map(|url| {
            let cause = "dial tcp: connect: connection refused";
            Fault::network("Get", url, cause).into()
        }),
        _ => return fail(format!("unknown tag {tag} in the scope")),
    };
    value.ok_or_else(|| EvalError::new(format!("{tag} cannot hold {inner}")))
}

/// Evaluates an expression over a scope in the form of [`read_scope`]; `$env` is empty.
///
/// ```
/// let scope = serde_json::json!({ "Rest": { "outputs": { "status": { "$int": 503 } } } });
/// let value = fusebox_flogo::eval_flogo("$.Rest.outputs.status >= 500", &scope);
/// assert_eq!(value, Ok(serde_json::json!(true)));
/// ```
///
/// # Errors
/// Fails if the text does not compile, the evaluation fails, or the result has no form in JSON.
pub fn eval_flogo(
    expression: &str,
    scope: &serde_json::Value,
) -> Result<serde_json::Value, EvalError> {
    let scope = read_scope(scope)?;
    let compiled = Expression::compile(expression, &Names::default())
        .map_err(|error| EvalError::new(error.to_string()))?;
    let text = compiled.eval(&scope)?.to_json_text()?;
    serde_json::from_str(&text).map_err(|error| EvalError::new(error.to_string()))
}
