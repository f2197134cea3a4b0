//! Upstreams behind TLS: whose certificate is trusted, and what happens if it is not.

use std::path::Path;
use std::sync::Arc;

use crate::support::{Gateway, Setup, Upstream, eventually, orders_at};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// An authority that signs certificates for the tests.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new(name: &str) -> Authority {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, name);
        Authority(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// What a server needs that is called so.
    fn server(&self, name: &str) -> Arc<ServerConfig> {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let cert = params.signed_by(&key, &self.0).unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)
            .unwrap();
        Arc::new(config)
    }

    fn write(&self, path: &Path) {
        std::fs::write(path, self.0.pem()).unwrap();
    }
}

/// A gateway that trusts `authority` and calls `url`.
fn trusting(authority: &Authority, url: &str) -> (Gateway, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ca.pem");
    authority.write(&path);
    let breaker = "{ trip: { consecutive_failures: 2 }, cooldown: 60s }";
    let gateway = Setup::new(orders_at(url, breaker))
        .workers(1)
        .env("SSL_CERT_FILE", path.to_str().unwrap())
        .start();
    (gateway, dir)
}

fn https(upstream: &Upstream, host: &str) -> String {
    format!("https://{host}:{}", upstream.addr().port())
}

/// Two calls fail as `reason` and trip the breaker.
#[track_caller]
fn fails(gateway: &Gateway, reason: &str) {
    for failures in 1..=2 {
        let response = gateway.get("/a");
        assert_eq!(response.status, 502);
        assert_eq!(response.json()["reason"], reason, "{}", response.text());
        assert_eq!(gateway.outcomes("orders"), (0, failures, 0));
    }
    assert_eq!(gateway.get("/a").status, 503);
}

#[test]
fn a_trusted_upstream_is_called() {
    let authority = Authority::new("ours");
    for (name, host) in [("localhost", "localhost"), ("127.0.0.1", "127.0.0.1")] {
        let upstream = Upstream::start_tls(authority.server(name), |call| {
            let body = call.text();
            call.respond(200, &body);
        });
        let (gateway, _dir) = trusting(&authority, &https(&upstream, host));
        let mut client = gateway.client();
        let large = "x".repeat(300_000);
        for body in ["", "small", large.as_str()] {
            assert_eq!(client.post("/a", body).text(), body);
        }
        assert_eq!(upstream.connections(), 1, "kept and used again");
        let seen = upstream.last().fields;
        let wanted = format!("{host}:{}", upstream.addr().port());
        assert_eq!(seen.get("host"), Some(wanted.as_str()));
        assert_eq!(
            seen.get("x-forwarded-proto"),
            Some("http"),
            "how the client came"
        );
        assert_eq!(gateway.outcomes("orders"), (3, 0, 0));
    }
}

#[test]
fn an_upstream_of_another_name_fails() {
    let authority = Authority::new("ours");
    let upstream =
        Upstream::start_tls(authority.server("other.test"), |call| call.respond(200, ""));
    let (gateway, _dir) = trusting(&authority, &https(&upstream, "localhost"));
    fails(&gateway, "tls");
    assert_eq!(upstream.calls(), 0);
}

#[test]
fn an_upstream_of_an_unknown_authority_fails() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let upstream = Upstream::start_tls(theirs.server("localhost"), |call| call.respond(200, ""));
    let (gateway, _dir) = trusting(&ours, &https(&upstream, "localhost"));
    fails(&gateway, "tls");
    assert_eq!(upstream.calls(), 0);
}

#[test]
fn an_upstream_that_does_not_speak_tls_fails() {
    let plain = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = plain.local_addr().unwrap();
    std::thread::spawn(move || {
        for socket in plain.incoming().flatten() {
            let mut wire = crate::support::Wire::plain(socket).unwrap();
            wire.read_some().ok();
            wire.send("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
                .ok();
            wire.read_to_end().ok();
        }
    });
    let authority = Authority::new("ours");
    let (gateway, _dir) = trusting(&authority, &format!("https://localhost:{}", addr.port()));
    fails(&gateway, "tls");
}

#[test]
fn a_handshake_that_hangs_is_a_failure_to_connect() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://localhost:{}", silent.local_addr().unwrap().port());
    let breaker = "{ trip: { consecutive_failures: 2 } }\n    timeout: { connect: 500ms }";
    let gateway = Gateway::run(orders_at(&url, breaker));
    fails(&gateway, "connect");
}

#[test]
fn a_tls_upstream_that_cuts_its_body_is_one_failure() {
    let authority = Authority::new("ours");
    let upstream = Upstream::start_tls(authority.server("localhost"), |call| {
        call.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
        call.close();
    });
    let (gateway, _dir) = trusting(&authority, &https(&upstream, "localhost"));
    let mut client = gateway.client();
    client.send("GET /a HTTP/1.1\r\nHost: gateway.test\r\n\r\n");
    assert!(client.try_response_to("GET").is_err());
    eventually("it is counted", || gateway.outcomes("orders") == (0, 1, 0));
}

#[test]
fn a_tls_body_that_ends_with_its_connection_must_be_closed_properly() {
    let authority = Authority::new("ours");
    let upstream = Upstream::start_tls(authority.server("localhost"), |call| {
        call.send("HTTP/1.1 200 OK\r\n\r\nno length, and no close_notify");
        call.close();
    });
    let (gateway, _dir) = trusting(&authority, &https(&upstream, "localhost"));
    let mut client = gateway.client();
    client.send("GET /a HTTP/1.1\r\nHost: gateway.test\r\n\r\n");
    // Whoever sits between could have cut it (RFC 9112, section 9.8).
    assert!(client.try_response_to("GET").is_err());
    eventually("it is counted", || gateway.outcomes("orders") == (0, 1, 0));
}
