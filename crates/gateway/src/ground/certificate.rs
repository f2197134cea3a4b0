//! Facts of X.509 certificates: their names, the time in which they are valid, and the subject as text.

use std::fmt::Write as _;
use std::net::IpAddr;

use fusebox_plan::CertificateFacts;
use http::HeaderValue;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::{self, PemObject as _};
use x509_parser::certificate::X509Certificate;
use x509_parser::der_parser::oid::Oid;
use x509_parser::extensions::GeneralName;
use x509_parser::oid_registry;
use x509_parser::prelude::FromDer as _;
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

/// The facts of all certificates in a PEM text, in its order.
///
/// # Errors
/// The fault of the text or of a certificate, without an end mark.
pub fn facts(pem: &str) -> Result<Vec<CertificateFacts>, String> {
    let chain = chain(pem)?;
    let mut issuer = None;
    let mut all = Vec::with_capacity(chain.len());
    for (index, certificate) in chain.iter().enumerate() {
        let parsed = parse(certificate).ok_or_else(|| {
            format!(
                "number {} in the file: expected an X.509 certificate",
                index + 1
            )
        })?;
        let facts = facts_of(&parsed);
        let subject = parsed.subject().as_raw();
        all.push(CertificateFacts {
            is_astray: issuer.is_some_and(|issuer: Vec<u8>| issuer != subject),
            ..facts
        });
        issuer = Some(parsed.issuer().as_raw().to_vec());
    }
    Ok(all)
}

/// The certificates in a PEM text.
///
/// # Errors
/// The fault of the text, without an end mark; also that there is none.
pub fn chain(pem: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let all = CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<Vec<_>, _>>();
    let all = all.map_err(|error| pem_fault(&error).to_owned())?;
    match all.is_empty() {
        true => Err(pem_fault(&pem::Error::NoItemsFound).to_owned()),
        false => Ok(all),
    }
}

/// The fault of a PEM text without its content, which may be a key.
pub fn pem_fault(error: &pem::Error) -> &'static str {
    match error {
        pem::Error::MissingSectionEnd { .. } => "its `-----END …-----` line is missing",
        pem::Error::IllegalSectionStart { .. } => "its `-----BEGIN …-----` line is malformed",
        pem::Error::Base64Decode(_) => "its base64 is damaged",
        pem::Error::NoItemsFound => "the file has no PEM section for it",
        _ => "its PEM is damaged",
    }
}

/// The subject of a certificate as RFC 4514 writes it, such as `CN=orders,O=Example`, in visible ASCII; empty if it has
/// none.
pub fn subject(certificate: &[u8]) -> HeaderValue {
    let text = parse(certificate).map_or_else(String::new, |it| name_text(it.subject()));
    HeaderValue::try_from(text).expect("visible ASCII and spaces are a field's value")
}

/// True if a certificate's issuer and subject are the same name.
pub fn names_itself(certificate: &[u8]) -> bool {
    parse(certificate).is_some_and(|it| it.issuer().as_raw() == it.subject().as_raw())
}

fn parse(certificate: &[u8]) -> Option<X509Certificate<'_>> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    Some(parsed)
}

fn facts_of(certificate: &X509Certificate<'_>) -> CertificateFacts {
    let extension = certificate.subject_alternative_name().ok().flatten();
    let names = extension.map_or(&[][..], |it| &it.value.general_names);
    let dns_names: Vec<String> = names
        .iter()
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
            _ => None,
        })
        .collect();
    let address = names.iter().find_map(|name| match name {
        GeneralName::IPAddress(bytes) => ip(bytes),
        _ => None,
    });
    let common_name = || {
        let mut names = certificate.subject().iter_common_name();
        Some(names.next()?.as_str().ok()?.to_owned())
    };
    let name = dns_names.first().cloned();
    let name = name.or_else(|| Some(address?.to_string()));
    CertificateFacts {
        name: name.or_else(common_name).unwrap_or_default(),
        dns_names,
        not_before: certificate.validity().not_before.timestamp(),
        not_after: certificate.validity().not_after.timestamp(),
        is_astray: false,
    }
}

fn ip(bytes: &[u8]) -> Option<IpAddr> {
    let four = <[u8; 4]>::try_from(bytes).map(IpAddr::from).ok();
    four.or_else(|| <[u8; 16]>::try_from(bytes).map(IpAddr::from).ok())
}

/// The parts of a name, the most specific first (RFC 4514, section 2.1).
fn name_text(name: &X509Name<'_>) -> String {
    let parts: Vec<_> = name.iter_rdn().collect();
    let parts = parts.iter().rev().map(|part| {
        let attributes: Vec<String> = part.iter().map(attribute_text).collect();
        attributes.join("+")
    });
    let parts: Vec<String> = parts.collect();
    parts.join(",")
}

/// A type with its value: by the type's short name, if it has one that everybody writes.
fn attribute_text(attribute: &AttributeTypeAndValue<'_>) -> String {
    let kind = attribute.attr_type();
    match (short_name(kind), attribute.as_str()) {
        (Some(name), Ok(value)) => format!("{name}={}", escaped(value)),
        (_, Ok(value)) => format!("{kind}={}", escaped(value)),
        (name, Err(_)) => {
            // A value of another form in hexadecimal digits (section 2.4).
            let name = name.map_or_else(|| kind.to_string(), str::to_owned);
            let digits = attribute
                .as_slice()
                .iter()
                .fold(String::new(), |mut text, byte| {
                    write!(text, "{byte:02x}").ok();
                    text
                });
            format!("{name}=#{digits}")
        }
    }
}

fn short_name(kind: &Oid<'_>) -> Option<&'static str> {
    let names = [
        (oid_registry::OID_X509_COMMON_NAME, "CN"),
        (oid_registry::OID_X509_LOCALITY_NAME, "L"),
        (oid_registry::OID_X509_STATE_OR_PROVINCE_NAME, "ST"),
        (oid_registry::OID_X509_ORGANIZATION_NAME, "O"),
        (oid_registry::OID_X509_ORGANIZATIONAL_UNIT, "OU"),
        (oid_registry::OID_X509_COUNTRY_NAME, "C"),
        (oid_registry::OID_X509_STREET_ADDRESS, "STREET"),
        (oid_registry::OID_DOMAIN_COMPONENT, "DC"),
        (oid_registry::OID_USERID, "UID"),
        (oid_registry::OID_PKCS9_EMAIL_ADDRESS, "emailAddress"),
        (oid_registry::OID_X509_SERIALNUMBER, "serialNumber"),
    ];
    let found = names.iter().find(|(oid, _)| oid == kind);
    found.map(|(_, name)| *name)
}

/// A value with its special characters escaped (section 2.4), and by their bytes all that are not visible ASCII.
fn escaped(value: &str) -> String {
    let last = value.chars().count().saturating_sub(1);
    let mut text = String::with_capacity(value.len());
    for (at, character) in value.chars().enumerate() {
        match character {
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' => text.extend(['\\', character]),
            ' ' if at == 0 || at == last => text.push_str("\\ "),
            '#' if at == 0 => text.push_str("\\#"),
            ' '..='~' => text.push(character),
            _ => {
                for byte in character.encode_utf8(&mut [0; 4]).bytes() {
                    write!(text, "\\{byte:02X}").ok();
                }
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_escaped_to_visible_ascii() {
        for (value, written) in [
            ("Sue, Grabbit and Runn", "Sue\\, Grabbit and Runn"),
            (" a b ", "\\ a b\\ "),
            ("#1 \"x\" <y>; a+b\\", "\\#1 \\\"x\\\" \\<y\\>\\; a\\+b\\\\"),
            ("Lučić\r\n", "Lu\\C4\\8Di\\C4\\87\\0D\\0A"),
        ] {
            assert_eq!(escaped(value), written);
        }
    }

    #[test]
    fn what_is_no_certificate_names_nobody() {
        for bytes in [
            &b""[..],
            b"\x30",
            b"\x30\x85\x01",
            b"\x30\x82\xff",
            b"\x30\x03\x30\x01\xa0",
        ] {
            assert!(!names_itself(bytes));
            assert!(subject(bytes).is_empty());
        }
    }
}
