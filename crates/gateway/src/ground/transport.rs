//! Byte streams in a box: a client's transport, plain TCP or TLS over it, and an upstream's.

use std::fmt;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// Bytes both ways, whatever carries them.
pub trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for T {}

/// A client's socket, plain or within TLS.
pub type Transport = Box<dyn ClientStream>;

pub trait ClientStream: ByteStream + fmt::Debug {
    /// The TCP connection beneath.
    fn tcp(&self) -> &TcpStream;

    /// The scheme of its requests: `http` or `https`.
    fn scheme(&self) -> &'static str;

    /// True if the client chose HTTP/2 in the TLS handshake.
    fn chose_h2(&self) -> bool;
}

impl ClientStream for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }

    fn scheme(&self) -> &'static str {
        "http"
    }

    fn chose_h2(&self) -> bool {
        false
    }
}

impl ClientStream for TlsStream<TcpStream> {
    fn tcp(&self) -> &TcpStream {
        self.get_ref().0
    }

    fn scheme(&self) -> &'static str {
        "https"
    }

    fn chose_h2(&self) -> bool {
        self.get_ref().1.alpn_protocol() == Some(b"h2")
    }
}
