//! TLS in a plan: certificates with their keys, the authorities of the other side, and the files that they come from.

use std::fmt;
use std::path::PathBuf;

use super::Secret;

/// A PEM file that a plan was read from, or a store of another form whose content became PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PemSource {
    /// The path as the configuration names it.
    pub named: String,
    /// The path for the process, from its working directory or absolute; empty for a store, which only a plan that is
    /// read anew reads again.
    pub on_disk: PathBuf,
}

impl PemSource {
    /// A source of another form than PEM, such as one of Java's stores.
    pub fn of_store(named: String) -> PemSource {
        PemSource {
            named,
            on_disk: PathBuf::new(),
        }
    }

    /// True for a PEM file, which may be read again by itself.
    pub fn is_pem(&self) -> bool {
        !self.on_disk.as_os_str().is_empty()
    }
}

/// A certificate chain with its private key.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyPair {
    /// The file of the certificate chain.
    pub certificate_file: PemSource,
    /// The file of the private key, which may be the same.
    pub key_file: PemSource,
    /// The certificate chain in PEM, our own certificate first.
    pub certificates: String,
    /// The private key in PEM, not encrypted.
    pub key: Secret,
}

impl fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyPair")
            .field("certificate_file", &self.certificate_file.named)
            .finish_non_exhaustive()
    }
}

/// Authorities that the other side's certificate is checked against.
#[derive(Clone, PartialEq, Eq)]
pub struct Authorities {
    /// The file of their certificates.
    pub file: PemSource,
    /// The authorities' certificates in PEM; at least one.
    pub pem: String,
}

impl fmt::Debug for Authorities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authorities")
            .field("file", &self.file.named)
            .finish_non_exhaustive()
    }
}

/// The TLS of a listener (`tls:`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerTls {
    /// The certificate that is shown where no other one has the name that a client asks for.
    pub pair: KeyPair,
    /// `also`: further certificates, each for the names that it has.
    pub also: Vec<KeyPair>,
    /// `client_ca` and `client_auth`: the certificates of clients; `None`: clients are asked for none.
    pub clients: Option<ClientAuth>,
    /// `min`: the oldest version that is spoken. Default TLS 1.2.
    pub min: TlsVersion,
}

impl ListenerTls {
    /// All certificates, the first one first.
    pub fn pairs(&self) -> impl Iterator<Item = &KeyPair> {
        std::iter::once(&self.pair).chain(&self.also)
    }
}

impl From<KeyPair> for ListenerTls {
    fn from(pair: KeyPair) -> ListenerTls {
        ListenerTls {
            pair,
            also: Vec::new(),
            clients: None,
            min: TlsVersion::default(),
        }
    }
}

/// A listener's rule for the certificates of its clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientAuth {
    /// The authorities, of which a client's certificate must be.
    pub authorities: Authorities,
    /// True to refuse clients without a certificate. Default true.
    pub is_required: bool,
}

/// The oldest version of TLS that is spoken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TlsVersion {
    /// TLS 1.2 and later.
    #[default]
    V12,
    /// TLS 1.3 and later.
    V13,
}

impl TlsVersion {
    /// The version's number: `1.2` or `1.3`.
    pub const fn as_str(self) -> &'static str {
        match self {
            TlsVersion::V12 => "1.2",
            TlsVersion::V13 => "1.3",
        }
    }
}

/// The TLS towards an upstream's `https` endpoints (`tls:`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UpstreamTls {
    /// `ca`: the only authorities that are trusted; `None`: those of the system.
    pub authorities: Option<Authorities>,
    /// `cert` and `key`: the certificate that we show; `None`: we have none.
    pub identity: Option<KeyPair>,
    /// `name`: the name that is asked for (SNI) and that the certificate must have; `None`: the endpoint's host.
    pub name: Option<String>,
}
