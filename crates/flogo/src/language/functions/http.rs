//! The package `http`: cookies.

use std::sync::Arc;

use super::{Function, Type, of, text};
use crate::language::expression::{Context, EvalError};
use crate::language::value::{Params, Value};

pub(crate) const FUNCTIONS: &[Function] = &[
    of("reqCookieToParams", &[Type::Text], |args, _| {
        Ok(cookies(text(&args[0])).into())
    }),
    of("reqCookieFromParams", &[Type::Params], from_params),
    of(
        "rewriteCookies",
        &[Type::Array, Type::Text, Type::Text, Type::Text],
        rewrite,
    ),
];

/// The cookies of a request's `Cookie` header; the last of equal names wins.
fn cookies(header: &str) -> Params {
    header
        .split(';')
        .filter_map(|cookie| {
            let (name, value) = cookie.trim().split_once('=').unwrap_or((cookie.trim(), ""));
            let value = value
                .strip_prefix('"')
                .and_then(|value| value.strip_suffix('"'))
                .unwrap_or(value);
            let valid = !name.is_empty()
                && name.bytes().all(is_token)
                && value
                    .bytes()
                    .all(|byte| is_value(byte) || matches!(byte, b' ' | b','));
            valid.then(|| (Arc::from(name), Arc::from(value)))
        })
        .collect()
}

/// Formats a `Cookie` header, with cookies sorted by name.
fn from_params(args: &[Value], _: &mut Context<'_>) -> Result<Value, EvalError> {
    let cookies: Vec<String> = args[0]
        .to_params()?
        .iter()
        .map(|(name, value)| {
            let name = name.replace(['\r', '\n'], "-");
            let value: String = value
                .chars()
                .filter(|char| {
                    matches!(char, ' ' | ',') || (char.is_ascii() && is_value(*char as u8))
                })
                .collect();
            if value.contains([' ', ',']) {
                format!("{name}=\"{value}\"")
            } else {
                format!("{name}={value}")
            }
        })
        .collect();
    Ok(cookies.join("; ").into())
}

/// `rewriteCookies(cookies, name, domain, path)`: the `Set-Cookie` texts, with the domain and path of the first one of
/// that name replaced, if it has them.
fn rewrite(args: &[Value], context: &mut Context<'_>) -> Result<Value, EvalError> {
    let mut cookies = args[0].to_array().to_vec();
    let (name, domain, path) = (text(&args[1]), text(&args[2]), text(&args[3]));
    let prefix = format!("{name}=");
    for cookie in &mut cookies {
        let Value::Str(whole) = &cookie else {
            return Err(EvalError::new("Error in cookies array input"));
        };
        context.read_text(whole.len())?;
        if !starts_with_fold(whole, &prefix) {
            continue;
        }
        let parts: Vec<String> = whole
            .split(';')
            .enumerate()
            .map(|(at, part)| {
                let bare = part.strip_prefix(' ').unwrap_or(part);
                if at > 0 && starts_with_fold(bare, "Domain=") {
                    format!(" Domain={domain}")
                } else if at > 0 && starts_with_fold(bare, "Path=") {
                    format!(" Path={path}")
                } else {
                    part.to_owned()
                }
            })
            .collect();
        *cookie = parts.join(";").into();
        break;
    }
    Ok(cookies.into())
}

fn starts_with_fold(text: &str, start: &str) -> bool {
    text.get(..start.len())
        .is_some_and(|head| head.eq_ignore_ascii_case(start))
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn is_value(byte: u8) -> bool {
    (0x21..0x7f).contains(&byte) && !matches!(byte, b'"' | b';' | b'\\' | b',')
}
