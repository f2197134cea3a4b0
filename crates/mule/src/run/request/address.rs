//! The address of a request: its server, its path and its query.

use std::sync::Arc;

use fusebox_plan::plan::Endpoint;
use http::Uri;
use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};

use super::expression;
use crate::Event;
use crate::app::{Request, Requester};
use crate::run::engine::{At, Run};
use crate::run::error::{Done, MuleError};

/// Characters that are encoded in a target. `%` is left alone, so that encoded text stays as it is.
const ILLEGAL: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'<')
    .add(b'>')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// Characters that are encoded in a value that becomes part of a target.
pub(super) const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The server and the target of a request.
pub(super) struct Address {
    pub tls: bool,
    pub host: Arc<str>,
    pub port: u16,
    /// Path and query.
    pub target: String,
}

impl Run {
    /// The address of a request, of its own `url` or of its configuration.
    pub(super) fn address(&self, at: At<'_>, it: &Request, event: &Event) -> Done<Address> {
        if let Some(given) = &it.url {
            let url = self.text(at, given, event)?.unwrap_or_default();
            return parse(&self.filled(at, it, &url, event)?);
        }
        let Some(config) = it.config.as_deref() else {
            return Err(expression("the request has neither a url nor a config-ref"));
        };
        let path = self.text(at, &it.path, event)?.unwrap_or_default();
        let base = match &config.computed.base_path {
            Some(given) => self.text(at, given, event)?,
            None => None,
        };
        let base = base.as_deref().unwrap_or(&config.base_path);
        let path = self.filled(at, it, &joined(base, &path), event)?;
        let (host, port) = self.server(at, config, event)?;
        Ok(Address {
            tls: config.tls,
            host,
            port,
            target: utf8_percent_encode(&path, ILLEGAL).to_string(),
        })
    }

    /// The host and the port of a configuration, as far as they are computed for each request.
    fn server(&self, at: At<'_>, config: &Requester, event: &Event) -> Done<(Arc<str>, u16)> {
        let Some(host) = &config.computed.host else {
            if config.host.is_empty() {
                let what = format!("the configuration '{}' has no host", config.name);
                return Err(MuleError::new("HTTP:CONNECTIVITY", what).into());
            }
            return Ok((config.host.clone(), config.port));
        };
        let host = self.text(at, host, event)?.unwrap_or_default();
        let host = host.trim().trim_matches(['[', ']']);
        // Nothing else may come into the address with it.
        let is_host = |char: char| char.is_alphanumeric() || "-._:%".contains(char);
        if host.is_empty() || !host.chars().all(is_host) {
            return Err(expression(format!("'{host}' is not a host name")));
        }
        let port = match &config.computed.port {
            Some(port) => {
                let port = self.given(at, port, event)?.whole()?;
                let in_range = u16::try_from(port).ok().filter(|port| *port > 0);
                in_range.ok_or_else(|| {
                    let what = format!("the port {port} is not from 1 to 65535");
                    MuleError::new("HTTP:CONNECTIVITY", what)
                })?
            }
            None if config.tls => 443,
            None => 80,
        };
        Ok((host.into(), port))
    }

    /// A path whose `{name}`s are replaced by the values of `http:uri-params`.
    fn filled(&self, at: At<'_>, it: &Request, path: &str, event: &Event) -> Done<String> {
        let Some(given) = &it.uri_params else {
            return Ok(path.to_owned());
        };
        let mut path = path.to_owned();
        for (name, value) in self.fields(at, given, event)? {
            let value = value.ok_or_else(|| expression(format!("uri-param '{name}' is null")))?;
            let value = utf8_percent_encode(&value, RESERVED).to_string();
            path = path.replace(&format!("{{{name}}}"), &value);
        }
        Ok(path)
    }
}

/// A request's path below its configuration's base path.
fn joined(base: &str, path: &str) -> String {
    let base = base.trim_matches('/');
    let base = match base {
        "" => String::new(),
        base => format!("/{base}"),
    };
    match path.strip_prefix('/').unwrap_or(path) {
        "" if !base.is_empty() && !path.starts_with('/') => base,
        path => format!("{base}/{path}"),
    }
}

/// Reads a whole URL.
fn parse(url: &str) -> Done<Address> {
    let encoded = utf8_percent_encode(url.trim(), ILLEGAL).to_string();
    let wrong = || expression(format!("'{url}' is not a URL; write http://host:port/path"));
    let uri: Uri = encoded.parse().map_err(|_| wrong())?;
    let tls = match uri.scheme_str() {
        Some("http") => false,
        Some("https") => true,
        _ => return Err(wrong()),
    };
    let authority = uri.authority().filter(|it| !it.host().is_empty());
    let authority = authority.ok_or_else(wrong)?;
    let port = Endpoint::port_of(authority, tls).ok_or_else(|| {
        let what = format!("the port of '{url}' is not from 1 to 65535");
        MuleError::new("HTTP:CONNECTIVITY", what)
    })?;
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    let target = match target.strip_prefix('?') {
        Some(query) => format!("/?{query}"),
        None => target.to_owned(),
    };
    Ok(Address {
        tls,
        host: authority.host().trim_matches(['[', ']']).into(),
        port,
        target,
    })
}
