//! TLS before clients: what a listener shows of itself.

use std::sync::Arc;

use fusebox_plan::plan::ListenerTls;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

/// What takes a listener's connections over into TLS.
///
/// # Errors
/// Which of its texts is not what it should be.
pub fn acceptor(tls: &ListenerTls) -> Result<TlsAcceptor, String> {
    let chain = CertificateDer::pem_slice_iter(tls.certificates.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| format!("its certificate cannot be read: {error}"))?;
    let key = PrivateKeyDer::from_pem_slice(tls.key.reveal().as_bytes())
        .map_err(|error| format!("its key cannot be read: {error}"))?;
    let mut config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| format!("its certificate and key: {error}"))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
