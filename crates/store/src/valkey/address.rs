//! Parses a server's URL into its parts, without ever revealing its password.

use percent_encoding::percent_decode_str;
use std::path::PathBuf;

/// The network address of one server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Endpoint {
    Tcp(String, u16),
    Unix(PathBuf),
}

/// The kind of deployment, from the URL's scheme.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Single,
    Unix,
    Sentinel,
    Cluster,
}

/// A URL's parts, decoded.
pub(super) struct Parts {
    pub(super) kind: Kind,
    pub(super) tls: bool,
    pub(super) user: Option<String>,
    pub(super) password: Option<String>,
    hosts: String,
    pub(super) path: Vec<String>,
    pub(super) settings: Vec<(String, String)>,
}

impl Parts {
    pub(super) fn of(url: &str) -> Result<Parts, String> {
        let (scheme, rest) = url
            .split_once("://")
            .ok_or("it has no scheme; write redis://host:6379")?;
        let (kind, tls) = match scheme {
            "redis" | "valkey" => (Kind::Single, false),
            "rediss" | "valkeys" => (Kind::Single, true),
            "redis+unix" | "valkey+unix" | "unix" => (Kind::Unix, false),
            "redis+sentinel" | "valkey+sentinel" => (Kind::Sentinel, false),
            "rediss+sentinel" | "valkeys+sentinel" => (Kind::Sentinel, true),
            "redis+cluster" | "valkey+cluster" => (Kind::Cluster, false),
            "rediss+cluster" | "valkeys+cluster" => (Kind::Cluster, true),
            _ => {
                return Err(format!(
                    "unknown scheme \"{scheme}\"; expected redis://, rediss://, \
                     redis+unix://, redis+sentinel:// or redis+cluster://"
                ));
            }
        };
        if rest.contains('#') {
            return Err("it contains a #; write %23 instead".to_owned());
        }
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        // Otherwise a part of a password would be taken for a host, and shown.
        if path.contains('@') || query.contains('@') {
            return Err(
                "it contains an @ after its hosts; write %40 instead, and encode / and ? \
                        in a password as %2F and %3F"
                    .to_owned(),
            );
        }
        let (login, hosts) = match authority.rsplit_once('@') {
            Some((login, hosts)) => (Some(login), hosts),
            None => (None, authority),
        };
        let (user, password) = login
            .map(|login| login.split_once(':').unwrap_or((login, "")))
            .unwrap_or_default();
        let some = |text: &str, what| {
            let text = decoded(text, what)?;
            Ok::<_, String>((!text.is_empty()).then_some(text))
        };
        Ok(Parts {
            kind,
            tls,
            user: some(user, "user")?,
            password: some(password, "password")?,
            hosts: hosts.to_owned(),
            path: path
                .split('/')
                .map(|part| decoded(part, "path"))
                .collect::<Result<_, _>>()?,
            settings: query
                .split('&')
                .filter(|setting| !setting.is_empty())
                .map(|setting| {
                    let (name, value) = setting.split_once('=').unwrap_or((setting, ""));
                    Ok::<_, String>((decoded(name, "setting")?, decoded(value, "setting")?))
                })
                .collect::<Result<_, _>>()?,
        })
    }

    /// The hosts, at least one, with `port` as the default port.
    pub(super) fn hosts(&self, port: u16) -> Result<Vec<(String, u16)>, String> {
        self.hosts.split(',').map(|text| host(text, port)).collect()
    }
}

/// Formats a host and port as in a URL.
pub(super) fn authority(host: &str, port: u16) -> String {
    if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

fn host(text: &str, default: u16) -> Result<(String, u16), String> {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, port)) => (host, port.strip_prefix(':')),
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    if host.is_empty() {
        return Err("it has no host; write redis://host:6379".to_owned());
    }
    let port = match port {
        None => default,
        Some(port) => port.parse().ok().filter(|port| *port > 0).ok_or_else(|| {
            format!("\"{port}\" is not a port; write a number from 1 to 65535 after the host")
        })?,
    };
    Ok((host.to_owned(), port))
}

/// Decodes percent-encoded text. The error names the part (`what`) but not its text, which may be secret.
fn decoded(text: &str, what: &str) -> Result<String, String> {
    let whole = text.split('%').skip(1).all(|rest| {
        let code = rest.as_bytes().get(..2).unwrap_or_default();
        code.len() == 2 && code.iter().all(u8::is_ascii_hexdigit)
    });
    if !whole {
        return Err(format!(
            "its {what} contains a % without two hexadecimal digits; write %25 for a percent sign"
        ));
    }
    let text = percent_decode_str(text).decode_utf8();
    text.map(Into::into)
        .map_err(|_| format!("its {what} is not UTF-8 once decoded; encode it as UTF-8"))
}
