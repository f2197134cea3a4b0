//! The grammar of delimited parts: objects, arrays, parentheses, `if`, `do`, `match`.

use std::sync::Arc;

use super::cursor::{Cursor, Parsed, word_length};
use super::parse::{IMPLICIT, expression, operand};
use super::tree::{Case, CasePattern, Content, Declaration, Declared, Item, Lambda, Node, Param};
use super::{header, literal, types};
use crate::value::Value;

/// Parses an object: `{a: 1, (b): 2, (c: 3) if d, (e)}`.
pub(super) fn object(cursor: &mut Cursor<'_>) -> Parsed<Node> {
    cursor.expect("{")?;
    list(cursor, "}", entry).map(Node::Object)
}

/// Parses an array: `[1, (2) if a, b: 3]`.
pub(super) fn array(cursor: &mut Cursor<'_>) -> Parsed<Node> {
    cursor.expect("[")?;
    list(cursor, "]", item).map(Node::Array)
}

fn list<T>(
    cursor: &mut Cursor<'_>,
    close: &str,
    mut part: impl FnMut(&mut Cursor<'_>) -> Parsed<T>,
) -> Parsed<Vec<T>> {
    let mut parts = Vec::new();
    loop {
        cursor.blank()?;
        if cursor.eat(close) {
            return Ok(parts);
        }
        parts.push(part(cursor)?);
        cursor.blank()?;
        if !cursor.eat(",") {
            if !cursor.eat(close) {
                return Err(cursor.unexpected(&format!("`,` or `{close}`")));
            }
            return Ok(parts);
        }
    }
}

/// Parses an entry of an object.
fn entry(cursor: &mut Cursor<'_>) -> Parsed<Item> {
    if let Some(key) = plain_key(cursor)? {
        return pair(cursor, key);
    }
    let start = cursor.at;
    if matches!(cursor.peek(), Some('"' | '\'' | '`')) {
        let key = literal::string(cursor)?;
        return pair(cursor, key);
    }
    if !cursor.starts("(") {
        return Err(cursor.unexpected("a key"));
    }
    cursor.at += 1;
    let (inside, value) = cursor.inner(|cursor| {
        cursor.blank()?;
        if let Some(key) = plain_key(cursor)? {
            cursor.expect(":")?;
            return Ok((key, Some(expression(cursor)?)));
        }
        let inside = expression(cursor)?;
        cursor.blank()?;
        if cursor.eat(":") {
            return Ok((inside, Some(expression(cursor)?)));
        }
        Ok((inside, None))
    })?;
    cursor.expect(")")?;
    cursor.blank()?;
    match value {
        // `(key: value) if …`
        Some(value) => {
            let what = "this cannot be a key";
            let mend = "write a key that is computed in parentheses: `((key): value)`";
            let key = key_of(inside).ok_or_else(|| cursor.fault(start, what, mend))?;
            let what = Content::Pair(key, value);
            let when = condition(cursor)?;
            Ok(Item { what, when })
        }
        // `(key): value`
        None if cursor.starts(":") => pair(cursor, inside),
        // `(object) if …`
        None => {
            let when = condition(cursor)?;
            let what = Content::Spread(inside);
            Ok(Item { what, when })
        }
    }
}

/// The key of a pair: a text, or an expression in its own parentheses; `None` for other nodes.
fn key_of(node: Node) -> Option<Node> {
    match node {
        Node::Literal(Value::String(_)) | Node::Text(_) => Some(node),
        Node::Group(key) => Some(*key),
        _ => None,
    }
}

fn pair(cursor: &mut Cursor<'_>, key: Node) -> Parsed<Item> {
    cursor.blank()?;
    if cursor.starts("@") {
        let what = "attributes of XML are not supported";
        let mend = "write them as keys of an object";
        return Err(cursor.fault(cursor.at, what, mend));
    }
    cursor.expect(":")?;
    let what = Content::Pair(key, expression(cursor)?);
    Ok(Item { what, when: None })
}

/// Parses a key without quotes, `id` or `Content-Type`, if a `:` follows it.
fn plain_key(cursor: &mut Cursor<'_>) -> Parsed<Option<Node>> {
    let start = cursor.at;
    let Some(word) = cursor.word() else {
        return Ok(None);
    };
    cursor.at += word.len();
    while cursor.starts("-") {
        cursor.at += 1;
        let rest = cursor.rest();
        let more = word_length(rest);
        if more == 0 {
            break;
        }
        cursor.at += more;
    }
    let end = cursor.at;
    cursor.blank()?;
    let is_key = cursor.starts(":") && !cursor.starts("::") || cursor.starts("@");
    let length = end - start;
    cursor.at = start;
    if !is_key {
        return Ok(None);
    }
    let key = Node::Literal(Value::from(&cursor.rest()[..length]));
    cursor.at = end;
    Ok(Some(key))
}

/// Parses the condition after an entry or item: `if a`.
fn condition(cursor: &mut Cursor<'_>) -> Parsed<Option<Node>> {
    cursor.blank()?;
    if !cursor.eat_word("if") {
        return Ok(None);
    }
    cursor.inner(operand).map(Some)
}

/// Parses an item of an array.
fn item(cursor: &mut Cursor<'_>) -> Parsed<Item> {
    if let Some(key) = plain_key(cursor)? {
        return pair(cursor, key);
    }
    let value = expression(cursor)?;
    cursor.blank()?;
    if cursor.starts(":") && !cursor.starts("::") {
        let key = key_of(value).ok_or_else(|| cursor.unexpected("`,` or `]`"))?;
        return pair(cursor, key);
    }
    let what = Content::Value(value);
    let when = condition(cursor)?;
    Ok(Item { what, when })
}

/// Parses an expression, or an object of one pair without braces: `name: value`, `(key): value`.
pub(super) fn or_pair(
    cursor: &mut Cursor<'_>,
    parse: fn(&mut Cursor<'_>) -> Parsed<Node>,
) -> Parsed<Node> {
    cursor.blank()?;
    if let Some(key) = plain_key(cursor)? {
        let pair = cursor.inner(|cursor| pair(cursor, key))?;
        return Ok(Node::Object(vec![pair]));
    }
    let value = parse(cursor)?;
    cursor.blank()?;
    if !cursor.starts(":") || cursor.starts("::") {
        return Ok(value);
    }
    let key = key_of(value).ok_or_else(|| cursor.unexpected("an operator or the end"))?;
    let pair = cursor.inner(|cursor| pair(cursor, key))?;
    Ok(Node::Object(vec![pair]))
}

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
    // Named parameters take the place of `$`.
    let binders = std::mem::take(&mut cursor.binders);
    let body = cursor.inner(|cursor| or_pair(cursor, expression))?;
    cursor.binders = binders;
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

/// Parses the rest of an `if`.
pub(super) fn choice(cursor: &mut Cursor<'_>) -> Parsed<Node> {
    let mut cases = Vec::new();
    loop {
        cursor.expect("(")?;
        let condition = cursor.inner(expression)?;
        cursor.expect(")")?;
        cases.push((condition, or_pair(cursor, expression)?));
        cursor.blank()?;
        let mut otherwise = None;
        if cursor.eat_word("else") {
            cursor.blank()?;
            if cursor.eat_word("if") {
                continue;
            }
            otherwise = Some(Box::new(or_pair(cursor, expression)?));
        }
        return Ok(Node::If { cases, otherwise });
    }
}

/// Parses the rest of a `do`: `{ header --- body }`.
pub(super) fn scope(cursor: &mut Cursor<'_>) -> Parsed<Node> {
    cursor.expect("{")?;
    let declarations = header::inner(cursor)?;
    let body = or_pair(cursor, expression)?;
    cursor.expect("}")?;
    Ok(Node::Do {
        declarations,
        body: Box::new(body),
    })
}

/// Parses the rest of a `using`, which was how to write `do` before: `(a = 1, b = a) body`.
pub(super) fn using(cursor: &mut Cursor<'_>) -> Parsed<Node> {
    cursor.expect("(")?;
    let declarations = list(cursor, ")", |cursor| {
        let name: Arc<str> = cursor.take_word("a name")?.into();
        cursor.declared.insert(name.clone());
        cursor.blank()?;
        let of = typed(cursor)?;
        cursor.expect("=")?;
        let value = cursor.inner(|cursor| or_pair(cursor, expression))?;
        let what = Declared::Var { value, of };
        Ok(Declaration { name, what })
    })?;
    let body = Box::new(or_pair(cursor, expression)?);
    Ok(Node::Do {
        declarations: declarations.into(),
        body,
    })
}

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
        if matches!(cursor.peek(), Some('[' | '{')) {
            let what = "patterns of arrays and objects are not supported";
            let mend = "write `case x if (…) ->`, or `case is Array ->`";
            return Err(cursor.fault(cursor.at, what, mend));
        }
        Some(CasePattern::Value(operand(cursor)?))
    };
    cursor.blank()?;
    let dollars = cursor.dollars;
    let when = if cursor.eat_word("if") {
        cursor.binders += 1;
        let when = operand(cursor)?;
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
