//! The socket of a connection to an upstream, which holds a write error back while an answer may still be read.
//!
//! An upstream that answers from the head and closes resets the connection under our upload; its answer may be in the
//! kernel already. So a write error waits until reading has ended: the reader gets the answer, or the end.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// The state of the writing side.
#[derive(Debug)]
enum Writing {
    /// Bytes go out.
    Open,
    /// Writing failed, and the error waits until reading has ended.
    Failed(io::ErrorKind, Option<Waker>),
}

#[derive(Debug)]
pub struct UpstreamSocket {
    tcp: TcpStream,
    writing: Writing,
    /// True once reading has ended, by a FIN or an error.
    read_ended: bool,
}

impl UpstreamSocket {
    /// A socket without errors yet.
    pub fn new(tcp: TcpStream) -> UpstreamSocket {
        UpstreamSocket {
            tcp,
            writing: Writing::Open,
            read_ended: false,
        }
    }

    fn end_reading(&mut self) {
        self.read_ended = true;
        if let Writing::Failed(_, waker) = &mut self.writing
            && let Some(waker) = waker.take()
        {
            waker.wake();
        }
    }

    /// The result of a write once writing has failed; `None` while no error has occurred.
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
            Poll::Pending => {}
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
        self.poll_write_vectored(cx, &[io::IoSlice::new(buf)])
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
        match Pin::new(&mut this.tcp).poll_write_vectored(cx, bufs) {
            Poll::Ready(Err(error)) if !this.read_ended => {
                this.writing = Writing::Failed(error.kind(), Some(cx.waker().clone()));
                Poll::Pending
            }
            other => other,
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // A TCP socket buffers nothing.
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

    async fn pair() -> (UpstreamSocket, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap());
        let (near, far) = tokio::join!(near, listener.accept());
        (UpstreamSocket::new(near.unwrap()), far.unwrap().0)
    }

    #[tokio::test]
    async fn an_answer_behind_a_write_error_is_read_before_the_error_is_told() {
        let (mut socket, mut far) = pair().await;
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
        // The end of reading, in either form, releases the write error.
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
}
