//! The verifiers of certificates, servers' and clients': by authorities, and by certificates that are trusted as they are.
//!
//! A certificate that signs itself is often made as an authority, and the path validation of rustls refuses it as the
//! certificate of a server or client. Who lists that very certificate trusts it, as Java and Go see it, too. Its name is
//! checked all the same, and so is its time: one that has expired, or is not valid yet, is refused although it is listed.
//! A server's that signs itself and is not listed is refused by that name, and not for an unknown issuer.

use std::sync::Arc;

use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::client::{WebPkiServerVerifier, verify_server_name};
use tokio_rustls::rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use tokio_rustls::rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use tokio_rustls::rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore,
    SignatureScheme,
};

use crate::ground::certificate::names_itself;
use crate::upstream::upstream_errors::self_signed;

/// A verifier of servers by authorities, and by certificates that are listed among them.
///
/// # Errors
/// The reason why no verifier can be made of the authorities.
pub fn servers(
    roots: RootCertStore,
    listed: Vec<CertificateDer<'static>>,
) -> Result<Arc<dyn ServerCertVerifier>, String> {
    let inner = WebPkiServerVerifier::builder(Arc::new(roots)).build();
    let inner = inner.map_err(|error| error.to_string())?;
    Ok(Arc::new(Servers { inner, listed }))
}

/// A verifier of clients by authorities, and by certificates that are listed among them. A client must show one where it
/// is `required`; one that is shown is always verified.
///
/// # Errors
/// The reason why no verifier can be made of the authorities.
pub fn clients(
    roots: RootCertStore,
    listed: Vec<CertificateDer<'static>>,
    required: bool,
) -> Result<Arc<dyn ClientCertVerifier>, String> {
    let mut builder = WebPkiClientVerifier::builder(Arc::new(roots));
    if !required {
        builder = builder.allow_unauthenticated();
    }
    let inner = builder.build().map_err(|error| error.to_string())?;
    Ok(Arc::new(Clients { inner, listed }))
}

/// True if a listed certificate was refused only for the way in which it was made or signed. Validation looks at the time
/// before that, so the error of one that has expired is another.
fn is_excused(
    error: &Error,
    listed: &[CertificateDer<'static>],
    end_entity: &CertificateDer<'_>,
) -> bool {
    is_unsigned(error) && listed.iter().any(|listed| listed == end_entity)
}

/// True if no authority has signed a certificate; an authority's own one is refused as `Other`.
fn is_unsigned(error: &Error) -> bool {
    matches!(
        error,
        Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::Other(_))
    )
}

#[derive(Debug)]
struct Servers {
    inner: Arc<WebPkiServerVerifier>,
    listed: Vec<CertificateDer<'static>>,
}

impl ServerCertVerifier for Servers {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let inner = &self.inner;
        let verified =
            inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        match verified {
            Err(error) if is_excused(&error, &self.listed, end_entity) => {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
                Ok(ServerCertVerified::assertion())
            }
            Err(error) if is_unsigned(&error) && names_itself(end_entity) => Err(self_signed()),
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner
            .verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner
            .verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }

    fn requires_raw_public_keys(&self) -> bool {
        self.inner.requires_raw_public_keys()
    }

    fn root_hint_subjects(&self) -> Option<&[DistinguishedName]> {
        self.inner.root_hint_subjects()
    }
}

#[derive(Debug)]
struct Clients {
    inner: Arc<dyn ClientCertVerifier>,
    listed: Vec<CertificateDer<'static>>,
}

impl ClientCertVerifier for Clients {
    fn offer_client_auth(&self) -> bool {
        self.inner.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.inner.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.inner.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        match self
            .inner
            .verify_client_cert(end_entity, intermediates, now)
        {
            Err(error) if is_excused(&error, &self.listed, end_entity) => {
                Ok(ClientCertVerified::assertion())
            }
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner
            .verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner
            .verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}
