//! The package `url`: the parts of URLs, split as by [Go's `net/url`](https://pkg.go.dev/net/url).

use std::collections::BTreeMap;
use std::sync::Arc;

use percent_encoding::{AsciiSet, utf8_percent_encode};

use super::{Function, Run, Type, of, text};
use crate::language::expression::{Context, EvalError};
use crate::language::urlencoded::{self, except, pairs, query_part, unescape};
use crate::language::value::{Map, Value};

/// The characters that Go escapes in a path, in a segment of one, and in a fragment.
const IN_A_PATH: &AsciiSet = &except(b"-_.~$&+,/:;=@");
const IN_A_SEGMENT: &AsciiSet = &except(b"-_.~$&+:=@");
const IN_A_FRAGMENT: &AsciiSet = &except(b"-_.~$&+,/:;=@?!()*");

const fn of_text(name: &'static str, run: Run) -> Function {
    of(name, &[Type::Text], run)
}

pub(crate) const FUNCTIONS: &[Function] = &[
    of_text("encode", encode),
    of_text("escapedPath", |args, _| {
        Ok(Url::parse(&args[0])?.escaped_path().into())
    }),
    of_text("hostname", |args, _| {
        Ok(Url::parse(&args[0])?.hostname().into())
    }),
    of_text("path", |args, _| Ok(Url::parse(&args[0])?.path.into())),
    of_text("pathEscape", |args, _| {
        Ok(escape(text(&args[0]), IN_A_SEGMENT).into())
    }),
    of_text("port", |args, _| Ok(Url::parse(&args[0])?.port().into())),
    of("query", &[Type::Text, Type::Bool], query),
    of_text("queryEscape", |args, _| {
        Ok(query_part(text(&args[0])).into())
    }),
    of_text("scheme", |args, _| Ok(Url::parse(&args[0])?.scheme.into())),
];

/// The parts of a URL, unescaped unless noted.
#[derive(Default)]
struct Url {
    scheme: String,
    /// The user with the password, still escaped.
    user: String,
    host: String,
    path: String,
    /// The path, still escaped.
    raw_path: String,
    /// The query, still escaped.
    query: String,
    fragment: String,
}

impl Url {
    fn parse(url: &Value) -> Result<Url, EvalError> {
        let url = text(url);
        Url::read(url)
            .map_err(|why| EvalError::new(format!("Unable to parse url: parse {url:?}: {why}")))
    }

    fn read(url: &str) -> Result<Url, String> {
        if url.bytes().any(|byte| byte.is_ascii_control()) {
            return Err("net/url: invalid control character in URL".to_owned());
        }
        let (rest, fragment) = url.split_once('#').unwrap_or((url, ""));
        let fragment = unescaped(fragment)?;
        let (scheme, rest) = scheme(rest)?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let mut parsed = Url {
            scheme,
            query: query.to_owned(),
            fragment,
            ..Url::default()
        };
        if !rest.starts_with('/') {
            if !parsed.scheme.is_empty() {
                return Ok(parsed);
            }
            let first = rest.split('/').next().unwrap_or_default();
            if first.contains(':') {
                return Err("first path segment in URL cannot contain colon".to_owned());
            }
        }
        let mut path = rest;
        if let Some(after) = rest.strip_prefix("//")
            && (!parsed.scheme.is_empty() || !rest.starts_with("///"))
        {
            let (authority, left) = after.split_at(after.find('/').unwrap_or(after.len()));
            let (user, host) = match authority.rsplit_once('@') {
                Some((user, host)) => (user, host),
                None => ("", authority),
            };
            parsed.user = user.to_owned();
            parsed.host = read_host(host)?;
            path = left;
        }
        parsed.path = unescaped(path)?;
        parsed.raw_path = path.to_owned();
        Ok(parsed)
    }

    /// The path as written if its escapes are valid, otherwise escaped anew.
    fn escaped_path(&self) -> String {
        let sound =
            |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~$&+,/:;=@!'()*[]%".contains(&byte);
        match self.path == "*" || self.raw_path.bytes().all(sound) {
            true => self.raw_path.clone(),
            false => escape(&self.path, IN_A_PATH),
        }
    }

    /// The host, and the port or an empty text.
    fn host_and_port(&self) -> (&str, &str) {
        match self.host.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => (host, port),
            _ => (&self.host, ""),
        }
    }

    fn hostname(&self) -> &str {
        let host = self.host_and_port().0;
        host.strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
            .unwrap_or(host)
    }

    fn port(&self) -> &str {
        self.host_and_port().1
    }

    /// The query's values by name. Malformed pairs are ignored.
    fn values(&self) -> BTreeMap<String, Vec<String>> {
        let mut values: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (name, value) in pairs(&self.query).filter_map(Result::ok) {
            values.entry(name).or_default().push(value);
        }
        values
    }

    /// The query, sorted by names.
    fn encoded_query(&self) -> String {
        let values = self.values();
        let pairs = values.iter().flat_map(|(name, values)| {
            let values = values.iter();
            values.map(move |value| (name.as_str(), value.as_str()))
        });
        urlencoded::query(pairs)
    }
}

/// The scheme in lower case, if there is one, and the text after it.
fn scheme(url: &str) -> Result<(String, &str), String> {
    for (at, byte) in url.bytes().enumerate() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' => {}
            b'0'..=b'9' | b'+' | b'-' | b'.' if at > 0 => {}
            b':' if at == 0 => return Err("missing protocol scheme".to_owned()),
            b':' => return Ok((url[..at].to_ascii_lowercase(), &url[at + 1..])),
            _ => break,
        }
    }
    Ok((String::new(), url))
}

fn read_host(host: &str) -> Result<String, String> {
    let port = if host.starts_with('[') {
        host.rsplit_once(']').ok_or("missing ']' in host")?.1
    } else {
        host.rfind(':').map_or("", |at| &host[at..])
    };
    let digits = port.strip_prefix(':').unwrap_or(port);
    if !(port.is_empty() || port.starts_with(':'))
        || !digits.bytes().all(|byte| byte.is_ascii_digit())
    {
        return Err(format!("invalid port {port:?} after host"));
    }
    if let Some(char) = host
        .chars()
        .find(|char| matches!(char, ' ' | '^' | '`' | '{' | '|' | '}' | '\\'))
    {
        let char = char.to_string();
        return Err(format!("invalid character {char:?} in host name"));
    }
    unescaped(host)
}

fn escape(text: &str, escaped: &'static AsciiSet) -> String {
    utf8_percent_encode(text, escaped).to_string()
}

fn unescaped(text: &str) -> Result<String, String> {
    unescape(text, false).map_err(|bad| bad.to_string())
}

/// Escapes the path, query and fragment of a URL.
fn encode(args: &[Value], _: &mut Context<'_>) -> Result<Value, EvalError> {
    let url = Url::parse(&args[0])?;
    let mut made = String::new();
    if !url.scheme.is_empty() {
        made.push_str(&url.scheme);
        made.push(':');
    }
    // Flogo omits the `@` after the user.
    let authority = format!("{}{}", url.user, url.host);
    if !authority.is_empty() || (!url.scheme.is_empty() && !url.path.is_empty()) {
        made.push_str("//");
        made.push_str(&authority);
    }
    made.push_str(&escape(&url.path, IN_A_PATH));
    let query = url.encoded_query();
    if !query.is_empty() {
        made.push('?');
        made.push_str(&query);
    }
    if !url.fragment.is_empty() {
        made.push('#');
        made.push_str(&escape(&url.fragment, IN_A_FRAGMENT));
    }
    Ok(made.into())
}

/// `query(url, encoded)`: the query as a text, or as lists of texts by name.
fn query(args: &[Value], _: &mut Context<'_>) -> Result<Value, EvalError> {
    let url = Url::parse(&args[0])?;
    if args[1].to_bool()? {
        return Ok(url.encoded_query().into());
    }
    let values = url.values().into_iter().map(|(name, values)| {
        let values: Vec<Value> = values.into_iter().map(Value::from).collect();
        (Arc::from(name), values.into())
    });
    Ok(values.collect::<Map>().into())
}
