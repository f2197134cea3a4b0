//! TLS of Mule applications on both sides: of listeners, and of requests.

use std::sync::Arc;

use crate::support::mule::setup;
use crate::support::tls::{certificate, connect_with, trusting};
use crate::support::{Gateway, Upstream};
use rcgen::{BasicConstraints, CertificateParams, CertifiedKey, IsCa, KeyPair};
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};

type Own = CertifiedKey<KeyPair>;

/// A certificate that signs itself and is made as an authority, as `openssl req -x509` makes them.
fn authority() -> Own {
    authority_of(|_| {})
}

/// The same, which ended years ago.
fn expired() -> Own {
    authority_of(|params| {
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2021, 1, 1);
    })
}

fn authority_of(change: impl FnOnce(&mut CertificateParams)) -> Own {
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    change(&mut params);
    let signing_key = KeyPair::generate().unwrap();
    let cert = params.self_signed(&signing_key).unwrap();
    CertifiedKey { cert, signing_key }
}

/// The certificate and its key in one file.
fn pem(own: &Own) -> String {
    format!("{}{}", own.cert.pem(), own.signing_key.serialize_pem())
}

fn key(own: &Own) -> PrivateKeyDer<'static> {
    PrivateKeyDer::from(PrivatePkcs8KeyDer::from(own.signing_key.serialize_der()))
}

fn roots(of: &Own) -> Arc<RootCertStore> {
    let mut roots = RootCertStore::empty();
    roots.add(of.cert.der().clone()).unwrap();
    Arc::new(roots)
}

/// An application that listens over TLS with the stores of a context.
fn listening(stores: &str) -> String {
    format!(
        r##"<http:listener-config name="HTTP_Listener"><http:listener-connection host="127.0.0.1" port="0" protocol="HTTPS" tlsContext="Own"/></http:listener-config>
<tls:context name="Own">{stores}</tls:context>
<flow name="f"><http:listener config-ref="HTTP_Listener" path="/cup"/><set-payload value="#[attributes.scheme]"/></flow>"##
    )
}

/// A file with a text, in a directory of its own.
struct Pem(tempfile::TempDir);

impl Pem {
    fn of(text: String) -> Pem {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("own.pem"), text).unwrap();
        Pem(dir)
    }

    /// A store of this kind that is in the file.
    fn store(&self, kind: &str) -> String {
        let path = self.0.path().join("own.pem");
        format!(r#"<tls:{kind} type="pem" path="{}"/>"#, path.display())
    }
}

#[test]
fn a_listener_shows_its_certificate_and_asks_for_that_of_its_callers() {
    let (own, caller) = (certificate(), authority());
    let (server, authority) = (Pem::of(pem(&own)), Pem::of(caller.cert.pem()));
    let (key_store, trust_store) = (server.store("key-store"), authority.store("trust-store"));
    let gateway = Gateway::run(listening(&key_store));
    let (mut client, _) = connect_with(gateway.addr(), trusting(&own)).unwrap();
    let told = client.get("/cup");
    assert_eq!((told.status, told.text()), (200, "https".into()));

    let gateway = Gateway::run(listening(&format!("{trust_store}{key_store}")));
    // The handshake of TLS 1.3 ends before the server has read what the client shows.
    let refused = connect_with(gateway.addr(), trusting(&own));
    let refused = refused.and_then(|(mut client, _)| {
        client.send("GET /cup HTTP/1.1\r\nHost: localhost\r\n\r\n");
        client.try_response_to("GET")
    });
    assert!(!matches!(refused, Ok(Some(_))));
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots(&own))
        .with_client_auth_cert(vec![caller.cert.der().clone()], key(&caller))
        .unwrap();
    let (mut client, _) = connect_with(gateway.addr(), Arc::new(config)).unwrap();
    assert_eq!(client.get("/cup").status, 200);
}

/// A fixture of stores, which keytool and OpenSSL have made.
fn fixture(name: &str) -> std::path::PathBuf {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    folder.join("../mule/tests/fixtures/stores").join(name)
}

/// A client that trusts the authority of the stores, with the certificate that it has signed.
fn client_of_stores() -> Arc<ClientConfig> {
    let pem = |name| std::fs::read(fixture(name)).unwrap();
    let certificate = |name| CertificateDer::from_pem_slice(&pem(name)).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(certificate("ca.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_slice(&pem("client.pem")).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(vec![certificate("client.pem")], key);
    Arc::new(config.unwrap())
}

#[test]
fn a_listener_of_java_s_stores_tells_the_flow_whose_certificate_its_caller_has() {
    let (key, trust) = (fixture("server.p12"), fixture("trust.p12"));
    let stores = format!(
        r#"<tls:trust-store path="{}" type="jks" password="changeit"/><tls:key-store path="{}" type="pkcs12" alias="server" password="changeit" keyPassword="changeit"/>"#,
        trust.display(),
        key.display()
    );
    let app = listening(&stores).replace(
        "attributes.scheme",
        "attributes.clientCertificate.subjectDN.name ++ '; ' ++ attributes.clientCertificate.issuerDN.commonName",
    );
    let gateway = Gateway::run(app);
    let (mut client, _) = connect_with(gateway.addr(), client_of_stores()).unwrap();
    let told = client.get("/cup");
    let subject = "CN=shop, OU=Till, O=Orders, C=DE; Test CA";
    assert_eq!((told.status, told.text()), (200, subject.into()));
}

/// An upstream that answers whoever shows the certificate of `caller`; anyone, if that is `None`.
fn upstream(own: &Own, caller: Option<&Own>) -> Upstream {
    let builder = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = match caller {
        None => builder.with_no_client_auth(),
        Some(caller) => {
            let provider = Arc::new(default_provider());
            let verifier = WebPkiClientVerifier::builder_with_provider(roots(caller), provider);
            builder.with_client_cert_verifier(verifier.build().unwrap())
        }
    };
    let config = builder.with_single_cert(vec![own.cert.der().clone()], key(own));
    Upstream::start_tls(Arc::new(config.unwrap()), |call| call.respond(200, "safe"))
}

fn calling(port: u16, stores: &str) -> String {
    format!(
        r#"<http:request-config name="Out"><http:request-connection host="localhost" port="{port}" protocol="HTTPS"><tls:context>{stores}</tls:context></http:request-connection></http:request-config>
<flow name="f"><http:listener config-ref="HTTP_Listener" path="/cup"/><http:request config-ref="Out" path="/pot"/></flow>"#
    )
}

#[test]
fn a_request_trusts_the_authorities_of_its_store_and_shows_its_own_certificate() {
    let (own, caller) = (authority(), certificate());
    let insecure = r#"<tls:trust-store insecure="true"/>"#;
    let (authority, client) = (Pem::of(own.cert.pem()), Pem::of(pem(&caller)));
    let (trust, identity) = (authority.store("trust-store"), client.store("key-store"));
    for (asks, stores, status) in [
        (false, trust.clone(), 200),
        (false, insecure.to_owned(), 200),
        (false, String::new(), 500),
        (true, format!("{trust}{identity}"), 200),
        (true, trust.clone(), 500),
    ] {
        let upstream = upstream(&own, asks.then_some(&caller));
        let app = calling(upstream.addr().port(), &stores);
        let gateway = setup(app, &[]).start();
        assert_eq!(gateway.get("/cup").status, status, "{stores}");
        if stores == insecure {
            let warns = |line: &serde_json::Value| {
                let text = line.to_string();
                text.contains("turns off the check of certificates")
            };
            gateway.log_line(warns);
        }
    }
}

#[test]
fn a_certificate_that_has_expired_is_refused_although_it_is_listed() {
    let (own, caller) = (expired(), expired());
    let upstream = upstream(&own, None);
    let trust = Pem::of(own.cert.pem());
    let app = calling(upstream.addr().port(), &trust.store("trust-store"));
    assert_eq!(setup(app, &[]).start().get("/cup").status, 500);
    assert_eq!(upstream.calls(), 0);

    let own = certificate();
    let (server, authority) = (Pem::of(pem(&own)), Pem::of(caller.cert.pem()));
    let stores = authority.store("trust-store") + &server.store("key-store");
    let gateway = Gateway::run(listening(&stores));
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots(&own))
        .with_client_auth_cert(vec![caller.cert.der().clone()], key(&caller))
        .unwrap();
    let refused = connect_with(gateway.addr(), Arc::new(config));
    let refused = refused.and_then(|(mut client, _)| {
        client.send("GET /cup HTTP/1.1\r\nHost: localhost\r\n\r\n");
        client.try_response_to("GET")
    });
    assert!(!matches!(refused, Ok(Some(_))));
}
