//! The package `url`: the parts of URLs, split as by [Go's `net/url`](https://pkg.go.dev/net/url).

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Function, Run, Takes, Type, text};
use crate::language::expression::{Context, EvalError};
use crate::language::value::{Map, Value};

const fn of(name: &'static str, run: Run) -> Function {
    let takes = Takes::Each(&[Type::Text]);
    Function { name, takes, run }
}

pub(crate) const FUNCTIONS: &[Function] = &[
    of("encode", encode),
    of("escapedPath", |args, _| {
        Ok(Url::parse(text(&args[0]))?.escaped_path().into())
    }),
    of("hostname", |args, _| {
        Ok(Url::parse(text(&args[0]))?.hostname().into())
    }),
    of("path", |args, _| {
        Ok(Url::parse(text(&args[0]))?.path.into())
    }),
    of("pathEscape", |args, _| {
        Ok(escape(text(&args[0]), Part::Segment).into())
    }),
    of("port", |args, _| {
        Ok(Url::parse(text(&args[0]))?.port().into())
    }),
    Function {
        name: "query",
        takes: Takes::Each(&[Type::Text, Type::Bool]),
        run: query,
    },
    of("queryEscape", |args, _| {
        Ok(escape(text(&args[0]), Part::Query).into())
    }),
    of("scheme", |args, _| {
        Ok(Url::parse(text(&args[0]))?.scheme.into())
    }),
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
    fn parse(url: &str) -> Result<Url, EvalError> {
        Url::read(url)
            .map_err(|why| EvalError::new(format!("Unable to parse url: parse {url:?}: {why}")))
    }

    fn read(url: &str) -> Result<Url, String> {
        if url.bytes().any(|byte| byte.is_ascii_control()) {
            return Err("net/url: invalid control character in URL".to_owned());
        }
        let (rest, fragment) = url.split_once('#').unwrap_or((url, ""));
        let fragment = unescape(fragment, false)?;
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
        parsed.path = unescape(path, false)?;
        parsed.raw_path = path.to_owned();
        Ok(parsed)
    }

    /// The path as written if its escapes are valid, otherwise escaped anew.
    fn escaped_path(&self) -> String {
        let sound =
            |byte: u8| b"!$&'()*+,;=:@[]%".contains(&byte) || !must_escape(byte, Part::Path);
        if self.path == "*" || self.raw_path.bytes().all(sound) {
            self.raw_path.clone()
        } else {
            escape(&self.path, Part::Path)
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
        for pair in self.query.split('&') {
            if pair.is_empty() || pair.contains(';') {
                continue;
            }
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            if let (Ok(name), Ok(value)) = (unescape(name, true), unescape(value, true)) {
                values.entry(name).or_default().push(value);
            }
        }
        values
    }

    /// The query, sorted by names.
    fn encoded_query(&self) -> String {
        let values = self.values();
        let pairs = values.iter().flat_map(|(name, values)| {
            let name = escape(name, Part::Query);
            values
                .iter()
                .map(move |value| format!("{name}={}", escape(value, Part::Query)))
        });
        pairs.collect::<Vec<_>>().join("&")
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
    unescape(host, false)
}

/// The part to escape: safe characters of one part may be separators in another.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Path,
    Segment,
    Query,
    Fragment,
}

fn must_escape(byte: u8, part: Part) -> bool {
    match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => false,
        b'$' | b'&' | b'+' | b',' | b'/' | b':' | b';' | b'=' | b'?' | b'@' => match part {
            Part::Path => byte == b'?',
            Part::Segment => matches!(byte, b'/' | b';' | b',' | b'?'),
            Part::Query => true,
            Part::Fragment => false,
        },
        b'!' | b'(' | b')' | b'*' => part != Part::Fragment,
        _ => true,
    }
}

fn escape(text: &str, part: Part) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte == b' ' && part == Part::Query {
            escaped.push('+');
        } else if must_escape(byte, part) {
            escaped.push_str(&format!("%{byte:02X}"));
        } else {
            escaped.push(char::from(byte));
        }
    }
    escaped
}

fn unescape(text: &str, plus_is_blank: bool) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [byte, after @ ..] = rest {
        rest = after;
        match byte {
            b'%' => {
                let digits = after
                    .get(..2)
                    .filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))
                    .and_then(|digits| std::str::from_utf8(digits).ok())
                    .and_then(|digits| u8::from_str_radix(digits, 16).ok());
                let Some(byte) = digits else {
                    let shown = &after[..after.len().min(2)];
                    return Err(format!(
                        "invalid URL escape \"%{}\"",
                        String::from_utf8_lossy(shown)
                    ));
                };
                bytes.push(byte);
                rest = &after[2..];
            }
            b'+' if plus_is_blank => bytes.push(b' '),
            byte => bytes.push(*byte),
        }
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Escapes the path, query and fragment of a URL.
fn encode(args: &[Value], _: &mut Context<'_>) -> Result<Value, EvalError> {
    let url = Url::parse(text(&args[0]))?;
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
    made.push_str(&escape(&url.path, Part::Path));
    let query = url.encoded_query();
    if !query.is_empty() {
        made.push('?');
        made.push_str(&query);
    }
    if !url.fragment.is_empty() {
        made.push('#');
        made.push_str(&escape(&url.fragment, Part::Fragment));
    }
    Ok(made.into())
}

/// `query(url, encoded)`: the query as a text, or as lists of texts by name.
fn query(args: &[Value], _: &mut Context<'_>) -> Result<Value, EvalError> {
    let url = Url::parse(text(&args[0]))?;
    if args[1].to_bool()? {
        return Ok(url.encoded_query().into());
    }
    let values = url.values().into_iter().map(|(name, values)| {
        let values: Vec<Value> = values.into_iter().map(Value::from).collect();
        (Arc::from(name), values.into())
    });
    Ok(values.collect::<Map>().into())
}
