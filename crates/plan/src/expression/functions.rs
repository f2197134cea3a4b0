//! The functions of expressions.

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

const ANY: &[Option<Kind>] = &[None];
const TEXTS: &[Option<Kind>] = &[Some(Kind::Text), Some(Kind::Text)];
const SPAN: &[Option<Kind>] = &[Some(Kind::Span)];

const fn member(
    name: &'static str,
    function: Function,
    takes: &'static [Option<Kind>],
    gives: Kind,
) -> Entry {
    Entry {
        name,
        function,
        member: true,
        global: false,
        takes,
        gives: Some(gives),
    }
}

const fn global(name: &'static str, function: Function, gives: Option<Kind>) -> Entry {
    Entry {
        name,
        function,
        member: false,
        global: true,
        takes: ANY,
        gives,
    }
}

static FUNCTIONS: [Entry; 17] = [
    Entry {
        global: true,
        ..member("size", Function::Size, ANY, Kind::Int)
    },
    member("contains", Function::Contains, TEXTS, Kind::Bool),
    member("startsWith", Function::StartsWith, TEXTS, Kind::Bool),
    member("endsWith", Function::EndsWith, TEXTS, Kind::Bool),
    global("int", Function::Int, Some(Kind::Int)),
    global("uint", Function::UInt, Some(Kind::UInt)),
    global("double", Function::Double, Some(Kind::Double)),
    global("string", Function::Text, Some(Kind::Text)),
    global("bytes", Function::Bytes, Some(Kind::Bytes)),
    global("bool", Function::Bool, Some(Kind::Bool)),
    global("duration", Function::Duration, Some(Kind::Span)),
    global("dyn", Function::Dyn, None),
    global("type", Function::Type, Some(Kind::Type)),
    member("getHours", Function::Hours, SPAN, Kind::Int),
    member("getMinutes", Function::Minutes, SPAN, Kind::Int),
    member("getSeconds", Function::Seconds, SPAN, Kind::Int),
    member("getMilliseconds", Function::Milliseconds, SPAN, Kind::Int),
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
    let name = function.name();
    Ok(match (function, arguments) {
        (Function::Size, [Value::Text(text)]) => count(text.chars().count()),
        (Function::Size, [Value::Bytes(bytes)]) => count(bytes.len()),
        (Function::Size, [Value::List(items)]) => count(items.len()),
        (Function::Size, [Value::Map(map)]) => count(map.len()),
        (Function::Contains, [Value::Text(a), Value::Text(b)]) => Value::Bool(a.contains(&**b)),
        (Function::StartsWith, [Value::Text(a), Value::Text(b)]) => {
            Value::Bool(a.starts_with(&**b))
        }
        (Function::EndsWith, [Value::Text(a), Value::Text(b)]) => Value::Bool(a.ends_with(&**b)),
        (Function::Dyn, [value]) => value.clone(),
        (Function::Type, [value]) => Value::Type(value.kind()),
        (Function::Bytes, [Value::Text(text)]) => Value::Bytes(text.as_bytes().into()),
        (Function::Bytes, [bytes @ Value::Bytes(_)]) => bytes.clone(),
        (Function::Hours, [Value::Span(nanos)]) => Value::Int(nanos / 3_600_000_000_000),
        (Function::Minutes, [Value::Span(nanos)]) => Value::Int(nanos / 60_000_000_000),
        (Function::Seconds, [Value::Span(nanos)]) => Value::Int(nanos / 1_000_000_000),
        (Function::Milliseconds, [Value::Span(nanos)]) => Value::Int(nanos / 1_000_000),
        (
            Function::Int | Function::UInt | Function::Double | Function::Bool | Function::Text,
            [value],
        )
        | (Function::Duration, [value @ (Value::Span(_) | Value::Text(_))]) => {
            return converted(function, value).ok_or_else(|| match value {
                Value::Text(text) => format!("`{name}` cannot convert {}", quote(text)),
                _ => format!("`{name}` cannot convert this {}", value.kind().as_str()),
            });
        }
        _ => {
            let kinds = arguments.iter().map(|argument| argument.kind().as_str());
            let kinds: Vec<_> = kinds.collect();
            return Err(format!("`{name}` does not take ({})", kinds.join(", ")));
        }
    })
}

fn count(count: usize) -> Value {
    Value::Int(i64::try_from(count).unwrap_or(i64::MAX))
}

/// The value in the type that a conversion gives; `None` if the type has no such value.
fn converted(to: Function, value: &Value) -> Option<Value> {
    Some(match (to, value) {
        (Function::Int, Value::Int(_))
        | (Function::UInt, Value::UInt(_))
        | (Function::Double, Value::Double(_))
        | (Function::Bool, Value::Bool(_))
        | (Function::Text, Value::Text(_))
        | (Function::Duration, Value::Span(_)) => value.clone(),
        (Function::Int, Value::UInt(uint)) => Value::Int(i64::try_from(*uint).ok()?),
        // The bounds themselves are not exact as doubles; CEL excludes them too.
        (Function::Int, Value::Double(double))
            if *double > i64::MIN as f64 && *double < i64::MAX as f64 =>
        {
            Value::Int(*double as i64)
        }
        (Function::Int, Value::Text(text)) => Value::Int(text.parse().ok()?),
        (Function::UInt, Value::Int(int)) => Value::UInt(u64::try_from(*int).ok()?),
        (Function::UInt, Value::Double(double)) if *double > -1.0 && *double < u64::MAX as f64 => {
            Value::UInt(*double as u64)
        }
        (Function::UInt, Value::Text(text)) => Value::UInt(text.parse().ok()?),
        (Function::Double, Value::Int(int)) => Value::Double(*int as f64),
        (Function::Double, Value::UInt(uint)) => Value::Double(*uint as f64),
        (Function::Double, Value::Text(text)) => Value::Double(text.parse().ok()?),
        (Function::Bool, Value::Text(text)) => match &**text {
            "true" | "TRUE" | "True" | "t" | "1" => Value::Bool(true),
            "false" | "FALSE" | "False" | "f" | "0" => Value::Bool(false),
            _ => return None,
        },
        (Function::Text, Value::Bool(b)) => Value::text(&b.to_string()),
        (Function::Text, Value::Int(int)) => Value::text(&int.to_string()),
        (Function::Text, Value::UInt(uint)) => Value::text(&uint.to_string()),
        (Function::Text, Value::Double(double)) => Value::text(&double.to_string()),
        (Function::Text, Value::Bytes(bytes)) if bytes.len() <= TEXT_MAX => {
            Value::text(std::str::from_utf8(bytes).ok()?)
        }
        (Function::Text, Value::Span(nanos)) => Value::text(&show_span(*nanos)),
        (Function::Duration, Value::Text(text)) => Value::Span(parse_span(text)?),
        _ => return None,
    })
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
        let whole: i128 = match whole {
            "" => 0,
            digits => digits.parse().ok()?,
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
