//! Keys with a meaning and without an effect yet are refused, never ignored.

use crate::support::{check, lines, read_text};

#[test]
fn keys_of_the_file() {
    check(
        r#"listen: 127.0.0.1:8080
on_transition: { webhook: x }
routes: [{ path: /, respond: {} }]
"#,
        r#"2:1: error: `on_transition` is not supported yet; remove the key; follow transitions in the log or the metrics for now"#,
    );
}

#[test]
fn keys_of_a_listeners_tls() {
    let text = r#"listeners:
  - addr: 127.0.0.1:1
    tls: { cert: "${A:-}", key: "${A:-}", also: [], client_ca: ca.pem, client_auth: required, min: "1.2" }
routes: [{ path: /, respond: {} }]
"#;
    let report = lines(&read_text(text)).replace("fb.yaml:", "");
    for expected in [
        "3:43: error: `also` is not supported yet; remove the key; a listener shows one certificate for now\n",
        "3:53: error: `client_ca` is not supported yet; remove the key; clients are asked for no certificate for now\n",
        "3:72: error: `client_auth` is not supported yet; remove the key; clients are asked for no certificate for now\n",
        "3:95: error: `min` is not supported yet; remove the key; TLS 1.2 and 1.3 are spoken for now\n",
    ] {
        assert!(report.contains(expected), "{expected}\n{report}");
    }
}
