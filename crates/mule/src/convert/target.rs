//! The path of a call, in terms of the client's path.

use fusebox_dataweave::Value;
use fusebox_dataweave::symbol::Symbol;
use fusebox_plan::dialect::quote;

use crate::app::Requester;
use crate::circuit::{Call, SentRequest};

/// The URL of a call, in parts.
pub(super) struct Target {
    /// The URL before the path.
    pub base: String,
    /// The path, with the parameters of the route in it.
    pub path: String,
    /// The query, without the `?`.
    pub query: Option<String>,
    /// True if the path is the client's own, whatever the route.
    pub is_same: bool,
}

/// The target of a call; the error says why it has no native form.
pub(super) fn of(call: &Call<'_>, sent: &SentRequest) -> Result<Target, String> {
    if let (None, Some(config)) = (&sent.url, &call.request.config)
        && is_of_client(&sent.path)
    {
        return Ok(Target {
            base: base(config)?,
            path: "/".to_owned(),
            query: None,
            is_same: true,
        });
    }
    let (base, path) = match (&sent.url, &call.request.config) {
        (Some(url), _) => split_url(&written(url, sent)?)?,
        (None, Some(config)) => (base(config)?, written(&sent.path, sent)?),
        (None, None) => return Err("it has no URL".to_owned()),
    };
    let (path, query) = match path.split_once('?') {
        Some((path, query)) => (path.to_owned(), Some(query.to_owned())),
        None => (path, None),
    };
    let path = match path.starts_with('/') {
        true => path,
        false => format!("/{path}"),
    };
    fusebox_plan::dialect::read_rewrite(&path).map_err(|fault| fault.what)?;
    Ok(Target {
        base,
        path,
        query,
        is_same: false,
    })
}

/// True for the whole path of the client's request.
fn is_of_client(path: &Symbol) -> bool {
    let names = [
        "rawRequestUri",
        "requestUri",
        "rawRequestPath",
        "requestPath",
    ];
    let mut all = names
        .iter()
        .map(|name| Symbol::input("attributes").field(name));
    all.any(|it| path.bare() == it)
}

/// The URL before the path of a call's configuration; the error says why it has none.
fn base(config: &Requester) -> Result<String, String> {
    if config.computed.has_server() || config.computed.base_path.is_some() {
        return Err("the address of its configuration is computed".to_owned());
    }
    let scheme = if config.tls { "https" } else { "http" };
    let host = match config.host.contains(':') {
        true => format!("[{}]", config.host),
        false => config.host.to_string(),
    };
    Ok(format!(
        "{scheme}://{host}:{}{}",
        config.port,
        config.base_path.trim_end_matches('/')
    ))
}

/// Splits a URL before its path.
fn split_url(url: &str) -> Result<(String, String), String> {
    let (scheme, rest) = url
        .split_once("://")
        .ok_or_else(|| format!("its URL {} is invalid", quote(url)))?;
    let at = rest.find('/').unwrap_or(rest.len());
    if rest[..at].contains('{') {
        return Err("the server that it calls depends on the request".to_owned());
    }
    Ok((format!("{scheme}://{}", &rest[..at]), rest[at..].to_owned()))
}

/// The URL before the path of a call whose path may be unknown; the error says why it has none.
pub(super) fn base_of(call: &Call<'_>) -> Result<String, String> {
    match (&call.request.url, &call.request.config) {
        (Some(url), _) => {
            let url = url.literal().ok_or("its URL is computed")?;
            Ok(split_url(url)?.0)
        }
        (None, Some(config)) => base(config),
        (None, None) => Err("it has no URL".to_owned()),
    }
}

/// A path in the native form's notation.
fn written(path: &Symbol, sent: &SentRequest) -> Result<String, String> {
    let pieces = match path {
        Symbol::Text(pieces) => &pieces[..],
        one => std::slice::from_ref(one),
    };
    let mut text = String::new();
    for piece in pieces {
        match piece.known() {
            Some(Value::String(plain)) => text.push_str(&filled(plain, sent)?),
            Some(Value::Number(number)) => text.push_str(&number.to_string()),
            _ => text.push_str(&param(piece)?),
        }
    }
    Ok(text)
}

/// A text with each `{name}` replaced by the call's `uri-params`.
fn filled(text: &str, sent: &SentRequest) -> Result<String, String> {
    let Some(params) = &sent.uri_params else {
        return match text.contains('{') {
            true => Err(format!(
                "the path {} has parameters without values",
                quote(text)
            )),
            false => Ok(text.to_owned()),
        };
    };
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        let Some((name, after)) = after.split_once('}') else {
            return Err(format!("the path {} has an unclosed brace", quote(text)));
        };
        out.push_str(before);
        match params.field(name) {
            Symbol::Known(Value::String(plain)) => out.push_str(&plain),
            Symbol::Known(Value::Number(number)) => out.push_str(&number.to_string()),
            other => out.push_str(&param(&other)?),
        }
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

/// A parameter of the client's path, in the native form's notation.
fn param(symbol: &Symbol) -> Result<String, String> {
    if let Symbol::Field(of, name) = symbol.bare()
        && *of == Symbol::input("attributes").field("uriParams")
    {
        return Ok(format!("{{{name}}}"));
    }
    // What a final `*` of the listener's path stands for.
    if symbol.bare() == Symbol::input("attributes").field("maskedRequestPath") {
        return Ok("/{rest}".to_owned());
    }
    Err("a part of its path is computed".to_owned())
}

/// A listener's path as that of a native route; the error says why there is no such path.
pub(super) fn listener_path(path: &str) -> Result<String, String> {
    let mut written = String::new();
    let mut any = 0;
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    for (at, segment) in segments.iter().enumerate() {
        written.push('/');
        match *segment {
            "*" if at + 1 == segments.len() => written.push_str("{*rest}"),
            "*" => {
                any += 1;
                written.push_str(&format!("{{any{any}}}"));
            }
            other => written.push_str(other),
        }
    }
    if written.is_empty() {
        written.push('/');
    }
    fusebox_plan::dialect::Template::read(&written)
        .map(|_| written)
        .map_err(|fault| format!("the path {}: {}", quote(path), fault.what))
}
