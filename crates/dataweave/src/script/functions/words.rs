//! The module `dw::core::Strings`: texts as words, in the ways to write names, and in the plural.

use super::{Builtin, of_text, plain};
use crate::script::coerce::{self, Coerced};
use crate::script::run::Run;
use crate::value::Value;

pub(super) const FUNCTIONS: &[Builtin] = &[
    of_text("camelize", 1, |run, text, _| {
        made(run, text, |text| {
            let parts = text.split('_').filter(|part| !part.is_empty());
            let parts = parts.enumerate().map(|(at, part)| match at {
                0 => with_first(part, char::to_lowercase),
                _ => with_first(part, char::to_uppercase),
            });
            parts.collect()
        })
    }),
    of_text("capitalize", 1, |run, text, _| {
        made(run, text, |text| {
            let words = words(text).into_iter();
            let words = words.map(|word| with_first(&word.to_lowercase(), char::to_uppercase));
            words.collect::<Vec<_>>().join(" ")
        })
    }),
    of_text("dasherize", 1, |run, text, _| {
        made(run, text, |text| words(text).join("-").to_lowercase())
    }),
    of_text("underscore", 1, |run, text, _| {
        made(run, text, |text| words(text).join("_").to_lowercase())
    }),
    of_text("pluralize", 1, |run, text, _| made(run, text, plural)),
    of_text("singularize", 1, |run, text, _| made(run, text, singular)),
    plain("ordinalize", 1, ordinalize),
];

fn made(run: &mut Run<'_>, text: &str, make: fn(&str) -> String) -> Coerced<Value> {
    run.text(text.len().saturating_mul(2))?;
    Ok(make(text).into())
}

fn with_first<I: Iterator<Item = char>>(word: &str, change: fn(char) -> I) -> String {
    let mut chars = word.chars();
    match chars.next() {
        Some(first) => change(first).chain(chars).collect(),
        None => String::new(),
    }
}

/// The words of a name: parted by spaces, underscores, dashes, and before a capital after a small letter.
fn words(text: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut small = false;
    for char in text.chars() {
        let parts = char.is_whitespace() || matches!(char, '_' | '-');
        if parts || (small && char.is_uppercase()) {
            words.push(String::new());
        }
        small = char.is_lowercase() || char.is_numeric();
        if let (false, Some(word)) = (parts, words.last_mut()) {
            word.push(char);
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

const IRREGULAR: [(&str, &str); 9] = [
    ("person", "people"),
    ("man", "men"),
    ("woman", "women"),
    ("child", "children"),
    ("foot", "feet"),
    ("tooth", "teeth"),
    ("goose", "geese"),
    ("mouse", "mice"),
    ("ox", "oxen"),
];

const UNCHANGED: [&str; 9] = [
    "equipment",
    "information",
    "rice",
    "money",
    "species",
    "series",
    "fish",
    "sheep",
    "news",
];

fn known(text: &str) -> Option<(&'static str, &'static str)> {
    let lower = text.to_lowercase();
    let mut pairs = IRREGULAR.iter();
    let found = pairs.find(|(one, many)| lower == *one || lower == *many);
    found.copied()
}

/// True if a letter before the end of a word is a vowel.
fn vowel_before(text: &str, end: &str) -> bool {
    let stem = text.strip_suffix(end).unwrap_or_default();
    stem.ends_with(['a', 'e', 'i', 'o', 'u'])
}

fn plural(text: &str) -> String {
    if let Some((_, many)) = known(text) {
        return many.to_owned();
    }
    let lower = text.to_lowercase();
    let is_plural = lower.ends_with('s') && !lower.ends_with("ss") && !lower.ends_with("us");
    if text.is_empty() || UNCHANGED.contains(&&*lower) || (is_plural && !lower.ends_with("is")) {
        return text.to_owned();
    }
    if let Some(stem) = text.strip_suffix('y')
        && !vowel_before(&lower, "y")
    {
        return format!("{stem}ies");
    }
    if let Some(stem) = text.strip_suffix("sis") {
        return format!("{stem}ses");
    }
    if let Some(stem) = text.strip_suffix("fe") {
        return format!("{stem}ves");
    }
    if let Some(stem) = text.strip_suffix('f')
        && !lower.ends_with("ff")
        && !lower.ends_with("oof")
        && !lower.ends_with("ief")
    {
        return format!("{stem}ves");
    }
    match ["s", "x", "z", "ch", "sh", "o"]
        .iter()
        .any(|end| lower.ends_with(end))
    {
        true => format!("{text}es"),
        false => format!("{text}s"),
    }
}

fn singular(text: &str) -> String {
    if let Some((one, _)) = known(text) {
        return one.to_owned();
    }
    let lower = text.to_lowercase();
    if UNCHANGED.contains(&&*lower) || lower.ends_with("ss") || lower.ends_with("us") {
        return text.to_owned();
    }
    for (end, one) in [
        ("ies", "y"),
        ("lves", "lf"),
        ("rves", "rf"),
        ("ives", "ife"),
        ("aves", "af"),
        ("xes", "x"),
        ("ches", "ch"),
        ("shes", "sh"),
        ("sses", "ss"),
        ("zzes", "zz"),
        ("oes", "o"),
        ("yses", "ysis"),
        ("s", ""),
    ] {
        if let Some(stem) = text.strip_suffix(end)
            && !stem.is_empty()
        {
            return format!("{stem}{one}");
        }
    }
    text.to_owned()
}

/// A number as an ordinal: `1st`, `22nd`, `113th`.
fn ordinalize(_: &mut Run<'_>, args: &[Value]) -> Coerced<Value> {
    if args[0].is_null() {
        return Ok(Value::Null);
    }
    let number = coerce::number(&args[0])?;
    let size = number.magnitude().to_i64().unwrap_or(0);
    let end = match (size % 100, size % 10) {
        (11..=13, _) => "th",
        (_, 1) => "st",
        (_, 2) => "nd",
        (_, 3) => "rd",
        _ => "th",
    };
    Ok(format!("{number}{end}").into())
}
