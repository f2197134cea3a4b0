//! A request's head in the form of HTTP/2: an absolute target, no `Host`, and no fields of a connection.

use http::header::{CONNECTION, EXPECT, HOST, TE, TRANSFER_ENCODING, UPGRADE};
use http::uri::{Authority, PathAndQuery, Uri};
use http::{HeaderName, HeaderValue, Request, Version};

use super::Target;
use crate::message::kept_body::Outgoing;
use crate::message::marks;

/// The fields that belong to one connection of HTTP/1, and those that frame a body there.
const OF_HTTP1: [HeaderName; 6] = [
    CONNECTION,
    TRANSFER_ENCODING,
    UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    // The body is asked for when the request goes out: hyper does not tell of a 100.
    EXPECT,
];

/// A request of HTTP/1 for an HTTP/2 connection. A field of the connection is removed rather than refused, since it may
/// be ours; `Host` becomes the target's authority.
pub fn translated(mut request: Request<Outgoing>, target: &Target) -> Request<Outgoing> {
    let headers = request.headers_mut();
    for name in &OF_HTTP1 {
        headers.remove(name);
    }
    if headers.get(TE).is_some_and(|te| te != "trailers") {
        headers.remove(TE);
    }
    let host = headers.remove(HOST);
    let other = host.filter(|host| host.as_bytes() != target.authority.as_str().as_bytes());
    let authority = other.and_then(|host| Authority::try_from(host.as_bytes()).ok());
    let authority = authority.unwrap_or_else(|| target.authority.clone());
    let uri = std::mem::take(request.uri_mut());
    let path = match marks::raw_target(&uri) {
        Some(raw) => PathAndQuery::try_from(raw).ok(),
        None => uri.path_and_query().cloned(),
    };
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(target.scheme.clone());
    parts.authority = Some(authority);
    parts.path_and_query = path.or_else(|| Some(PathAndQuery::from_static("/")));
    *request.uri_mut() = Uri::from_parts(parts).unwrap_or(uri);
    *request.version_mut() = Version::HTTP_2;
    request
}

/// The request in the form of HTTP/1 again, for another connection; nothing of it was sent.
pub fn untranslated(mut request: Request<Outgoing>) -> Request<Outgoing> {
    let uri = std::mem::take(request.uri_mut());
    let headers = request.headers_mut();
    if let Some(authority) = uri.authority()
        && let Ok(host) = HeaderValue::from_str(authority.as_str())
    {
        headers.insert(HOST, host);
    }
    let path = uri.path_and_query().cloned();
    *request.uri_mut() = path.map_or(uri, Uri::from);
    *request.version_mut() = Version::HTTP_11;
    request
}

#[cfg(test)]
mod tests {
    use http::uri::Scheme;

    use super::*;

    fn target() -> Target {
        Target {
            scheme: Scheme::HTTPS,
            authority: Authority::from_static("10.0.0.1:8443"),
            head_bytes_max: 1024,
            head_fields_max: 100,
        }
    }

    fn request(uri: &str, fields: &[(&str, &str)]) -> Request<Outgoing> {
        let mut request = Request::builder().method("OPTIONS").uri(uri);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        request.body(Outgoing::empty()).unwrap()
    }

    #[test]
    fn the_host_becomes_the_authority_and_fields_of_a_connection_stay_behind() {
        let fields = [
            ("host", "orders.test"),
            ("connection", "close"),
            ("transfer-encoding", "chunked"),
            ("expect", "100-continue"),
            ("te", "trailers"),
            ("x-a", "1"),
        ];
        let sent = translated(request("/a?b=c", &fields), &target());
        assert_eq!(sent.uri(), "https://orders.test/a?b=c");
        let names: Vec<_> = sent.headers().keys().map(|name| name.as_str()).collect();
        assert_eq!(names, ["te", "x-a"]);
        let back = untranslated(sent);
        assert_eq!(back.uri(), "/a?b=c");
        assert_eq!(back.headers()[HOST], "orders.test");
        assert_eq!(back.version(), Version::HTTP_11);
    }

    #[test]
    fn without_a_usable_host_the_upstreams_own_authority_is_named() {
        let sent = translated(request("/", &[("host", "a b"), ("te", "gzip")]), &target());
        assert_eq!(sent.uri(), "https://10.0.0.1:8443/");
        assert!(sent.headers().is_empty());
    }

    #[test]
    fn odd_targets_arrive() {
        let sent = translated(request("*", &[("host", "a")]), &target());
        assert_eq!(sent.uri().path_and_query().unwrap().as_str(), "*");
        let marked = marks::marked_target("/a?q=\"<b>\\");
        let sent = translated(request(&marked, &[("host", "a")]), &target());
        assert_eq!(sent.uri(), "https://a/a?q=%22%3Cb%3E\\");
    }
}
