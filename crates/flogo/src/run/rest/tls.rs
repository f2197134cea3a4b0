//! The TLS of a REST service: its trust in servers, and its own certificate.

use std::sync::Arc;

use fusebox_gateway::parts::{Trust, system_roots};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use tokio_rustls::rustls::{
    ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};

use crate::RestTls;

/// The trust of a service; `system` if it uses only the system's authorities and has no certificate.
///
/// # Errors
/// The PEM text that is invalid.
pub fn trust(tls: &RestTls, system: &Trust) -> Result<Trust, String> {
    if tls.verified && tls.system_roots && tls.authorities.is_none() && tls.identity.is_none() {
        return Ok(system.clone());
    }
    let builder = ClientConfig::builder();
    let builder = if tls.verified {
        builder.with_root_certificates(roots(tls)?)
    } else {
        let trusting = Trusting::new(builder.crypto_provider());
        builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(trusting))
    };
    let mut config = match &tls.identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let chain = certificates(&identity.certificates)?;
            let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes())
                .map_err(|error| format!("the client's key cannot be read: {error}"))?;
            builder
                .with_client_auth_cert(chain, key)
                .map_err(|error| format!("the client's certificate and key: {error}"))?
        }
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Trust::Own(Arc::new(config)))
}

fn roots(tls: &RestTls) -> Result<RootCertStore, String> {
    let mut roots = if tls.system_roots {
        system_roots()
    } else {
        RootCertStore::empty()
    };
    if let Some(pem) = &tls.authorities {
        for certificate in certificates(pem)? {
            roots
                .add(certificate)
                .map_err(|error| format!("an authority's certificate cannot be used: {error}"))?;
        }
    }
    Ok(roots)
}

fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| format!("a certificate cannot be read: {error}"))
}

/// Accepts any certificate, as the file explicitly requires. Signatures are still verified, so that the server at least
/// owns the certificate that it sends.
#[derive(Debug)]
struct Trusting(WebPkiSupportedAlgorithms);

impl Trusting {
    fn new(provider: &CryptoProvider) -> Trusting {
        Trusting(provider.signature_verification_algorithms)
    }
}

impl ServerCertVerifier for Trusting {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}
