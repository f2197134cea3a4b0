//! Two observers of a TLS handshake: one notes a request for a client certificate, the other distinguishes a
//! self-signed certificate from one of an unknown issuer.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::client::{ResolvesClientCert, WebPkiServerVerifier};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, Error, OtherError,
    RootCertStore, SignatureScheme,
};

/// An upstream's request for a client certificate.
///
/// A server may ask for one and still accept requests without it. So only a request counts that was not met before the
/// first answer.
#[derive(Debug, Default)]
pub struct CertificateWish(AtomicU8);

const ASKED: u8 = 1;
const WAIVED: u8 = 2;

impl CertificateWish {
    /// Notes that the upstream asked, and that there was none to give.
    fn ask(&self) {
        let _ = self
            .0
            .compare_exchange(0, ASKED, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Notes that the upstream has answered a request.
    pub fn answered(&self) {
        if self.is_open() {
            self.0.store(WAIVED, Ordering::Relaxed);
        }
    }

    /// True if the upstream asked and has never answered a request.
    pub fn is_open(&self) -> bool {
        self.0.load(Ordering::Relaxed) == ASKED
    }
}

/// The same configuration, which also notes requests for a client certificate.
pub fn watching(config: &ClientConfig) -> (Arc<ClientConfig>, Arc<CertificateWish>) {
    let wish = Arc::new(CertificateWish::default());
    let mut config = config.clone();
    config.client_auth_cert_resolver = Arc::new(WatchedResolver {
        inner: config.client_auth_cert_resolver.clone(),
        wish: wish.clone(),
    });
    (Arc::new(config), wish)
}

#[derive(Debug)]
struct WatchedResolver {
    inner: Arc<dyn ResolvesClientCert>,
    wish: Arc<CertificateWish>,
}

impl ResolvesClientCert for WatchedResolver {
    fn resolve(
        &self,
        root_hint_subjects: &[&[u8]],
        schemes: &[SignatureScheme],
    ) -> Option<Arc<CertifiedKey>> {
        let found = self.inner.resolve(root_hint_subjects, schemes);
        if found.is_none() {
            self.wish.ask();
        }
        found
    }

    fn only_raw_public_keys(&self) -> bool {
        self.inner.only_raw_public_keys()
    }

    fn has_certs(&self) -> bool {
        self.inner.has_certs()
    }
}

/// A verifier that trusts `roots` and names self-signed certificates. `None`: there are no roots.
pub fn naming_verifier(roots: RootCertStore) -> Option<Arc<dyn ServerCertVerifier>> {
    let inner = WebPkiServerVerifier::builder(Arc::new(roots))
        .build()
        .ok()?;
    Some(Arc::new(NamedVerifier(inner)))
}

#[derive(Debug)]
struct NamedVerifier(Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for NamedVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let inner = &self.0;
        let verified =
            inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        verified.map_err(|error| match error {
            // An authority's own certificate is refused as `Other`, whether trusted or not.
            Error::InvalidCertificate(
                CertificateError::UnknownIssuer | CertificateError::Other(_),
            ) if names_itself(end_entity) => {
                let error = OtherError(Arc::new(SelfSigned));
                Error::InvalidCertificate(CertificateError::Other(error))
            }
            error => error,
        })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0
            .verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0
            .verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }

    fn requires_raw_public_keys(&self) -> bool {
        self.0.requires_raw_public_keys()
    }

    fn root_hint_subjects(&self) -> Option<&[DistinguishedName]> {
        self.0.root_hint_subjects()
    }
}

/// A certificate that is its own issuer.
#[derive(Debug)]
struct SelfSigned;

impl fmt::Display for SelfSigned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the certificate is self-signed, and not among those that are trusted")
    }
}

impl std::error::Error for SelfSigned {}

pub fn is_self_signed(error: &OtherError) -> bool {
    error.0.downcast_ref::<SelfSigned>().is_some()
}

/// True if a certificate's issuer and subject are the same name (RFC 5280, section 4.1).
fn names_itself(certificate: &[u8]) -> bool {
    let names = || {
        let (certificate, _) = der(certificate)?;
        let (mut rest, _) = der(certificate)?;
        // The version, which has the context tag 0, may be left out; then come serial number and algorithm.
        if rest.first() == Some(&0xa0) {
            rest = der(rest)?.1;
        }
        rest = der(rest)?.1;
        rest = der(rest)?.1;
        let (issuer, rest) = der(rest)?;
        let (_validity, rest) = der(rest)?;
        let (subject, _) = der(rest)?;
        Some(issuer == subject)
    };
    names().unwrap_or(false)
}

/// The content of the first DER element, and the bytes behind it.
fn der(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (first, rest) = bytes.get(1..)?.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(*first), rest),
        0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(first - 0x80))?;
            let number = digits
                .iter()
                .fold(0, |sum, byte| sum << 8 | usize::from(*byte));
            (number, rest)
        }
        _ => return None,
    };
    rest.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_counts_until_something_is_answered() {
        let wish = CertificateWish::default();
        assert!(!wish.is_open());
        wish.ask();
        assert!(wish.is_open());
        wish.answered();
        wish.ask();
        assert!(!wish.is_open());
    }

    #[test]
    fn what_is_no_certificate_does_not_name_itself() {
        for bytes in [
            &b""[..],
            b"\x30",
            b"\x30\x85\x01",
            b"\x30\x82\xff",
            b"\x30\x03\x30\x01\xa0",
        ] {
            assert!(!names_itself(bytes));
        }
    }
}
