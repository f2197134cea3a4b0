//! Hostile applications: each gives a plan or errors, in bounded time, and never a panic.

mod support;

use std::time::{Duration, Instant};

use fusebox_plan::{Severity, Source};
use proptest::prelude::*;
use support::{Machine, convert, read};

const EXAMPLE: &str = include_str!("../../../examples/flogo/app.json");

fn survives(text: &str) {
    let source = || Source {
        name: "x",
        text: text.as_bytes(),
    };
    let machine = Machine {
        lossy: false,
        env: [("HOME", "/")].into(),
        files: [("away.json", EXAMPLE)].into(),
    };
    let reading = read(&[source()], &machine);
    let errors = reading
        .diagnostics
        .iter()
        .filter(|diagnostic| diagnostic.severity == Severity::Error);
    assert_eq!(reading.plan.is_none(), errors.count() > 0);
    for diagnostic in &reading.diagnostics {
        assert!(diagnostic.line >= 1 && diagnostic.col >= 1);
        assert!(!diagnostic.what.is_empty() && !diagnostic.mend.is_empty());
    }
    if let Some(plan) = &reading.plan {
        plan.to_json();
    }
    let conversion = convert(&[source()], &machine);
    if let Some(yaml) = conversion.yaml {
        let source = Source {
            name: "y",
            text: yaml.as_bytes(),
        };
        let native = read(&[source], &machine);
        assert!(native.plan.is_some(), "{yaml}\n{:?}", native.diagnostics);
    }
}

/// Far above what any of these needs, far below what quadratic work on 1 MiB takes.
#[allow(
    clippy::disallowed_methods,
    reason = "the test asks how long reading takes; the plan knows no time"
)]
fn soon(what: &str, work: impl FnOnce()) {
    let start = Instant::now();
    work();
    let took = start.elapsed();
    assert!(took < Duration::from_secs(60), "{what} took {took:?}");
}

/// The most repetitions of a part that fit into a file.
fn many(part: impl Fn(usize) -> String) -> String {
    let mut parts = Vec::new();
    let mut bytes = 0;
    while bytes < 900_000 {
        let part = part(parts.len());
        bytes += part.len() + 1;
        parts.push(part);
    }
    parts.join(",")
}

fn application(triggers: &str, resources: &str, actions: &str) -> String {
    format!(
        r#"{{ "name": "A", "version": "1", "triggers": [ {triggers} ], "resources": [ {resources} ], "actions": [ {actions} ] }}"#
    )
}

fn handlers(handlers: &str) -> String {
    format!(
        r#"{{ "id": "r", "ref": "x/trigger/rest", "settings": {{ "port": 1 }}, "handlers": [ {handlers} ] }}"#
    )
}

fn definition(steps: &str, services: &str) -> String {
    format!(
        r#"{{ "id": "microgateway:G", "data": {{ "name": "G", "steps": [ {steps} ], "services": [ {services} ] }} }}"#
    )
}

const LOG: &str = r#"{ "name": "L", "ref": "x/activity/log" }"#;

#[test]
fn a_megabyte_of_application_is_read_or_refused_in_time() {
    let handler = |path: &str, action: &str| {
        format!(
            r#"{{ "settings": {{ "method": "GET", "path": "{path}" }}, "actions": [ {action} ] }}"#
        )
    };
    let small = definition(r#"{ "service": "L" }"#, LOG);
    let shared =
        r#"{ "id": "s", "ref": "x/microgateway", "settings": { "uri": "microgateway:G" } }"#;
    let cases = [
        (
            "many routes",
            application(
                &handlers(&many(|n| handler(&format!("/{n}"), r#"{ "id": "s" }"#))),
                &small,
                shared,
            ),
        ),
        (
            "one route many times",
            application(
                &handlers(&many(|_| handler("/x", r#"{ "id": "s" }"#))),
                &small,
                shared,
            ),
        ),
        (
            "many actions that are not there",
            application(
                &handlers(&many(|n| handler("/x", &format!(r#"{{ "id": "s{n}" }}"#)))),
                &small,
                shared,
            ),
        ),
        (
            "many broken expressions",
            application(
                "",
                &definition(
                    &many(|_| r#"{ "service": "L", "if": "$.a ==" }"#.into()),
                    LOG,
                ),
                shared,
            ),
        ),
        (
            "many steps without a service",
            application(
                "",
                &definition(&many(|n| format!(r#"{{ "service": "L{n}" }}"#)), LOG),
                shared,
            ),
        ),
        (
            "many services, each used",
            application(
                "",
                &definition(
                    &vec![r#"{ "service": "L9999" }"#; 15_000].join(","),
                    &(0..10_000)
                        .map(|n| format!(r#"{{ "name": "L{n}", "ref": "x/activity/log" }}"#))
                        .collect::<Vec<_>>()
                        .join(","),
                ),
                shared,
            ),
        ),
        (
            "many services",
            application(
                "",
                &definition(
                    r#"{ "service": "L0" }"#,
                    &many(|n| format!(r#"{{ "name": "L{n}", "ref": "x/activity/log" }}"#)),
                ),
                shared,
            ),
        ),
        (
            "many resources",
            application(
                "",
                &many(|n| {
                    format!(
                        r#"{{ "id": "microgateway:{n}", "data": {{ "name": "G", "steps": [] }} }}"#
                    )
                }),
                "",
            ),
        ),
        (
            "many shared actions",
            application(
                "",
                &small,
                &many(|n| shared.replace("\"s\"", &format!("\"s{n}\""))),
            ),
        ),
        (
            "many triggers",
            application(
                &many(|n| handlers("").replace("\"r\"", &format!("\"r{n}\""))),
                "",
                "",
            ),
        ),
        (
            "many imports",
            format!(
                r#"{{ "type": "flogo:app", "imports": [ {} ] }}"#,
                many(|n| format!("\"x/y/activity/a{n}\""))
            ),
        ),
        (
            "many channels",
            format!(
                r#"{{ "type": "flogo:app", "channels": [ {} ] }}"#,
                many(|n| format!("\"c{n}:5\""))
            ),
        ),
        (
            "many properties",
            format!(
                r#"{{ "type": "flogo:app", "properties": [ {} ] }}"#,
                many(|n| format!(r#"{{ "name": "p{n}", "type": "int", "value": "x" }}"#))
            ),
        ),
        (
            "many keys",
            format!(
                r#"{{ "type": "flogo:app", {} }}"#,
                many(|n| format!("\"trigger{n}\": 1"))
            ),
        ),
        (
            "deep",
            format!(
                r#"{{ "type": "flogo:app", "properties": {} }}"#,
                "[".repeat(900_000)
            ),
        ),
        (
            "a long text",
            format!(
                r#"{{ "type": "flogo:app", "name": "{}" }}"#,
                "SECRET:".repeat(120_000)
            ),
        ),
    ];
    for (what, text) in cases {
        assert!(text.len() < 1 << 20, "{what}");
        soon(what, || survives(&text));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if std::env::var_os("FUSEBOX_PROVE").is_some() { 20_000 } else { 200 }))]

    #[test]
    fn an_application_with_parts_missing_or_exchanged_is_read_or_refused(
        cuts in prop::collection::vec((0usize..5_000, 0usize..40), 1..4),
        word in prop::sample::select(vec![
            "null", "5", "\"x\"", "[]", "{}", "true", "\"=$.payload\"", "\"=\"", "\"file://away.json\"",
            "\"pattern://DefaultHttpPattern\"", "{\"mapping\":{\"@foreach($.x)\":{}}}",
        ]),
    ) {
        let mut text = EXAMPLE.to_owned();
        for (at, length) in cuts {
            let at = at % text.len();
            let end = (at + length).min(text.len());
            if text.is_char_boundary(at) && text.is_char_boundary(end) {
                text.replace_range(at..end, word);
            }
        }
        survives(&text);
    }

    #[test]
    fn an_application_whose_values_are_exchanged_is_read_or_refused(
        places in prop::collection::vec(any::<prop::sample::Index>(), 1..5),
        value in prop::sample::select(vec![
            "null", "5", "-1.5", "\"\"", "\"x\"", "[]", "{}", "[1]", "{\"a\":1}", "true", "\"=$.conf.x\"",
            "\"=1 +\"", "\"{{\"", "\"SECRET:abcd\"", "\"https://a/:b\"", "{\"mapping\":[null]}", "{\"@if(1)\":{}}",
        ]),
    ) {
        let mut document: serde_json::Value = serde_json::from_str(EXAMPLE).expect("the example is JSON");
        let value: serde_json::Value = serde_json::from_str(value).expect("a value");
        for place in places {
            let mut pointers = Vec::new();
            collect(&document, String::new(), &mut pointers);
            let pointer = place.get(&pointers).clone();
            if let Some(slot) = document.pointer_mut(&pointer) {
                *slot = value.clone();
            }
        }
        survives(&document.to_string());
    }
}

/// The pointers to all values below the root.
fn collect(value: &serde_json::Value, at: String, pointers: &mut Vec<String>) {
    match value {
        serde_json::Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                pointers.push(format!("{at}/{index}"));
                collect(item, format!("{at}/{index}"), pointers);
            }
        }
        serde_json::Value::Object(entries) => {
            for (key, value) in entries {
                pointers.push(format!("{at}/{key}"));
                collect(value, format!("{at}/{key}"), pointers);
            }
        }
        _ => {}
    }
    if pointers.is_empty() {
        pointers.push(String::new());
    }
}
