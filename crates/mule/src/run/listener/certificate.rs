//! A client's certificate as a flow sees it: `attributes.clientCertificate`.
//!
//! Its members are those of Mule's CertificateData, except for the extensions and for the alternative names and the
//! unique id of the issuer.
//!
//! Source: [mule-http-connector](https://github.com/mulesoft/mule-http-connector), `CertificateData`.

use jiff::Timestamp;
use x509_parser::certificate::X509Certificate;
use x509_parser::der_parser::oid::Oid;
use x509_parser::extensions::GeneralName;
use x509_parser::oid_registry;
use x509_parser::prelude::FromDer as _;
use x509_parser::public_key::PublicKey;
use x509_parser::time::ASN1Time;
use x509_parser::x509::X509Name;

use crate::{Number, Value, jiff};

/// The path length that Java gives an authority without a limit.
const UNLIMITED: i64 = 0x7fff_ffff;

/// The certificate in DER as a value; null if it is none.
pub fn certificate_value(der: &[u8]) -> Value {
    let Ok((_, certificate)) = X509Certificate::from_der(der) else {
        return Value::Null;
    };
    let (subject, issuer) = (name(certificate.subject()), name(certificate.issuer()));
    let serial = number(certificate.raw_serial());
    let algorithm = &certificate.signature_algorithm;
    let validity = certificate.validity();
    let named = |critical: bool| {
        let all = certificate.extensions().iter();
        let all = all.filter(|it| it.critical == critical);
        Value::array(all.map(|it| it.oid.to_id_string().into()).collect())
    };
    Value::record([
        ("type", "X.509".into()),
        ("name", subject.as_str().into()),
        ("version", i64::from(certificate.version().0 + 1).into()),
        ("subjectDN", principal(&subject)),
        ("issuerDN", principal(&issuer)),
        (
            "subjectX500Principal",
            Value::record([("name", subject.as_str().into())]),
        ),
        (
            "issuerX500Principal",
            Value::record([("name", issuer.as_str().into())]),
        ),
        ("serialNumber", serial.clone()),
        (
            "serialNumberObject",
            Value::record([("serialNumber", serial)]),
        ),
        ("notBefore", moment(&validity.not_before)),
        ("notAfter", moment(&validity.not_after)),
        ("publicKey", public_key(&certificate)),
        ("sigAlgName", signature_name(&algorithm.algorithm)),
        ("sigAlgOID", algorithm.algorithm.to_id_string().into()),
        (
            "signature",
            Value::bytes(certificate.signature_value.data.to_vec()),
        ),
        ("basicConstraints", path_length(&certificate).into()),
        ("keyUsage", key_usage(&certificate)),
        ("extendedKeyUsage", extended_key_usage(&certificate)),
        ("subjectAlternativeNames", alternative_names(&certificate)),
        ("criticalExtensionOIDs", named(true)),
        ("nonCriticalExtensionOIDs", named(false)),
    ])
}

fn principal(name: &str) -> Value {
    let common = name.split(", ").find_map(|part| part.strip_prefix("CN="));
    Value::record([
        ("name", name.into()),
        ("commonName", common.unwrap_or_default().into()),
    ])
}

/// A name as Java writes it: the most specific part first.
fn name(name: &X509Name<'_>) -> String {
    let parts = name.iter_rdn().map(|part| {
        let attributes = part.iter().map(|attribute| {
            let value = attribute.as_str().unwrap_or_default();
            format!("{}={}", keyword(attribute.attr_type()), quoted(value))
        });
        attributes.collect::<Vec<_>>().join(" + ")
    });
    let mut parts: Vec<String> = parts.collect();
    parts.reverse();
    parts.join(", ")
}

/// The keyword of a part of a name; one that Java does not know is its number.
fn keyword(kind: &Oid<'_>) -> String {
    let known = [
        (oid_registry::OID_X509_COMMON_NAME, "CN"),
        (oid_registry::OID_X509_COUNTRY_NAME, "C"),
        (oid_registry::OID_X509_LOCALITY_NAME, "L"),
        (oid_registry::OID_X509_STATE_OR_PROVINCE_NAME, "ST"),
        (oid_registry::OID_X509_STREET_ADDRESS, "STREET"),
        (oid_registry::OID_X509_ORGANIZATION_NAME, "O"),
        (oid_registry::OID_X509_ORGANIZATIONAL_UNIT, "OU"),
        (oid_registry::OID_X509_SERIALNUMBER, "SERIALNUMBER"),
        (oid_registry::OID_DOMAIN_COMPONENT, "DC"),
        (oid_registry::OID_USERID, "UID"),
        (oid_registry::OID_PKCS9_EMAIL_ADDRESS, "EMAILADDRESS"),
    ];
    match known.iter().find(|(known, _)| known == kind) {
        Some((_, keyword)) => (*keyword).to_owned(),
        None => format!("OID.{}", kind.to_id_string()),
    }
}

/// A value in quotes if it has a character that separates.
fn quoted(value: &str) -> String {
    let separates = value.contains([',', '+', '=', '<', '>', '#', ';', '"', '\\', '\n']);
    match separates || value.trim() != value {
        true => format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"")),
        false => value.to_owned(),
    }
}

/// A number from its bytes, the most significant first.
fn number(bytes: &[u8]) -> Value {
    let digits = decimal(bytes);
    Number::parse(&digits).map_or(Value::Null, Value::from)
}

/// The decimal digits of a number that is not negative.
fn decimal(bytes: &[u8]) -> String {
    const LIMB: u64 = 1_000_000_000;
    let mut limbs: Vec<u64> = vec![0];
    for byte in bytes {
        let mut carry = u64::from(*byte);
        for limb in &mut limbs {
            let sum = *limb * 256 + carry;
            (*limb, carry) = (sum % LIMB, sum / LIMB);
        }
        if carry > 0 {
            limbs.push(carry);
        }
    }
    let mut limbs = limbs.iter().rev();
    let first = limbs.next().map_or_else(String::new, u64::to_string);
    limbs.fold(first, |digits, limb| format!("{digits}{limb:09}"))
}

fn moment(time: &ASN1Time) -> Value {
    Timestamp::from_second(time.timestamp()).map_or(Value::Null, Value::moment)
}

fn public_key(certificate: &X509Certificate<'_>) -> Value {
    let key = certificate.public_key();
    let (algorithm, modulus, exponent) = match key.parsed() {
        Ok(PublicKey::RSA(rsa)) => ("RSA", number(rsa.modulus), number(rsa.exponent)),
        Ok(PublicKey::EC(_)) => ("EC", Value::Null, Value::Null),
        Ok(PublicKey::DSA(_)) => ("DSA", Value::Null, Value::Null),
        _ if key.algorithm.algorithm == oid_registry::OID_SIG_ED25519 => {
            ("EdDSA", Value::Null, Value::Null)
        }
        _ => ("", Value::Null, Value::Null),
    };
    Value::record([
        ("algorithm", algorithm.into()),
        ("encoded", Value::bytes(key.raw.to_vec())),
        ("modulus", modulus),
        ("params", exponent),
    ])
}

/// Java's name of a way to sign; null for one that is seldom seen.
fn signature_name(algorithm: &Oid<'_>) -> Value {
    let known = [
        (oid_registry::OID_PKCS1_SHA256WITHRSA, "SHA256withRSA"),
        (oid_registry::OID_PKCS1_SHA384WITHRSA, "SHA384withRSA"),
        (oid_registry::OID_PKCS1_SHA512WITHRSA, "SHA512withRSA"),
        (oid_registry::OID_PKCS1_SHA1WITHRSA, "SHA1withRSA"),
        (oid_registry::OID_PKCS1_RSASSAPSS, "RSASSA-PSS"),
        (oid_registry::OID_SIG_ECDSA_WITH_SHA256, "SHA256withECDSA"),
        (oid_registry::OID_SIG_ECDSA_WITH_SHA384, "SHA384withECDSA"),
        (oid_registry::OID_SIG_ECDSA_WITH_SHA512, "SHA512withECDSA"),
        (oid_registry::OID_SIG_ED25519, "Ed25519"),
    ];
    let found = known.iter().find(|(known, _)| known == algorithm);
    found.map_or(Value::Null, |(_, name)| (*name).into())
}

/// The limit of authorities below an authority; -1 for a certificate of no authority.
fn path_length(certificate: &X509Certificate<'_>) -> i64 {
    let constraints = certificate.basic_constraints().ok().flatten();
    match constraints.filter(|it| it.value.ca) {
        Some(it) => it.value.path_len_constraint.map_or(UNLIMITED, i64::from),
        None => -1,
    }
}

/// The nine flags of the key's usage, in their order; null without the extension.
fn key_usage(certificate: &X509Certificate<'_>) -> Value {
    const FLAGS: u16 = 9;
    let Ok(Some(usage)) = certificate.key_usage() else {
        return Value::Null;
    };
    let flags = (0..FLAGS).map(|flag| (usage.value.flags >> flag & 1 == 1).into());
    Value::array(flags.collect())
}

/// The purposes of the key by their numbers; null without the extension.
fn extended_key_usage(certificate: &X509Certificate<'_>) -> Value {
    let Ok(Some(usage)) = certificate.extended_key_usage() else {
        return Value::Null;
    };
    let usage = usage.value;
    let known = [
        (usage.server_auth, "1.3.6.1.5.5.7.3.1"),
        (usage.client_auth, "1.3.6.1.5.5.7.3.2"),
        (usage.code_signing, "1.3.6.1.5.5.7.3.3"),
        (usage.email_protection, "1.3.6.1.5.5.7.3.4"),
        (usage.time_stamping, "1.3.6.1.5.5.7.3.8"),
        (usage.ocsp_signing, "1.3.6.1.5.5.7.3.9"),
        (usage.any, "2.5.29.37.0"),
    ];
    let known = known.iter().filter(|(has, _)| *has);
    let known = known.map(|(_, oid)| Value::from(*oid));
    let others = usage.other.iter().map(|oid| oid.to_id_string().into());
    Value::array(known.chain(others).collect())
}

/// The other names of the subject, each with the number of its kind; names of kinds that are no text are left out.
fn alternative_names(certificate: &X509Certificate<'_>) -> Value {
    let extension = certificate.subject_alternative_name().ok().flatten();
    let names = extension.map_or(&[][..], |it| &it.value.general_names);
    let names = names.iter().filter_map(|it| {
        let (kind, text) = match it {
            GeneralName::RFC822Name(text) => (1, (*text).to_owned()),
            GeneralName::DNSName(text) => (2, (*text).to_owned()),
            GeneralName::DirectoryName(of) => (4, name(of)),
            GeneralName::URI(text) => (6, (*text).to_owned()),
            GeneralName::IPAddress(bytes) => (7, address(bytes)?),
            GeneralName::RegisteredID(oid) => (8, oid.to_id_string()),
            _ => return None,
        };
        Some(Value::record([
            ("type", Value::from(kind)),
            ("name", text.into()),
        ]))
    });
    Value::array(names.collect())
}

fn address(bytes: &[u8]) -> Option<String> {
    use std::net::IpAddr;
    let four = <[u8; 4]>::try_from(bytes).map(IpAddr::from).ok();
    let address = four.or_else(|| <[u8; 16]>::try_from(bytes).map(IpAddr::from).ok());
    address.map(|address| address.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    /// A certificate of a fixture.
    fn of(pem: &str) -> Value {
        let inner = pem.split("-----").nth(2).unwrap();
        let text: String = inner.split_whitespace().collect();
        certificate_value(&STANDARD.decode(text).unwrap())
    }

    fn shown(value: &Value, path: &[&str]) -> String {
        let member = path.iter().fold(value.clone(), |value, name| match value {
            Value::Object(object) => object.get(name).unwrap().clone(),
            other => panic!("{name} of {other:?}"),
        });
        member.shown().unwrap()
    }

    #[test]
    fn a_certificate_has_the_members_that_mule_gives_it() {
        let client = of(include_str!("../../../tests/fixtures/stores/client.pem"));
        for (path, expected) in [
            (&["type"][..], "X.509"),
            (&["version"], "3"),
            (&["name"], "CN=shop, OU=Till, O=Orders, C=DE"),
            (&["subjectDN", "name"], "CN=shop, OU=Till, O=Orders, C=DE"),
            (&["subjectDN", "commonName"], "shop"),
            (&["issuerDN", "name"], "CN=Test CA, O=Orders"),
            (&["issuerX500Principal", "name"], "CN=Test CA, O=Orders"),
            // 1C85DD46F8648A20 in hexadecimal digits.
            (&["serialNumber"], "2055292101849287200"),
            (
                &["serialNumberObject", "serialNumber"],
                "2055292101849287200",
            ),
            (&["notBefore"], "2020-01-01T00:00:00Z"),
            (&["publicKey", "algorithm"], "EC"),
            (&["sigAlgName"], "SHA256withECDSA"),
            (&["basicConstraints"], "-1"),
        ] {
            assert_eq!(shown(&client, path), expected, "{path:?}");
        }
        let authority = of(include_str!("../../../tests/fixtures/stores/ca.pem"));
        assert_eq!(shown(&authority, &["basicConstraints"]), "2147483647");
    }

    #[test]
    fn what_is_no_certificate_is_null() {
        assert_eq!(certificate_value(b"no"), Value::Null);
        assert_eq!(certificate_value(b""), Value::Null);
    }

    #[test]
    fn large_numbers_keep_their_digits() {
        for (bytes, digits) in [
            (&[][..], "0"),
            (&[0], "0"),
            (&[1, 0], "256"),
            (&[0xff; 8], "18446744073709551615"),
            (&[0xff; 16], "340282366920938463463374607431768211455"),
        ] {
            assert_eq!(decimal(bytes), digits);
        }
    }

    #[test]
    fn a_part_with_a_separator_is_quoted() {
        assert_eq!(quoted("Orders"), "Orders");
        assert_eq!(quoted("Tea, Ltd"), "\"Tea, Ltd\"");
        assert_eq!(quoted("a\"b"), "\"a\\\"b\"");
    }
}
