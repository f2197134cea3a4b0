//! Flogo's expressions: what a text is, and what it gives.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use fusebox_plan::flogo::{Expression, Map, Names, Value, read_scope};
use serde_json::json;

fn scope() -> Map {
    read_scope(&json!({
        "payload": { "pathParams": { "$params": { "id": "9" } }, "content": { "a": 1, "b": [10, 20] } },
        "Rest": {
            "outputs": { "status": { "$int": 200 }, "data": { "n": { "$number": "1.5" } } },
            "error": null
        },
        "Net": { "error": { "$neterror": "http://h/" } }
    }))
    .unwrap()
}

fn eval(text: &str) -> Result<Value, String> {
    let expression = Expression::compile(text, &Names::default())
        .map_err(|error| format!("compile: {error}"))?;
    expression.eval(&scope()).map_err(|error| error.to_string())
}

#[track_caller]
fn gives(text: &str, value: impl Into<Value>) {
    assert_eq!(eval(text), Ok(value.into()), "{text}");
}

#[track_caller]
fn fails(text: &str, message: &str) {
    let error = eval(text).unwrap_err();
    assert!(error.contains(message), "{text}: {error}");
}

#[test]
fn a_text_is_a_reference_a_template_a_literal_or_a_script() {
    gives("$.payload.content.a", 1.0);
    gives("id {{$.payload.pathParams.id}}!", "id 9!");
    gives("007", 7_i64);
    gives("$.Rest.outputs.status + 1", 201_i64);
    fails("a == b", "compile: unable to compile expression 'a == b'");
}

#[test]
fn a_network_fault_is_told_from_other_values() {
    gives("error.isneterror($.Net.error)", true);
    gives("error.isneterror($.Rest.error)", false);
    gives("error.type($.Net.error)", "*url.Error");
}
