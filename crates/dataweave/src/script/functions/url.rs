//! The module `dw::core::URL`.
//! ([URL](https://docs.mulesoft.com/dataweave/latest/dw-url))

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::{Builtin, misfit, of_text, plain};
use crate::script::EvalFault;
use crate::script::coerce::{self, Coerced};
use crate::script::run::Run;
use crate::value::Value;

pub(super) const FUNCTIONS: &[Builtin] = &[
    of_text("encodeURI", 1, |run, text, _| encoded(run, text, &WHOLE)),
    of_text("encodeURIComponent", 1, |run, text, _| {
        encoded(run, text, &COMPONENT)
    }),
    of_text("decodeURI", 1, |run, text, _| {
        // What stands for a reserved character stays encoded.
        let kept = RESERVED.chars().fold(text.to_owned(), |text, char| {
            let (upper, lower) = (
                format!("%{:02X}", u32::from(char)),
                format!("%{:02x}", u32::from(char)),
            );
            text.replace(&upper, &upper.replace('%', "%25"))
                .replace(&lower, &lower.replace('%', "%25"))
        });
        decoded(run, &kept)
    }),
    of_text("decodeURIComponent", 1, |run, text, _| decoded(run, text)),
    of_text("parseURI", 1, parse_uri),
    plain("compose", 2, compose),
];

/// The characters that `encodeURIComponent` encodes.
const COMPONENT: AsciiSet = NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'!')
    .remove(b'~')
    .remove(b'*')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')');

/// The characters that have a meaning in a URI.
const RESERVED: &str = ";/?:@&=+$,#";

/// The characters that `encodeURI` encodes: fewer, by the reserved ones.
const WHOLE: AsciiSet = COMPONENT
    .remove(b';')
    .remove(b'/')
    .remove(b'?')
    .remove(b':')
    .remove(b'@')
    .remove(b'&')
    .remove(b'=')
    .remove(b'+')
    .remove(b'$')
    .remove(b',')
    .remove(b'#');

fn encoded(run: &mut Run<'_>, text: &str, set: &'static AsciiSet) -> Coerced<Value> {
    run.text(text.len().saturating_mul(3))?;
    Ok(utf8_percent_encode(text, set).to_string().into())
}

fn decoded(run: &mut Run<'_>, text: &str) -> Coerced<Value> {
    run.text(text.len())?;
    let decoded = percent_decode_str(text).decode_utf8();
    let decoded =
        decoded.map_err(|_| EvalFault::new("the escape sequences of the URI are not UTF-8"))?;
    Ok(decoded.into_owned().into())
}

/// Joins the parts of a URI with values between them, each value encoded.
fn compose(run: &mut Run<'_>, args: &[Value]) -> Coerced<Value> {
    let (Value::Array(parts), Value::Array(values)) = (&args[0], &args[1]) else {
        return Err(misfit("compose", "two arrays", &args[0]));
    };
    let mut uri = String::new();
    for (at, part) in parts.items().iter().enumerate() {
        uri.push_str(&coerce::text(part)?);
        if let Some(value) = values.items().get(at) {
            let value = coerce::text(value)?;
            run.text(uri.len() + value.len().saturating_mul(3))?;
            uri.extend(utf8_percent_encode(&value, &COMPONENT));
        }
        run.text(uri.len())?;
    }
    Ok(uri.into())
}

/// The parts of a URI, by [RFC 3986](https://www.rfc-editor.org/rfc/rfc3986#appendix-B).
fn parse_uri(run: &mut Run<'_>, text: &str, _: &[Value]) -> Coerced<Value> {
    run.read(text.len())?;
    let legal = |char: char| char.is_ascii_graphic() && !"\"<>\\^`{|}".contains(char);
    if !text.chars().all(|char| legal(char) || !char.is_ascii()) {
        let entries = vec![
            ("isValid".into(), false.into()),
            ("raw".into(), text.into()),
        ];
        return run.object(entries);
    }
    let (rest, fragment) = parted(text, '#');
    let (rest, query) = parted(rest, '?');
    let scheme = rest.split_once(':').filter(|(scheme, _)| {
        let starts = scheme.starts_with(|char: char| char.is_ascii_alphabetic());
        let goes_on = |char: char| char.is_ascii_alphanumeric() || "+-.".contains(char);
        starts && scheme.chars().all(goes_on)
    });
    let (scheme, rest) = match scheme {
        Some((scheme, rest)) => (Some(scheme), rest),
        None => (None, rest),
    };
    let opaque = scheme.is_some() && !rest.starts_with('/');
    let (authority, path) = match rest.strip_prefix("//") {
        Some(rest) => {
            let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            (Some(authority), path)
        }
        None => (None, rest),
    };
    let (user, host) = match authority.map(|authority| authority.rsplit_once('@')) {
        Some(Some((user, host))) => (Some(user), Some(host)),
        _ => (None, authority),
    };
    let port = host.and_then(|host| host.rsplit_once(':'));
    let port = port.and_then(|(name, port)| Some((name, port.parse::<u16>().ok()?)));
    let host = port.map_or(host, |(name, _)| Some(name));
    let mut entries = vec![("isValid".into(), true.into()), ("raw".into(), text.into())];
    let mut add = |name: &str, part: Option<&str>| {
        if let Some(part) = part {
            entries.push((name.into(), part.into()));
        }
    };
    add("host", host);
    add("authority", authority);
    add("fragment", fragment);
    add("path", Some(path).filter(|_| !opaque));
    add("query", query);
    add("scheme", scheme);
    add("user", user);
    if let Some((_, port)) = port {
        entries.push(("port".into(), i64::from(port).into()));
    }
    entries.push(("isAbsolute".into(), scheme.is_some().into()));
    entries.push(("isOpaque".into(), opaque.into()));
    run.object(entries)
}

fn parted(text: &str, by: char) -> (&str, Option<&str>) {
    match text.split_once(by) {
        Some((before, after)) => (before, Some(after)),
        None => (text, None),
    }
}
