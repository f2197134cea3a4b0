//! The TLS of a target that has settings of its own: its authorities, and the certificate that we present.

use std::sync::Arc;

use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use tokio_rustls::rustls::server::danger::ClientCertVerifier;
use tokio_rustls::rustls::{
    ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};

use super::pinned;
use super::trust::{Trust, system_roots};

/// The settings of a target's TLS. By default the system's authorities are trusted, and we present no certificate.
#[derive(Debug, Clone, Copy)]
pub struct OwnTrust<'a> {
    /// True to verify the server's certificate. Default true.
    pub verified: bool,
    /// True to trust the system's authorities. Default true.
    pub system_roots: bool,
    /// Further authorities, in PEM.
    pub authorities: Option<&'a str>,
    /// Our certificate chain and its private key, in PEM.
    pub identity: Option<(&'a str, &'a str)>,
}

impl Default for OwnTrust<'_> {
    fn default() -> Self {
        OwnTrust {
            verified: true,
            system_roots: true,
            authorities: None,
            identity: None,
        }
    }
}

impl OwnTrust<'_> {
    /// Makes the trust of a target; `system` if it has no settings of its own.
    ///
    /// # Errors
    /// The PEM text that is invalid.
    pub fn trust(&self, system: &Trust) -> Result<Trust, String> {
        if self.verified
            && self.system_roots
            && self.authorities.is_none()
            && self.identity.is_none()
        {
            return Ok(system.clone());
        }
        Ok(Trust::Own(self.config()?))
    }

    /// The configuration of connections with these settings.
    ///
    /// # Errors
    /// The PEM text that is invalid.
    pub fn config(&self) -> Result<Arc<ClientConfig>, String> {
        let builder = ClientConfig::builder();
        let verifier: Arc<dyn ServerCertVerifier> = match self.verified {
            true => self.verifier()?,
            false => Arc::new(Trusting::new(builder.crypto_provider())),
        };
        let builder = builder
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let mut config = match self.identity {
            None => builder.with_no_client_auth(),
            Some((chain, key)) => {
                let chain = certificates(chain)?;
                let key = PrivateKeyDer::from_pem_slice(key.as_bytes())
                    .map_err(|error| format!("the client's key cannot be read: {error}"))?;
                builder
                    .with_client_auth_cert(chain, key)
                    .map_err(|error| format!("the client's certificate and key: {error}"))?
            }
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }

    fn verifier(&self) -> Result<Arc<dyn ServerCertVerifier>, String> {
        let listed = match self.authorities {
            Some(pem) => certificates(pem)?,
            None => Vec::new(),
        };
        let mut roots = roots_of(&listed)?;
        if self.system_roots {
            roots.extend(system_roots().roots);
        }
        pinned::servers(roots, listed)
    }
}

/// A verifier of clients by the authorities of a PEM text; a client may show no certificate unless it is `required`.
///
/// # Errors
/// The certificate that is invalid, or that there is none.
pub fn client_verifier(pem: &str, required: bool) -> Result<Arc<dyn ClientCertVerifier>, String> {
    let listed = certificates(pem)?;
    pinned::clients(roots_of(&listed)?, listed, required)
}

fn roots_of(certificates: &[CertificateDer<'static>]) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        roots
            .add(certificate.clone())
            .map_err(|error| format!("an authority's certificate cannot be used: {error}"))?;
    }
    Ok(roots)
}

fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| format!("a certificate cannot be read: {error}"))
}

/// Accepts any certificate, as a configuration explicitly requires. Signatures are still verified, so that the server at least
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
