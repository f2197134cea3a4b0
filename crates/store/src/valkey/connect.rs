//! Opens one connection to the server, Sentinel master or cluster of the options.

use super::address::Endpoint;
use super::dial::{Dialer, Single};
use super::link::Channel;
use super::options::{Login, Servers, ValkeyOptions};
use crate::StoreError;
use redis::aio::ConnectionLike;
use redis::cluster::ClusterClientBuilder;
use redis::cluster_async::ClusterConnection;
use redis::{
    AsyncConnectionConfig, Cmd, ConnectionAddr, ErrorKind, IntoConnectionInfo, ProtocolVersion,
    PushInfo, RedisConnectionInfo, RedisError, Value,
};
use std::sync::Arc;

/// A multiplexed connection. All clones share it.
#[derive(Clone)]
pub(super) enum Connection {
    Single(Single),
    Cluster(ClusterConnection<Single>),
}

/// The handler of out-of-band messages on a connection: pushes, and its disconnection.
pub(super) type PushHandler = Arc<dyn Fn(PushInfo) + Send + Sync>;

/// Opens connections as the options describe.
pub(super) struct Connector {
    options: ValkeyOptions,
    dialer: Arc<Dialer>,
}

impl Connection {
    pub(super) async fn send(&mut self, command: &Cmd) -> Result<Value, RedisError> {
        let answer = match self {
            Connection::Single(connection) => connection.req_packed_command(command).await,
            Connection::Cluster(connection) => connection.req_packed_command(command).await,
        };
        answer.and_then(Value::extract_error)
    }

    pub(super) async fn listen(&mut self, channel: &Channel) -> Result<(), RedisError> {
        match (self, channel) {
            (Connection::Single(connection), Channel::Subscribe(name)) => {
                connection.subscribe(name).await
            }
            // A single server has no slots and publishes to all subscribers.
            (
                Connection::Single(_),
                Channel::SubscribeSharded(_) | Channel::UnsubscribeSharded(_),
            ) => Ok(()),
            (Connection::Cluster(connection), Channel::Subscribe(name)) => {
                connection.subscribe(name).await
            }
            (Connection::Cluster(connection), Channel::SubscribeSharded(name)) => {
                connection.ssubscribe(name).await
            }
            (Connection::Cluster(connection), Channel::UnsubscribeSharded(name)) => {
                connection.sunsubscribe(name).await
            }
        }
    }
}

impl Connector {
    /// Reads the TLS files of the options. `reply_max` is the most bytes in one reply.
    pub(super) fn new(options: ValkeyOptions, reply_max: usize) -> Result<Connector, StoreError> {
        let dialer = Dialer::new(options.tls.as_ref(), options.connect_timeout, reply_max)?;
        Ok(Connector {
            options,
            dialer: Arc::new(dialer),
        })
    }

    /// Opens a connection. Each attempt resolves names and asks the Sentinels anew.
    pub(super) async fn connect(&self, on_push: PushHandler) -> Result<Connection, RedisError> {
        let forward = move |info: PushInfo| {
            on_push(info);
            Ok::<_, ()>(())
        };
        let config = AsyncConnectionConfig::new()
            // The link limits the time of each request and of the whole attempt.
            .set_response_timeout(None)
            .set_connection_timeout(None)
            .set_push_sender(forward.clone());
        match &self.options.servers {
            Servers::Single(endpoint) => {
                let login = self.login();
                let connection = self.dialer.open(endpoint, &login, config);
                connection.await.map(Connection::Single)
            }
            Servers::Sentinel { sentinels, master } => {
                let connection = self.open_master(sentinels, master, &config);
                connection.await.map(Connection::Single)
            }
            Servers::Cluster(nodes) => {
                self.dialer.serve_clusters();
                let client = self.cluster(nodes)?.push_sender(forward).build()?;
                let connection = client.get_async_generic_connection::<Single>().await?;
                Ok(Connection::Cluster(connection))
            }
        }
    }

    fn cluster(&self, nodes: &[(String, u16)]) -> Result<ClusterClientBuilder, RedisError> {
        let infos = nodes
            .iter()
            .map(|(host, port)| {
                // Without TLS as far as the client knows, because the dialer handles it.
                let address = ConnectionAddr::Tcp(host.clone(), *port);
                Ok(address
                    .into_connection_info()?
                    .set_redis_settings(self.login()))
            })
            .collect::<Result<Vec<_>, RedisError>>()?;
        Ok(ClusterClientBuilder::new(infos)
            .connection_timeout(self.options.connect_timeout)
            .response_timeout(self.options.timeout)
            .use_protocol(ProtocolVersion::RESP3)
            // A write whose answer was lost must not be repeated; the link retries where it is certain that nothing
            // happened.
            .retries(0))
    }

    /// Connects to the master, as named by the first Sentinel that knows it.
    async fn open_master(
        &self,
        sentinels: &[(String, u16)],
        master: &str,
        config: &AsyncConnectionConfig,
    ) -> Result<Single, RedisError> {
        let why = "no Sentinel could be reached";
        let mut failed = RedisError::from((ErrorKind::MasterNameNotFoundBySentinel, why));
        for (host, port) in sentinels {
            let sentinel = Endpoint::Tcp(host.clone(), *port);
            match self.try_sentinel(&sentinel, master, config).await {
                Ok(connection) => return Ok(connection),
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }

    async fn try_sentinel(
        &self,
        sentinel: &Endpoint,
        master: &str,
        config: &AsyncConnectionConfig,
    ) -> Result<Single, RedisError> {
        let login = login(&self.options.sentinel_login);
        let opened = self
            .dialer
            .open(sentinel, &login, AsyncConnectionConfig::new());
        let mut connection = opened.await?;
        let mut command = redis::cmd("SENTINEL");
        command.arg("GET-MASTER-ADDR-BY-NAME").arg(master);
        let answer = connection.req_packed_command(&command).await;
        let address = answer.and_then(Value::extract_error)?;
        let Some((host, port)) = redis::from_redis_value::<Option<(String, u16)>>(address)? else {
            let why = "the Sentinel does not know a master of that name";
            return Err(RedisError::from((
                ErrorKind::MasterNameNotFoundBySentinel,
                why,
            )));
        };
        let master = Endpoint::Tcp(host, port);
        let login = self.login();
        let opened = self.dialer.open(&master, &login, config.clone());
        let mut connection = opened.await?;
        // The Sentinel may not know of a failover yet. The user may lack permission for ROLE.
        let role = connection.req_packed_command(&redis::cmd("ROLE")).await;
        if let Ok(Value::Array(role)) = role
            && let Some(Value::BulkString(role)) = role.first()
            && role != b"master"
        {
            let why = "the master that the Sentinel names is a replica";
            return Err(RedisError::from((ErrorKind::Client, why)));
        }
        Ok(connection)
    }

    fn login(&self) -> RedisConnectionInfo {
        login(&self.options.login)
            .set_protocol(ProtocolVersion::RESP3)
            .set_lib_name("fusebox", env!("CARGO_PKG_VERSION"))
            .set_db(i64::from(self.options.database))
    }
}

fn login(login: &Login) -> RedisConnectionInfo {
    let mut redis = RedisConnectionInfo::default();
    if let Some(user) = &login.user {
        redis = redis.set_username(user);
    }
    if let Some(password) = &login.password {
        redis = redis.set_password(password);
    }
    redis
}
