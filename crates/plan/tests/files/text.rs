//! Diagnostics about a text before its keys are read.

use crate::support::{check, lines, read_text};

#[test]
fn an_empty_file_says_how_to_begin() {
    check(
        r#""#,
        r#"1:1: error: the file is empty; begin with `listen: 127.0.0.1:8080`, then `upstreams:` and `routes:`; beside an application, with `upstreams:` alone"#,
    );
    check(
        r#"# nothing
"#,
        r#"1:1: error: the file is empty; begin with `listen: 127.0.0.1:8080`, then `upstreams:` and `routes:`; beside an application, with `upstreams:` alone"#,
    );
}

#[test]
fn broken_yaml_is_an_error_at_its_line() {
    check(
        r#"listen: [
"#,
        r#"2:1: error: invalid YAML: while parsing a node, did not find expected node content; check indentation, quotes and brackets on this line and the one before it"#,
    );
    check(
        r#"listen: "x
"#,
        r#"1:9: error: invalid YAML: while scanning a quoted scalar, found unexpected end of stream; check indentation, quotes and brackets on this line and the one before it"#,
    );
    check(
        r#"a: b: c
"#,
        r#"1:5: error: invalid YAML: mapping values are not allowed in this context; check indentation, quotes and brackets on this line and the one before it"#,
    );
    check(
        r#"a: [1, }
"#,
        r#"1:8: error: invalid YAML: while parsing a node, did not find expected node content; check indentation, quotes and brackets on this line and the one before it"#,
    );
}

#[test]
fn a_key_given_twice_is_an_error_that_names_the_first() {
    check(
        r#"listen: 127.0.0.1:1
listen: 127.0.0.1:2
routes: [{path: /, path: /a, respond: {}}]
"#,
        r#"2:1: error: the key `listen` is already given in line 1; remove one of the two
3:20: error: the key `path` is already given in line 3; remove one of the two"#,
    );
}

#[test]
fn anchors_aliases_tags_and_merges_are_refused() {
    check(
        r#"a: &x 1
"#,
        r#"1:4: error: anchors (`&name`) are not supported; remove the anchor and write the value out where it is used"#,
    );
    check(
        r#"a: *x
"#,
        r#"1:4: error: aliases (`*name`) are not supported; write the value out where it is used; a text that begins with `*` needs quotes"#,
    );
    check(
        r#"a: !!str 1
"#,
        r#"1:4: error: tags (`!name`) are not supported; remove the tag; the key decides what its value means"#,
    );
    check(
        r#"listen: !secret x
"#,
        r#"1:9: error: tags (`!name`) are not supported; remove the tag; the key decides what its value means"#,
    );
    check(
        r#"<<: {a: 1}
"#,
        r#"1:1: error: unknown key `<<` in the configuration; expected one of version, listen, listeners, admin, store, fleet, access_log, limits, upstreams, breakers, routes"#,
    );
}

#[test]
fn a_second_document_is_refused() {
    check(
        r#"listen: 127.0.0.1:8080
---
listen: 127.0.0.1:8081
"#,
        r#"2:1: error: a second document begins here; keep one document a file: remove `---` and what follows, or give it a file of its own"#,
    );
}

#[test]
fn deep_nesting_is_refused() {
    check(
        r#"a: [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]"#,
        r#"1:67: error: lists and maps are nested more than 64 deep; flatten it"#,
    );
}

#[test]
fn a_list_as_a_key_is_refused() {
    check(
        r#"? [a, b]
: c
"#,
        r#"1:3: error: a list or map cannot be a key; use a plain word as the key"#,
    );
}

#[test]
fn a_root_that_is_not_a_map_is_refused() {
    check(
        r#"- a
"#,
        r#"1:1: error: expected a map, found a list; write a map with any of version, listen, listeners, admin, store, fleet, access_log, limits, upstreams, breakers, routes"#,
    );
    check(
        r#"hello
"#,
        r#"1:1: error: expected a map, found `hello`; write a map with any of version, listen, listeners, admin, store, fleet, access_log, limits, upstreams, breakers, routes"#,
    );
}

#[test]
fn an_unknown_key_gets_a_suggestion() {
    check(
        r#"lisen: 127.0.0.1:8080
zzz: 1
routes: [{ path: /a, respnd: { text: x } }]
"#,
        r#"1:1: error: unknown key `lisen` in the configuration; did you mean `listen`?
2:1: error: unknown key `zzz` in the configuration; expected one of version, listen, listeners, admin, store, fleet, access_log, limits, upstreams, breakers, routes
3:22: error: unknown key `respnd` in a route; did you mean `respond`?"#,
    );
    check(
        r#"listen: 127.0.0.1:8080
upstreams:
  orders:
    url: http://127.0.0.1:8081
    breaker: { cooldwon: 5s, half_open: { probe_timout: 1s }, trip: { consecutive: 5 } }
routes: [{ path: /orders, upstream: orders }]
"#,
        r#"5:16: error: unknown key `cooldwon` in a breaker; did you mean `cooldown`?
5:43: error: unknown key `probe_timout` in `half_open`; did you mean `probe_timeout`?
5:71: error: unknown key `consecutive` in `trip`; did you mean `consecutive_failures`?"#,
    );
}

#[test]
fn a_wrong_type_says_what_was_expected() {
    check(
        r#"listen: { a: 1 }
limits: [1]
upstreams: { orders: { url: http://127.0.0.1:8081, breaker: {} } }
routes: [{ path: /orders, upstream: orders }]
"#,
        r#"1:9: error: `listen` must be an address with its port, found a map; write one such as `127.0.0.1:8080`, or remove the key
2:9: error: expected a map, found a list; write a map with any of connections, head, fields, first_byte, head_timeout, keep_alive, body_rate, request_body, streams, stream_stall, stream_resets, stream_errors, control_frames, upgrade_idle, drain, drain_delay"#,
    );
    let report = lines(&read_text(
        "listen: 127.0.0.1:8080
upstreams:
  orders: later
routes: [{ path: /orders, upstream: orders }]
",
    ));
    let expected = "fb.yaml:3:11: error: expected a map, found `later`; write a map with any of url, endpoints, applies_to, timeout, pool, breaker, http, ";
    assert!(report.starts_with(expected), "{report}");
    check(
        r#"listen: 127.0.0.1:8080
upstreams:
  orders: { url: [http://a], timeout: 5s, pool: { idle: many }, breaker: }
routes: [{ path: /orders, upstream: orders }]
"#,
        r#"3:18: error: `url` must be a URL, found a list; write one such as `http://127.0.0.1:8081`, or remove the key
3:39: error: expected a map, found `5s`; write a map with any of connect, request, total, idle
3:57: error: `idle` must be a whole number from 0 to 100000, found `many`; write a whole number from 0 to 100000
3:72: error: expected a map, found nothing; write a map with any of key, failure, failure_body, max_keys, idle_after, on_overflow, mode, trip, judge_on, compare, slow_compare, window, history, ignore, abandoned, settle, cooldown, half_open, share, retry_after, ramp, or `{}` for an empty one"#,
    );
}
