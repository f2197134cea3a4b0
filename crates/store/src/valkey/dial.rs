//! Connects to one server: a socket, TLS if configured, and a size limit on every reply.

use super::address::Endpoint;
use super::bounds::Bounded;
use super::options::TlsFiles;
use crate::StoreError;
use futures_util::future::select_ok;
use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster_async::Connect;
use redis::{
    AsyncConnectionConfig, Cmd, ConnectionAddr, ErrorKind, IntoConnectionInfo, Pipeline,
    RedisConnectionInfo, RedisError, RedisFuture, Value,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use socket2::{SockRef, TcpKeepalive};
use std::cell::RefCell;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream, lookup_host};
use tokio::task::AbortHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// The interval of the kernel's keepalive probes on an idle connection.
const KEEPALIVE: Duration = Duration::from_secs(1);

trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Socket for S {}

/// Opens connections to single servers.
#[derive(Clone)]
pub(super) struct Dialer {
    tls: Option<TlsConnector>,
    /// Time limit for opening one connection.
    within: Duration,
    /// The most bytes in one reply.
    reply_max: usize,
}

/// A connection to one server. All clones share it; it closes with the last of them.
#[derive(Clone)]
pub(super) struct Single {
    connection: MultiplexedConnection,
    _task: Arc<Task>,
}

/// The task that drives a connection, aborted on drop.
struct Task(AbortHandle);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

thread_local! {
    /// The dialer for cluster connections opened on this thread; the client passes only an address.
    static CLUSTER: RefCell<Option<Arc<Dialer>>> = const { RefCell::new(None) };
}

impl Dialer {
    /// Reads the TLS files, if any.
    pub(super) fn new(
        tls: Option<&TlsFiles>,
        within: Duration,
        reply_max: usize,
    ) -> Result<Dialer, StoreError> {
        Ok(Dialer {
            tls: tls.map(connector).transpose()?,
            within,
            reply_max,
        })
    }

    /// Makes this the dialer of all cluster connections on this thread.
    pub(super) fn serve_clusters(self: &Arc<Self>) {
        CLUSTER.with(|dialer| *dialer.borrow_mut() = Some(self.clone()));
    }

    /// Opens a connection and logs in.
    pub(super) async fn open(
        &self,
        endpoint: &Endpoint,
        login: &RedisConnectionInfo,
        config: AsyncConnectionConfig,
    ) -> Result<Single, RedisError> {
        let opened = async {
            let stream = Bounded::new(self.socket(endpoint).await?, self.reply_max);
            MultiplexedConnection::new_with_config(login, stream, config).await
        };
        let (connection, driver) = timeout(self.within, opened)
            .await
            .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        Ok(Single {
            connection,
            _task: Arc::new(Task(tokio::spawn(driver).abort_handle())),
        })
    }

    async fn socket(&self, endpoint: &Endpoint) -> io::Result<Box<dyn Socket>> {
        let (host, port) = match endpoint {
            Endpoint::Unix(path) => return Ok(Box::new(UnixStream::connect(path).await?)),
            Endpoint::Tcp(host, port) => (host.as_str(), *port),
        };
        let stream = tcp(host, port).await?;
        let Some(tls) = &self.tls else {
            return Ok(Box::new(stream));
        };
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        Ok(Box::new(tls.connect(name, stream).await?))
    }
}

/// Connects a socket without Nagle's delay, with keepalive probes that detect the end of an idle connection, as a
/// subscription is.
async fn tcp(host: &str, port: u16) -> io::Result<TcpStream> {
    let tries = lookup_host((host, port))
        .await?
        .map(|address| Box::pin(TcpStream::connect(address)));
    let tries: Vec<_> = tries.collect();
    if tries.is_empty() {
        return Err(io::Error::new(
            io::ErrorKind::NotFound,
            "the name has no address",
        ));
    }
    let (stream, _) = select_ok(tries).await?;
    stream.set_nodelay(true)?;
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE)
        .with_interval(KEEPALIVE)
        .with_retries(2);
    SockRef::from(&stream).set_tcp_keepalive(&keepalive)?;
    Ok(stream)
}

fn connector(files: &TlsFiles) -> Result<TlsConnector, StoreError> {
    let invalid = |path: &Path, why: &dyn std::fmt::Display| {
        let error = io::Error::new(io::ErrorKind::InvalidData, why.to_string());
        StoreError::io("reading", path.display(), error)
    };
    let certificates = |path: &Path| {
        let pem = read(path)?;
        CertificateDer::pem_slice_iter(&pem)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| invalid(path, &error))
    };
    let mut roots = RootCertStore::empty();
    match &files.ca {
        Some(path) => {
            for certificate in certificates(path)? {
                roots
                    .add(certificate)
                    .map_err(|error| invalid(path, &error))?;
            }
        }
        // An unreadable system certificate is skipped; the failure shows when a server is not trusted.
        None => {
            let found = rustls_native_certs::load_native_certs();
            roots.add_parsable_certificates(found.certs);
        }
    }
    // An error means that the process has installed a provider already, which is as good.
    let _ = aws_lc_rs::default_provider().install_default();
    let config = ClientConfig::builder().with_root_certificates(roots);
    let config = match (&files.cert, &files.key) {
        (Some(cert), Some(key)) => {
            let private =
                PrivateKeyDer::from_pem_slice(&read(key)?).map_err(|error| invalid(key, &error))?;
            config
                .with_client_auth_cert(certificates(cert)?, private)
                .map_err(|error| invalid(cert, &error))?
        }
        _ => config.with_no_client_auth(),
    };
    Ok(TlsConnector::from(Arc::new(config)))
}

fn read(path: &Path) -> Result<Vec<u8>, StoreError> {
    std::fs::read(path).map_err(|error| StoreError::io("reading", path.display(), error))
}

impl Single {
    pub(super) async fn subscribe(&mut self, channel: &[u8]) -> Result<(), RedisError> {
        self.connection.subscribe(channel).await
    }
}

impl ConnectionLike for Single {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        self.connection.req_packed_command(command)
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        self.connection.req_packed_commands(pipeline, offset, count)
    }

    fn get_db(&self) -> i64 {
        self.connection.get_db()
    }
}

/// Opens the connections to a cluster's nodes.
impl Connect for Single {
    fn connect_with_config<'a, T>(info: T, config: AsyncConnectionConfig) -> RedisFuture<'a, Self>
    where
        T: IntoConnectionInfo + Send + 'a,
    {
        Box::pin(async move {
            let info = info.into_connection_info()?;
            let dialer = CLUSTER.with(|dialer| dialer.borrow().clone());
            let (ConnectionAddr::Tcp(host, port), Some(dialer)) = (info.addr(), dialer) else {
                let why = "a cluster node must have a host and a port";
                return Err(RedisError::from((ErrorKind::InvalidClientConfig, why)));
            };
            let endpoint = Endpoint::Tcp(host.clone(), *port);
            dialer.open(&endpoint, info.redis_settings(), config).await
        })
    }
}
