//! Keys with a meaning and without an effect yet are refused, never ignored.

use crate::support::check;

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
