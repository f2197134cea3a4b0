//! The grammar of `match`.

use std::sync::Arc;

use super::body::or_pair;
use super::cursor::{Cursor, Parsed};
use super::parse::{IMPLICIT, expression, operand};
use super::tree::{Case, CasePattern, Node};
use super::types;
use crate::value::Kind;

/// Parses the rest of a `match`: `{ case … -> … else -> … }`.
pub(super) fn cases(cursor: &mut Cursor<'_>) -> Parsed<Vec<Case>> {
    cursor.inner(|cursor| {
        cursor.expect("{")?;
        let mut cases = Vec::new();
        loop {
            cursor.blank()?;
            if cursor.eat("}") {
                return Ok(cases);
            }
            if cases.last().is_some_and(is_else) {
                return Err(cursor.unexpected("`}` after `else`"));
            }
            if cursor.eat_word("case") {
                cases.push(case(cursor)?);
            } else if cursor.eat_word("else") {
                cursor.blank()?;
                let name = name(cursor);
                cases.push(then(cursor, name, None, None)?);
            } else {
                return Err(cursor.unexpected("`case`, `else` or `}`"));
            }
            // Commas between cases are optional.
            cursor.blank()?;
            cursor.eat(",");
        }
    })
}

fn is_else(case: &Case) -> bool {
    case.pattern.is_none() && case.when.is_none()
}

fn case(cursor: &mut Cursor<'_>) -> Parsed<Case> {
    cursor.blank()?;
    let words = ["is", "if", "matches", "true", "false", "null"];
    let named = cursor.word().is_some_and(|word| !words.contains(&word));
    let name = if named { name(cursor) } else { None };
    cursor.blank()?;
    // The pattern applies to the value, under a name or as `$`.
    let pattern = if cursor.eat_word("is") {
        Some(CasePattern::Is(types::plain(cursor)?))
    } else if cursor.eat_word("matches") {
        Some(CasePattern::Matches(operand(cursor)?))
    } else if cursor.word() == Some("if") {
        None
    } else {
        if name.is_some() {
            cursor.expect(":")?;
            cursor.blank()?;
        }
        match cursor.peek() {
            Some('[') => Some(split(cursor, "[", "]", Kind::Array)?),
            Some('{') => Some(split(cursor, "{", "}", Kind::Object)?),
            _ => Some(CasePattern::Value(operand(cursor)?)),
        }
    };
    cursor.blank()?;
    let dollars = cursor.dollars;
    let when = if cursor.eat_word("if") {
        cursor.binders += 1;
        let when = cursor.inner(expression)?;
        cursor.binders -= 1;
        Some(when)
    } else {
        None
    };
    if name.is_none() {
        cursor.dollars = dollars;
    }
    then(cursor, name, pattern, when)
}

/// Parses `[]`, `[a ~ b]`, `{}` or `{k: v ~ b}`.
fn split(cursor: &mut Cursor<'_>, open: &str, close: &str, kind: Kind) -> Parsed<CasePattern> {
    let taken = |cursor: &mut Cursor<'_>| -> Parsed<Arc<str>> {
        cursor.blank()?;
        let name: Arc<str> = cursor.take_word("a name")?.into();
        cursor.declared.insert(name.clone());
        Ok(name)
    };
    cursor.expect(open)?;
    cursor.blank()?;
    if cursor.eat(close) {
        return Ok(CasePattern::Empty(kind));
    }
    let mut key = None;
    if kind == Kind::Object {
        key = Some(taken(cursor)?);
        cursor.expect(":")?;
    }
    let head = taken(cursor)?;
    cursor.expect("~")?;
    let tail = taken(cursor)?;
    cursor.expect(close)?;
    Ok(CasePattern::Split { key, head, tail })
}

fn name(cursor: &mut Cursor<'_>) -> Option<Arc<str>> {
    let name: Arc<str> = cursor.word()?.into();
    cursor.at += name.len();
    cursor.declared.insert(name.clone());
    Some(name)
}

fn then(
    cursor: &mut Cursor<'_>,
    name: Option<Arc<str>>,
    pattern: Option<CasePattern>,
    when: Option<Node>,
) -> Parsed<Case> {
    cursor.expect("->")?;
    let dollars = cursor.dollars;
    let binds = usize::from(name.is_none());
    cursor.binders += binds;
    let then = or_pair(cursor, expression)?;
    cursor.binders -= binds;
    if name.is_none() {
        cursor.dollars = dollars;
    }
    Ok(Case {
        name: name.unwrap_or_else(|| IMPLICIT[0].into()),
        pattern,
        when,
        then,
    })
}
