//! Certificates, keys and authorities: PEM files that are read and compared while the plan is made, so that what would
//! fail at the first handshake is reported at its line instead.

mod validity;

use std::io;

use crate::diagnostic::{Notes, Place};
use crate::interpolate::{CertificateFacts, Loader, PairFault};
use crate::plan::{Authorities, KeyPair, PemSource, Secret};

/// A file of certificates or of a key.
pub struct PemFile {
    /// The place of its path in the configuration.
    at: Place,
    file: PemSource,
    /// The path as messages show it.
    shown: String,
    text: String,
}

impl PemFile {
    /// Takes the loader's result; `relative_to` names the base of relative paths in a message.
    pub fn read(
        at: Place,
        file: PemSource,
        shown: String,
        read: io::Result<String>,
        relative_to: &str,
        notes: &mut Notes,
    ) -> Option<PemFile> {
        match read {
            Ok(text) => Some(PemFile {
                at,
                file,
                shown,
                text,
            }),
            Err(error) => {
                let message = error.to_string();
                // The loader's error may bring its own mend.
                let (why, known) = match message.rsplit_once("; ") {
                    Some((why, mend)) => (why, Some(mend)),
                    None => (&*message, None),
                };
                let mend = match error.kind() {
                    io::ErrorKind::NotFound => {
                        format!("check the path: it is relative to {relative_to}")
                    }
                    io::ErrorKind::PermissionDenied => {
                        "let the user that the gateway runs as read it".to_owned()
                    }
                    io::ErrorKind::InvalidData => {
                        "write it as PEM; DER is converted by `openssl x509 -inform der` or `openssl pkey -inform der`"
                            .to_owned()
                    }
                    _ => known.unwrap_or("name a PEM file").to_owned(),
                };
                let what = format!("the file {shown} cannot be read: {why}");
                notes.refuse(at, what, mend)
            }
        }
    }

    /// The place of its path in the configuration.
    pub fn at(&self) -> Place {
        self.at
    }

    fn has(&self, label: &str) -> bool {
        self.text.contains(&format!("-----BEGIN {label}-----"))
    }

    fn has_private_key(&self) -> bool {
        ["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"]
            .iter()
            .any(|label| self.has(label))
    }

    fn has_encrypted_key(&self) -> bool {
        // The second form is OpenSSL's from before PKCS #8.
        self.has("ENCRYPTED PRIVATE KEY")
            || (self.has_private_key() && self.text.contains("Proc-Type: 4,ENCRYPTED"))
    }

    /// Reports a file that is empty or not PEM.
    fn is_pem(&self, label: &str, notes: &mut Notes) -> bool {
        let shown = &self.shown;
        let what = if self.text.trim().is_empty() {
            format!("the file {shown} is empty")
        } else if self.text.contains("-----BEGIN ") {
            return true;
        } else {
            format!("the file {shown} is not PEM")
        };
        let mend = format!("name a file with `-----BEGIN {label}-----`");
        notes.error(self.at, what, mend);
        false
    }

    /// Refuses the certificates.
    fn unusable<T>(&self, fault: &str, notes: &mut Notes) -> Option<T> {
        let what = format!("the certificate in {} cannot be used: {fault}", self.shown);
        let mend = "`openssl x509 -noout -text -in FILE` must read it";
        notes.refuse(self.at, what, mend)
    }

    fn is_certificate(&self, mend: &str, notes: &mut Notes) -> bool {
        if !self.is_pem("CERTIFICATE", notes) {
            return false;
        }
        if self.has("CERTIFICATE") {
            return true;
        }
        let holds = match self.has_private_key() || self.has_encrypted_key() {
            true => "a private key and no certificate",
            false => "no certificate",
        };
        notes.error(
            self.at,
            format!("the file {} holds {holds}", self.shown),
            mend,
        );
        false
    }

    fn is_key(&self, notes: &mut Notes) -> bool {
        if !self.is_pem("PRIVATE KEY", notes) {
            return false;
        }
        if self.has_encrypted_key() {
            notes.error(
                self.at,
                format!("the private key in {} is encrypted", self.shown),
                "decrypt it by `openssl pkey`, and let only the gateway's user read the file",
            );
            return false;
        }
        if self.has_private_key() {
            return true;
        }
        let holds = match self.has("CERTIFICATE") {
            true => "a certificate and no private key",
            false => "no private key",
        };
        notes.error(
            self.at,
            format!("the file {} holds {holds}", self.shown),
            "name the file with the certificate's private key",
        );
        false
    }
}

/// A certificate with its key, if both files are valid and belong together; otherwise the fault has been reported.
pub fn pair(
    certificate: PemFile,
    key: PemFile,
    loader: &dyn Loader,
    notes: &mut Notes,
) -> Option<KeyPair> {
    Some(pair_with_facts(certificate, key, loader, notes)?.0)
}

/// The same, with the facts of the certificate itself where the loader knows them.
pub(crate) fn pair_with_facts(
    certificate: PemFile,
    key: PemFile,
    loader: &dyn Loader,
    notes: &mut Notes,
) -> Option<(KeyPair, CertificateFacts)> {
    let chain = "name the file with the certificate chain, the server's own certificate first";
    let (has_certificate, has_key) = (certificate.is_certificate(chain, notes), key.is_key(notes));
    if !has_certificate || !has_key {
        return None;
    }
    let (chain_shown, key_shown) = (&certificate.shown, &key.shown);
    match loader.check_pair(&certificate.text, &key.text) {
        Ok(()) => {}
        Err(PairFault::Certificate(fault)) => return certificate.unusable(&fault, notes),
        Err(PairFault::Key(fault)) => {
            let what = format!("the private key in {key_shown} cannot be used: {fault}");
            let mend = "put the certificate's whole key there, or make a new pair";
            return notes.refuse(key.at, what, mend);
        }
        Err(PairFault::Mismatch) => {
            let what = format!(
                "the private key in {key_shown} does not belong to the certificate in {chain_shown}"
            );
            let mend = "name the key of the chain's first certificate, which is the server's own";
            return notes.refuse(key.at, what, mend);
        }
    }
    let facts = match loader.certificates(&certificate.text) {
        Ok(facts) => facts,
        Err(fault) => return certificate.unusable(&fault, notes),
    };
    if let Some(now) = loader.unix_seconds() {
        validity::check_chain(&certificate, &facts, now, notes)?;
    }
    let pair = KeyPair {
        certificate_file: certificate.file,
        key_file: key.file,
        certificates: certificate.text,
        key: Secret::new(key.text),
    };
    Some((pair, facts.into_iter().next().unwrap_or_default()))
}

/// The authorities in a file, if it has certificates; otherwise the fault has been reported.
pub(crate) fn authorities(
    file: PemFile,
    loader: &dyn Loader,
    notes: &mut Notes,
) -> Option<Authorities> {
    if !file.is_certificate("name the file with the authority's certificate", notes) {
        return None;
    }
    let facts = match loader.certificates(&file.text) {
        Ok(facts) => facts,
        Err(fault) => return file.unusable(&fault, notes),
    };
    if let Some(now) = loader.unix_seconds() {
        validity::check_authorities(&file, &facts, now, notes);
    }
    Some(Authorities {
        file: file.file,
        pem: file.text,
    })
}
