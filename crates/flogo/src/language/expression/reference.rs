//! References: `$.name` and `$env[NAME]`, with the path after them.

use std::sync::Arc;

use super::eval::Context;
use super::{EvalError, is_blank};
use crate::language::names::Names;
use crate::language::path::{self, Manner};
use crate::language::value::{Map, Params, Value};

/// A reference whose text is known at compilation.
pub(crate) enum Reference {
    /// A value that needs no scope.
    Constant(Value),
    /// A name of the scope, and a path from its value.
    Scope { name: Arc<str>, path: Arc<str> },
}

/// The source of a reference's first value, named between `$` and the path.
pub(crate) enum Resolver {
    Scope,
    Loop,
    /// An attribute of a flow.
    Flow,
    /// An output of a task of a flow.
    Activity,
    /// The error of a flow, or of one of its tasks.
    Error,
    Env(Params),
    Property(Map),
    /// An unknown name, which is reported only at evaluation if an index is computed.
    Unknown(String),
}

/// True for a text that is one reference, which needs no parsing: its indices have neither blanks nor operators, unless
/// they are quoted.
pub(crate) fn is_pure(text: &str) -> bool {
    let bytes = text.as_bytes();
    if bytes.len() <= 2 || bytes[0] != b'$' {
        return false;
    }
    if bytes[1] != b'.' && !bytes[2].is_ascii_alphabetic() {
        return false;
    }
    let find = |from: usize, end: u8| {
        bytes[from..]
            .iter()
            .position(|&byte| byte == end)
            .map_or(bytes.len(), |at| from + at)
    };
    let mut at = 1;
    while at < bytes.len() {
        match bytes[at] {
            quote @ (b'"' | b'\'' | b'`') => at = find(at + 1, quote),
            b'[' => {
                let end = find(at + 1, b']');
                let index = &bytes[at + 1..end];
                let quoted = matches!(index.first(), Some(b'"' | b'\'' | b'`'));
                if end < bytes.len() && !quoted && index.iter().any(is_operator) {
                    return false;
                }
                at = end;
            }
            b'.' if !bytes.get(at + 1).is_some_and(u8::is_ascii_alphabetic) => return false,
            byte if is_operator(&byte) || is_blank(char::from(byte)) => return false,
            _ => {}
        }
        at += 1;
    }
    true
}

fn is_operator(byte: &u8) -> bool {
    b"(=></!*&%+-|?:$".contains(byte)
}

impl Resolver {
    /// The resolver of a reference (without its `$`), and the text after the resolver's name.
    pub fn of<'a>(reference: &'a str, names: &Names) -> (Resolver, &'a str) {
        if let Some(rest) = reference.strip_prefix('.') {
            return (Resolver::Scope, rest);
        }
        let end = reference.find(['.', '[']).unwrap_or(reference.len());
        let (name, rest) = reference.split_at(end);
        let resolver = match (name, &names.properties) {
            ("env", _) => Resolver::Env(names.env.clone()),
            ("property", Some(properties)) => Resolver::Property(properties.clone()),
            ("loop", _) if names.loops => Resolver::Loop,
            ("flow", _) if names.flows => Resolver::Flow,
            ("activity", _) if names.flows => Resolver::Activity,
            ("error", _) if names.flows => Resolver::Error,
            _ => Resolver::Unknown(name.to_owned()),
        };
        (resolver, rest)
    }

    /// The reference for the text after the resolver's name.
    pub fn resolve(&self, rest: &str, skip_missing: bool) -> Result<Reference, String> {
        let (value, rest) = match self {
            Resolver::Scope => {
                let end = rest.find(['.', '[']).unwrap_or(rest.len());
                return Ok(Reference::Scope {
                    name: rest[..end].into(),
                    path: rest[end..].into(),
                });
            }
            Resolver::Loop => {
                let (name, path) = if rest.starts_with('[') {
                    item("loop", rest)?
                } else {
                    ("_loop", rest)
                };
                return Ok(Reference::Scope {
                    name: name.into(),
                    path: path.into(),
                });
            }
            Resolver::Flow => {
                let rest = rest.strip_prefix('.').ok_or_else(|| {
                    format!("cannot resolve 'flow{rest}': write an attribute as in `$flow.name`")
                })?;
                let end = rest.find(['.', '[']).unwrap_or(rest.len());
                return Ok(scoped(rest[..end].to_owned(), &rest[end..]));
            }
            Resolver::Activity => {
                let (task, rest) = item("activity", rest)?;
                let (output, path) = match rest.strip_prefix('.') {
                    Some(rest) => rest.split_at(rest.find(['.', '[']).unwrap_or(rest.len())),
                    None => return Ok(scoped(format!("_A.{task}"), rest)),
                };
                return Ok(scoped(format!("_A.{task}.{output}"), path));
            }
            Resolver::Error if rest.starts_with('[') => {
                let (task, path) = item("error", rest)?;
                return Ok(scoped(format!("_E.{task}"), path));
            }
            Resolver::Error => return Ok(scoped("_E".to_owned(), rest)),
            Resolver::Env(env) => {
                let (name, rest) = item("env", rest)?;
                let text = env.get(name).ok_or_else(|| {
                    format!(
                        "failed to resolve Environment Variable: '{name}', ensure that variable is configured"
                    )
                })?;
                (Value::Str(text.clone()), rest)
            }
            Resolver::Property(properties) => {
                let (name, rest) = item("property", rest)?;
                let value = properties.get(name).ok_or_else(|| {
                    format!(
                        "failed to resolve Property: '{name}', ensure that property is configured in the application"
                    )
                })?;
                (value.clone(), rest)
            }
            Resolver::Unknown(name) => return Err(format!("unable to find a '{name}' resolver")),
        };
        // Flogo reads a field of an item and ignores it.
        let path = match rest.strip_prefix('.') {
            Some(field) => &field[field.find(['.', '[']).unwrap_or(field.len())..],
            None => rest,
        };
        let manner = Manner {
            skip_missing,
            ..Manner::default()
        };
        path::walk(&value, path, manner)
            .map(Reference::Constant)
            .map_err(|error| error.message)
    }
}

/// A value of a flow's run, in which attributes, outputs and errors have names of their own.
fn scoped(name: String, path: &str) -> Reference {
    Reference::Scope {
        name: name.into(),
        path: path.into(),
    }
}

/// The name in the brackets at the beginning of `rest`, without quotes, and the text after them.
fn item<'a>(resolver: &str, rest: &'a str) -> Result<(&'a str, &'a str), String> {
    let complaint = |why: &str| {
        format!("cannot resolve '{resolver}{rest}' : invalid resolve directive: '{rest}'{why}")
    };
    let (name, after) = rest
        .strip_prefix('[')
        .and_then(|rest| rest.split_once(']'))
        .ok_or_else(|| complaint(" needs to start with [item]"))?;
    if !(after.is_empty() || after.starts_with(['.', '['])) {
        return Err(complaint(""));
    }
    let unquoted = ['"', '\'', '`'].iter().find_map(|quote| {
        name.strip_prefix(*quote)
            .and_then(|inner| inner.strip_suffix(*quote))
    });
    Ok((unquoted.unwrap_or(name), after))
}

impl Reference {
    /// Parses a reference, with its `$`.
    pub fn of(text: &str, names: &Names) -> Result<Reference, String> {
        let (resolver, rest) = Resolver::of(&text[1..], names);
        resolver.resolve(rest, names.skip_missing)
    }

    pub fn eval(&self, context: &mut Context<'_>) -> Result<Value, EvalError> {
        match self {
            Reference::Constant(value) => Ok(value.clone()),
            Reference::Scope { name, path } => {
                let value = context.get(name)?;
                context.walk(&value, path)
            }
        }
    }
}
