//! A listener's certificate and key: accepted files, and the diagnostics of others.

use std::io::{self, ErrorKind};

use crate::support::{lines, plan_of, read_with};
use fusebox_plan::plan::{Http2, TlsVersion};
use fusebox_plan::{CertificateFacts, Loader, PairFault};
use serde_json::json;

const CERT: &str = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
const KEY: &str = "-----BEGIN PRIVATE KEY-----\nSECRET\n-----END PRIVATE KEY-----\n";
const SEC1: &str = "-----BEGIN EC PRIVATE KEY-----\nSECRET\n-----END EC PRIVATE KEY-----\n";
const ENCRYPTED: &str =
    "-----BEGIN ENCRYPTED PRIVATE KEY-----\nSECRET\n-----END ENCRYPTED PRIVATE KEY-----\n";
const LONG_ENCRYPTED: &str = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nSECRET\n-----END RSA PRIVATE KEY-----\n";

/// A directory with two files, further ones by name, and the result of checking a pair.
struct Directory {
    cert: Result<&'static str, ErrorKind>,
    key: Result<&'static str, ErrorKind>,
    pair: Result<(), PairFault>,
    /// The texts of further files.
    others: Vec<(&'static str, &'static str)>,
    /// The facts of certificates by a word in their text.
    facts: Vec<(&'static str, CertificateFacts)>,
}

/// The second at which these files are read.
const NOW: i64 = 1_796_000_000;
const DAY: i64 = 86_400;

/// A certificate for names that is valid from a day ago for so many days.
fn facts(names: &[&str], days: i64) -> CertificateFacts {
    CertificateFacts {
        name: names.first().copied().unwrap_or_default().to_owned(),
        dns_names: names.iter().map(|name| (*name).to_owned()).collect(),
        not_before: NOW - DAY,
        not_after: NOW + days * DAY,
        is_astray: false,
    }
}

impl Loader for Directory {
    fn env(&self, name: &str) -> Option<String> {
        (name == "CERT").then(|| "cert.pem".to_owned())
    }

    fn file(&self, path: &str) -> io::Result<String> {
        let held = match path {
            "cert.pem" => self.cert,
            "key.pem" => self.key,
            path => {
                let found = self.others.iter().find(|(name, _)| *name == path);
                found.map(|(_, text)| *text).ok_or(ErrorKind::NotFound)
            }
        };
        held.map(str::to_owned).map_err(io::Error::from)
    }

    fn check_pair(&self, certificates: &str, key: &str) -> Result<(), PairFault> {
        assert!(certificates.contains("BEGIN CERTIFICATE") && key.contains("PRIVATE KEY"));
        self.pair.clone()
    }

    fn certificates(&self, pem: &str) -> Result<Vec<CertificateFacts>, String> {
        if pem.contains("DAMAGED") {
            return Err("its base64 is damaged".to_owned());
        }
        let found = self.facts.iter().filter(|(word, _)| pem.contains(word));
        Ok(found.map(|(_, facts)| facts.clone()).collect())
    }

    fn unix_seconds(&self) -> Option<i64> {
        Some(NOW)
    }
}

fn good() -> Directory {
    Directory {
        cert: Ok(CERT),
        key: Ok(KEY),
        pair: Ok(()),
        others: Vec::new(),
        facts: Vec::new(),
    }
}

fn with_tls(tls: &str) -> String {
    format!(
        "listeners:\n  - addr: 127.0.0.1:8443\n    tls: {tls}\nroutes: [{{ path: /, respond: {{}} }}]\n"
    )
}

const BOTH: &str = "{ cert: cert.pem, key: key.pem }";

#[track_caller]
fn report(tls: &str, directory: &Directory) -> String {
    let report = lines(&read_with(&with_tls(tls), directory)).replace("fb.yaml:", "");
    assert!(!report.contains("SECRET"), "{report}");
    report.trim().to_owned()
}

#[test]
fn a_pair_is_read_and_shown_by_its_files_alone() {
    for key in [KEY, SEC1] {
        let directory = Directory {
            key: Ok(key),
            ..good()
        };
        let reading = read_with(&with_tls(BOTH), &directory);
        assert_eq!(lines(&reading), "");
        let plan = reading.plan.expect("a plan");
        let tls = plan.listeners[0].tls.as_ref().expect("TLS");
        let read = (&*tls.pair.certificates, tls.pair.key.reveal());
        assert_eq!(read, (CERT, key));
        let shown = plan.to_json();
        let files = json!({ "cert": "cert.pem", "key": "key.pem", "min": "1.2" });
        assert_eq!(shown["listeners"][0]["tls"], files);
        assert!(!format!("{shown}{plan:?}").contains("SECRET"));
        let again = read_with(&shown.to_string(), &directory);
        assert_eq!(again.plan.as_ref(), Some(&plan), "{}", lines(&again));
    }
}

#[test]
fn a_listener_without_tls_shows_none() {
    let plan = plan_of("listen: 127.0.0.1:8080\nroutes: [{ path: /, respond: {} }]\n");
    assert!(plan.listeners[0].tls.is_none());
    assert!(plan.to_json()["listeners"][0]["tls"].is_null());
}

#[test]
fn both_keys_are_needed_and_name_files() {
    for (tls, expected) in [
        (
            "{ cert: cert.pem }",
            "3:10: error: `tls` needs the key `key`; add `key: key.pem`",
        ),
        (
            "{ key: key.pem }",
            "3:10: error: `tls` needs the key `cert`; add `cert: cert.pem`",
        ),
        (
            "{}",
            "3:10: error: `tls` needs the key `cert`; add `cert: cert.pem`\n\
             3:10: error: `tls` needs the key `key`; add `key: key.pem`",
        ),
        (
            "{ cert: , key: [] }",
            "3:16: error: `cert` must be the path of a PEM file, found nothing; write one such as `cert.pem`, or remove the key\n\
             3:25: error: `key` must be the path of a PEM file, found a list; write one such as `key.pem`, or remove the key",
        ),
        (
            "on",
            "3:10: error: expected a map, found `on`; write a map with any of cert, key, also, client_ca, client_auth, min",
        ),
        (
            "{ cert: cert.pem, key: \"${file:key.pem}\" }",
            "3:33: error: `key` must be the path of a PEM file, found its content; write the path itself, such as `key: key.pem`",
        ),
    ] {
        assert_eq!(report(tls, &good()), expected, "{tls}");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_an_error_at_its_path() {
    let not_read = |kind: ErrorKind| Directory {
        cert: Err(kind),
        key: Err(kind),
        ..good()
    };
    let missing = report(BOTH, &not_read(ErrorKind::NotFound));
    assert_eq!(
        missing,
        "3:18: error: the file `cert.pem` cannot be read: entity not found; check the path: it is relative to the first configuration file\n\
         3:33: error: the file `key.pem` cannot be read: entity not found; check the path: it is relative to the first configuration file"
    );
    for (kind, mend) in [
        (
            ErrorKind::PermissionDenied,
            "let the user that the gateway runs as read it",
        ),
        (
            ErrorKind::InvalidData,
            "write it as PEM; DER is converted by",
        ),
        (ErrorKind::IsADirectory, "name a PEM file"),
    ] {
        let report = report(BOTH, &not_read(kind));
        assert!(report.contains(mend), "{report}");
    }
}

#[test]
fn a_file_that_holds_something_else_is_an_error_at_its_path() {
    for (cert, key, expected) in [
        (
            "",
            " \n",
            "3:18: error: the file `cert.pem` is empty; name a file with `-----BEGIN CERTIFICATE-----`\n\
             3:33: error: the file `key.pem` is empty; name a file with `-----BEGIN PRIVATE KEY-----`",
        ),
        (
            "SECRET",
            "SECRET",
            "3:18: error: the file `cert.pem` is not PEM; name a file with `-----BEGIN CERTIFICATE-----`\n\
             3:33: error: the file `key.pem` is not PEM; name a file with `-----BEGIN PRIVATE KEY-----`",
        ),
        (
            KEY,
            CERT,
            "3:18: error: the file `cert.pem` holds a private key and no certificate; name the file with the certificate chain, the server's own certificate first\n\
             3:33: error: the file `key.pem` holds a certificate and no private key; name the file with the certificate's private key",
        ),
        (
            CERT,
            ENCRYPTED,
            "3:33: error: the private key in `key.pem` is encrypted; decrypt it by `openssl pkey`, and let only the gateway's user read the file",
        ),
        (
            CERT,
            LONG_ENCRYPTED,
            "3:33: error: the private key in `key.pem` is encrypted; decrypt it by `openssl pkey`, and let only the gateway's user read the file",
        ),
        (
            "-----BEGIN PUBLIC KEY-----",
            "-----BEGIN PUBLIC KEY-----",
            "3:18: error: the file `cert.pem` holds no certificate; name the file with the certificate chain, the server's own certificate first\n\
             3:33: error: the file `key.pem` holds no private key; name the file with the certificate's private key",
        ),
    ] {
        let directory = Directory {
            cert: Ok(cert),
            key: Ok(key),
            ..good()
        };
        assert_eq!(report(BOTH, &directory), expected);
    }
}

#[test]
fn an_unusable_pair_is_an_error_at_the_faulty_file() {
    for (fault, expected) in [
        (
            PairFault::Mismatch,
            "3:33: error: the private key in `key.pem` does not belong to the certificate in `cert.pem`; name the key of",
        ),
        (
            PairFault::Key("its base64 is damaged".into()),
            "3:33: error: the private key in `key.pem` cannot be used: its base64 is damaged; put the certificate's whole key there",
        ),
        (
            PairFault::Certificate("its base64 is damaged".into()),
            "3:18: error: the certificate in `cert.pem` cannot be used: its base64 is damaged; `openssl x509",
        ),
    ] {
        let directory = Directory {
            pair: Err(fault),
            ..good()
        };
        let report = report(BOTH, &directory);
        assert!(report.starts_with(expected), "{report}");
    }
}

#[test]
fn a_variable_may_name_a_file_and_is_shown_by_its_own_name() {
    let tls = "{ cert: \"${CERT}\", key: key.pem }";
    assert_eq!(report(tls, &good()), "");
    let directory = Directory {
        cert: Ok(""),
        ..good()
    };
    let report = report(tls, &directory);
    assert!(report.contains("the file `${CERT}` is empty"), "{report}");
}

#[test]
fn a_certificate_is_judged_by_its_time() {
    let judged = |facts: Vec<CertificateFacts>| {
        let directory = Directory {
            facts: facts.into_iter().map(|facts| ("MIIB", facts)).collect(),
            ..good()
        };
        report(BOTH, &directory)
    };
    assert_eq!(judged(vec![facts(&["a.test"], 15)]), "");
    let soon = "3:18: warning: the certificate in `cert.pem` expires in 13 days, at 2026-12-13T00:53:20Z; renew it, and put the new one there";
    assert_eq!(judged(vec![facts(&["a.test"], 13)]), soon);
    let over = "3:18: error: the certificate in `cert.pem` has expired, at 2026-11-29T00:53:20Z; renew it, and put the new one there";
    assert_eq!(judged(vec![facts(&["a.test"], -1)]), over);
    let early = CertificateFacts {
        not_before: NOW + 1,
        ..facts(&["a.test"], 90)
    };
    assert_eq!(
        judged(vec![early]),
        "3:18: error: the certificate in `cert.pem` is not yet valid: it is from 2026-11-30T00:53:21Z on; wait until then, or check this machine's clock"
    );
    assert_eq!(
        judged(vec![facts(&["a.test"], 90), facts(&[], -3)]),
        "3:18: warning: a certificate in `cert.pem` that leads to the authority has expired, at 2026-11-27T00:53:20Z; put the authority's present one there"
    );
}

#[test]
fn a_chain_out_of_order_is_warned_of() {
    let astray = CertificateFacts {
        is_astray: true,
        ..facts(&[], 90)
    };
    let directory = Directory {
        facts: vec![
            ("MIIB", facts(&["a.test"], 90)),
            ("MIIB", facts(&[], 90)),
            ("MIIB", astray),
        ],
        ..good()
    };
    assert_eq!(
        report(BOTH, &directory),
        "3:18: warning: certificate number 3 in `cert.pem` has not issued the one before it, so clients may not find the way to its authority; write the server's own certificate first, and behind each the one that issued it"
    );
}

/// The file of another certificate in `also`, whose text has a word that its facts are found by.
fn with_others() -> Directory {
    Directory {
        others: vec![
            ("b.pem", "-----BEGIN CERTIFICATE-----\nSECOND\n"),
            ("c.pem", "-----BEGIN CERTIFICATE-----\nTHIRD\n"),
            ("old.pem", "-----BEGIN CERTIFICATE-----\nOLD\n"),
            ("damaged.pem", "-----BEGIN CERTIFICATE-----\nDAMAGED\n"),
        ],
        facts: vec![
            ("MIIB", facts(&["a.test"], 90)),
            ("SECOND", facts(&["b.test", "a.test"], 90)),
            ("THIRD", facts(&["b.test"], 90)),
            ("OLD", facts(&["ca.test"], -1)),
        ],
        ..good()
    }
}

#[test]
fn all_keys_are_read_and_shown() {
    let tls = "{ cert: cert.pem, key: key.pem, also: [{ cert: c.pem, key: key.pem }], client_ca: b.pem, client_auth: optional, min: \"1.3\" }";
    let reading = read_with(&with_tls(tls), &with_others());
    assert_eq!(lines(&reading), "");
    let plan = reading.plan.expect("a plan");
    let shown = plan.to_json()["listeners"][0]["tls"].clone();
    assert_eq!(
        shown,
        json!({
            "cert": "cert.pem", "key": "key.pem", "also": [{ "cert": "c.pem", "key": "key.pem" }],
            "client_ca": "b.pem", "client_auth": "optional", "min": "1.3",
        })
    );
    let required = "{ cert: cert.pem, key: key.pem, client_ca: b.pem }";
    let plan = read_with(&with_tls(required), &with_others()).plan.unwrap();
    let tls = plan.listeners[0].tls.as_ref().unwrap();
    assert!(tls.clients.as_ref().unwrap().is_required);
    assert_eq!(tls.min, TlsVersion::V12);
}

#[test]
fn a_certificate_that_no_client_gets_to_see_is_warned_of() {
    let also = |others: &str| {
        let tls = format!("{{ cert: cert.pem, key: key.pem, also: [{others}] }}");
        report(&tls, &with_others())
    };
    assert_eq!(also("{ cert: c.pem, key: key.pem }"), "");
    assert_eq!(
        also("{ cert: cert.pem, key: key.pem }"),
        "3:57: warning: the certificate in `cert.pem` is never shown: the one in `cert.pem` is for `a.test` already; keep one certificate for each name"
    );
    assert_eq!(
        also("{ cert: b.pem, key: key.pem }"),
        "3:57: warning: two certificates are for `a.test`; the one in `cert.pem` is shown; keep one certificate for each name"
    );
    assert_eq!(
        also("{ cert: b.pem }"),
        "3:49: error: `key_pair` needs the key `key`; add `key: key.pem`"
    );
}

#[test]
fn the_authorities_of_clients_are_checked() {
    for (tls, expected) in [
        (
            "client_auth: optional",
            "3:55: error: `client_auth` needs `client_ca`, the authorities of clients' certificates; add `client_ca: ca.pem`, or remove it",
        ),
        (
            "client_ca: key.pem",
            "3:53: error: the file `key.pem` holds a private key and no certificate; name the file with the authority's certificate",
        ),
        (
            "client_ca: damaged.pem",
            "3:53: error: the certificate in `damaged.pem` cannot be used: its base64 is damaged; `openssl x509 -noout -text -in FILE` must read it",
        ),
        (
            "client_ca: old.pem",
            "3:53: warning: the authority `ca.test` in `old.pem` has expired, at 2026-11-29T00:53:20Z; remove it, or put its successor there",
        ),
        (
            "client_ca: none.pem",
            "3:53: error: the file `none.pem` cannot be read: entity not found; check the path: it is relative to the first configuration file",
        ),
        (
            "client_ca: b.pem, client_auth: none",
            "3:73: error: `client_auth` must be `required` or `optional`, found `none`; ",
        ),
        ("min: \"1.1\"", "3:47: error: `min` must be `1.2` or `1.3`"),
    ] {
        let tls = format!("{{ cert: cert.pem, key: key.pem, {tls} }}");
        let report = report(&tls, &with_others());
        assert!(report.starts_with(expected), "{report}");
    }
}

#[test]
fn an_upstreams_tls_is_read_shown_and_checked() {
    let read = |url: &str, tls: &str| {
        let text = format!(
            "listen: 127.0.0.1:8080\nupstreams:\n  a:\n    url: {url}\n    breaker: {{}}\n    tls: {tls}\nroutes: [{{ path: /, upstream: a }}]\n"
        );
        let reading = read_with(&text, &with_others());
        let said = lines(&reading).replace("fb.yaml:", "").trim().to_owned();
        (said, reading.plan)
    };
    let tls = "{ ca: b.pem, cert: cert.pem, key: key.pem, name: Orders.internal }";
    let (said, plan) = read("https://10.0.0.1", tls);
    assert_eq!(said, "");
    let shown = plan.unwrap().to_json()["upstreams"]["a"]["tls"].clone();
    assert_eq!(
        shown,
        json!({ "cert": "cert.pem", "key": "key.pem", "ca": "b.pem", "name": "orders.internal" })
    );
    for (url, tls, expected) in [
        (
            "http://10.0.0.1",
            "{ ca: b.pem }",
            "6:10: error: `tls` has no effect: no address of this upstream begins with `https://`; write `https://` in its `url`, or remove `tls`",
        ),
        (
            "https://a.test",
            "{ cert: cert.pem }",
            "6:12: error: `cert` without `key`: a certificate is shown with its private key; add `key: key.pem`",
        ),
        (
            "https://a.test",
            "{ key: key.pem }",
            "6:12: error: `key` without `cert`: expected the certificate that the key belongs to; add `cert: cert.pem`",
        ),
        (
            "https://a.test",
            "{ name: \"*.a.test\" }",
            "6:18: error: `*.a.test` is not a name that a certificate can have; write one such as `orders.internal`",
        ),
        (
            "https://a.test",
            "{ insecure: true }",
            "6:12: error: an upstream's certificate is always verified; name its authority",
        ),
    ] {
        let (said, _) = read(url, tls);
        assert!(said.starts_with(expected), "{said}");
    }
}

#[test]
fn a_clients_subject_is_all_of_a_requests_field() {
    let read = |route: &str| {
        let text = format!(
            "listen: 127.0.0.1:8080\nupstreams: {{ a: {{ url: \"http://a.test\", breaker: {{}} }} }}\nroutes:\n  - {{ path: /, upstream: a, {route} }}\n"
        );
        let reading = read_with(&text, &good());
        let said = lines(&reading).replace("fb.yaml:", "").trim().to_owned();
        (said, reading.plan)
    };
    let set = "request: { set: { x-client: \"{client_subject}\", x-a: b } }";
    let (said, plan) = read(set);
    assert_eq!(said, "");
    let route = &plan.unwrap().to_json()["routes"][0];
    assert_eq!(route["request"]["set"]["x-client"], "{client_subject}");
    for (route, expected) in [
        (
            "request: { set: { x-client: \"of {client_subject}\" } }",
            "4:57: error: `{client_subject}` must be all of a value, so that no subject can look like another text; write `\"{client_subject}\"` alone",
        ),
        (
            "response: { set: { x-client: \"{client_subject}\" } }",
            "4:58: error: `{client_subject}` is for requests: an answer goes to the client itself; remove it here; ",
        ),
        (
            "request: { set: { x-client: \"{client_subject}\" }, remove: [x-client] }",
            "4:79: error: the field `x-client` is both set and removed; ",
        ),
    ] {
        let (said, _) = read(route);
        assert!(said.starts_with(expected), "{said}");
    }
}

#[test]
fn http2_goes_with_tls_or_without() {
    let read = |listener: &str| {
        let text = format!(
            "listeners:\n  - {{ addr: \"127.0.0.1:1\"{listener} }}\nroutes: [{{ path: /, respond: {{}} }}]\n"
        );
        let reading = read_with(&text, &good());
        let report = lines(&reading).replace("fb.yaml:", "");
        let http2 = reading.plan.map(|plan| plan.listeners[0].http2());
        (http2, report)
    };
    let tls = format!(", tls: {BOTH}");
    for (listener, http2) in [
        ("", Http2::Off),
        (", http2: off", Http2::Off),
        (", http2: cleartext", Http2::Cleartext),
        (&tls, Http2::Auto),
        (&format!("{tls}, http2: auto"), Http2::Auto),
        (&format!("{tls}, http2: off"), Http2::Off),
    ] {
        assert_eq!(read(listener), (Some(http2), String::new()), "{listener}");
    }
    let (http2, report) = read(", http2: auto");
    assert_eq!(http2, Some(Http2::Auto));
    assert_eq!(
        report.trim(),
        "2:35: warning: `http2: auto` has no effect: clients choose HTTP/2 in the TLS handshake, and this listener has no `tls`; write `cleartext` to take HTTP/2 without TLS, or remove the key"
    );
    let (http2, report) = read(&format!("{tls}, http2: cleartext"));
    assert_eq!(http2, None);
    assert!(
        report.contains(
            "error: `http2: cleartext` is for listeners without `tls`; write `auto`: clients"
        ),
        "{report}"
    );
    let (_, report) = read(", http2: h2");
    assert!(
        report.contains("must be `auto`, `cleartext` or `off`, found `h2`"),
        "{report}"
    );
}
