//! Names of TLS errors.

use tokio_rustls::rustls::{AlertDescription, CertificateError, Error, InvalidMessage};

use super::certificate::is_self_signed;

/// The upstream asks for a certificate of ours, and we have none.
pub const CLIENT_CERTIFICATE: &str = "the upstream asks for a client certificate";

/// The name of a TLS error; `wanted`: a client certificate was asked for and there was none.
pub fn name(error: &Error, wanted: bool) -> &'static str {
    match error {
        Error::InvalidCertificate(error) => certificate(error),
        Error::AlertReceived(alert) => self::alert(*alert, wanted),
        Error::InvalidMessage(
            InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion,
        ) => "no TLS spoken",
        Error::InvalidMessage(_) | Error::PeerMisbehaved(_) => "malformed TLS",
        Error::PeerIncompatible(_) => "no TLS version or cipher in common",
        Error::NoApplicationProtocol => "no protocol in common (ALPN)",
        Error::NoCertificatesPresented => "no certificate shown",
        Error::InvalidCertRevocationList(_) => "certificate revocation list unusable",
        _ => "TLS failed",
    }
}

/// The error's details in a sentence.
pub fn detail(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(CertificateError::Other(error)) => error.0.to_string(),
        Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
            "none of the authorities that are trusted has signed it".into()
        }
        error => error.to_string(),
    }
}

fn certificate(error: &CertificateError) -> &'static str {
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "certificate expired"
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "certificate not yet valid"
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "certificate for another name"
        }
        CertificateError::UnknownIssuer => "certificate of an unknown issuer",
        CertificateError::Revoked => "certificate revoked",
        CertificateError::BadEncoding => "malformed certificate",
        CertificateError::BadSignature => "certificate with a wrong signature",
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "certificate for another purpose"
        }
        CertificateError::Other(error) if is_self_signed(error) => "self-signed certificate",
        _ => "certificate not accepted",
    }
}

/// The name of an alert that the upstream sent. Before TLS 1.3 no alert says that a client certificate is required, so
/// servers send one of several.
fn alert(alert: AlertDescription, wanted: bool) -> &'static str {
    use AlertDescription as Alert;
    match alert {
        Alert::CertificateRequired | Alert::NoCertificate => CLIENT_CERTIFICATE,
        Alert::HandshakeFailure
        | Alert::BadCertificate
        | Alert::CertificateUnknown
        | Alert::AccessDenied
            if wanted =>
        {
            CLIENT_CERTIFICATE
        }
        Alert::UnexpectedMessage => "alert unexpected_message",
        Alert::BadRecordMac => "alert bad_record_mac",
        Alert::RecordOverflow => "alert record_overflow",
        Alert::HandshakeFailure => "alert handshake_failure",
        Alert::BadCertificate => "alert bad_certificate",
        Alert::UnsupportedCertificate => "alert unsupported_certificate",
        Alert::CertificateRevoked => "alert certificate_revoked",
        Alert::CertificateExpired => "alert certificate_expired",
        Alert::CertificateUnknown => "alert certificate_unknown",
        Alert::IllegalParameter => "alert illegal_parameter",
        Alert::UnknownCA => "alert unknown_ca",
        Alert::AccessDenied => "alert access_denied",
        Alert::DecodeError => "alert decode_error",
        Alert::DecryptError => "alert decrypt_error",
        Alert::ProtocolVersion => "alert protocol_version",
        Alert::InsufficientSecurity => "alert insufficient_security",
        Alert::InternalError => "alert internal_error",
        Alert::UserCanceled => "alert user_canceled",
        Alert::MissingExtension => "alert missing_extension",
        Alert::UnsupportedExtension => "alert unsupported_extension",
        Alert::UnrecognisedName => "alert unrecognized_name",
        Alert::NoApplicationProtocol => "alert no_application_protocol",
        _ => "another alert",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handshake_failure_is_about_our_certificate_only_if_one_was_asked_for() {
        let error = Error::AlertReceived(AlertDescription::HandshakeFailure);
        assert_eq!(name(&error, true), CLIENT_CERTIFICATE);
        assert_eq!(name(&error, false), "alert handshake_failure");
        let error = Error::AlertReceived(AlertDescription::CertificateRequired);
        assert_eq!(name(&error, false), CLIENT_CERTIFICATE);
    }
}
