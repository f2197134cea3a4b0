//! Types, as in `as`, `is`, `case is`, parameters and variables.

use std::sync::Arc;

use super::cursor::{Cursor, Parsed};
use super::tree::Node;
use super::{literal, parse};
use crate::value::{Kind, Value};

/// A type of values.
#[derive(Clone)]
pub(super) enum Type {
    /// Any value at all.
    Any,
    Kind(Kind),
    /// A text that XML writes as a CDATA section.
    CData,
    /// A single value.
    Literal(Value),
    /// One of several types.
    Union(Vec<Type>),
}

/// The target of an `as`, with its options.
#[derive(Clone)]
pub(super) struct Target {
    pub of: Type,
    pub options: Arc<[(Setting, Node)]>,
}

/// An option of `as`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Setting {
    Format,
    Unit,
    Locale,
    /// The base of a binary value's digits, 16 or 64.
    Base,
    /// The way of rounding to the digits of a format.
    Rounding,
    /// An option without effect here: DataWeave takes any, such as an object's Java class, or its media type.
    Other,
}

impl Type {
    /// True if a value is of the type.
    pub fn holds(&self, value: &Value) -> bool {
        match self {
            Type::Any => true,
            Type::CData => value.kind() == Kind::String,
            Type::Kind(kind) => value.kind() == *kind,
            Type::Literal(literal) => value == literal,
            Type::Union(types) => types.iter().any(|of| of.holds(value)),
        }
    }
}

impl Target {
    /// True if the conversion refuses some texts, as that to a number does.
    pub fn is_demanding(&self) -> bool {
        fn is_demanding(of: &Type) -> bool {
            match of {
                Type::Any | Type::CData | Type::Literal(_) => false,
                // A list is mostly one already: `as Iterator` says how it is read.
                Type::Kind(kind) => {
                    !matches!(kind, Kind::String | Kind::Binary | Kind::Null | Kind::Array)
                }
                Type::Union(types) => types.iter().all(is_demanding),
            }
        }
        // With options an object is given a class of Java.
        let is_class = matches!(self.of, Type::Kind(Kind::Object)) && !self.options.is_empty();
        !is_class && is_demanding(&self.of)
    }
}

/// Finds a kind by its name.
pub(super) fn kind(name: &str) -> Option<Kind> {
    match name {
        "Key" => Some(Kind::String),
        name => Kind::named(name),
    }
}

/// Parses a type without options.
pub(super) fn plain(cursor: &mut Cursor<'_>) -> Parsed<Type> {
    let first = cursor.inner(single)?;
    let mut types = vec![first.of];
    loop {
        cursor.blank()?;
        if cursor.eat("|") {
            types.push(cursor.inner(single)?.of);
        } else if cursor.eat("&") {
            // Both sides are objects, and structures are not checked.
            cursor.inner(single)?;
        } else {
            break;
        }
    }
    Ok(match (types.len(), types.pop()) {
        (1, Some(only)) => only,
        (_, last) => Type::Union(types.into_iter().chain(last).collect()),
    })
}

/// Parses a type with options in braces, `String {format: "yyyy"}`, which override the options of a declared type.
pub(super) fn target(cursor: &mut Cursor<'_>) -> Parsed<Target> {
    let mut target = single(cursor)?;
    cursor.blank()?;
    if cursor.eat("{") {
        let mut options = Vec::new();
        loop {
            cursor.blank()?;
            if cursor.eat("}") {
                break;
            }
            options.push(option(cursor)?);
            cursor.blank()?;
            if !cursor.eat(",") {
                cursor.expect("}")?;
                break;
            }
        }
        target.options = options.into();
        cursor.blank()?;
    }
    if cursor.eat("|") {
        target.of = Type::Union(vec![target.of, plain(cursor)?]);
    }
    Ok(target)
}

/// Parses one member of a union.
fn single(cursor: &mut Cursor<'_>) -> Parsed<Target> {
    let simple = |of| Target {
        of,
        options: Arc::new([]),
    };
    cursor.blank()?;
    let start = cursor.at;
    match cursor.peek() {
        Some('{') => {
            structure(cursor)?;
            return Ok(simple(Type::Kind(Kind::Object)));
        }
        Some('(') => {
            parameters(cursor)?;
            return Ok(simple(Type::Kind(Kind::Function)));
        }
        Some('"' | '\'' | '0'..='9') => {
            let node = match cursor.peek() {
                Some('0'..='9') => literal::number(cursor)?,
                _ => literal::string(cursor)?,
            };
            return match node {
                Node::Literal(value) => Ok(simple(Type::Literal(value))),
                _ => Err(cursor.fault(start, "a type cannot be computed", "write a plain text")),
            };
        }
        _ => {}
    }
    let name = cursor.take_word("the name of a type")?;
    if cursor.eat("<") {
        cursor.inner(|cursor| {
            loop {
                plain(cursor)?;
                if !cursor.eat(",") {
                    return cursor.expect(">");
                }
            }
        })?;
    }
    if let Some(target) = cursor.types.get(name) {
        return Ok(target.clone());
    }
    match name {
        "Any" => Ok(simple(Type::Any)),
        "true" | "false" => Ok(simple(Type::Literal((name == "true").into()))),
        "Range" | "Iterator" => Ok(simple(Type::Kind(Kind::Array))),
        "CData" | "CDATA" => Ok(simple(Type::CData)),
        "Uri" | "Enum" => Ok(simple(Type::Kind(Kind::String))),
        "SimpleType" | "Comparable" => Ok(simple(Type::Any)),
        _ => match kind(name) {
            Some(kind) => Ok(simple(Type::Kind(kind))),
            None => Err(cursor.fault(
                start,
                &format!("unknown type `{name}`"),
                "use Number, String, Boolean, DateTime, Date, Array, Object or another of DataWeave",
            )),
        },
    }
}

/// Parses a structure, `{name: String, age?: Number}`, which here only means an object.
fn structure(cursor: &mut Cursor<'_>) -> Parsed<()> {
    cursor.expect("{")?;
    cursor.inner(|cursor| {
        let closed = cursor.eat("|");
        loop {
            cursor.blank()?;
            if cursor.eat(if closed { "|}" } else { "}" }) {
                return Ok(());
            }
            if matches!(cursor.peek(), Some('"' | '\'')) {
                literal::string(cursor)?;
            } else {
                cursor.take_word("a key")?;
            }
            let _ = cursor.eat("?") || cursor.eat("*");
            cursor.expect(":")?;
            plain_member(cursor, closed)?;
            if !cursor.eat(",") {
                return cursor.expect(if closed { "|}" } else { "}" });
            }
        }
    })
}

/// Parses the type of a member; a `|` before its end may belong to the object.
fn plain_member(cursor: &mut Cursor<'_>, closed: bool) -> Parsed<()> {
    single(cursor)?;
    loop {
        cursor.blank()?;
        if closed && cursor.starts("|}") {
            return Ok(());
        }
        if !(cursor.eat("|") || cursor.eat("&")) {
            return Ok(());
        }
        single(cursor)?;
    }
}

/// Parses the type of a function: `(String, n: Number) -> Boolean`.
fn parameters(cursor: &mut Cursor<'_>) -> Parsed<()> {
    cursor.expect("(")?;
    cursor.inner(|cursor| {
        loop {
            cursor.blank()?;
            if cursor.eat(")") {
                break;
            }
            let named = cursor.word().is_some_and(|word| {
                let after = cursor.rest()[word.len()..].trim_start();
                after.starts_with(':')
            });
            if named {
                cursor.take_word("a name")?;
                cursor.expect(":")?;
            }
            plain(cursor)?;
            if !cursor.eat(",") {
                cursor.expect(")")?;
                break;
            }
        }
        cursor.expect("->")?;
        plain(cursor).map(drop)
    })
}

/// Parses an option: `format: "yyyy"`.
fn option(cursor: &mut Cursor<'_>) -> Parsed<(Setting, Node)> {
    let name = if cursor.starts("\"") || cursor.starts("'") {
        match literal::string(cursor)? {
            Node::Literal(Value::String(name)) => name.to_string(),
            _ => return Err(cursor.unexpected("the name of an option")),
        }
    } else {
        cursor.take_word("the name of an option")?.to_owned()
    };
    let option = match name.as_str() {
        "format" => Setting::Format,
        "unit" => Setting::Unit,
        "locale" => Setting::Locale,
        "base" => Setting::Base,
        "roundMode" => Setting::Rounding,
        _ => Setting::Other,
    };
    cursor.expect(":")?;
    Ok((option, cursor.inner(parse::expression)?))
}
