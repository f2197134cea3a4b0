//! The choice of a certificate by the name that a client asks for (SNI, RFC 6066, section 3).

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;

/// The certificate for each name: an exact one first, then one for `*.` and the rest of the name, then the first.
#[derive(Debug, Default)]
pub struct Choice {
    exact: HashMap<Box<str>, usize>,
    /// By the name without its first label.
    wildcards: HashMap<Box<str>, usize>,
}

impl Choice {
    /// The choice among certificates with these names, in lower case. Of several certificates for one name the first is
    /// chosen.
    pub fn among<'a, N>(certificates: impl IntoIterator<Item = N>) -> Choice
    where
        N: IntoIterator<Item = &'a String>,
    {
        let mut choice = Choice::default();
        for (index, names) in certificates.into_iter().enumerate() {
            for name in names {
                let (kind, name) = match name.strip_prefix("*.") {
                    Some(rest) => (&mut choice.wildcards, rest),
                    None => (&mut choice.exact, name.as_str()),
                };
                kind.entry(name.into()).or_insert(index);
            }
        }
        choice
    }

    /// The number of the certificate for a name, from 0.
    pub fn of(&self, name: &str) -> usize {
        let mut name = Cow::Borrowed(name.strip_suffix('.').unwrap_or(name));
        if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
            name.to_mut().make_ascii_lowercase();
        }
        let exact = self.exact.get(&*name);
        let wildcard = || self.wildcards.get(name.split_once('.')?.1);
        exact.or_else(wildcard).copied().unwrap_or(0)
    }
}

/// The certificates of a listener, each for its names.
#[derive(Debug)]
pub struct Certificates {
    /// The certificates with their keys; at least one.
    pub keys: Vec<Arc<CertifiedKey>>,
    /// The choice among them.
    pub choice: Arc<Choice>,
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let index = hello.server_name().map_or(0, |name| self.choice.of(name));
        self.keys.get(index).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exact_name_comes_before_a_wildcard_and_the_first_certificate_is_for_the_rest() {
        let names = |names: &[&str]| -> Vec<String> {
            names.iter().map(|name| (*name).to_owned()).collect()
        };
        let certificates = [
            names(&["first.test"]),
            names(&["*.example.com", "example.com"]),
            names(&["a.example.com"]),
            names(&["a.example.com", "*.example.com"]),
        ];
        let choice = Choice::among(&certificates);
        for (name, wanted) in [
            ("first.test", 0),
            ("example.com", 1),
            ("b.example.com", 1),
            ("B.Example.COM.", 1),
            ("a.example.com", 2),
            ("A.example.com", 2),
            ("b.a.example.com", 0),
            (".example.com", 1),
            ("com", 0),
            ("", 0),
            ("other.test", 0),
        ] {
            assert_eq!(choice.of(name), wanted, "{name}");
        }
    }
}
