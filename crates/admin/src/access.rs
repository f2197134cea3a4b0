//! Access to the admin API: the checks before every route.
//!
//! A page in a browser on this machine can send requests here, even by a name that is pointed to loopback later (DNS
//! rebinding). So `Host` must be an address or `localhost`, and an `Origin` must be this very host, whatever the
//! method. The token, if one is configured, is checked before any of the body is read. A Unix socket's clients are admitted
//! by the mode of its file: no page in a browser reaches it.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use fusebox_plan::plan::Secret;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HOST, HeaderValue, ORIGIN, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use http::{HeaderMap, Method, Uri};

use crate::health;
use crate::page;
use crate::problem::{Detail, Problem};
use crate::problem_kind::Kind;
use crate::socket::Peer;
use crate::token::{Grant, Token};

/// The beginning of the paths that `admin.service_token` is for.
const CALLS: &str = "/api/v1/calls/";

/// The checks before every route, with the token if one is configured.
#[derive(Debug, Clone)]
pub struct Access(Option<Arc<Token>>);

impl Access {
    /// Checks that require `token`, if there is one; for requests that change nothing, `read` does as well, and for those
    /// below [`CALLS`] `service`.
    pub fn new(token: Option<&Secret>, read: Option<&Secret>, service: Option<&Secret>) -> Access {
        Access(token.map(|token| Arc::new(Token::new(token, read, service))))
    }

    /// The rights of a request, which over a Unix socket are all there are.
    fn admit(
        &self,
        peer: Peer,
        method: &Method,
        target: &Uri,
        headers: &HeaderMap,
    ) -> Result<Grant, Problem> {
        match peer {
            Peer::Address(peer) => self.check(peer.ip(), method, target, headers),
            Peer::Unix => Ok(Grant::All),
        }
    }

    fn check(
        &self,
        peer: IpAddr,
        method: &Method,
        target: &Uri,
        headers: &HeaderMap,
    ) -> Result<Grant, Problem> {
        let host = host(headers)?;
        origin(headers, host)?;
        let grant = match &self.0 {
            Some(token) if !is_open(target) => token.check(peer, headers)?,
            _ => Grant::All,
        };
        if grant == Grant::Read && !matches!(*method, Method::GET | Method::HEAD) {
            return Err(Problem::new(Kind::ReadOnly, "this token may only read"));
        }
        if grant == Grant::Service && !target.path().starts_with(CALLS) {
            let what = "this token may only ask breakers and report to them, at /api/v1/calls";
            return Err(Problem::new(Kind::ServiceOnly, what));
        }
        Ok(grant)
    }
}

/// True for targets that need no token: those of load balancers reveal only yes or no, the dashboard's page nothing.
fn is_open(target: &Uri) -> bool {
    match target.path() {
        "/healthz" => true,
        "/readyz" => !health::is_verbose(target.query()),
        // The dashboard holds no data; its script sends the token with what it asks for.
        "/" => true,
        path => path.starts_with(page::FOLDER),
    }
}

/// The only `Host` field, which must be an address or `localhost`.
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
        Err(Problem::new(
            Kind::ForeignHost,
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
        Err(Problem::new(
            Kind::ForeignOrigin,
            "pages of other origins may not call the admin API",
        ))
    }
}

/// True for a requester of the open page who may also read what it shows.
#[derive(Debug, Clone, Copy)]
pub struct MayRead(pub bool);

/// Admits or refuses a request, and adds fields to every answer that keep a browser from misusing it.
pub async fn check(
    State(access): State<Access>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    mut request: Request,
    next: Next,
) -> Response {
    let (method, uri) = (request.method().clone(), request.uri().clone());
    if uri.path() == "/" {
        let state = Uri::from_static("/api/v1/state");
        let may_read = access.admit(peer, &Method::GET, &state, request.headers());
        request.extensions_mut().insert(MayRead(may_read.is_ok()));
    }
    let mut response = match access.admit(peer, &method, &uri, request.headers()) {
        Ok(grant) => {
            request.extensions_mut().insert(grant);
            next.run(request).await
        }
        Err(problem) => problem.into_response(),
    };
    if let Some(Detail(reason)) = response.extensions().get() {
        let (path, status) = (uri.path(), response.status().as_u16());
        tracing::debug!(%peer, %method, path, status, %reason, "admin request refused");
    }
    let headers = response.headers_mut();
    // The page brings a policy of its own, and may be kept.
    headers
        .entry(CONTENT_SECURITY_POLICY)
        .or_insert(HeaderValue::from_static(
            "default-src 'none'; frame-ancestors 'none'",
        ));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers
        .entry(CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
    const HOST_IS: (&str, &str) = ("host", "127.0.0.1:9900");

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
        let access = Access::new(None, None, None);
        let check = |origin: &str| {
            let headers = headers(&[HOST_IS, ("origin", origin)]);
            let target = Uri::from_static("/metrics");
            access.check(PEER, &Method::GET, &target, &headers)
        };
        assert!(check("http://127.0.0.1:9900").is_ok());
        assert!(check("http://evil.example").is_err());
        assert!(check("null").is_err());
        assert!(check("http://127.0.0.1:1").is_err());
    }

    #[test]
    fn every_route_with_content_requires_the_token() {
        let access = Access::new(Some(&Secret::new("s3cret")), None, None);
        let check = |target: &'static str, fields: &[(&'static str, &str)]| {
            let target = Uri::from_static(target);
            let headers = headers(&[&[HOST_IS], fields].concat());
            access
                .check(PEER, &Method::GET, &target, &headers)
                .map(drop)
        };
        for open in [
            "/healthz",
            "/healthz?verbose",
            "/readyz",
            "/readyz?a=verbose",
            "/",
            "/page/main.js",
        ] {
            assert_eq!(check(open, &[]), Ok(()), "{open}");
        }
        for shut in [
            "/readyz?verbose",
            "/readyz?a&verbose=1",
            "/readyz/",
            "//healthz",
            "/metrics",
            "/api/v1/breakers",
            "//",
            "/page",
        ] {
            assert_eq!(check(shut, &[]), Err(Problem::unauthorized()), "{shut}");
            let token = ("authorization", "Bearer s3cret");
            assert_eq!(check(shut, &[token]), Ok(()), "{shut}");
        }
    }

    #[test]
    fn a_unix_socket_needs_neither_token_nor_host() {
        let access = Access::new(Some(&Secret::new("s3cret")), None, None);
        let target = Uri::from_static("/metrics");
        for method in [Method::GET, Method::POST] {
            let granted = access.admit(Peer::Unix, &method, &target, &headers(&[]));
            assert_eq!(granted, Ok(Grant::All));
        }
        let peer = Peer::Address((PEER, 1).into());
        let refused = access.admit(peer, &Method::GET, &target, &headers(&[HOST_IS]));
        assert_eq!(refused, Err(Problem::unauthorized()));
    }

    #[test]
    fn the_service_token_admits_questions_and_reports_alone() {
        let secrets = ["s3cret", "r3ad", "s3rve"].map(Secret::new);
        let access = Access::new(Some(&secrets[0]), Some(&secrets[1]), Some(&secrets[2]));
        let check = |method: Method, target: &'static str| {
            let headers = headers(&[HOST_IS, ("authorization", "Bearer s3rve")]);
            access.check(PEER, &method, &Uri::from_static(target), &headers)
        };
        for method in [Method::GET, Method::POST] {
            let granted = check(method, "/api/v1/calls/stripe/check");
            assert_eq!(granted, Ok(Grant::Service));
        }
        for target in [
            "/metrics",
            "/api/v1/breakers",
            "/api/v1/breakers/stripe/open",
            "/api/v1/state",
            "/api/v1/calls",
            "/api/v1/callsigns/x",
            "/openapi.json",
        ] {
            for method in [Method::GET, Method::POST] {
                assert!(check(method, target).is_err(), "{target}");
            }
        }
    }

    #[test]
    fn the_read_token_admits_only_what_changes_nothing() {
        let (token, read) = (Secret::new("s3cret"), Secret::new("r3ad"));
        let access = Access::new(Some(&token), Some(&read), None);
        let check = |method: Method, token: &str| {
            let headers = headers(&[HOST_IS, ("authorization", token)]);
            access.check(PEER, &method, &Uri::from_static("/metrics"), &headers)
        };
        for method in [Method::GET, Method::HEAD] {
            assert_eq!(check(method, "Bearer r3ad"), Ok(Grant::Read));
        }
        for method in [Method::POST, Method::PUT, Method::DELETE] {
            assert_eq!(check(method.clone(), "Bearer s3cret"), Ok(Grant::All));
            let refused = Err(Problem::new(Kind::ReadOnly, "this token may only read"));
            assert_eq!(check(method, "Bearer r3ad"), refused);
        }
    }
}
