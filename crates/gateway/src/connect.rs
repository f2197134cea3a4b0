//! A new connection to an upstream: TCP, TLS where its URL says so, HTTP/1.1.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use fusebox_plan::CallError;
use fusebox_plan::plan::{Endpoint, Limits};
use http::Request;
use http::header::HOST;
use hyper::client::conn::http1;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::connection::BUFFER;
use crate::marks::MarkWriter;
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

/// Why there is no connection, with what is known of it.
#[derive(Debug)]
pub struct NoConnection {
    /// Whose fault it is.
    pub why: Unconnected,
    /// The address that was tried; `None`: there was none yet.
    pub address: Option<SocketAddr>,
    /// What the system said.
    pub error: io::Error,
}

impl NoConnection {
    fn new(part: CallError, address: Option<SocketAddr>, error: io::Error) -> NoConnection {
        let why = if is_exhaustion(&error) {
            Unconnected::Exhausted
        } else {
            Unconnected::Upstream(part)
        };
        NoConnection {
            why,
            address,
            error,
        }
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

/// TLS with the name that the other side's certificate must bear.
type Tls = (TlsConnector, ServerName<'static>);

/// How an upstream is reached: its address, TLS, and the proxy on the way.
#[derive(Clone)]
pub struct Connector {
    endpoint: Endpoint,
    tls: Option<Tls>,
    proxy: Option<(Endpoint, Option<Tls>)>,
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
        let tls = tls_of(endpoint, roots)?;
        Ok(Connector {
            endpoint: endpoint.clone(),
            tls,
            proxy: None,
            timeout,
            head_bytes_max: limits.head_bytes_max,
            head_fields_max: limits.head_fields_max,
        })
    }

    /// The same through a proxy: an `https` endpoint by a tunnel (RFC 9110, section 9.3.6), a plain
    /// one by asking the proxy for it.
    ///
    /// # Errors
    /// If the proxy's host is no name that a certificate could bear.
    pub fn through(
        mut self,
        proxy: &Endpoint,
        roots: impl FnOnce() -> Arc<ClientConfig>,
    ) -> Result<Connector, String> {
        let tls = tls_of(proxy, roots)?;
        self.proxy = Some((proxy.clone(), tls));
        Ok(self)
    }

    /// Makes a connection and drives it in a task of its own, within the connect timeout.
    ///
    /// # Errors
    /// Which part failed, and why; running out of time is a failure to connect.
    pub async fn connect(&self) -> Result<Sender, NoConnection> {
        let result = match tokio::time::timeout(self.timeout, self.open()).await {
            Ok(result) => result,
            Err(_) => Err(NoConnection::new(
                CallError::Connect,
                None,
                io::ErrorKind::TimedOut.into(),
            )),
        };
        if let Err(failed) = &result {
            self.note(failed);
        }
        result
    }

    async fn open(&self) -> Result<Sender, NoConnection> {
        let (next, next_tls) = match &self.proxy {
            Some((proxy, tls)) => (proxy, tls),
            None => (&self.endpoint, &self.tls),
        };
        let (tcp, address) = tcp(next).await?;
        let broken = |part| move |error| NoConnection::new(part, Some(address), error);
        tcp.set_nodelay(true).map_err(broken(CallError::Connect))?;
        let mut stream = Stream::Plain(tcp);
        if let Some(tls) = next_tls {
            stream = secured(stream, tls).await.map_err(broken(CallError::Tls))?;
        }
        if let (Some(_), Some(tls)) = (&self.proxy, &self.tls) {
            stream = self
                .tunnel(stream)
                .await
                .map_err(broken(CallError::Connect))?;
            stream = secured(stream, tls).await.map_err(broken(CallError::Tls))?;
        }
        let (sender, connection) = http1::Builder::new()
            .max_header_size(self.head_bytes_max)
            .max_headers(self.head_fields_max)
            .max_buf_size(self.head_bytes_max.max(BUFFER))
            .handshake(TokioIo::new(MarkWriter::new(stream)))
            .await
            .map_err(|error| broken(CallError::Connect)(io::Error::other(error)))?;
        // Ends with the last use of `sender`, or when the upstream closes; the call sees the error.
        tokio::spawn(async move { connection.with_upgrades().await.ok() });
        Ok(sender)
    }

    /// Asks a proxy for a tunnel to the endpoint.
    async fn tunnel(&self, stream: Stream) -> io::Result<Stream> {
        let (mut sender, connection) = http1::Builder::new()
            .max_header_size(self.head_bytes_max)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(io::Error::other)?;
        tokio::spawn(async move { connection.with_upgrades().await.ok() });
        let host = if self.endpoint.host.contains(':') {
            format!("[{}]:{}", self.endpoint.host, self.endpoint.port)
        } else {
            format!("{}:{}", self.endpoint.host, self.endpoint.port)
        };
        let request = Request::connect(host.as_str())
            .header(HOST, host.as_str())
            .body(Outgoing::Empty)
            .map_err(io::Error::other)?;
        let response = sender
            .send_request(request)
            .await
            .map_err(io::Error::other)?;
        if !response.status().is_success() {
            return Err(io::Error::other(format!(
                "the proxy answered {}",
                response.status()
            )));
        }
        let upgraded = hyper::upgrade::on(response)
            .await
            .map_err(io::Error::other)?;
        Ok(Stream::Tunnel(Box::new(TokioIo::new(upgraded))))
    }

    /// The client hears which part failed; why exactly is for the log alone.
    fn note(&self, failed: &NoConnection) {
        let error = &failed.error;
        match failed.why {
            Unconnected::Exhausted => {
                tracing::warn!(%error, "no connection to an upstream can be opened; raise the limit on open files");
            }
            Unconnected::Upstream(part) => {
                tracing::debug!(upstream = %self.endpoint.authority, %error, "{} failed", part.as_str());
            }
        }
    }
}

fn tls_of(
    endpoint: &Endpoint,
    roots: impl FnOnce() -> Arc<ClientConfig>,
) -> Result<Option<Tls>, String> {
    if !endpoint.tls {
        return Ok(None);
    }
    let host = &endpoint.host;
    let name = ServerName::try_from(host.clone())
        .map_err(|_| format!("`{host}` is not a name that a certificate can bear"))?;
    Ok(Some((TlsConnector::from(roots()), name)))
}

async fn secured(stream: Stream, (connector, name): &Tls) -> io::Result<Stream> {
    let tls = connector.connect(name.clone(), stream).await?;
    Ok(Stream::Tls(Box::new(tls)))
}

/// Tries every address that the name stands for, in the resolver's order; of several failures the
/// first is told. Names are looked up at every connection, so that a moved upstream is found again.
async fn tcp(endpoint: &Endpoint) -> Result<(TcpStream, SocketAddr), NoConnection> {
    let (host, port) = (endpoint.host.as_str(), endpoint.port);
    let failed = |address| move |error| NoConnection::new(CallError::Connect, address, error);
    if let Ok(address) = host.parse::<IpAddr>() {
        let address = SocketAddr::new(address, port);
        let tcp = TcpStream::connect(address).await;
        return Ok((tcp.map_err(failed(Some(address)))?, address));
    }
    let addresses = tokio::net::lookup_host((host, port)).await;
    let mut first = None;
    for address in addresses.map_err(failed(None))? {
        match TcpStream::connect(address).await {
            Ok(tcp) => return Ok((tcp, address)),
            Err(error) => {
                first.get_or_insert(NoConnection::new(CallError::Connect, Some(address), error));
            }
        }
    }
    let nothing = || failed(None)(io::Error::other("the name stands for no address"));
    Err(first.unwrap_or_else(nothing))
}

/// A TLS configuration that trusts the system's certificates.
pub fn trusting_the_system() -> Arc<ClientConfig> {
    let mut config = ClientConfig::builder()
        .with_root_certificates(system_roots())
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Arc::new(config)
}

/// The system's certificates (or those of `SSL_CERT_FILE`).
pub fn system_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::warn!(%error, "a system certificate could not be read");
    }
    let (_, refused) = roots.add_parsable_certificates(found.certs);
    if refused > 0 {
        tracing::warn!(refused, "some system certificates could not be used");
    }
    roots
}

/// A connection with or without TLS, straight or through a proxy's tunnel.
enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<Stream>>),
    Tunnel(Box<TokioIo<Upgraded>>),
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
            Stream::Tunnel(stream) => Pin::new(stream).poll_read(cx, buf),
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
            Stream::Tunnel(stream) => Pin::new(stream).poll_write(cx, buf),
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
            Stream::Tunnel(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Stream::Plain(stream) => stream.is_write_vectored(),
            Stream::Tls(stream) => stream.is_write_vectored(),
            Stream::Tunnel(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Tunnel(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Tunnel(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
