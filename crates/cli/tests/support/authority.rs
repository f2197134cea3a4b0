//! An authority that signs certificates for the tests, and clients that trust it.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, SerialNumber,
};
use tempfile::TempDir;
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::{
    CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName,
};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, StreamOwned,
};

use super::wire::{Client, Wire};

/// An authority.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate with its key.
pub struct Signed {
    cert: rcgen::Certificate,
    key: KeyPair,
}

impl Authority {
    /// An authority of that name.
    pub fn new(name: &str) -> Authority {
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("a key");
        Authority(CertifiedIssuer::self_signed(params, key).expect("an authority"))
    }

    /// A certificate for DNS names or addresses.
    pub fn sign(&self, names: &[&str]) -> Signed {
        self.sign_as(names, |_| {})
    }

    /// The same, with other parameters.
    pub fn sign_as(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Signed {
        let key = KeyPair::generate().expect("a key");
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("parameters");
        change(&mut params);
        let cert = params.signed_by(&key, &self.0).expect("a certificate");
        Signed { cert, key }
    }

    /// A client's certificate with a subject of these parts, the first one first.
    pub fn sign_client(&self, subject: &[(DnType, &str)]) -> Signed {
        self.sign_as(&[], |params| {
            params.distinguished_name = rcgen::DistinguishedName::new();
            for (kind, value) in subject {
                params.distinguished_name.push(kind.clone(), *value);
            }
        })
    }

    /// A server's certificate with that serial number.
    pub fn sign_numbered(&self, name: &str, serial: u64) -> Signed {
        self.sign_as(&[name], |params| {
            params.serial_number = Some(SerialNumber::from(serial));
        })
    }

    /// The authority's own certificate.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// The authority as the only one that is trusted.
    pub fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).expect("an authority");
        roots
    }

    /// Settings of clients that trust it, with a certificate of their own or none.
    pub fn trusting(&self, own: Option<&Signed>) -> Arc<ClientConfig> {
        let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions of TLS")
            .with_root_certificates(self.roots());
        let config = match own {
            None => builder.with_no_client_auth(),
            Some(own) => builder
                .with_client_auth_cert(vec![own.der()], own.key())
                .expect("a certificate"),
        };
        Arc::new(config)
    }
}

impl Signed {
    /// The certificate in DER.
    pub fn der(&self) -> CertificateDer<'static> {
        self.cert.der().clone()
    }

    /// The certificate in PEM.
    pub fn cert_pem(&self) -> String {
        self.cert.pem()
    }

    /// The private key in PEM.
    pub fn key_pem(&self) -> String {
        self.key.serialize_pem()
    }

    fn key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::from(PrivatePkcs8KeyDer::from(self.key.serialize_der()))
    }

    /// The settings of a server with this certificate, which asks clients for one of `clients`.
    pub fn server(&self, clients: Option<&Authority>) -> Arc<ServerConfig> {
        let provider = Arc::new(default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .expect("versions of TLS");
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(clients) => {
                let roots = Arc::new(clients.roots());
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider);
                builder.with_client_cert_verifier(verifier.build().expect("a verifier"))
            }
        };
        let config = builder.with_single_cert(vec![self.der()], self.key());
        Arc::new(config.expect("a certificate"))
    }
}

/// PEM files in a directory of their own.
pub struct Pems(TempDir);

impl Pems {
    /// An empty directory.
    pub fn new() -> Pems {
        Pems(TempDir::new().expect("a directory for the test"))
    }

    /// Writes `NAME.pem` and `NAME.key`.
    pub fn put(&self, name: &str, signed: &Signed) {
        self.write(&format!("{name}.pem"), &signed.cert_pem());
        self.write(&format!("{name}.key"), &signed.key_pem());
    }

    /// Writes a file.
    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).expect("the file can be written");
    }

    /// The path of a file.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        self.0.path()
    }

    /// `cert: …, key: …` of the two files of a name.
    pub fn pair(&self, name: &str) -> String {
        let (cert, key) = (
            self.path(&format!("{name}.pem")),
            self.path(&format!("{name}.key")),
        );
        format!("cert: \"{}\", key: \"{}\"", cert.display(), key.display())
    }
}

/// A client that asks for a name, and the certificate that it was shown.
///
/// # Errors
/// If the handshake fails.
pub fn connect(
    addr: SocketAddr,
    name: &str,
    config: &Arc<ClientConfig>,
) -> io::Result<(Client, CertificateDer<'static>)> {
    let server_name = ServerName::try_from(name.to_owned()).expect("a name");
    let mut session =
        ClientConnection::new(config.clone(), server_name).map_err(io::Error::other)?;
    let mut socket = TcpStream::connect(addr)?;
    socket.set_read_timeout(Some(super::PATIENCE))?;
    while session.is_handshaking() {
        session.complete_io(&mut socket)?;
    }
    let shown = session.peer_certificates().unwrap_or_default();
    let shown = shown.first().cloned().map(CertificateDer::into_owned);
    let stream = StreamOwned::new(session, socket.try_clone()?);
    let client = Client {
        wire: Wire::over(stream, socket)?,
        host: name.to_owned(),
    };
    Ok((client, shown.expect("a server shows a certificate")))
}
