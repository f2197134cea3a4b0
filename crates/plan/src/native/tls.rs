//! Reads `tls:` of listeners and upstreams: the files of certificates, and their names.

use std::collections::HashMap;

use super::draft::Reader;
use crate::diagnostic::{At, Notes, Place, quote};
use crate::fields::{self, Fields};
use crate::interpolate::CertificateFacts;
use crate::keys;
use crate::plan::{
    Authorities, ClientAuth, KeyPair, ListenerTls, PemSource, TlsVersion, UpstreamTls,
};
use crate::tls::{PemFile, authorities, pair_with_facts};

impl Reader<'_> {
    pub(super) fn listener_tls(&mut self, listener: &Fields<'_>) -> Option<ListenerTls> {
        let tls = listener.section("tls", self.notes)?;
        let errors = self.notes.errors();
        let first = self.key_pair(&tls);
        let mut others = Vec::new();
        if let Some((_, node)) = tls.get("also") {
            for item in fields::items(node, "also", self.notes).unwrap_or_default() {
                if let Some(entry) = Fields::open(item, &keys::KEY_PAIR, self.notes) {
                    others.extend(self.key_pair(&entry));
                }
            }
        }
        let clients = self.client_auth(&tls);
        let min = match tls.word("min", self.notes).map(|word| word.value) {
            Some(1) => TlsVersion::V13,
            _ => TlsVersion::V12,
        };
        if let Some(first) = &first {
            warn_of_shared_names(first, &others, self.notes);
        }
        let first = first.filter(|_| self.notes.errors() == errors)?;
        Some(ListenerTls {
            pair: first.pair,
            also: others.into_iter().map(|other| other.pair).collect(),
            clients,
            min,
        })
    }

    pub(super) fn upstream_tls(&mut self, upstream: &Fields<'_>) -> Option<At<UpstreamTls>> {
        let tls = upstream.section("tls", self.notes)?;
        let authorities = self.authorities(&tls, "ca");
        let identity = match (tls.named("cert"), tls.named("key")) {
            (None, None) => None,
            (Some(at), None) => {
                let what = "`cert` without `key`: a certificate is shown with its private key";
                self.notes.refuse(at, what, "add `key: key.pem`")
            }
            (None, Some(at)) => {
                let what = "`key` without `cert`: expected the certificate that the key belongs to";
                self.notes.refuse(at, what, "add `cert: cert.pem`")
            }
            (Some(_), Some(_)) => self.key_pair(&tls).map(|it| it.pair),
        };
        let name = tls.scalar("name", self.notes).and_then(|scalar| {
            let text = scalar.value.text.trim();
            if is_name(text) {
                return Some(text.to_ascii_lowercase());
            }
            let what = format!(
                "{} is not a name that a certificate can have",
                scalar.value.shown()
            );
            let mend = "write one such as `orders.internal`".to_owned();
            fields::refuse(scalar.at, scalar.value, what, mend, self.notes)
        });
        let tls_of = UpstreamTls {
            authorities,
            identity,
            name,
        };
        Some(At::new(tls_of, tls.at))
    }

    fn client_auth(&mut self, tls: &Fields<'_>) -> Option<ClientAuth> {
        let word = tls.word("client_auth", self.notes);
        if let (Some(word), None) = (&word, tls.named("client_ca")) {
            let what = "`client_auth` needs `client_ca`, the authorities of clients' certificates";
            self.notes
                .error(word.at, what, "add `client_ca: ca.pem`, or remove it");
        }
        Some(ClientAuth {
            authorities: self.authorities(tls, "client_ca")?,
            is_required: word.is_none_or(|word| word.value == 0),
        })
    }

    fn authorities(&mut self, tls: &Fields<'_>, key: &'static str) -> Option<Authorities> {
        let file = self.pem(tls, key)?;
        authorities(file, self.loader, self.notes)
    }

    fn key_pair(&mut self, of: &Fields<'_>) -> Option<ReadPair> {
        let (certificate, key) = (self.pem(of, "cert"), self.pem(of, "key"));
        let certificate = certificate?;
        let at = certificate.at();
        let (pair, facts) = pair_with_facts(certificate, key?, self.loader, self.notes)?;
        Some(ReadPair { at, pair, facts })
    }

    fn pem(&mut self, of: &Fields<'_>, name: &'static str) -> Option<PemFile> {
        let (_, node) = of.get(name)?;
        let expected = format!("the path of a PEM file, such as `{name}.pem`");
        let scalar = fields::scalar(node, name, &expected, self.notes)?;
        if scalar.text.contains("-----BEGIN ") {
            return self.notes.refuse(
                node.at,
                format!("`{name}` must be the path of a PEM file, found its content"),
                format!("write the path itself, such as `{name}: {name}.pem`"),
            );
        }
        let read = self.loader.file(&scalar.text);
        let file = PemSource {
            named: scalar.text.clone(),
            on_disk: self.loader.on_disk(&scalar.text),
        };
        let base = "the first configuration file";
        PemFile::read(node.at, file, scalar.shown(), read, base, self.notes)
    }
}

/// A certificate with its key, and the place of its path.
struct ReadPair {
    at: Place,
    pair: KeyPair,
    facts: CertificateFacts,
}

/// Warns of certificates in `also` that no client gets to see, wholly or for a name: the first one of a name is shown.
fn warn_of_shared_names(first: &ReadPair, others: &[ReadPair], notes: &mut Notes) {
    let file = |pair: &ReadPair| quote(&pair.pair.certificate_file.named);
    let mut owners: HashMap<&str, &ReadPair> = HashMap::new();
    for pair in std::iter::once(first).chain(others) {
        let names = &pair.facts.dns_names;
        let taken = names.iter().find_map(|name| {
            let owner = owners.get(name.as_str())?;
            Some((name, *owner))
        });
        let is_first = std::ptr::eq(pair, first);
        let is_known = pair.facts != CertificateFacts::default();
        if names.is_empty() && !is_first && is_known {
            let what = format!(
                "the certificate in {} is never shown: it has no DNS name",
                file(pair)
            );
            let mend = "remove it, or make one with the names that clients ask for";
            notes.warn(pair.at, what, mend);
        } else if let Some((name, owner)) = taken {
            let is_shadowed = names.iter().all(|it| owners.contains_key(it.as_str()));
            let what = match is_shadowed {
                true => format!(
                    "the certificate in {} is never shown: the one in {} is for {} already",
                    file(pair),
                    file(owner),
                    quote(name)
                ),
                false => format!(
                    "two certificates are for {}; the one in {} is shown",
                    quote(name),
                    file(owner)
                ),
            };
            let mend = "keep one certificate for each name";
            notes.warn(pair.at, what, mend);
        }
        for name in names {
            owners.entry(name).or_insert(pair);
        }
    }
}

/// True for a DNS name without a wildcard, or an IP address.
fn is_name(text: &str) -> bool {
    let is_label = |label: &str| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        (1..=63).contains(&label.len()) && label.bytes().all(allowed)
    };
    let is_dns = text.len() <= 253 && text.split('.').all(is_label);
    is_dns || text.parse::<std::net::IpAddr>().is_ok()
}
