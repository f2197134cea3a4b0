//! A certificate chain with its private key: whether both can be used, and which file is at fault if not.

use fusebox_plan::PairFault;
use fusebox_plan::plan::{KeyPair, PemSource};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject as _;
use tokio_rustls::rustls::Error;
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::server::ParsedCertificate;
use tokio_rustls::rustls::sign::CertifiedKey;

use crate::ground::certificate;

/// Fault of a key that cannot sign a handshake.
const KINDS: &str = "expected an RSA key of at least 2048 bits, an ECDSA key on P-256, P-384 or P-521, or an Ed25519 key";

/// Checks that PEM texts decode to a certificate chain and a private key that belong together.
///
/// # Errors
/// The first fault of the pair; its text contains nothing of the key.
pub fn check_pair(certificates: &str, key: &str) -> Result<(), PairFault> {
    certified_key(certificates, key).map(drop)
}

/// A fault of one of several files: the file, as the configuration names it, and the reason, without an end mark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileFault {
    /// The path of the faulty file in the configuration.
    pub file: String,
    /// The fault in words that contain nothing of a key.
    pub why: String,
}

impl FileFault {
    /// The fault of a file.
    pub fn new(file: &PemSource, why: String) -> FileFault {
        FileFault {
            file: file.named.clone(),
            why,
        }
    }

    /// The fault of a certificate and its key, at the file that has it.
    pub fn of_pair(pair: &KeyPair, fault: PairFault) -> FileFault {
        let (file, why) = match fault {
            PairFault::Certificate(why) => (&pair.certificate_file, why),
            PairFault::Key(why) => (&pair.key_file, why),
            PairFault::Mismatch => {
                let chain = &pair.certificate_file.named;
                let why = format!("the private key does not belong to the certificate in {chain}");
                (&pair.key_file, why)
            }
        };
        FileFault {
            file: file.named.clone(),
            why,
        }
    }
}

impl std::fmt::Display for FileFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.file, self.why)
    }
}

/// The chain and the key of PEM texts, ready for handshakes.
///
/// # Errors
/// The first fault of the pair; its text contains nothing of the key.
pub fn certified_key(certificates: &str, key: &str) -> Result<CertifiedKey, PairFault> {
    let chain = certificate::chain(certificates).map_err(PairFault::Certificate)?;
    for (index, certificate) in chain.iter().enumerate() {
        if let Err(error) = ParsedCertificate::try_from(certificate) {
            let fault = format!("number {} in the file: {error}", index + 1);
            return Err(PairFault::Certificate(fault));
        }
    }
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes())
        .map_err(|error| PairFault::Key(certificate::pem_fault(&error).to_owned()))?;
    CertifiedKey::from_der(chain, key, &default_provider()).map_err(|error| match error {
        Error::InconsistentKeys(_) => PairFault::Mismatch,
        Error::InvalidCertificate(_) | Error::NoCertificatesPresented => {
            PairFault::Certificate(error.to_string())
        }
        // Returned for every key of another kind.
        Error::General(_) => PairFault::Key(KINDS.to_owned()),
        error => PairFault::Key(error.to_string()),
    })
}
