//! The functions of expressions.

use std::sync::Arc;

use super::TEXT_MAX;
use super::value::{Kind, Value};
use crate::diagnostic::{quote, suggest};

/// A function. The macros (`has`, `all`, `exists`, …) are expanded before, and `matches` is an operator of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Function {
    Size,
    Contains,
    StartsWith,
    EndsWith,
    Int,
    UInt,
    Double,
    Text,
    Bytes,
    Bool,
    Duration,
    Dyn,
    Type,
    Hours,
    Minutes,
    Seconds,
    Milliseconds,
}

struct Entry {
    name: &'static str,
    function: Function,
    /// Callable as `x.f(…)`.
    member: bool,
    /// Callable as `f(x, …)`.
    global: bool,
    /// The types of the arguments, the receiver's first; `None` for an argument of several types.
    takes: &'static [Option<Kind>],
    gives: Option<Kind>,
}

const fn entry(
    name: &'static str,
    function: Function,
    member: bool,
    global: bool,
    takes: &'static [Option<Kind>],
    gives: Option<Kind>,
) -> Entry {
    Entry {
        name,
        function,
        member,
        global,
        takes,
        gives,
    }
}

const ANY: &[Option<Kind>] = &[None];
const TEXTS: &[Option<Kind>] = &[Some(Kind::Text), Some(Kind::Text)];
const SPAN: &[Option<Kind>] = &[Some(Kind::Span)];

static FUNCTIONS: [Entry; 17] = [
    entry("size", Function::Size, true, true, ANY, Some(Kind::Int)),
    entry(
        "contains",
        Function::Contains,
        true,
        false,
        TEXTS,
        Some(Kind::Bool),
    ),
    entry(
        "startsWith",
        Function::StartsWith,
        true,
        false,
        TEXTS,
        Some(Kind::Bool),
    ),
    entry(
        "endsWith",
        Function::EndsWith,
        true,
        false,
        TEXTS,
        Some(Kind::Bool),
    ),
    entry("int", Function::Int, false, true, ANY, Some(Kind::Int)),
    entry("uint", Function::UInt, false, true, ANY, Some(Kind::UInt)),
    entry(
        "double",
        Function::Double,
        false,
        true,
        ANY,
        Some(Kind::Double),
    ),
    entry("string", Function::Text, false, true, ANY, Some(Kind::Text)),
    entry(
        "bytes",
        Function::Bytes,
        false,
        true,
        ANY,
        Some(Kind::Bytes),
    ),
    entry("bool", Function::Bool, false, true, ANY, Some(Kind::Bool)),
    entry(
        "duration",
        Function::Duration,
        false,
        true,
        ANY,
        Some(Kind::Span),
    ),
    entry("dyn", Function::Dyn, false, true, ANY, None),
    entry("type", Function::Type, false, true, ANY, Some(Kind::Type)),
    entry(
        "getHours",
        Function::Hours,
        true,
        false,
        SPAN,
        Some(Kind::Int),
    ),
    entry(
        "getMinutes",
        Function::Minutes,
        true,
        false,
        SPAN,
        Some(Kind::Int),
    ),
    entry(
        "getSeconds",
        Function::Seconds,
        true,
        false,
        SPAN,
        Some(Kind::Int),
    ),
    entry(
        "getMilliseconds",
        Function::Milliseconds,
        true,
        false,
        SPAN,
        Some(Kind::Int),
    ),
];

/// Names that the parser expands, or that are operators of their own.
const OTHERS: [&str; 7] = [
    "has",
    "all",
    "exists",
    "exists_one",
    "map",
    "filter",
    "matches",
];

/// The function of that name, called as a member or not, with `count` arguments; on failure, the fault and its mend.
pub(super) fn find(name: &str, member: bool, count: usize) -> Result<Function, (String, String)> {
    let Some(entry) = FUNCTIONS.iter().find(|entry| entry.name == name) else {
        if OTHERS.contains(&name) {
            return Err((
                format!("{} is not used this way", quote(name)),
                "write `has(headers.x)`, `list.all(x, …)`, `list.exists(x, …)`, `list.map(x, …)`, `list.filter(x, …)` or `text.matches(\"pattern\")`".to_owned(),
            ));
        }
        let known = FUNCTIONS.iter().map(|entry| entry.name).chain(OTHERS);
        return Err((
            format!("unknown function {}", quote(name)),
            suggest(name, known),
        ));
    };
    let allowed = if member { entry.member } else { entry.global };
    if !allowed || entry.takes.len() != count {
        let arguments = ["", "x", "x, y"][entry.takes.len().min(2)];
        let usage = match (entry.member, entry.takes.len()) {
            (true, 1) => format!("`x.{name}()`"),
            (true, _) => format!("`x.{name}(y)`"),
            (false, _) => format!("`{name}({arguments})`"),
        };
        return Err((
            format!("{} is not called this way", quote(name)),
            format!("write {usage}"),
        ));
    }
    Ok(entry.function)
}

impl Function {
    fn entry(self) -> Option<&'static Entry> {
        FUNCTIONS.iter().find(|entry| entry.function == self)
    }

    /// The types of the arguments; `None` for an argument of several types.
    pub fn takes(self) -> &'static [Option<Kind>] {
        self.entry().map_or(&[], |entry| entry.takes)
    }

    /// The type of the result, if it is always the same.
    pub fn gives(self) -> Option<Kind> {
        self.entry().and_then(|entry| entry.gives)
    }

    pub fn name(self) -> &'static str {
        self.entry().map_or("", |entry| entry.name)
    }
}

/// Calls a function. `Err` describes the unsuitable argument.
pub(super) fn call(function: Function, arguments: &[Value]) -> Result<Value, String> {
    let unsuitable = || {
        let kinds: Vec<_> = arguments
            .iter()
            .map(|argument| argument.kind().as_str())
            .collect();
        format!("`{}` does not take ({})", function.name(), kinds.join(", "))
    };
    match (function, arguments) {
        (Function::Size, [value]) => size(value).map(Value::Int).ok_or_else(unsuitable),
        (Function::Contains, [Value::Text(a), Value::Text(b)]) => Ok(Value::Bool(a.contains(&**b))),
        (Function::StartsWith, [Value::Text(a), Value::Text(b)]) => {
            Ok(Value::Bool(a.starts_with(&**b)))
        }
        (Function::EndsWith, [Value::Text(a), Value::Text(b)]) => {
            Ok(Value::Bool(a.ends_with(&**b)))
        }
        (Function::Dyn, [value]) => Ok(value.clone()),
        (Function::Type, [value]) => Ok(Value::Type(value.kind())),
        (Function::Int, [value]) => to_int(value).ok_or_else(|| unfit(function, value)),
        (Function::UInt, [value]) => to_uint(value).ok_or_else(|| unfit(function, value)),
        (Function::Double, [value]) => to_double(value).ok_or_else(|| unfit(function, value)),
        (Function::Bool, [value]) => to_bool(value).ok_or_else(|| unfit(function, value)),
        (Function::Text, [value]) => to_text(value).ok_or_else(|| unfit(function, value)),
        (Function::Bytes, [Value::Text(text)]) => Ok(Value::Bytes(text.as_bytes().into())),
        (Function::Bytes, [bytes @ Value::Bytes(_)]) => Ok(bytes.clone()),
        (Function::Duration, [span @ Value::Span(_)]) => Ok(span.clone()),
        (Function::Duration, [value @ Value::Text(text)]) => parse_span(text)
            .map(Value::Span)
            .ok_or_else(|| unfit(function, value)),
        (Function::Hours, [Value::Span(nanos)]) => Ok(Value::Int(nanos / 3_600_000_000_000)),
        (Function::Minutes, [Value::Span(nanos)]) => Ok(Value::Int(nanos / 60_000_000_000)),
        (Function::Seconds, [Value::Span(nanos)]) => Ok(Value::Int(nanos / 1_000_000_000)),
        (Function::Milliseconds, [Value::Span(nanos)]) => Ok(Value::Int(nanos / 1_000_000)),
        _ => Err(unsuitable()),
    }
}

fn unfit(function: Function, value: &Value) -> String {
    match value {
        Value::Text(text) => format!("`{}` cannot convert {}", function.name(), quote(text)),
        _ => format!(
            "`{}` cannot convert this {}",
            function.name(),
            value.kind().as_str()
        ),
    }
}

fn size(value: &Value) -> Option<i64> {
    let size = match value {
        Value::Text(text) => text.chars().count(),
        Value::Bytes(bytes) => bytes.len(),
        Value::List(items) => items.len(),
        Value::Map(map) => map.len(),
        _ => return None,
    };
    i64::try_from(size).ok()
}

fn to_int(value: &Value) -> Option<Value> {
    let int = match value {
        Value::Int(int) => *int,
        Value::UInt(uint) => i64::try_from(*uint).ok()?,
        // The bounds themselves are not exact as doubles; CEL excludes them too.
        Value::Double(double) if *double > i64::MIN as f64 && *double < i64::MAX as f64 => {
            *double as i64
        }
        Value::Text(text) => text.parse().ok()?,
        _ => return None,
    };
    Some(Value::Int(int))
}

fn to_uint(value: &Value) -> Option<Value> {
    let uint = match value {
        Value::UInt(uint) => *uint,
        Value::Int(int) => u64::try_from(*int).ok()?,
        Value::Double(double) if *double > -1.0 && *double < u64::MAX as f64 => *double as u64,
        Value::Text(text) => text.parse().ok()?,
        _ => return None,
    };
    Some(Value::UInt(uint))
}

fn to_double(value: &Value) -> Option<Value> {
    let double = match value {
        Value::Double(double) => *double,
        Value::Int(int) => *int as f64,
        Value::UInt(uint) => *uint as f64,
        Value::Text(text) => text.parse().ok()?,
        _ => return None,
    };
    Some(Value::Double(double))
}

fn to_bool(value: &Value) -> Option<Value> {
    match value {
        Value::Bool(_) => Some(value.clone()),
        Value::Text(text) => match &**text {
            "true" | "TRUE" | "True" | "t" | "1" => Some(Value::Bool(true)),
            "false" | "FALSE" | "False" | "f" | "0" => Some(Value::Bool(false)),
            _ => None,
        },
        _ => None,
    }
}

fn to_text(value: &Value) -> Option<Value> {
    let text: Arc<str> = match value {
        Value::Text(_) => return Some(value.clone()),
        Value::Bool(b) => b.to_string().into(),
        Value::Int(int) => int.to_string().into(),
        Value::UInt(uint) => uint.to_string().into(),
        Value::Double(double) => double.to_string().into(),
        Value::Bytes(bytes) if bytes.len() <= TEXT_MAX => std::str::from_utf8(bytes).ok()?.into(),
        Value::Span(nanos) => show_span(*nanos).into(),
        _ => return None,
    };
    Some(Value::Text(text))
}

/// A duration in CEL's output form: decimal seconds.
pub(super) fn show_span(nanos: i64) -> String {
    let sign = if nanos < 0 { "-" } else { "" };
    let (seconds, rest) = (
        nanos.unsigned_abs() / 1_000_000_000,
        nanos.unsigned_abs() % 1_000_000_000,
    );
    if rest == 0 {
        return format!("{sign}{seconds}s");
    }
    let fraction = format!("{rest:09}");
    format!("{sign}{seconds}.{}s", fraction.trim_end_matches('0'))
}

/// A duration in CEL's input form, in nanoseconds: `1h30m`, `1.5s`, `-250ms`.
pub(super) fn parse_span(text: &str) -> Option<i64> {
    const UNITS: [(&str, i128); 7] = [
        ("ms", 1_000_000),
        ("us", 1_000),
        ("µs", 1_000),
        ("ns", 1),
        ("h", 3_600_000_000_000),
        ("m", 60_000_000_000),
        ("s", 1_000_000_000),
    ];
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    let mut total: i128 = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(digits);
        let (unit, factor) = UNITS.iter().find(|(unit, _)| after.starts_with(unit))?;
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() && fraction.is_empty() || number.len() > 30 || fraction.contains('.') {
            return None;
        }
        let whole: i128 = if whole.is_empty() {
            0
        } else {
            whole.parse().ok()?
        };
        total = total.checked_add(whole.checked_mul(*factor)?)?;
        let mut scale = *factor;
        for digit in fraction.bytes() {
            scale /= 10;
            total = total.checked_add(i128::from(digit - b'0') * scale)?;
        }
        rest = &after[unit.len()..];
    }
    if text.trim_start_matches(['-', '+']).is_empty() {
        return None;
    }
    i64::try_from(sign * total).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_written_as_cel_does() {
        assert_eq!(parse_span("1h30m"), Some(5_400_000_000_000));
        assert_eq!(parse_span("-1.5s"), Some(-1_500_000_000));
        assert_eq!(parse_span("250ms"), Some(250_000_000));
        assert_eq!(show_span(-1_500_000_000), "-1.5s");
        assert_eq!(show_span(60_000_000_000), "60s");
        for bad in [
            "",
            "-",
            "5",
            "s",
            "1x",
            "1s ",
            "1.2.3s",
            "99999999999h",
            "1e3s",
        ] {
            assert_eq!(parse_span(bad), None, "{bad}");
        }
    }

    #[test]
    fn every_function_is_found_by_its_name_and_finds_its_own_entry() {
        for entry in &FUNCTIONS {
            let found = find(entry.name, entry.member, entry.takes.len());
            assert_eq!(found, Ok(entry.function));
            assert_eq!(entry.function.name(), entry.name);
        }
    }
}
