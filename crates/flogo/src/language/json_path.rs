//! JSON paths for `json.path`, in the dialect of [oliveagle/jsonpath](https://github.com/oliveagle/jsonpath).
//!
//! The steps are `$`, `.key`, `[n]` from the end if negative, `[a,b]`, `[a:b]` with both ends, `[*]`, and filters
//! `[?(@.key)]`, `[?(@.key == value)]`, `[?(@.key =~ /pattern/)]`, whose parts are separated by blanks. A key of an
//! array selects that key of all elements that have it.

use std::cmp::Ordering;

use crate::language::expression::{Context, EvalError, fail};
use crate::language::functions::pattern;
use crate::language::number::{read_float, read_int};
use crate::language::value::Value;

/// A parsed JSON path.
pub(crate) struct JsonPath {
    steps: Vec<Step>,
}

/// A step: a key, then the selector in brackets after it.
struct Step {
    key: String,
    selector: Selector,
}

enum Selector {
    Nothing,
    Indices(Vec<i64>),
    Range(Option<i64>, Option<i64>),
    Filter(String),
    /// The wildcards `*` and `..`, which no value supports.
    Scan,
}

impl JsonPath {
    /// Parses a path.
    ///
    /// # Errors
    /// Fails if the path does not begin with `$`, or has an invalid selector in brackets.
    pub fn read(path: &str) -> Result<JsonPath, EvalError> {
        let steps = tokens(path)?;
        let steps = steps.iter().map(|token| Step::read(token));
        let steps = steps.collect::<Result<_, _>>()?;
        Ok(JsonPath { steps })
    }

    /// Selects the value at the path.
    ///
    /// # Errors
    /// Fails if the path selects nothing.
    pub fn look_up(&self, value: &Value, context: &mut Context<'_>) -> Result<Value, EvalError> {
        let mut value = value.clone();
        for step in &self.steps {
            // An empty key before brackets selects nothing, except before filters.
            if !step.key.is_empty()
                || matches!(step.selector, Selector::Nothing | Selector::Filter(_))
            {
                value = key(&value, &step.key, context)?;
            }
            value = match &step.selector {
                Selector::Nothing => value,
                Selector::Indices(indices) => match indices[..] {
                    [index] => at(&value, index)?,
                    _ => {
                        let items = indices.iter().map(|index| at(&value, *index));
                        items.collect::<Result<Vec<_>, _>>()?.into()
                    }
                },
                Selector::Range(from, to) => range(&value, *from, *to)?,
                Selector::Filter(filter) => Filter::read(filter)?.run(&value, context)?,
                Selector::Scan => return fail("expression don't support in filter"),
            };
        }
        Ok(value)
    }
}

/// Splits a path into the texts of its steps, without the `$` or `@`.
fn tokens(path: &str) -> Result<Vec<String>, EvalError> {
    let Some(rest) = path.strip_prefix(['$', '@']) else {
        return fail("should start with '$'");
    };
    let mut tokens: Vec<String> = Vec::new();
    let mut token = String::new();
    let scan = |tokens: &mut Vec<String>| {
        if tokens.last().is_none_or(|last| last != "*") {
            tokens.push("*".to_owned());
        }
    };
    let bare = |token: &str| token.strip_prefix('.').unwrap_or(token).to_owned();
    for char in rest.chars() {
        token.push(char);
        if token == "." {
            continue;
        }
        if token == ".." {
            scan(&mut tokens);
            token = ".".to_owned();
        } else if token.contains('[') {
            if char == ']' && !token.ends_with("\\]") {
                tokens.push(bare(&token));
                token.clear();
            }
        } else if char == '.' {
            tokens.push(bare(&token[..token.len() - 1]));
            token = ".".to_owned();
        }
    }
    if !token.is_empty() {
        match bare(&token) {
            star if star == "*" => scan(&mut tokens),
            last => tokens.push(last),
        }
    }
    Ok(tokens)
}

impl Step {
    fn read(token: &str) -> Result<Step, EvalError> {
        let of = |key: &str, selector| {
            let key = key.to_owned();
            Ok(Step { key, selector })
        };
        let Some(bracket) = token.find('[') else {
            return match token {
                "*" => of(token, Selector::Scan),
                _ => of(token, Selector::Nothing),
            };
        };
        let (key, tail) = token.split_at(bracket);
        if tail.len() < 3 {
            return fail(format!("len(tail) should >=3, {tail}"));
        }
        let mut inner = tail[1..].chars();
        inner.next_back();
        let inner = inner.as_str();
        let selector = if inner.contains('?') {
            let filter = inner.strip_prefix("?(");
            match filter.and_then(|filter| filter.strip_suffix(')')) {
                Some(filter) => Selector::Filter(filter.trim_matches(' ').to_owned()),
                None => return fail(format!("a filter is written [?(…)], not {tail}")),
            }
        } else if inner == "*" {
            Selector::Range(None, None)
        } else if let Some((from, to)) = inner.split_once(':') {
            let to = to.trim_matches(' ');
            if to.contains(':') {
                return fail(format!("only support one range(from, to): {inner}"));
            }
            let to = match to {
                "" => None,
                to => Some(index(to)?),
            };
            // Flogo ignores a beginning that is not a number.
            Selector::Range(index(from).ok(), to)
        } else {
            Selector::Indices(inner.split(',').map(index).collect::<Result<_, _>>()?)
        };
        of(key, selector)
    }
}

fn index(text: &str) -> Result<i64, EvalError> {
    read_int(text.trim_matches(' ')).map_err(|fault| EvalError::new(fault.message))
}

fn key(value: &Value, name: &str, context: &mut Context<'_>) -> Result<Value, EvalError> {
    context.step(1)?;
    let missing = || EvalError::new(format!("key error: {name} not found in object"));
    match value {
        Value::Null => fail("get attribute from null object"),
        Value::Object(members) => members.get(name).cloned().ok_or_else(missing),
        Value::Params(texts) => {
            let text = texts.get(name).cloned();
            text.map(Value::Str).ok_or_else(missing)
        }
        Value::Array(items) => {
            let mut found = Vec::new();
            for item in items.iter() {
                // An array of arrays may be deep, so its elements are charged like steps.
                context.step(1)?;
                if let Ok(member) = key(item, name, context) {
                    found.push(member);
                }
            }
            Ok(found.into())
        }
        _ => fail("object is not map"),
    }
}

fn items(value: &Value) -> Result<&[Value], EvalError> {
    match value {
        Value::Array(items) => Ok(items),
        _ => fail("object is not Slice"),
    }
}

/// Number of items, in the type of indices.
fn length(items: &[Value]) -> i64 {
    i64::try_from(items.len()).unwrap_or(i64::MAX)
}

/// An index from the beginning; a negative one counts from the end.
fn from_start(index: i64, length: i64) -> i64 {
    match index < 0 {
        true => length.saturating_add(index),
        false => index,
    }
}

fn at(value: &Value, index: i64) -> Result<Value, EvalError> {
    let items = items(value)?;
    let length = length(items);
    let place = usize::try_from(from_start(index, length)).ok();
    match place.and_then(|place| items.get(place)) {
        Some(item) => Ok(item.clone()),
        None => fail(format!("index out of range: len: {length}, idx: {index}")),
    }
}

/// The items `[from:to]`, both ends included.
fn range(value: &Value, from: Option<i64>, to: Option<i64>) -> Result<Value, EvalError> {
    let items = items(value)?;
    let length = length(items);
    let from = from.unwrap_or(0);
    let to = to.unwrap_or(length - 1);
    let start = from_start(from, length);
    let end = from_start(to, length).saturating_add(1);
    if start < 0 || start >= length {
        let found = format!("len: {length}, from: {from}");
        return fail(format!("index [from] out of range: {found}"));
    }
    if end < 0 || end > length {
        return fail(format!("index [to] out of range: len: {length}, to: {to}"));
    }
    // Both are within the list, so neither conversion changes them.
    match items.get(start as usize..end as usize) {
        Some(part) => Ok(part.to_vec().into()),
        None => fail(format!("the range {from}:{to} ends before it begins")),
    }
}

/// The filter in `[?(…)]`: `left`, or `left operator right`.
#[derive(Default)]
struct Filter {
    left: String,
    operator: String,
    right: String,
}

impl Filter {
    /// Parses a filter. Blanks separate its parts, except after a `'`.
    fn read(text: &str) -> Result<Filter, EvalError> {
        let mut parts: [String; 3] = Default::default();
        let mut part = String::new();
        let mut stage = 0;
        let mut quoted = false;
        for (at, char) in text.char_indices() {
            match char {
                '\'' if quoted => parts[stage] = std::mem::take(&mut part),
                '\'' => quoted = true,
                ' ' if !quoted => {
                    parts[stage] = std::mem::take(&mut part);
                    stage += 1;
                    if stage == parts.len() {
                        return fail(format!("invalid char at {at}: ` `"));
                    }
                }
                _ => part.push(char),
            }
        }
        if stage == 0 && !part.is_empty() {
            parts[1] = "exists".to_owned();
        }
        if !part.is_empty() {
            parts[stage] = part;
        }
        let [left, operator, right] = parts;
        Ok(Filter {
            left,
            operator,
            right,
        })
    }

    /// Selects the elements or members for which the filter holds.
    fn run(&self, value: &Value, context: &mut Context<'_>) -> Result<Value, EvalError> {
        let candidates: Vec<Value> = match value {
            Value::Array(items) => items.to_vec(),
            Value::Object(_) | Value::Params(_) => value.to_object()?.values().cloned().collect(),
            _ => {
                let of = value.go_type();
                return fail(format!("don't support filter on this type: {of}"));
            }
        };
        let regex = match self.operator.as_str() {
            "=~" => Some(pattern::compile(self.pattern()?)?),
            _ => None,
        };
        let mut matching = Vec::new();
        for candidate in candidates {
            let holds = match &regex {
                Some(regex) => match side(&self.left, &candidate, value, context)? {
                    Value::Str(text) => {
                        context.read_text(text.len())?;
                        regex.is_match(&text)
                    }
                    _ => return fail("only string can match with regular expression"),
                },
                None => self.holds(&candidate, value, context)?,
            };
            if holds {
                matching.push(candidate);
            }
        }
        Ok(matching.into())
    }

    fn pattern(&self) -> Result<&str, EvalError> {
        if self.right.chars().count() <= 2 {
            return fail("empty rule");
        }
        let rule = self.right.strip_prefix('/');
        match rule.and_then(|rule| rule.strip_suffix('/')) {
            Some(rule) => Ok(rule),
            None => fail("invalid syntax. should be in `/pattern/` form"),
        }
    }

    fn holds(
        &self,
        candidate: &Value,
        root: &Value,
        context: &mut Context<'_>,
    ) -> Result<bool, EvalError> {
        // A missing value counts as null.
        let left = side(&self.left, candidate, root, context).unwrap_or_default();
        let orders: &[Ordering] = match self.operator.as_str() {
            "exists" => return Ok(!left.is_null()),
            "<" => &[Ordering::Less],
            "<=" => &[Ordering::Less, Ordering::Equal],
            "==" => &[Ordering::Equal],
            ">=" => &[Ordering::Greater, Ordering::Equal],
            ">" => &[Ordering::Greater],
            _ => return fail("op should only be <, <=, ==, >= and >"),
        };
        let right = side(&self.right, candidate, root, context).unwrap_or_default();
        let order = match (as_number(&left), as_number(&right)) {
            (Some(left), Some(right)) => left.partial_cmp(&right),
            _ => {
                let (left, right) = (left.shown(), right.shown());
                // Flogo inserts the texts into a Go program here.
                let mark = ['"', '\\', '\n'];
                if left.contains(mark) || right.contains(mark) {
                    return fail("a filter cannot compare texts with quotes");
                }
                Some(left.cmp(&right))
            }
        };
        Ok(order.is_some_and(|order| orders.contains(&order)))
    }
}

/// A side of a comparison: a path from the candidate or from the filtered value, or a text.
fn side(
    text: &str,
    candidate: &Value,
    root: &Value,
    context: &mut Context<'_>,
) -> Result<Value, EvalError> {
    let from = if text.starts_with("@.") {
        candidate
    } else if text.starts_with("$.") {
        root
    } else {
        return Ok(text.into());
    };
    let mut value = from.clone();
    for token in tokens(text)? {
        let step = Step::read(&token)?;
        value = match &step.selector {
            Selector::Nothing => key(&value, &step.key, context)?,
            Selector::Indices(indices) => match indices[..] {
                [index] => at(&key(&value, &step.key, context)?, index)?,
                _ => return fail("don't support multiple index in filter"),
            },
            _ => return fail("expression don't support in filter"),
        };
    }
    Ok(value)
}

/// The number of a value, if it is a number or a text of one. Number texts count as texts here.
fn as_number(value: &Value) -> Option<f64> {
    match value {
        Value::Int(_) | Value::Long(_) | Value::Float(_) => value.to_float().ok(),
        Value::Str(text) => read_float(text).ok(),
        _ => None,
    }
}
