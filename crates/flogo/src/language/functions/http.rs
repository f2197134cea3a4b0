//! The package `http`: cookies.

use std::sync::Arc;

use super::{Function, Type, of, text};
use crate::language::expression::{Context, EvalError, fail};
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
            let valid = is_token(name) && value.chars().all(is_value);
            valid.then(|| (Arc::from(name), Arc::from(value)))
        })
        .collect()
}

/// Formats a `Cookie` header, with cookies sorted by name.
fn from_params(args: &[Value], _: &mut Context<'_>) -> Result<Value, EvalError> {
    let params = args[0].to_params()?;
    let cookies = params.iter();
    let cookies = cookies.map(|(name, value)| pair(&name.replace(['\r', '\n'], "-"), value));
    Ok(cookies.collect::<Vec<_>>().join("; ").into())
}

/// A cookie's name and value. Characters that a value cannot have are dropped; blanks and commas put it in quotes.
pub(crate) fn pair(name: &str, value: &str) -> String {
    let value: String = value.chars().filter(|char| is_value(*char)).collect();
    match value.contains([' ', ',']) {
        true => format!("{name}=\"{value}\""),
        false => format!("{name}={value}"),
    }
}

/// `rewriteCookies(cookies, name, domain, path)`: the `Set-Cookie` texts, with the domain and path of the first one of
/// that name replaced, if it has them.
fn rewrite(args: &[Value], context: &mut Context<'_>) -> Result<Value, EvalError> {
    let mut cookies = args[0].to_array().to_vec();
    let (name, domain, path) = (text(&args[1]), text(&args[2]), text(&args[3]));
    let prefix = format!("{name}=");
    for cookie in &mut cookies {
        let Value::Str(whole) = &cookie else {
            return fail("Error in cookies array input");
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

/// True for a valid name (RFC 9110, section 5.6.2).
pub(crate) fn is_token(name: &str) -> bool {
    let valid = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(valid)
}

fn is_value(char: char) -> bool {
    matches!(char, ' '..='~') && !matches!(char, '"' | ';' | '\\')
}
