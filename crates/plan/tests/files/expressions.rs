//! The values of expressions, and the limits of their cost.

use fusebox_plan::eval_native;
use serde_json::{Value, json};

fn scope() -> Value {
    json!({
        "status": 503,
        "headers": { "x-cache": "miss", "retry-after": "120" },
        "error": "",
        "body": "{\"error\":{\"code\":17}}",
        "items": [1, 2, 3],
    })
}

fn gives(expression: &str, expected: Value) {
    assert_eq!(
        eval_native(expression, &scope()),
        Ok(expected),
        "{expression}"
    );
}

fn fails(expression: &str, expected: &str) {
    match eval_native(expression, &scope()) {
        Ok(value) => panic!("{expression} gave {value}"),
        Err(error) => assert!(
            error.to_string().contains(expected),
            "{expression}: {error}"
        ),
    }
}

#[test]
fn operators_work_as_in_cel() {
    gives("status >= 500 || error != \"\"", json!(true));
    gives("1 + 2 * 3 - 4 / 2 % 3", json!(5));
    gives("-7 / 2", json!(-3));
    gives("-7 % 3", json!(-1));
    gives("1.5 + 1.5 == 3", json!(true));
    gives("1 == 1.0 && 1u == 1 && 2u > 1.5", json!(true));
    gives("9223372036854775807 == 9223372036854775808.0", json!(false));
    gives("'a' + 'b' == 'ab' && 'a' < 'b'", json!(true));
    gives("[1, 2] + [3] == items", json!(true));
    gives(
        "2 in items && 'x-cache' in headers && !('x' in headers)",
        json!(true),
    );
    gives("status == 503 ? 'down' : 'up'", json!("down"));
    gives("{'a': 1, 'b': [true]}.b[0]", json!(true));
    gives("b'abc' == bytes('abc') && size(b'abc') == 3", json!(true));
    gives("dyn(1) == dyn('1')", json!(false));
    gives("null == null", json!(true));
    gives("0.0 / 0.0 == 0.0 / 0.0", json!(false));
    gives("type(1) == int && type('a') == string", json!(true));
    gives("r'\\d' + \"\\x41\" // a comment", json!("\\dA"));
}

#[test]
fn functions_work_as_in_cel() {
    gives(
        "size('größe') == 5 && 'abc'.size() == 3 && items.size() == 3",
        json!(true),
    );
    gives(
        "body.contains('error') && 'abc'.startsWith('ab') && 'abc'.endsWith('bc')",
        json!(true),
    );
    gives(
        "'v1.22'.matches('^v[0-9]+') && !matches('x', '^y')",
        json!(true),
    );
    gives("int('42') + int(3.9) + int(2u)", json!(47));
    gives("double('1.5') + double(1)", json!(2.5));
    gives("string(1) + string(true) + string(1.5)", json!("1true1.5"));
    gives("bool('true')", json!(true));
    gives("uint(3)", json!(3));
    gives("duration('1h30m') > duration('90s')", json!(true));
    gives(
        "(duration('1s') + duration('500ms')).getMilliseconds()",
        json!(1500),
    );
    gives("duration('1.5s')", json!("1.5s"));
    gives("has(headers.retry) || !has(headers.age)", json!(true));
}

#[test]
fn loops_work_as_in_cel() {
    gives(
        "items.all(x, x > 0) && items.exists(x, x == 2) && items.exists_one(x, x > 2)",
        json!(true),
    );
    gives("items.map(x, x * x)", json!([1, 4, 9]));
    gives("items.map(x, x > 1, x * 10)", json!([20, 30]));
    gives("items.filter(x, x % 2 == 1)", json!([1, 3]));
    gives(
        "headers.exists(name, name.startsWith('retry'))",
        json!(true),
    );
    gives("items.map(x, items.map(y, x * y))[2][2]", json!(9));
    gives(
        "items.map(x, items.filter(x, x > 2))",
        json!([[3], [3], [3]]),
    );
    // An error in one turn does not hide the decision of another.
    gives("['a', 'b', '3'].exists(x, int(x) == 3)", json!(true));
    gives("['a', 'b', '3'].all(x, int(x) == 4)", json!(false));
    fails("['a', '4'].all(x, int(x) == 4)", "cannot convert");
}

#[test]
fn the_other_side_of_and_and_or_may_absorb_an_error() {
    gives("headers.nope == 'x' || status == 503", json!(true));
    gives("headers.nope == 'x' && status == 200", json!(false));
    fails("headers.nope == 'x' || status == 200", "no such key `nope`");
    fails("headers.nope == 'x'", "(at character 8)");
}

#[test]
fn a_failed_evaluation_is_an_error_with_its_character() {
    fails("1 / 0", "division by zero (at character 3)");
    fails("1 % 0", "division by zero");
    fails("9223372036854775807 + 1", "out of range");
    fails("-(-9223372036854775807 - 1)", "out of range");
    fails("18446744073709551615u + 1u", "out of range");
    fails("0u - 1u", "out of range");
    fails("items[3]", "outside the list of 3");
    fails("items[-1]", "outside the list");
    fails("headers['nope']", "no such key `nope`");
    fails("nope == 1", "unknown variable `nope`");
    fails("statsu == 1", "did you mean `status`?");
    fails("body.contain('x')", "did you mean `contains`?");
    fails("timestamp('2020-01-01T00:00:00Z')", "unknown function");
    fails("items.all(x)", "not used this way");
    fails("size(1)", "`size` does not take (int)");
    fails("'x'.matches(body)", "must be written out");
    fails("'x'.matches('(')", "not a regular expression");
    fails("'é' + * 2", "(at character 7)");
    fails("'é' + nope", "(at character 7)");
    fails("'é€𝄞' + nope", "(at character 9)");
    fails("'é' + headers.nope", "(at character 14)");
    fails("status ==", "(at character");
    fails("true && 1", "`&&` expects a bool");
    fails("1 == '1'", "an int is compared with a string");
    fails("{1: 2, 1: 3}", "given twice");
    fails("", "empty");
    fails("status.code == 1", "has no keys");
    fails("Foo{a: 1}", "");
    fails("headers.?a", "");
}

#[test]
fn a_long_chain_is_refused_and_neither_overflows_nor_aborts() {
    fails(&vec!["1"; 1500].join("+"), "follow one another");
    fails(&vec!["1"; 1500].join(" == "), "bytes");
    fails(&format!("{}true", "!".repeat(100_000)), "bytes");
    fails(&format!("{}true", "!".repeat(1000)), "unary");
    fails(&format!("{}1", "-".repeat(1000)), "unary");
    fails(&format!("{}1", "- ".repeat(1000)), "unary");
    fails(
        &format!("{}1{}", "(".repeat(1000), ")".repeat(1000)),
        "nested",
    );
    fails(
        &format!("{}1{}", "[".repeat(1000), "]".repeat(1000)),
        "nested",
    );
    fails(
        &format!("{}1{}", "!!(".repeat(60), ")".repeat(60)),
        "nested",
    );
    fails(
        &format!("headers{}", ".a".repeat(1500)),
        "follow one another",
    );
    fails(
        &format!("items{}", "[0]".repeat(1000)),
        "follow one another",
    );
    fails(&format!("{}1", "true?1:".repeat(500)), "conditions");
    fails(&"(".repeat(4096), "nested");
    fails(&"'".repeat(4095), "not closed");
    fails(&format!("[{}]", vec!["1"; 1900].join(",")), "parts");
}

#[test]
fn an_expression_at_the_limits_compiles_and_runs_on_a_small_stack() {
    let deepest = [
        vec!["1"; 90].join("+"),
        format!("{}1{}", "(".repeat(31), ")".repeat(31)),
        format!("{}true{}", "!(".repeat(31), ")".repeat(31)),
        format!("{}1{}", "[".repeat(31), "]".repeat(31)),
        format!("{}1", "true?1:".repeat(30)),
        format!("{}1", "false?1:".repeat(32)),
        vec!["status == 500"; 200].join("||"),
        vec!["status == 503"; 200].join("&&"),
        format!("{}1{}", "1+(".repeat(31), ")".repeat(31)),
        format!(
            "{}+({}+({}))",
            vec!["1"; 40].join("+"),
            vec!["1"; 40].join("+"),
            vec!["1"; 40].join("+")
        ),
        format!("{}[1][0]{}", "[".repeat(30), "][0]".repeat(30)),
    ];
    for expression in deepest {
        let small = std::thread::Builder::new().stack_size(1 << 20);
        let thread = small.spawn(move || {
            let outcome = eval_native(&expression, &scope());
            assert!(outcome.is_ok(), "{expression}: {outcome:?}");
        });
        thread.unwrap().join().unwrap();
    }
}

#[test]
fn an_evaluation_ends_within_its_steps() {
    let hundred = format!(
        "[{}]",
        (0..100)
            .map(|n| n.to_string())
            .collect::<Vec<_>>()
            .join(",")
    );
    fails(
        &format!("{hundred}.all(a, {hundred}.all(b, {hundred}.all(c, true)))"),
        "loops are nested",
    );
    fails(
        &format!("{hundred}.all(a, {hundred}.all(b, a + b >= 0))"),
        "steps",
    );
    // An exceeded step limit is not absorbed by the other side.
    fails(
        &format!("{hundred}.all(a, {hundred}.all(b, a + b >= 0)) || true"),
        "steps",
    );
    let long = json!({ "list": vec![1; 20_000] });
    assert!(
        eval_native("list.all(x, x == 1)", &long)
            .unwrap_err()
            .what
            .contains("steps")
    );
    assert!(
        eval_native("list == list", &long)
            .unwrap_err()
            .what
            .contains("steps")
    );
    assert!(
        eval_native("2 in list", &long)
            .unwrap_err()
            .what
            .contains("steps")
    );
    assert!(eval_native("size(list)", &long).is_ok());
}

#[test]
fn a_text_cannot_grow_past_its_bound() {
    let scope = json!({ "body": "x".repeat(40_000) });
    let error = eval_native("body + body", &scope).unwrap_err();
    assert!(error.what.contains("65536"), "{error}");
    let doubling = "['xxxxxxxxxxxxxxxx'].map(a, [a + a + a + a].map(b, b + b + b + b))";
    assert!(eval_native(doubling, &scope).is_ok());
    let large = json!({ "body": "x".repeat(1 << 20) });
    assert!(eval_native("body.contains('y')", &large).is_ok());
    assert!(
        eval_native("body.matches('y')", &large)
            .unwrap_err()
            .what
            .contains("at most 65536")
    );
    let many = vec!["body.contains('y')"; 20].join(" || ");
    assert!(
        eval_native(&many, &large)
            .unwrap_err()
            .what
            .contains("steps")
    );
}

#[test]
fn a_pattern_that_is_a_bomb_is_refused_or_harmless() {
    let scope = json!({ "body": "a".repeat(60_000) });
    assert_eq!(
        eval_native("body.matches('(a+)+$')", &scope),
        Ok(json!(true))
    );
    assert_eq!(
        eval_native("body.matches('^(a|aa)+b$')", &scope),
        Ok(json!(false))
    );
    assert_eq!(
        eval_native("body.matches('[\\\\w]+')", &scope),
        Ok(json!(true))
    );
    for bomb in ["((a{1000}){1000}){1000}", "(\\\\w{500}){500}"] {
        let error = eval_native(&format!("body.matches('{bomb}')"), &scope).unwrap_err();
        assert!(error.what.contains("too large"), "{error}");
    }
    let nested = format!("body.matches('{}a{}')", "(".repeat(60), ")".repeat(60));
    assert!(eval_native(&nested, &scope).is_err());
}

#[test]
fn values_without_a_json_form_are_errors() {
    fails("0.0 / 0.0", "JSON cannot express");
    fails("b'\\xff'", "JSON cannot express");
    assert!(
        eval_native("1", &json!([]))
            .unwrap_err()
            .what
            .contains("object")
    );
}

#[test]
fn a_variable_without_a_scope_asks_for_a_value() {
    let error = eval_native("status >= 500", &json!({})).unwrap_err();
    assert_eq!(
        error.to_string(),
        r#"unknown variable `status`; give it a value in the scope, as in `{"status": 1}` (at character 1)"#
    );
    fails(
        "stats >= 500",
        "unknown variable `stats`; did you mean `status`?",
    );
}
