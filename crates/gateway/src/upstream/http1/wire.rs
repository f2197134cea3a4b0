//! The byte stream of a connection, with the bytes that were read ahead and those that wait to be written.

use std::fmt;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker, ready};

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::io::{AsyncRead as _, AsyncReadExt as _, AsyncWrite as _, ReadBuf};

use crate::ground::transport::ByteStream;
use crate::message::body::BUFFER;

/// The bytes that are read at once where it is not known how many come; a connection that is idle for long keeps no more.
pub const READ: usize = 8 * 1024;

/// The most bytes that are read at once.
const READ_MAX: usize = BUFFER;

/// The bytes that are read beyond those that are expected, so that a read that finds all of them does not look for more.
const BEYOND: usize = 1024;

/// The room below which no more is read into the place behind earlier bytes.
const ROOM_MIN: usize = 2 * 1024;

/// Data up to this size are copied behind what goes before them, so that one buffer goes out.
const COPIED_MAX: usize = 2 * 1024;

/// The most copied bytes that wait to be written.
const WAITING_MAX: usize = 16 * 1024;

/// The state of a connection without a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Idleness {
    /// The connection is open, and nothing has come.
    Open,
    /// The upstream has closed it.
    Closed,
    /// Bytes came without a request.
    Unasked,
}

/// A byte stream with its buffers.
pub struct Wire {
    stream: Box<dyn ByteStream>,
    /// The bytes that were read and not taken yet.
    pub read: BytesMut,
    /// True once more than [`READ`] bytes were asked for at once: the place for them is given back in time.
    is_grown: bool,
    /// True if the last read filled all of its place, so that more is likely there.
    was_full: bool,
    /// The number of bytes that have come since the request began, and of the answer before it: the next is taken to be as
    /// long.
    came: usize,
    came_before: usize,
    /// The bytes to be written first, and the number of those that have gone.
    front: Vec<u8>,
    gone: usize,
    /// The data behind them, and what follows the data.
    data: Bytes,
    back: Vec<u8>,
    /// True if the stream may still hold bytes back.
    is_held: bool,
    /// The number of bytes written since the request began.
    written: u64,
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire")
            .field("read", &self.read.len())
            .field("written", &self.written)
            .finish_non_exhaustive()
    }
}

impl Wire {
    /// A stream on which nothing was read or written.
    pub fn new(stream: Box<dyn ByteStream>) -> Wire {
        Wire {
            stream,
            read: BytesMut::new(),
            is_grown: false,
            was_full: false,
            came: 0,
            came_before: 0,
            front: Vec::new(),
            gone: 0,
            data: Bytes::new(),
            back: Vec::new(),
            is_held: false,
            written: 0,
        }
    }

    /// The stream, and the bytes that were read ahead.
    pub fn into_parts(self) -> (Box<dyn ByteStream>, Bytes) {
        (self.stream, self.read.freeze())
    }

    /// Begins a request: returns the empty place for its head.
    pub fn begin(&mut self) -> &mut Vec<u8> {
        self.written = 0;
        let expected = std::mem::take(&mut self.came_before) + BEYOND;
        if expected > READ {
            self.is_grown = true;
            self.read.reserve(expected.min(READ_MAX));
        } else {
            self.shed();
        }
        self.front.clear();
        self.gone = 0;
        &mut self.front
    }

    /// The number of bytes written since the request began.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// True once bytes have come since the request began.
    pub fn has_read(&self) -> bool {
        self.came > 0
    }

    /// Reads more; 0: the stream has ended. `expected` is the number of bytes that are known to come; `None`: it is not
    /// known.
    pub fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        expected: Option<u64>,
    ) -> Poll<io::Result<usize>> {
        let most = match expected {
            Some(bytes) => usize::try_from(bytes).map_or(READ_MAX, |it| it.saturating_add(BEYOND)),
            None if self.was_full => READ_MAX,
            None => READ,
        };
        let most = most.clamp(READ, READ_MAX);
        let room = self.read.capacity() - self.read.len();
        if room < ROOM_MIN || (self.was_full && room < most) {
            self.is_grown |= most > READ || self.read.len() > READ;
            self.read.reserve(most);
        }
        let room = self.read.capacity() - self.read.len();
        let reading = pin!(self.stream.read_buf(&mut self.read));
        let bytes = ready!(reading.poll(cx))?;
        self.was_full = bytes == room;
        self.came = self.came.saturating_add(bytes);
        Poll::Ready(Ok(bytes))
    }

    /// True if more may be queued: bytes of a body are taken from it as fast as they are written.
    pub fn has_room(&self) -> bool {
        self.data.is_empty() && self.back.is_empty() && self.front.len() - self.gone < WAITING_MAX
    }

    /// Queues bytes behind those that wait; there is room.
    pub fn push(&mut self, bytes: &[u8]) {
        match self.data.is_empty() {
            true => self.front.extend_from_slice(bytes),
            false => self.back.extend_from_slice(bytes),
        }
    }

    /// Queues data behind the bytes that wait; there is room, and they are the only data.
    pub fn push_data(&mut self, data: Bytes) {
        if data.len() <= COPIED_MAX {
            self.front.extend_from_slice(&data);
        } else {
            self.data = data;
        }
    }

    /// Writes all that waits, and what the stream holds back.
    pub fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.is_waiting() {
            let front = &self.front[self.gone..];
            let stream = Pin::new(&mut self.stream);
            let bytes = if self.data.is_empty() && self.back.is_empty() {
                ready!(stream.poll_write(cx, front))?
            } else {
                let slices = [front, &self.data, &self.back].map(io::IoSlice::new);
                let from = slices.iter().position(|it| !it.is_empty()).unwrap_or(0);
                ready!(stream.poll_write_vectored(cx, &slices[from..]))?
            };
            if bytes == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.went(bytes);
        }
        if self.is_held {
            ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
            self.is_held = false;
        }
        Poll::Ready(Ok(()))
    }

    fn is_waiting(&self) -> bool {
        self.gone < self.front.len() || !self.data.is_empty() || !self.back.is_empty()
    }

    /// Notes the number of waiting bytes that have gone.
    fn went(&mut self, bytes: usize) {
        self.is_held = true;
        self.written = self.written.wrapping_add(bytes as u64);
        let of_front = bytes.min(self.front.len() - self.gone);
        self.gone += of_front;
        let mut bytes = bytes - of_front;
        let of_data = bytes.min(self.data.len());
        self.data.advance(of_data);
        bytes -= of_data;
        self.back.drain(..bytes.min(self.back.len()));
        if self.gone == self.front.len() {
            self.front.clear();
            self.gone = 0;
        }
    }

    /// Ends a request. A large place stays for the next one, which is likely to need it.
    pub fn rest(&mut self) {
        self.came_before = std::mem::take(&mut self.came);
        self.was_full = false;
        self.front.shrink_to(READ);
        self.data = Bytes::new();
        self.back = Vec::new();
    }

    /// Gives a large place back; the connection waits for a request.
    pub fn shed(&mut self) {
        if self.is_grown {
            self.read = BytesMut::new();
            self.is_grown = false;
        }
    }

    /// Looks whether the stream is still open and silent. It costs no system call unless something has come: readiness is
    /// known from the worker's last look at all its sockets.
    pub fn idleness(&mut self) -> Idleness {
        if !self.read.is_empty() {
            return Idleness::Unasked;
        }
        let mut scrap = [0; 64];
        let mut scrap = ReadBuf::new(&mut scrap);
        // No task is woken: the next request looks by itself.
        let mut cx = Context::from_waker(Waker::noop());
        match Pin::new(&mut self.stream).poll_read(&mut cx, &mut scrap) {
            Poll::Pending => Idleness::Open,
            Poll::Ready(Ok(())) if !scrap.filled().is_empty() => Idleness::Unasked,
            Poll::Ready(_) => Idleness::Closed,
        }
    }

    /// Says farewell as far as that goes at once, as TLS wants it; the stream is to be dropped.
    pub fn part(&mut self) {
        let mut cx = Context::from_waker(Waker::noop());
        let _ = Pin::new(&mut self.stream).poll_shutdown(&mut cx);
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

    use super::*;

    fn pair(size: usize) -> (Wire, DuplexStream) {
        let (near, far) = duplex(size);
        (Wire::new(Box::new(near)), far)
    }

    async fn write(wire: &mut Wire) {
        std::future::poll_fn(|cx| wire.poll_write(cx))
            .await
            .unwrap();
    }

    #[tokio::test]
    async fn bytes_go_out_in_order_however_few_at_a_time() {
        for size in [1, 7, 100_000] {
            let (mut wire, mut far) = pair(size);
            let data = vec![b'x'; 10_000];
            let sent = tokio::spawn({
                let data = Bytes::from(data.clone());
                async move {
                    wire.begin().extend_from_slice(b"head ");
                    wire.push(b"2710 ");
                    assert!(wire.has_room());
                    wire.push_data(data);
                    wire.push(b" end");
                    assert!(!wire.has_room());
                    write(&mut wire).await;
                    assert!(wire.has_room());
                    assert_eq!(wire.written(), 10_014);
                }
            });
            let mut got = Vec::new();
            far.read_to_end(&mut got).await.unwrap();
            sent.await.unwrap();
            let wanted = [&b"head 2710 "[..], &data, b" end"].concat();
            assert!(got == wanted, "{size}");
        }
    }

    #[tokio::test]
    async fn an_idle_stream_is_looked_at_without_waiting() {
        let (mut wire, mut far) = pair(100);
        assert_eq!(wire.idleness(), Idleness::Open);
        far.write_all(b"x").await.unwrap();
        assert_eq!(wire.idleness(), Idleness::Unasked);
        let (mut wire, far) = pair(100);
        drop(far);
        assert_eq!(wire.idleness(), Idleness::Closed);
        let (mut wire, _far) = pair(100);
        wire.read.extend_from_slice(b"left");
        assert_eq!(wire.idleness(), Idleness::Unasked);
    }

    #[tokio::test]
    async fn a_long_answer_makes_room_for_the_next_one_until_there_is_none() {
        let (mut wire, mut far) = pair(100_000);
        let mut read = async |wire: &mut Wire, size: usize| {
            far.write_all(&vec![b'a'; size]).await.unwrap();
            let mut reads = 0;
            while wire.read.len() < size {
                let bytes = std::future::poll_fn(|cx| wire.poll_read(cx, None)).await;
                assert!(bytes.unwrap() > 0);
                reads += 1;
            }
            wire.read.clear();
            wire.rest();
            reads
        };
        wire.begin();
        assert!(read(&mut wire, 60_000).await > 1);
        wire.begin();
        assert_eq!(read(&mut wire, 60_000).await, 1);
        assert!(wire.read.capacity() >= 60_000);
        wire.shed();
        assert_eq!(wire.read.capacity(), 0);
        wire.begin();
        assert_eq!(read(&mut wire, 100).await, 1);
        wire.begin();
        assert_eq!(wire.read.capacity(), 0, "it expects no more");
        assert_eq!(read(&mut wire, 100).await, 1);
        assert!(wire.read.capacity() <= READ);
    }

    #[tokio::test]
    async fn the_place_of_one_answer_serves_the_next() {
        let (mut wire, mut far) = pair(100_000);
        let mut places = std::collections::HashSet::new();
        for _ in 0..1000 {
            far.write_all(&[b'a'; 300]).await.unwrap();
            let read = std::future::poll_fn(|cx| wire.poll_read(cx, None)).await;
            assert_eq!(read.unwrap(), 300);
            let answer = wire.read.split_to(300).freeze();
            places.insert(answer.as_ptr() as usize / READ);
            drop(answer);
            wire.rest();
        }
        assert!(places.len() <= 2, "{}", places.len());
    }
}
