//! Byte streams in a box: a client's transport, plain TCP or TLS over it, and an upstream's.

use std::fmt;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::rustls::ServerConnection;
use tokio_rustls::server::TlsStream;

/// Bytes both ways, whatever carries them.
pub trait ByteStream: AsyncRead + AsyncWrite + Send + Sync + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> ByteStream for T {}

/// A client's socket, plain or within TLS.
pub type Transport = Box<dyn ClientStream>;

pub trait ClientStream: ByteStream + fmt::Debug {
    /// The TCP connection beneath.
    fn tcp(&self) -> &TcpStream;

    /// The TLS session: the name that the client asked for, its certificate, the protocol; `None`: it is plain.
    fn session(&self) -> Option<&ServerConnection> {
        None
    }

    /// The scheme of its requests: `http` or `https`.
    fn scheme(&self) -> &'static str {
        match self.session() {
            Some(_) => "https",
            None => "http",
        }
    }

    /// True if the client chose HTTP/2 in the TLS handshake.
    fn chose_h2(&self) -> bool {
        let protocol = self.session().and_then(|session| session.alpn_protocol());
        protocol == Some(b"h2")
    }
}

impl ClientStream for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }
}

impl ClientStream for TlsStream<TcpStream> {
    fn tcp(&self) -> &TcpStream {
        self.get_ref().0
    }

    fn session(&self) -> Option<&ServerConnection> {
        Some(self.get_ref().1)
    }
}
