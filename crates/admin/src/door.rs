//! Who may come in: the checks that stand before every route of the admin API.
//!
//! A page in a browser on this machine can send requests here, also by a name that it points to
//! loopback after the fact (DNS rebinding). So `Host` must be an address or `localhost`, and an
//! `Origin` must be this very host, whatever the method. A token, where there is one, is asked for
//! before any of the body is read.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use fusebox_plan::plan::Secret;
use http::HeaderMap;
use http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, HOST, HeaderValue, ORIGIN,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};

use crate::problem::{Detail, Problem};

/// Wrong tokens that one address may send in a second.
const WRONG_MAX: u32 = 10;
const WRONG_WITHIN: Duration = Duration::from_secs(1);
/// Addresses whose wrong tokens are remembered at once.
const ADDRESSES_MAX: usize = 1_024;

/// The checks and what they remember.
#[derive(Debug, Clone)]
pub struct Door(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    token: Option<Secret>,
    wrong: Mutex<HashMap<IpAddr, (Instant, u32)>>,
}

impl Door {
    /// A door that asks for `token`, if there is one.
    pub fn new(token: Option<Secret>) -> Door {
        Door(Arc::new(Inner {
            token,
            wrong: Mutex::default(),
        }))
    }

    fn check(&self, peer: IpAddr, path: &str, headers: &HeaderMap) -> Result<(), Problem> {
        let host = host(headers)?;
        origin(headers, host)?;
        if matches!(path, "/healthz" | "/readyz") {
            return Ok(());
        }
        let Some(token) = &self.0.token else {
            return Ok(());
        };
        self.not_too_many(peer)?;
        let sent = headers
            .get(AUTHORIZATION)
            .map_or(&b""[..], HeaderValue::as_bytes);
        let sent = sent.strip_prefix(b"Bearer ").unwrap_or_default();
        verify_slices_are_equal(sent, token.reveal().as_bytes()).map_err(|_| {
            self.note_wrong(peer);
            Problem::unauthorized()
        })
    }

    fn not_too_many(&self, peer: IpAddr) -> Result<(), Problem> {
        let wrong = self.0.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        match wrong.get(&peer) {
            Some((since, count)) if *count >= WRONG_MAX && since.elapsed() < WRONG_WITHIN => {
                Err(Problem::too_many())
            }
            _ => Ok(()),
        }
    }

    fn note_wrong(&self, peer: IpAddr) {
        let mut wrong = self.0.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        if wrong.len() >= ADDRESSES_MAX {
            wrong.retain(|_, (since, _)| since.elapsed() < WRONG_WITHIN);
        }
        let entry = wrong.entry(peer).or_insert((Instant::now(), 0));
        if entry.0.elapsed() >= WRONG_WITHIN {
            *entry = (Instant::now(), 0);
        }
        entry.1 += 1;
    }
}

/// The one `Host`, which must be an address or `localhost`.
fn host(headers: &HeaderMap) -> Result<&str, Problem> {
    let mut hosts = headers.get_all(HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return Err(Problem::bad_request("send one Host field"));
    };
    let host = host
        .to_str()
        .map_err(|_| Problem::bad_request("Host is not a host and port"))?;
    let local = host.parse::<SocketAddr>().is_ok()
        || host.parse::<IpAddr>().is_ok()
        || host
            .strip_prefix('[')
            .and_then(|h| h.strip_suffix(']'))
            .is_some_and(|h| h.parse::<IpAddr>().is_ok())
        || host
            .split_once(':')
            .map_or(host, |(name, port)| {
                if port.parse::<u16>().is_ok() {
                    name
                } else {
                    ""
                }
            })
            .eq_ignore_ascii_case("localhost");
    if local {
        Ok(host)
    } else {
        Err(Problem::forbidden(
            "call the admin API by its address or as localhost, not by another name",
        ))
    }
}

fn origin(headers: &HeaderMap, host: &str) -> Result<(), Problem> {
    let own = |origin: &HeaderValue| {
        let text = origin.to_str().unwrap_or_default();
        let authority = text
            .strip_prefix("http://")
            .or_else(|| text.strip_prefix("https://"));
        authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host))
    };
    if headers.get_all(ORIGIN).iter().all(own) {
        Ok(())
    } else {
        Err(Problem::forbidden(
            "pages of other origins may not call the admin API",
        ))
    }
}

/// Lets a request in or not, and puts on every answer what keeps a browser from misusing it.
pub async fn guard(
    State(door): State<Door>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
    next: Next,
) -> Response {
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let mut response = match door.check(peer.ip(), uri.path(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    };
    if let Some(Detail(reason)) = response.extensions().get() {
        let (path, status) = (uri.path(), response.status().as_u16());
        tracing::debug!(%peer, %method, path, status, %reason, "admin request refused");
    }
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"),
    );
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
        fields
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect()
    }

    #[test]
    fn only_addresses_and_localhost_are_hosts() {
        for good in [
            "127.0.0.1",
            "127.0.0.1:9900",
            "[::1]:9900",
            "[::1]",
            "localhost",
            "LOCALHOST:9900",
        ] {
            assert!(host(&headers(&[("host", good)])).is_ok(), "{good}");
        }
        for bad in [
            "localhost.evil.example",
            "evil.example:9900",
            "127.0.0.1.evil.example",
            "localhost:x",
            "",
        ] {
            assert!(host(&headers(&[("host", bad)])).is_err(), "{bad}");
        }
    }

    #[test]
    fn foreign_and_null_origins_are_refused() {
        let door = Door::new(None);
        let check = |origin: &str| {
            door.check(
                PEER,
                "/metrics",
                &headers(&[("host", "127.0.0.1:9900"), ("origin", origin)]),
            )
        };
        assert!(check("http://127.0.0.1:9900").is_ok());
        assert!(check("http://evil.example").is_err());
        assert!(check("null").is_err());
        assert!(check("http://127.0.0.1:1").is_err());
    }

    #[test]
    fn a_token_is_asked_for_and_guessing_is_slowed_down() {
        let door = Door::new(Some(Secret::new("s3cret")));
        let check = |token: &str| {
            let token = format!("Bearer {token}");
            door.check(
                PEER,
                "/metrics",
                &headers(&[("host", "localhost"), ("authorization", &token)]),
            )
        };
        assert!(check("s3cret").is_ok());
        assert!(
            door.check(PEER, "/healthz", &headers(&[("host", "localhost")]))
                .is_ok()
        );
        for _ in 0..WRONG_MAX {
            assert_eq!(check("guess"), Err(Problem::unauthorized()));
        }
        assert_eq!(check("s3cret"), Err(Problem::too_many()));
    }
}
