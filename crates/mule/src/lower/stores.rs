//! Java's key stores and trust stores as PEM: those in the form PKCS12, which is Java's own since version 9.
//!
//! The form is known by the content, since Java too reads a PKCS12 store whose type is said to be JKS.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use p12_keystore::error::Error;
use p12_keystore::{CertificateBag, Pkcs12Archive, PrivateKeyBag};

/// The limit of a store's bytes. A store of all public authorities has some 200 KiB.
pub(super) const STORE_BYTES_MAX: usize = 1 << 20;

/// The first bytes of a store in the form JKS, and in its successor JCEKS.
const JKS: [[u8; 4]; 2] = [[0xfe, 0xed, 0xfe, 0xed], [0xce, 0xce, 0xce, 0xce]];
/// The length of the lines of base64 in PEM.
const PEM_LINE: usize = 64;

/// A fault of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum StoreFault {
    /// The store is of the older form JKS or JCEKS.
    Jks,
    /// The store is PEM.
    Pem,
    /// The password is wrong.
    Password,
    /// The store is of no form that is read, is damaged, or its encryption is unknown or too costly: the reason.
    Unreadable(String),
    /// The store has no key.
    NoKey,
    /// The store has no key of the alias; those that it has.
    NoAlias(Vec<String>),
    /// The store has a key without a certificate.
    Bare,
    /// The store has no certificate of an authority.
    NoAuthority,
}

/// The keys and certificates of a store.
pub(super) struct Store(Pkcs12Archive);

impl Store {
    /// Opens a store. The effort of its key derivations is limited by the library.
    ///
    /// # Errors
    /// The store's fault.
    pub fn open(bytes: &[u8], password: &str) -> Result<Store, StoreFault> {
        if JKS.iter().any(|magic| bytes.starts_with(magic)) {
            return Err(StoreFault::Jks);
        }
        if bytes.starts_with(b"-----BEGIN ") {
            return Err(StoreFault::Pem);
        }
        match Pkcs12Archive::from_pkcs12(bytes, password) {
            Ok(archive) => Ok(Store(archive)),
            Err(Error::MacError(_) | Error::UnpadError | Error::Pkcs5Error(_)) => {
                Err(StoreFault::Password)
            }
            Err(Error::DerError(_)) => {
                let why = "it is damaged, or of another form than PKCS12";
                Err(StoreFault::Unreadable(why.to_owned()))
            }
            Err(Error::InvalidParameters) => {
                let why = "its encryption asks for more work than is allowed";
                Err(StoreFault::Unreadable(why.to_owned()))
            }
            Err(error) => Err(StoreFault::Unreadable(error.to_string())),
        }
    }

    /// The authorities of the store, in PEM: those that Java trusts, or if it marks none, as OpenSSL leaves it, all
    /// certificates.
    ///
    /// # Errors
    /// [`StoreFault::NoAuthority`].
    pub fn authorities(&self) -> Result<String, StoreFault> {
        let certificates = &self.0.certs;
        let marked = certificates.iter().any(|bag| bag.trusted);
        let certificates = certificates.iter().filter(|bag| bag.trusted || !marked);
        let pem: String = certificates.map(certificate).collect();
        match pem.is_empty() {
            true => Err(StoreFault::NoAuthority),
            false => Ok(pem),
        }
    }

    /// The key of an alias, or the first one, with its certificate and those of its issuers, in PEM.
    ///
    /// # Errors
    /// The store has no such key, or no certificate of it.
    pub fn identity(&self, alias: Option<&str>) -> Result<String, StoreFault> {
        let keys = &self.0.keys;
        let name = |key: &PrivateKeyBag| key.friendly_name.clone().unwrap_or_default();
        let first = keys.first().ok_or(StoreFault::NoKey)?;
        let key = match alias {
            None => first,
            Some(alias) => {
                // Java's aliases have no case.
                let is_it = |key: &&PrivateKeyBag| name(key).eq_ignore_ascii_case(alias);
                let none = || StoreFault::NoAlias(keys.iter().map(name).collect());
                keys.iter().find(is_it).ok_or_else(none)?
            }
        };
        let mut pem = self.chain(key).ok_or(StoreFault::Bare)?;
        pem.push_str(&section("PRIVATE KEY", key.key.as_der()));
        Ok(pem)
    }

    /// The certificate of a key, then those of its issuers, as far as the store has them.
    fn chain(&self, key: &PrivateKeyBag) -> Option<String> {
        let all = &self.0.certs;
        let id = key.local_key_id.as_ref()?;
        let own = |bag: &&CertificateBag| bag.local_key_id.as_deref() == Some(id.as_ref());
        let mut link = all.iter().find(own)?;
        let mut chain = vec![link];
        while let Some(issuer) = all
            .iter()
            .find(|bag| bag.cert.subject() == link.cert.issuer() && !chain.contains(bag))
        {
            chain.push(issuer);
            link = issuer;
        }
        Some(chain.into_iter().map(certificate).collect())
    }
}

fn certificate(bag: &CertificateBag) -> String {
    section("CERTIFICATE", bag.cert.as_der())
}

/// A section of PEM.
fn section(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let mut out = format!("-----BEGIN {label}-----\n");
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, more) = rest.split_at(PEM_LINE.min(rest.len()));
        out.push_str(line);
        out.push('\n');
        rest = more;
    }
    out.push_str(&format!("-----END {label}-----\n"));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVER: &[u8] = include_bytes!("../../tests/fixtures/stores/server.p12");
    const LEGACY: &[u8] = include_bytes!("../../tests/fixtures/stores/legacy.p12");
    const TRUST: &[u8] = include_bytes!("../../tests/fixtures/stores/trust.p12");
    const BARE: &[u8] = include_bytes!("../../tests/fixtures/stores/bare.p12");
    const JKS: &[u8] = include_bytes!("../../tests/fixtures/stores/trust.jks");
    const CA: &str = include_str!("../../tests/fixtures/stores/ca.pem");
    const CLIENT: &str = include_str!("../../tests/fixtures/stores/client.pem");

    fn open(bytes: &[u8], password: &str) -> Store {
        Store::open(bytes, password).unwrap_or_else(|fault| panic!("{fault:?}"))
    }

    fn fault<T>(result: Result<T, StoreFault>) -> StoreFault {
        result.err().unwrap()
    }

    #[test]
    fn a_trust_store_gives_its_authorities_as_they_were_put_in() {
        let ca = CA.replace("\r\n", "\n");
        for store in [TRUST, BARE] {
            assert_eq!(open(store, "changeit").authorities(), Ok(ca.clone()));
        }
    }

    #[test]
    fn a_key_comes_with_its_chain_by_its_alias_or_as_the_first() {
        let store = open(SERVER, "changeit");
        let count = |pem: &str, label| pem.matches(&format!("BEGIN {label}")).count();
        let server = store.identity(Some("SERVER")).unwrap();
        assert_eq!(count(&server, "CERTIFICATE"), 2);
        assert_eq!(count(&server, "PRIVATE KEY"), 1);
        let other = store.identity(Some("other")).unwrap();
        assert_eq!(count(&other, "CERTIFICATE"), 1);
        let first = store.identity(None).unwrap();
        assert!(first == server || first == other);
        let names = vec!["server".to_owned(), "other".to_owned()];
        let StoreFault::NoAlias(mut found) = fault(store.identity(Some("none"))) else {
            panic!("another fault");
        };
        found.sort_unstable_by(|a, b| b.cmp(a));
        assert_eq!(found, names);
    }

    #[test]
    fn the_encryption_of_older_stores_is_read() {
        let identity = open(LEGACY, "alt").identity(None).unwrap();
        let certificate = CLIENT.split("-----BEGIN PRIVATE").next().unwrap();
        let certificate = certificate.replace("\r\n", "\n");
        assert!(identity.starts_with(certificate.trim()), "{certificate}");
    }

    #[test]
    fn each_fault_is_told_apart() {
        assert_eq!(fault(Store::open(SERVER, "wrong")), StoreFault::Password);
        assert_eq!(fault(Store::open(LEGACY, "")), StoreFault::Password);
        assert_eq!(fault(Store::open(JKS, "changeit")), StoreFault::Jks);
        assert_eq!(fault(Store::open(CA.as_bytes(), "")), StoreFault::Pem);
        let damaged = fault(Store::open(&SERVER[..SERVER.len() / 2], "changeit"));
        assert!(matches!(damaged, StoreFault::Unreadable(_)), "{damaged:?}");
        assert_eq!(
            fault(open(TRUST, "changeit").identity(None)),
            StoreFault::NoKey
        );
    }

    #[test]
    fn no_damage_is_more_than_an_error() {
        for at in 0..TRUST.len() {
            let mut bytes = TRUST.to_vec();
            bytes[at] ^= 0x55;
            // The key derivations of a wrong count of rounds would only take time.
            if at % 7 == 0 {
                Store::open(&bytes, "changeit").ok();
            }
            Store::open(&TRUST[..at], "changeit").ok();
        }
    }
}
