//! A listener's certificate and key: accepted files, and the diagnostics of others.

use std::io::{self, ErrorKind};

use crate::support::{lines, plan_of, read_with};
use fusebox_plan::plan::Http2;
use fusebox_plan::{Loader, PairFault};
use serde_json::json;

const CERT: &str = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
const KEY: &str = "-----BEGIN PRIVATE KEY-----\nSECRET\n-----END PRIVATE KEY-----\n";
const SEC1: &str = "-----BEGIN EC PRIVATE KEY-----\nSECRET\n-----END EC PRIVATE KEY-----\n";
const ENCRYPTED: &str =
    "-----BEGIN ENCRYPTED PRIVATE KEY-----\nSECRET\n-----END ENCRYPTED PRIVATE KEY-----\n";
const LONG_ENCRYPTED: &str = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nSECRET\n-----END RSA PRIVATE KEY-----\n";

/// A directory with two files, and the result of checking the pair.
struct Directory {
    cert: Result<&'static str, ErrorKind>,
    key: Result<&'static str, ErrorKind>,
    pair: Result<(), PairFault>,
}

impl Loader for Directory {
    fn env(&self, name: &str) -> Option<String> {
        (name == "CERT").then(|| "cert.pem".to_owned())
    }

    fn file(&self, path: &str) -> io::Result<String> {
        let held = match path {
            "cert.pem" => self.cert,
            "key.pem" => self.key,
            _ => Err(ErrorKind::NotFound),
        };
        held.map(str::to_owned).map_err(io::Error::from)
    }

    fn check_pair(&self, certificates: &str, key: &str) -> Result<(), PairFault> {
        assert!(certificates.contains("BEGIN CERTIFICATE") && key.contains("PRIVATE KEY"));
        self.pair.clone()
    }
}

fn good() -> Directory {
    Directory {
        cert: Ok(CERT),
        key: Ok(KEY),
        pair: Ok(()),
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
        assert_eq!((&*tls.certificates, tls.key.reveal()), (CERT, key));
        let shown = plan.to_json();
        let files = json!({ "cert": "cert.pem", "key": "key.pem" });
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
            "3:10: error: expected a map, found `on`; write a map with any of cert, key",
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
