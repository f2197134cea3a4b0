//! Two remarks about a TLS handshake: the upstream asked for a client certificate; the certificate that it showed is
//! self-signed.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use tokio_rustls::rustls::client::ResolvesClientCert;
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{CertificateError, ClientConfig, Error, OtherError, SignatureScheme};

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

/// The same configuration, which also notes requests for a client certificate in `wish`.
pub fn watching(config: &ClientConfig, wish: &Arc<CertificateWish>) -> Arc<ClientConfig> {
    let mut config = config.clone();
    config.client_auth_cert_resolver = Arc::new(WatchedResolver {
        inner: config.client_auth_cert_resolver.clone(),
        wish: wish.clone(),
    });
    Arc::new(config)
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

/// A certificate that is its own issuer.
#[derive(Debug)]
struct SelfSigned;

impl fmt::Display for SelfSigned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the certificate is self-signed, and not among those that are trusted")
    }
}

impl std::error::Error for SelfSigned {}

/// The refusal of a certificate that is its own issuer.
pub fn self_signed() -> Error {
    let error = OtherError(Arc::new(SelfSigned));
    Error::InvalidCertificate(CertificateError::Other(error))
}

pub fn is_self_signed(error: &OtherError) -> bool {
    error.0.downcast_ref::<SelfSigned>().is_some()
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
}
