//! TLS on both sides of a Flogo application: its trigger's, and that of the services it calls.

use std::net::TcpStream;
use std::sync::Arc;

use crate::support::authority::{Authority, Pems};
use crate::support::flogo::{REST, app, handler, single};
use crate::support::tls::{Files, certificate, connect};
use crate::support::{Gateway, Upstream};
use rcgen::CertifiedKey;
use serde_json::{Value, json};
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// An upstream behind TLS whose certificate nobody vouches for.
fn upstream(own: &CertifiedKey<rcgen::KeyPair>) -> Upstream {
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(own.signing_key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![own.cert.der().clone()], key)
        .unwrap();
    Upstream::start_tls(Arc::new(config), |call| call.respond(200, "safe"))
}

/// Calls `uri` with more settings, and answers with what came.
fn calling(uri: &str, more: &Value) -> Value {
    let mut settings = json!({ "uri": uri, "method": "GET" });
    for (key, value) in more.as_object().unwrap() {
        settings[key] = value.clone();
    }
    json!({
        "name": "G",
        "steps": [{ "service": "S", "halt": "false" }],
        "responses": [
            {
                "if": "error.isneterror($.S.error)", "error": true,
                "output": { "code": 502, "data": "=error.string($.S.error)" },
            },
            { "error": false, "output": { "data": "=$.S.outputs.data" } },
        ],
        "services": [{ "name": "S", "ref": REST, "settings": settings }],
    })
}

#[test]
fn a_service_is_verified_unless_the_file_says_otherwise_in_so_many_words() {
    let own = certificate();
    let upstream = upstream(&own);
    let uri = format!("https://localhost:{}/x", upstream.addr().port());
    let dir = tempfile::tempdir().unwrap();
    let ca = dir.path().join("ca.pem");
    std::fs::write(&ca, own.cert.pem()).unwrap();
    let variants = [
        ("plain", json!({})),
        ("skip", json!({ "skipSSLVerify": true })),
        ("new", json!({ "sslConfig": { "skipVerify": true } })),
        ("kept", json!({ "sslConfig": { "skipVerify": false } })),
        ("ca", json!({ "CAFile": ca.to_str().unwrap() })),
    ];
    let handlers: Vec<Value> = variants
        .iter()
        .map(|(name, _)| {
            let settings = json!({ "uri": format!("microgateway:{name}") });
            handler("GET", &format!("/{name}"), settings)
        })
        .collect();
    let definitions: Vec<_> = variants
        .iter()
        .map(|(name, more)| (*name, calling(&uri, more)))
        .collect();
    let gateway = Gateway::run(app(handlers.into(), &definitions).to_string());
    for name in ["skip", "new", "ca"] {
        let response = gateway.get(&format!("/{name}"));
        assert_eq!(
            (response.status, &*response.text()),
            (200, "safe"),
            "{name}"
        );
    }
    for name in ["plain", "kept"] {
        let response = gateway.get(&format!("/{name}"));
        assert_eq!(response.status, 502, "{name}");
        let wanted = format!("Get \"{uri}\": tls: ");
        assert!(response.text().starts_with(&wanted), "{}", response.text());
    }
    gateway.log_line(|line| {
        let message = line["message"].as_str().unwrap_or_default();
        line["level"] == "WARN" && message.contains("NOT verified")
    });
}

/// A proxy that passes tunnels on, and answers everything else with what it was asked for.
fn proxy() -> Upstream {
    Upstream::start(|call| {
        let target = call.seen.target.clone();
        if call.seen.method != "CONNECT" {
            call.respond(200, &target);
            return;
        }
        let mut far = TcpStream::connect(&target).unwrap();
        call.send("HTTP/1.1 200 Connection established\r\n\r\n");
        let mut near = call.wire().socket().try_clone().unwrap();
        let (mut from, mut to) = (near.try_clone().unwrap(), far.try_clone().unwrap());
        let up = std::thread::spawn(move || {
            std::io::copy(&mut from, &mut to).ok();
            to.shutdown(std::net::Shutdown::Both).ok();
        });
        std::io::copy(&mut far, &mut near).ok();
        call.close();
        up.join().unwrap();
    })
}

#[test]
fn a_service_is_called_through_its_proxy() {
    let own = certificate();
    let upstream = upstream(&own);
    let proxy = proxy();
    let uri = format!("https://localhost:{}/x", upstream.addr().port());
    let through = json!({ "proxy": proxy.url(), "skipSSLVerify": true });
    let plain = json!({ "proxy": proxy.url() });
    let definitions = [
        ("tunnel", calling(&uri, &through)),
        ("plain", calling("http://service.test/y?z=1", &plain)),
    ];
    let handlers: Vec<Value> = definitions
        .iter()
        .map(|(name, _)| {
            let settings = json!({ "uri": format!("microgateway:{name}") });
            handler("GET", &format!("/{name}"), settings)
        })
        .collect();
    let gateway = Gateway::run(app(handlers.into(), &definitions).to_string());
    for _ in 0..2 {
        assert_eq!(gateway.get("/tunnel").text(), "safe");
    }
    let tunnel = &proxy.seen()[0];
    let port = upstream.addr().port();
    assert_eq!(
        (&*tunnel.method, &*tunnel.target),
        ("CONNECT", &*format!("localhost:{port}"))
    );
    assert_eq!(gateway.get("/plain").text(), "http://service.test/y?z=1");
    assert_eq!(proxy.last().fields.get("host"), Some("service.test"));
    drop(gateway);
}

#[test]
fn a_trigger_speaks_tls_with_its_own_certificate() {
    let own = certificate();
    let files = Files::of(&own);
    let (cert, key) = (files.cert(), files.key());
    let behind = Upstream::start(|call| call.respond(200, "through"));
    let settings = json!({ "uri": "microgateway:G" });
    let mut app = app(
        json!([handler("GET", "/t", settings)]),
        &[("G", calling(&behind.url(), &json!({})))],
    );
    app["triggers"][0]["settings"] = json!({
        "port": 0, "enableTLS": true,
        "certFile": cert.to_str().unwrap(), "keyFile": key.to_str().unwrap(),
    });
    let gateway = Gateway::run(app.to_string());
    let mut client = connect(gateway.addr(), &own).unwrap();
    for _ in 0..2 {
        assert_eq!(client.get("/t").text(), "through");
    }
    let shown = &gateway.admin_get("/api/v1/plan").json()["listeners"][0]["tls"];
    assert_eq!(
        *shown,
        json!({ "cert": cert.to_str().unwrap(), "key": key.to_str().unwrap(), "min": "1.2" })
    );
    // A client that speaks plain HTTP is told so, and the next one is served all the same.
    assert_eq!(gateway.get("/t").status, 400);
    assert_eq!(client.get("/t").status, 200);
}

#[test]
fn a_service_that_asks_for_a_certificate_gets_the_applications_own() {
    let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
    let files = Pems::new();
    files.write("ca.pem", &servers.pem());
    files.put("own", &clients.sign(&["own"]));
    let config = servers.sign(&["localhost"]).server(Some(&clients));
    let upstream = Upstream::start_tls(config, |call| call.respond(200, "known"));
    let uri = format!("https://localhost:{}/x", upstream.addr().port());
    let path = |name: &str| files.path(name).to_str().unwrap().to_owned();
    let (ca, cert, key) = (path("ca.pem"), path("own.pem"), path("own.key"));
    for (settings, answer) in [
        (
            json!({ "sslConfig": { "caFile": ca, "certFile": cert, "keyFile": key } }),
            (200, "known"),
        ),
        (
            json!({ "CAFile": ca, "certFile": cert, "keyFile": key }),
            (200, "known"),
        ),
        (json!({ "CAFile": ca }), (502, "")),
    ] {
        let gateway = Gateway::run(single(calling(&uri, &settings)).to_string());
        let response = gateway.get("/t");
        assert_eq!(response.status, answer.0, "{settings}: {}", response.text());
        if answer.0 == 200 {
            assert_eq!(response.text(), answer.1, "{settings}");
        }
    }
}
