//! Flogo's expressions: forms of texts, results of operators, paths and functions, and errors.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use fusebox_flogo::{
    Expression, Fault, Functions, Map, Names, NilKind, Params, Random, Scope, Struct, Value,
    read_scope,
};
use proptest::prelude::*;
use serde_json::json;

fn scope() -> Map {
    read_scope(&json!({
        "payload": {
            "pathParams": { "$params": { "id": "9" } },
            "headers": { "$params": { "Content-Type": "a/b" } },
            "content": {
                "a": 1, "b": [10, 20, { "c": "z" }], "s": "text", "t": true, "n": null,
                "o": { "k.d": 5, "it's": 6 }, "neg": -1.5
            }
        },
        "Rest": {
            "outputs": {
                "status": { "$int": 200 },
                "data": {
                    "one": { "$number": "1" }, "half": { "$number": "1.5" },
                    "many": { "$number": "1e3" }, "huge": { "$number": "99999999999999999999" }
                }
            },
            "error": null
        },
        "Raw": "{\"x\":{\"y\":7},\"l\":[1,2],\"s\":\"[3]\"}",
        "Fail": { "error": { "$error": "boom" } },
        "Net": { "error": { "$neterror": "http://h/" } },
        "i": { "$int": 3 },
        "plain": "hello"
    }))
    .unwrap()
}

fn names() -> Names {
    let mut functions = Functions::default();
    for package in ["array", "math", "url", "utils", "http", "datetime"] {
        let path = format!("github.com/project-flogo/contrib/function/{package}");
        assert!(functions.import(&path, None));
    }
    Names {
        env: Params::from([
            ("HOME".into(), "/root".into()),
            ("JSON".into(), "[1]".into()),
        ]),
        functions,
        ..Names::default()
    }
}

fn eval(text: &str) -> Result<Value, String> {
    let expression =
        Expression::compile(text, &names()).map_err(|error| format!("compile: {error}"))?;
    let value = expression
        .eval(&scope())
        .map_err(|error| format!("eval: {error}"))?;
    Ok(value)
}

#[track_caller]
fn gives(text: &str, value: impl Into<Value>) {
    assert_eq!(eval(text), Ok(value.into()), "{text}");
}

#[track_caller]
fn gives_json(text: &str, json: &str) {
    let value = eval(text).map(|value| value.to_json_text().unwrap());
    assert_eq!(value, Ok(json.to_owned()), "{text}");
}

/// Each text fails when it runs, with these words.
#[track_caller]
fn fails(text: &str, message: &str) {
    let error = eval(text).unwrap_err();
    assert!(
        error.starts_with("eval") && error.contains(message),
        "{text}: {error}"
    );
}

/// Each text does not compile, with these words.
#[track_caller]
fn is_refused(text: &str, message: &str) {
    let error = eval(text).unwrap_err();
    assert!(
        error.starts_with("compile") && error.contains(message),
        "{text}: {error}"
    );
}

#[test]
fn a_text_is_a_reference_a_template_a_literal_or_a_script() {
    gives("$.payload.content.a", 1.0);
    gives("id {{$.payload.pathParams.id}}!", "id 9!");
    gives("007", 7_i64);
    gives("$.Rest.outputs.status + 1", 201_i64);
    is_refused("a == b", "unable to compile expression 'a == b'");
    is_refused("", "empty");
    is_refused(" \t", "empty");
}

#[test]
fn a_literal_as_a_whole_has_its_own_rules() {
    gives(" +12 ", 12_i64);
    gives("9223372036854775807", i64::MAX);
    gives("9223372036854775808", 9_223_372_036_854_775_808.0);
    gives("1e3", 1000.0);
    gives("1_000.5", 1000.5);
    gives("0x1p-2", 0.25);
    gives("-infinity", f64::NEG_INFINITY);
    assert!(matches!(eval("NaN"), Ok(Value::Float(float)) if float.is_nan()));
    gives("TRUE", true);
    gives("null", Value::Null);
    gives(r#""a\nb""#, r"a\nb");
    gives("'say \"x\"'", "say \"x\"");
    gives(r#""q\"q""#, "q\"q");
    gives_json(r#"{"b":[1,"$.x"],"a":null}"#, r#"{"a":null,"b":[1,"$.x"]}"#);
    for quote in ["\"", "'", "`"] {
        is_refused(quote, "no closing");
    }
    is_refused("1e999", "value out of range");
    is_refused("1__0 + 1", "");
}

#[test]
fn strings_in_scripts_expand_few_escapes() {
    gives(r"'it\'s' + ''", "it's");
    gives(r#""a\tb\"c\\d" + """#, "a\tb\"c\\\\d");
    gives(r#""it\'s" + """#, r"it\'s");
    gives(r"`raw\n` + ''", r"raw\n");
    gives("'two\nlines' + ''", "two\nlines");
    is_refused("'open + 1", "unclosed text");
}

#[test]
fn templates_join_texts() {
    gives("a {{$.i}}{{$.plain}} b", "a 3hello b");
    gives("{{$.payload.content.n}}", "");
    gives("{{ 1 + 1 }}{{'}'}}", "2}");
    gives("x {{$.i", "x {{$.i");
    gives("{{$.payload.content.b}}", r#"[10,20,{"c":"z"}]"#);
    gives("'{{$.i}}'", "'3'");
    fails(
        "{{$.missing}}",
        "failed to resolve variable: 'missing' in scope",
    );
    is_refused("{{", "nothing follows");
    is_refused("a {{}}", "empty");
    is_refused("a {{1 +}}", "error parsing expression");
}

#[test]
fn operators_bind_as_in_go_and_chain_to_the_right() {
    gives("1 + 2 * 3 - 4 / 2", 5_i64);
    gives("7 - 2 - 1", 4_i64);
    gives("1 == 1.0 && 2 > 1 || $.missing", true);
    gives("!true == false", true);
    gives("- -3", 3_i64);
    gives("!!true", true);
    gives("3- -2", 5_i64);
    gives("3 < 2 == false", true);
    gives("-(1 + 2) * 2", -6_i64);
    is_refused("01 + 1", "");
    is_refused("1 + ", "expected a value");
    is_refused("(1 + 2", "`)`");
    is_refused("1 2", "an operator or the end");
    is_refused("1 & 2", "unexpected character");
}

#[test]
fn a_choice_stands_alone_or_in_another() {
    gives("1 > 2 ? 'a' : 2 > 1 ? 'b' : 'c'", "b");
    gives("true ? false ? 1 : 2 : 3", 2_i64);
    gives("(true ? false : true) ? 1 : 2", 2_i64);
    gives("$.payload.content.b[true ? 1 : 0]", 20.0);
    gives("true ? 1 : $.missing", 1_i64);
    gives("'t' ? 1 : 2", 1_i64);
    fails(
        "'yes' ? 1 : 2",
        "strconv.ParseBool: parsing \"yes\": invalid syntax",
    );
    for text in [
        "(true ? 1 : 2)",
        "(true ? 1 : 2) + 1",
        "1 + (true ? 1 : 2)",
        "-(true ? 1 : 2)",
        "((true ? 1 : 2)) ? 1 : 2",
        "string.len(true ? 'a' : 'b')",
        "$.payload.content.b[(true ? 1 : 0)]",
    ] {
        is_refused(text, "a choice");
    }
    is_refused("true ? 1", "`:`");
}

#[test]
fn arithmetic_follows_the_left_kind() {
    gives("10 / 4", 2_i64);
    gives("-7 / 2", -3_i64);
    gives("-7 % 3", -1_i64);
    gives("10 / 4.0", 2.5);
    gives("7.9 % 3.9", 1_i64);
    gives("9223372036854775807 + 1", i64::MIN);
    gives("1 / 0.0", f64::INFINITY);
    gives("1 + 'a'", "1a");
    gives("true + 'a'", "truea");
    gives("'a' + $.payload.content.o", r#"a{"it's":6,"k.d":5}"#);
    gives("'a' + 1e21", "a1000000000000000000000");
    fails("1 / 0", "divide by zero");
    fails("1 % 0.5", "divide by zero");
    fails("nil + 1", "cannot add <nil> to 1");
    fails("nil + 'a'", "cannot add <nil> to a");
    fails("'a' + nil", "cannot add a to <nil>");
    fails("true + true", "cannot add bool to bool");
    fails("1 - 'a'", "cannot subtract string from int");
    fails("'a' * 2", "cannot multiply string with int");
    fails(
        "$.payload.content.o / 2",
        "cannot divide map[string]interface {} with int",
    );
    fails("!1", "cannot not 'int'");
    fails("!nil", "cannot not a nil");
    fails("-'a'", "cannot not 'string'");
}

#[test]
fn a_number_text_is_a_float_with_a_dot_and_an_int_without() {
    let data = |name: &str| format!("$.Rest.outputs.data.{name}");
    gives(&format!("{} + 1", data("one")), Value::Long(2));
    gives(&format!("1 + {}", data("half")), Value::Long(1));
    gives(&format!("1.0 + {}", data("half")), 2.5);
    gives(&format!("{} * 2", data("half")), 3.0);
    gives(&format!("{} + 'x'", data("one")), Value::Long(1));
    gives(&format!("'x' + {}", data("half")), "x1.5");
    gives(&format!("-{}", data("half")), -1.5);
    gives(&format!("{} % 2", data("half")), Value::Long(0));
    gives(&format!("{} == 1.5", data("one")), true);
    gives(&format!("1.5 == {}", data("one")), false);
    gives(&format!("{} == '1'", data("one")), true);
    gives(&format!("'1' == {}", data("one")), true);
    gives(&format!("{} == 0", data("many")), true);
    gives(&format!("{} == 1000.0", data("many")), false);
    gives(&format!("1000.0 == {}", data("many")), true);
    gives(&format!("{} > 'a'", data("one")), true);
    gives(&format!("{} == 9223372036854775807", data("huge")), true);
    fails(&format!("{} / 'x'", data("one")), "divide by zero");
    fails(&format!("{} && true", data("half")), "invalid syntax");
}

#[test]
fn only_like_things_are_equal() {
    for (text, equal) in [
        ("nil == nil", true),
        ("1 == nil", false),
        ("1 == 1.0", true),
        ("1 == '1'", false),
        ("'1' == 1", false),
        ("true == 1", false),
        ("'a' == 'a'", true),
        ("$.payload.content.b == $.payload.content.b", false),
        ("$.Fail.error == $.Fail.error", false),
        ("$.Fail.error == 'boom'", false),
        ("$.Fail.error == nil", false),
    ] {
        gives(text, equal);
        gives(&text.replace("==", "!="), !equal);
    }
}

#[test]
fn order_is_of_numbers_and_texts() {
    gives("1 < 2.5", true);
    gives("'B' < 'a'", true);
    gives("'10' < '9'", true);
    for (operator, nils, one) in [
        ("<", false, false),
        ("<=", true, false),
        (">", false, false),
        (">=", true, false),
    ] {
        gives(&format!("nil {operator} nil"), nils);
        gives(&format!("nil {operator} 1"), one);
        gives(&format!("1 {operator} nil"), one);
        gives(&format!("true {operator} true"), nils);
        gives(&format!("true {operator} false"), false);
        fails(
            &format!("'a' {operator} 1"),
            "cannot compare string with int",
        );
        fails(
            &format!("1 {operator} true"),
            "cannot compare int with bool",
        );
        fails(
            &format!("$.Fail.error {operator} 1"),
            "cannot compare *errors.errorString with int",
        );
    }
    gives("true > 1", false);
    fails("true < 1", "cannot compare bool with int");
    fails("true >= 'a'", "cannot compare bool with string");
}

#[test]
fn logic_asks_the_right_side_only_if_it_must() {
    gives("false && $.missing", false);
    gives("1 || $.missing", true);
    gives("nil || 'T'", true);
    gives("0.0 || 2", true);
    fails("true && $.missing", "failed to resolve");
    fails("'yes' && false", "ParseBool");
    fails("'' || true", "ParseBool");
    fails("$.payload.content.b || true", "ParseBool");
}

#[test]
fn paths_lead_into_objects_maps_of_texts_arrays_and_texts() {
    gives("$.payload.content.b[2].c", "z");
    gives("$.payload.content['o'][\"k.d\"]", 5.0);
    gives("$.payload.content[`o`]['k.d'] + 0", 5.0);
    gives("$.payload.content.zzz", Value::Null);
    gives("$.payload.pathParams.zzz", "");
    gives("$.payload.pathParams.zzz.deeper.still", "");
    gives("$.payload.headers['Content-Type']", "a/b");
    gives("$.Raw.x.y", 7.0);
    gives("$.Raw.l[1]", 2.0);
    gives("$.Raw.s[0]", 3.0);
    gives("$.payload .content\t.a == 1", true);
    gives("$.payload.content.b[$.i - 2]", 20.0);
    gives("$.payload.content.b[('1'+'')]", 20.0);
    gives("$.Net.error.op", "Get");
    gives("$.Net.error.URL", "http://h/");
    fails(
        "$.missing.x",
        "failed to resolve variable: 'missing' in scope",
    );
    fails(
        "$.payload.content.zzz.y",
        "Invalid path '.zzz.y'. path not found.",
    );
    fails("$.payload.content['zzz']", "path not found");
    fails("$.payload.content.a.x", "unable to evaluate path: x");
    fails("$.payload.content.n.x", "unable to evaluate path: x");
    fails("$.payload.content.b.x", "unable to evaluate path: x");
    fails("$.payload.content.b[3]", "Array index '[3]' out of range.");
    fails("$.payload.content.b[-1]", "out of range");
    fails("$.payload.content.n[0]", "out of range");
    fails("$.payload.content.b[x]", "Invalid array index: x");
    fails("$.payload.content.o[0]", "'[0]' not an array");
    fails("$.payload.content[('s'+'')]", "'[s]' not an array");
    // Of a text that may be one reference an index is text, too.
    fails("$.payload.content.b[", "'[' not an array");
    fails("$.payload.content.b[ 1 ]", "Invalid array index:  1 ");
    fails("$.payload.content.b['1'+'']", "unable to evaluate path: 1");
    fails("$.payload.content[\"it's\"]", "path not found");
    fails(
        "$.plain.x",
        "invalid character 'h' looking for beginning of value",
    );
    fails("$.Net.error.url", "unable to evaluate path: url");
    fails(
        "$.payload.content.b[$.missing]",
        "eval array index expression error: failed to resolve",
    );
    for text in [
        "$.",
        "$",
        "$x",
        "$.a.5",
        "$.payload.headers.Content-Type",
        "string.len('a').x",
    ] {
        is_refused(text, "");
    }
}

#[test]
fn the_environment_is_known_when_compiled_and_other_resolvers_are_not() {
    gives("$env[HOME]", "/root");
    gives("$env['HOME'] + ''", "/root");
    gives("$env[HOME].field", "/root");
    gives("$env[JSON][0]", 1.0);
    is_refused(
        "$env[NOPE]",
        "failed to resolve Environment Variable: 'NOPE'",
    );
    is_refused("$env[HOME]x", "invalid resolve directive");
    is_refused("$env", "needs to start with [item]");
    fails(
        "$env['NOPE'] == 1",
        "failed to resolve Environment Variable",
    );
    is_refused(
        "$payload.pathParams.id",
        "unable to find a 'payload' resolver",
    );
    is_refused("$property[x]", "unable to find a 'property' resolver");
    is_refused(
        "$property[up.url] + 'x'",
        "a name with dots needs quotes: `$property[\"up.url\"]`",
    );
    is_refused(
        "1 == $activity[a].b",
        "unable to find a 'activity' resolver",
    );
    let names = Names {
        properties: Some(Map::from([("a.b".into(), 5.0.into())])),
        ..Names::default()
    };
    let expression = Expression::compile("$property['a.b']", &names).unwrap();
    assert_eq!(expression.constant(), Some(&Value::Float(5.0)));
}

#[test]
fn a_loop_sees_its_element_and_those_of_outer_loops() {
    let names = Names {
        loops: true,
        ..Names::default()
    };
    let scope = read_scope(&json!({ "_loop": { "id": 1, "tags": ["a"] }, "outer": { "id": 2 } }));
    let ask = |text: &str| {
        let expression = Expression::compile(text, &names).map_err(|error| error.message)?;
        expression
            .eval(scope.as_ref().unwrap())
            .map_err(|error| error.message)
    };
    assert_eq!(ask("$loop.id"), Ok(Value::Float(1.0)));
    assert_eq!(ask("$loop.tags[0] + '!'"), Ok(Value::from("a!")));
    assert_eq!(ask("$loop[outer].id"), Ok(Value::Float(2.0)));
    assert_eq!(ask("isdefined($loop[other].id)"), Ok(Value::Bool(false)));
    is_refused("$loop.id", "unable to find a 'loop' resolver");
}

#[test]
fn threads_may_share_an_expression() {
    fn shared<T: Clone + Send + Sync>() {}
    shared::<Expression>();
    shared::<Names>();
    shared::<Value>();
}

#[test]
fn a_missing_value_can_be_detected_and_replaced() {
    gives("isdefined($.payload.content.a)", true);
    gives("isDefined($.payload.content.n)", false);
    gives("isdefined($.missing)", false);
    gives("isdefined($.payload.content.a.x)", false);
    gives("isdefined($env['NOPE'])", false);
    gives("getValue($.payload.content.zzz, 5) + 1", 6_i64);
    gives("GETVALUE($.plain, 5)", "hello");
    gives("getValue($.missing, $.i)", 3_i64);
    fails("isdefined($.payload.content.b[3])", "out of range");
    fails("isdefined($.plain.x)", "invalid character");
    is_refused("isdefined()", "1 arguments");
    is_refused("getValue($.plain)", "2 arguments");
}

#[test]
fn functions_are_found_when_compiled_and_their_arguments_checked_when_run() {
    is_refused("len('abc')", "function [len] is not installed");
    is_refused(
        "string.Len('abc')",
        "function [string.Len] is not installed",
    );
    is_refused("error.nope(1)", "not installed");
    is_refused("datetime.now()", "not supported here");
    is_refused("string.len", "`(`");
    fails("string.len()", "len function should have 1 arguments");
    fails(
        "string.len('a', 'b')",
        "len function should have 1 arguments",
    );
    fails(
        "string.substring('a', 'x', 1)",
        "strconv.Atoi: parsing \"x\": invalid syntax",
    );
    fails("string.concat('a')", "at least two arguments");
    let plain = Names::default();
    assert!(Expression::compile("array.create(1)", &plain).is_err());
    let mut functions = Functions::default();
    assert!(functions.import(
        "github.com/project-flogo/contrib/function/string",
        Some("str")
    ));
    assert!(!functions.import("github.com/project-flogo/contrib/activity/rest", None));
    let renamed = Names {
        functions,
        ..Names::default()
    };
    assert!(Expression::compile("str.len('a')", &renamed).is_ok());
    assert!(Expression::compile("string.len('a')", &renamed).is_err());
}

#[test]
fn functions_of_errors() {
    gives("error.isneterror($.Net.error)", true);
    gives("error.isneterror($.Fail.error)", false);
    gives("error.isneterror('x')", false);
    gives("error.string($.Fail.error)", "boom");
    gives("error.string(nil)", "");
    gives("error.type($.Net.error)", "*url.Error");
    gives("error.type($.Fail.error)", "*errors.errorString");
    gives("error.type($.payload)", "map[string]interface {}");
    gives("error.type(1.5)", "float64");
    fails("error.type(nil)", "no type");
    gives_json(
        "coerce.toString($.Net.error)",
        r#""{\"Op\":\"Get\",\"URL\":\"http://h/\",\"Err\":{}}""#,
    );
}

#[test]
fn a_nil_of_a_type_is_null_in_json_and_no_null_to_operators() {
    for (made, go_type) in [
        ("coerce.toObject(nil)", "map[string]interface {}"),
        ("coerce.toParams(nil)", "map[string]string"),
        ("coerce.toArray(nil)", "[]interface {}"),
        ("coerce.toBytes(nil)", "[]uint8"),
    ] {
        gives_json(made, "null");
        gives(&format!("{made} == nil"), false);
        gives(&format!("nil != {made}"), true);
        gives(&format!("isdefined({made})"), true);
        gives(&format!("builtin.len({made})"), 0_i64);
        gives(&format!("error.type({made})"), go_type);
        fails(
            &format!("{made} > 'x'"),
            &format!("cannot compare {go_type} with string"),
        );
    }
    gives("coerce.toString(coerce.toObject(nil))", "null");
    gives("array.count(coerce.toArray(nil))", 0_i64);
    gives_json("array.append(coerce.toArray(nil), 1)", "[1]");
    gives("coerce.toType(nil, 'array')", Value::Null);
}

#[test]
fn the_members_of_a_nil_object_are_null_at_the_end_of_a_path() {
    let text = |text: &str, scope: &dyn Scope| {
        let expression = Expression::compile(text, &names()).unwrap();
        expression.eval(scope).map_err(|error| error.message)
    };
    let scope = Map::from([
        ("o".into(), Value::Nil(NilKind::Object)),
        ("a".into(), Value::Nil(NilKind::Array)),
        ("p".into(), Value::Nil(NilKind::Params)),
    ]);
    assert_eq!(text("$.o.x", &scope), Ok(Value::Null));
    assert_eq!(text("$.p.x", &scope), Ok("".into()));
    let told = "Invalid path '.x.y'. path not found.";
    assert_eq!(text("$.o.x.y", &scope), Err(told.into()));
    let told = "Array index '[0]' out of range.";
    assert_eq!(text("$.a[0]", &scope), Err(told.into()));
}

#[test]
fn a_struct_keeps_the_order_of_its_fields() {
    let of = Struct {
        go_type: "jwt.ParsedToken",
        fields: vec![("signature", "s".into()), ("claims", Map::new().into())],
    };
    let scope = Map::from([("t".into(), Value::from(of))]);
    let text = |text: &str| {
        let expression = Expression::compile(text, &names()).unwrap();
        let value = expression.eval(&scope).map_err(|error| error.message)?;
        Ok(value.to_json_text().unwrap())
    };
    assert_eq!(text("$.t"), Ok(r#"{"signature":"s","claims":{}}"#.into()));
    assert_eq!(text("$.t.Signature"), Ok(r#""s""#.into()));
    assert_eq!(text("$.t.claims.id"), Ok("null".into()));
    assert_eq!(text("$.t.x"), Err("unable to evaluate path: x".to_owned()));
}

#[test]
fn a_connection_that_is_refused_shows_its_parts() {
    let address = "127.0.0.1:1".parse().unwrap();
    let dial = Fault::dial(address, 111, "connection refused");
    let fault = Fault::network("Get", "http://h/p", dial);
    assert_eq!(
        &*fault.message,
        "Get \"http://h/p\": dial tcp 127.0.0.1:1: connect: connection refused"
    );
    let lookup = Fault::network("Get", "http://h/p", Fault::lookup("h"));
    assert_eq!(
        &*lookup.message,
        "Get \"http://h/p\": dial tcp: lookup h: no such host"
    );
    let scope = Map::from([
        ("e".into(), fault.into()),
        ("l".into(), lookup.into()),
        (
            "f".into(),
            Fault::network("Get", "http://h/p", "EOF").into(),
        ),
    ]);
    for (text, expected) in [
        (
            "$.e",
            r#"{"Op":"Get","URL":"http://h/p","Err":{"Op":"dial","Net":"tcp","Source":null,"Addr":{"IP":"127.0.0.1","Port":1,"Zone":""},"Err":{"Syscall":"connect","Err":111}}}"#,
        ),
        ("$.e.Err.Addr.Port", "1"),
        ("$.e.err.addr", r#"{"IP":"127.0.0.1","Port":1,"Zone":""}"#),
        ("$.e.Err.Err.Syscall", r#""connect""#),
        ("$.e.Err.Err.Err", "111"),
        (
            "error.string($.e.Err)",
            r#""dial tcp 127.0.0.1:1: connect: connection refused""#,
        ),
        ("error.type($.e.Err)", r#""*net.OpError""#),
        ("error.string($.e.Err.Err.Err)", r#""connection refused""#),
        (
            "$.l.Err",
            r#"{"Op":"dial","Net":"tcp","Source":null,"Addr":null,"Err":{"UnwrapErr":null,"Err":"no such host","Name":"h","Server":"","IsTimeout":false,"IsTemporary":false,"IsNotFound":true}}"#,
        ),
        ("$.f", r#"{"Op":"Get","URL":"http://h/p","Err":{}}"#),
    ] {
        let value = Expression::compile(text, &names()).unwrap().eval(&scope);
        assert_eq!(value.unwrap().to_json_text().unwrap(), expected, "{text}");
    }
}

#[test]
fn functions_of_coercion() {
    gives("coerce.toInt(nil)", 0_i64);
    gives("coerce.toInt(-1.9)", -1_i64);
    gives("coerce.toInt('12')", 12_i64);
    gives("coerce.toInt(true)", 1_i64);
    gives("coerce.toInt32(4294967297)", 1_i64);
    gives("coerce.toInt64('5')", Value::Long(5));
    gives("coerce.toFloat64('1e3')", 1000.0);
    gives("coerce.toFloat32('1.5')", 1.5);
    gives("coerce.toBool('f')", false);
    gives("coerce.toString(1.0)", "1");
    gives("coerce.toString($.payload.content.n)", "");
    gives("coerce.toString($.Rest.outputs.data.half)", "1.5");
    gives("coerce.toType('5', 'integer') + 1", 6_i64);
    gives("coerce.toType('5', 'DOUBLE')", 5.0);
    gives_json("coerce.toParams('a=b,c=d')", r#"{"a":"b","c":"d"}"#);
    gives_json(
        "coerce.toParams($.payload.content.o)",
        r#"{"it's":"6","k.d":"5"}"#,
    );
    gives_json("coerce.toObject('{\"a\":1}')", r#"{"a":1}"#);
    gives_json("coerce.toObject('')", "{}");
    gives_json("coerce.toArray('x')", r#"["x"]"#);
    gives_json("coerce.toArray('[1]')", "[1]");
    gives_json("coerce.toArray(5)", "[5]");
    gives_json("coerce.toBytes('hi')", r#""aGk=""#);
    fails(
        "coerce.toInt('5.0')",
        "strconv.Atoi: parsing \"5.0\": invalid syntax",
    );
    fails(
        "coerce.toInt($.payload.content.o)",
        "unable to coerce map[string]interface {}{",
    );
    fails("coerce.toParams('a')", "unable to coerce \"a\" to params");
    fails("coerce.toParams(3)", "invalid params");
    fails(
        "coerce.toObject('[1]')",
        "unable to coerce \"[1]\" to map[string]interface{}",
    );
    fails("coerce.toObject($.payload.content.b)", "unable to coerce");
    fails("coerce.toType(1, 'nope')", "unknown type: nope");
    fails(
        "coerce.toType(1, 'array')",
        "unable to coerce 1 to []interface {}",
    );
    fails("coerce.toString($.Rest.outputs.data.many)", "");
}

#[test]
fn functions_of_texts() {
    gives("string.concat('a', 1, true, nil)", "a1true");
    gives("string.len('h\u{e9}llo')", 6_i64);
    gives("builtin.len('h\u{e9}llo')", 6_i64);
    gives("builtin.len($.payload.content.b)", 3_i64);
    gives("builtin.len(nil)", 0_i64);
    gives("string.substring('hello', 1, 2)", "el");
    gives("string.substring('hello', 1, -1)", "ello");
    gives("string.substring('hello', 5, -1)", "");
    gives("string.contains('abc', '')", true);
    gives("string.containsAny('abc', 'xc')", true);
    gives("string.containsAny('abc', '')", false);
    gives("string.count('cheese', 'e')", 3_i64);
    gives("string.count('five', '')", 5_i64);
    gives("string.index('chicken', 'ken')", 4_i64);
    gives("string.index('chicken', 'x')", -1_i64);
    gives("string.indexAny('golang', 'gn')", 0_i64);
    gives("string.lastIndex('go gopher', 'go')", 3_i64);
    gives("string.equalsIgnoreCase('\u{3a3}a', '\u{3c3}A')", true);
    gives("string.startsWith('abc', 'ab')", true);
    gives("string.endsWith('abc', 'ab')", false);
    gives("string.integer('12')", 12_i64);
    gives("string.float('1.256')", 1.256);
    gives("string.float('1.256', 2)", 1.26);
    gives("string.float('-1.25', 1)", -1.3);
    gives(
        "string.join($.payload.content.b, '-')",
        r#"10-20-{"c":"z"}"#,
    );
    gives_json("string.split('a,b', ',')", r#"["a","b"]"#);
    gives_json("string.split('ab', '')", r#"["a","b"]"#);
    gives_json("string.split('', ',')", r#"[""]"#);
    gives("string.repeat('ab', 3)", "ababab");
    gives(
        "string.replace('oink oink oink', 'k', 'ky', 2)",
        "oinky oinky oink",
    );
    gives("string.replace('ab', '', '-', -1)", "-a-b-");
    gives("string.replaceAll('aaa', 'a', 'b')", "bbb");
    gives("string.substringAfter('a=b=c', '=')", "b=c");
    gives("string.substringBefore('a=b=c', '=')", "a");
    gives("string.substringBefore('abc', 'x')", "abc");
    gives(
        "string.toTitleCase('hello wOrld_x y-z')",
        "Hello WOrld_x Y-Z",
    );
    gives("string.toUpper('stra\u{df}e')", "STRA\u{df}E");
    gives("string.toLower('ABC')", "abc");
    gives("string.trim('  a ')", "a");
    gives("string.trim('xxaxx', 'x')", "a");
    gives("string.trimLeft('xyaxy', 'xy')", "axy");
    gives("string.trimRight('xyaxy', 'xy')", "xya");
    gives("string.trimPrefix('xxa', 'x')", "xa");
    gives("string.trimSuffix('axx', 'x')", "ax");
    fails("string.substring('hello', 1, 9)", "string length exceeded");
    fails("string.substring('hello', 6, -1)", "the range 6 to 5");
    fails("string.substring('hello', -1, 2)", "the range -1");
    fails("string.integer('0x1')", "invalid syntax");
    fails("string.float('x')", "invalid syntax");
    fails("string.float('x', 2)", "Invalid float type");
    fails(
        "string.join(5, ',')",
        "unable to coerce 5 to []interface {}",
    );
    fails("builtin.len(5)", "has no length");
}

#[test]
fn patterns_are_those_of_go() {
    gives(r"string.matchRegEx('^a\d+$', 'a12')", true);
    gives("string.matchRegEx('^\\\\d$', '\u{0663}')", false);
    gives("string.matchRegEx('[[&&a]x', '&x')", true);
    gives("string.matchRegEx('[]a]', ']')", true);
    gives("string.matchRegEx('[[:alpha:]]', '5')", false);
    gives(r"string.matchRegEx('\Qa.b\E', 'axb')", false);
    gives("string.matchRegEx('(', 'x')", false);
    gives(
        "string.replaceRegEx('a(x*)b', '-ab-axxb-', '${1}W')",
        "-W-xxW-",
    );
    fails("string.replaceRegEx('(', 'x', 'y')", "error parsing regexp");
}

#[test]
fn functions_of_json() {
    gives("json.path('$.b[0]', $.payload.content)", 10.0);
    gives("json.path('$.b[-1].c', $.payload.content)", "z");
    gives_json("json.path('$.b[0,1]', $.payload.content)", "[10,20]");
    gives_json("json.path('$.b[0:1]', $.payload.content)", "[10,20]");
    gives_json(
        "json.path('$.b[*]', $.payload.content)",
        r#"[10,20,{"c":"z"}]"#,
    );
    gives_json("json.path('$.b.c', $.payload.content)", r#"["z"]"#);
    gives_json(
        r#"json.path("$.l[?(@.p > 5)].n", coerce.toObject('{"l":[{"p":9,"n":1},{"p":10,"n":2},{"p":1},{}]}'))"#,
        "[1,2]",
    );
    gives_json(
        r#"json.path("$.l[?(@.n == 'a b')].n", coerce.toObject('{"l":[{"n":"a b"},{"n":"c"}]}'))"#,
        r#"["a b"]"#,
    );
    gives_json(
        r#"json.path("$.l[?(@.n)]", coerce.toObject('{"l":[{"n":1},{"m":1}]}'))"#,
        r#"[{"n":1}]"#,
    );
    gives_json(
        r#"json.path("$.l[?(@.n =~ /^a/)].n", coerce.toObject('{"l":[{"n":"ab"},{"n":"c"}]}'))"#,
        r#"["ab"]"#,
    );
    gives("json.path('$', $.plain)", "hello");
    fails(
        "json.path('$.zz', $.payload.content)",
        "key error: zz not found in object",
    );
    fails(
        "json.path('$.n.x', $.payload.content)",
        "get attribute from null object",
    );
    fails(
        "json.path('$.b[5]', $.payload.content)",
        "index out of range: len: 3, idx: 5",
    );
    fails("json.path('$..c', $.payload.content)", "");
    fails("json.path('$.*', $.payload.content)", "");
    fails("json.path('x', $.payload.content)", "should start with '$'");
    fails("json.path('', $.payload.content)", "should start with '$'");
    fails("json.path('$.b[x]', $.payload.content)", "invalid syntax");
    gives("json.exists($.payload.content, 'b[0]')", true);
    gives("json.exists($.payload.content, '$.zz')", false);
    gives("json.get($.payload.content, 'a')", 1.0);
    fails(
        "json.get($.payload.content, 'zz')",
        "Unable to get value for key [zz]",
    );
    gives_json(
        "json.set($.payload.content.o, 'k', 7)",
        r#"{"it's":6,"k":7,"k.d":5}"#,
    );
    gives("json.length($.payload.content.b)", 3_i64);
    gives("json.length('{\"a\":1}')", 1_i64);
    gives_json("json.objKeys($.payload.content.o)", r#"["it's","k.d"]"#);
    gives_json("json.objValues($.payload.content.o)", "[6,5]");
    gives_json(
        "json.numbersToString($.payload.content.b)",
        r#"["10","20",{"c":"z"}]"#,
    );
    fails(
        "json.numbersToString(5)",
        "Unsupported json object type [int]",
    );
}

#[test]
fn random_numbers_come_from_the_source_that_is_given() {
    let names = Names {
        random: Random::new(|| u64::MAX),
        ..Names::default()
    };
    let draw = |text: &str| Expression::compile(text, &names).unwrap().eval(&Map::new());
    assert_eq!(draw("number.random()"), Ok(Value::Int(9)));
    assert_eq!(draw("number.random(100)"), Ok(Value::Int(99)));
    gives("number.random(1)", 0_i64);
    fails("number.random(0)", "above 0");
    fails("number.random(-5)", "above 0");
    for _ in 0..100 {
        assert!(matches!(eval("number.random(3)"), Ok(Value::Int(0..3))));
    }
    let Ok(Value::Str(uuid)) = eval("utils.uuid()") else {
        panic!("a text")
    };
    let groups: Vec<usize> = uuid.split('-').map(str::len).collect();
    assert_eq!(groups, [8, 4, 4, 4, 12]);
    assert_eq!(uuid.as_bytes()[14], b'4');
}

#[test]
fn functions_of_imported_packages() {
    gives_json("array.create(1, 'a')", r#"[1,"a"]"#);
    gives_json("array.append(array.create(1), 2)", "[1,2]");
    gives_json(
        "array.merge(array.create(1), array.create(2), nil)",
        "[1,2]",
    );
    gives_json("array.reverse(array.create(1, 2, 3))", "[3,2,1]");
    gives_json("array.slice(array.create(1, 2, 3), 1)", "[2,3]");
    gives_json("array.slice(array.create(1, 2, 3), 1, 2)", "[2]");
    gives_json("array.delete(array.create(1, 2, 3), 1)", "[1,3]");
    gives_json(
        "array.flatten(array.create(1, array.create(2, array.create(3))), 1)",
        "[1,2,[3]]",
    );
    gives_json(
        "array.flatten(array.create(1, array.create(2, array.create(3))), 0)",
        "[1,2,3]",
    );
    gives("array.get($.payload.content.b, 1)", 20.0);
    gives("array.count($.payload.content.b)", 3_i64);
    gives("array.contains($.payload.content.b, 10.0)", true);
    gives("array.contains($.payload.content.b, 10)", false);
    gives("array.sum(array.create(1, 2.5, '3'))", 6.5);
    fails(
        "array.get($.payload.content.b, 3)",
        "index [3] but array length [3]",
    );
    fails("array.get($.payload.content.b, -1)", "out of bounds");
    fails("array.slice($.payload.content.b, 1, 9)", "out of bound");
    gives("math.round(2.5)", 3.0);
    gives("math.roundToEven(2.5)", 2.0);
    gives("math.mod(7, 4)", 3.0);
    gives("math.isNaN('NaN')", true);
    gives("coerce.toString(utils.decodeBase64('aGk='))", "hi");
    gives("coerce.toString(utils.encodeBase64('hi'))", "aGk=");
    fails("utils.decodeBase64('a')", "illegal base64 data");
    gives("url.scheme('HTTP://u@h:80/a%20b?q=1#f')", "http");
    gives("url.hostname('http://u@h:80/a%20b?q=1#f')", "h");
    gives("url.port('http://u@h:80/a%20b?q=1#f')", "80");
    gives("url.path('http://u@h:80/a%20b?q=1#f')", "/a b");
    gives("url.escapedPath('http://h/a b')", "/a%20b");
    gives("url.query('http://h/?b=2&a=x y', true)", "a=x+y&b=2");
    gives_json(
        "url.query('http://h/?b=2&b=3', false)",
        r#"{"b":["2","3"]}"#,
    );
    gives("url.pathEscape('a b/c')", "a%20b%2Fc");
    gives("url.queryEscape('a b/c')", "a+b%2Fc");
    gives(
        "url.encode('https://s.example.com/path?q=hello world#a b')",
        "https://s.example.com/path?q=hello+world#a%20b",
    );
    fails("url.path('http://h/%zz')", "invalid URL escape");
    gives_json(
        "http.reqCookieToParams('a=1; b=\"2\"')",
        r#"{"a":"1","b":"2"}"#,
    );
    gives("http.reqCookieFromParams('b=2,a=1')", "a=1; b=2");
    gives_json(
        "http.rewriteCookies(array.create('x=1; Path=/', 'tsc=2; Domain=a; path=/'), 'tsc', 'd', '/p')",
        r#"["x=1; Path=/","tsc=2; Domain=d; Path=/p"]"#,
    );
}

#[test]
fn no_text_is_too_large_to_be_refused() {
    let deep = |open: &str, close: &str, inner: &str| {
        format!("{}{inner}{}", open.repeat(5000), close.repeat(5000))
    };
    is_refused(&deep("(", ")", "1"), "nested parts");
    is_refused(&deep("$.a[", "]", "1"), "nested parts");
    is_refused(&deep("string.len(", ")", "'a'"), "nested parts");
    is_refused(&deep("true?", ":1", "1"), "nested parts");
    is_refused(&"1+".repeat(40_000), "65536");
    is_refused(&deep("[", "]", ""), "");
    gives(&format!("0{}", "+1".repeat(30_000)), 30_000_i64);
    gives(&format!("{}1", "-".repeat(60_000)), 1_i64);
    gives(&format!("{}true", "!".repeat(60_000)), true);
    gives(&format!("{}2", "false?1:".repeat(8_000)), 2_i64);
    gives(&format!("true{}", "||true".repeat(10_000)), true);
    let nested = format!("{}1{}", "(".repeat(60), ")".repeat(60));
    gives(&nested, 1_i64);
}

#[test]
fn no_evaluation_is_too_costly() {
    fails(
        "string.repeat('0123456789', 9223372036854775807)",
        "more than 16777216 bytes",
    );
    fails(
        "string.repeat('0123456789', 2000000)",
        "more than 16777216 bytes",
    );
    fails(
        "string.replaceAll(string.repeat('a', 10000), 'a', string.repeat('b', 10000))",
        "more than",
    );
    fails(
        "string.join(string.split(string.repeat('a', 10000), ''), string.repeat('b', 10000))",
        "more than",
    );
    fails(
        &format!("{}'a'", "string.repeat('a', 16000000) + ".repeat(2000)),
        "more than",
    );
    let many = "string.len(string.repeat('a', 16000000))";
    fails(
        &format!("{many}{}", format!("+{many}").repeat(100)),
        "texts of more than 67108864 bytes in all",
    );
    fails("string.split(string.repeat('a', 2000000), '')", "steps");
}

/// Texts that look like expressions.
fn shaped() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        "[0-9]{1,3}",
        "[0-9]{0,2}\\.[0-9]{0,2}",
        "'[a-z\\\\{} ]{0,4}'",
        Just("nil".to_owned()),
        Just("true".to_owned()),
        Just("$.i".to_owned()),
        Just("$.payload.content".to_owned()),
        Just("$.payload.content.b".to_owned()),
        Just("$.payload.pathParams.id".to_owned()),
        Just("$.Rest.outputs.data.half".to_owned()),
        Just("$.Net.error".to_owned()),
        Just("$.Raw".to_owned()),
        Just("$.missing".to_owned()),
        "\\PC{0,6}",
    ];
    leaf.prop_recursive(4, 24, 3, |inner| {
        prop_oneof![
            (
                inner.clone(),
                prop::sample::select(vec![
                    "+", "-", "*", "/", "%", "==", "!=", "<", "<=", ">", ">=", "&&", "||", " ",
                ]),
                inner.clone()
            )
                .prop_map(|(a, op, b)| format!("{a}{op}{b}")),
            inner.clone().prop_map(|a| format!("({a})")),
            inner.clone().prop_map(|a| format!("-{a}")),
            inner.clone().prop_map(|a| format!("!{a}")),
            inner.clone().prop_map(|a| format!("x{{{{{a}}}}}")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a}[{b}]")),
            (inner.clone(), "[a-z]{1,3}").prop_map(|(a, b)| format!("{a}.{b}")),
            (inner.clone(), inner.clone(), inner.clone())
                .prop_map(|(a, b, c)| format!("{a}?{b}:{c}")),
            (
                prop::sample::select(vec![
                    "string.concat",
                    "string.substring",
                    "string.repeat",
                    "string.replace",
                    "string.matchRegEx",
                    "string.replaceRegEx",
                    "string.split",
                    "string.join",
                    "string.float",
                    "string.toTitleCase",
                    "string.trim",
                    "json.path",
                    "json.set",
                    "json.exists",
                    "json.length",
                    "json.numbersToString",
                    "coerce.toType",
                    "coerce.toParams",
                    "coerce.toObject",
                    "coerce.toArray",
                    "coerce.toInt32",
                    "builtin.len",
                    "number.random",
                    "error.type",
                    "isdefined",
                    "getValue",
                    "array.slice",
                    "array.flatten",
                    "array.delete",
                    "array.merge",
                    "url.encode",
                    "url.query",
                    "url.escapedPath",
                    "utils.decodeBase64",
                    "http.reqCookieToParams",
                    "http.rewriteCookies",
                    "math.mod",
                ]),
                prop::collection::vec(inner, 0..4)
            )
                .prop_map(|(name, args)| format!("{name}({})", args.join(","))),
        ]
    })
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "\\PC*") {
        let _ = eval(&text);
    }

    #[test]
    fn no_expression_makes_it_panic(text in shaped()) {
        let _ = eval(&text);
    }

    #[test]
    fn ints_and_floats_read_back_what_is_printed(int: i64, float in prop::num::f64::NORMAL) {
        prop_assert_eq!(eval(&int.to_string()), Ok(Value::Int(int)));
        let printed = Value::Float(float).to_text();
        let read = eval(&printed).unwrap();
        prop_assert_eq!(read.to_float().unwrap(), float);
    }

    #[test]
    fn json_reads_back_what_is_printed(text in "[^{]*", float in prop::num::f64::NORMAL) {
        let value = Value::from(vec![Value::from(text), Value::from(float), Value::Null]);
        let printed = value.to_json_text().unwrap();
        prop_assert_eq!(eval(&printed), Ok(value));
    }

    #[test]
    fn quoted_texts_are_themselves(text in "[^'{\\\\]*") {
        prop_assert_eq!(eval(&format!("'{text}'")), Ok(Value::from(text.as_str())));
        prop_assert_eq!(eval(&format!("'{text}' + ''")), Ok(Value::from(text.as_str())));
    }

    #[test]
    fn unequal_is_not_equal(a in shaped(), b in shaped()) {
        let (Ok(a), Ok(b)) = (eval(&a), eval(&b)) else { return Ok(()) };
        let scope = Map::from([("a".into(), a), ("b".into(), b)]);
        let ask = |text: &str| Expression::compile(text, &names()).unwrap().eval(&scope);
        let equal = ask("$.a == $.b").unwrap().to_bool().unwrap();
        let unequal = ask("$.a != $.b").unwrap().to_bool().unwrap();
        prop_assert_ne!(equal, unequal);
    }
}
