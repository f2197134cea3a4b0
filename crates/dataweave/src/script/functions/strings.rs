//! The module `dw::core::Strings`: texts cut, padded, tested and counted.
//! ([Strings](https://docs.mulesoft.com/dataweave/latest/dw-strings))

use super::{Builtin, applied, count, misfit, of_text, plain};
use crate::fault::EvalFault;
use crate::script::coerce::{self, Coerced};
use crate::script::run::Run;
use crate::value::Value;

pub(super) const FUNCTIONS: &[Builtin] = &[
    of_text("appendIfMissing", 2, |run, text, args| {
        let suffix = coerce::text(&args[0])?;
        match text.ends_with(&*suffix) {
            true => Ok(text.into()),
            false => joined(run, &[text, &suffix]),
        }
    }),
    of_text("prependIfMissing", 2, |run, text, args| {
        let prefix = coerce::text(&args[0])?;
        match text.starts_with(&*prefix) {
            true => Ok(text.into()),
            false => joined(run, &[&prefix, text]),
        }
    }),
    of_text("wrapIfMissing", 2, wrap_if_missing),
    of_text("wrapWith", 2, |run, text, args| {
        let wrapper = coerce::text(&args[0])?;
        joined(run, &[&wrapper, text, &wrapper])
    }),
    of_text("unwrap", 2, unwrap),
    of_text("charCode", 1, |_, text, _| char_code(text, 0)),
    of_text("charCodeAt", 2, |run, text, args| {
        run.read(text.len())?;
        char_code(text, coerce::integer(&args[0])?)
    }),
    plain("fromCharCode", 1, from_char_code),
    of_text("collapse", 1, |run, text, _| {
        let mut parts: Vec<&str> = Vec::new();
        let mut start = 0;
        let mut last = None;
        for (at, char) in text.char_indices() {
            if last.is_some_and(|last| last != char) {
                parts.push(&text[start..at]);
                start = at;
            }
            last = Some(char);
        }
        if !text.is_empty() {
            parts.push(&text[start..]);
        }
        texts(run, parts)
    }),
    of_text("countCharactersBy", 2, |run, text, args| {
        let mut found = 0;
        for (at, char) in text.chars().enumerate() {
            found += usize::from(holds(run, &args[0], char, at)?);
        }
        Ok(count(found))
    })
    .higher(),
    plain("everyCharacter", 2, |run, args| {
        any_character(run, args, false)
    })
    .higher(),
    plain("someCharacter", 2, |run, args| {
        any_character(run, args, true)
    })
    .higher(),
    of_text("mapString", 2, |run, text, args| {
        let mut mapped = String::new();
        for (at, char) in text.chars().enumerate() {
            let part = applied(run, &args[0], vec![char.to_string().into(), count(at)])?;
            let part = coerce::text(&part)?;
            run.text(mapped.len() + part.len())?;
            mapped.push_str(&part);
        }
        Ok(mapped.into())
    })
    .higher(),
    of_text("substringBy", 2, |run, text, args| {
        let mut parts = Vec::new();
        let mut start = 0;
        for (place, (at, char)) in text.char_indices().enumerate() {
            if holds(run, &args[0], char, place)? {
                parts.push(&text[start..at]);
                start = at + char.len_utf8();
            }
        }
        parts.push(&text[start..]);
        texts(run, parts)
    })
    .higher(),
    of_text("countMatches", 2, |run, text, args| {
        run.read(text.len().saturating_mul(8))?;
        Ok(count(match &args[0] {
            Value::Regex(pattern) => pattern.anywhere().find_iter(text).count(),
            part => {
                let part = coerce::text(part)?;
                match part.is_empty() {
                    true => 0,
                    false => text.matches(&*part).count(),
                }
            }
        }))
    }),
    of_text("first", 2, |run, text, args| {
        run.read(text.len())?;
        let amount = whole(&args[0], false)?;
        Ok(text.chars().take(amount).collect::<String>().into())
    }),
    of_text("last", 2, |run, text, args| {
        run.read(text.len())?;
        let amount = whole(&args[0], true)?;
        let skipped = text.chars().count().saturating_sub(amount);
        Ok(text.chars().skip(skipped).collect::<String>().into())
    }),
    plain("hammingDistance", 2, hamming_distance),
    plain("levenshteinDistance", 2, levenshtein_distance),
    plain("isAlpha", 1, |run, args| {
        all_characters(run, args, char::is_alphabetic)
    }),
    plain("isAlphanumeric", 1, |run, args| {
        all_characters(run, args, char::is_alphanumeric)
    }),
    plain("isLowerCase", 1, |run, args| {
        all_characters(run, args, char::is_lowercase)
    }),
    plain("isUpperCase", 1, |run, args| {
        all_characters(run, args, char::is_uppercase)
    }),
    plain("isNumeric", 1, |run, args| {
        all_characters(run, args, is_digit)
    }),
    plain("isWhitespace", 1, |run, args| match &args[0] {
        Value::String(text) if text.is_empty() => Ok(true.into()),
        _ => all_characters(run, args, char::is_whitespace),
    }),
    of_text("leftPad", 2, |run, text, args| {
        let padding = padding(run, text, args)?;
        joined(run, &[&padding, text])
    })
    .up_to(3),
    of_text("rightPad", 2, |run, text, args| {
        let padding = padding(run, text, args)?;
        joined(run, &[text, &padding])
    })
    .up_to(3),
    of_text("repeat", 2, |run, text, args| {
        let times = whole(&args[0], false)?;
        run.text(text.len().saturating_mul(times))?;
        Ok(text.repeat(times).into())
    }),
    of_text("lines", 1, |run, text, _| {
        texts(
            run,
            text.split('\n')
                .map(|line| line.trim_end_matches('\r'))
                .collect(),
        )
    }),
    of_text("words", 1, |run, text, _| {
        texts(run, text.split_whitespace().collect())
    }),
    of_text("remove", 2, |run, text, args| {
        replace_all(run, text, &args[0], "")
    }),
    of_text("replaceAll", 3, |run, text, args| {
        let by = coerce::text(&args[1])?;
        replace_all(run, text, &args[0], &by)
    }),
    of_text("reverse", 1, |run, text, _| {
        run.text(text.len())?;
        Ok(text.chars().rev().collect::<String>().into())
    }),
    of_text("substring", 3, |run, text, args| {
        run.read(text.len())?;
        let (from, until) = (whole(&args[0], false)?, whole(&args[1], false)?);
        let part = text.chars().skip(from).take(until.saturating_sub(from));
        Ok(part.collect::<String>().into())
    }),
    of_text("substringEvery", 2, |run, text, args| {
        let amount = whole(&args[0], false)?;
        if amount == 0 {
            return Err(misfit(
                "substringEvery",
                "a length greater than 0",
                &args[0],
            ));
        }
        run.step(text.len())?;
        let chars: Vec<char> = text.chars().collect();
        let parts = chars
            .chunks(amount)
            .map(|part| Value::from(part.iter().collect::<String>()));
        let parts = parts.collect();
        run.array(parts)
    }),
    of_text("withMaxSize", 2, |run, text, args| {
        run.read(text.len())?;
        match whole(&args[0], false)? {
            0 => Ok(text.into()),
            most => Ok(text.chars().take(most).collect::<String>().into()),
        }
    }),
];

fn joined(run: &mut Run<'_>, parts: &[&str]) -> Coerced<Value> {
    run.text(parts.iter().map(|part| part.len()).sum())?;
    Ok(parts.concat().into())
}

/// Makes a list of texts.
fn texts(run: &mut Run<'_>, parts: Vec<&str>) -> Coerced<Value> {
    run.step(parts.len())?;
    run.array(parts.into_iter().map(Value::from).collect())
}

/// A count, rounded to a whole number; negative ones are 0.
fn whole(value: &Value, up: bool) -> Coerced<usize> {
    use bigdecimal::RoundingMode::{Ceiling, Floor};
    let number = coerce::number(value)?.rounded(0, if up { Ceiling } else { Floor });
    Ok(usize::try_from(number.to_i64().unwrap_or(i64::MAX).max(0)).unwrap_or(usize::MAX))
}

/// The result of a condition of a character and its index.
fn holds(run: &mut Run<'_>, test: &Value, char: char, at: usize) -> Coerced<bool> {
    let result = applied(run, test, vec![char.to_string().into(), count(at)])?;
    coerce::boolean(&result)
}

/// Evaluates `someCharacter` (`wanted` is true) or `everyCharacter` (false). Null has no characters.
fn any_character(run: &mut Run<'_>, args: &[Value], wanted: bool) -> Coerced<Value> {
    if !args[0].is_null() {
        let text = coerce::text(&args[0])?;
        for (at, char) in text.chars().enumerate() {
            if holds(run, &args[1], char, at)? == wanted {
                return Ok(wanted.into());
            }
        }
    }
    Ok((!wanted).into())
}

/// True if a text has characters, and all of them pass a test. Null has none.
fn all_characters(run: &mut Run<'_>, args: &[Value], test: fn(char) -> bool) -> Coerced<Value> {
    if args[0].is_null() {
        return Ok(false.into());
    }
    let text = coerce::text(&args[0])?;
    run.read(text.len())?;
    Ok((!text.is_empty() && text.chars().all(test)).into())
}

/// True for decimal digits of any script.
fn is_digit(char: char) -> bool {
    char.is_ascii_digit() || (!char.is_ascii() && !char.is_alphabetic() && decimal(char))
}

/// True for the digits of the scripts that have their own, which Unicode lays out in runs of ten.
fn decimal(char: char) -> bool {
    const ZEROS: [u32; 20] = [
        0x660, 0x6f0, 0x7c0, 0x966, 0x9e6, 0xa66, 0xae6, 0xb66, 0xbe6, 0xc66, 0xce6, 0xd66, 0xe50,
        0xed0, 0xf20, 0x1040, 0x17e0, 0x1810, 0xff10, 0x1d7ce,
    ];
    ZEROS
        .iter()
        .any(|zero| (*zero..zero + 10).contains(&u32::from(char)))
}

fn char_code(text: &str, at: i64) -> Coerced<Value> {
    // Java counts in UTF-16 units.
    let unit = usize::try_from(at)
        .ok()
        .and_then(|at| text.encode_utf16().nth(at));
    match unit {
        Some(unit) => Ok(i64::from(unit).into()),
        None if text.is_empty() => Err(EvalFault::new("Unexpected empty string")),
        None => Err(EvalFault::new(format!("the text has no character at {at}"))),
    }
}

fn from_char_code(_: &mut Run<'_>, args: &[Value]) -> Coerced<Value> {
    if args[0].is_null() {
        return Ok(Value::Null);
    }
    let code = coerce::integer(&args[0])?;
    let char = u32::try_from(code).ok().and_then(char::from_u32);
    let char = char.ok_or_else(|| misfit("fromCharCode", "the code of a character", &args[0]))?;
    Ok(char.to_string().into())
}

fn wrap_if_missing(run: &mut Run<'_>, text: &str, args: &[Value]) -> Coerced<Value> {
    let wrapper = coerce::text(&args[0])?;
    if wrapper.is_empty() {
        return Ok(text.into());
    }
    // The wrapper alone begins and ends with itself.
    let before = if text.starts_with(&*wrapper) {
        ""
    } else {
        &*wrapper
    };
    let alone = text.is_empty();
    let after = if alone || text.ends_with(&*wrapper) {
        ""
    } else {
        &*wrapper
    };
    joined(run, &[before, text, after])
}

/// Removes a wrapper around a text. A text that has it at one end only has it moved to the other, as the example of
/// the documentation shows.
fn unwrap(run: &mut Run<'_>, text: &str, args: &[Value]) -> Coerced<Value> {
    let wrapper = coerce::text(&args[0])?;
    if wrapper.is_empty() || text == &*wrapper {
        return Ok(text.into());
    }
    match (text.strip_prefix(&*wrapper), text.strip_suffix(&*wrapper)) {
        (Some(rest), Some(_)) => Ok(rest.strip_suffix(&*wrapper).unwrap_or(rest).into()),
        (Some(rest), None) => joined(run, &[rest, &wrapper]),
        (None, Some(rest)) => joined(run, &[&wrapper, rest]),
        (None, None) => Ok(text.into()),
    }
}

fn padding(run: &mut Run<'_>, text: &str, args: &[Value]) -> Coerced<String> {
    let pad = match args.get(1) {
        Some(pad) => coerce::text(pad)?,
        None => " ".into(),
    };
    run.read(text.len())?;
    let missing = whole(&args[0], false)?.saturating_sub(text.chars().count());
    run.text(missing.saturating_mul(pad.len().max(1)))?;
    Ok(pad.chars().cycle().take(missing).collect())
}

fn replace_all(run: &mut Run<'_>, text: &str, part: &Value, by: &str) -> Coerced<Value> {
    run.read(text.len().saturating_mul(8))?;
    let places = match part {
        Value::Regex(pattern) => {
            let found = pattern.anywhere().find_iter(text);
            found.map(|found| found.range()).collect::<Vec<_>>()
        }
        part => {
            let part = coerce::text(part)?;
            if part.is_empty() {
                return Ok(text.into());
            }
            let found = text.match_indices(&*part);
            found.map(|(at, part)| at..at + part.len()).collect()
        }
    };
    run.text(text.len() + places.len().saturating_mul(by.len()))?;
    let mut replaced = String::new();
    let mut start = 0;
    for place in places {
        replaced.push_str(&text[start..place.start]);
        replaced.push_str(by);
        start = place.end;
    }
    replaced.push_str(&text[start..]);
    Ok(replaced.into())
}

/// The number of places at which two texts of one length differ; null for texts of different lengths.
fn hamming_distance(run: &mut Run<'_>, args: &[Value]) -> Coerced<Value> {
    let (a, b) = (coerce::text(&args[0])?, coerce::text(&args[1])?);
    run.read(a.len() + b.len())?;
    if a.chars().count() != b.chars().count() {
        return Ok(Value::Null);
    }
    Ok(count(
        a.chars().zip(b.chars()).filter(|(a, b)| a != b).count(),
    ))
}

/// The least number of insertions, removals and replacements that make one text of the other.
fn levenshtein_distance(run: &mut Run<'_>, args: &[Value]) -> Coerced<Value> {
    let (a, b) = (coerce::text(&args[0])?, coerce::text(&args[1])?);
    run.step(a.len().saturating_mul(b.len()) / 4)?;
    Ok(count(strsim::levenshtein(&a, &b)))
}
