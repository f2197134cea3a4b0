//! The package `string`: texts, whose lengths and indices count bytes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Function, Type, count, many, of, pattern, text};
use crate::language::expression::{Context, EvalError, fail};
use crate::language::number::{read_float, read_int, truncate};
use crate::language::value::Value;

const TEXT: &[Type] = &[Type::Text];
const TWO: &[Type] = &[Type::Text, Type::Text];
const THREE: &[Type] = &[Type::Text, Type::Text, Type::Text];

pub(crate) const FUNCTIONS: &[Function] = &[
    many("concat", Type::Text, concat),
    of("contains", TWO, |args, _| {
        Ok(one(args).contains(two(args)).into())
    }),
    of("containsAny", TWO, |args, _| {
        Ok(index_any(args).is_some().into())
    }),
    of("count", TWO, |args, _| {
        Ok(count(occurrences(one(args), two(args))))
    }),
    of("endsWith", TWO, |args, _| {
        Ok(one(args).ends_with(two(args)).into())
    }),
    of("startsWith", TWO, |args, _| {
        Ok(one(args).starts_with(two(args)).into())
    }),
    of("equals", TWO, |args, _| Ok((one(args) == two(args)).into())),
    of("equalsIgnoreCase", TWO, |args, _| {
        Ok(equal_fold(one(args), two(args)).into())
    }),
    of("index", TWO, |args, _| Ok(place(one(args).find(two(args))))),
    of("indexAny", TWO, |args, _| Ok(place(index_any(args)))),
    of("lastIndex", TWO, |args, _| {
        Ok(place(one(args).rfind(two(args))))
    }),
    of("len", TEXT, |args, _| Ok(count(one(args).len()))),
    of("substring", &[Type::Text, Type::Int, Type::Int], substring),
    of("substringAfter", TWO, |args, _| {
        let halves = one(args).split_once(two(args));
        Ok(halves.map_or(one(args), |(_, after)| after).into())
    }),
    of("substringBefore", TWO, |args, _| {
        let halves = one(args).split_once(two(args));
        Ok(halves.map_or(one(args), |(before, _)| before).into())
    }),
    of("integer", TEXT, |args, _| {
        Ok(Value::Int(read_int(one(args))?))
    }),
    many("float", Type::Text, float),
    of("join", &[Type::Array, Type::Text], join),
    of("split", TWO, split),
    of("matchRegEx", TWO, |args, context| {
        context.read_text(one(args).len() + two(args).len())?;
        // In Flogo an invalid pattern matches nothing.
        let regex = pattern::compile(one(args));
        Ok(regex.is_ok_and(|regex| regex.is_match(two(args))).into())
    }),
    of("replaceRegEx", THREE, |args, context| {
        pattern::replace(one(args), two(args), three(args), context)
    }),
    of("repeat", &[Type::Text, Type::Int], repeat),
    of(
        "replace",
        &[Type::Text, Type::Text, Type::Text, Type::Int],
        |args, context| replace(args, usize::try_from(args[3].to_int()?).ok(), context),
    ),
    of("replaceAll", THREE, |args, context| {
        replace(args, None, context)
    }),
    of("toTitleCase", TEXT, |args, _| Ok(title(one(args)).into())),
    of("toLower", TEXT, |args, _| {
        Ok(one(args).chars().map(lower).collect::<String>().into())
    }),
    of("toUpper", TEXT, |args, _| {
        Ok(one(args).chars().map(upper).collect::<String>().into())
    }),
    many("trim", Type::Text, trim),
    of("trimLeft", TWO, |args, _| {
        Ok(one(args).trim_start_matches(among(two(args))).into())
    }),
    of("trimRight", TWO, |args, _| {
        Ok(one(args).trim_end_matches(among(two(args))).into())
    }),
    of("trimPrefix", TWO, |args, _| {
        let rest = one(args).strip_prefix(two(args));
        Ok(rest.unwrap_or(one(args)).into())
    }),
    of("trimSuffix", TWO, |args, _| {
        let rest = one(args).strip_suffix(two(args));
        Ok(rest.unwrap_or(one(args)).into())
    }),
    of("stringToBase64", TEXT, |args, _| {
        Ok(STANDARD.encode(one(args)).into())
    }),
    of("base64ToString", TEXT, |args, _| {
        let bytes = super::utils::decode(one(args).as_bytes())?;
        Ok(String::from_utf8_lossy(&bytes).as_ref().into())
    }),
];

fn one(args: &[Value]) -> &str {
    text(&args[0])
}

fn two(args: &[Value]) -> &str {
    text(&args[1])
}

fn three(args: &[Value]) -> &str {
    text(&args[2])
}

/// An index as a number, -1 for `None`.
fn place(at: Option<usize>) -> Value {
    at.map_or(Value::Int(-1), count)
}

fn among(chars: &str) -> impl Fn(char) -> bool {
    move |char| chars.contains(char)
}

fn index_any(args: &[Value]) -> Option<usize> {
    one(args).find(among(two(args)))
}

fn concat(args: &[Value], context: &mut Context<'_>) -> Result<Value, EvalError> {
    if args.len() < 2 {
        return fail("fnConcat function must have at least two arguments");
    }
    context.make_text(args.iter().map(|arg| text(arg).len()).sum())?;
    Ok(args.iter().map(text).collect::<String>().into())
}

/// Number of occurrences of a part. An empty part occurs around each character.
fn occurrences(whole: &str, part: &str) -> usize {
    whole.matches(part).count()
}

/// True if two texts are equal except for case, character by character.
fn equal_fold(a: &str, b: &str) -> bool {
    a.chars().map(fold).eq(b.chars().map(fold))
}

fn fold(char: char) -> char {
    lower(upper(char))
}

/// Converts one character to one, as in Go: of several the first is taken.
fn lower(char: char) -> char {
    char.to_lowercase().next().unwrap_or(char)
}

/// Converts one character to one, as in Go: a character with several capitals stays.
fn upper(char: char) -> char {
    let mut upper = char.to_uppercase();
    match (upper.next(), upper.next()) {
        (Some(upper), None) => upper,
        _ => char,
    }
}

/// Capitalises the beginning of each word.
fn title(text: &str) -> String {
    let mut before = ' ';
    text.chars()
        .map(|char| {
            let starts = if before.is_ascii() {
                !(before.is_ascii_alphanumeric() || before == '_')
            } else {
                before.is_whitespace()
            };
            before = char;
            if starts { upper(char) } else { char }
        })
        .collect()
}

/// `substring(text, start, length)`; a length of -1 extends to the end. A partial character becomes U+FFFD.
fn substring(args: &[Value], _: &mut Context<'_>) -> Result<Value, EvalError> {
    let whole = one(args);
    let (start, length) = (args[1].to_int()?, args[2].to_int()?);
    let size = i64::try_from(whole.len()).unwrap_or(i64::MAX);
    let end = if length == -1 {
        size
    } else {
        start.saturating_add(length)
    };
    if end > size {
        return fail("string length exceeded");
    }
    usize::try_from(start)
        .ok()
        .zip(usize::try_from(end).ok())
        .and_then(|(start, end)| whole.as_bytes().get(start..end))
        .map(|part| String::from_utf8_lossy(part).as_ref().into())
        .ok_or_else(|| {
            EvalError::new(format!(
                "the range {start} to {end} is outside the text's {size} bytes"
            ))
        })
}

/// `float(text)`, or `float(text, places)` rounded to `places` decimal places, at most 16.
fn float(args: &[Value], _: &mut Context<'_>) -> Result<Value, EvalError> {
    let (float, places) = match args {
        [only] => return Type::Float.coerce(only),
        [float, places] => (text(float), text(places)),
        _ => return fail("function arguments for float.float64 must be one or two"),
    };
    let float =
        read_float(float).map_err(|_| EvalError::new(format!("Invalid float type [{float}]")))?;
    let places = read_int(places)
        .map_err(|_| EvalError::new(format!("Float precision [{places}] must be integer")))?;
    let scale = 10_f64.powi(i32::try_from(places.clamp(-400, 16)).unwrap_or(16));
    let scaled = float * scale;
    Ok(Value::Float(
        truncate(scaled + 0.5_f64.copysign(scaled)) as f64 / scale,
    ))
}

fn join(args: &[Value], context: &mut Context<'_>) -> Result<Value, EvalError> {
    let texts: Vec<String> = args[0].to_array().iter().map(Value::to_text).collect();
    let between = two(args);
    let size = texts.iter().map(String::len).sum::<usize>()
        + between.len().saturating_mul(texts.len().saturating_sub(1));
    context.make_text(size)?;
    Ok(texts.join(between).into())
}

/// Splits at separators; with an empty separator, into characters.
fn split(args: &[Value], context: &mut Context<'_>) -> Result<Value, EvalError> {
    let (whole, separator) = (one(args), two(args));
    // A part costs far more memory than its bytes.
    context.step(occurrences(whole, separator))?;
    let parts: Vec<Value> = if separator.is_empty() {
        whole.chars().map(|char| char.to_string().into()).collect()
    } else {
        whole.split(separator).map(Value::from).collect()
    };
    Ok(parts.into())
}

fn repeat(args: &[Value], context: &mut Context<'_>) -> Result<Value, EvalError> {
    let times = args[1].to_int()?;
    let times = usize::try_from(times)
        .map_err(|_| EvalError::new(format!("a text cannot be repeated {times} times")))?;
    context.make_text(one(args).len().saturating_mul(times))?;
    Ok(one(args).repeat(times).into())
}

/// Replaces in `replace(text, old, new)`, at most `times` times.
fn replace(
    args: &[Value],
    times: Option<usize>,
    context: &mut Context<'_>,
) -> Result<Value, EvalError> {
    let (whole, old, new) = (one(args), two(args), three(args));
    let found = occurrences(whole, old).min(times.unwrap_or(usize::MAX));
    context.make_text(whole.len() + found.saturating_mul(new.len()))?;
    Ok(whole.replacen(old, new, found).into())
}

/// `trim(text)` of blanks, or `trim(text, characters)`.
fn trim(args: &[Value], _: &mut Context<'_>) -> Result<Value, EvalError> {
    match args {
        [] => fail("string.trim expects a text"),
        [whole] => Ok(text(whole).trim().into()),
        [whole, chars, ..] => Ok(text(whole).trim_matches(among(text(chars))).into()),
    }
}
