//! The grammar of delimited parts: objects, arrays, `if`, `do`.

use std::sync::Arc;

use super::cursor::{Cursor, Parsed, word_length};
use super::lambda::typed;
use super::parse::expression;
use super::tree::{Content, Declaration, Declared, Item, MarkedKey, Node};
use super::{header, literal};
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

/// Parses parts with commas between them, up to the text that closes them.
pub(super) fn list<T>(
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
            let key = with_attributes(cursor, key)?;
            cursor.expect(":")?;
            return Ok((key, Some(expression(cursor)?)));
        }
        let inside = expression(cursor)?;
        cursor.blank()?;
        let inside = match key_of_text(&inside) {
            true => with_attributes(cursor, inside)?,
            false => inside,
        };
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
        None if cursor.starts(":") || cursor.starts("@") => pair(cursor, inside),
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
        Node::Literal(Value::String(_)) | Node::Text(_) | Node::Key(_) => Some(node),
        Node::Group(key) => Some(*key),
        _ => None,
    }
}

/// True for a text, or an expression in its own parentheses.
fn key_of_text(node: &Node) -> bool {
    matches!(
        node,
        Node::Literal(Value::String(_)) | Node::Text(_) | Node::Group(_)
    )
}

fn pair(cursor: &mut Cursor<'_>, key: Node) -> Parsed<Item> {
    let key = with_attributes(cursor, key)?;
    cursor.expect(":")?;
    let what = Content::Pair(key, or_pair(cursor, expression)?);
    Ok(Item { what, when: None })
}

/// Parses the attributes after a key, `@(a: 1, (b): 2, (c))`, if there are any.
fn with_attributes(cursor: &mut Cursor<'_>, key: Node) -> Parsed<Node> {
    cursor.blank()?;
    if !cursor.starts("@") {
        return Ok(key);
    }
    cursor.at += 1;
    cursor.expect("(")?;
    let attributes = cursor.inner(|cursor| list(cursor, ")", entry))?;
    let key = match key {
        Node::Key(key) => MarkedKey { attributes, ..*key },
        name => MarkedKey {
            name,
            namespace: None,
            attributes,
        },
    };
    Ok(Node::Key(Box::new(key)))
}

/// Parses a key without quotes, `id`, `Content-Type` or `soap#Body`, if a `:` or attributes follow it.
fn plain_key(cursor: &mut Cursor<'_>) -> Parsed<Option<Node>> {
    if let Some(namespace) = cursor.eat_namespace()? {
        let name = match cursor.peek() {
            Some('"' | '\'' | '`') => literal::string(cursor)?,
            _ => Node::Literal(cursor.take_word("a name")?.into()),
        };
        return Ok(Some(Node::Key(Box::new(MarkedKey {
            name,
            namespace: Some(namespace),
            attributes: Vec::new(),
        }))));
    }
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
    cursor.inner(expression).map(Some)
}

/// Parses an item of an array.
fn item(cursor: &mut Cursor<'_>) -> Parsed<Item> {
    if let Some(key) = plain_key(cursor)? {
        return pair(cursor, key);
    }
    let value = expression(cursor)?;
    cursor.blank()?;
    if cursor.starts(":") && !cursor.starts("::") || cursor.starts("@(") {
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
    let is_pair = cursor.starts(":") && !cursor.starts("::") || cursor.starts("@(");
    if !is_pair {
        return Ok(value);
    }
    let key = key_of(value).ok_or_else(|| cursor.unexpected("an operator or the end"))?;
    let pair = cursor.inner(|cursor| pair(cursor, key))?;
    Ok(Node::Object(vec![pair]))
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
