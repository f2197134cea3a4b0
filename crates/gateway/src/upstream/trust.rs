//! The TLS configuration of connections to upstreams: the authorities that certificates are checked against.

use std::sync::{Arc, OnceLock};

use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::upstream::own_tls::OwnTls;
use crate::upstream::pinned;

/// The authorities for upstreams' certificates, with the certificate that we present.
#[derive(Debug, Clone)]
pub enum Trust {
    /// The system's authorities, read when a connection first needs them; clones share them.
    System(Arc<OnceLock<Arc<ClientConfig>>>),
    /// A configuration of an application's target.
    Own(Arc<ClientConfig>),
    /// The settings of an upstream, which may be renewed.
    Renewed(Arc<OwnTls>),
}

impl Default for Trust {
    fn default() -> Trust {
        Trust::System(Arc::default())
    }
}

impl Trust {
    /// The configuration for one connection.
    pub fn config(&self) -> Arc<ClientConfig> {
        match self {
            Trust::System(config) => config.get_or_init(trusting_the_system).clone(),
            Trust::Own(config) => config.clone(),
            Trust::Renewed(own) => own.config(),
        }
    }

    /// The name that a server's certificate must have, where that is not the host's.
    pub fn server_name(&self) -> Option<&str> {
        match self {
            Trust::System(_) | Trust::Own(_) => None,
            Trust::Renewed(own) => own.server_name(),
        }
    }
}

/// A TLS configuration that trusts the system's certificates.
fn trusting_the_system() -> Arc<ClientConfig> {
    let (roots, builder) = (system_roots(), ClientConfig::builder());
    let mut config = match pinned::servers(roots, Vec::new()) {
        Ok(verifier) => builder
            .dangerous()
            .with_custom_certificate_verifier(verifier),
        // There are no authorities.
        Err(_) => builder.with_root_certificates(RootCertStore::empty()),
    }
    .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Arc::new(config)
}

/// The system's certificates (or those of `SSL_CERT_FILE`).
pub fn system_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::warn!(%error, "a system certificate could not be read");
    }
    let (_, refused) = roots.add_parsable_certificates(found.certs);
    if refused > 0 {
        tracing::warn!(refused, "some system certificates could not be used");
    }
    roots
}
