//! Writes a request's head, from its fields as they are.

use std::io::Write as _;

use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{Request, Uri};

use crate::message::marks;

/// The bytes that a field's line takes beside its name and value.
const LINE: usize = b": \r\n".len();

/// The framing of a request's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SentFraming {
    /// There is no body. A length of 0 is written if the fields have one, whatever it says.
    Nothing,
    /// A body of that many bytes.
    Length(u64),
    /// Chunks, up to an empty one.
    Chunked,
}

/// Appends a request's head. The fields that frame a body are written as `framing` says, and nothing else is taken for
/// one.
pub fn write<B>(to: &mut Vec<u8>, request: &Request<B>, framing: SentFraming) {
    let (method, headers) = (request.method().as_str(), request.headers());
    let sizes = headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + LINE);
    to.reserve(sizes.sum::<usize>() + 128);
    to.extend_from_slice(method.as_bytes());
    to.push(b' ');
    write_target(to, request.uri());
    to.extend_from_slice(b" HTTP/1.1\r\n");
    let mut has_length = false;
    for (name, value) in headers {
        if *name == CONTENT_LENGTH {
            has_length = true;
            continue;
        }
        if *name == TRANSFER_ENCODING {
            continue;
        }
        to.extend_from_slice(name.as_str().as_bytes());
        to.extend_from_slice(b": ");
        to.extend_from_slice(value.as_bytes());
        to.extend_from_slice(b"\r\n");
    }
    match framing {
        SentFraming::Nothing if has_length => to.extend_from_slice(b"content-length: 0\r\n"),
        SentFraming::Nothing => {}
        SentFraming::Length(bytes) => {
            // Writing to a vector does not fail.
            let _ = write!(to, "content-length: {bytes}\r\n");
        }
        SentFraming::Chunked => to.extend_from_slice(b"transfer-encoding: chunked\r\n"),
    }
    to.extend_from_slice(b"\r\n");
}

/// Appends a target: a path with its query, a whole URL for a proxy, or an authority for `CONNECT`.
fn write_target(to: &mut Vec<u8>, uri: &Uri) {
    if uri.scheme().is_some() || uri.authority().is_some() {
        let _ = write!(to, "{uri}");
        return;
    }
    let Some(path) = uri.path_and_query() else {
        to.push(b'/');
        return;
    };
    match marks::written_target(path.as_str()) {
        Some(raw) => to.extend_from_slice(&raw),
        None => to.extend_from_slice(path.as_str().as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue, Method};
    use proptest::prelude::*;

    use super::*;

    fn written(request: &Request<()>, framing: SentFraming) -> String {
        let mut to = Vec::new();
        write(&mut to, request, framing);
        String::from_utf8(to).unwrap()
    }

    #[test]
    fn a_body_is_framed_once_whatever_the_fields_say() {
        let request = Request::post("/a?b=c")
            .header("host", "a")
            .header("content-length", "7")
            .header("transfer-encoding", "gzip")
            .header("x-a", "1")
            .body(())
            .unwrap();
        let with = |framing, line: &str| {
            let wanted = format!("POST /a?b=c HTTP/1.1\r\nhost: a\r\nx-a: 1\r\n{line}\r\n");
            assert_eq!(written(&request, framing), wanted);
        };
        with(SentFraming::Nothing, "content-length: 0\r\n");
        with(SentFraming::Length(3), "content-length: 3\r\n");
        with(SentFraming::Chunked, "transfer-encoding: chunked\r\n");
        let bare = Request::get("/").body(()).unwrap();
        let bare = written(&bare, SentFraming::Nothing);
        assert_eq!(bare, "GET / HTTP/1.1\r\n\r\n");
    }

    #[test]
    fn targets_are_written_in_their_forms() {
        let line = |method: Method, uri: &str| {
            let request = Request::builder().method(method).uri(uri).body(()).unwrap();
            let text = written(&request, SentFraming::Nothing);
            text.lines().next().unwrap().to_owned()
        };
        assert_eq!(line(Method::OPTIONS, "*"), "OPTIONS * HTTP/1.1");
        let url = "http://a.test:81/x?y";
        assert_eq!(line(Method::GET, url), format!("GET {url} HTTP/1.1"));
        let authority = "a.test:443";
        let connect = format!("CONNECT {authority} HTTP/1.1");
        assert_eq!(line(Method::CONNECT, authority), connect);
        let raw = "/a?q=\"<b>\\22\"&x";
        let marked = marks::marked_target(raw);
        assert_eq!(line(Method::GET, &marked), format!("GET {raw} HTTP/1.1"));
    }

    proptest! {
        #[test]
        fn a_written_head_reads_back(
            names in prop::collection::vec("[a-z][a-z0-9-]{0,20}", 0..20),
            values in prop::collection::vec("[ -~\u{80}-\u{ff}]{0,40}", 20),
            path in "/[a-zA-Z0-9/._~%-]{0,40}",
        ) {
            let mut request = Request::get(path.as_str());
            let mut sent = Vec::new();
            for (name, value) in names.iter().zip(&values) {
                if name == "content-length" || name == "transfer-encoding" {
                    continue;
                }
                let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
                let bytes: Vec<u8> = value.trim().chars().map(|c| c as u8).collect();
                let Ok(value) = HeaderValue::from_bytes(&bytes) else { continue };
                sent.push((name.clone(), value.clone()));
                request = request.header(name, value);
            }
            let Ok(request) = request.body(()) else { return Ok(()) };
            let mut to = Vec::new();
            write(&mut to, &request, SentFraming::Length(12));
            let mut fields = [httparse::EMPTY_HEADER; 32];
            let mut read = httparse::Request::new(&mut fields);
            prop_assert_eq!(read.parse(&to), Ok(httparse::Status::Complete(to.len())));
            prop_assert_eq!(read.path, Some(path.as_str()));
            sent.sort_by(|one, other| one.0.as_str().cmp(other.0.as_str()));
            let mut got: Vec<_> = read.headers.iter().map(|it| (it.name, it.value)).collect();
            prop_assert_eq!(got.pop(), Some(("content-length", &b"12"[..])));
            got.sort_by_key(|it| it.0);
            let sent: Vec<_> = sent.iter().map(|it| (it.0.as_str(), it.1.as_bytes())).collect();
            prop_assert_eq!(got, sent);
        }
    }
}
