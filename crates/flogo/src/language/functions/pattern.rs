//! Regular expressions: [Go's syntax](https://pkg.go.dev/regexp/syntax), run by the `regex` crate.
//!
//! Their few differences are rewritten: Go's `\d`, `\s`, `\w` and `\b` mean ASCII alone, its classes have neither
//! nesting nor `&&`, and it has `\Q…\E`.

use regex::{Captures, Regex, RegexBuilder};

use crate::language::expression::{Context, EvalError};
use crate::language::value::Value;

/// The most bytes of a compiled pattern.
const COMPILED_MAX: usize = 1 << 20;

/// Compiles a pattern in Go's syntax.
///
/// # Errors
/// Fails if the pattern is invalid or too large.
pub(crate) fn compile(pattern: &str) -> Result<Regex, EvalError> {
    RegexBuilder::new(&translated(pattern))
        .size_limit(COMPILED_MAX)
        .nest_limit(100)
        .build()
        .map_err(|error| EvalError::new(format!("error parsing regexp: {error}")))
}

/// Replaces all matches in `text`; `$1` and `${name}` in `by` are the groups' matches.
pub(crate) fn replace(
    pattern: &str,
    text: &str,
    by: &str,
    context: &mut Context<'_>,
) -> Result<Value, EvalError> {
    let regex = compile(pattern)?;
    context.read_text(pattern.len() + text.len())?;
    let mut made = String::new();
    let mut last = 0;
    for captures in regex.captures_iter(text) {
        let all = whole(&captures);
        made.push_str(&text[last..all.0]);
        captures.expand(by, &mut made);
        context.check_text(made.len())?;
        last = all.1;
    }
    made.push_str(&text[last..]);
    context.make_text(made.len())?;
    Ok(made.into())
}

fn whole(captures: &Captures<'_>) -> (usize, usize) {
    captures
        .get(0)
        .map_or((0, 0), |all| (all.start(), all.end()))
}

fn translated(pattern: &str) -> String {
    let mut made = String::with_capacity(pattern.len());
    let mut rest = pattern;
    let mut in_class = false;
    while let Some(char) = rest.chars().next() {
        let after = &rest[char.len_utf8()..];
        if char == '\\' {
            let Some(escaped) = after.chars().next() else {
                made.push('\\');
                break;
            };
            rest = &after[escaped.len_utf8()..];
            match escaped {
                'd' => made.push_str("[0-9]"),
                'D' => made.push_str("[^0-9]"),
                's' => made.push_str(r"[\t\n\f\r ]"),
                'S' => made.push_str(r"[^\t\n\f\r ]"),
                'w' => made.push_str("[0-9A-Za-z_]"),
                'W' => made.push_str("[^0-9A-Za-z_]"),
                'b' if !in_class => made.push_str(r"(?-u:\b)"),
                'Q' if !in_class => {
                    let (quoted, left) = rest.split_once("\\E").unwrap_or((rest, ""));
                    made.push_str(&regex::escape(quoted));
                    rest = left;
                }
                _ => {
                    made.push('\\');
                    made.push(escaped);
                }
            }
            continue;
        }
        rest = after;
        match char {
            '[' if !in_class => {
                in_class = true;
                made.push('[');
                // Right after the beginning of a class a `]` is a literal character.
                for first in ['^', ']'] {
                    if let Some(left) = rest.strip_prefix(first) {
                        made.push_str(if first == ']' { r"\]" } else { "^" });
                        rest = left;
                    }
                }
            }
            '[' if rest.starts_with(':') && rest.contains(":]") => {
                let end = rest.find(":]").map_or(rest.len(), |at| at + 2);
                made.push('[');
                made.push_str(&rest[..end]);
                rest = &rest[end..];
            }
            '[' | '&' | '~' if in_class => {
                made.push('\\');
                made.push(char);
            }
            ']' if in_class => {
                in_class = false;
                made.push(']');
            }
            _ => made.push(char),
        }
    }
    made
}
