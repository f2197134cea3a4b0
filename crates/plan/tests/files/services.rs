//! `breakers:`: breakers without an upstream, for programs.

use std::time::Duration;

use fusebox_breaker::OnProbeTimeout;

use crate::support::{check, plan_of};

#[test]
fn a_file_with_breakers_alone_is_whole() {
    let text = "breakers:
  stripe: { trip: { consecutive_failures: 5 }, cooldown: 30s, ignore: 'error == \"declined\"' }
  paypal: {}
";
    check(text, "");
    let plan = plan_of(text);
    let names: Vec<_> = plan.breakers.iter().map(|it| &*it.name).collect();
    assert_eq!(names, ["stripe", "paypal"]);
    assert!(plan.listeners.is_empty());
    let half_open = &plan.breakers[0].breaker.settings.half_open;
    assert_eq!(half_open.probe_timeout, Duration::from_secs(60));
    assert_eq!(half_open.on_probe_timeout, OnProbeTimeout::Replace);
}

#[test]
fn a_plan_that_is_written_out_has_the_same_breakers() {
    let text = "store: { kind: valkey, url: redis://127.0.0.1:6379 }
breakers:
  stripe:
    trip: [{ failures: 3, within: 10s }]
    cooldown: { base: 5s, factor: 2, max: 60s }
    half_open: { probes: 3, successes: 2, probe_timeout: 9s, on_probe_timeout: fail }
    share: { quorum: 2 }
    ignore: 'status == 404'
    mode: monitor
";
    let plan = plan_of(text);
    let again = plan_of(&plan.to_json().to_string());
    assert_eq!(again.breakers, plan.breakers);
}

#[test]
fn settings_that_need_an_upstream_are_errors_at_their_place() {
    for (settings, said) in [
        (
            "key: \"{route}\"",
            "`key` has no meaning in `breakers`: each name there is one breaker; give each a name, or use an upstream with a `key`",
        ),
        (
            "failure: 'status == 1'",
            "`failure` has no meaning in `breakers`: the program that reports says which calls failed; remove the key",
        ),
        (
            "failure_body: 1KiB",
            "`failure_body` has no meaning in `breakers`: no body is reported; remove the key",
        ),
    ] {
        let text = format!("breakers: {{ stripe: {{ {settings} }} }}\n");
        check(&text, &format!("1:23: error: {said}"));
    }
    check(
        "breakers: { stripe: { trips: {} } }\n",
        "1:23: error: unknown key `trips` in `service_breaker`; did you mean `trip`?",
    );
    check(
        "breakers: { stripe: { half_open: { probe: health } } }\n",
        "1:43: error: `probe: health` needs an upstream, whose health is checked; remove it: the programs that ask do the probing",
    );
    check(
        "breakers: { stripe: { ignore: 'body == \"x\"' } }\n",
        "1:31: error: the ignore expression uses `body`, which no report has; use `error`, which is the report's `kind`, `status` or `duration`",
    );
    check(
        "breakers: { stripe: { max_keys: 5 } }\n",
        "1:33: warning: `max_keys` has no effect on a breaker without an upstream: it has no keys; remove it",
    );
}

#[test]
fn names_differ_from_those_of_upstreams_and_their_keys() {
    let file = |key: &str, name: &str| {
        format!(
            "listen: 127.0.0.1:8080
upstreams: {{ orders: {{ url: http://127.0.0.1:8081, breaker: {{ {key} }} }} }}
routes: [{{ path: /orders, upstream: orders }}]
breakers: {{ {name}: {{}} }}
"
        )
    };
    check(
        &file("", "orders"),
        "4:13: error: the breaker `orders` cannot be told from others: an upstream, or another breaker, has the same name; give it another name; what is before an upstream can be asked by the upstream's name",
    );
    check(
        &file("key: \"{method}\"", "orders/GET"),
        "4:13: error: the breaker `orders/GET` cannot be told from others: a keyed breaker of `orders` could have the same name; give it another name; what is before an upstream can be asked by the upstream's name",
    );
    check(&file("", "orders/GET"), "");
}

#[test]
fn the_service_token_stands_beside_the_token_and_differs_from_the_others() {
    let file = |tokens: &str| format!("admin: {{ {tokens} }}\nbreakers: {{ stripe: {{}} }}\n");
    check(&file("token: a, service_token: b, read_token: c"), "");
    check(
        &file("service_token: b"),
        "1:25: error: `service_token` without `token`: everybody may do everything without one; add `token`, the one that may also hold and reset breakers",
    );
    check(
        &file("token: a, service_token: a"),
        "1:35: error: `service_token` is the same as another token, which may do other things; give it a value of its own",
    );
    let plan = plan_of(&file("token: a, service_token: hidden"));
    assert!(!plan.to_json().to_string().contains("hidden"));
}
