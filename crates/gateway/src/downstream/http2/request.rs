//! A request of HTTP/2 in the form that one of HTTP/1 has, so that everything behind reads one form.
//!
//! The h2 crate has refused malformed messages before: connection fields, names in upper case, pseudo-fields out of
//! place, a body of another length than its `content-length`. The rest is refused here: names of a host, a scheme or a
//! protocol that two readers could take differently.

use http::header::{
    CONNECTION, COOKIE, EXPECT, HOST, HeaderName, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE,
};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};
use hyper::ext::Protocol;

use crate::message::fields::has_padded_value;
use crate::message::validate::{Refused, bad};

/// The facts about a connection that its requests are compared with.
#[derive(Debug)]
pub struct Facts<F> {
    /// The scheme of the connection.
    pub scheme: &'static str,
    /// The most fields of a request.
    pub fields_max: usize,
    /// Finds out if the client is a trusted proxy, which may have got the request over another scheme.
    pub is_trusted: F,
}

/// Gives a request the form of HTTP/1: a target in origin form, the authority in `Host`, one `Cookie`, and a WebSocket
/// (RFC 8441) as an upgrade. A refused request keeps its form.
///
/// # Errors
/// The fault in the request, with its status.
pub fn to_http1<B>(
    request: &mut Request<B>,
    facts: Facts<impl FnOnce() -> bool>,
) -> Result<(), Refused> {
    // The crumbs of a cookie are one field: browsers send one for each of its pairs.
    let crumbs = request.headers().get_all(COOKIE).iter().count();
    if request.headers().len() - crumbs.saturating_sub(1) > facts.fields_max {
        return Err(Refused {
            status: StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            why: "the request has more fields than `limits.fields`",
        });
    }
    if has_padded_value(request.headers()) {
        return Err(bad("a field's value begins or ends with white space"));
    }
    let websocket = is_websocket(request)?;
    authority(request)?;
    if request.method() == Method::CONNECT && !websocket {
        // Refused by its method.
        return Ok(());
    }
    let scheme = request.uri().scheme_str().unwrap_or(facts.scheme);
    if scheme != facts.scheme && !(matches!(scheme, "http" | "https") && (facts.is_trusted)()) {
        return Err(Refused {
            status: StatusCode::MISDIRECTED_REQUEST,
            why: "the request's `:scheme` is not that of its connection",
        });
    }
    let path = request.uri().path_and_query().cloned();
    *request.uri_mut() = Uri::from(path.unwrap_or_else(|| PathAndQuery::from_static("/")));
    let headers = request.headers_mut();
    join_cookies(headers);
    // hyper cannot ask for the body of an HTTP/2 request. A client that waits to be asked sends it after a moment.
    if matches!(headers.get(EXPECT), Some(value) if value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
    {
        headers.remove(EXPECT);
    }
    if websocket {
        upgrade(request);
    }
    Ok(())
}

/// True for a request that opens a WebSocket (RFC 8441, section 5).
fn is_websocket<B>(request: &Request<B>) -> Result<bool, Refused> {
    match request.extensions().get::<Protocol>() {
        None => Ok(false),
        Some(protocol) if protocol.as_str().eq_ignore_ascii_case("websocket") => Ok(true),
        Some(_) => Err(Refused {
            status: StatusCode::NOT_IMPLEMENTED,
            why: "the only `:protocol` is websocket",
        }),
    }
}

/// Compares `:authority` with `Host`, and leaves the one in the other's place.
fn authority<B>(request: &mut Request<B>) -> Result<(), Refused> {
    let Some(authority) = request.uri().authority().map(|it| it.as_str()) else {
        return Ok(());
    };
    if authority.contains('@') {
        return Err(bad("an authority has no user name"));
    }
    match request.headers().get(HOST) {
        Some(host) if !host.as_bytes().eq_ignore_ascii_case(authority.as_bytes()) => {
            return Err(bad("the request's `:authority` and the Host field differ"));
        }
        Some(_) => return Ok(()),
        None => {}
    }
    let host = HeaderValue::from_str(authority);
    let host = host.map_err(|_| bad("the authority is not a host and port"))?;
    request.headers_mut().insert(HOST, host);
    Ok(())
}

/// Joins the crumbs of a cookie (RFC 9113, section 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let mut crumbs = headers.get_all(COOKIE).iter();
    if crumbs.next().is_none() || crumbs.next().is_none() {
        return;
    }
    let crumbs: Vec<&[u8]> = headers
        .get_all(COOKIE)
        .iter()
        .map(HeaderValue::as_bytes)
        .collect();
    if let Ok(cookie) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..])) {
        headers.insert(COOKIE, cookie);
    }
}

/// Asks for a WebSocket as HTTP/1 does (RFC 6455, section 4.1). The key proves nothing to the client, which sends none.
fn upgrade<B>(request: &mut Request<B>) {
    use base64::Engine as _;
    *request.method_mut() = Method::GET;
    let key = base64::engine::general_purpose::STANDARD.encode(fastrand::u128(..).to_ne_bytes());
    let headers = request.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    if let Ok(key) = HeaderValue::from_str(&key) {
        headers.insert(SEC_WEBSOCKET_KEY, key);
    }
}

/// Makes the answer that opens a WebSocket that of HTTP/2.
pub fn opened<B>(response: &mut Response<B>) {
    *response.status_mut() = StatusCode::OK;
    for name in [CONNECTION, UPGRADE, SEC_WEBSOCKET_ACCEPT] {
        response.headers_mut().remove(name);
    }
}

/// Fields of a single connection, which no message of HTTP/2 has (RFC 9113, section 8.2.2).
pub const NEVER: [HeaderName; 3] = [
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    UPGRADE,
];

#[cfg(test)]
mod tests {
    use super::*;

    fn read(target: &str, fields: &[(&str, &str)]) -> Result<Request<()>, u16> {
        let mut request = Request::get(target);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let mut request = request.body(()).unwrap();
        let facts = Facts {
            scheme: "https",
            fields_max: 3,
            is_trusted: || target.contains("trusted"),
        };
        match to_http1(&mut request, facts) {
            Ok(()) => Ok(request),
            Err(refused) => Err(refused.status.as_u16()),
        }
    }

    #[test]
    fn the_authority_becomes_the_host() {
        let request = read("https://a.test:8443/p?q=1", &[]).unwrap();
        assert_eq!(request.uri(), "/p?q=1");
        assert_eq!(request.headers()[HOST], "a.test:8443");
        let request = read("https://A.test/", &[("host", "a.test")]).unwrap();
        assert_eq!(request.headers()[HOST], "a.test");
        let request = read("/only/host", &[("host", "a.test")]).unwrap();
        assert_eq!(request.headers()[HOST], "a.test");
    }

    #[test]
    fn what_two_readers_could_take_differently_is_refused() {
        for (target, fields, status) in [
            ("https://a/", &[("host", "b")][..], 400),
            ("https://u@a/", &[], 400),
            ("http://a/", &[], 421),
            ("ftp://trusted/", &[], 421),
            (
                "https://a/",
                &[("a", "1"), ("b", "1"), ("c", "1"), ("d", "1")],
                431,
            ),
            ("https://a/", &[("a", " 1")], 400),
            ("https://a/", &[("a", "1\t")], 400),
        ] {
            assert_eq!(read(target, fields).err(), Some(status), "{target}");
        }
        assert!(read("http://trusted/", &[]).is_ok());
    }

    #[test]
    fn crumbs_are_one_cookie_and_an_offer_is_taken() {
        let fields = [
            ("cookie", "a=1"),
            ("cookie", "b=2"),
            ("expect", "100-Continue"),
        ];
        let request = read("https://a/", &fields).unwrap();
        let cookies: Vec<_> = request.headers().get_all(COOKIE).iter().collect();
        assert_eq!(cookies, ["a=1; b=2"]);
        assert!(!request.headers().contains_key(EXPECT));
        assert!(
            read("https://a/", &[("cookie", "a=1"); 9]).is_ok(),
            "one field"
        );
    }
}
