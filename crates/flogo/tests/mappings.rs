//! The evaluation of mappings, data and names with dots.

mod support;

use std::sync::Arc;

use fusebox_flogo::{App, Choice, EvalError, Handler, Map, Value, assign, assign_all, read_scope};
use fusebox_plan::plan::Step;
use proptest::prelude::*;
use serde_json::json;
use support::read_text;

/// A handler whose action has this `input`, and whose only step has these inputs.
fn handler(input: &str, step: &str, data: &str) -> Result<Arc<Handler>, String> {
    let text = format!(
        r#"{{ "name": "A", "version": "1", "triggers": [ {{ "id": "r", "ref": "x/trigger/rest", "settings": {{ "port": 1 }}, "handlers": [
{{ "settings": {{ "method": "GET", "path": "/" }}, "action": {{ "ref": "x/microgateway", "settings": {{ "uri": "microgateway:G" }},
"input": {input} }} }} ] }} ],
"resources": [ {{ "id": "microgateway:G", "data": {{ "name": "G", "services": [ {{ "name": "L", "ref": "x/activity/log" }} ],
"steps": [ {{ "service": "L", "input": {step} }} ],
"responses": [ {{ "error": false, "output": {{ "data": {data} }} }} ] }} }} ] }}"#
    );
    let reading = read_text(&text);
    let told = support::lines(&reading).replace("fb.yaml:", "");
    let plan = reading.plan.ok_or(told)?;
    match &plan.routes[0].steps[..] {
        [Step::App(step)] => {
            let app = plan.program::<App>().expect("an application");
            Ok(app.handlers[*step].clone())
        }
        steps => panic!("{steps:?}"),
    }
}

fn choice(input: &str) -> Choice {
    let handler = handler(input, "{}", "null").unwrap_or_else(|told| panic!("{told}"));
    handler.choices[0].clone()
}

fn scope() -> Map {
    read_scope(&json!({
        "id": "7",
        "items": [ { "n": 1, "tags": [ { "t": "a" }, { "t": "b" } ] }, { "n": 2, "tags": [] } ],
        "words": [ "x", "y" ],
        "empty": [],
        "no": null,
        "yes": true,
    }))
    .expect("a scope")
}

fn mapped(input: &str) -> Result<String, EvalError> {
    let mapping = choice(input).input.expect("a mapping");
    let object = mapping.eval(&scope())?;
    Ok(Value::from(object).to_json_text().expect("plain values"))
}

#[track_caller]
fn gives(input: &str, expected: &str) {
    assert_eq!(mapped(input).as_deref(), Ok(expected), "{input}");
}

#[track_caller]
fn refuses(input: &str, expected: &str) {
    let told = handler(input, "{}", "null").expect_err("it is refused");
    assert_eq!(told.trim(), expected, "{input}");
}

#[test]
fn expressions_are_evaluated_at_the_top_and_below_mapping() {
    gives(
        r#"{ "a": "=$.id", "lit": "x", "raw": { "z": "=$.id" }, "list": [ "=$.id" ], "n": 1.5, "gone": null }"#,
        r#"{"a":"7","list":["=$.id"],"lit":"x","n":1.5,"raw":{"z":"=$.id"}}"#,
    );
    gives(
        r#"{ "o": { "mapping": { "z": "=$.id", "y": [ 1, "=1 + 1", { "deep": "=$.yes" } ], "k": null, "e": {} } } }"#,
        r#"{"o":{"e":{},"k":null,"y":[1,2,{"deep":true}],"z":"7"}}"#,
    );
    gives(r#"{ "o": { "mapping": "=$.id" } }"#, r#"{"o":"7"}"#);
}

#[test]
fn a_mapping_of_nulls_alone_is_none() {
    assert!(choice(r#"{ "a": null }"#).input.is_none());
    assert!(choice("{}").input.is_none());
    assert!(choice("null").input.is_none());
}

#[test]
fn loops_within_loops_cost_no_more_than_one_expression_may() {
    let mapping = choice(
        r#"{ "o": { "mapping": { "@foreach($.items)": { "y": { "@foreach($.items)": { "z": { "@foreach($.items)": { "=": "$loop" } } } } } } } }"#,
    );
    let mapping = mapping.input.expect("a mapping");
    let list = |length: usize| read_scope(&json!({ "items": vec![0; length] })).expect("a scope");
    assert!(mapping.eval(&list(10)).is_ok());
    let told = mapping.eval(&list(200)).expect_err("it is refused").message;
    assert!(told.contains("more than 1048576 steps"), "{told}");
}

#[test]
fn the_texts_that_a_loop_makes_are_counted_together() {
    let mapping = choice(
        r#"{ "o": { "mapping": { "@foreach($.items)": { "y": "=string.repeat($.big, 1)" } } } }"#,
    );
    let mapping = mapping.input.expect("a mapping");
    let scope = |length: usize| {
        let big = "x".repeat(1 << 20);
        read_scope(&json!({ "items": vec![0; length], "big": big })).expect("a scope")
    };
    assert!(mapping.eval(&scope(2)).is_ok());
    let told = mapping
        .eval(&scope(100))
        .expect_err("it is refused")
        .message;
    assert!(told.contains("67108864 bytes in all"), "{told}");
}

#[test]
fn a_value_that_holds_one_part_many_times_is_not_written_without_end() {
    let big = Value::from("x".repeat(1 << 20));
    let fits = Value::from(vec![big.clone(); 32]);
    assert!(fits.to_json_text().is_ok());
    let fault = Value::from(vec![big; 100])
        .to_json_text()
        .expect_err("it is too long");
    assert!(fault.message.contains("longer than"), "{fault}");
}

#[test]
fn a_loop_makes_a_list_of_another() {
    gives(
        r#"{ "o": { "mapping": { "@foreach($.items)": { "n": "=$loop.n", "id": "=$.id" } } } }"#,
        r#"{"o":[{"id":"7","n":1},{"id":"7","n":2}]}"#,
    );
    gives(
        r#"{ "o": { "mapping": { "all": { "@foreach($.items, it, $loop.n > 1)": { "=": "$loop" } } } } }"#,
        r#"{"o":{"all":[{"n":2,"tags":[]}]}}"#,
    );
    gives(
        r#"{ "o": { "mapping": { "@foreach($.items, it)": { "tags": { "@foreach($loop.tags)": { "t": "=$loop.t", "of": "=$loop[it].n" } } } } } }"#,
        r#"{"o":[{"tags":[{"of":1,"t":"a"},{"of":1,"t":"b"}]},{"tags":[]}]}"#,
    );
    gives(
        r#"{ "o": { "mapping": { "@foreach($.items)": { "=": "$loop", "n": "=$loop.n * 10" } } } }"#,
        r#"{"o":[{"n":10,"tags":[{"t":"a"},{"t":"b"}]},{"n":20,"tags":[]}]}"#,
    );
    gives(
        r#"{ "o": { "mapping": { "@foreach($.items, it, )": { "=": "=$loop.n" } } } }"#,
        r#"{"o":[1,2]}"#,
    );
    gives(
        r#"{ "o": { "mapping": { "@foreach($.empty)": { "n": "=$loop.n" } } } }"#,
        r#"{"o":[]}"#,
    );
}

#[test]
fn a_loop_over_a_value_that_is_not_a_list_is_an_error() {
    let failed = mapped(r#"{ "o": { "mapping": { "@foreach($.nope)": { "n": 1 } } } }"#);
    let message = failed.expect_err("there is no such name").message;
    assert!(
        message.starts_with("foreach eval source array error, failed to resolve variable: 'nope'"),
        "{message}"
    );
}

#[test]
fn branches_take_the_first_that_holds() {
    let branches = |condition: &str| {
        format!(
            r#"{{ "o": {{ "@if({condition})": {{ "a": "=$.id" }}, "@elseif($.yes)": {{ "b": 1 }}, "@else": {{ "c": 1 }} }} }}"#
        )
    };
    gives(&branches("$.id == '7'"), r#"{"o":{"a":"7"}}"#);
    gives(&branches("$.id == '8'"), r#"{"o":{"b":1}}"#);
    gives(
        &branches("$.id == '8'").replace("$.yes", "!$.yes"),
        r#"{"o":{"c":1}}"#,
    );
    gives(
        r#"{ "o": { "mapping": { "p": { "@if($.no)": { "a": 1 } } } } }"#,
        r#"{"o":{"p":null}}"#,
    );
}

#[test]
fn a_mapping_with_ignored_parts_is_refused() {
    refuses(
        r#"{ "o": { "mapping": { "@foreach($.items)": { "a": 1 }, "b": 2 } } }"#,
        "3:65: error: `b` beside a loop would be ignored; move it into the loop, or beside the object that holds it",
    );
    refuses(
        r#"{ "o": { "@if($.yes)": { "a": 1 }, "b": 2 } }"#,
        "3:45: error: `b` beside branches would be ignored; move it into the branches",
    );
    refuses(
        r#"{ "o": { "@else": { "a": 1 } } }"#,
        "3:17: error: these branches have no `@if`; add `@if(…)`",
    );
    refuses(
        r#"{ "o": { "mapping": { "@foreach()": { "a": 1 } } } }"#,
        "3:32: error: a loop has no list; write it as `@foreach($.payload.items, item)`",
    );
}

#[test]
fn a_fault_in_a_keys_expression_is_an_error_at_its_place() {
    let told = handler(
        r#"{ "o": { "mapping": { "@foreach($.items, it, $.x ==)": { "a": 1 } } } }"#,
        "{}",
        "null",
    )
    .expect_err("it is refused");
    assert!(told.starts_with("3:"), "{told}");
    assert!(
        told.contains("unable to compile expression '$.x =='"),
        "{told}"
    );
}

fn step(input: &str, into: serde_json::Value) -> Result<String, String> {
    let handler = handler("{}", input, "null")?;
    let mut object = read_scope(&into).expect("an object");
    let inputs = &handler.choices[0].action.steps[0].input;
    assign_all(inputs, &scope(), &mut object).map_err(|error| error.message)?;
    Ok(Value::from(object).to_json_text().expect("plain values"))
}

#[test]
fn inputs_go_where_their_names_say() {
    let settings = json!({ "headers": { "A": "1" }, "key": "k" });
    assert_eq!(
        step(
            r#"{ "headers.B": "=$.id", "a.b.c": 1, "key": "n" }"#,
            settings
        ),
        Ok(r#"{"a":{"b":{"c":1}},"headers":{"A":"1","B":"7"},"key":"n"}"#.into())
    );
    assert_eq!(
        step(
            r#"{ "h.B": "x" }"#,
            json!({ "h": { "$params": { "A": "1" } } })
        ),
        Ok(r#"{"h":{"A":"1","B":"x"}}"#.into())
    );
    assert_eq!(
        step(r#"{ "a": "=$.id", "a.b": 1 }"#, json!({})),
        Err("'a.b' cannot be set: 'a' is of the kind string, not an object".into())
    );
    // Evaluation comes before the first value is stored.
    assert_eq!(
        step(r#"{ "a": 1, "b": "=$.nope" }"#, json!({})),
        Err("failed to resolve variable: 'nope' in scope".into())
    );
}

#[test]
fn shared_objects_are_not_changed_by_assignments() {
    let shared = read_scope(&json!({ "headers": { "A": "1" } })).expect("an object");
    let mut mine = shared.clone();
    let path = ["headers".into(), "B".into()];
    assign(&mut mine, &path, Value::from("2")).expect("headers is an object");
    let text = |map: &Map| {
        Value::from(map.clone())
            .to_json_text()
            .expect("plain values")
    };
    assert_eq!(text(&shared), r#"{"headers":{"A":"1"}}"#);
    assert_eq!(text(&mine), r#"{"headers":{"A":"1","B":"2"}}"#);
}

fn data(data: &str) -> Result<String, String> {
    let handler = handler("{}", "{}", data)?;
    let data = handler.choices[0].action.responses[0].data.clone();
    let value = data.expect("data").eval(&scope());
    let value = value.map_err(|error| error.message)?;
    Ok(value.to_json_text().expect("plain values"))
}

#[test]
fn data_is_evaluated_at_its_top_alone() {
    for (given, expected) in [
        (
            r#"{ "a": "=$.id", "b.c": "=1 + 1", "d": { "e": "=$.id" } }"#,
            r#"{"a":"7","b":{"c":2},"d":{"e":"=$.id"}}"#,
        ),
        (r#""=$.words""#, r#"["x","y"]"#),
        (r#"[ "=$.id" ]"#, r#"["=$.id"]"#),
        (r#""plain""#, r#""plain""#),
        ("null", "null"),
        ("5", "5"),
    ] {
        assert_eq!(data(given).as_deref(), Ok(expected), "{given}");
    }
    assert_eq!(
        data(r#"{ "a": "=$.nope" }"#),
        Err("failed to resolve variable: 'nope' in scope".into())
    );
}

proptest! {
    #[test]
    fn assigned_values_are_found_again(
        path in prop::collection::vec("[a-c]", 1..4),
        other in prop::collection::vec("[a-c]", 1..4),
        number in any::<i32>(),
    ) {
        let path: Vec<Arc<str>> = path.iter().map(|part| part.as_str().into()).collect();
        let other: Vec<Arc<str>> = other.iter().map(|part| part.as_str().into()).collect();
        let mut object = Map::new();
        let through = assign(&mut object, &other, Value::from("leaf"));
        prop_assert!(through.is_ok());
        let set = assign(&mut object, &path, Value::from(i64::from(number)));
        let blocked = path.len() > other.len() && path.starts_with(&other);
        prop_assert_eq!(set.is_err(), blocked);
        if set.is_ok() {
            let mut found = Value::from(object);
            for part in &path {
                found = match &found {
                    Value::Object(inner) => inner[part].clone(),
                    other => panic!("{other:?}"),
                };
            }
            prop_assert_eq!(found, Value::from(i64::from(number)));
        }
    }
}
