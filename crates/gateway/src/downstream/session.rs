//! The TLS session of a client's connection, as its requests are judged by it.

use std::sync::Arc;

use http::header::HOST;
use http::{HeaderMap, HeaderValue};
use tokio_rustls::rustls::ServerConnection;

use crate::ground::certificate;
use crate::ground::listen::ListenerKey;
use crate::live::live_plan::LiveListener;
use crate::live::shared::Shared;
use crate::request::downstream::{Downstream, SessionFacts};

/// The facts of a session that its listener needs; `None`: none.
pub fn facts(
    shared: &Shared,
    key: &ListenerKey,
    session: Option<&ServerConnection>,
) -> Option<Arc<SessionFacts>> {
    let session = session?;
    let live = shared.plan_for(key);
    let tls = live.listener(key)?.tls.as_ref()?.current();
    let settings = &tls.settings;
    if settings.also.is_empty() && settings.clients.is_none() {
        return None;
    }
    let several = !settings.also.is_empty();
    let server_name = session.server_name().filter(|_| several);
    let certificates = session.peer_certificates().unwrap_or_default();
    let subject = settings.clients.as_ref().map(|_| {
        let own = certificates.first();
        own.map_or(HeaderValue::from_static(""), |own| {
            certificate::subject(own)
        })
    });
    Some(Arc::new(SessionFacts {
        server_name: server_name.map(Box::from),
        subject,
        certificate: settings
            .clients
            .as_ref()
            .and_then(|_| certificates.first().cloned().map(|own| own.into_owned())),
    }))
}

/// True if a request is for a host whose certificate is not the one that its connection asked for: another one of the
/// listener's. A client that has asked for no name may name any host, and so may one of a listener with one certificate.
pub fn is_misdirected(
    downstream: &Downstream,
    listener: &LiveListener,
    headers: &HeaderMap,
) -> bool {
    let facts = || {
        let asked_for = downstream.session.as_ref()?.server_name.as_deref()?;
        let host = headers.get(HOST)?.to_str().ok()?;
        let tls = listener.tls.as_ref()?.current();
        Some(tls.is_misdirected(asked_for, without_port(host)))
    };
    facts().unwrap_or(false)
}

/// A host without its port.
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_not_part_of_a_name() {
        for (host, name) in [
            ("a.test:8443", "a.test"),
            ("a.test", "a.test"),
            ("[::1]:80", "[::1]"),
            ("[::1]", "[::1]"),
        ] {
            assert_eq!(without_port(host), name);
        }
    }
}
