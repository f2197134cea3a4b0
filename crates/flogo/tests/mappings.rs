//! The evaluation of mappings, data and names with dots.

mod support;

use std::sync::Arc;

use fusebox_flogo::{App, Choice, EvalError, Handler, Map, Value, assign, assign_all, read_scope};
use fusebox_plan::plan::Step;
use proptest::prelude::*;
use serde_json::json;
use support::read_text;

/// An application with a handler whose action has this `input`, and whose only step has these inputs.
fn text(input: &str, step: &str, data: &str) -> String {
    format!(
        r#"{{ "name": "A", "version": "1", "triggers": [ {{ "id": "r", "ref": "x/trigger/rest", "settings": {{ "port": 1 }}, "handlers": [
{{ "settings": {{ "method": "GET", "path": "/" }}, "action": {{ "ref": "x/microgateway", "settings": {{ "uri": "microgateway:G" }},
"input": {input} }} }} ] }} ],
"resources": [ {{ "id": "microgateway:G", "data": {{ "name": "G", "services": [ {{ "name": "L", "ref": "x/activity/log" }} ],
"steps": [ {{ "service": "L", "input": {step} }} ],
"responses": [ {{ "error": false, "output": {{ "data": {data} }} }} ] }} }} ] }}"#
    )
}

fn handler(input: &str, step: &str, data: &str) -> Result<Arc<Handler>, String> {
    let reading = read_text(&text(input, step, data));
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
        r#"{"o":[{"tags":[{"of":1,"t":"a"},{"of":1,"t":"b"}]},{"tags":null}]}"#,
    );
    gives(
        r#"{ "o": { "mapping": { "@foreach($.items)": { "=": "$loop", "n": "=$loop.n * 10" } } } }"#,
        r#"{"o":[{"n":10,"tags":[{"t":"a"},{"t":"b"}]},{"n":20,"tags":[]}]}"#,
    );
    gives(
        r#"{ "o": { "mapping": { "@foreach($.items, it, )": { "=": "=$loop.n" } } } }"#,
        r#"{"o":[1,2]}"#,
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

/// The value of a mapping, over a payload as clients send it.
fn value(mapping: &str) -> Result<String, String> {
    let told = |input: &str| handler(input, "{}", "null").map(|handler| handler.choices[0].clone());
    let choice = told(&format!(r#"{{ "r": {{ "mapping": {mapping} }} }}"#))?;
    let scope = read_scope(&json!({
        "queryParams": { "$params": { "q": "1" } },
        "content": {
            "cups": [ { "t": "mug", "ml": 300 }, { "t": "bowl", "ml": 450, "index": 7 } ],
            "tags": [ "x", "y" ],
            "mixed": [ 1, true, null, [ 2 ], "", "{\"a\": 1}" ],
            "empty": [],
            "none": null,
            "age": 12,
            "csv": "p;q",
        },
    }));
    let mapped = choice
        .input
        .expect("a mapping")
        .eval(&scope.expect("a scope"));
    let mapped = mapped.map_err(|error| error.message)?;
    Ok(mapped["r"].to_json_text().expect("plain values"))
}

#[track_caller]
fn gives_value(mapping: &str, expected: &str) {
    assert_eq!(value(mapping).as_deref(), Ok(expected), "{mapping}");
}

#[test]
fn a_condition_decides_on_a_value() {
    for (mapping, expected) in [
        (
            r#"{ "t": { "@conditional": [ { "$.queryParams.q == \"1\"": "gold" }, { "@otherwise": "none" } ] } }"#,
            r#"{"t":"gold"}"#,
        ),
        (
            r#"{ "@conditional": [ { "$.queryParams.q == \"2\"": "gold" }, { "@otherwise": { "z": "=$.content.age" } } ] }"#,
            r#"{"z":12}"#,
        ),
        (
            r#"{ "@conditional($.content.age)": [ { "< 1": "infant" }, { "<= 19": "young" }, { "@otherwise": "adult" } ] }"#,
            r#""young""#,
        ),
        // The place of `@otherwise` does not matter, and a pair need not be in a list.
        (
            r#"{ "@conditional": [ { "@otherwise": "b" }, {}, null, { "true": "a" } ] }"#,
            r#""a""#,
        ),
        (r#"{ "@conditional": { "1 == 1": "a" } }"#, r#""a""#),
        // What is no truth value does not hold, and nothing is null.
        (
            r#"{ "@conditional": [ { "$.content.csv": "a" }, { "$.content.cups": "b" }, { "$.content.none": "c" } ] }"#,
            "null",
        ),
        (
            r#"{ "@conditional": [ { "$.content.age": "a" } ] }"#,
            r#""a""#,
        ),
        (
            r#"{ "@foreach($.content.cups, c)": { "size": { "@conditional($loop.ml)": [ { "> 400": "large" }, { "@otherwise": "=$loop[c].t" } ] } } }"#,
            r#"[{"size":"mug"},{"size":"large"}]"#,
        ),
        (
            r#"{ "@conditional": [ { "$.content.age > 1": { "@foreach($.content.tags)": { "v": "=$loop.data" } } } ] }"#,
            r#"[{"v":"x"},{"v":"y"}]"#,
        ),
    ] {
        gives_value(mapping, expected);
    }
    let told = value(r#"{ "@conditional": [ { "$.content.nope.x == 1": "a" } ] }"#);
    assert_eq!(told, Err("Invalid path '.nope.x'. path not found.".into()));
    // It needs no `mapping` around it.
    gives(
        r#"{ "o": { "@conditional": [ { "$.id == '7'": { "a": "=$.id" } } ] } }"#,
        r#"{"o":{"a":"7"}}"#,
    );
}

#[test]
fn an_output_has_conditions_too() {
    let text = r#"{ "o": { "@conditional($.code)": [ { "== 200": "=$.data" }, { "@otherwise": null } ] } }"#;
    let choice = choice(&format!("{{}}, \"output\": {text}"));
    let output = choice.output.expect("a mapping");
    let of = |code: i64| {
        let scope = Map::from([("code".into(), code.into()), ("data".into(), "x".into())]);
        let mapped = Value::from(output.eval(&scope).expect("it is evaluated"));
        mapped.to_json_text().expect("plain values")
    };
    assert_eq!([of(200), of(404)], [r#"{"o":"x"}"#, r#"{"o":null}"#]);
}

#[test]
fn a_loop_has_its_index_and_its_item_as_data() {
    for (mapping, expected) in [
        (
            r#"{ "@foreach($.content.cups, c)": { "t": "=$loop.t", "i": "=$loop[c].index", "j": "=$loop.index + 1" } }"#,
            r#"[{"i":0,"j":1,"t":"mug"},{"i":1,"j":2,"t":"bowl"}]"#,
        ),
        (
            r#"{ "@foreach($.content.tags, x)": { "v": "=$loop.data", "l": "=$loop", "x": "=$loop[x].data" } }"#,
            r#"[{"l":{"data":"x","index":0},"v":"x","x":"x"},{"l":{"data":"y","index":1},"v":"y","x":"y"}]"#,
        ),
        (
            r#"{ "@foreach($.content.mixed)": { "=": "=$loop" } }"#,
            r#"[{"data":1,"index":0},{"data":true,"index":1},{"index":2},{"data":[2],"index":3},{"index":4},{"a":1,"index":5}]"#,
        ),
        (
            r#"{ "@foreach($.content.mixed, m, isdefined($loop.data))": { "=": "$loop" } }"#,
            r#"[1,true,[2]]"#,
        ),
        (
            r#"{ "@foreach(string.split($.content.csv, \";\"), w)": { "v": "=$loop.data" } }"#,
            r#"[{"v":"p"},{"v":"q"}]"#,
        ),
        (
            r#"{ "@foreach(string.split(\"a,b\", \",\"), w, string.contains($loop.data, \"b\"))": { "=": "=$loop.data" } }"#,
            r#"["b"]"#,
        ),
        (
            r#"{ "@foreach($.content.cups, c)": { "tags": { "@foreach($.content.tags, t)": { "of": "=$loop[c].index", "at": "=$loop[t].index" } } } }"#,
            r#"[{"tags":[{"at":0,"of":0},{"at":1,"of":0}]},{"tags":[{"at":0,"of":1},{"at":1,"of":1}]}]"#,
        ),
        // One value is a list of one.
        (
            r#"{ "@foreach($.content.age)": { "v": "=$loop.data" } }"#,
            r#"[{"v":12}]"#,
        ),
    ] {
        gives_value(mapping, expected);
    }
}

#[test]
fn a_loop_that_makes_nothing_is_null() {
    for mapping in [
        r#"{ "@foreach($.content.empty, c)": { "t": "=$loop.t" } }"#,
        r#"{ "@foreach($.content.none)": { "t": "=$loop.t" } }"#,
        r#"{ "@foreach($.content.nope)": { "=": "$loop" } }"#,
        r#"{ "@foreach($.content.cups)": {} }"#,
        r#"{ "@foreach($.content.cups, c, $loop.ml > 900)": { "t": "=$loop.t" } }"#,
        r#"{ "@foreach($.content.cups, c, false)": { "=": "$loop" } }"#,
    ] {
        gives_value(mapping, "null");
    }
}

#[test]
fn a_value_of_a_list_that_leads_nowhere_is_an_error() {
    let told = value(r#"{ "l": [ "=$.content.nope.x", 1 ] }"#);
    assert_eq!(told, Err("Invalid path '.nope.x'. path not found.".into()));
    let told = value(r#"{ "@foreach($.content.tags)": { "=": "$loop", "a": 1 } }"#);
    let expected = "cannot assign map[string]interface to [string]";
    assert_eq!(told, Err(expected.into()));
}

/// What is said of an input, which is taken all the same, without the part of each line after its place.
#[track_caller]
fn warns(input: &str, gives_this: &str, expected: &str) {
    gives(input, gives_this);
    assert_eq!(notes(input).trim(), expected, "{input}");
}

fn notes(input: &str) -> String {
    let reading = read_text(&text(input, "{}", "null"));
    support::lines(&reading).replace("fb.yaml:", "")
}

#[test]
fn a_directive_of_no_release_is_data_and_said_to_be() {
    let no = "is data here as in every released Flogo core; write `\"@conditional\": [{ \"CONDITION\": VALUE }, { \"@otherwise\": VALUE }]`";
    warns(
        r#"{ "o": { "mapping": { "x": { "@if($.yes)": "one", "@else": "=$.id" } } } }"#,
        r#"{"o":{"x":{"@else":"7","@if($.yes)":"one"}}}"#,
        &format!("3:39: warning: `@if($.yes)` {no}"),
    );
    warns(
        r#"{ "o": { "@if($.yes)": "one" } }"#,
        r#"{"o":{"@if($.yes)":"one"}}"#,
        &format!("3:19: warning: `@if($.yes)` {no}"),
    );
    warns(
        r#"{ "o": { "@foreach($.items)": { "a": 1 } } }"#,
        r#"{"o":{"@foreach($.items)":{"a":1}}}"#,
        "3:19: warning: `@foreach($.items)` is data here: only an object in `mapping` is evaluated below its top; put the object into `\"mapping\"`",
    );
}

#[test]
fn what_stands_beside_a_directive_is_ignored_and_said_to_be() {
    warns(
        r#"{ "o": { "mapping": { "@foreach($.words)": { "=": "$loop" }, "b": 2 } } }"#,
        r#"{"o":["x","y"]}"#,
        "3:71: warning: `b` beside `@foreach` is ignored; remove it, or make the `@foreach` the value of a key of its own",
    );
    warns(
        r#"{ "o": { "@conditional": [ { "$.yes": 1 } ], "mapping": 2 } }"#,
        r#"{"o":1}"#,
        "3:55: warning: `mapping` beside `@conditional` is ignored; remove it, or make the `@conditional` the value of a key of its own",
    );
}

#[test]
fn a_faulty_directive_is_refused() {
    for (input, expected) in [
        (
            r#"{ "o": { "mapping": { "@foreach()": { "a": 1 } } } }"#,
            "3:32: error: a loop has no list; write it as `@foreach($.payload.items, item)`",
        ),
        (
            r#"{ "o": { "@conditional": [ { "@otherwise": 1 } ] } }"#,
            "3:17: error: `@conditional` has no condition; write `{ \"CONDITION\": VALUE }` in its list",
        ),
        (
            r#"{ "o": { "@conditional": [ { "$.yes": 1, "$.no": 2 } ] } }"#,
            "3:51: error: conditional mapper element must be single key-value pair; write each condition in braces of its own",
        ),
        (
            r#"{ "o": { "@conditional": [ "$.yes" ] } }"#,
            "3:37: error: conditional mapper element must be key-value pair, found `$.yes`; write `{ \"CONDITION\": VALUE }`",
        ),
        (
            r#"{ "o": { "@conditional": [ { "": 1 } ] } }"#,
            "3:39: error: no condition expression set for this value; write a condition, or `@otherwise`",
        ),
        (
            r#"{ "o": { "@conditional": 1 } }"#,
            "3:35: error: `@conditional` must be a list of conditions, found `1`; write `[{ \"CONDITION\": VALUE }, { \"@otherwise\": VALUE }]`",
        ),
    ] {
        refuses(input, expected);
    }
    let told = handler(
        r#"{ "o": { "@conditional($.id)": [ { "== ==": 1 } ] } }"#,
        "{}",
        "null",
    );
    let told = told.expect_err("it is refused");
    assert!(told.starts_with("3:4"), "{told}");
    assert!(
        told.contains("unable to compile expression '$.id == =='"),
        "{told}"
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
