//! A client's socket below hyper: notes the connection's state, and adds what hyper's server lacks.
//!
//! Interim answers are written when hyper has nothing to write; hyper's own answer to a head that it cannot read is
//! held back, since the gateway answers that itself; trailers and raw queries pass as [`crate::message::marks`] and
//! [`crate::message::heads`] describe.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use http::StatusCode;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::ground::clock::Clock;
use crate::ground::transport::Transport;
use crate::message::heads::{BodyNote, Heads, Verdict};
use crate::message::interim::Interim;
use crate::message::marks::MarkWriter;
use crate::message::phase::Phase;

/// A client's socket.
#[derive(Debug)]
pub struct Socket {
    stream: MarkWriter<Transport>,
    phase: Arc<Phase>,
    clock: Arc<Clock>,
    /// The time since which the client has not read our bytes, in milliseconds; 0: it reads.
    stalled: Arc<AtomicU64>,
    interim: Arc<Interim>,
    heads: Heads,
    body_note: Arc<BodyNote>,
    /// Bytes that hyper reads next, and the number of them that it has.
    ready: Vec<u8>,
    given: usize,
    /// Bytes that were read and have not been examined.
    kept: Vec<u8>,
    /// The client has closed its side.
    ended: bool,
    /// Answer of hyper's own to a head that it cannot read, held back.
    refusal: Option<(StatusCode, Vec<u8>)>,
}

impl Socket {
    /// Wraps a transport; `stalled` receives the time since which the client does not read.
    pub fn new(
        stream: Transport,
        phase: Arc<Phase>,
        clock: Arc<Clock>,
        stalled: Arc<AtomicU64>,
        interim: Arc<Interim>,
        body_note: Arc<BodyNote>,
    ) -> Socket {
        Socket {
            stream: MarkWriter::new(stream),
            phase,
            clock,
            stalled,
            interim,
            heads: Heads::default(),
            body_note,
            ready: Vec::new(),
            given: 0,
            kept: Vec::new(),
            ended: false,
            refusal: None,
        }
    }

    /// The transport, and the status of hyper's own answer to a head that it could not read.
    pub fn into_parts(self) -> (Transport, Option<StatusCode>) {
        let refusal = self.refusal.map(|(status, _)| status);
        (self.stream.into_inner(), refusal)
    }

    /// Copies ready bytes into hyper's buffer.
    fn give(&mut self, buf: &mut ReadBuf<'_>) {
        let rest = &self.ready[self.given..];
        let count = rest.len().min(buf.remaining());
        buf.put_slice(&rest[..count]);
        self.given += count;
        if self.given == self.ready.len() {
            self.ready = Vec::new();
            self.given = 0;
        }
    }

    /// Examines the kept bytes; returns true if bytes are ready now.
    fn look(&mut self) -> bool {
        if self.kept.is_empty() {
            return false;
        }
        let (passed, count) = match self.heads.see(&self.kept, &self.body_note) {
            Verdict::More if !self.ended => return false,
            Verdict::More => (None, self.kept.len()),
            Verdict::Pass(count) => (None, count),
            Verdict::Instead(bytes, count) => (Some(bytes), count),
        };
        let rest = self.kept.split_off(count);
        let seen = std::mem::replace(&mut self.kept, rest);
        self.ready = passed.unwrap_or(seen);
        self.given = 0;
        true
    }

    fn poll_read_more(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            if self.given < self.ready.len() || self.look() {
                self.give(buf);
                return Poll::Ready(Ok(()));
            }
            if self.ended {
                // A client that has closed its side may still read: hyper would drop its request, as of a client
                // that has gone.
                if self.phase.is_busy() {
                    self.phase.leave();
                    return Poll::Pending;
                }
                return Poll::Ready(Ok(()));
            }
            let before = buf.filled().len();
            ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
            let bytes = &buf.filled()[before..];
            if bytes.is_empty() {
                self.ended = true;
                continue;
            }
            if !self.kept.is_empty() {
                self.kept.extend_from_slice(bytes);
                buf.set_filled(before);
                continue;
            }
            let passed = match self.heads.see(bytes, &self.body_note) {
                Verdict::Pass(count) => count,
                Verdict::More => 0,
                Verdict::Instead(line, count) => {
                    self.ready = line;
                    self.kept.extend_from_slice(&bytes[count..]);
                    buf.set_filled(before);
                    continue;
                }
            };
            if passed < bytes.len() {
                self.kept.extend_from_slice(&bytes[passed..]);
                buf.set_filled(before + passed);
            }
            if passed > 0 {
                return Poll::Ready(Ok(()));
            }
            // A request line without its end is the beginning of a head.
            self.phase.bytes(self.clock.tick());
        }
    }

    fn note<T>(&self, result: Poll<T>) -> Poll<T> {
        let since = self.stalled.load(Ordering::Relaxed);
        match (&result, since) {
            (Poll::Pending, 0) => {
                self.stalled
                    .store(self.clock.tick().as_nanos().max(1), Ordering::Relaxed);
            }
            (Poll::Ready(_), 1..) => self.stalled.store(0, Ordering::Relaxed),
            _ => {}
        }
        result
    }

    fn wrote<T>(&self, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if matches!(result, Poll::Ready(Err(_))) {
            self.phase.leave();
        }
        self.note(result)
    }

    /// Takes an answer of hyper's own out of the bytes that it writes.
    fn hold_back(&mut self, bufs: &[io::IoSlice<'_>]) -> bool {
        if let Some((_, bytes)) = self.refusal.take() {
            // It was not hyper's own after all.
            self.stream.write_first(&bytes);
        }
        if self.phase.is_busy() || self.body_note.is_tunnel() {
            return false;
        }
        let [head] = bufs else { return false };
        let Some(status) = hypers_own(head) else {
            return false;
        };
        self.refusal = Some((status, head.to_vec()));
        true
    }
}

/// Status of an answer that hyper makes by itself; ours all have an `X-Request-Id`.
fn hypers_own(head: &[u8]) -> Option<StatusCode> {
    let fits = head.len() < 256 && head.starts_with(b"HTTP/1.") && head.ends_with(b"\r\n\r\n");
    if !fits || memchr::memmem::find(head, b"\r\nx-request-id:").is_some() {
        return None;
    }
    let status = StatusCode::from_bytes(head.get(9..12)?).ok()?;
    matches!(status.as_u16(), 400 | 414 | 431).then_some(status)
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let result = this.poll_read_more(cx, buf);
        match &result {
            Poll::Pending => {}
            Poll::Ready(Ok(())) => this.phase.bytes(this.clock.tick()),
            Poll::Ready(Err(_)) => this.phase.leave(),
        }
        result
    }
}

impl AsyncWrite for Socket {
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
        if this.hold_back(bufs) {
            return Poll::Ready(Ok(bufs[0].len()));
        }
        let result = Pin::new(&mut this.stream).poll_write_vectored(cx, bufs);
        this.wrote(result)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Writes an interim answer, if one waits: hyper flushes when it has written everything.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.interim.is_waiting() {
            let bytes = this.interim.write();
            this.stream.write_first(&bytes);
        }
        let written = this.stream.poll_first(cx);
        ready!(this.note(written))?;
        Pin::new(&mut this.stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.refusal.is_some() {
            // Our own answer comes first.
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut this.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_hyper_answers_by_itself_is_held_back() {
        let own = "HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\n\
                   content-length: 0\r\ndate: Sun, 29 Nov 2026 23:00:00 GMT\r\n\r\n";
        assert_eq!(hypers_own(own.as_bytes()).map(|it| it.as_u16()), Some(431));
        for other in [
            own.replace("431", "404"),
            own.replace("date", "x-request-id"),
            format!("{own}body"),
            own.replace("HTTP/1.1", "ICY"),
        ] {
            assert_eq!(hypers_own(other.as_bytes()), None, "{other}");
        }
    }
}
