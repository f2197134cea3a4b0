//! Substitutes variables and files in scalars: `${VAR}`, `${VAR:-default}`, `${file:PATH}`.
//!
//! Substitution happens after parsing, inside one scalar at a time, so that a variable's value stays a text and never
//! becomes a key, a list or a second value. `$${` stands for `${` itself.

use std::io;
use std::path::PathBuf;

use crate::diagnostic::{Notes, Place, quote};
use crate::tree::{Kind, Node, Scalar, place_within};

/// Access to the machine on which a configuration is read: files, variables, network.
///
/// The caller decides what the environment is and where relative paths begin; this crate itself reads neither.
pub trait Loader {
    /// The value of an environment variable; `None` if it is not set.
    fn env(&self, name: &str) -> Option<String>;

    /// The text of the file at `path`, relative to the first configuration file.
    ///
    /// # Errors
    /// The error that kept the file from being read.
    fn file(&self, path: &str) -> io::Result<String>;

    /// The bytes of the file at `path`, relative to the first configuration file, for files that are no texts. By
    /// default those of its text.
    ///
    /// # Errors
    /// The error that kept the file from being read.
    fn bytes(&self, path: &str) -> io::Result<Vec<u8>> {
        self.file(path).map(String::into_bytes)
    }

    /// The text of the file at `path`, relative to the process's working directory, as Flogo's `file://` addresses are.
    /// By default the same as [`file`](Loader::file).
    ///
    /// # Errors
    /// The error that kept the file from being read.
    fn local(&self, path: &str) -> io::Result<String> {
        self.file(path)
    }

    /// The text at an `http://` address, where Flogo allows one for a resource. By default there is no network.
    ///
    /// # Errors
    /// The error that kept the text from being fetched, such as a status other than 200.
    fn fetch(&self, url: &str) -> io::Result<String> {
        Err(io::Error::new(
            io::ErrorKind::Unsupported,
            format!("no network access to fetch {url}"),
        ))
    }

    /// Checks that the PEM texts of a listener decode, and that the key belongs to the first certificate.
    /// This crate holds no cryptography, so by default every pair passes.
    ///
    /// # Errors
    /// The first fault of the pair.
    fn check_pair(&self, _certificates: &str, _key: &str) -> Result<(), PairFault> {
        Ok(())
    }

    /// The facts of the certificates in a PEM text, in its order. This crate reads no certificate, so by default there
    /// are none.
    ///
    /// # Errors
    /// The fault of the text, without an end mark.
    fn certificates(&self, _pem: &str) -> Result<Vec<CertificateFacts>, String> {
        Ok(Vec::new())
    }

    /// The present second, since 1970 (UTC), by which certificates are judged. This crate reads no clock, so by default
    /// `None`: they are not.
    fn unix_seconds(&self) -> Option<i64> {
        None
    }

    /// The path for the process of a file that [`file`](Loader::file) reads at `path`. By default the same.
    fn on_disk(&self, path: &str) -> PathBuf {
        path.into()
    }

    /// The value that the command line gives to the property `name`. By default `None`.
    fn property(&self, _name: &str) -> Option<String> {
        None
    }

    /// All environment variables, including those that the command line sets. By default empty.
    fn environment(&self) -> Vec<(String, String)> {
        Vec::new()
    }

    /// True if a conversion may lose guards, such as a check of a token (`--lossy`). By default false.
    fn accepts_losses(&self) -> bool {
        false
    }

    /// The addresses that the command line gives to names of a Mule application, by name (`--bind`). By default empty.
    fn bindings(&self) -> Vec<(String, String)> {
        Vec::new()
    }

    /// True if an application follows its product to the letter (`--compat strict`), false if it follows its author's
    /// evident intention. By default false.
    fn is_strict(&self) -> bool {
        false
    }
}

/// Facts of a certificate that a configuration is checked by.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CertificateFacts {
    /// The name in metrics and messages: the first DNS name, else the first IP address, else the common name.
    pub name: String,
    /// The DNS names that the certificate is for, in lower case and in its order.
    pub dns_names: Vec<String>,
    /// The first second at which it is valid, since 1970 (UTC).
    pub not_before: i64,
    /// The last second at which it is valid, since 1970 (UTC).
    pub not_after: i64,
    /// True if it stands behind a certificate that another one has issued.
    pub is_astray: bool,
}

/// A fault of a certificate and its private key. The texts show nothing of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PairFault {
    /// The certificates cannot be decoded: the reason, without an end mark.
    Certificate(String),
    /// The key cannot be decoded, or is of a kind that no handshake uses: the reason, without an end mark.
    Key(String),
    /// The key belongs to another certificate.
    Mismatch,
}

/// The most bytes in a scalar after substitution.
const BYTES_MAX: usize = 1 << 20;
/// The most bytes that variables and files add to one source.
const BYTES_TOTAL_MAX: usize = 16 << 20;

/// Replaces every `${…}` in the tree. A scalar with a fault is reported and marked as broken.
pub(crate) fn fill(node: &mut Node, lines: &[&str], loader: &dyn Loader, notes: &mut Notes) {
    let mut left = BYTES_TOTAL_MAX;
    fill_within(node, lines, loader, notes, &mut left);
}

fn fill_within(
    node: &mut Node,
    lines: &[&str],
    loader: &dyn Loader,
    notes: &mut Notes,
    left: &mut usize,
) {
    if let Kind::Scalar(scalar) = &mut node.kind
        && scalar.text.contains("${")
    {
        let written = std::mem::take(&mut scalar.text);
        let filled = fill_text(&written, loader, left);
        scalar.written = Some(written);
        match filled {
            Ok(text) => scalar.text = text,
            Err(faults) => {
                report(faults, node.at, scalar, lines, notes);
                scalar.broken = true;
            }
        }
    }
    node.each_child(|child| fill_within(child, lines, loader, notes, left));
}

/// A `${…}` that cannot be replaced: its byte offset, the fault, and the mend.
struct Fault(usize, String, String);

fn report(faults: Vec<Fault>, at: Place, scalar: &Scalar, lines: &[&str], notes: &mut Notes) {
    let text = scalar.written.as_deref().unwrap_or_default();
    for Fault(bytes, what, mend) in faults {
        let offset = text[..bytes].chars().count();
        notes.error(place_within(lines, at, scalar, offset), what, mend);
    }
}

fn fill_text(text: &str, loader: &dyn Loader, left: &mut usize) -> Result<String, Vec<Fault>> {
    let mut out = String::with_capacity(text.len());
    let mut faults = Vec::new();
    let mut from = 0;
    while let Some(found) = text[from..].find("${") {
        let start = from + found;
        if text[..start].ends_with('$') && found > 0 {
            out.push_str(&text[from..start - 1]);
            out.push_str("${");
            from = start + 2;
            continue;
        }
        out.push_str(&text[from..start]);
        let Some(length) = text[start..].find('}') else {
            let what = "`${` has no closing `}`";
            let mend =
                "close it, as in `${NAME}`, or write `$${` for the two characters themselves";
            faults.push(Fault(start, what.to_owned(), mend.to_owned()));
            return Err(faults);
        };
        match replacement(&text[start + 2..start + length], loader) {
            Ok(value) if value.len() > *left || out.len() + value.len() > BYTES_MAX => {
                let what = "this brings in more text than a configuration may hold (1 MiB a value)";
                let mend = "keep large content out of the configuration";
                faults.push(Fault(start, what.to_owned(), mend.to_owned()));
                return Err(faults);
            }
            Ok(value) => {
                *left -= value.len();
                out.push_str(&value);
            }
            Err((what, mend)) => faults.push(Fault(start, what, mend)),
        }
        from = start + length + 1;
    }
    out.push_str(&text[from..]);
    if faults.is_empty() {
        Ok(out)
    } else {
        Err(faults)
    }
}

/// The replacement of one `${…}`, given the text inside.
fn replacement(inside: &str, loader: &dyn Loader) -> Result<String, (String, String)> {
    if let Some(path) = inside.strip_prefix("file:") {
        return match loader.file(path) {
            Ok(mut text) => {
                while text.ends_with(['\n', '\r']) {
                    text.pop();
                }
                Ok(text)
            }
            Err(error) => Err((
                format!(
                    "the file {} cannot be read: {}",
                    quote(path),
                    quote(&error.to_string()).trim_matches('`')
                ),
                "check the path and that this process may read it".to_owned(),
            )),
        };
    }
    let (name, default) = match inside.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inside, None),
    };
    let starts_well = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if !starts_well || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return Err((
            format!("{} is not a variable's name", quote(name)),
            "write `${NAME}`, `${NAME:-default}` or `${file:PATH}`, or `$${` for the two characters themselves"
                .to_owned(),
        ));
    }
    match (loader.env(name), default) {
        // As in a shell, `:-` also replaces a variable that is set to an empty text.
        (Some(value), Some(default)) if value.is_empty() => Ok(default.to_owned()),
        (Some(value), _) => Ok(value),
        (None, Some(default)) => Ok(default.to_owned()),
        (None, None) => Err((
            format!("the variable {} is not set", quote(name)),
            format!("set it, or give it a default: `${{{name}:-default}}`"),
        )),
    }
}
