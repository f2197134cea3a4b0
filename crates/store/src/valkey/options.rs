//! Options of the connection to a server, parsed from a URL.

use super::address::{self, Endpoint, Parts};
use crate::{Clock, Limits, StoreError};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Options for connecting a [`ValkeyStore`](crate::ValkeyStore) to its server.
///
/// The `Debug` output contains no password.
#[derive(Clone)]
pub struct ValkeyOptions {
    pub(super) servers: Servers,
    pub(super) login: Login,
    /// The login for the Sentinels, which may differ from that for the server.
    pub(super) sentinel_login: Login,
    pub(super) database: u32,
    pub(super) tls: Option<TlsFiles>,
    /// The prefix of all keys, without braces. Default `fusebox:`; `prefix=` in the URL.
    pub prefix: String,
    /// Time limit of one operation. Default 250 ms; `timeout=` in the URL.
    pub timeout: Duration,
    /// Time limit for opening a connection. Default 2 s; `connect_timeout=` in the URL.
    pub connect_timeout: Duration,
    /// The size limits. A server accepts values of up to 512 MiB. [`waiting_writes_max`](Limits::waiting_writes_max)
    /// limits the operations waiting for the server; `waiting_bytes_max` is unused.
    pub limits: Limits,
    /// The source of wall time. Default `None`: the server's clock, so that all its clients agree. Set a clock only for
    /// tests and simulations.
    pub clock: Option<Arc<dyn Clock>>,
}

#[derive(Clone, PartialEq, Eq)]
pub(super) enum Servers {
    Single(Endpoint),
    Sentinel {
        sentinels: Vec<(String, u16)>,
        master: String,
    },
    Cluster(Vec<(String, u16)>),
}

#[derive(Clone, Default)]
pub(super) struct Login {
    pub(super) user: Option<String>,
    pub(super) password: Option<String>,
}

/// The PEM files of a TLS connection. Without `ca`, the system's certificates are trusted.
#[derive(Debug, Clone, Default)]
pub(super) struct TlsFiles {
    pub(super) ca: Option<PathBuf>,
    pub(super) cert: Option<PathBuf>,
    pub(super) key: Option<PathBuf>,
}

/// The settings allowed after the `?`, for the error that lists them.
const SETTINGS: &str = "prefix, timeout, connect_timeout, db, cluster, ca, cert, key, \
                        sentinel_user, sentinel_password";
const WAIT_MAX: Duration = Duration::from_secs(60);

impl ValkeyOptions {
    /// Parses a URL.
    ///
    /// | URL | server |
    /// |---|---|
    /// | `redis://[user[:password]@]host[:port][/db]` | one server; port 6379, database 0 |
    /// | `rediss://…` | the same over TLS |
    /// | `redis+unix:///path/to.sock` | one server behind a Unix socket |
    /// | `redis+sentinel://[user[:password]@]host[:port],…/master[/db]` | the master known to these Sentinels; port 26379 |
    /// | `redis+cluster://[user[:password]@]host[:port],…` | a cluster, reached through these nodes |
    ///
    /// `valkey` is accepted for `redis`, and `rediss+sentinel`, `rediss+cluster` use TLS. User and password are
    /// percent-encoded where they contain one of `:/?#@%`.
    ///
    /// Settings follow a `?`: `prefix=` (default `fusebox:`; the prefix of all keys), `timeout=` and `connect_timeout=`
    /// (as in `250ms` or `2s`, at most one minute), `db=`, `cluster=true`, `ca=`, `cert=` and `key=` (PEM files, for
    /// TLS), `sentinel_user=` and `sentinel_password=`.
    ///
    /// # Errors
    /// [`StoreError::InvalidAddress`], which describes the fault and never contains the password.
    pub fn parse(url: &str) -> Result<ValkeyOptions, StoreError> {
        parse(url).map_err(|why| StoreError::InvalidAddress { why })
    }

    /// The address without user and password, for messages.
    pub fn place(&self) -> String {
        let list = |hosts: &[(String, u16)]| {
            let hosts: Vec<_> = hosts
                .iter()
                .map(|(h, p)| address::authority(h, *p))
                .collect();
            hosts.join(",")
        };
        let s = if self.tls.is_some() { "s" } else { "" };
        match &self.servers {
            Servers::Single(Endpoint::Tcp(host, port)) => {
                format!(
                    "redis{s}://{}/{}",
                    address::authority(host, *port),
                    self.database
                )
            }
            Servers::Single(Endpoint::Unix(path)) => format!("redis+unix://{}", path.display()),
            Servers::Sentinel { sentinels, master } => {
                format!("redis{s}+sentinel://{}/{master}", list(sentinels))
            }
            Servers::Cluster(nodes) => format!("redis{s}+cluster://{}", list(nodes)),
        }
    }
}

impl fmt::Debug for ValkeyOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ValkeyOptions")
            .field("place", &self.place())
            .field("prefix", &self.prefix)
            .field("timeout", &self.timeout)
            .field("connect_timeout", &self.connect_timeout)
            .finish_non_exhaustive()
    }
}

fn parse(url: &str) -> Result<ValkeyOptions, String> {
    let parts = Parts::of(url)?;
    let mut options = ValkeyOptions {
        servers: Servers::Cluster(Vec::new()),
        login: Login {
            user: parts.user.clone(),
            password: parts.password.clone(),
        },
        sentinel_login: Login::default(),
        database: 0,
        tls: parts.tls.then(TlsFiles::default),
        prefix: "fusebox:".to_owned(),
        timeout: Duration::from_millis(250),
        connect_timeout: Duration::from_secs(2),
        limits: Limits::default(),
        clock: None,
    };
    let mut cluster = parts.kind == address::Kind::Cluster;
    let mut database = None;
    for (name, value) in &parts.settings {
        match name.as_str() {
            "prefix" => options.prefix = prefix(value)?,
            "timeout" => options.timeout = wait(name, value)?,
            "connect_timeout" => options.connect_timeout = wait(name, value)?,
            "db" => database = Some(value.clone()),
            "cluster" if parts.kind == address::Kind::Single => cluster = flag(name, value)?,
            "ca" => files(&mut options, name)?.ca = Some(value.into()),
            "cert" => files(&mut options, name)?.cert = Some(value.into()),
            "key" => files(&mut options, name)?.key = Some(value.into()),
            "sentinel_user" => options.sentinel_login.user = Some(value.clone()),
            "sentinel_password" => options.sentinel_login.password = Some(value.clone()),
            _ => {
                return Err(format!(
                    "unknown setting \"{name}\"; expected one of {SETTINGS}"
                ));
            }
        }
    }
    if let Some(tls) = &options.tls
        && tls.cert.is_some() != tls.key.is_some()
    {
        return Err("cert and key belong together; set both files, or neither".to_owned());
    }
    let in_path = options.place_servers(&parts, cluster)?;
    if let Some(number) = database.or(in_path) {
        options.database = number.parse().map_err(|_| {
            format!("the database \"{number}\" is not a number; write 0, or remove it")
        })?;
    }
    if cluster && options.database != 0 {
        return Err("a cluster has database 0 only; remove the number".to_owned());
    }
    Ok(options)
}

impl ValkeyOptions {
    /// Sets the servers from the URL, and returns the database named in its path.
    fn place_servers(&mut self, parts: &Parts, cluster: bool) -> Result<Option<String>, String> {
        let mut path = parts.path.iter().filter(|part| !part.is_empty()).cloned();
        self.servers = match parts.kind {
            address::Kind::Unix if path.next().is_none() => {
                return Err("it has no socket path; write redis+unix:///path/to.sock".to_owned());
            }
            address::Kind::Unix => {
                let path = format!("/{}", parts.path.join("/"));
                self.servers = Servers::Single(Endpoint::Unix(path.into()));
                return Ok(None);
            }
            address::Kind::Sentinel => Servers::Sentinel {
                master: path.next().ok_or(
                    "it has no name of a master; write redis+sentinel://host:26379/name-of-the-master",
                )?,
                sentinels: parts.hosts(26379)?,
            },
            _ if cluster => Servers::Cluster(parts.hosts(6379)?),
            _ => {
                let mut hosts = parts.hosts(6379)?;
                let (host, port) = hosts.remove(0);
                if !hosts.is_empty() {
                    return Err(
                        "it names several hosts; write redis+cluster:// for a cluster, \
                                or redis+sentinel:// for Sentinels"
                            .to_owned(),
                    );
                }
                Servers::Single(Endpoint::Tcp(host, port))
            }
        };
        let database = path.next();
        match path.next() {
            Some(more) => Err(format!(
                "unexpected \"/{more}\" at the end of the path; remove it"
            )),
            None => Ok(database),
        }
    }
}

fn files<'a>(options: &'a mut ValkeyOptions, name: &str) -> Result<&'a mut TlsFiles, String> {
    options
        .tls
        .as_mut()
        .ok_or_else(|| format!("\"{name}\" is for TLS; write rediss:// or remove it"))
}

fn prefix(value: &str) -> Result<String, String> {
    if value.contains(['{', '}']) {
        return Err(
            "the prefix contains a brace, which would decide the cluster's slot; remove it"
                .to_owned(),
        );
    }
    Ok(value.to_owned())
}

fn wait(name: &str, value: &str) -> Result<Duration, String> {
    humantime::parse_duration(value)
        .ok()
        .filter(|wait| !wait.is_zero() && *wait <= WAIT_MAX)
        .ok_or_else(|| format!("{name}={value} is not a time from 1ms to 1m; write {name}=250ms"))
}

fn flag(name: &str, value: &str) -> Result<bool, String> {
    value
        .parse()
        .map_err(|_| format!("{name}={value} is invalid; expected true or false"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(url: &str) -> String {
        ValkeyOptions::parse(url).unwrap().place()
    }

    #[test]
    fn each_form_of_url_names_its_servers() {
        for (url, said) in [
            ("redis://localhost", "redis://localhost:6379/0"),
            ("valkey://h:7000/3", "redis://h:7000/3"),
            ("redis://h?db=4", "redis://h:6379/4"),
            ("rediss://u:p@[::1]:7000", "rediss://[::1]:7000/0"),
            (
                "redis+unix:///run/valkey.sock",
                "redis+unix:///run/valkey.sock",
            ),
            (
                "unix:///run/valkey.sock?db=2",
                "redis+unix:///run/valkey.sock",
            ),
            (
                "redis+sentinel://a,b:7/main/1",
                "redis+sentinel://a:26379,b:7/main",
            ),
            ("rediss+cluster://a,b:7", "rediss+cluster://a:6379,b:7"),
            ("redis://a?cluster=true", "redis+cluster://a:6379"),
        ] {
            assert_eq!(place(url), said, "{url}");
        }
    }

    #[test]
    fn settings_are_read_and_have_their_defaults() {
        let plain = ValkeyOptions::parse("redis://h").unwrap();
        assert_eq!(plain.timeout, Duration::from_millis(250));
        assert_eq!(plain.connect_timeout, Duration::from_secs(2));
        assert_eq!(plain.prefix, "fusebox:");
        let set = ValkeyOptions::parse("redis://h?prefix=a%3Ab:&timeout=1s&connect_timeout=50ms")
            .unwrap();
        assert_eq!(set.prefix, "a:b:");
        assert_eq!(set.timeout, Duration::from_secs(1));
        assert_eq!(set.connect_timeout, Duration::from_millis(50));
    }

    #[test]
    fn user_and_password_are_decoded() {
        let login = |url| ValkeyOptions::parse(url).unwrap().login;
        let both = login("redis://ann:p%40ss%3Aword@h");
        assert_eq!(both.user.as_deref(), Some("ann"));
        assert_eq!(both.password.as_deref(), Some("p@ss:word"));
        let password = login("redis://:secret@h");
        assert_eq!(password.user, None);
        assert_eq!(password.password.as_deref(), Some("secret"));
    }

    #[test]
    fn a_wrong_url_is_refused_with_the_way_to_mend_it() {
        for (url, says) in [
            ("localhost:6379", "redis://"),
            ("http://h", "redis://"),
            ("redis://", "host"),
            ("redis://h:port", "port"),
            ("redis://h:70000", "port"),
            ("redis://h/one", "database"),
            ("redis://h/1/2", "/2"),
            ("redis://a,b", "redis+cluster://"),
            ("redis://h?timeout=0s", "250ms"),
            ("redis://h?timeout=2h", "250ms"),
            ("redis://h?tiemout=1s", "timeout"),
            ("redis://h?ca=/x", "rediss://"),
            ("rediss://h?cert=/x", "key"),
            ("redis://h?prefix={a}", "brace"),
            ("redis://h?cluster=maybe", "true"),
            ("redis+cluster://h/1", "database 0"),
            ("redis+sentinel://h", "master"),
            ("redis+unix://", "socket"),
            ("redis://h#x", "%23"),
            ("redis://:100%@h", "%25"),
        ] {
            let error = ValkeyOptions::parse(url).unwrap_err().to_string();
            assert!(error.contains(says), "{url}: {error}");
        }
    }

    #[test]
    fn no_message_shows_a_password() {
        let options = ValkeyOptions::parse("redis://ann:hunter2@h").unwrap();
        assert!(!format!("{options:?}").contains("hunter2"));
        for url in [
            "redis://ann:hunter2@",
            "redis://ann:hunter2@h:port",
            "redis://ann:hunter2%@h",
            "redis://ann:hunter2@h/x",
            "redis://ann:hunter2@h#f",
            "http://ann:hunter2@h",
            "ann:hunter2@h",
            "redis://ann:hunter2@h?what=1",
            "redis://ann:hunter2/3@h",
            "redis://ann:hunter2?3@h",
        ] {
            let error = ValkeyOptions::parse(url).unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
