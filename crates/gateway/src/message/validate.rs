//! Validation of a request before anything is done with it (I11).
//!
//! hyper parses; these checks refuse what parses but means different things to different programs: ambiguous framing,
//! doubtful hosts, paths that a route and an upstream could read differently. Every refusal closes the connection,
//! since the next byte on it may not be the start of a request. Sources: RFC 9110 and 9112, and the public record of
//! request smuggling.

use http::header::{CONTENT_LENGTH, EXPECT, HOST, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, Version};

use crate::message::field_kinds::FieldKinds;

/// The refusal of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    /// The status: 400, 405, 414, 417, 501 or 505.
    pub status: StatusCode,
    /// The fault, in words for the client.
    pub why: &'static str,
}

/// The refusal of a request for another protocol by an upstream that is spoken to in HTTP/2 alone, which switches
/// none (RFC 9113, section 8.6).
pub const NO_SWITCH: Refused = Refused {
    status: StatusCode::NOT_IMPLEMENTED,
    why: "the upstream speaks HTTP/2, which switches to no other protocol",
};

/// A refusal with status 400.
pub const fn bad(why: &'static str) -> Refused {
    Refused {
        status: StatusCode::BAD_REQUEST,
        why,
    }
}

/// A listener's rules for paths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PathRules {
    /// Allows `%2F` in a path.
    pub encoded_slash_allowed: bool,
    /// Allows `//` in a path.
    pub double_slash_allowed: bool,
}

/// Checks that a request, with its fields of those kinds, has a single meaning.
///
/// # Errors
/// The fault in the request, with its status.
pub fn inspect<B>(
    request: &Request<B>,
    found: FieldKinds,
    rules: PathRules,
) -> Result<(), Refused> {
    if !matches!(request.version(), Version::HTTP_10 | Version::HTTP_11) {
        return Err(Refused {
            status: StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            why: "this listener speaks HTTP/1.1",
        });
    }
    method(request.method())?;
    if found.has(FieldKinds::TRANSFER_ENCODING.or(FieldKinds::CONTENT_LENGTH)) {
        framing(request)?;
    }
    host(request)?;
    target(request.method(), request.uri(), rules)?;
    match found.has(FieldKinds::EXPECT) {
        true => expectation(request.headers()),
        false => Ok(()),
    }
}

fn method(method: &Method) -> Result<(), Refused> {
    if matches!(*method, Method::CONNECT | Method::TRACE) {
        return Err(Refused {
            status: StatusCode::METHOD_NOT_ALLOWED,
            why: "CONNECT and TRACE are not served",
        });
    }
    if !method
        .as_str()
        .bytes()
        .all(|byte| byte.is_ascii_uppercase() || byte == b'-')
    {
        return Err(bad("a method is written in upper-case letters"));
    }
    Ok(())
}

/// Checks that the body has a single framing: one `chunked`, or one length (RFC 9112, section 6).
fn framing<B>(request: &Request<B>) -> Result<(), Refused> {
    let headers = request.headers();
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    if let Some(coding) = codings.next() {
        if request.version() == Version::HTTP_10 {
            return Err(bad("HTTP/1.0 has no Transfer-Encoding"));
        }
        if !coding.as_bytes().eq_ignore_ascii_case(b"chunked") || codings.next().is_some() {
            return Err(bad("Transfer-Encoding must be exactly `chunked`"));
        }
        if headers.contains_key(CONTENT_LENGTH) {
            return Err(bad(
                "a body has either a Transfer-Encoding or a Content-Length",
            ));
        }
    }
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    if let Some(length) = lengths.next()
        && (lengths.next().is_some() || !length.as_bytes().iter().all(u8::is_ascii_digit))
    {
        return Err(bad("Content-Length must be one number"));
    }
    Ok(())
}

/// Checks for exactly one `Host` in HTTP/1.1 that agrees with an absolute target (RFC 9112, section 3.2).
fn host<B>(request: &Request<B>) -> Result<(), Refused> {
    let mut hosts = request.headers().get_all(HOST).iter();
    let host = hosts.next();
    if hosts.next().is_some() {
        return Err(bad("there must be one Host field"));
    }
    let Some(host) = host else {
        return if request.version() == Version::HTTP_11 {
            Err(bad("HTTP/1.1 needs a Host field"))
        } else {
            Ok(())
        };
    };
    let host = host
        .to_str()
        .map_err(|_| bad("Host is not a host and port"))?;
    if !is_host(host) {
        return Err(bad("Host is not a host and port"));
    }
    match request.uri().authority() {
        Some(authority) if !authority.as_str().eq_ignore_ascii_case(host) => {
            Err(bad("the target's host and the Host field differ"))
        }
        _ => Ok(()),
    }
}

/// True for `uri-host [ ":" port ]` (RFC 3986, section 3.2.2), without percent-encoding or sub-delimiters that no
/// resolvable name has.
fn is_host(text: &str) -> bool {
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let Some((literal, rest)) = rest.split_once(']') else {
            return false;
        };
        if literal.parse::<std::net::Ipv6Addr>().is_err() {
            return false;
        }
        match rest.strip_prefix(':') {
            Some(port) => return is_port(port),
            None => return rest.is_empty(),
        }
    } else {
        match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        }
    };
    let named = !host.is_empty()
        && host.len() <= 255
        && host
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte));
    named && port.is_none_or(is_port)
}

fn is_port(text: &str) -> bool {
    text.len() <= 5 && text.parse::<u16>().is_ok() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn target(method: &Method, uri: &Uri, rules: PathRules) -> Result<(), Refused> {
    if let Some(scheme) = uri.scheme_str()
        && !scheme.eq_ignore_ascii_case("http")
        && !scheme.eq_ignore_ascii_case("https")
    {
        return Err(bad("the target's scheme must be http or https"));
    }
    if uri
        .authority()
        .is_some_and(|authority| authority.as_str().contains('@'))
    {
        return Err(bad("a target has no user name"));
    }
    let path = uri.path();
    if path == "*" && uri.authority().is_none() {
        return if *method == Method::OPTIONS {
            Ok(())
        } else {
            Err(bad("`*` goes with OPTIONS"))
        };
    }
    let is_authority = uri.scheme().is_none() && uri.authority().is_some();
    if is_authority || !path.starts_with('/') {
        return Err(bad("the target must start with `/`"));
    }
    if !uri
        .path_and_query()
        .is_none_or(|text| text.as_str().is_ascii())
    {
        return Err(bad("the target must be ASCII, the rest percent-encoded"));
    }
    self::path(path, rules)
}

/// Checks that a router and an upstream cannot read a path differently: no encoded separators, no dot segments in any
/// disguise, nothing encoded twice that would become one.
///
/// # Errors
/// The fault in the path.
pub fn path(path: &str, rules: PathRules) -> Result<(), Refused> {
    let looks = Looks::at(path);
    if looks.backslash {
        return Err(bad("a path has no backslash"));
    }
    if !rules.double_slash_allowed && looks.empty_segment {
        return Err(bad("a path has no empty segment"));
    }
    if looks.encoded {
        encoded(path, rules)?;
    } else if !looks.dot_first {
        return Ok(());
    }
    match path.split('/').any(is_dots) {
        true => Err(bad("a path has no dot segments")),
        false => Ok(()),
    }
}

/// The signs in a path that call for a closer look, found in one pass.
#[derive(Debug, Default)]
struct Looks {
    backslash: bool,
    /// An encoded byte: a `%`.
    encoded: bool,
    /// A `/` right behind a `/`.
    empty_segment: bool,
    /// A segment that begins with a dot.
    dot_first: bool,
}

impl Looks {
    fn at(path: &str) -> Looks {
        let mut looks = Looks::default();
        let mut before = b' ';
        for byte in path.bytes() {
            match byte {
                b'\\' => looks.backslash = true,
                b'%' => looks.encoded = true,
                b'/' => looks.empty_segment |= before == b'/',
                b'.' => looks.dot_first |= before == b'/',
                _ => {}
            }
            before = byte;
        }
        looks
    }
}

fn encoded(path: &str, rules: PathRules) -> Result<(), Refused> {
    let bytes = path.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] != b'%' {
            at += 1;
            continue;
        }
        let byte =
            hex_pair(bytes, at + 1).ok_or(bad("a `%` in a path is followed by two hex digits"))?;
        match byte {
            b'/' if !rules.encoded_slash_allowed => return Err(bad("a path has no encoded slash")),
            b'\\' => return Err(bad("a path has no encoded backslash")),
            0..=0x1f | 0x7f => return Err(bad("a path has no encoded control character")),
            b'%' if twice(bytes, at + 3) => return Err(bad("a path is not encoded twice")),
            _ => {}
        }
        at += 3;
    }
    Ok(())
}

/// True if the two digits after a `%25` would make a second decoder see a dangerous character.
fn twice(bytes: &[u8], at: usize) -> bool {
    matches!(
        hex_pair(bytes, at),
        Some(b'/' | b'\\' | b'.' | b'%' | 0..=0x1f)
    )
}

fn hex_pair(bytes: &[u8], at: usize) -> Option<u8> {
    let digit = |byte: u8| (byte as char).to_digit(16);
    let (high, low) = (digit(*bytes.get(at)?)?, digit(*bytes.get(at + 1)?)?);
    u8::try_from(high * 16 + low).ok()
}

/// True for `.` and `..`, also encoded, also with parameters behind a `;`.
fn is_dots(segment: &str) -> bool {
    let name = segment.split(';').next().unwrap_or(segment);
    if name.is_empty() || name.len() > 6 {
        return false;
    }
    let plain = name.replace("%2e", ".").replace("%2E", ".");
    plain == "." || plain == ".."
}

fn expectation(headers: &HeaderMap) -> Result<(), Refused> {
    match headers.get(EXPECT) {
        Some(value) if !value.as_bytes().eq_ignore_ascii_case(b"100-continue") => Err(Refused {
            status: StatusCode::EXPECTATION_FAILED,
            why: "the only expectation that is met is 100-continue",
        }),
        _ => Ok(()),
    }
}

/// The protocol that a request asks to switch to, if it may be passed on: never `h2c`, which would carry requests past
/// these checks.
pub fn upgrade_asked<B>(request: &Request<B>) -> bool {
    let mut protocols = request.headers().get_all(UPGRADE).iter();
    match (protocols.next(), protocols.next()) {
        (Some(protocol), None) => {
            let protocol = protocol.as_bytes();
            request.version() == Version::HTTP_11
                && crate::message::fields::lists(
                    request.headers(),
                    &http::header::CONNECTION,
                    "upgrade",
                )
                && !protocol.is_empty()
                && !protocol
                    .to_ascii_lowercase()
                    .windows(3)
                    .any(|window| window == b"h2c")
                && !protocol.contains(&b',')
        }
        _ => false,
    }
}

/// True if a response does not switch protocols, or switches to the requested one (RFC 9110, section 7.8).
pub fn switches_as_asked<B>(response: &http::Response<B>, asked: Option<&HeaderValue>) -> bool {
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return true;
    }
    let mut protocols = response.headers().get_all(UPGRADE).iter();
    match (asked, protocols.next(), protocols.next()) {
        (Some(asked), Some(got), None) => got.as_bytes().eq_ignore_ascii_case(asked.as_bytes()),
        _ => false,
    }
}

/// True if an upstream's response head, with its fields of those kinds, has a single framing; one that we and a client
/// could read differently is not passed on.
pub fn response_is_sound<B>(response: &http::Response<B>, found: FieldKinds) -> bool {
    let headers = response.headers();
    let lengths = || headers.get_all(CONTENT_LENGTH).iter().count();
    if !found.has(FieldKinds::TRANSFER_ENCODING) {
        return !found.has(FieldKinds::CONTENT_LENGTH) || lengths() <= 1;
    }
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let coding = codings.next();
    let chunked = coding.is_none_or(|coding| coding.as_bytes().eq_ignore_ascii_case(b"chunked"))
        && codings.next().is_none();
    chunked && !found.has(FieldKinds::CONTENT_LENGTH)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(target: &str) -> Request<()> {
        Request::get(target).header(HOST, "a").body(()).unwrap()
    }

    fn refused(request: &Request<()>) -> Option<u16> {
        let found = FieldKinds::of_request(request.headers());
        inspect(request, found, PathRules::default())
            .err()
            .map(|refused| refused.status.as_u16())
    }

    #[test]
    fn plain_paths_and_encoded_letters_pass() {
        for target in [
            "/",
            "/a/b",
            "/a%20b",
            "/100%25",
            "/.well-known/x",
            "/a..b",
            "/a?x=//%2f",
            "/%C3%A9",
        ] {
            assert_eq!(refused(&get(target)), None, "{target}");
        }
    }

    #[test]
    fn paths_that_two_readers_could_read_differently_are_refused() {
        for target in [
            "/a/../b",
            "/a/./b",
            "/a/%2e%2e/b",
            "/a/.%2E/b",
            "/a/..;x/b",
            "//a",
            "/a//b",
            "/a%2fb",
            "/a%5cb",
            "/a%00",
            "/a%0d%0ab",
            "/a%zz",
            "/a%2",
            "/%252e%252e/a",
            "/a%252fb",
        ] {
            assert_eq!(refused(&get(target)), Some(400), "{target}");
        }
    }

    #[test]
    fn a_listener_may_let_slashes_pass() {
        let rules = PathRules {
            encoded_slash_allowed: true,
            double_slash_allowed: true,
        };
        assert!(inspect(&get("/a%2fb"), FieldKinds::default(), rules).is_ok());
        assert!(inspect(&get("/a//b"), FieldKinds::default(), rules).is_ok());
        assert!(inspect(&get("/a//../b"), FieldKinds::default(), rules).is_err());
    }

    #[test]
    fn hosts_are_hosts() {
        for host in ["a", "a.b:80", "127.0.0.1", "[::1]", "[::1]:8080", "xn--a_b"] {
            assert!(is_host(host), "{host}");
        }
        for host in [
            "", "a b", "a,b", "a:b", "a:99999", "[::1", "x[::1]", "http://a", "a/b", "a@b",
            "[::1]x", "a:",
        ] {
            assert!(!is_host(host), "{host}");
        }
    }

    #[test]
    fn a_body_has_one_length() {
        let with = |fields: &[(&str, &str)]| {
            let mut request = Request::post("/").header(HOST, "a");
            for (name, value) in fields {
                request = request.header(*name, *value);
            }
            refused(&request.body(()).unwrap())
        };
        let (coding, length) = (("transfer-encoding", "chunked"), ("content-length", "5"));
        assert_eq!(with(&[("transfer-encoding", "Chunked")]), None);
        assert_eq!(with(&[length]), None);
        assert_eq!(with(&[("transfer-encoding", "gzip, chunked")]), Some(400));
        assert_eq!(with(&[coding, coding]), Some(400));
        assert_eq!(with(&[coding, length]), Some(400));
        assert_eq!(with(&[length, length]), Some(400));
        assert_eq!(with(&[("content-length", "+5")]), Some(400));
    }

    #[test]
    fn only_a_single_known_upgrade_is_passed_on() {
        let asks = |protocol: &str, connection: &str| {
            upgrade_asked(
                &Request::get("/")
                    .header("upgrade", protocol)
                    .header("connection", connection)
                    .body(())
                    .unwrap(),
            )
        };
        assert!(asks("websocket", "Upgrade"));
        assert!(asks("websocket", "keep-alive, upgrade"));
        assert!(!asks("websocket", "close"));
        assert!(!asks("h2c", "upgrade, http2-settings"));
        assert!(!asks("websocket, h2c", "upgrade"));
    }
}
