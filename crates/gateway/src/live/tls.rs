//! TLS towards clients: a listener's certificate and key.

use std::sync::Arc;

use fusebox_plan::PairFault;
use fusebox_plan::plan::ListenerTls;
use rustls_pki_types::pem::{self, PemObject as _};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::server::ParsedCertificate;
use tokio_rustls::rustls::server::danger::ClientCertVerifier;
use tokio_rustls::rustls::{Error, ServerConfig};

use crate::upstream::own_trust::client_verifier;

/// Fault of a key that cannot sign a handshake.
const KINDS: &str = "expected an RSA key of at least 2048 bits, an ECDSA key on P-256, P-384 or P-521, or an Ed25519 key";

/// Checks that PEM texts decode to a certificate chain and a private key that belong together.
///
/// # Errors
/// The first fault of the pair; its text contains nothing of the key.
pub fn check_pair(certificates: &str, key: &str) -> Result<(), PairFault> {
    config(certificates, key, None, &[]).map(drop)
}

/// Builds the acceptor that takes a listener's connections over into TLS, with its protocols (ALPN) in the order of
/// preference.
///
/// # Errors
/// The fault of its certificate or key, in a sentence.
pub fn acceptor(tls: &ListenerTls, protocols: &[&str]) -> Result<TlsAcceptor, String> {
    let clients = match &tls.client_authorities {
        None => None,
        Some(pem) => {
            let verifier = client_verifier(pem);
            Some(verifier.map_err(|fault| format!("the authorities of its clients: {fault}"))?)
        }
    };
    match config(&tls.certificates, tls.key.reveal(), clients, protocols) {
        Ok(config) => Ok(TlsAcceptor::from(Arc::new(config))),
        Err(PairFault::Certificate(fault)) => {
            Err(format!("its certificate cannot be used: {fault}"))
        }
        Err(PairFault::Key(fault)) => Err(format!("its private key cannot be used: {fault}")),
        Err(PairFault::Mismatch) => {
            Err("its private key does not belong to its certificate".to_owned())
        }
    }
}

fn config(
    certificates: &str,
    key: &str,
    clients: Option<Arc<dyn ClientCertVerifier>>,
    protocols: &[&str],
) -> Result<ServerConfig, PairFault> {
    let chain = CertificateDer::pem_slice_iter(certificates.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| PairFault::Certificate(pem_fault(&error).to_owned()))?;
    for (index, certificate) in chain.iter().enumerate() {
        if let Err(error) = ParsedCertificate::try_from(certificate) {
            let fault = format!("number {} in the file: {error}", index + 1);
            return Err(PairFault::Certificate(fault));
        }
    }
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes())
        .map_err(|error| PairFault::Key(pem_fault(&error).to_owned()))?;
    let builder = ServerConfig::builder();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(verifier) => builder.with_client_cert_verifier(verifier),
    };
    let mut config = builder
        .with_single_cert(chain, key)
        .map_err(|error| match error {
            Error::InconsistentKeys(_) => PairFault::Mismatch,
            Error::InvalidCertificate(_) | Error::NoCertificatesPresented => {
                PairFault::Certificate(error.to_string())
            }
            // Returned for every key of another kind.
            Error::General(_) => PairFault::Key(KINDS.to_owned()),
            error => PairFault::Key(error.to_string()),
        })?;
    config.alpn_protocols = protocols.iter().map(|it| it.as_bytes().to_vec()).collect();
    Ok(config)
}

/// The fault of a PEM text without its content, which may be a key.
fn pem_fault(error: &pem::Error) -> &'static str {
    match error {
        pem::Error::MissingSectionEnd { .. } => "its `-----END …-----` line is missing",
        pem::Error::IllegalSectionStart { .. } => "its `-----BEGIN …-----` line is malformed",
        pem::Error::Base64Decode(_) => "its base64 is damaged",
        pem::Error::NoItemsFound => "the file has no PEM section for it",
        _ => "its PEM is damaged",
    }
}
