//! A new connection to an upstream: TCP, TLS where its URL says so, HTTP/1.1.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use fusebox_plan::CallError;
use fusebox_plan::plan::{Endpoint, Limits};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::connection::BUFFER;
use crate::outgoing::Outgoing;

/// What requests are sent through; one request at a time.
pub type Sender = http1::SendRequest<Outgoing>;

/// Why there is no connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unconnected {
    /// The upstream's fault, and which.
    Upstream(CallError),
    /// Ours: no descriptor, port or memory is left. That says nothing of the upstream.
    Exhausted,
}

impl From<CallError> for Unconnected {
    fn from(error: CallError) -> Unconnected {
        Unconnected::Upstream(error)
    }
}

/// Whether a system call failed for want of something of our own.
fn is_exhaustion(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let ours = [
        Errno::MFILE,
        Errno::NFILE,
        Errno::NOBUFS,
        Errno::NOMEM,
        Errno::ADDRNOTAVAIL,
    ];
    error
        .raw_os_error()
        .is_some_and(|code| ours.iter().any(|errno| errno.raw_os_error() == code))
}

/// How an upstream is reached: its address, and TLS with the name its certificate must bear.
#[derive(Clone)]
pub struct Connector {
    endpoint: Endpoint,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    timeout: Duration,
    head_bytes_max: usize,
    head_fields_max: usize,
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connector")
            .field("endpoint", &self.endpoint)
            .finish_non_exhaustive()
    }
}

impl Connector {
    /// A connector to `endpoint`; `roots` gives what an `https` one's certificate is checked against.
    ///
    /// # Errors
    /// If the host is no name that a certificate could bear.
    pub fn new(
        endpoint: &Endpoint,
        timeout: Duration,
        limits: &Limits,
        roots: impl FnOnce() -> Arc<ClientConfig>,
    ) -> Result<Connector, String> {
        let tls = if endpoint.tls {
            let name = ServerName::try_from(endpoint.host.clone()).map_err(|_| {
                format!(
                    "`{}` is not a name that a certificate can bear",
                    endpoint.host
                )
            })?;
            Some((TlsConnector::from(roots()), name))
        } else {
            None
        };
        Ok(Connector {
            endpoint: endpoint.clone(),
            tls,
            timeout,
            head_bytes_max: limits.head_bytes_max,
            head_fields_max: limits.head_fields_max,
        })
    }

    /// Makes a connection and drives it in a task of its own, within the connect timeout.
    ///
    /// # Errors
    /// Which part failed; running out of time is a failure to connect.
    pub async fn connect(&self) -> Result<Sender, Unconnected> {
        match tokio::time::timeout(self.timeout, self.open()).await {
            Ok(result) => result,
            Err(_) => Err(CallError::Connect.into()),
        }
    }

    async fn open(&self) -> Result<Sender, Unconnected> {
        let tcp = self
            .tcp()
            .await
            .map_err(|error| self.failed(&error, CallError::Connect))?;
        tcp.set_nodelay(true).map_err(|_| CallError::Connect)?;
        let stream = match &self.tls {
            None => Stream::Plain(tcp),
            Some((connector, name)) => {
                let tls = connector
                    .connect(name.clone(), tcp)
                    .await
                    .map_err(|error| self.failed(&error, CallError::Tls))?;
                Stream::Tls(Box::new(tls))
            }
        };
        let (sender, connection) = http1::Builder::new()
            .max_header_size(self.head_bytes_max)
            .max_headers(self.head_fields_max)
            .max_buf_size(self.head_bytes_max.max(BUFFER))
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|_| CallError::Connect)?;
        // Ends with the last use of `sender`, or when the upstream closes; the call sees the error.
        tokio::spawn(async move { connection.with_upgrades().await.ok() });
        Ok(sender)
    }

    /// The client hears which part failed; why exactly is for the log alone.
    fn failed(&self, error: &io::Error, part: CallError) -> Unconnected {
        if is_exhaustion(error) {
            tracing::warn!(%error, "no connection to an upstream can be opened; raise the limit on open files");
            return Unconnected::Exhausted;
        }
        tracing::debug!(upstream = %self.endpoint.authority, %error, "{} failed", part.as_str());
        part.into()
    }

    /// Tries every address that the name stands for, in the resolver's order. Names are looked up
    /// at every connection, so that a moved upstream is found again.
    async fn tcp(&self) -> io::Result<TcpStream> {
        let (host, port) = (self.endpoint.host.as_str(), self.endpoint.port);
        if let Ok(address) = host.parse::<IpAddr>() {
            return TcpStream::connect(SocketAddr::new(address, port)).await;
        }
        TcpStream::connect((host, port)).await
    }
}

/// A TLS configuration that trusts the system's certificates (or those of `SSL_CERT_FILE`).
pub fn system_roots() -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::warn!(%error, "a system certificate could not be read");
    }
    let (_, refused) = roots.add_parsable_certificates(found.certs);
    if refused > 0 {
        tracing::warn!(refused, "some system certificates could not be used");
    }
    let mut config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Arc::new(config)
}

/// A connection with or without TLS.
enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Stream::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Stream::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Stream::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Stream::Plain(stream) => stream.is_write_vectored(),
            Stream::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
