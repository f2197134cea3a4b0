//! A new connection to an upstream: TCP, TLS for an `https` URL, HTTP/1.1 or HTTP/2.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fusebox_plan::CallError;
use fusebox_plan::plan::{Endpoint, HttpVersion, Limits};
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use http::Request;
use http::header::HOST;
use http::uri::{Authority, Scheme};
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::ground::transport::ByteStream;
use crate::message::interim::Watching;
use crate::message::kept_body::Outgoing;
use crate::upstream::http1::{self, HeadLimits, Http1};
use crate::upstream::http2::{ConnectionState, Http2, Target};
use crate::upstream::sender::Sender;
use crate::upstream::trust::Trust;
use crate::upstream::upstream_errors::{CertificateWish, ErrorKind, UpstreamError, watching};
use crate::upstream::upstream_socket::UpstreamSocket;

/// The party at fault for a missing connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unconnected {
    /// The upstream's fault, with its kind.
    Upstream(CallError),
    /// A shortage of our own: no descriptor, port or memory is left. That says nothing about the upstream.
    Exhausted,
}

/// A failed attempt to connect, with its details.
#[derive(Debug)]
pub struct NoConnection {
    /// The party at fault.
    pub why: Unconnected,
    /// The last address tried; `None`: there was none yet.
    pub address: Option<SocketAddr>,
    /// The system's error.
    pub error: io::Error,
    /// The same error by kind and name.
    pub cause: UpstreamError,
}

impl NoConnection {
    fn new(address: Option<SocketAddr>, error: io::Error, cause: UpstreamError) -> NoConnection {
        let (why, cause) = match exhausted(&error) {
            Some(cause) => (Unconnected::Exhausted, cause),
            None => (Unconnected::Upstream(cause.kind.as_call_error()), cause),
        };
        NoConnection {
            why,
            address,
            error,
            cause,
        }
    }

    /// A connection that was not made in time; `cause` has the step that was reached.
    pub fn too_slow(cause: UpstreamError) -> NoConnection {
        NoConnection {
            // Failure expressions know connecting as one step, with one timeout.
            why: Unconnected::Upstream(CallError::Connect),
            address: None,
            error: io::ErrorKind::TimedOut.into(),
            cause,
        }
    }

    /// A TCP connection that could not be made, or that could not be used.
    fn dial(address: Option<SocketAddr>, error: io::Error) -> NoConnection {
        let cause = UpstreamError::dial(&error, address);
        NoConnection::new(address, error, cause)
    }

    /// The same failure for another call that waited for the same connection.
    pub fn again(&self) -> NoConnection {
        NoConnection {
            why: self.why,
            address: self.address,
            error: io::Error::new(self.error.kind(), self.error.to_string()),
            cause: self.cause.clone(),
        }
    }
}

/// The exhausted resource of our own that made a system call fail; `None`: another error.
fn exhausted(error: &io::Error) -> Option<UpstreamError> {
    use rustix::io::Errno;
    let code = error.raw_os_error()?;
    let ours = [
        (Errno::MFILE, "no descriptor left"),
        (Errno::NFILE, "no descriptor left"),
        (Errno::NOBUFS, "no memory left"),
        (Errno::NOMEM, "no memory left"),
        (Errno::ADDRNOTAVAIL, "no port left"),
    ];
    let found = ours.iter().find(|(errno, _)| errno.raw_os_error() == code);
    found.map(|(errno, word)| {
        let error = UpstreamError::new(ErrorKind::Limit, word);
        match *errno {
            Errno::MFILE => error.with("raise the limit on open files"),
            _ => error,
        }
    })
}

/// TLS, with the name that the other side's certificate must have.
#[derive(Clone)]
struct Tls {
    trust: Trust,
    http: HttpVersion,
    /// The settings of each connection; `None`: they may change, so each makes its own.
    fixed: Option<Connectors>,
    name: ServerName<'static>,
    wish: Arc<CertificateWish>,
}

/// Settings of TLS by the protocols that they offer (ALPN).
#[derive(Clone)]
struct Connectors {
    /// Settings that offer the versions of the upstream's `http`.
    wanted: TlsConnector,
    /// Settings that offer HTTP/1.1 alone.
    http1: TlsConnector,
}

impl Connectors {
    fn new(trust: &Trust, http: HttpVersion, wish: &Arc<CertificateWish>) -> Connectors {
        let config = watching(&trust.config(), wish);
        let offering = |protocols: &[&[u8]]| {
            let mut config = (*config).clone();
            config.alpn_protocols = protocols.iter().map(|it| it.to_vec()).collect();
            TlsConnector::from(Arc::new(config))
        };
        let http1 = offering(&[b"http/1.1"]);
        Connectors {
            wanted: match http {
                HttpVersion::One => http1.clone(),
                HttpVersion::Two => offering(&[b"h2"]),
                HttpVersion::Auto => offering(&[b"h2", b"http/1.1"]),
            },
            http1,
        }
    }

    fn choose(&self, is_http1: bool) -> TlsConnector {
        match is_http1 {
            true => self.http1.clone(),
            false => self.wanted.clone(),
        }
    }
}

impl Tls {
    /// The settings for a connection that begins now; `is_http1`: it offers HTTP/1.1 alone.
    fn connector(&self, is_http1: bool) -> TlsConnector {
        match &self.fixed {
            Some(fixed) => fixed.choose(is_http1),
            None => Connectors::new(&self.trust, self.http, &self.wish).choose(is_http1),
        }
    }
}

/// The present step of connecting, with the error to report if time runs out there.
struct Step {
    kind: ErrorKind,
    word: &'static str,
    address: Option<SocketAddr>,
}

/// A connection with or without TLS, straight or through a proxy's tunnel.
type Stream = Box<dyn ByteStream>;

/// The time after which the next address of a name is tried beside the one before.
const NEXT_ADDRESS: Duration = Duration::from_millis(250);

const DIALLING: &str = "connect timed out";

/// A new connection.
#[derive(Debug)]
pub enum Connected {
    /// A connection that carries one request at a time.
    Http1(Sender),
    /// A connection that carries several.
    Http2(Http2),
}

/// The way to an upstream: its address, TLS, and the proxy on the way.
#[derive(Clone)]
pub struct Connector {
    endpoint: Endpoint,
    tls: Option<Tls>,
    trust: Trust,
    proxy: Option<(Endpoint, Option<Tls>)>,
    /// The address to connect to; `None`: the host's.
    address: Option<IpAddr>,
    timeout: Duration,
    http: HttpVersion,
    head_bytes_max: usize,
    head_fields_max: usize,
    unasked: Arc<AtomicU64>,
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connector")
            .field("endpoint", &self.endpoint)
            .finish_non_exhaustive()
    }
}

impl Connector {
    /// A connector to `endpoint`, with that version of HTTP; `trust` checks the certificate of an `https` one.
    ///
    /// # Errors
    /// If the host is not a name that a certificate could have.
    pub fn new(
        endpoint: &Endpoint,
        timeout: Duration,
        http: HttpVersion,
        limits: &Limits,
        trust: &Trust,
    ) -> Result<Connector, String> {
        Ok(Connector {
            endpoint: endpoint.clone(),
            tls: tls_of(endpoint, http, trust)?,
            http,
            trust: trust.clone(),
            proxy: None,
            address: None,
            timeout,
            head_bytes_max: limits.head_bytes_max,
            head_fields_max: limits.head_fields_max,
            unasked: Arc::default(),
        })
    }

    /// Number of connections that ended because bytes came while no request was on its way.
    pub fn unasked(&self) -> u64 {
        self.unasked.load(Ordering::Relaxed)
    }

    /// Counts such a connection.
    pub fn count_unasked(&self) {
        self.unasked.fetch_add(1, Ordering::Relaxed);
        let authority = &self.endpoint.authority;
        tracing::debug!(upstream = %authority, "a connection was closed because unrequested bytes came");
    }

    /// Our limits on the heads of answers.
    fn head_limits(&self) -> HeadLimits {
        HeadLimits {
            bytes_max: self.head_bytes_max,
            fields_max: self.head_fields_max,
        }
    }

    /// The same through a proxy: an `https` endpoint by a tunnel (RFC 9110, section 9.3.6), a plain
    /// one by asking the proxy for it.
    pub fn through(mut self, proxy: &Endpoint) -> Result<Connector, String> {
        let tls = tls_of(proxy, HttpVersion::One, &self.trust)?;
        self.proxy = Some((proxy.clone(), tls));
        Ok(self)
    }

    /// The same connector to one address of its host.
    pub fn at(self, address: IpAddr) -> Connector {
        Connector {
            address: Some(address),
            ..self
        }
    }

    /// The same connector to another endpoint.
    pub fn elsewhere(&self, endpoint: &Endpoint) -> Result<Connector, String> {
        Ok(Connector {
            endpoint: endpoint.clone(),
            tls: tls_of(endpoint, self.http, &self.trust)?,
            address: None,
            ..self.clone()
        })
    }

    /// True if requests must name whole URLs, since the endpoint is plain and behind a proxy.
    pub fn asks_for_urls(&self) -> bool {
        self.proxy.is_some() && self.tls.is_none()
    }

    /// True if a connection may turn out to be HTTP/2.
    pub fn may_be_http2(&self) -> bool {
        match self.http {
            HttpVersion::One => false,
            HttpVersion::Two => true,
            HttpVersion::Auto => self.tls.is_some(),
        }
    }

    /// True if every connection is HTTP/2.
    pub fn is_http2_alone(&self) -> bool {
        self.http == HttpVersion::Two
    }

    /// The time limit for a connection.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Makes a connection, within the connect timeout and `bound`; `is_http1`: it is to be HTTP/1.1, whatever else the
    /// upstream speaks.
    ///
    /// # Errors
    /// The failed step with its error; running out of time is a failure to connect.
    pub async fn connect(
        &self,
        bound: Duration,
        is_http1: bool,
    ) -> Result<Connected, NoConnection> {
        let mut step = Step {
            kind: ErrorKind::Dns,
            word: "name lookup timed out",
            address: None,
        };
        match tokio::time::timeout(self.timeout.min(bound), self.open(&mut step, is_http1)).await {
            Ok(result) => result,
            Err(_) => {
                let cause = UpstreamError::too_slow(step.kind, step.word, step.address);
                Err(NoConnection::too_slow(cause))
            }
        }
    }

    async fn open(&self, step: &mut Step, is_http1: bool) -> Result<Connected, NoConnection> {
        let (next, next_tls) = match &self.proxy {
            Some((proxy, tls)) => (proxy, tls),
            None => (&self.endpoint, &self.tls),
        };
        let (tcp, address) = tcp(next, self.address, step).await?;
        let broken = |error| NoConnection::dial(Some(address), error);
        tcp.set_nodelay(true).map_err(broken)?;
        let mut stream: Stream = Box::new(UpstreamSocket::new(tcp));
        let mut chosen = false;
        if let Some(tls) = next_tls {
            (stream, chosen) = secured(stream, tls, is_http1, address, step).await?;
        }
        if let (Some(_), Some(tls)) = (&self.proxy, &self.tls) {
            (step.kind, step.word) = (ErrorKind::Connect, "the proxy timed out");
            stream = self.tunnel(stream).await.map_err(|error| {
                let cause = UpstreamError::new(ErrorKind::Connect, "no tunnel through the proxy");
                let cause = cause.with(format_args!("{address}: {error}"));
                NoConnection::new(Some(address), error, cause)
            })?;
            (stream, chosen) = secured(stream, tls, is_http1, address, step).await?;
        }
        let is_http2 = !is_http1
            && match self.http {
                HttpVersion::One => false,
                HttpVersion::Two => chosen || self.tls.is_none(),
                HttpVersion::Auto => chosen,
            };
        if self.http == HttpVersion::Two && !is_http2 && !is_http1 {
            let cause = UpstreamError::new(ErrorKind::Connect, "no HTTP/2 by ALPN");
            let mend = "the upstream chose no `h2`; write `http: auto` or `http: 1`";
            let cause = cause.with(format_args!("{address}: {mend}"));
            let error = io::Error::other("the upstream chose no HTTP/2 by ALPN");
            return Err(NoConnection::new(Some(address), error, cause));
        }
        let wish = self.tls.as_ref().map(|tls| tls.wish.clone());
        if is_http2 {
            (step.kind, step.word) = (ErrorKind::Connect, "no HTTP/2 settings in time");
            let state = ConnectionState::new(wish);
            let opened = Http2::over(stream, state, Arc::new(self.target())).await;
            return match opened {
                Ok(connection) => Ok(Connected::Http2(connection)),
                Err(cause) => {
                    let error = io::Error::other(cause.to_string());
                    Err(NoConnection::new(Some(address), error, cause))
                }
            };
        }
        let connection = Http1::new(stream, self.head_limits(), wish);
        Ok(Connected::Http1(Sender::over(Box::new(connection))))
    }

    /// The target of requests over HTTP/2.
    fn target(&self) -> Target {
        let endpoint = &self.endpoint;
        let authority = Authority::try_from(endpoint.authority.as_str());
        Target {
            scheme: match endpoint.tls {
                true => Scheme::HTTPS,
                false => Scheme::HTTP,
            },
            authority: authority.unwrap_or_else(|_| Authority::from_static("localhost")),
            head_bytes_max: self.head_bytes_max,
            head_fields_max: self.head_fields_max,
        }
    }

    /// Asks a proxy for a tunnel to the endpoint.
    async fn tunnel(&self, stream: Stream) -> io::Result<Stream> {
        let host = if self.endpoint.host.contains(':') {
            format!("[{}]:{}", self.endpoint.host, self.endpoint.port)
        } else {
            format!("{}:{}", self.endpoint.host, self.endpoint.port)
        };
        let mut request = Request::connect(host.as_str())
            .header(HOST, host.as_str())
            .body(Outgoing::empty())
            .map_err(io::Error::other)?;
        let connection = Http1::new(stream, self.head_limits(), None);
        let mut held = Some(Box::new(connection));
        let response = http1::exchange(&mut held, &mut request, Watching::default()).await;
        let response = response.map_err(|none| io::Error::other(none.fault))?;
        let status = response.status();
        let refused = || io::Error::other(format!("the proxy answered {status}"));
        response.into_body().into_stream().ok_or_else(refused)
    }
}

fn tls_of(endpoint: &Endpoint, http: HttpVersion, trust: &Trust) -> Result<Option<Tls>, String> {
    if !endpoint.tls {
        return Ok(None);
    }
    let host = trust.server_name().unwrap_or(&endpoint.host);
    let name = ServerName::try_from(host.to_owned())
        .map_err(|_| format!("`{host}` is not a name that a certificate can bear"))?;
    let wish = Arc::default();
    let fixed = match trust {
        Trust::Renewed(_) => None,
        trust => Some(Connectors::new(trust, http, &wish)),
    };
    Ok(Some(Tls {
        trust: trust.clone(),
        http,
        fixed,
        name,
        wish,
    }))
}

/// The stream within TLS; true beside it if ALPN has chosen HTTP/2.
async fn secured(
    stream: Stream,
    tls: &Tls,
    is_http1: bool,
    address: SocketAddr,
    step: &mut Step,
) -> Result<(Stream, bool), NoConnection> {
    (step.kind, step.word) = (ErrorKind::Tls, "handshake timed out");
    let connector = tls.connector(is_http1);
    let stream = connector.connect(tls.name.clone(), stream).await;
    let stream = stream.map_err(|error| {
        let address = Some(address);
        let cause = UpstreamError::handshake(&error, address, tls.wish.is_open());
        NoConnection::new(address, error, cause)
    })?;
    let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    Ok((Box::new(stream), is_http2))
}

/// Tries every address of the name, in the resolver's order; of several failures the first is reported. Names are
/// looked up for every connection, so that a moved upstream is found again.
async fn tcp(
    endpoint: &Endpoint,
    address: Option<IpAddr>,
    step: &mut Step,
) -> Result<(TcpStream, SocketAddr), NoConnection> {
    let (host, port) = (endpoint.host.as_str(), endpoint.port);
    let dial = async |address| {
        let tcp = TcpStream::connect(address).await;
        tcp.map(|tcp| (tcp, address))
            .map_err(|error| NoConnection::dial(Some(address), error))
    };
    let mut dialling = |address| {
        *step = Step {
            kind: ErrorKind::Connect,
            word: DIALLING,
            address: Some(address),
        };
    };
    if let Some(address) = address.or_else(|| host.parse().ok()) {
        let address = SocketAddr::new(address, port);
        dialling(address);
        return dial(address).await;
    }
    let unknown = |error| {
        let cause = UpstreamError::lookup(host, &error);
        NoConnection::new(None, error, cause)
    };
    let found = tokio::net::lookup_host((host, port)).await;
    let mut addresses = by_turns(found.map_err(unknown)?).into_iter();
    // The next address is tried when one fails, and also when one takes long (RFC 8305, section 5).
    let mut dials = FuturesUnordered::new();
    let mut first = None;
    loop {
        match addresses.next() {
            Some(address) => {
                dialling(address);
                dials.push(dial(address));
            }
            None if dials.is_empty() => break,
            None => {}
        }
        let pause = async {
            match addresses.len() {
                0 => std::future::pending().await,
                _ => tokio::time::sleep(NEXT_ADDRESS).await,
            }
        };
        tokio::select! {
            biased;
            Some(dialled) = dials.next() => match dialled {
                Ok(connected) => return Ok(connected),
                Err(failed) => {
                    first.get_or_insert(failed);
                }
            },
            () = pause => {}
        }
    }
    Err(first.unwrap_or_else(|| unknown(io::Error::other("the name stands for no address"))))
}

/// Addresses of both families by turns, in the order of the lookup (RFC 8305, section 4).
fn by_turns(found: impl Iterator<Item = SocketAddr>) -> Vec<SocketAddr> {
    let all: Vec<_> = found.collect();
    let is_first = |it: &SocketAddr| it.is_ipv6() == all[0].is_ipv6();
    let (ours, others): (Vec<_>, Vec<_>) = all.iter().copied().partition(is_first);
    let longest = ours.len().max(others.len());
    let turns = (0..longest).flat_map(|at| [ours.get(at), others.get(at)]);
    turns.flatten().copied().collect()
}
