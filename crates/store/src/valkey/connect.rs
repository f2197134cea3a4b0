//! Makes one connection to whatever the options name.

use super::address::Endpoint;
use super::link::Channel;
use super::options::{Servers, ValkeyOptions};
use crate::StoreError;
use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster::ClusterClientBuilder;
use redis::cluster_async::ClusterConnection;
use redis::io::tcp::TcpSettings;
use redis::sentinel::{SentinelClientBuilder, SentinelServerType};
use redis::{
    AsyncConnectionConfig, Client, ClientTlsConfig, Cmd, ConnectionAddr, ConnectionInfo,
    IntoConnectionInfo, ProtocolVersion, PushInfo, RedisConnectionInfo, RedisError,
    TlsCertificates, TlsMode, Value,
};
use socket2::TcpKeepalive;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio_rustls::rustls::crypto::aws_lc_rs;

/// How often the kernel looks whether the other side is still there, on an idle connection.
const KEEPALIVE: Duration = Duration::from_secs(1);

/// A connection on which many calls are under way at once. All its clones are one.
#[derive(Clone)]
pub(super) enum Connection {
    Single(MultiplexedConnection),
    Cluster(ClusterConnection),
}

/// Hears what a connection says unasked: messages, and that it ended.
pub(super) type Ear = Arc<dyn Fn(PushInfo) + Send + Sync>;

/// Makes connections.
pub(super) struct Connector {
    options: ValkeyOptions,
    certificates: Option<TlsCertificates>,
}

impl Connection {
    pub(super) async fn ask(&mut self, command: &Cmd) -> Result<Value, RedisError> {
        let answer = match self {
            Connection::Single(connection) => connection.req_packed_command(command).await,
            Connection::Cluster(connection) => connection.req_packed_command(command).await,
        };
        answer.and_then(Value::extract_error)
    }
}

impl Connection {
    pub(super) async fn listen(&mut self, channel: &Channel) -> Result<(), RedisError> {
        match (self, channel) {
            (Connection::Single(connection), Channel::Hear(name)) => {
                connection.subscribe(name).await
            }
            // One server has no slots: there, everything is published for all.
            (Connection::Single(_), Channel::HearInSlot(_) | Channel::LeaveSlot(_)) => Ok(()),
            (Connection::Cluster(connection), Channel::Hear(name)) => {
                connection.subscribe(name).await
            }
            (Connection::Cluster(connection), Channel::HearInSlot(name)) => {
                connection.ssubscribe(name).await
            }
            (Connection::Cluster(connection), Channel::LeaveSlot(name)) => {
                connection.sunsubscribe(name).await
            }
        }
    }
}

impl Connector {
    /// Reads the TLS files that the options name.
    pub(super) fn new(options: ValkeyOptions) -> Result<Connector, StoreError> {
        let mut certificates = None;
        if let Some(tls) = &options.tls {
            // An error says that the process has chosen one already, which will do.
            let _ = aws_lc_rs::default_provider().install_default();
            let client_tls = match (&tls.cert, &tls.key) {
                (Some(cert), Some(key)) => Some(ClientTlsConfig {
                    client_cert: read(cert)?,
                    client_key: read(key)?,
                }),
                _ => None,
            };
            certificates = Some(TlsCertificates {
                client_tls,
                root_cert: tls.ca.as_deref().map(read).transpose()?,
            });
        }
        Ok(Connector {
            options,
            certificates,
        })
    }

    /// Makes a connection. Names are resolved, and Sentinels asked, each time.
    pub(super) async fn connect(&self, ear: Ear) -> Result<Connection, RedisError> {
        let hear = move |info: PushInfo| {
            ear(info);
            Ok::<_, ()>(())
        };
        let config = AsyncConnectionConfig::new()
            // The link measures the time of each call and of the whole attempt.
            .set_response_timeout(None)
            .set_connection_timeout(None)
            .set_push_sender(hear.clone());
        match &self.options.servers {
            Servers::Single(endpoint) => {
                let info = self.info(self.endpoint(endpoint))?;
                let client = match (&self.certificates, endpoint) {
                    (Some(certificates), Endpoint::Tcp(..)) => {
                        Client::build_with_tls(info, certificates.clone())?
                    }
                    _ => Client::open(info)?,
                };
                let connection = client.get_multiplexed_async_connection_with_config(&config);
                connection.await.map(Connection::Single)
            }
            Servers::Sentinel { sentinels, master } => {
                let mut client = self.sentinels(sentinels, master)?.build()?;
                let connection = client.get_async_connection_with_config(&config);
                connection.await.map(Connection::Single)
            }
            Servers::Cluster(nodes) => {
                let mut builder = self.cluster(nodes)?.push_sender(hear);
                if let Some(certificates) = &self.certificates {
                    builder = builder.certs(certificates.clone());
                }
                let connection = builder.build()?.get_async_connection().await?;
                Ok(Connection::Cluster(connection))
            }
        }
    }

    fn cluster(&self, nodes: &[(String, u16)]) -> Result<ClusterClientBuilder, RedisError> {
        let infos = nodes
            .iter()
            .map(|(host, port)| self.info(self.tcp(host, *port)))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(ClusterClientBuilder::new(infos)
            .connection_timeout(self.options.connect_timeout)
            .response_timeout(self.options.timeout)
            .use_protocol(ProtocolVersion::RESP3)
            .tcp_settings(tcp_settings())
            // A write whose answer was lost must not be done twice; the link asks again where it
            // knows that nothing was done.
            .retries(0))
    }

    fn sentinels(
        &self,
        sentinels: &[(String, u16)],
        master: &str,
    ) -> Result<SentinelClientBuilder, RedisError> {
        let options = &self.options;
        let addresses = sentinels.iter().map(|(host, port)| self.tcp(host, *port));
        let tcp = tcp_settings();
        let mut builder =
            SentinelClientBuilder::new(addresses, master, SentinelServerType::Master)?
                .set_client_to_redis_db(i64::from(options.database))
                .set_client_to_redis_protocol(ProtocolVersion::RESP3)
                .set_client_to_redis_tcp_settings(tcp.clone())
                .set_client_to_sentinel_tcp_settings(tcp);
        if let Some(certificates) = &self.certificates {
            builder = builder
                .set_client_to_redis_tls_mode(TlsMode::Secure)
                .set_client_to_redis_certificates(certificates.clone())
                .set_client_to_sentinel_tls_mode(TlsMode::Secure)
                .set_client_to_sentinel_certificates(certificates.clone());
        }
        if let Some(user) = &options.login.user {
            builder = builder.set_client_to_redis_username(user);
        }
        if let Some(password) = &options.login.password {
            builder = builder.set_client_to_redis_password(password);
        }
        if let Some(user) = &options.sentinel_login.user {
            builder = builder.set_client_to_sentinel_username(user);
        }
        if let Some(password) = &options.sentinel_login.password {
            builder = builder.set_client_to_sentinel_password(password);
        }
        Ok(builder)
    }

    fn info(&self, address: ConnectionAddr) -> Result<ConnectionInfo, RedisError> {
        let options = &self.options;
        let mut redis = RedisConnectionInfo::default()
            .set_protocol(ProtocolVersion::RESP3)
            .set_lib_name("fusebox", env!("CARGO_PKG_VERSION"))
            .set_db(i64::from(options.database));
        if let Some(user) = &options.login.user {
            redis = redis.set_username(user);
        }
        if let Some(password) = &options.login.password {
            redis = redis.set_password(password);
        }
        Ok(address
            .into_connection_info()?
            .set_tcp_settings(tcp_settings())
            .set_redis_settings(redis))
    }

    fn endpoint(&self, endpoint: &Endpoint) -> ConnectionAddr {
        match endpoint {
            Endpoint::Tcp(host, port) => self.tcp(host, *port),
            Endpoint::Unix(path) => ConnectionAddr::Unix(path.clone()),
        }
    }

    fn tcp(&self, host: &str, port: u16) -> ConnectionAddr {
        match self.certificates {
            None => ConnectionAddr::Tcp(host.to_owned(), port),
            Some(_) => ConnectionAddr::TcpTls {
                host: host.to_owned(),
                port,
                insecure: false,
                tls_params: None,
            },
        }
    }
}

/// No waiting for more to send; and the kernel looks after an idle connection, so that the end of
/// one on which we only listen is heard.
fn tcp_settings() -> TcpSettings {
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE)
        .with_interval(KEEPALIVE)
        .with_retries(2);
    TcpSettings::default()
        .set_nodelay(true)
        .set_keepalive(keepalive)
}

fn read(path: &Path) -> Result<Vec<u8>, StoreError> {
    std::fs::read(path).map_err(|error| StoreError::io("reading", path.display(), error))
}
