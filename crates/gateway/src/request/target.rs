//! A request's target: its canonical form on the way in, and its text on the way out.
//!
//! Routing, the choice of a breaker and the upstream must see one path. So a target gets its canonical form before
//! anything reads it, and the outgoing target is checked once more as it will stand in the request line.

use fusebox_plan::normal_path;
use fusebox_plan::plan::{Endpoint, Rewrite, RewritePart};
use http::header::HOST;
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Request, StatusCode, Uri};

use crate::message::marks;
use crate::message::validate::{self, PathRules, Refused};
use crate::request::exchange::Exchange;

const NOT_A_TARGET: Refused = Refused {
    status: StatusCode::BAD_REQUEST,
    why: "the target is not one that can be passed on",
};

/// Brings a request's target into its canonical form: an absolute one without a path has the path `/` (RFC 9110,
/// section 4.2.3), and with `decoded` a path's letters, digits, `-`, `.`, `_` and `~` stand for themselves (RFC 3986,
/// section 6.2.2). The query stays as it is.
pub fn normalise<B>(request: &mut Request<B>, decoded: bool) -> Result<(), Refused> {
    let uri = request.uri();
    let Some(written) = uri.path_and_query() else {
        return Ok(());
    };
    // The path of an absolute target may be empty, which reads as `/` and is written as nothing.
    let changes = uri.scheme().is_some() || (decoded && written.path().contains('%'));
    if !changes {
        return Ok(());
    }
    let mut text = if decoded {
        normal_path(written.path()).into_owned()
    } else {
        written.path().to_owned()
    };
    if let Some(query) = written.query() {
        text.push('?');
        text.push_str(query);
    }
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(text).map_err(|_| NOT_A_TARGET)?);
    *request.uri_mut() = Uri::from_parts(parts).map_err(|_| NOT_A_TARGET)?;
    Ok(())
}

/// The host that a valid request asks for, without its port and without the dot of the root; `None`: it names none.
pub fn host<B>(request: &Request<B>) -> Option<&str> {
    let text = match request.uri().authority() {
        Some(authority) => authority.as_str(),
        None => request.headers().get(HOST)?.to_str().ok()?,
    };
    let port = text.rfind(':').filter(|at| !text[*at..].contains(']'));
    let host = &text[..port.unwrap_or(text.len())];
    Some(host.strip_suffix('.').unwrap_or(host))
}

/// Leaves a request the `Host` that it came with. One without is given the host of its absolute target `asked`, or else
/// the endpoint's `own`.
pub fn preserve_host(headers: &mut HeaderMap, asked: &Uri, own: &HeaderValue) {
    headers.entry(HOST).or_insert_with(|| {
        let named = asked
            .authority()
            .map(|it| HeaderValue::from_str(it.as_str()));
        named.and_then(Result::ok).unwrap_or_else(|| own.clone())
    });
}

/// The query as the client wrote it, if the `http` crate cannot hold it so.
#[derive(Debug, Clone)]
struct RawQuery(String);

/// Removes the mark from a query that came with raw bytes: readers of the request see them percent-encoded, and an
/// upstream gets them as they came.
pub fn restore_raw<B>(request: &mut Request<B>) {
    let Some(raw) = request.uri().query().and_then(marks::raw_query) else {
        return;
    };
    let mut text = format!("{}?", request.uri().path());
    for byte in raw.bytes() {
        match byte {
            byte if marks::is_raw(byte) => text.push_str(&format!("%{byte:02X}")),
            byte => text.push(char::from(byte)),
        }
    }
    let mut parts = request.uri().clone().into_parts();
    parts.path_and_query = PathAndQuery::try_from(text).ok();
    // A marked query was read as ASCII, so all this cannot fail; if it did, the mark would stay in the target, and
    // nothing with a mark in it goes out.
    if let Ok(uri) = Uri::from_parts(parts) {
        *request.uri_mut() = uri;
        request.extensions_mut().insert(RawQuery(raw));
    }
}

/// The target for an upstream: its base path, then the rewritten path or the request's own, then the query as the
/// client wrote it.
///
/// # Errors
/// If the resulting path could be read otherwise than it was routed, such as the `/..` that `/{rest}..` makes of an
/// empty rest.
pub fn outgoing(
    exchange: &Exchange,
    endpoint: &Endpoint,
    rewrite: Option<&Rewrite>,
    parts: &Parts,
) -> Result<Uri, Refused> {
    let base = &endpoint.base_path;
    let rules = || exchange.listener.paths;
    let raw = parts.extensions.get::<RawQuery>();
    let raw = raw.map(|RawQuery(query)| query.as_str());
    written(base, rewrite, &exchange.params, &parts.uri, raw, rules)
}

fn written(
    base: &str,
    rewrite: Option<&Rewrite>,
    params: &[(String, String)],
    uri: &Uri,
    raw: Option<&str>,
    rules: impl FnOnce() -> PathRules,
) -> Result<Uri, Refused> {
    if base.is_empty() && rewrite.is_none() && raw.is_none() {
        // `validate` has checked these very bytes.
        return match uri.path_and_query() {
            Some(path) if path.as_str().starts_with('/') => Ok(Uri::from(path.clone())),
            _ => Err(NOT_A_TARGET),
        };
    }
    let mut text = String::with_capacity(base.len() + uri.path().len() + 16);
    text.push_str(base);
    match rewrite {
        None => text.push_str(uri.path()),
        Some(rewrite) => {
            for part in &rewrite.0 {
                match part {
                    RewritePart::Literal(literal) => text.push_str(literal),
                    RewritePart::Param(name) => text.push_str(param(params, name)),
                }
            }
            validate::path(&text[base.len()..], ours(rewrite, rules()))?;
        }
    }
    if !text.starts_with('/') {
        return Err(NOT_A_TARGET);
    }
    if let Some(query) = raw.or_else(|| uri.query()) {
        text.push('?');
        text.push_str(query);
    }
    if raw.is_some() {
        text = marks::marked_target(&text);
    }
    let length = text.len();
    match PathAndQuery::try_from(text) {
        // A shorter one was cut at a `#`.
        Ok(path) if path.as_str().len() == length => Ok(Uri::from(path)),
        Ok(_) => Err(NOT_A_TARGET),
        Err(_) => Err(Refused {
            status: StatusCode::URI_TOO_LONG,
            why: "the target is too long to be passed on",
        }),
    }
}

/// The rules for a rewritten path: the listener's, and the characters that the file itself writes into the rewrite.
fn ours(rewrite: &Rewrite, rules: PathRules) -> PathRules {
    let writes = |what: &str| {
        rewrite.0.iter().any(|part| match part {
            RewritePart::Literal(literal) => literal.to_ascii_uppercase().contains(what),
            RewritePart::Param(_) => false,
        })
    };
    PathRules {
        encoded_slash_allowed: rules.encoded_slash_allowed || writes("%2F"),
        double_slash_allowed: rules.double_slash_allowed || writes("//"),
    }
}

/// The value of a path parameter; an empty rest has none and gives the empty text.
fn param<'a>(params: &'a [(String, String)], name: &str) -> &'a str {
    params
        .iter()
        .find(|(key, _)| key == name)
        .map_or("", |(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normal(target: &str, decoded: bool) -> String {
        let mut request = Request::get(target).body(()).unwrap();
        normalise(&mut request, decoded).unwrap();
        let path = request.uri().path_and_query().unwrap();
        Uri::from(path.clone()).to_string()
    }

    #[test]
    fn a_target_without_a_path_asks_for_the_root() {
        for (target, form) in [
            ("http://a", "/"),
            ("http://a#x", "/"),
            ("http://a?x=%61", "/?x=%61"),
            ("http://a?", "/?"),
            ("http://a#?x", "/"),
            ("/a#x", "/a"),
            ("*", "*"),
        ] {
            assert_eq!(normal(target, true), form, "{target}");
            assert_eq!(normal(target, false), form, "{target}");
        }
    }

    #[test]
    fn a_requests_host_has_no_port() {
        for (target, field, name) in [
            ("/", Some("a.test"), Some("a.test")),
            ("/", Some("a.test.:80"), Some("a.test")),
            ("/", Some("[::1]:80"), Some("[::1]")),
            ("/", Some("[::1]"), Some("[::1]")),
            ("http://b.test:81/", Some("b.test:81"), Some("b.test")),
            ("http://b.test/", None, Some("b.test")),
            ("/", None, None),
        ] {
            let mut request = Request::get(target).body(()).unwrap();
            if let Some(field) = field {
                request.headers_mut().insert(HOST, field.parse().unwrap());
            }
            assert_eq!(host(&request), name, "{target} {field:?}");
        }
    }

    #[test]
    fn a_preserved_host_is_the_fields_then_the_targets_then_the_upstreams_own() {
        for (field, asked, host) in [
            (Some("A.test:81"), "/", "A.test:81"),
            (Some("a.test"), "http://a.test/", "a.test"),
            (None, "http://b.test:82/x", "b.test:82"),
            (None, "/x", "own.test"),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(field) = field {
                headers.insert(HOST, field.parse().unwrap());
            }
            let own = HeaderValue::from_static("own.test");
            preserve_host(&mut headers, &asked.parse().unwrap(), &own);
            assert_eq!(headers[HOST], host, "{field:?} {asked}");
        }
    }

    #[test]
    fn a_path_is_decoded_where_that_changes_nothing_and_a_query_never() {
        assert_eq!(normal("/%61b%2fc?q=%61%2f", true), "/ab%2Fc?q=%61%2f");
        assert_eq!(normal("http://h/%7Ea;b", true), "/~a;b");
        assert_eq!(normal("/%61b%2fc?q=%61", false), "/%61b%2fc?q=%61");
    }

    fn sent(base: &str, rewrite: &[RewritePart], rest: &str) -> Result<String, u16> {
        let params = [("rest".to_owned(), rest.to_owned())];
        let rewrite = Rewrite(rewrite.to_vec());
        let uri = Uri::from_static("/in?q=1");
        written(
            base,
            Some(&rewrite),
            &params,
            &uri,
            None,
            PathRules::default,
        )
        .map(|uri| uri.to_string())
        .map_err(|refused| refused.status.as_u16())
    }

    #[test]
    fn what_a_rewrite_makes_is_read_again() {
        let literal = |text: &str| RewritePart::Literal(text.to_owned());
        let rest = || RewritePart::Param("rest".to_owned());
        let before = [literal("/"), rest(), literal("/x")];
        assert_eq!(sent("", &before, "a"), Ok("/a/x?q=1".to_owned()));
        assert_eq!(sent("/b", &before, "a"), Ok("/b/a/x?q=1".to_owned()));
        assert_eq!(sent("", &before, ""), Err(400), "//x");
        let dots = [literal("/"), rest(), literal("..")];
        assert_eq!(sent("", &dots, "a"), Ok("/a..?q=1".to_owned()));
        assert_eq!(sent("", &dots, ""), Err(400), "/..");
        assert_eq!(sent("/b", &[literal("/."), rest()], ";x"), Err(400), "/.;x");
        assert_eq!(
            sent("", &[literal("/"), rest(), literal("2e")], "%25"),
            Err(400)
        );
        let own = [literal("/http://h%2F/"), rest()];
        assert_eq!(sent("", &own, "a"), Ok("/http://h%2F/a?q=1".to_owned()));
        assert_eq!(sent("", &before, &"a".repeat(70_000)), Err(414));
    }
}
