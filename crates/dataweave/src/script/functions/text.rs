//! Functions of texts.

use std::sync::Arc;

use regex::Captures;

use super::{Builtin, applied, count, misfit, of_array, of_text, plain};
use crate::fault::EvalFault;
use crate::script::coerce::{self, Coerced};
use crate::script::run::Run;
use crate::value::regex::Pattern;
use crate::value::{Kind, Value};

pub(super) const FUNCTIONS: &[Builtin] = &[
    of_text("upper", 1, |run, text, _| {
        changed(run, text, str::to_uppercase)
    }),
    of_text("lower", 1, |run, text, _| {
        changed(run, text, str::to_lowercase)
    }),
    of_text("trim", 1, |run, text, _| {
        changed(run, text, |text| text.trim().to_owned())
    }),
    plain("isBlank", 1, is_blank),
    plain("contains", 2, contains),
    plain("startsWith", 2, |_, args| {
        tested(args, |text, part| text.starts_with(part))
    }),
    plain("endsWith", 2, |_, args| {
        tested(args, |text, part| text.ends_with(part))
    }),
    of_text("substringAfter", 2, |_, text, by| {
        part(text, by, |text, by| match by.is_empty() {
            // As the example of the documentation shows.
            true => text.get(text.chars().next()?.len_utf8()..),
            false => Some(text.split_once(by)?.1),
        })
    }),
    of_text("substringBefore", 2, |_, text, by| {
        part(text, by, |text, by| Some(text.split_once(by)?.0))
    }),
    of_text("substringAfterLast", 2, |_, text, by| {
        if coerce::text(&by[0])?.is_empty() {
            return Ok(Value::Null);
        }
        part(text, by, |text, by| Some(text.rsplit_once(by)?.1))
    }),
    of_text("substringBeforeLast", 2, |_, text, by| {
        part(text, by, |text, by| match by.is_empty() {
            true => text.get(..text.len() - text.chars().next_back()?.len_utf8()),
            false => Some(text.rsplit_once(by)?.0),
        })
    }),
    of_text("splitBy", 2, split_by),
    of_array("joinBy", 2, join_by),
    plain("replace", 2, |_, _| Err(alone())),
    plain("with", 2, |_, _| Err(alone())).higher(),
    plain("matches", 2, matches),
    plain("match", 2, match_),
    plain("scan", 2, scan),
    plain("find", 2, find),
    plain("indexOf", 2, |run, args| index_of(run, args, false)),
    plain("lastIndexOf", 2, |run, args| index_of(run, args, true)),
];

fn alone() -> EvalFault {
    EvalFault::new("`replace` and `with` belong together: write `a replace b with c`")
}

fn changed(run: &mut Run<'_>, text: &str, change: fn(&str) -> String) -> Coerced<Value> {
    run.text(text.len())?;
    Ok(change(text).into())
}

fn is_blank(_: &mut Run<'_>, args: &[Value]) -> Coerced<Value> {
    let is_blank = args[0].is_null() || coerce::text(&args[0])?.trim().is_empty();
    Ok(is_blank.into())
}

fn matches(run: &mut Run<'_>, args: &[Value]) -> Coerced<Value> {
    if args[0].is_null() {
        return Ok(false.into());
    }
    let (text, pattern) = searched(run, args)?;
    Ok(pattern.whole().is_match(&text).into())
}

fn tested(args: &[Value], test: fn(&str, &str) -> bool) -> Coerced<Value> {
    if args[0].is_null() {
        return Ok(false.into());
    }
    Ok(test(&coerce::text(&args[0])?, &coerce::text(&args[1])?).into())
}

/// The part of a text before or after another text; empty if that does not occur.
fn part(
    text: &str,
    by: &[Value],
    part: for<'a> fn(&'a str, &str) -> Option<&'a str>,
) -> Coerced<Value> {
    Ok(part(text, &coerce::text(&by[0])?)
        .unwrap_or_default()
        .into())
}

/// The text to search, with the regular expression to search for.
fn searched(run: &mut Run<'_>, args: &[Value]) -> Coerced<(Arc<str>, Pattern)> {
    let text = coerce::text(&args[0])?;
    run.read(text.len().saturating_mul(8))?;
    Ok((text, run.pattern(&args[1])?))
}

fn contains(run: &mut Run<'_>, args: &[Value]) -> Coerced<Value> {
    Ok(match (&args[0], &args[1]) {
        (Value::Null, _) => false,
        (Value::Array(array), item) => {
            run.step(array.items().len())?;
            array.items().contains(item)
        }
        (_, Value::Regex(_)) => {
            let (text, pattern) = searched(run, args)?;
            pattern.anywhere().is_match(&text)
        }
        (text, other) => {
            let text = coerce::text(text)?;
            run.read(text.len())?;
            text.contains(&*coerce::text(other)?)
        }
    }
    .into())
}

/// Splits as Java does: trailing empty texts are dropped.
fn split_by(run: &mut Run<'_>, text: &str, by: &[Value]) -> Coerced<Value> {
    run.read(text.len().saturating_mul(8))?;
    let mut parts: Vec<&str> = match &by[0] {
        Value::Regex(pattern) => {
            let mut parts = Vec::new();
            let mut start = 0;
            for found in pattern.anywhere().find_iter(text) {
                // An empty match at the very start splits nothing off.
                if found.end() > 0 {
                    parts.push(&text[start..found.start()]);
                    start = found.end();
                }
            }
            parts.push(&text[start..]);
            parts
        }
        separator => {
            let separator = coerce::text(separator)?;
            if separator.is_empty() {
                let ends = text.char_indices();
                ends.map(|(at, char)| &text[at..at + char.len_utf8()])
                    .collect()
            } else {
                text.split(&*separator).collect()
            }
        }
    };
    while parts.len() > 1 && parts.last().is_some_and(|part| part.is_empty()) {
        parts.pop();
    }
    run.step(parts.len())?;
    run.array(parts.into_iter().map(Value::from).collect())
}

fn join_by(run: &mut Run<'_>, items: &[Value], by: &[Value]) -> Coerced<Value> {
    let separator = coerce::text(&by[0])?;
    let mut joined = String::new();
    for (at, item) in items.iter().enumerate() {
        run.step(1)?;
        let item = coerce::text(item)?;
        coerce::check_text(joined.len() + separator.len() + item.len())?;
        if at > 0 {
            joined.push_str(&separator);
        }
        joined.push_str(&item);
    }
    run.text(joined.len())?;
    Ok(joined.into())
}

/// The groups of a match, the whole match first; null for a group that did not take part.
pub(in crate::script) fn groups(captures: &Captures<'_>) -> Value {
    let texts = captures.iter().map(|group| match group {
        Some(group) => Value::from(group.as_str()),
        None => Value::Null,
    });
    Value::array(texts.collect())
}

/// Evaluates `text replace matcher with by`.
pub(in crate::script) fn replace(
    run: &mut Run<'_>,
    text: &Value,
    matcher: &Value,
    by: &Value,
) -> Coerced<Value> {
    if text.is_null() {
        return Ok(Value::Null);
    }
    let text = coerce::text(text)?;
    run.read(text.len().saturating_mul(8))?;
    let pattern = match matcher {
        Value::Regex(pattern) => pattern.clone(),
        plain => {
            let escaped = regex::escape(&coerce::text(plain)?);
            run.pattern(&escaped.into())
                .map_err(|_| misfit("replace", "a shorter text to look for", plain))?
        }
    };
    let mut replaced = String::new();
    let mut start = 0;
    for (at, captures) in pattern.anywhere().captures_iter(&text).enumerate() {
        let Some(whole) = captures.get(0) else {
            continue;
        };
        let by = applied(run, by, vec![groups(&captures), count(at)])?;
        let by = coerce::text(&by)?;
        coerce::check_text(replaced.len() + text.len() + by.len())?;
        run.read(by.len())?;
        replaced.push_str(&text[start..whole.start()]);
        replaced.push_str(&by);
        start = whole.end();
    }
    replaced.push_str(&text[start..]);
    run.text(replaced.len())?;
    Ok(replaced.into())
}

fn match_(run: &mut Run<'_>, args: &[Value]) -> Coerced<Value> {
    if args[0].is_null() {
        return run.array(Vec::new());
    }
    let (text, pattern) = searched(run, args)?;
    Ok(match pattern.whole().captures(&text) {
        Some(captures) => groups(&captures),
        None => Value::array(Vec::new()),
    })
}

fn scan(run: &mut Run<'_>, args: &[Value]) -> Coerced<Value> {
    if args[0].is_null() {
        return run.array(Vec::new());
    }
    let (text, pattern) = searched(run, args)?;
    let mut found = Vec::new();
    for captures in pattern.anywhere().captures_iter(&text) {
        run.step(captures.len())?;
        found.push(groups(&captures));
    }
    run.array(found)
}

/// Converts offsets in bytes to characters; cheap while offsets increase.
struct Places<'a> {
    text: &'a str,
    bytes: usize,
    chars: usize,
}

impl Places<'_> {
    fn of(&mut self, byte: usize) -> Value {
        if byte < self.bytes {
            (self.bytes, self.chars) = (0, 0);
        }
        self.chars += self.text[self.bytes..byte].chars().count();
        self.bytes = byte;
        count(self.chars)
    }
}

/// Finds the indices of an item in an array, the offsets of a text in a text, or the matches with their groups.
fn find(run: &mut Run<'_>, args: &[Value]) -> Coerced<Value> {
    let places = |text| Places {
        text,
        bytes: 0,
        chars: 0,
    };
    let found = match (&args[0], &args[1]) {
        (Value::Null, _) => Vec::new(),
        (Value::Array(array), item) => {
            run.step(array.items().len())?;
            let items = array.items().iter().enumerate();
            let same = items.filter(|(_, other)| *other == item);
            same.map(|(at, _)| count(at)).collect()
        }
        (_, Value::Regex(_)) => {
            let (text, pattern) = searched(run, args)?;
            let mut found = Vec::new();
            let mut places = places(&text);
            for captures in pattern.anywhere().captures_iter(&text) {
                run.step(captures.len())?;
                let starts = captures.iter().flatten();
                found.push(Value::array(
                    starts.map(|group| places.of(group.start())).collect(),
                ));
            }
            found
        }
        (text, other) => {
            let (text, other) = (coerce::text(text)?, coerce::text(other)?);
            run.read(text.len())?;
            let mut places = places(&text);
            let mut found = Vec::new();
            for (at, _) in text.match_indices(&*other) {
                run.step(1)?;
                found.push(places.of(at));
            }
            found
        }
    };
    run.array(found)
}

/// The index of the first or last occurrence; -1 if there is none.
fn index_of(run: &mut Run<'_>, args: &[Value], last: bool) -> Coerced<Value> {
    let place = match &args[0] {
        Value::Null => None,
        Value::Array(array) => {
            run.step(array.items().len())?;
            let mut items = array.items().iter();
            if last {
                items.rposition(|item| *item == args[1])
            } else {
                items.position(|item| *item == args[1])
            }
        }
        text if matches!(text.kind(), Kind::Object) => {
            return Err(misfit("indexOf", "an array or a text", text));
        }
        text => {
            let (text, other) = (coerce::text(text)?, coerce::text(&args[1])?);
            run.read(text.len())?;
            let at = if last {
                text.rfind(&*other)
            } else {
                text.find(&*other)
            };
            at.map(|at| text[..at].chars().count())
        }
    };
    Ok(place.map_or_else(|| (-1).into(), count))
}
