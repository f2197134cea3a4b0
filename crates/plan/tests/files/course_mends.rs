//! Diagnostics about the course of a call: settings without an effect, bare values in place of maps, and unfilled words.

use crate::support::{check, lines, plan_of, read_text};
use fusebox_plan::plan::{Facts, Rung};

/// Checks a file whose upstream, in line 3, has these keys.
#[track_caller]
fn upstream(keys: &str, expected: &str) {
    check(&file(keys), expected);
}

fn file(keys: &str) -> String {
    format!(
        "listen: 127.0.0.1:8080
upstreams:
  orders: {{ breaker: {{}}, {keys} }}
routes: [{{ path: /orders, upstream: orders }}]
"
    )
}

#[test]
fn a_time_for_one_attempt_above_that_for_all_has_no_effect() {
    upstream(
        "url: http://a, timeout: { request: 5s, total: 2s }",
        r#"3:61: warning: `timeout.request` has no effect: the whole call ends after `timeout.total`, 2s, before an attempt could take 5s; write `request: 2s` or less, or raise `total`"#,
    );
    upstream("url: http://a, timeout: { total: 2s }", "");
    upstream("url: http://a, timeout: { request: 2s, total: 2s }", "");
}

#[test]
fn a_choice_among_one_endpoint_has_no_effect() {
    upstream(
        "url: http://a, balance: least_request",
        r#"3:41: warning: `balance` has no effect: there is only one endpoint; add `endpoints`, or remove it"#,
    );
    upstream(
        "endpoints: [{ url: http://a }, { url: http://b }], balance: least_request",
        "",
    );
    upstream("url: http://a, resolve: 10s, balance: least_request", "");
}

#[test]
fn a_host_is_a_word_or_a_name_with_a_port() {
    const NAME: &str =
        "write a name such as `shop.example` or `shop.example:8080`, or `upstream` or `preserve`";
    let refuse = |host: &str, fault: &str| {
        upstream(
            &format!("url: http://a, host: {host}"),
            &format!("3:47: error: {fault}"),
        );
    };
    refuse("''", &format!("`host` is empty; {NAME}"));
    refuse(
        "Preserve",
        "`Preserve` is not a word of `host`; write `preserve`",
    );
    refuse(
        "'http://a.test/x'",
        "`host` is a URL, and it is sent as a name alone; remove the scheme and the path; where the requests go is said by `url`",
    );
    refuse(
        "a.test/x",
        "`host` has a path, and it is sent as a name alone; remove it; a path before every request's is a part of `url`",
    );
    refuse(
        "'u:p@a.test'",
        "`host` has a user or password; remove everything up to `@`",
    );
    refuse(
        "'::1'",
        "an IPv6 address must be in brackets; write it as `\"[::1]\"`",
    );
    for (host, shown) in [
        ("'a b'", "`a b`"),
        ("'*.a.test'", "`*.a.test`"),
        ("'{header.host}'", "`{header.host}`"),
    ] {
        refuse(
            host,
            &format!("{shown} is not a host's name or address; {NAME}"),
        );
    }
    for host in ["'a.test:0'", "'a.test:99999'", "'a.test:'", "'[::1]:x'"] {
        refuse(
            host,
            &format!("the port is not a number from 1 to 65535; {NAME}"),
        );
    }
    refuse("':80'", &format!("`host` has no host; {NAME}"));
    let file = file("url: http://a, host: \"a\\r\\nx-b: 1\"");
    let told = lines(&read_text(&file));
    assert!(
        told.contains(":47: error: ") && told.contains("is not a host's name or address"),
        "{told}"
    );
}

#[test]
fn the_treatment_of_redirects_is_one_of_two_words() {
    upstream(
        "url: http://a, location: kep",
        r#"3:51: error: `location` must be `rewrite` or `keep`, found `kep`; did you mean `keep`?"#,
    );
}

#[test]
fn a_retry_of_one_attempt_has_no_effect() {
    upstream(
        "url: http://a, retry: { attempts: 1 }",
        r#"3:60: warning: `retry` has no effect: the one attempt of `attempts: 1` is the first; write `attempts: 2`, or remove `retry`"#,
    );
    // Retries of routes come out of the upstream's budget.
    upstream("url: http://a, retry: { attempts: 1, budget: 10% }", "");
    check(
        "listen: 127.0.0.1:8080
upstreams: { orders: { url: http://a, breaker: {}, retry: {} } }
routes: [{ path: /orders, upstream: orders, retry: { attempts: 1 } }]
",
        "",
    );
}

#[test]
fn a_bare_value_in_place_of_a_map_gets_its_whole_form() {
    upstream(
        "endpoints: [http://a:1, http://b:1]",
        r#"3:38: error: expected a map, found `http://a:1`; write `- url: http://a:1`
3:50: error: expected a map, found `http://b:1`; write `- url: http://b:1`"#,
    );
    upstream(
        "url: http://a, bulkhead: 100, retry: 3, health: /healthz",
        r#"3:51: error: expected a map, found `100`; write `bulkhead: { concurrent: 100 }`
3:63: error: expected a map, found `3`; write `retry: { attempts: 3 }`
3:74: error: expected a map, found `/healthz`; write `health: { path: /healthz }`"#,
    );
    check(
        "listen: 127.0.0.1:8080
upstreams:
  orders: http://127.0.0.1:8081
routes: [{ path: /orders, upstream: orders }]
",
        r#"3:11: error: expected a map, found `http://127.0.0.1:8081`; write `{ url: http://127.0.0.1:8081 }`"#,
    );
}

#[test]
fn a_misspelt_word_in_a_rungs_texts_is_an_error() {
    upstream(
        "url: http://a, fallback: [{ respond: { status: 503, headers: { x-why: '{reasn}' }, json: { why: ['{retry-after}', '{retryafter}'], of: '{upstream}', more: '{} {a b} {1} {breaker} {' } } }]",
        r#"3:96: error: `{reasn}` is not filled in; did you mean `{reason}`?
3:123: error: `{retry-after}` is not filled in; did you mean `{retry_after}`?
3:140: error: `{retryafter}` is not filled in; did you mean `{retry_after}`?
3:161: warning: `{upstream}` is not filled in, and clients get it as it stands; write one of `{reason}`, `{retry_after}` and `{breaker}`, or other brackets"#,
    );
    upstream(
        "url: http://a, fallback: [{ respond: { text: 'down, {reason}: {braker}' } }]",
        r#"3:71: error: `{braker}` is not filled in; did you mean `{breaker}`?"#,
    );
}

#[test]
fn a_rungs_field_without_a_time_is_left_out() {
    let plan = plan_of(&file(
        "url: http://a, fallback: [{ respond: { status: 503, headers: { retry-after: '{retry_after}', x-why: '{reason}' } } }]",
    ));
    let Rung::Respond(answer) = &plan.upstreams[0].fallback[0] else {
        panic!("it responds")
    };
    let fields = |retry_after| {
        let facts = Facts {
            reason: "breaker_open",
            retry_after,
            breaker: "orders",
        };
        answer.fill(&facts).0
    };
    assert_eq!(fields(Some(12))["retry-after"], "12");
    let without = fields(None);
    assert!(without.get("retry-after").is_none());
    assert_eq!(without["x-why"], "breaker_open");
}
