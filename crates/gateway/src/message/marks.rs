//! Carries through hyper what hyper does not write, as marks that are replaced on the wire.
//!
//! hyper writes no trailers but those that the head announced. So trailers go through it as a chunk behind a random mark
//! that is unknown outside the process, and the socket below puts the real bytes in their place. The `http` crate holds
//! no target with a byte that it does not know: so a raw target is a path behind another mark, until its request is
//! written. Nothing else can look like a mark.

use std::io;
use std::pin::Pin;
use std::sync::LazyLock;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE,
    HOST, MAX_FORWARDS, SET_COOKIE, TE, TRAILER, TRANSFER_ENCODING,
};
use http::{HeaderMap, HeaderName, Uri};
use http_body::Frame;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Number of buffers from which on the last one is held: it could be the size of a chunk whose data are not in sight.
const IN_SIGHT: usize = 48;

/// Bytes that hyper writes behind a last chunk's data; with trailers of ours they are dropped.
const CHUNKED_END: usize = b"\r\n0\r\n\r\n".len();

/// Random hex digits, made once for each process and never written to a socket.
pub type Mark = [u8; 32];

static TRAILERS: LazyLock<Mark> = LazyLock::new(random);
static TARGET: LazyLock<Mark> = LazyLock::new(random);
static QUERY: LazyLock<Mark> = LazyLock::new(random);

fn random() -> Mark {
    let mut bytes = [0; 16];
    let filled = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
    assert_eq!(filled, Ok(bytes.len()), "the system gives random bytes");
    let mut mark = [0; 32];
    for (at, digit) in mark.iter_mut().enumerate() {
        let nibble = (bytes[at / 2] >> (4 * (at % 2))) & 0xf;
        *digit = b"0123456789abcdef"[usize::from(nibble)];
    }
    mark
}

/// Turns trailers into marked data, which hyper carries; they must be the body's last frame.
pub fn carried(frame: Frame<Bytes>) -> Frame<Bytes> {
    match frame.into_trailers() {
        Ok(trailers) => Frame::data(lines(&trailers)),
        Err(data) => data,
    }
}

fn lines(trailers: &HeaderMap) -> Bytes {
    let mut text = TRAILERS.to_vec();
    for (name, value) in trailers.iter().filter(|(name, _)| may_trail(name)) {
        text.extend_from_slice(name.as_str().as_bytes());
        text.extend_from_slice(b": ");
        text.extend_from_slice(value.as_bytes());
        text.extend_from_slice(b"\r\n");
    }
    text.into()
}

/// True if a field may stand behind a body (RFC 9110, section 6.5.1).
pub fn may_trail(name: &HeaderName) -> bool {
    ![
        AUTHORIZATION,
        CACHE_CONTROL,
        CONTENT_ENCODING,
        CONTENT_LENGTH,
        CONTENT_RANGE,
        CONTENT_TYPE,
        HOST,
        MAX_FORWARDS,
        SET_COOKIE,
        TE,
        TRAILER,
        TRANSFER_ENCODING,
    ]
    .contains(name)
}

/// True for a byte that nginx and HAProxy take in a query, and the `http` crate does not.
pub fn is_raw(byte: u8) -> bool {
    matches!(byte, b'"' | b'<' | b'>')
}

/// A target with bytes that the `http` crate refuses, as a path that it takes.
pub fn marked_target(target: &str) -> String {
    let mut text = String::with_capacity(target.len() + 40);
    text.push_str("/\\");
    text.push_str(std::str::from_utf8(&*TARGET).expect("hex digits are UTF-8"));
    text.push_str(&escaped(target));
    text
}

/// The target given to [`marked_target`], as it is written, by the path and query that stand for it; `None` without a mark.
pub fn written_target(path: &str) -> Option<Vec<u8>> {
    let rest = path.strip_prefix("/\\")?;
    let rest = rest.as_bytes().strip_prefix(&TARGET[..])?;
    Some(unescaped(rest))
}

/// The same with those bytes encoded.
pub fn raw_target(uri: &Uri) -> Option<String> {
    let target = written_target(uri.path_and_query()?.as_str())?;
    let target = String::from_utf8(target).ok()?;
    let target = target.replace('"', "%22");
    Some(target.replace('<', "%3C").replace('>', "%3E"))
}

/// A query with such bytes, as a query that it takes.
pub fn marked_query(query: &str) -> String {
    let mark = std::str::from_utf8(&*QUERY).expect("hex digits are UTF-8");
    format!("{mark}{}", escaped(query))
}

/// The query given to [`marked_query`]; `None` without a mark.
pub fn raw_query(query: &str) -> Option<String> {
    let rest = query.as_bytes().strip_prefix(&QUERY[..])?;
    String::from_utf8(unescaped(rest)).ok()
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '\\' => escaped.push_str("\\5C"),
            '"' => escaped.push_str("\\22"),
            '<' => escaped.push_str("\\3C"),
            '>' => escaped.push_str("\\3E"),
            c => escaped.push(c),
        }
    }
    escaped
}

fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        bytes.extend_from_slice(&rest[..at]);
        let code = rest
            .get(at + 1..at + 3)
            .and_then(|code| std::str::from_utf8(code).ok());
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &rest[at + 3..];
            }
            None => {
                bytes.push(b'\\');
                rest = &rest[at + 1..];
            }
        }
    }
    bytes.extend_from_slice(rest);
    bytes
}

/// Socket below hyper that replaces marked bytes by the real ones.
#[derive(Debug)]
pub struct MarkWriter<T> {
    inner: T,
    /// Bytes that go out before anything else.
    first: Vec<u8>,
    written: usize,
    /// Number of bytes to be dropped from what hyper writes next.
    drop: usize,
}

/// Decision on the buffers that hyper writes.
enum Plan {
    /// Write this many of them as they are.
    Write(usize),
    /// Report this many bytes as written; `first` holds their replacement.
    Taken(usize),
}

impl<T> MarkWriter<T> {
    /// Wraps a socket.
    pub fn new(inner: T) -> MarkWriter<T> {
        MarkWriter {
            inner,
            first: Vec::new(),
            written: 0,
            drop: 0,
        }
    }

    /// The socket, without the bytes still to be written.
    pub fn into_inner(self) -> T {
        self.inner
    }

    /// Queues bytes to be written before anything else.
    pub fn write_first(&mut self, bytes: &[u8]) {
        self.first.extend_from_slice(bytes);
    }

    fn plan(&mut self, bufs: &[io::IoSlice<'_>]) -> Plan {
        if self.drop > 0 {
            let total: usize = bufs.iter().map(|buf| buf.len()).sum();
            let dropped = total.min(self.drop);
            self.drop -= dropped;
            return Plan::Taken(dropped);
        }
        let mark = &TRAILERS[..];
        let Some(at) = bufs.iter().position(|buf| buf.starts_with(mark)) else {
            // The size of a chunk is not written before its data can be seen.
            let all = bufs.len();
            return Plan::Write(if all >= IN_SIGHT { all - 1 } else { all });
        };
        let data = &bufs[at];
        let size = format!("{:X}\r\n", data.len());
        match at.checked_sub(1) {
            // Not chunked, so there is no place for trailers.
            None => Plan::Taken(data.len()),
            Some(before) if *bufs[before] != *size.as_bytes() => Plan::Write(at),
            Some(0) => {
                self.first.extend_from_slice(b"0\r\n");
                self.first.extend_from_slice(&data[mark.len()..]);
                self.first.extend_from_slice(b"\r\n");
                self.drop = CHUNKED_END;
                Plan::Taken(size.len() + data.len())
            }
            Some(before) => Plan::Write(before),
        }
    }
}

impl<T: AsyncWrite + Unpin> MarkWriter<T> {
    /// Writes the queued bytes.
    pub fn poll_first(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.first.len() {
            let rest = &self.first[self.written..];
            let written = ready!(Pin::new(&mut self.inner).poll_write(cx, rest))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written += written;
        }
        if self.written > 0 {
            self.first = Vec::new();
            self.written = 0;
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for MarkWriter<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_read(cx, buf)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for MarkWriter<T> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[io::IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_first(cx))?;
        match this.plan(bufs) {
            Plan::Taken(bytes) => Poll::Ready(Ok(bytes)),
            Plan::Write(count) => Pin::new(&mut this.inner).poll_write_vectored(cx, &bufs[..count]),
        }
    }

    /// Always true, so that hyper passes its buffers on separately.
    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_first(cx))?;
        Pin::new(&mut this.inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_first(cx))?;
        Pin::new(&mut this.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    /// The bytes on the wire when hyper writes these pieces, `at_once` at a time.
    async fn wire(pieces: &[&[u8]], at_once: usize) -> Vec<u8> {
        let mut socket = MarkWriter::new(Vec::new());
        let mut left: Vec<&[u8]> = pieces.to_vec();
        while !left.is_empty() {
            let slices: Vec<_> = left
                .iter()
                .take(at_once)
                .map(|it| io::IoSlice::new(it))
                .collect();
            let mut written = socket.write_vectored(&slices).await.unwrap();
            while let Some(piece) = left.first().filter(|piece| piece.len() <= written).copied() {
                written -= piece.len();
                left.remove(0);
            }
            if written > 0 {
                left[0] = &left[0][written..];
            }
        }
        socket.flush().await.unwrap();
        socket.into_inner()
    }

    fn trailers() -> Bytes {
        let mut map = HeaderMap::new();
        map.insert("x-t", HeaderValue::from_static("1"));
        map.insert(CONTENT_LENGTH, HeaderValue::from_static("9"));
        map.append("x-u", HeaderValue::from_static("2"));
        carried(Frame::trailers(map)).into_data().unwrap()
    }

    #[tokio::test]
    async fn trailers_stand_behind_the_last_chunk_however_they_are_written() {
        let data = trailers();
        let size = format!("{:X}\r\n", data.len());
        let wanted = b"HEAD\r\n3\r\nabc\r\n0\r\nx-t: 1\r\nx-u: 2\r\n\r\n";
        let head: [&[u8]; 6] = [
            b"HEAD\r\n",
            b"3\r\n",
            b"abc",
            b"\r\n",
            size.as_bytes(),
            &data,
        ];
        let ends: [&[&[u8]]; 2] = [&[b"\r\n0\r\n\r\n"], &[b"\r\n", b"0\r\n\r\n"]];
        for end in ends {
            let pieces = [&head[..], end].concat();
            assert_eq!(wire(&pieces, 64).await, wanted);
            // The chunk's own pieces always come together.
            assert_eq!(
                wire(&pieces[4..], 64).await,
                b"0\r\nx-t: 1\r\nx-u: 2\r\n\r\n"
            );
        }
    }

    #[tokio::test]
    async fn without_chunks_there_is_no_place_for_trailers() {
        let data = trailers();
        assert_eq!(
            wire(&[b"HEAD\r\n\r\n", b"abc", &data], 64).await,
            b"HEAD\r\n\r\nabc"
        );
        assert_eq!(wire(&[&data], 64).await, b"");
    }

    #[test]
    fn a_raw_target_is_written_as_it_came() {
        let raw = "/a?q=\"<b>\\22\"&x";
        let uri: http::Uri = marked_target(raw).parse().unwrap();
        let marked = uri.path_and_query().unwrap().as_str();
        assert_eq!(written_target(marked).unwrap(), raw.as_bytes());
        assert_eq!(raw_target(&uri).unwrap(), "/a?q=%22%3Cb%3E\\22%22&x");
        assert_eq!(written_target("/a?b"), None);
    }

    #[test]
    fn a_query_is_raw_only_behind_the_mark() {
        let query = marked_query("a=\"\\<%22>");
        assert!(format!("/?{query}").parse::<http::Uri>().is_ok());
        assert_eq!(raw_query(&query).as_deref(), Some("a=\"\\<%22>"));
        assert_eq!(raw_query("a=1"), None);
        assert_eq!(raw_query(&"0".repeat(40)), None);
    }
}
