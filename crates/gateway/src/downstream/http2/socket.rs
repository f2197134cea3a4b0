//! A client's socket below hyper's HTTP/2: notes the state of the connection, and counts its control frames.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::task::{Context, Poll};

use fusebox_breaker::Timestamp;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::downstream::http2::control::ControlBudget;
use crate::downstream::http2::frames::{
    CONTINUATION, DATA, END_HEADERS, FrameHead, FrameHeads, HEADERS, PREFACE, RST_STREAM,
};
use crate::ground::transport::Transport;
use crate::request::worker::Worker;

/// The state of a connection's bytes, written by its socket and read by its time limits. Times are in nanoseconds of
/// the clock, 0 for none.
#[derive(Debug, Default)]
pub struct Wire {
    /// The time of the first byte.
    first_at: AtomicU64,
    /// True once the preface and the head of a frame have come.
    greeted: AtomicBool,
    /// The time since which a field block has been incomplete.
    heading_since: AtomicU64,
    /// The time since which the client has not read our bytes.
    stalled_since: AtomicU64,
    /// The time of the last data that were written.
    data_at: AtomicU64,
    /// The highest stream that the client has opened.
    last_stream: AtomicU32,
    /// True once the client has sent too many control frames.
    flooded: AtomicBool,
}

fn time(nanos: &AtomicU64) -> Option<Timestamp> {
    match nanos.load(Ordering::Relaxed) {
        0 => None,
        nanos => Some(Timestamp::from_nanos(nanos)),
    }
}

fn set(nanos: &AtomicU64, now: Timestamp) {
    nanos.store(now.as_nanos().max(1), Ordering::Relaxed);
}

impl Wire {
    pub fn first_at(&self) -> Option<Timestamp> {
        time(&self.first_at)
    }

    pub fn heading_since(&self) -> Option<Timestamp> {
        time(&self.heading_since)
    }

    pub fn stalled_since(&self) -> Option<Timestamp> {
        time(&self.stalled_since)
    }

    pub fn data_at(&self) -> Option<Timestamp> {
        time(&self.data_at)
    }

    /// True once the preface has come.
    pub fn is_greeted(&self) -> bool {
        self.greeted.load(Ordering::Relaxed)
    }

    pub fn last_stream(&self) -> u32 {
        self.last_stream.load(Ordering::Relaxed)
    }

    pub fn is_flooded(&self) -> bool {
        self.flooded.load(Ordering::Relaxed)
    }
}

/// A client's socket.
#[derive(Debug)]
pub struct FrameSocket {
    stream: Transport,
    worker: Arc<Worker>,
    wire: Arc<Wire>,
    read: FrameHeads,
    written: FrameHeads,
    budget: ControlBudget,
    /// The kind of the frame that is being read.
    kind: u8,
    /// True within a field block that another CONTINUATION frame has to complete.
    in_block: bool,
}

impl FrameSocket {
    /// Wraps a transport on which nothing has been read; a client may send `rate` control frames per second.
    pub fn new(stream: Transport, worker: Arc<Worker>, wire: Arc<Wire>, rate: u32) -> FrameSocket {
        FrameSocket {
            budget: ControlBudget::new(rate, worker.clock().tick()),
            stream,
            worker,
            wire,
            read: FrameHeads::behind(PREFACE.len()),
            written: FrameHeads::behind(0),
            kind: 0,
            in_block: false,
        }
    }

    /// The transport, and true if a frame of our own may be written to it.
    pub fn into_parts(self) -> (Transport, bool) {
        (self.stream, self.written.is_between())
    }

    fn saw(&mut self, bytes: &[u8]) -> io::Result<()> {
        let now = self.worker.clock().tick();
        let wire = &*self.wire;
        if wire.first_at.load(Ordering::Relaxed) == 0 {
            set(&wire.first_at, now);
        }
        let (budget, kind, in_block) = (&mut self.budget, &mut self.kind, &mut self.in_block);
        let mut is_calm = true;
        self.read.see(bytes, |head: FrameHead| {
            wire.greeted.store(true, Ordering::Relaxed);
            *kind = head.kind;
            if matches!(head.kind, HEADERS | CONTINUATION) {
                *in_block = !head.has(END_HEADERS);
                wire.last_stream.fetch_max(head.stream, Ordering::Relaxed);
            }
            is_calm &= budget.spend(head, now);
        });
        let is_partial = !self.read.is_between() && matches!(self.kind, HEADERS | CONTINUATION);
        match self.in_block || is_partial {
            false => wire.heading_since.store(0, Ordering::Relaxed),
            true if wire.heading_since().is_none() => set(&wire.heading_since, now),
            true => {}
        }
        if !is_calm {
            wire.flooded.store(true, Ordering::Relaxed);
            return Err(io::Error::other("too many control frames"));
        }
        Ok(())
    }

    /// Notes the bytes that were written, or that the client does not read.
    fn wrote(
        &mut self,
        bufs: &[io::IoSlice<'_>],
        result: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let wire = &*self.wire;
        match &result {
            Poll::Pending if wire.stalled_since().is_none() => {
                set(&wire.stalled_since, self.worker.clock().tick());
            }
            Poll::Ready(Ok(written)) => {
                wire.stalled_since.store(0, Ordering::Relaxed);
                let mut left = *written;
                let (budget, meter) = (&mut self.budget, self.worker.meter());
                let mut has_data = false;
                for buf in bufs {
                    let count = left.min(buf.len());
                    self.written.see(&buf[..count], |head| {
                        has_data |= head.kind == DATA;
                        if head.kind == RST_STREAM {
                            meter.streams_reset.add();
                        }
                        budget.earn(head);
                    });
                    left -= count;
                }
                if has_data {
                    set(&wire.data_at, self.worker.clock().tick());
                }
            }
            Poll::Pending | Poll::Ready(Err(_)) => {}
        }
        result
    }
}

impl AsyncRead for FrameSocket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        std::task::ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
        let bytes = &buf.filled()[before..];
        Poll::Ready(match bytes.is_empty() {
            true => Ok(()),
            false => this.saw(bytes),
        })
    }
}

impl AsyncWrite for FrameSocket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.stream).poll_write(cx, buf);
        this.wrote(&[io::IoSlice::new(buf)], result)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.stream).poll_write_vectored(cx, bufs);
        this.wrote(bufs, result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
