//! The socket of a connection to an upstream, and the notes that tell an upstream's fault from a
//! reader's pause.
//!
//! Two things that a plain socket hides decide whose fault the end of a connection is:
//!
//! - **A cut that comes while nobody reads.** While a client does not read, we do not read from the
//!   upstream either, and an upstream with a write timeout closes. The cut is seen only when the
//!   client reads on. So the body says when it has fallen behind ([`SocketNotes::fall_behind`]), the
//!   socket says when it has caught up, which is when the kernel has nothing more to give, and a cut
//!   in between is not the upstream's.
//! - **An answer behind a write error.** An upstream that answers from the head and closes resets the
//!   connection under our upload; its answer may be in the kernel already. So a write error is kept
//!   back until reading has ended: whoever reads gets the answer, or the end.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Notes of one connection to an upstream, shared by its socket and the body that is read from it;
/// both run on one worker.
#[derive(Debug, Default)]
pub struct SocketNotes {
    behind: AtomicBool,
    caught_up: AtomicBool,
    cut_behind: AtomicBool,
}

impl SocketNotes {
    /// The reader has paused: what the upstream does until the socket has caught up was done while
    /// nobody read.
    pub fn fall_behind(&self) {
        self.behind.store(true, Ordering::Relaxed);
    }

    /// Whether the socket has caught up since the last call: everything that the upstream had sent
    /// was read.
    pub fn take_caught_up(&self) -> bool {
        self.caught_up.load(Ordering::Relaxed) && self.caught_up.swap(false, Ordering::Relaxed)
    }

    /// Whether the connection ended while its reader was behind.
    pub fn was_cut_behind(&self) -> bool {
        self.cut_behind.load(Ordering::Relaxed)
    }

    fn note_caught_up(&self) {
        if !self.caught_up.load(Ordering::Relaxed) {
            self.caught_up.store(true, Ordering::Relaxed);
        }
        if self.behind.load(Ordering::Relaxed) {
            self.behind.store(false, Ordering::Relaxed);
        }
    }

    fn note_cut(&self) {
        if self.behind.load(Ordering::Relaxed) {
            self.cut_behind.store(true, Ordering::Relaxed);
        }
    }
}

/// How far writing has come.
#[derive(Debug)]
enum Writing {
    /// Bytes go out.
    Open,
    /// Writing failed, and the error waits until reading has ended.
    Failed(io::ErrorKind, Option<Waker>),
}

/// A TCP socket to an upstream.
#[derive(Debug)]
pub struct UpstreamSocket {
    tcp: TcpStream,
    notes: Arc<SocketNotes>,
    writing: Writing,
    /// Reading has come to its end, by a FIN or an error.
    read_ended: bool,
}

impl UpstreamSocket {
    /// A socket that writes `notes`.
    pub fn new(tcp: TcpStream, notes: Arc<SocketNotes>) -> UpstreamSocket {
        UpstreamSocket {
            tcp,
            notes,
            writing: Writing::Open,
            read_ended: false,
        }
    }

    fn end_reading(&mut self) {
        self.notes.note_cut();
        self.read_ended = true;
        if let Writing::Failed(_, waker) = &mut self.writing
            && let Some(waker) = waker.take()
        {
            waker.wake();
        }
    }

    /// What a write gives once writing has failed: nothing while an answer may still be read.
    fn after_failure(&mut self, cx: &mut Context<'_>) -> Option<Poll<io::Error>> {
        match &mut self.writing {
            Writing::Open => None,
            Writing::Failed(kind, _) if self.read_ended => Some(Poll::Ready((*kind).into())),
            Writing::Failed(_, waker) => {
                *waker = Some(cx.waker().clone());
                Some(Poll::Pending)
            }
        }
    }

    fn wrote<T>(
        &mut self,
        cx: &mut Context<'_>,
        result: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        match result {
            Poll::Ready(Err(error)) if !self.read_ended => {
                self.writing = Writing::Failed(error.kind(), Some(cx.waker().clone()));
                Poll::Pending
            }
            other => other,
        }
    }
}

impl AsyncRead for UpstreamSocket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let result = Pin::new(&mut this.tcp).poll_read(cx, buf);
        match &result {
            Poll::Pending => this.notes.note_caught_up(),
            Poll::Ready(Ok(())) if buf.filled().len() > before || buf.remaining() == 0 => {}
            Poll::Ready(_) => this.end_reading(),
        }
        result
    }
}

impl AsyncWrite for UpstreamSocket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if let Some(failed) = this.after_failure(cx) {
            return Poll::Ready(Err(ready!(failed)));
        }
        let result = Pin::new(&mut this.tcp).poll_write(cx, buf);
        this.wrote(cx, result)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if let Some(failed) = this.after_failure(cx) {
            return Poll::Ready(Err(ready!(failed)));
        }
        let result = Pin::new(&mut this.tcp).poll_write_vectored(cx, bufs);
        this.wrote(cx, result)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // A TCP socket keeps nothing back.
        Pin::new(&mut self.get_mut().tcp).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().tcp).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    async fn pair() -> (UpstreamSocket, Arc<SocketNotes>, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap());
        let (near, far) = tokio::join!(near, listener.accept());
        let notes = Arc::new(SocketNotes::default());
        let socket = UpstreamSocket::new(near.unwrap(), notes.clone());
        (socket, notes, far.unwrap().0)
    }

    #[tokio::test]
    async fn an_answer_behind_a_write_error_is_read_before_the_error_is_told() {
        let (mut socket, _, mut far) = pair().await;
        far.write_all(b"answer").await.unwrap();
        // Unread bytes make the close a reset.
        socket.write_all(b"unread").await.unwrap();
        far.readable().await.unwrap();
        drop(far);
        let (mut reading, mut writing) = tokio::io::split(socket);
        let write = tokio::spawn(async move {
            loop {
                if let Err(error) = writing.write_all(&[0; 1024]).await {
                    return error.kind();
                }
            }
        });
        let mut answer = [0; 6];
        reading.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"answer");
        // The end of reading, however it shows itself, lets the write error out.
        assert!(matches!(reading.read(&mut answer).await, Ok(0) | Err(_)));
        let kind = write.await.unwrap();
        assert!(
            matches!(
                kind,
                io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset
            ),
            "{kind}"
        );
    }

    #[tokio::test]
    async fn a_cut_behind_a_pause_is_noted_and_one_after_catching_up_is_not() {
        for pauses in [true, false] {
            let (mut socket, notes, mut far) = pair().await;
            far.write_all(b"first").await.unwrap();
            let mut bytes = [0; 5];
            socket.read_exact(&mut bytes).await.unwrap();
            if pauses {
                far.write_all(b"more").await.unwrap();
                drop(far);
                notes.fall_behind();
            } else {
                notes.fall_behind();
                let silent = std::future::poll_fn(|cx| {
                    let mut buf = ReadBuf::new(&mut bytes);
                    let read = Pin::new(&mut socket).poll_read(cx, &mut buf);
                    Poll::Ready(read.is_pending())
                });
                assert!(silent.await && notes.take_caught_up() && !notes.take_caught_up());
                drop(far);
            }
            let mut rest = Vec::new();
            socket.read_to_end(&mut rest).await.unwrap();
            assert_eq!(notes.was_cut_behind(), pauses);
        }
    }
}
