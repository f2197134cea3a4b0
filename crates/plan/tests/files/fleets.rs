//! The fleet's sections of a file: the store, this process's name, and the sharing of breakers.

use std::time::Duration;

use crate::support::{check, plan_of, read_text};
use fusebox_plan::plan::{Share, Store};

fn file(store: &str, breaker: &str) -> String {
    format!(
        "listen: 127.0.0.1:8080
{store}
upstreams:
  orders:
    url: http://127.0.0.1:8081
    breaker: {breaker}
routes: [{{ path: /orders, upstream: orders }}]
"
    )
}

const SERVER: &str = "store: { kind: valkey, url: redis://127.0.0.1:6379 }";

#[test]
fn a_share_is_a_word_or_a_quorum() {
    for (written, share) in [
        ("{}", Share::None),
        ("{ share: none }", Share::None),
        ("{ share: verdict }", Share::Verdict),
        ("{ share: { quorum: 3 } }", Share::Quorum(3)),
        ("{ share: counts }", Share::Counts),
    ] {
        let text = file(SERVER, written);
        check(&text, "");
        let plan = plan_of(&text);
        assert_eq!(plan.upstreams[0].breaker.share, share, "{written}");
        let shown = plan.to_json();
        assert_eq!(
            plan_of(&shown.to_string()).upstreams[0].breaker.share,
            share,
            "{shown}"
        );
    }
    check(
        &file(SERVER, "{ share: all }"),
        "6:23: error: `share` must be `none`, `verdict`, `counts` or `{ quorum: 2 }`, found `all`; write `none`, `verdict`, `counts` or `{ quorum: 2 }`",
    );
    check(
        &file(SERVER, "{ share: { quorum: 0 } }"),
        "6:33: error: `quorum` must be a whole number from 1 to 256, found `0`; write a whole number from 1 to 256",
    );
}

#[test]
fn only_failures_in_a_row_and_within_a_time_are_counted_over_a_fleet() {
    for trip in [
        "{ consecutive_failures: 5 }",
        "{ failures: 5, within: 10s }",
        "{ consecutive_failures: 5, within: 10s }",
    ] {
        check(
            &file(SERVER, &format!("{{ share: counts, trip: {trip} }}")),
            "",
        );
    }
    for (trip, rule) in [
        ("{ failures: 5, over: 10 calls }", "failures"),
        ("{ failure_rate: 50% }", "failure_rate"),
        (
            "[{ consecutive_failures: 5 }, { adaptive: { memory: 5 } }]",
            "adaptive",
        ),
    ] {
        check(
            &file(SERVER, &format!("{{ share: counts, trip: {trip} }}")),
            &format!(
                "6:23: error: `{rule}` cannot be counted over a fleet, only failures in a row and failures within a time can; \
                 use `share: verdict` or a quorum, or keep only `consecutive_failures` and `failures` with `within`"
            ),
        );
    }
}

#[test]
fn sharing_without_a_server_is_a_warning() {
    for store in ["", "store: { kind: memory }", "store: {}"] {
        check(
            &file(store, "{ share: verdict }"),
            "6:23: warning: the breaker is shared through a Valkey server, but the file configures none; \
             add `store: { kind: valkey, url: redis://127.0.0.1:6379 }`, or run with `--store redis://…`; else each process decides alone",
        );
    }
    check(&file("fleet: { node: a }", "{}"), "");
}

#[test]
fn a_store_on_a_server_has_its_keys_and_the_others_have_not() {
    let text = file(
        "store: { kind: valkey, url: \"rediss://ann:secret@db:6380/2\", prefix: \"shop:\", timeout: 50ms, path: ./data }",
        "{}",
    );
    check(&text, "");
    let plan = plan_of(&text);
    let Some(Store::Valkey(server)) = &plan.store else {
        panic!("{:?}", plan.store);
    };
    assert_eq!(server.url.reveal(), "rediss://ann:secret@db:6380/2");
    assert_eq!(server.prefix.as_deref(), Some("shop:"));
    assert_eq!(server.timeout, Some(Duration::from_millis(50)));
    assert_eq!(server.path.as_deref(), Some(std::path::Path::new("./data")));
    let shown = plan.to_json().to_string();
    assert!(!shown.contains("secret") && !format!("{plan:?}").contains("secret"));
    check(
        &file("store: { kind: valkey }", "{}"),
        "2:8: error: a store on a Valkey server needs its `url`; add `url: redis://127.0.0.1:6379`",
    );
    check(
        &file("store: { url: redis://a, timeout: 1s }", "{}"),
        "2:15: error: `url` belongs to a store on a Valkey server; remove it, or use `kind: valkey`
2:35: error: `timeout` belongs to a store on a Valkey server; remove it, or use `kind: valkey`",
    );
    check(
        &file("store: { kind: valkey, url: redis://a, prefix: \"{a}\", timeout: 2m }", "{}"),
        "2:48: error: the prefix has a brace, which would set its hash slot in a cluster; remove the brace
2:64: error: the store's `timeout` must be above 0 and at most a minute; write `250ms`",
    );
}

#[test]
fn an_invalid_server_url_is_refused_without_showing_its_password() {
    for url in [
        "localhost:6379",
        "http://h",
        "redis://",
        "mysql://ann:secret@h",
    ] {
        let text = file(&format!("store: {{ kind: valkey, url: \"{url}\" }}"), "{}");
        check(
            &text,
            "2:29: error: the store's URL is not a Valkey server's; write one such as `redis://127.0.0.1:6379`, or `rediss://` for TLS",
        );
    }
    for url in [
        "redis://h",
        "valkeys://h",
        "redis+unix:///run/s",
        "rediss+sentinel://a,b/main",
        "redis+cluster://a",
    ] {
        check(
            &file(&format!("store: {{ kind: valkey, url: \"{url}\" }}"), "{}"),
            "",
        );
    }
}

#[test]
fn a_nodes_name_is_short_and_can_be_printed() {
    let named =
        |name: &str| read_text(&file(&format!("{SERVER}\nfleet: {{ node: {name} }}"), "{}"));
    let plan = named("gateway-1").plan.unwrap();
    assert_eq!(plan.fleet.unwrap().node.as_deref(), Some("gateway-1"));
    for name in ["\"\"", "\"a\\nb\"", &"x".repeat(129)] {
        assert!(named(name).plan.is_none(), "{name}");
    }
}
