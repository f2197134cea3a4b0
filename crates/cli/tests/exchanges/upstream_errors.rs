//! Errors between the gateway and its upstreams: each has a kind in the metrics, one warning with its name in the log,
//! and its name in the breaker's reason.

use std::fmt::Write as _;
use std::net::{SocketAddr, TcpListener};

use crate::support::{Gateway, Refusing, Setup, Upstream, eventually};

const KINDS: [&str; 9] = [
    "connect",
    "dns",
    "tls",
    "timeout",
    "reset",
    "truncated",
    "protocol",
    "limit",
    "client",
];

/// A file with an upstream for each name, behind a route of that name; two failures trip its breaker.
fn file(upstreams: &[(&str, &str)], timeout: &str) -> String {
    let mut yaml = "listen: 127.0.0.1:0\nlimits: { head: 16KiB }\nupstreams:\n".to_owned();
    for (name, url) in upstreams {
        let breaker = "{ trip: { consecutive_failures: 2 }, cooldown: 60s }";
        writeln!(
            yaml,
            "  {name}: {{ url: \"{url}\", timeout: {timeout}, breaker: {breaker} }}"
        )
        .unwrap();
    }
    yaml.push_str("routes:\n");
    for (name, _) in upstreams {
        writeln!(yaml, "  - {{ path: /{name}, upstream: {name} }}").unwrap();
    }
    yaml
}

/// What the metrics have of an upstream's errors: the kinds that are not zero.
fn errors(gateway: &Gateway, upstream: &str) -> Vec<(&'static str, u64)> {
    let metrics = gateway.admin_get("/metrics").text();
    let count = |kind: &str| {
        let series =
            format!("fusebox_upstream_errors_total{{upstream=\"{upstream}\",kind=\"{kind}\"}} ");
        let line = metrics.lines().find_map(|line| line.strip_prefix(&series));
        line.expect("every kind has a series").parse().unwrap()
    };
    let counts = KINDS.map(|kind| (kind, count(kind)));
    counts.into_iter().filter(|(_, count)| *count > 0).collect()
}

/// Waits for a line of the log that begins so.
#[track_caller]
fn said(gateway: &Gateway, begin: &str) {
    gateway.log_line(|line| {
        let message = line["message"].as_str();
        message.is_some_and(|message| message.starts_with(begin))
    });
}

/// The warnings about an upstream that have been read by now.
fn warnings(gateway: &Gateway, upstream: &str) -> Vec<String> {
    let lines = gateway.log();
    let lines = lines
        .iter()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    lines
        .filter(|line| line["level"] == "WARN" && line["upstream"] == upstream)
        .map(|line| line["message"].as_str().unwrap().to_owned())
        .collect()
}

/// Two calls fail in one way: they are counted under `kind`, warned of once, and named in the breaker's reason.
#[track_caller]
fn fails(gateway: &Gateway, upstream: &str, kind: &'static str, word: &str) {
    for _ in 0..2 {
        let mut client = gateway.client();
        client.send(format!(
            "GET /{upstream} HTTP/1.1\r\nHost: gateway.test\r\n\r\n"
        ));
        // A response that breaks off is what some of them are about.
        if let Ok(Some(response)) = client.try_response_to("GET") {
            assert!(response.status >= 500, "{upstream}: {}", response.text());
        }
    }
    let say = format!("{upstream} is {kind}: {word}");
    eventually(&say, || gateway.outcomes(upstream).1 == 2);
    assert_eq!(errors(gateway, upstream), [(kind, 2)], "{say}");
    // Said after the errors that led to it.
    said(gateway, &format!("breaker {upstream} is open"));
    let warned = warnings(gateway, upstream);
    assert_eq!(warned.len(), 1, "{warned:?}");
    let begin = if kind == word {
        format!("a call to upstream {upstream} failed: {kind}")
    } else {
        format!("a call to upstream {upstream} failed: {kind}: {word}")
    };
    assert!(warned[0].starts_with(&begin), "{warned:?}");
    let reason = gateway.breaker(upstream)["reason"].clone();
    let wanted = format!("2 consecutive failures: 2 × {word} (the limit is 2)");
    assert_eq!(reason, wanted.as_str());
}

/// An upstream that answers every request with bytes as they stand and ends the connection.
fn says(bytes: &'static str) -> Upstream {
    Upstream::start(move |call| {
        call.send(bytes);
        call.close();
    })
}

/// A listener whose queue is full, so that no connection is made.
fn full() -> (socket2::Socket, Vec<socket2::Socket>, SocketAddr) {
    use socket2::{Domain, Socket, Type};
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    listener.bind(&any.into()).unwrap();
    listener.listen(0).unwrap();
    let addr = listener.local_addr().unwrap().as_socket().unwrap();
    let waiting = (0..4).map(|_| {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_nonblocking(true).unwrap();
        socket.connect(&addr.into()).ok();
        socket
    });
    let waiting = waiting.collect();
    (listener, waiting, addr)
}

#[test]
fn a_connection_that_is_not_made_is_told_by_its_cause() {
    let refusing = Refusing::new();
    let (_listener, _waiting, full) = full();
    let full = format!("http://{full}");
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = format!("https://{}", silent_addr(&silent));
    let upstreams = [
        ("refused", refusing.url()),
        ("full", full),
        ("silent", silent),
        ("unknown", "http://no-such-service.invalid".to_owned()),
    ];
    let upstreams = upstreams
        .each_ref()
        .map(|(name, url)| (*name, url.as_str()));
    let gateway = Gateway::run(file(&upstreams, "{ connect: 500ms }"));
    fails(&gateway, "refused", "connect", "refused");
    fails(&gateway, "full", "connect", "connect timed out");
    fails(&gateway, "silent", "tls", "handshake timed out");
    assert!(warnings(&gateway, "refused")[0].contains("127.0.0.1:"));

    // Without a network a lookup ends at once or asks in vain, so the word is one of three.
    for _ in 0..2 {
        assert_eq!(gateway.get("/unknown").json()["reason"], "connect");
    }
    assert_eq!(errors(&gateway, "unknown"), [("dns", 2)]);
    said(&gateway, "breaker unknown is open");
    let warned = warnings(&gateway, "unknown");
    assert!(warned[0].contains("failed: dns: name "), "{warned:?}");
    let reason = gateway.breaker("unknown")["reason"].clone();
    let reason = reason.as_str().unwrap();
    assert!(reason.contains("2 × name "), "{reason}");
}

fn silent_addr(listener: &TcpListener) -> String {
    format!("localhost:{}", listener.local_addr().unwrap().port())
}

#[test]
fn a_response_that_fails_is_told_by_its_cause() {
    let reset = Upstream::start(|call| call.reset());
    let closed = Upstream::start(|call| call.close());
    let half = says("HTTP/1.1 200 OK\r\nContent-");
    let hung = Upstream::start(|call| {
        call.hang();
    });
    let silent = Upstream::start(|call| {
        call.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
        call.hang();
    });
    let cut = says("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
    let chunk = says("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n");
    let status = says("HTTP/1.1 abc OK\r\n\r\n");
    let version = says("HTTP/7.1 200 OK\r\n\r\n");
    let field = says("HTTP/1.1 200 OK\r\nno field\r\n\r\n");
    let twice =
        says("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
    let upstreams = [
        ("reset", &reset),
        ("closed", &closed),
        ("half", &half),
        ("hung", &hung),
        ("silent", &silent),
        ("cut", &cut),
        ("chunk", &chunk),
        ("status", &status),
        ("version", &version),
        ("field", &field),
        ("twice", &twice),
    ];
    let urls = upstreams.map(|(name, upstream)| (name, upstream.url()));
    let urls = urls.each_ref().map(|(name, url)| (*name, url.as_str()));
    let gateway = Gateway::run(file(&urls, "{ request: 300ms, idle: 300ms }"));
    fails(&gateway, "reset", "reset", "reset");
    fails(&gateway, "closed", "reset", "cut before the head");
    fails(&gateway, "half", "reset", "cut within the head");
    fails(&gateway, "hung", "timeout", "timeout");
    fails(&gateway, "silent", "timeout", "silent within the body");
    fails(&gateway, "cut", "truncated", "cut within the body");
    fails(&gateway, "chunk", "protocol", "malformed chunk");
    fails(&gateway, "status", "protocol", "malformed status");
    fails(&gateway, "version", "protocol", "malformed version");
    fails(&gateway, "field", "protocol", "malformed field");
    fails(&gateway, "twice", "protocol", "ambiguous body length");
}

#[test]
fn what_our_limit_refuses_and_what_a_client_breaks_is_neither_protocol_nor_reset() {
    let large = Upstream::start(|call| {
        let field = format!("x-large: {}\r\n", "x".repeat(64 * 1024));
        call.respond_with(200, &field, "");
    });
    let fine = Upstream::start(|call| call.respond(200, ""));
    let trailers = Upstream::start(|call| {
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n";
        call.send(format!("{head}x-large: {}\r\n\r\n", "x".repeat(64 * 1024)));
        call.close();
    });
    let upstreams = [("large", &large), ("trailers", &trailers), ("fine", &fine)];
    let urls = upstreams.map(|(name, upstream)| (name, upstream.url()));
    let upstreams = urls.each_ref().map(|(name, url)| (*name, url.as_str()));
    let gateway = Gateway::run(file(&upstreams, "{ request: 5s }"));
    assert_eq!(gateway.get("/large").status, 502);
    assert_eq!(errors(&gateway, "large"), [("limit", 1)]);
    let told = "a call to upstream large ended at a limit of ours: limit: head over our limit (see limits.head";
    said(&gateway, told);

    let mut client = gateway.client();
    client.send("GET /trailers HTTP/1.1\r\nHost: gateway.test\r\n\r\n");
    client.try_response_to("GET").ok();
    eventually("it is counted", || {
        errors(&gateway, "trailers") == [("limit", 1)]
    });

    let mut client = gateway.client();
    client.send(
        "POST /fine HTTP/1.1\r\nHost: gateway.test\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
    );
    client.try_response_to("POST").ok();
    eventually("it is counted", || {
        errors(&gateway, "fine") == [("client", 1)]
    });
    said(
        &gateway,
        "a call to upstream fine ended by its client's fault: client: malformed",
    );
    assert!(warnings(&gateway, "fine").is_empty(), "no upstream failed");
}

#[test]
fn a_trip_tells_of_what_kinds_its_failures_were() {
    let upstream = Upstream::start(|call| match call.seen.target.as_str() {
        "/cut" => call.close(),
        _ => call.respond(500, ""),
    });
    let breaker = "{ trip: { consecutive_failures: 5 }, cooldown: 60s }";
    let gateway = Gateway::run(crate::support::orders(&upstream, breaker));
    for path in ["/", "/cut", "/cut", "/", "/cut"] {
        gateway.get(path);
    }
    let told = "5 consecutive failures: 3 × cut before the head, 2 × 500 (the limit is 5)";
    let breaker = gateway.breaker("orders");
    assert_eq!(breaker["reason"], told);
    let explained = breaker["explanation"]["text"].as_str().unwrap();
    assert!(explained.contains(told), "{explained}");
    said(&gateway, &format!("breaker orders is open: {told}"));
    gateway.sighup();
    said(&gateway, "reloaded");
    assert_eq!(
        errors(&gateway, "orders"),
        [("reset", 3)],
        "kept over a reload"
    );
}

#[test]
fn a_flogo_service_and_a_mule_requester_have_errors_of_their_own() {
    use crate::support::{flogo, mule};
    let refusing = Refusing::new();
    let breaker = serde_json::json!({ "mode": "a", "threshold": 5, "timeout": 60 });
    let app = flogo::single(flogo::guarded(breaker, &refusing.url()));
    let flogo = Gateway::run(app.to_string());
    flogo.get("/t");
    let request = "<http:request method=\"GET\" config-ref=\"Orders\" path=\"/x\"/>";
    let flow = mule::flow("f", "/t", request);
    let mule = mule::setup(flow, &[("Orders", &refusing.url())]).start();
    mule.get("/t");
    for (gateway, name) in [(flogo, "G/PetStorePets"), (mule, "Orders")] {
        assert_eq!(errors(&gateway, name), [("connect", 1)]);
        let begin = format!("a call to upstream {name} failed: connect: refused (127.0.0.1:");
        said(&gateway, &begin);
    }
}

mod tls {
    use std::sync::Arc;

    use super::*;
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
    use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
    use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
    use tokio_rustls::rustls::server::WebPkiClientVerifier;
    use tokio_rustls::rustls::version::{TLS12, TLS13};
    use tokio_rustls::rustls::{RootCertStore, ServerConfig};

    type Issuer = CertifiedIssuer<'static, KeyPair>;

    fn authority(name: &str) -> Issuer {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, name);
        CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
    }

    fn params(name: &str) -> CertificateParams {
        CertificateParams::new(vec![name.to_owned()]).unwrap()
    }

    /// What a server shows.
    struct Shown(CertificateDer<'static>, KeyPair);

    fn signed(params: &CertificateParams, by: &Issuer) -> Shown {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, by).unwrap();
        Shown(certificate.der().clone(), key)
    }

    fn self_signed(params: &CertificateParams) -> Shown {
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Shown(certificate.der().clone(), key)
    }

    /// Whether a server asks its clients for certificates.
    #[derive(Clone, Copy, PartialEq)]
    enum Asks {
        No,
        ButTakesNone,
        AndWantsOne,
    }

    fn server(shown: &Shown, asks: Asks, by: &Issuer, only_12: bool) -> Arc<ServerConfig> {
        let provider = Arc::new(default_provider());
        let versions = if only_12 { &[&TLS12] } else { &[&TLS13] };
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(versions)
            .unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(by.der().clone()).unwrap();
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        let builder = match asks {
            Asks::No => builder.with_no_client_auth(),
            Asks::AndWantsOne => builder.with_client_cert_verifier(verifier.build().unwrap()),
            Asks::ButTakesNone => {
                let verifier = verifier.allow_unauthenticated().build().unwrap();
                builder.with_client_cert_verifier(verifier)
            }
        };
        let key = PrivatePkcs8KeyDer::from(shown.1.serialize_der());
        let chain = vec![shown.0.clone()];
        Arc::new(
            builder
                .with_single_cert(chain, PrivateKeyDer::from(key))
                .unwrap(),
        )
    }

    /// A gateway that trusts `authority`.
    fn trusting(authority: &Issuer, yaml: String) -> (Gateway, tempfile::TempDir) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ca.pem");
        std::fs::write(&path, authority.pem()).unwrap();
        let setup = Setup::new(yaml).env("SSL_CERT_FILE", path.to_str().unwrap());
        (setup.start(), dir)
    }

    fn https(upstream: &Upstream) -> String {
        format!("https://localhost:{}", upstream.addr().port())
    }

    #[test]
    fn a_handshake_that_fails_is_told_by_its_reason() {
        let (ours, theirs) = (authority("ours"), authority("theirs"));
        let localhost = params("localhost");
        let mut expired = localhost.clone();
        expired.not_before = rcgen::date_time_ymd(2020, 1, 1);
        expired.not_after = rcgen::date_time_ymd(2021, 1, 1);
        let mut early = localhost.clone();
        early.not_before = rcgen::date_time_ymd(2190, 1, 1);
        early.not_after = rcgen::date_time_ymd(2191, 1, 1);
        let mut own_authority = localhost.clone();
        own_authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);

        let start = |shown: Shown, asks, only_12| {
            let config = server(&shown, asks, &ours, only_12);
            Upstream::start_tls(config, |call| call.respond(200, ""))
        };
        let fine = || signed(&localhost, &ours);
        let client = "the upstream asks for a client certificate";
        let cases = [
            (
                "expired",
                start(signed(&expired, &ours), Asks::No, false),
                "certificate expired",
            ),
            (
                "early",
                start(signed(&early, &ours), Asks::No, false),
                "certificate not yet valid",
            ),
            (
                "name",
                start(signed(&params("a.test"), &ours), Asks::No, false),
                "certificate for another name",
            ),
            (
                "issuer",
                start(signed(&localhost, &theirs), Asks::No, true),
                "certificate of an unknown issuer",
            ),
            (
                "itself",
                start(self_signed(&localhost), Asks::No, false),
                "self-signed certificate",
            ),
            (
                "openssl",
                start(self_signed(&own_authority), Asks::No, true),
                "self-signed certificate",
            ),
            ("client13", start(fine(), Asks::AndWantsOne, false), client),
            ("client12", start(fine(), Asks::AndWantsOne, true), client),
        ];
        let mut urls: Vec<_> = cases
            .iter()
            .map(|(name, it, _)| (*name, https(it)))
            .collect();
        let plain = TcpListener::bind("127.0.0.1:0").unwrap();
        urls.push(("plain", format!("https://{}", silent_addr(&plain))));
        std::thread::spawn(move || {
            for socket in plain.incoming().flatten() {
                let mut wire = crate::support::Wire::plain(socket).unwrap();
                wire.read_some().ok();
                wire.send("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
                    .ok();
                wire.read_to_end().ok();
            }
        });
        let urls: Vec<_> = urls
            .iter()
            .map(|(name, url)| (*name, url.as_str()))
            .collect();
        let (gateway, _dir) = trusting(&ours, file(&urls, "{ connect: 5s }"));
        for (name, upstream, word) in &cases {
            fails(&gateway, name, "tls", word);
            assert_eq!(upstream.calls(), 0);
        }
        fails(&gateway, "plain", "tls", "no TLS spoken");
    }

    #[test]
    fn a_close_after_a_certificate_was_asked_for_is_no_reset_until_something_was_answered() {
        let ours = authority("ours");
        let shown = signed(&params("localhost"), &ours);
        let start = |script: fn(&mut crate::support::Call)| {
            Upstream::start_tls(server(&shown, Asks::ButTakesNone, &ours, false), script)
        };
        let closes = start(|call| call.close());
        let answers = start(|call| match call.seen.fields.get("x-close") {
            None => call.respond_with(200, "Connection: close\r\n", ""),
            Some(_) => call.close(),
        });
        let urls = [("closes", https(&closes)), ("answers", https(&answers))];
        let urls = urls.each_ref().map(|(name, url)| (*name, url.as_str()));
        let (gateway, _dir) = trusting(&ours, file(&urls, "{ connect: 5s }"));
        fails(
            &gateway,
            "closes",
            "tls",
            "the upstream asks for a client certificate",
        );
        assert_eq!(gateway.get("/answers").status, 200);
        let response = gateway
            .client()
            .request("GET", "/answers", "x-close: 1\r\n", "");
        assert_eq!(response.json()["reason"], "reset");
        assert_eq!(errors(&gateway, "answers"), [("reset", 1)]);
    }
}
