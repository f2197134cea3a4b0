//! Finds the requests' heads in a client's bytes, to let raw bytes pass in a query.
//!
//! nginx and HAProxy take `"`, `<` and `>` in a query; the `http` crate does not, and hyper would refuse the request.
//! So a request line with such a query is rewritten before hyper reads it, with the query as [`marks::marked_query`]
//! writes it. That is done only at a certain beginning of a request line: hyper gets one head at a time, reports the
//! body that it found, and the body's end is counted. When the count is lost, as in an upgrade, bytes pass unchanged
//! from then on.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::message::chunks::Chunks;
use crate::message::marks;

/// The longest request line that is rewritten, in bytes: a longer target is refused anyway.
const LINE_MAX: usize = 80 * 1024;

/// Body of the request that hyper read last, noted by the service for the socket.
#[derive(Debug)]
pub struct BodyNote {
    body: AtomicU64,
    /// Set when the connection has become a tunnel.
    tunnel: AtomicBool,
}

const CHUNKED: u64 = u64::MAX;
const UPGRADE: u64 = u64::MAX - 1;
const NOTHING: u64 = u64::MAX - 2;

impl Default for BodyNote {
    fn default() -> BodyNote {
        BodyNote {
            body: AtomicU64::new(NOTHING),
            tunnel: AtomicBool::new(false),
        }
    }
}

impl BodyNote {
    /// A body of `length` bytes, which may be 0; `None` means a chunked one.
    pub fn body(&self, length: Option<u64>) {
        self.body
            .store(length.unwrap_or(CHUNKED), Ordering::Relaxed);
    }

    /// An upgrade was requested, so the next bytes may be another protocol than HTTP.
    pub fn upgrade(&self) {
        self.body.store(UPGRADE, Ordering::Relaxed);
    }

    /// The upgrade was not granted: without bytes in between, the body is as it would have been.
    pub fn no_upgrade(&self, length: Option<u64>) {
        if self.body.load(Ordering::Relaxed) == UPGRADE {
            self.body(length);
        }
    }

    /// The upgrade was granted.
    pub fn tunnel(&self) {
        self.tunnel.store(true, Ordering::Relaxed);
    }

    /// True if the connection is a tunnel, whose bytes belong to its ends.
    pub fn is_tunnel(&self) -> bool {
        self.tunnel.load(Ordering::Relaxed)
    }

    fn take(&self) -> u64 {
        // Only the connection's own task touches it.
        let noted = self.body.load(Ordering::Relaxed);
        self.body.store(NOTHING, Ordering::Relaxed);
        noted
    }
}

/// Expected next part of the client's bytes.
#[derive(Debug, Default)]
enum Next {
    /// A request's head.
    #[default]
    Head,
    /// The rest of a head whose request line hyper has, with the state of its last line.
    Fields(LineEnd),
    /// Unknown until hyper has read the head and the note says which body it has.
    Asked,
    /// A body with this many bytes left.
    Body(u64),
    /// A body in chunks.
    Chunks(Chunks),
    /// Unknown for good.
    Anything,
}

/// The part of a line end that the bytes seen last make up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LineEnd {
    None,
    Lf,
    LfCr,
}

/// Verdict on the bytes of one read.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// This many pass as they are; the rest is shown again at the next read.
    Pass(usize),
    /// These bytes pass in place of this many of the first ones.
    Instead(Vec<u8>, usize),
    /// More is needed: the same bytes are shown again with more behind them.
    More,
}

/// The position in a client's stream of requests.
#[derive(Debug, Default)]
pub struct Heads {
    next: Next,
    /// Number of bytes of a request line that have been searched for its end.
    searched: usize,
}

impl Heads {
    /// Judges the next bytes, which are not empty.
    pub fn see(&mut self, bytes: &[u8], note: &BodyNote) -> Verdict {
        if matches!(self.next, Next::Asked) {
            self.next = match note.take() {
                CHUNKED => Next::Chunks(Chunks::default()),
                UPGRADE | NOTHING => Next::Anything,
                0 => Next::Head,
                length => Next::Body(length),
            };
        }
        match &mut self.next {
            Next::Anything | Next::Asked => Verdict::Pass(bytes.len()),
            Next::Body(left) => {
                let passed = usize::try_from(*left)
                    .unwrap_or(usize::MAX)
                    .min(bytes.len());
                *left -= passed as u64;
                if *left == 0 {
                    self.next = Next::Head;
                }
                Verdict::Pass(passed)
            }
            Next::Chunks(chunks) => match chunks.see(bytes) {
                Ok(None) => Verdict::Pass(bytes.len()),
                Ok(Some(end)) => {
                    self.next = Next::Head;
                    Verdict::Pass(end)
                }
                Err(_) => {
                    self.next = Next::Anything;
                    Verdict::Pass(bytes.len())
                }
            },
            Next::Fields(end) => {
                let (passed, next) = fields(bytes, *end);
                self.next = next;
                Verdict::Pass(passed)
            }
            Next::Head => self.head(bytes),
        }
    }

    fn head(&mut self, bytes: &[u8]) -> Verdict {
        // Empty lines before a head mean nothing (RFC 9112, section 2.2).
        let Some(begin) = bytes.iter().position(|byte| !matches!(byte, b'\r' | b'\n')) else {
            return Verdict::Pass(bytes.len());
        };
        let from = std::mem::take(&mut self.searched).max(begin);
        let Some(length) = memchr::memchr(b'\n', &bytes[from..]) else {
            let is_text = |byte: &u8| matches!(byte, b' '..=b'~' | 0x80.. | b'\r');
            if bytes.len() <= LINE_MAX && bytes[from..].iter().all(is_text) {
                self.searched = bytes.len();
                return Verdict::More;
            }
            // Not a request line, such as a TLS handshake: hyper refuses it.
            self.next = Next::Anything;
            return Verdict::Pass(bytes.len());
        };
        let end = from + length + 1;
        let (passed, next) = fields(&bytes[end..], LineEnd::Lf);
        self.next = next;
        match rewritten(&bytes[begin..end]) {
            None => Verdict::Pass(end + passed),
            Some(line) => {
                // An empty line before it may have begun in the read before.
                let instead = [&bytes[..begin], &line, &bytes[end..end + passed]].concat();
                Verdict::Instead(instead, end + passed)
            }
        }
    }
}

/// Number of bytes that belong to the head, and the part behind them.
fn fields(bytes: &[u8], mut end: LineEnd) -> (usize, Next) {
    let mut at = 0;
    loop {
        match (end, bytes.get(at)) {
            (_, None) => return (bytes.len(), Next::Fields(end)),
            (LineEnd::Lf | LineEnd::LfCr, Some(b'\n')) => return (at + 1, Next::Asked),
            (LineEnd::Lf, Some(b'\r')) => {
                end = LineEnd::LfCr;
                at += 1;
            }
            _ => match memchr::memchr(b'\n', &bytes[at..]) {
                Some(length) => {
                    end = LineEnd::Lf;
                    at += length + 1;
                }
                None => return (bytes.len(), Next::Fields(LineEnd::None)),
            },
        }
    }
}

/// Rewrites a request line whose query has raw bytes so that hyper can read it; `None` for any other.
fn rewritten(line: &[u8]) -> Option<Vec<u8>> {
    let question = memchr::memchr(b'?', line)?;
    memchr::memchr3(b'"', b'<', b'>', &line[question..])?;
    let version = memchr::memrchr(b' ', line)?;
    // A target has no space; hyper refuses one with a space.
    let query = line.get(question + 1..version)?;
    if !line[version..].starts_with(b" HTTP/1.") || query.contains(&b' ') {
        return None;
    }
    let query = std::str::from_utf8(query).ok()?;
    let mut rewritten = line[..=question].to_vec();
    rewritten.extend_from_slice(marks::marked_query(query).as_bytes());
    rewritten.extend_from_slice(&line[version..]);
    Some(rewritten)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The bytes that hyper reads when a client sends `bytes`, `at_once` at a time, with hyper's report on each head.
    fn read(bytes: &[u8], at_once: usize, bodies: &[Option<u64>]) -> String {
        let (mut heads, note) = (Heads::default(), BodyNote::default());
        let (mut passed, mut kept) = (Vec::new(), Vec::new());
        let mut bodies = bodies.iter();
        for read in bytes.chunks(at_once) {
            kept.extend_from_slice(read);
            while !kept.is_empty() {
                let count = match heads.see(&kept, &note) {
                    Verdict::More => break,
                    Verdict::Pass(count) => {
                        passed.extend_from_slice(&kept[..count]);
                        count
                    }
                    Verdict::Instead(bytes, count) => {
                        passed.extend_from_slice(&bytes);
                        count
                    }
                };
                kept.drain(..count);
                if matches!(heads.next, Next::Asked)
                    && let Some(body) = bodies.next()
                {
                    note.body(*body);
                }
            }
        }
        passed.extend(kept);
        let text = String::from_utf8(passed).unwrap();
        let mark = marks::marked_query("");
        text.replace(&mark, "MARK")
    }

    const RAW: &str = "GET /?q=\"x\" HTTP/1.1\r\nHost: a\r\n\r\n";
    const READ: &str = "GET /?MARKq=\\22x\\22 HTTP/1.1\r\nHost: a\r\n\r\n";

    #[test]
    fn a_raw_query_is_marked_wherever_a_head_begins() {
        let chunked = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5;x=\"\r\n\r\n\r\nG\r\n0\r\nT: 1\r\n\r\n";
        let post = format!(
            "POST / HTTP/1.1\r\nContent-Length: {}\r\n\r\n{RAW}",
            RAW.len()
        );
        let plain = "GET /?q=%22 HTTP/1.1\nX: \"<>?\"\n\n";
        let sent = format!("\r\n{RAW}{post}{RAW}{chunked}{RAW}{plain}{RAW}");
        let wanted = format!("\r\n{READ}{post}{READ}{chunked}{READ}{plain}{READ}");
        let length = Some(RAW.len() as u64);
        let bodies = [Some(0), length, Some(0), None, Some(0), Some(0), Some(0)];
        for at_once in [1, 2, 3, 7, 50, 64, 200, 10_000] {
            let read = read(sent.as_bytes(), at_once, &bodies);
            assert_eq!(read, wanted, "{at_once} at once");
        }
    }

    /// A request of a kind as a client sends it and as hyper reads it, and its body.
    fn request(kind: u8) -> (String, String, Option<u64>) {
        let line = "?q=\"x\" HTTP/1.1\r\n";
        let marked = "?MARKq=\\22x\\22 HTTP/1.1\r\n";
        let (method, rest, body) = match kind {
            0 => (
                "GET /",
                "Host: a\r\nCookie: \"?<\"\r\n\r\n".to_owned(),
                Some(0),
            ),
            1 => ("GET /", "A: b\n\n".to_owned(), Some(0)),
            2 => {
                let body = format!("GET /{line}\r\n\n");
                let head = "Content-Length: x\r\n\r\n";
                ("POST /", format!("{head}{body}"), Some(body.len() as u64))
            }
            3 => (
                "PUT /",
                "\r\n5;\"\r\nGET /\r\n2\r\n\r\n\r\n0\r\nA: ?\"\r\n\r\n".to_owned(),
                None,
            ),
            _ => ("DELETE http://a/", "\r\n0\r\n\r\n".to_owned(), None),
        };
        (
            format!("{method}{line}{rest}"),
            format!("{method}{marked}{rest}"),
            body,
        )
    }

    proptest! {
        #[test]
        fn requests_are_told_apart_in_any_order_and_any_pieces(
            kinds in prop::collection::vec(0..5_u8, 1..8),
            at_once in 1..400_usize,
        ) {
            let requests: Vec<_> = kinds.iter().map(|kind| request(*kind)).collect();
            let sent: String = requests.iter().map(|request| request.0.as_str()).collect();
            let wanted: String = requests.iter().map(|request| request.1.as_str()).collect();
            let bodies: Vec<_> = requests.iter().map(|request| request.2).collect();
            prop_assert_eq!(read(sent.as_bytes(), at_once, &bodies), wanted);
        }

        #[test]
        fn no_bytes_are_lost_or_made_up(
            bytes in prop::collection::vec(any::<u8>(), 0..300),
            at_once in 1..50_usize,
        ) {
            let (mut heads, note) = (Heads::default(), BodyNote::default());
            let mut kept = Vec::new();
            let mut passed = Vec::new();
            for read in bytes.chunks(at_once) {
                kept.extend_from_slice(read);
                while !kept.is_empty() {
                    match heads.see(&kept, &note) {
                        Verdict::Pass(count) => passed.extend(kept.drain(..count)),
                        Verdict::Instead(..) => return Ok(()),
                        Verdict::More => break,
                    }
                }
            }
            passed.extend(kept);
            prop_assert_eq!(passed, bytes);
        }
    }

    #[test]
    fn what_is_no_request_line_or_needs_no_help_is_left_alone() {
        for line in [
            "GET /?a=1 HTTP/1.1\r\n",
            "GET /\"x\" HTTP/1.1\r\n",
            "GET /?a=\"b c\" HTTP/1.1\r\n",
            "GET /?a=\"b\"\r\n",
            "GET /?a=\"b\" HTTP/2.0\r\n",
            "GET /a HTTP/1.1?\"\r\n",
            "nonsense\r\n",
        ] {
            assert_eq!(rewritten(line.as_bytes()), None, "{line}");
        }
        assert_eq!(rewritten(b"GET /?a=\"\xff\" HTTP/1.1\r\n"), None);
    }

    #[test]
    fn what_is_no_text_does_not_wait_for_the_end_of_a_line() {
        let hello = b"\x16\x03\x01\x02\x00\x01";
        let note = BodyNote::default();
        assert_eq!(Heads::default().see(b"GET /", &note), Verdict::More);
        assert_eq!(
            Heads::default().see(hello, &note),
            Verdict::Pass(hello.len())
        );
    }

    #[test]
    fn an_empty_line_before_a_head_may_come_in_two_reads() {
        let (mut heads, note) = (Heads::default(), BodyNote::default());
        assert_eq!(heads.see(b"\r", &note), Verdict::Pass(1));
        let Verdict::Instead(line, count) = heads.see(format!("\n{RAW}").as_bytes(), &note) else {
            panic!("it is not rewritten");
        };
        assert!(line.starts_with(b"\nGET /?"));
        assert_eq!(count, RAW.len() + 1);
    }

    #[test]
    fn an_upgrade_that_comes_to_nothing_loses_nothing() {
        let (mut heads, note) = (Heads::default(), BodyNote::default());
        let head = b"GET / HTTP/1.1\r\nUpgrade: x\r\n\r\n";
        heads.see(head, &note);
        note.upgrade();
        note.no_upgrade(Some(0));
        assert!(matches!(
            heads.see(RAW.as_bytes(), &note),
            Verdict::Instead(..)
        ));
    }

    #[test]
    fn nothing_is_touched_after_an_upgrade_or_out_of_step() {
        for upgrade in [true, false] {
            let (mut heads, note) = (Heads::default(), BodyNote::default());
            let head = b"GET / HTTP/1.1\r\nUpgrade: x\r\n\r\n";
            assert_eq!(heads.see(head, &note), Verdict::Pass(head.len()));
            if upgrade {
                note.upgrade();
            }
            assert_eq!(heads.see(RAW.as_bytes(), &note), Verdict::Pass(RAW.len()));
        }
    }
}
