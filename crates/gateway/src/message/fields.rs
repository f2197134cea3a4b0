//! Header fields on their way through: the fields that are removed, and those that are added.
//!
//! Fields of a single connection end with it (RFC 9110, section 7.6.1). Fields that identify the client are written by
//! us, from what we see; the client's own statements are believed only from a peer in the listener's `trusted_proxies`.

use std::net::IpAddr;
use std::sync::OnceLock;

use bytes::Bytes;
use http::header::{
    CONNECTION, CONTENT_LENGTH, FORWARDED, HOST, HeaderName, PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE, VIA,
};
use http::{HeaderMap, HeaderValue};
use http_body::Frame;

use crate::message::field_kinds::{FieldKinds, is_fusebox_word, is_ours};
use crate::message::proxy_words::is_proxy_word;

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const HTTP2_SETTINGS: HeaderName = HeaderName::from_static("http2-settings");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
/// The id of a request, for the upstream and the client.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The trace's parent of W3C Trace Context.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// The vendors' additions to a trace.
pub const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// The field with the machine-readable reason of a refusal.
pub const FUSEBOX_REASON: HeaderName = HeaderName::from_static("fusebox-reason");
/// The number of an attempt after the first one, for a Fusebox further in.
pub const FUSEBOX_ATTEMPT: HeaderName = HeaderName::from_static("fusebox-attempt");
/// The rung of the ladder that gave an answer.
pub const FUSEBOX_FALLBACK: HeaderName = HeaderName::from_static("fusebox-fallback");

/// Fields of one connection that `Connection` need not name.
const HOP_BY_HOP: [(FieldKinds, HeaderName); 7] = [
    (FieldKinds::CONNECTION, CONNECTION),
    (FieldKinds::KEEP_ALIVE, KEEP_ALIVE),
    (FieldKinds::PROXY_CONNECTION, PROXY_CONNECTION),
    (FieldKinds::TRANSFER_ENCODING, TRANSFER_ENCODING),
    (FieldKinds::UPGRADE, UPGRADE),
    (FieldKinds::PROXY_AUTHENTICATE, PROXY_AUTHENTICATE),
    (FieldKinds::HTTP2_SETTINGS, HTTP2_SETTINGS),
];

/// The kinds of [`HOP_BY_HOP`].
const HOP_BY_HOP_KINDS: FieldKinds = FieldKinds::CONNECTION
    .or(FieldKinds::KEEP_ALIVE)
    .or(FieldKinds::PROXY_CONNECTION)
    .or(FieldKinds::TRANSFER_ENCODING)
    .or(FieldKinds::UPGRADE)
    .or(FieldKinds::PROXY_AUTHENTICATE)
    .or(FieldKinds::HTTP2_SETTINGS);

/// The kinds of fields that belong to a single connection or frame a body.
const FRAMING: FieldKinds = FieldKinds::CONNECTION
    .or(FieldKinds::KEEP_ALIVE)
    .or(FieldKinds::PROXY_CONNECTION)
    .or(FieldKinds::TRANSFER_ENCODING)
    .or(FieldKinds::UPGRADE)
    .or(FieldKinds::HTTP2_SETTINGS)
    .or(FieldKinds::TE)
    .or(FieldKinds::PROXY_AUTHORIZATION)
    .or(FieldKinds::CONTENT_LENGTH);

/// Fields that `Connection` may list but not remove: without them the request would mean something else.
const NEVER_NOMINATED: [&str; 5] = [
    "host",
    "content-length",
    "authorization",
    "cookie",
    "set-cookie",
];

/// Fields with identities, which belong in a head and never in trailers.
const NEVER_TRAILING: [&str; 4] = ["cookie", "forwarded", "set-cookie", "x-request-id"];

/// True if a list field contains `word`, in any case.
pub fn lists(headers: &HeaderMap, field: &HeaderName, word: &str) -> bool {
    headers.get_all(field).iter().any(|value| {
        value
            .as_bytes()
            .split(|byte| *byte == b',')
            .any(|item| item.trim_ascii().eq_ignore_ascii_case(word.as_bytes()))
    })
}

/// Removes the fields of a single connection; `found` are those that are present.
fn strip_hop_by_hop(headers: &mut HeaderMap, found: FieldKinds) {
    if found.has(FieldKinds::CONNECTION) && !is_plain_connection(headers) {
        let nominated: Vec<HeaderName> = headers
            .get_all(CONNECTION)
            .iter()
            .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
            .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
            .filter(|name| !NEVER_NOMINATED.contains(&name.as_str()))
            .collect();
        for name in nominated {
            headers.remove(name);
        }
    }
    if found.has(HOP_BY_HOP_KINDS) {
        for (kind, name) in &HOP_BY_HOP {
            if found.has(*kind) {
                headers.remove(name);
            }
        }
    }
}

/// True if a field of this name, in lower case, belongs to a single connection or frames a body, so that an application
/// can neither set it nor pass another's on.
pub fn is_framing(name: &str) -> bool {
    FieldKinds::of_name(name).has(FRAMING) || name == TRAILER.as_str()
}

/// Removes the fields of a single connection, and those that frame a body.
pub fn strip_framing(headers: &mut HeaderMap) {
    remove_where(headers, is_framing);
}

/// True if `Connection` lists no field that must be removed for it.
pub fn is_plain_connection(headers: &HeaderMap) -> bool {
    headers.get_all(CONNECTION).iter().all(|value| {
        value.as_bytes().eq_ignore_ascii_case(b"keep-alive")
            || value.as_bytes().eq_ignore_ascii_case(b"close")
    })
}

/// Removes the fields of a request that an upstream must not get; `found` are the kinds that are present.
pub fn strip_request(headers: &mut HeaderMap, found: FieldKinds) {
    // Checked first, since `Connection` must list `TE` and so removes it.
    let trailers_welcome = found.has(FieldKinds::TE) && lists(headers, &TE, "trailers");
    strip_hop_by_hop(headers, found);
    if found.has(FieldKinds::PROXY_AUTHORIZATION) {
        headers.remove(PROXY_AUTHORIZATION);
    }
    if found.has(FieldKinds::TE) {
        headers.remove(TE);
    }
    if trailers_welcome {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    if found.has(FieldKinds::CONTENT_LENGTH) {
        headers.remove(CONTENT_LENGTH);
    }
    if found.has(FieldKinds::OURS) {
        remove_where(headers, is_ours);
    }
}

/// Removes the fields of a response that a client must not get, and adds our `Via`; `found` are the kinds that are
/// present.
pub fn strip_response(headers: &mut HeaderMap, found: FieldKinds) {
    strip_hop_by_hop(headers, found);
    if found.has(FieldKinds::OURS) {
        remove_where(headers, is_fusebox_word);
    }
    append_via(headers);
}

/// A body's frame for the other side: data unchanged, trailers without forbidden fields.
pub fn strip_frame(frame: Frame<Bytes>) -> Frame<Bytes> {
    match frame.into_trailers() {
        Ok(mut trailers) => {
            strip_trailers(&mut trailers);
            Frame::trailers(trailers)
        }
        Err(data) => data,
    }
}

/// Removes the fields of a trailer section that would change the message's meaning (RFC 9110, section 6.5.1).
fn strip_trailers(trailers: &mut HeaderMap) {
    for name in [HOST, http::header::AUTHORIZATION] {
        trailers.remove(name);
    }
    remove_where(trailers, |name| {
        is_framing(name) || is_ours(name) || is_proxy_word(name) || NEVER_TRAILING.contains(&name)
    });
}

/// True if a value begins or ends with white space, as none of HTTP/2 may (RFC 9113, section 8.2.1): an upstream takes
/// such a message for a fault of the gateway.
pub fn has_padded_value(headers: &HeaderMap) -> bool {
    let is_padding = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    headers.values().any(|value| {
        let value = value.as_bytes();
        is_padding(value.first()) || is_padding(value.last())
    })
}

/// Removes the fields with unwanted names; allocates only if there are any.
fn remove_where(headers: &mut HeaderMap, unwanted: impl Fn(&str) -> bool) {
    let names: Vec<HeaderName> = headers
        .keys()
        .filter(|name| unwanted(name.as_str()))
        .cloned()
        .collect();
    for name in names {
        headers.remove(name);
    }
}

/// Our element of `Via` (RFC 9110, section 7.6.3).
pub fn our_via() -> HeaderValue {
    HeaderValue::from_static("1.1 fusebox")
}

fn append_via(headers: &mut HeaderMap) {
    headers.append(VIA, our_via());
}

/// The facts about a client's connection that forwarded fields are made of.
#[derive(Debug, Clone)]
pub struct Origin<'a> {
    /// The peer's address.
    pub peer: IpAddr,
    /// The same as text, made once per connection.
    pub peer_text: &'a HeaderValue,
    /// True if the listener trusts the peer's statements about its own clients.
    pub trusted: bool,
    /// The scheme: `http` or `https`.
    pub scheme: &'static str,
    /// Our element of `Via`: the protocol that the request came in, and our name.
    pub via: &'static str,
    /// Our element of `Forwarded` for most requests of the connection.
    pub known: &'a KnownElement,
}

/// Our element of `Forwarded` for the host that a connection's first request asks for, as most of the others do.
#[derive(Debug, Default)]
pub struct KnownElement(OnceLock<(HeaderValue, HeaderValue)>);

impl KnownElement {
    /// The element, if it is one for this host.
    fn of(&self, origin: &Origin<'_>, host: &HeaderValue) -> Option<HeaderValue> {
        let (known, element) = self.0.get_or_init(|| {
            // A copy, which does not keep the bytes that were read with the host.
            let copy = value(host.as_bytes().to_vec());
            (copy, value(forwarded(origin, Some(host))))
        });
        (known == host).then(|| element.clone())
    }
}

/// The client's address: the peer's, or the one that a trusted peer states.
pub fn client(headers: &HeaderMap, origin: &Origin<'_>) -> IpAddr {
    if !origin.trusted {
        return origin.peer;
    }
    let last = headers.get_all(X_FORWARDED_FOR).iter().next_back();
    let named = last.and_then(|value| value.to_str().ok()?.rsplit(',').next());
    let named = named.and_then(|name| name.trim().parse::<IpAddr>().ok());
    named.map_or(origin.peer, |ip| ip.to_canonical())
}

/// Writes the client's address into `Forwarded` (RFC 7239) and the `X-Forwarded-*` that most programs read.
pub fn set_forwarded(
    headers: &mut HeaderMap,
    found: FieldKinds,
    origin: &Origin<'_>,
    host: Option<&HeaderValue>,
) {
    if origin.trusted {
        let chain = joined(headers, &FORWARDED, &forwarded(origin, host));
        headers.insert(FORWARDED, chain);
        let chain = joined(headers, &X_FORWARDED_FOR, origin.peer_text.as_bytes());
        headers.insert(X_FORWARDED_FOR, chain);
        headers
            .entry(X_FORWARDED_PROTO)
            .or_insert_with(|| HeaderValue::from_static(origin.scheme));
        if let Some(host) = host {
            headers
                .entry(X_FORWARDED_HOST)
                .or_insert_with(|| host.clone());
        }
    } else {
        if found.has(FieldKinds::PROXY_WORD) {
            remove_where(headers, is_proxy_word);
        }
        let known = host.and_then(|host| origin.known.of(origin, host));
        let element = known.unwrap_or_else(|| value(forwarded(origin, host)));
        headers.insert(FORWARDED, element);
        headers.insert(X_FORWARDED_FOR, origin.peer_text.clone());
        headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static(origin.scheme));
        if let Some(host) = host {
            headers.insert(X_FORWARDED_HOST, host.clone());
        }
    }
    headers.append(VIA, HeaderValue::from_static(origin.via));
}

/// Our element of `Forwarded`: the client, its scheme, and the requested host.
fn forwarded(origin: &Origin<'_>, host: Option<&HeaderValue>) -> Vec<u8> {
    let mut element = Vec::with_capacity(64);
    let (begin, end): (&[u8], &[u8]) = match origin.peer {
        IpAddr::V4(_) => (b"for=", b""),
        IpAddr::V6(_) => (b"for=\"[", b"]\""),
    };
    for part in [begin, origin.peer_text.as_bytes(), end, b";proto="] {
        element.extend_from_slice(part);
    }
    element.extend_from_slice(origin.scheme.as_bytes());
    if let Some(host) = host.filter(|host| host.to_str().is_ok()) {
        for part in [b";host=\"", host.as_bytes(), b"\""] {
            element.extend_from_slice(part);
        }
    }
    element
}

/// A list field's lines and one more item, as one line.
fn joined(headers: &HeaderMap, field: &HeaderName, item: &[u8]) -> HeaderValue {
    let mut line = Vec::new();
    for value in headers.get_all(field) {
        line.extend_from_slice(value.as_bytes());
        line.extend_from_slice(b", ");
    }
    line.extend_from_slice(item);
    value(line)
}

fn value(bytes: Vec<u8>) -> HeaderValue {
    // Not copied: the bytes have their place for good.
    let value = HeaderValue::from_maybe_shared(Bytes::from(bytes));
    value.expect("made of field values and of our own ASCII")
}

/// A client's request id if it is fit to be passed on: 1 to 128 visible ASCII characters.
pub fn request_id(headers: &HeaderMap) -> Option<HeaderValue> {
    let id = headers.get(X_REQUEST_ID)?;
    let fits =
        (1..=128).contains(&id.len()) && id.as_bytes().iter().all(|byte| byte.is_ascii_graphic());
    fits.then(|| id.clone())
}

/// True if a request has a valid `traceparent` (W3C Trace Context, section 3.2).
pub fn has_traceparent(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(TRACEPARENT).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return false;
    };
    let bytes = value.as_bytes();
    let hex = |range: std::ops::Range<usize>| {
        bytes.get(range).is_some_and(|part| {
            part.iter()
                .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(b))
        })
    };
    let nonzero = |range: std::ops::Range<usize>| {
        bytes
            .get(range)
            .is_some_and(|part| part.iter().any(|b| *b != b'0'))
    };
    bytes.len() >= 55
        && hex(0..2)
        && &bytes[0..2] != b"ff"
        && (bytes.len() == 55 || (&bytes[0..2] != b"00" && bytes[55] == b'-'))
        && [2, 35, 52].iter().all(|at| bytes[*at] == b'-')
        && hex(3..35)
        && nonzero(3..35)
        && hex(36..52)
        && nonzero(36..52)
        && hex(53..55)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in fields {
            map.append(
                HeaderName::from_bytes(name.as_bytes()).unwrap(),
                HeaderValue::from_str(value).unwrap(),
            );
        }
        map
    }

    /// Carries a request of 10.0.0.9 on.
    fn forward(map: &mut HeaderMap, trusted: bool, host: Option<&'static str>) {
        let origin = Origin {
            peer: "10.0.0.9".parse().unwrap(),
            peer_text: &HeaderValue::from_static("10.0.0.9"),
            trusted,
            scheme: "http",
            via: "1.1 fusebox",
            known: &KnownElement::default(),
        };
        let found = FieldKinds::of_request(map);
        strip_request(map, found);
        let host = host.map(HeaderValue::from_static);
        set_forwarded(map, found, &origin, host.as_ref());
    }

    #[test]
    fn each_request_of_a_connection_is_forwarded_with_its_own_host() {
        let origin = Origin {
            peer: "2001:db8::1".parse().unwrap(),
            peer_text: &HeaderValue::from_static("2001:db8::1"),
            trusted: false,
            scheme: "https",
            via: "1.1 fusebox",
            known: &KnownElement::default(),
        };
        for host in [Some("a"), Some("b:1"), None, Some("a"), Some("A")] {
            let mut map = HeaderMap::new();
            let value = host.map(HeaderValue::from_static);
            set_forwarded(&mut map, FieldKinds::default(), &origin, value.as_ref());
            let named = host.map_or_else(String::new, |host| format!(";host=\"{host}\""));
            let wanted = format!("for=\"[2001:db8::1]\";proto=https{named}");
            assert_eq!(map["forwarded"], wanted);
        }
    }

    #[test]
    fn fields_of_the_connection_and_those_it_names_are_taken_off() {
        let mut map = headers(&[
            ("connection", "close, X-Private, Authorization"),
            ("keep-alive", "timeout=5"),
            ("x-private", "1"),
            ("authorization", "Bearer t"),
            ("proxy-authorization", "Basic eA=="),
            ("te", "gzip"),
            ("upgrade", "h2c"),
            ("x_y", "1"),
            ("x-breaker-state", "closed"),
            ("accept", "*/*"),
        ]);
        let found = FieldKinds::of_request(&map);
        strip_request(&mut map, found);
        let mut left: Vec<_> = map.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["accept", "authorization"]);
    }

    #[test]
    fn a_client_is_not_believed_about_itself() {
        let mut map = headers(&[
            ("x-forwarded-for", "6.6.6.6"),
            ("forwarded", "for=6.6.6.6"),
            ("x-real-ip", "6.6.6.6"),
            ("x-forwarded-host", "evil"),
            ("x-forwarded-prefix", "/evil"),
            ("x-original-url", "/evil"),
            ("cf-connecting-ip", "6.6.6.6"),
            ("x-http-method-override", "PUT"),
        ]);
        forward(&mut map, false, Some("a:8080"));
        assert_eq!(map["x-forwarded-for"], "10.0.0.9");
        assert_eq!(map["forwarded"], "for=10.0.0.9;proto=http;host=\"a:8080\"");
        assert_eq!(map["x-forwarded-host"], "a:8080");
        for gone in [
            "x-real-ip",
            "x-forwarded-prefix",
            "x-original-url",
            "cf-connecting-ip",
        ] {
            assert!(!map.contains_key(gone), "{gone}");
        }
        assert_eq!(map["x-http-method-override"], "PUT");
        assert_eq!(map["via"], "1.1 fusebox");
    }

    #[test]
    fn a_trusted_proxy_is_believed_and_added_to() {
        let mut map = headers(&[
            ("x-forwarded-for", "6.6.6.6"),
            ("x-forwarded-proto", "https"),
            ("x-original-url", "/before"),
        ]);
        forward(&mut map, true, None);
        assert_eq!(map["x-forwarded-for"], "6.6.6.6, 10.0.0.9");
        assert_eq!(map["x-forwarded-proto"], "https");
        assert_eq!(map["x-original-url"], "/before");
    }

    #[test]
    fn an_upstream_does_not_speak_in_our_name() {
        let mut map = headers(&[
            ("fusebox-reason", "breaker_open"),
            ("fusebox-fallback", "last_good"),
            ("x-served-by", "a"),
        ]);
        let found = FieldKinds::of_answer(&map);
        strip_response(&mut map, found);
        let left: Vec<_> = map.keys().map(HeaderName::as_str).collect();
        assert_eq!(left, ["x-served-by", "via"]);
        let mut map = headers(&[("fusebox-reason", "breaker_open"), ("x-sum", "1")]);
        strip_trailers(&mut map);
        let left: Vec<_> = map.keys().map(HeaderName::as_str).collect();
        assert_eq!(left, ["x-sum"]);
    }

    #[test]
    fn a_traceparent_is_kept_only_if_it_is_one() {
        let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        assert!(has_traceparent(&headers(&[("traceparent", good)])));
        for bad in [
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
            "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "nonsense",
        ] {
            assert!(!has_traceparent(&headers(&[("traceparent", bad)])), "{bad}");
        }
    }
}
