//! The REST activity: its target, its method, and its TLS verification.

use std::fmt::Write as _;
use std::time::Duration;

use fusebox_plan::dialect::{Notes, PemFile, Place, pair, quote, read_url};
use fusebox_plan::plan::{Endpoint, PemSource};

use crate::Map;
use crate::Value;
use crate::flow::{Identity, RestActivity, RestTls, TargetPart};
use crate::read::reader::Reader;
use crate::read::settings::Settings;
use crate::read::triggers::METHODS;

pub(crate) fn lower(settings: &Settings<'_>, reader: &mut Reader<'_>) -> Option<RestActivity> {
    let before = reader.notes.errors();
    let method = settings.word("method", &METHODS, None, reader.notes);
    let uri = settings.required("uri", reader.notes);
    let place = uri.as_deref().and_then(|uri| match read_uri(uri) {
        Ok(read) => Some(read),
        Err((what, mend)) => {
            let what = format!("invalid uri: {what}");
            reader.refuse(settings.place("uri"), what, mend)
        }
    });
    if let Some(headers) = settings.get("headers")
        && let Err(error) = headers.to_params()
    {
        let what = format!("invalid headers: {}", error.message);
        let mend = "write an object of texts: `{ \"X-Name\": \"value\" }`";
        reader.notes.error(settings.place("headers"), what, mend);
    }
    let proxy = settings
        .text("proxy")
        .and_then(|proxy| match read_url(&proxy) {
            Ok(read) => Some(read),
            Err((what, mend)) => {
                let what = format!("invalid proxy: {what}");
                reader.refuse(settings.place("proxy"), what, mend)
            }
        });
    let seconds = settings.whole("timeout", reader.notes).unwrap_or(0);
    let secure = place.as_ref().is_some_and(|(endpoint, _)| endpoint.tls);
    let tls = tls(settings, secure, reader);
    let (method, uri, (endpoint, target)) = (method?, uri?, place?);
    (before == reader.notes.errors()).then_some(RestActivity {
        method: http::Method::from_bytes(method.as_bytes()).ok()?,
        uri,
        endpoint,
        target,
        proxy,
        timeout: u64::try_from(seconds)
            .ok()
            .filter(|seconds| *seconds > 0)
            .map(Duration::from_secs),
        tls,
    })
}

/// Parses an address, and the target after it, up to a `#`.
pub(super) fn read_uri(uri: &str) -> Result<(Endpoint, Vec<TargetPart>), (String, String)> {
    let start = uri.find("://").map_or(0, |at| at + 3);
    let end = uri[start..]
        .find(['/', '?', '#'])
        .map_or(uri.len(), |at| start + at);
    let endpoint = read_url(&uri[..end])?;
    let rest = uri[end..].split('#').next().unwrap_or_default();
    let (path, query) = match rest.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (rest, None),
    };
    let mut target = Target::default();
    if path.is_empty() {
        target.literal("/");
    }
    if path.contains("/:") {
        let mut rest = path;
        while let Some(colon) = rest.find(':') {
            let (before, named) = rest.split_at(colon);
            target.literal(before);
            let named = &named[1..];
            let end = named.find('/').unwrap_or(named.len());
            match &named[..end] {
                "" => target.literal(":"),
                name => target.0.push(TargetPart::Param(name.to_owned())),
            }
            rest = &named[end..];
        }
        target.literal(rest);
    } else {
        target.literal(path);
    }
    if let Some(query) = query {
        target.literal("?");
        target.literal(query);
    }
    Ok((endpoint, target.0))
}

#[derive(Default)]
struct Target(Vec<TargetPart>);

impl Target {
    /// Appends a text, with characters escaped that a URL does not allow (RFC 3986, 3.3 and 3.4); existing escapes are
    /// kept.
    fn literal(&mut self, text: &str) {
        let literal = |part: &mut TargetPart| matches!(part, TargetPart::Literal(_));
        let mut out = match self.0.pop_if(literal) {
            Some(TargetPart::Literal(before)) => before,
            _ => String::new(),
        };
        let bytes = text.as_bytes();
        for (at, byte) in bytes.iter().copied().enumerate() {
            let escape = || {
                let digits = bytes.get(at + 1..at + 3);
                digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
            };
            let plain = byte.is_ascii_alphanumeric()
                || b"-._~!$&'()*+,;=:@/?[]".contains(&byte)
                || (byte == b'%' && escape());
            if plain {
                out.push(char::from(byte));
            } else {
                let _ = write!(out, "%{byte:02X}");
            }
        }
        if !out.is_empty() {
            self.0.push(TargetPart::Literal(out));
        }
    }
}

/// The verification of TLS servers: on, unless the file disables it explicitly, in either spelling.
fn tls(settings: &Settings<'_>, secure: bool, reader: &mut Reader<'_>) -> RestTls {
    let config = match settings.get("sslConfig").map(Value::to_object) {
        Some(Ok(config)) => config,
        Some(Err(_)) => {
            settings.not_valid("sslConfig", "give an object", reader.notes);
            Default::default()
        }
        None => Default::default(),
    };
    let flag = |config: &Map, key: &str, notes: &mut Notes| match config.get(key) {
        None | Some(Value::Null) => None,
        Some(value) => {
            let flag = value.to_bool();
            if flag.is_err() {
                let what = format!("`{key}` must be true or false");
                notes.error(settings.place("sslConfig"), what, "write true or false");
            }
            flag.ok()
        }
    };
    let skipped = flag(&config, "skipVerify", reader.notes).unwrap_or(false)
        || settings
            .flag("skipSSLVerify", reader.notes)
            .unwrap_or(false);
    let system_roots = flag(&config, "useSystemCert", reader.notes).unwrap_or(true);
    let named = |key: &str, old: &str| {
        let new = config
            .get(key)
            .map(Value::to_text)
            .filter(|path| !path.is_empty())
            .map(|path| (path, settings.place("sslConfig")));
        new.or_else(|| Some((settings.text(old)?, settings.place(old))))
    };
    if !secure {
        return RestTls {
            verified: !skipped,
            system_roots,
            authorities: None,
            identity: None,
        };
    }
    if skipped {
        let old = settings.get("skipSSLVerify").map(|_| "skipSSLVerify");
        reader.notes.warn(
            settings.place(old.unwrap_or("sslConfig")),
            "the server's certificate is not verified, so anyone on the network path can read and change all traffic",
            "remove the setting; a private authority goes into `sslConfig.caFile`",
        );
    }
    let authorities = named("caFile", "CAFile").and_then(|file| authorities(file, reader));
    let identity = match (named("certFile", "certFile"), named("keyFile", "keyFile")) {
        (Some(certificate), Some(key)) => identity(certificate, key, reader),
        (None, None) => None,
        (Some((_, at)), None) | (None, Some((_, at))) => reader.refuse(
            at,
            "a client certificate needs both `certFile` and `keyFile`",
            "add the other, or remove this one",
        ),
    };
    RestTls {
        verified: !skipped,
        system_roots,
        authorities,
        identity,
    }
}

/// The base of relative paths, for messages.
const BASE: &str = "the directory that the program was started in";

/// A file that a setting names: its path, and the setting's place.
type Named = (String, Place);

fn pem((path, at): Named, reader: &mut Reader<'_>) -> Option<PemFile> {
    let name = path.strip_prefix("file://").unwrap_or(&path);
    let source = PemSource {
        named: name.to_owned(),
        on_disk: name.into(),
    };
    let read = reader.loader.local(name);
    PemFile::read(at, source, quote(&path), read, BASE, reader.notes)
}

/// Our own certificate and its key, which belong together.
fn identity(certificate: Named, key: Named, reader: &mut Reader<'_>) -> Option<Identity> {
    let (certificate, key) = (pem(certificate, reader), pem(key, reader));
    let pair = pair(certificate?, key?, reader.loader, reader.notes)?;
    Some(Identity {
        certificates: pair.certificates,
        key: pair.key.reveal().to_owned(),
    })
}

/// The text of the authorities' certificates.
fn authorities((path, at): Named, reader: &mut Reader<'_>) -> Option<String> {
    let name = path.strip_prefix("file://").unwrap_or(&path);
    let shown = quote(&path);
    let read = reader.loader.local(name);
    let text = match read {
        Ok(text) => text,
        Err(error) => {
            let what = format!("the file {shown} cannot be read: {error}");
            let mend = format!("check the path: it is relative to {BASE}");
            return reader.refuse(at, what, mend);
        }
    };
    match reader.loader.certificates(&text) {
        Ok(_) => Some(text),
        Err(fault) => {
            let what = format!("the certificates in {shown} cannot be used: {fault}");
            let mend = "name a PEM file with the authorities' certificates";
            reader.refuse(at, what, mend)
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test")]

    use super::*;

    fn target(uri: &str) -> String {
        let (endpoint, target) = read_uri(uri).unwrap();
        assert_eq!(endpoint.base_path, "");
        target.iter().fold(String::new(), |text, part| match part {
            TargetPart::Literal(literal) => text + literal,
            TargetPart::Param(name) => text + "{" + name + "}",
        })
    }

    #[test]
    fn a_uri_is_literals_and_parameters() {
        for (uri, expected) in [
            ("http://a", "/"),
            ("http://a?x=1", "/?x=1"),
            ("http://a/p/:id/q", "/p/{id}/q"),
            ("http://a:81/p/:id", "/p/{id}"),
            ("http://a/a:b/:c", "/a{b}/{c}"),
            ("http://a/:/x", "/:/x"),
            ("http://a/t/12:30", "/t/12:30"),
            ("http://a/:id?at=12:30#top", "/{id}?at=12:30"),
            ("http://a/b c/é?%41 %", "/b%20c/%C3%A9?%41%20%25"),
        ] {
            assert_eq!(target(uri), expected, "{uri}");
        }
    }

    #[test]
    fn an_invalid_uri_is_an_error() {
        for uri in [
            "/pets",
            "ftp://a/b",
            "http://",
            "http://u:p@a/",
            "http://:id/",
        ] {
            assert!(read_uri(uri).is_err(), "{uri}");
        }
    }
}
