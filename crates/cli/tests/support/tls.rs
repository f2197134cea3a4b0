//! Certificates for listeners that speak TLS, and clients that trust them.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
use tempfile::TempDir;
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{
    ClientConfig, ClientConnection, HandshakeKind, RootCertStore, StreamOwned,
};

use super::wire::{Client, Wire};

/// A self-signed certificate for `localhost`, and its key.
pub fn certificate() -> CertifiedKey<KeyPair> {
    generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate")
}

/// `cert.pem` and `key.pem` in a directory of their own.
pub struct Files(TempDir);

impl Files {
    /// Writes the two files of a certificate.
    pub fn of(own: &CertifiedKey<KeyPair>) -> Files {
        let files = Files(TempDir::new().expect("a directory for the test"));
        files.replace(own);
        files
    }

    /// Overwrites both files with those of another certificate.
    pub fn replace(&self, own: &CertifiedKey<KeyPair>) {
        std::fs::write(self.cert(), own.cert.pem()).expect("the file can be written");
        std::fs::write(self.key(), own.signing_key.serialize_pem())
            .expect("the file can be written");
    }

    /// The certificate's path.
    pub fn cert(&self) -> PathBuf {
        self.0.path().join("cert.pem")
    }

    /// The key's path.
    pub fn key(&self) -> PathBuf {
        self.0.path().join("key.pem")
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        self.0.path()
    }

    /// A listener's `tls:` that names them.
    pub fn yaml(&self) -> String {
        let (cert, key) = (self.cert(), self.key());
        format!(
            "{{ cert: \"{}\", key: \"{}\" }}",
            cert.display(),
            key.display()
        )
    }
}

/// Settings of clients that trust this certificate and no other; their sessions can be taken up again.
pub fn trusting(trusted: &CertifiedKey<KeyPair>) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots
        .add(trusted.cert.der().clone())
        .expect("a certificate");
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions of TLS")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
}

/// A client that trusts this certificate and no other.
///
/// # Errors
/// If the handshake fails.
pub fn connect(addr: SocketAddr, trusted: &CertifiedKey<KeyPair>) -> io::Result<Client> {
    Ok(connect_with(addr, trusting(trusted))?.0)
}

/// A client with settings, and whether its handshake took a session up again.
///
/// # Errors
/// If the handshake fails.
pub fn connect_with(addr: SocketAddr, config: Arc<ClientConfig>) -> io::Result<(Client, bool)> {
    let name = ServerName::try_from("localhost").expect("a name");
    let mut session = ClientConnection::new(config, name).map_err(io::Error::other)?;
    let mut socket = TcpStream::connect(addr)?;
    socket.set_read_timeout(Some(super::PATIENCE))?;
    while session.is_handshaking() {
        session.complete_io(&mut socket)?;
    }
    let resumed = session.handshake_kind() == Some(HandshakeKind::Resumed);
    let stream = StreamOwned::new(session, socket.try_clone()?);
    let client = Client {
        wire: Wire::over(stream, socket)?,
        host: "localhost".into(),
    };
    Ok((client, resumed))
}
