//! The grammar of parentheses: around an expression, or around the parameters of a function.

use std::sync::Arc;

use super::body::{list, or_pair};
use super::cursor::{Cursor, Parsed, word_length};
use super::parse::{expression, implicit};
use super::tree::{Lambda, Node, Param};
use super::types;

/// Parses `(a)`, or a function's parameters with its body.
pub(super) fn enclosed(cursor: &mut Cursor<'_>) -> Parsed<Node> {
    if begins_function(cursor) {
        let lambda = function(cursor, "->")?;
        return Ok(Node::Lambda(Arc::new(lambda)));
    }
    cursor.expect("(")?;
    let inside = or_pair(cursor, expression)?;
    cursor.expect(")")?;
    Ok(Node::Group(Box::new(inside)))
}

/// True if `(` opens parameters: `()`, `(a, `, `(a = `, `(a: Type) ->`, `(a) ->`.
fn begins_function(cursor: &Cursor<'_>) -> bool {
    let inside = cursor.rest()[1..].trim_start();
    if let Some(after) = inside.strip_prefix(')') {
        return after.trim_start().starts_with("->");
    }
    let word = word_length(inside);
    if word == 0 || inside.starts_with(|char: char| char.is_ascii_digit()) {
        return false;
    }
    let after = inside[word..].trim_start();
    match after.chars().next() {
        Some(',') => true,
        Some('=') => !after.starts_with("=="),
        // In `(a: b)` alone the parentheses enclose a pair.
        Some(':') => !after.starts_with("::") && arrow_follows(inside),
        Some(')') => after[1..].trim_start().starts_with("->"),
        _ => false,
    }
}

/// True if an arrow or a type follows the `)` that closes a text, apart from parentheses in quotes.
fn arrow_follows(text: &str) -> bool {
    let mut depth = 0_usize;
    let mut quote = None;
    let mut escaped = false;
    for (at, char) in text.char_indices() {
        match (char, quote) {
            _ if escaped => escaped = false,
            ('\\', Some(_)) => escaped = true,
            (_, Some(open)) if char == open => quote = None,
            (_, Some(_)) => {}
            ('"' | '\'' | '`', None) => quote = Some(char),
            ('(', None) => depth += 1,
            (')', None) if depth == 0 => {
                let after = text[at + 1..].trim_start();
                return after.starts_with("->") || after.starts_with(':');
            }
            (')', None) => depth -= 1,
            _ => {}
        }
    }
    false
}

/// Parses a function: `(a, b: Number = 1): Number`, then `arrow` and a body.
pub(super) fn function(cursor: &mut Cursor<'_>, arrow: &str) -> Parsed<Lambda> {
    cursor.expect("(")?;
    let params = list(cursor, ")", |cursor| {
        let name: Arc<str> = cursor.take_word("the name of a parameter")?.into();
        cursor.declared.insert(name.clone());
        cursor.blank()?;
        let of = typed(cursor)?;
        cursor.blank()?;
        let default = match cursor.eat("=") {
            true => Some(cursor.inner(expression)?),
            false => None,
        };
        Ok(Param { name, of, default })
    })?;
    cursor.blank()?;
    let returns = typed(cursor)?;
    cursor.expect(arrow)?;
    // Named parameters take the place of `$`; without any, `$` may be used.
    let binders = std::mem::take(&mut cursor.binders);
    let dollars = cursor.dollars;
    cursor.binders = usize::from(params.is_empty());
    let body = cursor.inner(|cursor| or_pair(cursor, expression))?;
    cursor.binders = binders;
    if params.is_empty() && cursor.dollars > dollars && arrow == "->" {
        cursor.dollars = dollars;
        return Ok(Lambda {
            returns,
            ..implicit(body)
        });
    }
    Ok(Lambda {
        params,
        returns,
        body,
    })
}

/// Parses a type annotation, `: Type`, if there is one.
pub(super) fn typed(cursor: &mut Cursor<'_>) -> Parsed<Option<types::Type>> {
    if !cursor.eat(":") {
        return Ok(None);
    }
    types::plain(cursor).map(Some)
}
