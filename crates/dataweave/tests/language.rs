//! DataWeave: the grammar, the results of operators, selectors and functions, and their errors.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::sync::Arc;

use fusebox_dataweave::jiff::{Timestamp, tz::TimeZone};
use fusebox_dataweave::{
    Context, Detected, Event, MediaType, Properties, Random, Script, Typed, Value, eval, read_scope,
};
use proptest::prelude::*;
use serde_json::{Value as Json, json};

/// The clock of all tests: 2026-01-01T00:07:09.9Z.
const NOW: Timestamp = Timestamp::constant(1_767_226_029, 900_000_000);

fn scope() -> Json {
    json!({
        "payload": {
            "a": 1, "b": [10, 20, { "c": "z" }], "s": "text", "t": true, "n": null,
            "order-id": "7", "o": { "k": 5 }, "items": [{ "id": 1, "q": 2 }, { "id": 2 }, 3]
        },
        "attributes": {
            "method": "GET",
            "headers": { "$headers": { "X-Id": "1", "Accept": "a" } }
        },
        "vars": {
            "text": "10", "count": 4, "list": [3, 1, 2], "big": { "$number": "12345678901234567890.5" },
            "raw": { "$typed": { "value": "{\"x\":[1,2]}", "mediaType": "application/json" } }
        },
        "error": {
            "description": "boom",
            "errorType": { "namespace": "HTTP", "identifier": "TIMEOUT" },
            "errorMessage": null
        },
        "properties": { "host": "example.org" },
        "correlationId": "c-1"
    })
}

fn eval_over(text: &str, scope: &Json) -> Result<String, String> {
    let random = Random::seeded(1);
    eval(text, scope, NOW, TimeZone::UTC, &random).map_err(|fault| fault.to_string())
}

/// Checks that each expression gives a value with this JSON.
#[track_caller]
fn give(cases: &[(&str, &str)]) {
    let scope = scope();
    for (text, json) in cases {
        assert_eq!(eval_over(text, &scope).as_deref(), Ok(*json), "{text}");
    }
}

/// Checks that each expression parses, and that its evaluation fails with this text.
#[track_caller]
fn fail(cases: &[(&str, &str)]) {
    let scope = scope();
    for (text, words) in cases {
        match eval_over(text, &scope) {
            Ok(value) => panic!("{text} gives {value}"),
            Err(fault) => assert!(
                fault.starts_with("MULE:EXPRESSION: ") && fault.contains(words),
                "{text}: {fault}"
            ),
        }
    }
}

/// Checks that each text is a syntax error with this text.
#[track_caller]
fn are_refused(cases: &[(&str, &str)]) {
    for (text, words) in cases {
        match Script::parse(text) {
            Ok(_) => panic!("{text} is a script"),
            Err(fault) => {
                assert!(fault.to_string().contains(words), "{text}: {fault}");
                assert!(!fault.mend.is_empty() && fault.line > 0 && fault.col > 0);
            }
        }
    }
}

#[test]
fn literals_are_what_they_say() {
    give(&[
        ("1", "1"),
        ("1.50", "1.5"),
        ("-2e3", "-2000"),
        ("'it\\'s \\u0041 \\$x \\n'", "\"it's A $x \\n\""),
        ("\"say \\\"x\\\"\"", "\"say \\\"x\\\"\""),
        ("`tick`", "\"tick\""),
        ("'cost $5 and $'", "\"cost $5 and $\""),
        ("[1, 'a', null, true,]", "[1,\"a\",null,true]"),
        (
            "{a: 1, 'b c': 2, Content-Type: 'x', if: 3}",
            r#"{"a":1,"b c":2,"Content-Type":"x","if":3}"#,
        ),
        ("[a: 1, b: 2]", r#"[{"a":1},{"b":2}]"#),
        ("{}", "{}"),
        ("/a+\\/b/", "\"a+/b\""),
        ("|2026-01-31| ", "\"2026-01-31\""),
        ("1 // a comment\n + /* another */ 2", "3"),
    ]);
}

#[test]
fn operators_bind_as_the_table_of_precedence_says() {
    give(&[
        ("1 + 2 * 3", "7"),
        ("(1 + 2) * 3", "9"),
        ("10 - 4 - 3", "3"),
        ("not true or true", "false"),
        ("!true or true", "true"),
        ("true or false and false", "true"),
        ("1 + 1 == 2 and 2 > 1", "true"),
        ("'1' as Number + 1", "2"),
        ("-1 as String", "\"-1\""),
        ("'a' ++ 1 + 2", "\"a3\""),
        ("null default 1 + 2", "3"),
        ("'x' ++ (null default 'y')", "\"xy\""),
        (
            "if (1 > 2) 'a' else if (2 > 1) 'b' else 'c' ++ 'd'",
            "\"b\"",
        ),
        ("if (false) 'a' else 'c' ++ 'd'", "\"cd\""),
        ("if (false) 1", "null"),
        ("attributes.headers.'x-none' default 0 as Number", "0"),
        ("vars.list map $ + 1 filter $ > 2", "[4,3]"),
        ("2 pow 3 mod 3", "2"),
        ("7 mod (1 + 1)", "1"),
        ("1 is Number and 'a' is String", "true"),
        ("3 - -1", "4"),
        ("2 * -3", "-6"),
        ("!(1 == 1)", "false"),
    ]);
    fail(&[
        (
            "'x' ++ payload.n default 'y'",
            "`++` has no meaning between String (\"x\") and Null",
        ),
        (
            "vars.count mod 2 == 0",
            "Boolean (false) cannot become Number",
        ),
    ]);
}

#[test]
fn equality_keeps_kinds_apart_and_similarity_does_not() {
    give(&[
        ("1 == 1.0", "true"),
        ("'1' == 1", "false"),
        ("null == null", "true"),
        ("null == 0", "false"),
        ("vars.missing != 'x'", "true"),
        ("{a: 1, b: 2} == {a: 1, b: 2}", "true"),
        ("{a: 1, b: 2} == {b: 2, a: 1}", "false"),
        ("[1, [2]] == [1, [2]]", "true"),
        ("'true' ~= true", "true"),
        ("1 ~= '1'", "true"),
        ("'1.0' ~= 1", "true"),
        ("['true'] ~= [true]", "true"),
        ("null ~= 'null'", "false"),
        ("null ~= null", "true"),
        ("'a' ~= 1", "false"),
        ("|2026-01-01T00:00:00Z| ~= '2026-01-01T00:00:00Z'", "true"),
        ("typeOf(1) == Number", "true"),
    ]);
}

#[test]
fn comparisons_take_the_right_operand_to_the_kind_of_the_left() {
    give(&[
        ("vars.text >= 5", "false"),
        ("5 <= vars.text", "true"),
        ("'123' > 12", "true"),
        ("123 > '12'", "true"),
        ("'b' > 'a'", "true"),
        ("true > false", "true"),
        ("|2026-01-02| > |2026-01-01|", "true"),
        ("|2026-01-01T00:00:00Z| < '2026-01-01T00:00:01Z'", "true"),
        ("now() >= |2026-01-01T00:00:00Z|", "true"),
    ]);
    fail(&[
        ("null > 1", "Null and Number (1) have no order"),
        ("1 < null", "have no order"),
        ("1 < 'a'", "String (\"a\") cannot become Number"),
        ("1 < true", "cannot become Number"),
        ("[1] < [2]", "have no order"),
        ("{} < {}", "have no order"),
    ]);
}

#[test]
fn arithmetic_is_exact() {
    give(&[
        ("0.1 + 0.2", "0.3"),
        ("'0' + 1", "1"),
        ("' 2 ' * '3'", "6"),
        ("1 / 2", "0.5"),
        ("1 / 3", "0.3333333333333333333333333333333333"),
        ("vars.big + 1", "12345678901234567891.5"),
        ("2 pow 100", "1267650600228229401496703205376"),
        ("2 pow -2", "0.25"),
        ("1 - 0.9", "0.1"),
        ("5.5 mod 2", "1.5"),
        ("-7 mod 3", "-1"),
        ("[1] + 2 + [3]", "[1,2,[3]]"),
        ("[1, 2, 1] - 1", "[2]"),
        ("{a: 1, b: 2, a: 3} - 'a'", "{\"b\":2}"),
        ("0 >> [1]", "[0,1]"),
        ("[1] << 2", "[1,2]"),
    ]);
    fail(&[
        ("1 + null", "`+` expects numbers: Null cannot become Number"),
        ("null - 1", "Null cannot become Number"),
        ("null * 1", "Null"),
        ("1 / 0", "divided by zero"),
        ("1 mod 0", "divided by zero"),
        ("true + 1", "Boolean (true) cannot become Number"),
        ("'a' + 1", "String (\"a\") cannot become Number"),
        ("{a: 1} + 1", "cannot become Number"),
        ("-null", "Null cannot become Number"),
        ("-'a'", "cannot become Number"),
        ("9 pow 9999", "digits"),
        ("1 >> 2", "`>>` has no meaning"),
        ("1 << 2", "`<<` has no meaning"),
    ]);
}

#[test]
fn joining_keeps_all_and_removing_takes_away() {
    give(&[
        ("'a' ++ 'b'", "\"ab\""),
        ("1 ++ 2", "\"12\""),
        ("'n: ' ++ 1.50 ++ true", "\"n: 1.5true\""),
        (
            "'at ' ++ |2026-01-01T00:00:00Z|",
            "\"at 2026-01-01T00:00:00Z\"",
        ),
        ("[1] ++ [2, [3]]", "[1,2,[3]]"),
        ("{a: 1} ++ {b: 2}", r#"{"a":1,"b":2}"#),
        ("({a: 1} ++ {a: 2}).a", "1"),
        ("({a: 1} ++ {a: 2}).*a", "[1,2]"),
        ("'is ' ++ error.errorType", "\"is HTTP:TIMEOUT\""),
        ("|2026-01-01| ++ |10:00:00|", "\"2026-01-01T10:00:00\""),
        (
            "|2026-01-01T10:00:00| ++ |+01:00|",
            "\"2026-01-01T10:00:00+01:00\"",
        ),
        ("[1, 2, 1, 3] -- [1, 3]", "[2]"),
        ("{a: 1, b: 2} -- ['a']", "{\"b\":2}"),
        ("{a: 1, b: 2} -- {a: 1, b: 3}", "{\"b\":2}"),
        ("null -- [1]", "null"),
    ]);
    fail(&[
        ("'a' ++ null", "`++` has no meaning between"),
        ("null ++ 'a'", "`++` has no meaning between"),
        ("[1] ++ null", "`++`"),
        ("{} ++ null", "`++`"),
        ("[1] ++ 'a'", "`++`"),
        ("'a' ++ {}", "`++`"),
        ("1 -- 2", "`--` has no meaning"),
    ]);
}

#[test]
fn truth_is_boolean_or_its_text() {
    give(&[
        ("'true' and true", "true"),
        ("false and (1 / 0 == 1)", "false"),
        ("true or (1 / 0 == 1)", "true"),
        ("if ('false') 1 else 2", "2"),
        ("!'true'", "false"),
    ]);
    fail(&[
        ("null and true", "Null cannot become Boolean"),
        ("true and null", "Null cannot become Boolean"),
        ("if (1) 1 else 2", "Number (1) cannot become Boolean"),
        ("if (null) 1 else 2", "Null cannot become Boolean"),
        ("not 'x'", "cannot become Boolean"),
    ]);
}

#[test]
fn default_stands_for_null_alone() {
    give(&[
        ("null default 1", "1"),
        ("false default 1", "false"),
        ("'' default 1", "\"\""),
        ("vars.missing.deeper default 'd'", "\"d\""),
        ("null default null default 3", "3"),
        ("1 default (1 / 0)", "1"),
    ]);
    fail(&[("(1 / 0) default 1", "divided by zero")]);
}

#[test]
fn selectors_find_values() {
    give(&[
        ("payload.a", "1"),
        ("payload.'order-id'", "\"7\""),
        ("payload.\"order-$('id')\"", "\"7\""),
        ("payload['a']", "1"),
        ("payload[('a')]", "1"),
        ("payload.missing.deeper[0].x", "null"),
        ("payload.items.id", "[1,2]"),
        ("payload.items.none", "null"),
        ("payload.items.*id", "[1,2]"),
        ("{a: 1, a: 2}.a", "1"),
        ("{a: 1, a: 2}.*a", "[1,2]"),
        ("{a: 1}.*b", "null"),
        ("null.*b", "null"),
        ("payload.b[0]", "10"),
        ("payload.b[-1].c", "\"z\""),
        ("payload.b[9]", "null"),
        ("payload.b[-4]", "null"),
        ("payload[0]", "1"),
        ("payload[-1][0].q", "2"),
        ("'hello'[0]", "\"h\""),
        ("'hello'[-1]", "\"o\""),
        ("'Hello World!'[2 to 6]", "\"llo W\""),
        ("'Hello World!'[6 to -1]", "\"World!\""),
        ("'abc'[-1 to 0]", "\"cba\""),
        ("[1, 2, 3][0 to 1]", "[1,2]"),
        ("[1, 2, 3][-1 to 0]", "[3,2,1]"),
        ("[1, 2, 3][1 to 9]", "null"),
        ("null[0 to 1]", "null"),
        ("payload.items[0 to 1][?($.id == 2)]", "[{\"id\":2}]"),
        ("payload.b[?($ is Number and $ > 15)]", "[20]"),
        ("[1][?($ > 1)]", "null"),
        ("payload.o[?($ == 5)]", "{\"k\":5}"),
        ("{x: {k: 1, y: [{k: 2}, {k: 3, k: 4}]}}..k", "[1,2,3]"),
        ("{x: {k: 1, y: [{k: 2}, {k: 3, k: 4}]}}..*k", "[1,2,3,4]"),
        ("{k: 0, x: {k: 1}}..k", "[0,1]"),
        ("{x: {y: 1}}..", "[{\"y\":1},1]"),
        ("payload.a?", "true"),
        ("payload.n?", "true"),
        ("payload.missing?", "false"),
        ("payload.o.k? and !payload.o.j?", "true"),
        ("payload.missing.deeper?", "false"),
        ("vars.text? and !vars.none?", "true"),
        ("payload.b[1]?", "true"),
        ("payload.s.x?", "false"),
        ("payload.a!", "1"),
        ("payload.a! + 1", "2"),
        ("payload.a!= 2", "true"),
        ("attributes.headers.'x-id'", "\"1\""),
        ("attributes.headers.accept", "\"a\""),
        ("attributes.headers['X-ID']", "\"1\""),
        ("payload\n  .o\n  .k", "5"),
    ]);
    fail(&[
        (
            "payload.s.x",
            "`.x` selects from objects, found String (\"text\")",
        ),
        ("payload.a.x", "found Number (1)"),
        ("payload.t.*x", "found Boolean"),
        ("payload.missing!", "`missing` is required"),
        ("vars.none!", "`none` is required"),
        ("payload.b[1.5]", "whole number"),
        ("payload.a[0]", "selects from arrays"),
        ("payload.b[true]", "expected a number or key as index"),
    ]);
}

#[test]
fn the_event_is_seen_by_its_names() {
    give(&[
        ("vars.raw.x[1]", "\"2\""),
        ("vars.raw", "\"{\\\"x\\\":[1,2]}\""),
        ("(vars).raw.x == [1, 2]", "true"),
        ("sizeOf(vars)", "5"),
        ("vars['text']", "\"10\""),
        ("message.payload.a", "1"),
        ("message.attributes.method", "\"GET\""),
        ("correlationId", "\"c-1\""),
        ("error.description", "\"boom\""),
        ("error.errorType.identifier", "\"TIMEOUT\""),
        ("error.errorType as String", "\"HTTP:TIMEOUT\""),
        ("\"$(error.errorType)!\"", "\"HTTP:TIMEOUT!\""),
        ("Mule::p('none') default '?'", "\"?\""),
        ("p('host')", "\"example.org\""),
        ("p('none')", "null"),
    ]);
    fail(&[
        ("unknownVar", "unknown name `unknownVar`"),
        ("count + 1", "`vars.count`"),
        ("p('host') ++ p('none')", "`++`"),
    ]);
}

#[test]
fn coercions_follow_the_table() {
    give(&[
        ("'3' as Number", "3"),
        ("' 1e2 ' as Number", "100"),
        ("1.500 as String", "\"1.5\""),
        ("1e30 as String", "\"1000000000000000000000000000000\""),
        ("true as String", "\"true\""),
        ("'true' as Boolean", "true"),
        ("[1] as Array", "[1]"),
        ("{a: 1} as Object", "{\"a\":1}"),
        ("{a: 1} as Object {class: 'com.acme.A'}", "{\"a\":1}"),
        ("1234.5 as String {format: '#,##0.00'}", "\"1,234.50\""),
        ("0.125 as String {format: '0.00'}", "\"0.12\""),
        ("'1,234.50' as Number {format: '#,##0.00'}", "1234.5"),
        ("now() as Number", "1767226029"),
        ("now() as Number {unit: 'milliseconds'}", "1767226029900"),
        (
            "now() as Number {unit: 'seconds'} as String",
            "\"1767226029\"",
        ),
        ("now()", "\"2026-01-01T00:07:09.9Z\""),
        ("now() as String", "\"2026-01-01T00:07:09.9Z\""),
        (
            "now() as String {format: \"yyyy-MM-dd'T'HH:mm:ss'Z'\"}",
            "\"2026-01-01T00:07:09Z\"",
        ),
        (
            "now() as String {format: 'EEEE, d MMMM uuuu h:mm a XXX'}",
            "\"Thursday, 1 January 2026 12:07 AM Z\"",
        ),
        (
            "now() as String {format: 'yyMMddHHmmssSSS'}",
            "\"260101000709900\"",
        ),
        ("0 as DateTime", "\"1970-01-01T00:00:00Z\""),
        (
            "1767226029900 as DateTime {unit: 'milliseconds'}",
            "\"2026-01-01T00:07:09.9Z\"",
        ),
        (
            "'2026-01-01T10:00:00+02:00' as DateTime",
            "\"2026-01-01T10:00:00+02:00\"",
        ),
        (
            "'2026-01-01T10:00:00+02:00' as DateTime as Number",
            "1767254400",
        ),
        (
            "'8/30/2020 4:00:13 PM' as LocalDateTime {format: 'M/dd/uuuu h:mm:ss a'}",
            "\"2020-08-30T16:00:13\"",
        ),
        (
            "(20201228 ++ 1608) as LocalDateTime {format: 'uuuuMMddHHmm'} as String {format: 'MM-dd-uuuu HH:mm:ss'}",
            "\"12-28-2020 16:08:00\"",
        ),
        (
            "'02/31/2020' as Date {format: 'MM/dd/uuuu'}",
            "\"2020-02-29\"",
        ),
        ("now() as Date", "\"2026-01-01\""),
        ("now() as LocalDateTime", "\"2026-01-01T00:07:09.9\""),
        ("'PT1H' as Period", "\"PT1H\""),
        ("typeOf('a' as Binary)", "\"Binary\""),
        ("'a+' as Regex", "\"a+\""),
        ("1 as Any", "1"),
        ("1 as String | Number", "1"),
    ]);
    fail(&[
        ("'x' as Number", "String (\"x\") cannot become Number"),
        ("'' as Number", "cannot become Number"),
        ("null as Number", "Null cannot become Number"),
        ("true as Number", "Boolean (true) cannot become Number"),
        ("null as String", "Null cannot become String"),
        ("{} as String", "cannot become String"),
        ("[] as String", "cannot become String"),
        ("'yes' as Boolean", "cannot become Boolean"),
        ("1 as Boolean", "cannot become Boolean"),
        ("'not a date' as DateTime", "cannot become DateTime"),
        (
            "'2026-01-01T00:00:00' as DateTime",
            "cannot become DateTime",
        ),
        ("'a' as Array", "cannot become Array"),
        ("'a' as Object", "cannot become Object"),
        ("null as Array", "cannot become Array"),
        ("now() as String {format: 'WW'}", "the letter `W`"),
        (
            "|2026-01-01| as String {format: 'HH'}",
            "a Date has no text for `HH`",
        ),
        ("1 as String {format: 'x'}", "in the format `x`"),
        ("'1' as DateTime {unit: 'weeks'}", "unknown unit"),
        ("1 as String {locale: 'es'}", "the locale \"es\""),
    ]);
}

#[test]
fn dates_move_by_periods_and_between_zones() {
    give(&[
        ("now() + |PT1H|", "\"2026-01-01T01:07:09.9Z\""),
        ("now() - |P1D|", "\"2025-12-31T00:07:09.9Z\""),
        ("|2026-01-31| + |P1M|", "\"2026-02-28\""),
        (
            "|2021-03-02T10:39:59| - |P1D| + |PT3H|",
            "\"2021-03-01T13:39:59\"",
        ),
        ("|23:59:56| + |PT9M|", "\"00:08:56\""),
        ("|2019-10-01| - |2018-09-23|", "\"PT8952H\""),
        (
            "(now() - |2026-01-01T00:00:00Z|) as Number {unit: 'seconds'}",
            "429",
        ),
        ("now() - |2026-01-01T00:00:00Z|", "\"PT7M9.9S\""),
        (
            "now() >> 'America/New_York'",
            "\"2025-12-31T19:07:09.9-05:00\"",
        ),
        ("now() >> '+05:30'", "\"2026-01-01T05:37:09.9+05:30\""),
        ("(now() >> 'UTC') == now()", "true"),
        (
            "|2026-03-29T00:30:00Z| >> 'Europe/Paris' + |PT1H|",
            "\"2026-03-29T03:30:00+02:00\"",
        ),
        ("now().year ++ '-' ++ now().dayOfYear", "\"2026-1\""),
        ("|2003-10-01T23:57:59-03:00|.offsetSeconds", "-10800"),
        ("|23:57:59.700|.milliseconds", "700"),
        ("|PT1H| + |PT30M|", "5400"),
        ("-|PT1H|", "\"PT-1H\""),
        ("daysBetween('2026-01-01', '2026-03-01')", "59"),
    ]);
    fail(&[
        ("now() + 'tea'", "`+` expects numbers"),
        ("|2026-01-01| + |PT1H|", "`+` has no meaning"),
        ("now() >> 'Nowhere/None'", "cannot become TimeZone"),
        ("now().week", "`.week`"),
        ("now() + |P9999999Y|", "out of range"),
    ]);
}

#[test]
fn objects_and_arrays_are_made_of_conditions_and_computed_keys() {
    give(&[
        ("name: payload.a + 1", "{\"name\":2}"),
        ("output application/java --- 'n': 1", "{\"n\":1}"),
        ("[1, 2] map n: $", "[{\"n\":1},{\"n\":2}]"),
        ("{a: 1} mapObject ((v, k) -> (upper(k)): v)", "{\"A\":1}"),
        ("{(payload.s): 1}", "{\"text\":1}"),
        ("{\"k-$(1 + 1)\": 1}", "{\"k-2\":1}"),
        (
            "{a: 1, (b: 2) if true, (c: 3) if false}",
            r#"{"a":1,"b":2}"#,
        ),
        ("{(('d' ++ 'e'): 1) if 1 > 0}", "{\"de\":1}"),
        ("{('q': 1)}", "{\"q\":1}"),
        ("{a: 1, (payload.o)}", r#"{"a":1,"k":5}"#),
        ("{(payload.o) if false}", "{}"),
        ("{(['b', 'c'] map {($): 1})}", r#"{"b":1,"c":1}"#),
        ("{(null)}", "{}"),
        ("[1, (2) if false, (3) if true]", "[1,3]"),
        ("{a: 1, a: 2}", "{\"a\":2}"),
        ("{x: {b: 1, c: 2, b: 3}}", r#"{"x":{"b":3,"c":2}}"#),
    ]);
    fail(&[
        ("{(1)}", "expected an object's pairs"),
        ("{(null): 1}", "Null cannot become String"),
    ]);
    are_refused(&[
        ("{(a + b: 1)}", "cannot be a key"),
        ("{1: 2}", "expected a key"),
        ("{a 1}", "expected a key"),
        ("{a: 1", "`,` or `}`"),
        ("[1 2]", "`,` or `]`"),
    ]);
}

#[test]
fn texts_have_expressions_in_them() {
    give(&[
        ("\"$(payload.a) of $(vars.count)\"", "\"1 of 4\""),
        ("'$correlationId!'", "\"c-1!\""),
        ("\"a $(\"b $('c' ++ 1)\") d\"", "\"a b c1 d\""),
        ("\"\\$(1)\"", "\"$(1)\""),
        ("\"$(now())\"", "\"2026-01-01T00:07:09.9Z\""),
    ]);
    fail(&[
        ("\"$(null)\"", "Null cannot become String"),
        ("\"$([1])\"", "cannot become String"),
    ]);
}

#[test]
fn dollars_are_the_parameters_of_the_nearest_function() {
    give(&[
        ("vars.list map $", "[3,1,2]"),
        ("vars.list map ($ * 10 + $$)", "[30,11,22]"),
        ("vars.list map ((item, index) -> item + index)", "[3,2,4]"),
        ("vars.list map (item) -> item * 2", "[6,2,4]"),
        ("map(vars.list, $ + 1)", "[4,2,3]"),
        (
            "payload.b[2 to 2] ++ payload.items[1 to 1] filter isEmpty($.c)",
            "[{\"id\":2}]",
        ),
        ("[[1, 2], [3]] map ($ map $ + 1)", "[[2,3],[4]]"),
        ("[[1, 2], [3]] map sizeOf($)", "[2,1]"),
        ("vars.list reduce ($ + $$)", "6"),
        ("['a', 'b', 'c'] reduce ($$ ++ $)", "\"abc\""),
        ("vars.list reduce ((item, acc = 10) -> acc + item)", "16"),
        ("[] reduce ((item, acc = 0) -> acc + item)", "0"),
        ("[] reduce ($$ + $)", "null"),
        ("[2] reduce ($$ + $)", "2"),
        (
            "{a: 1, b: 2} mapObject {($$ ++ $$$): $ * 2}",
            r#"{"a0":2,"b1":4}"#,
        ),
        ("{a: 1, b: 2} filterObject $ > 1", "{\"b\":2}"),
        ("{a: 1, b: 2} filterObject ($$ == 'a')", "{\"a\":1}"),
        ("{a: 1, b: 2} pluck ($$ ++ '=' ++ $)", "[\"a=1\",\"b=2\"]"),
        ("vars.list map upper", "[\"3\",\"1\",\"2\"]"),
        ("[1, 2] map 7", "[7,7]"),
    ]);
    fail(&[
        ("$ + 1", "`$` has no meaning here"),
        ("1 map $", "`map` expects an array"),
    ]);
}

#[test]
fn lists_are_mapped_grouped_and_sorted() {
    give(&[
        ("[1, 2] flatMap [$, $ * 10]", "[1,10,2,20]"),
        (
            "payload.items[0 to 1] groupBy $.id",
            r#"{"1":[{"id":1,"q":2}],"2":[{"id":2}]}"#,
        ),
        ("['b', 'a', 'b'] groupBy $", r#"{"b":["b","b"],"a":["a"]}"#),
        (
            "{a: 1, b: 2, c: 1} groupBy $",
            r#"{"1":{"a":1,"c":1},"2":{"b":2}}"#,
        ),
        ("vars.list orderBy $", "[1,2,3]"),
        ("vars.list orderBy -$", "[3,2,1]"),
        ("{b: 2, a: 1} orderBy $$", r#"{"a":1,"b":2}"#),
        (
            "[{v: 'x', k: 2}, {v: 'y', k: 1}] orderBy $.k map $.v",
            "[\"y\",\"x\"]",
        ),
        ("[1, 2, 1, '1'] distinctBy $", "[1,2,\"1\"]"),
        ("{a: 1, b: 1} distinctBy $", "{\"a\":1}"),
        ("flatten([[1, [2]], 3, [null], []])", "[1,[2],3,null]"),
        ("[0, 1, 2] zip ['a', 'b']", "[[0,\"a\"],[1,\"b\"]]"),
        ("[3, 1, 2] maxBy $", "3"),
        ("[{a: 2}, {a: 1}] minBy $.a", "{\"a\":1}"),
        ("vars.list some $ > 2", "true"),
        ("vars.list every $ > 2", "false"),
        ("[] every false", "false"),
        ("1 to 4", "[1,2,3,4]"),
        ("3 to 1", "[3,2,1]"),
        ("(1 to 3) map $ * 2", "[2,4,6]"),
        ("max([1, 5, 3])", "5"),
        ("min(['b', 'a'])", "\"a\""),
        ("max([])", "null"),
        ("sum([1, '2', 3.5])", "6.5"),
        ("sum([])", "0"),
        ("avg([1, 2])", "1.5"),
        ("[1, 2, 3] contains 2", "true"),
        ("[1, 2, 1] find 1", "[0,2]"),
        ("[1, 2, 1] indexOf 2", "1"),
        ("[1] indexOf 9", "-1"),
        ("keysOf({a: 1, b: 2})", "[\"a\",\"b\"]"),
        ("namesOf({a: 1})", "[\"a\"]"),
        ("valuesOf({a: 1, b: 2})", "[1,2]"),
        (
            "entriesOf({a: 1})",
            r#"[{"key":"a","value":1,"attributes":{}}]"#,
        ),
        ("null map $", "null"),
        ("null filter $", "null"),
        ("null reduce $", "null"),
        ("null groupBy $", "null"),
        ("null orderBy $", "null"),
        ("null distinctBy $", "null"),
        ("null flatMap $", "null"),
        ("null mapObject {}", "null"),
        ("null pluck $", "null"),
        ("keysOf(null)", "null"),
        ("flatten(null)", "null"),
        ("sizeOf(null)", "null"),
        ("sizeOf([1, 2])", "2"),
        ("sizeOf({a: 1, a: 2})", "2"),
        ("sizeOf('häß')", "3"),
        ("sizeOf(1234)", "4"),
        (
            "isEmpty(null) and isEmpty('') and isEmpty([]) and isEmpty({})",
            "true",
        ),
        ("isEmpty(' ')", "false"),
    ]);
    fail(&[
        ("max([1, 'a'])", "have no order"),
        ("avg([])", "not empty"),
        ("isEmpty((a) -> a)", "`isEmpty` expects"),
        ("{a: 1} map $", "`map` expects an array"),
        ("[1] mapObject {}", "`mapObject` expects an object"),
        ("[1, 'a'] orderBy $", "have no order"),
        ("1 to 1.5", "whole number"),
    ]);
}

#[test]
fn texts_are_cut_joined_and_searched() {
    give(&[
        ("upper('ab') ++ lower('CD') ++ trim(' e ')", "\"ABcde\""),
        ("upper(null)", "null"),
        ("'a b c' splitBy ' '", "[\"a\",\"b\",\"c\"]"),
        ("'a b c' splitBy ' ' contains 'b'", "true"),
        ("('192.88.99.0' splitBy('.'))[0]", "\"192\""),
        (
            "'192.88.99.0/24' splitBy(/[.\\/]/)",
            r#"["192","88","99","0","24"]"#,
        ),
        ("'no match' splitBy(/^n../)", "[\"\",\"match\"]"),
        ("'abc' splitBy ''", "[\"a\",\"b\",\"c\"]"),
        ("'a,b,,' splitBy ','", "[\"a\",\"b\"]"),
        ("'' splitBy ','", "[\"\"]"),
        ("[1, 'a', true] joinBy '-'", "\"1-a-true\""),
        ("[] joinBy ','", "\"\""),
        ("'hello' contains 'ell'", "true"),
        ("'hello' contains /l+o/", "true"),
        ("null contains 'a'", "false"),
        ("'Bearer x' startsWith 'Bearer '", "true"),
        ("endsWith('abc', 'bc')", "true"),
        ("'a=b=c' substringAfter '='", "\"b=c\""),
        ("substringBefore('a=b', '=')", "\"a\""),
        ("'abc' substringAfter 'x'", "\"\""),
        ("null substringAfter 'x'", "null"),
        ("'a-b-c' replace '-' with '+'", "\"a+b+c\""),
        ("'abc123def' replace /[b13e]/ with('-')", "\"a-c-2-d-f\""),
        ("replace('my123', /(\\d+)/) with 'ID'", "\"myID\""),
        ("'a1b2' replace /(\\d)/ with ($[1] ++ $$)", "\"a10b21\""),
        ("'x.y' replace '.' with '' ++ '!'", "\"xy!\""),
        ("null replace 'a' with 'b'", "null"),
        ("'abc' matches /a.c/", "true"),
        ("'abcd' matches /a.c/", "false"),
        ("'abc' matches 'a.*'", "true"),
        (
            "'me@x.org' match(/(.*)@(.*)/)",
            r#"["me@x.org","me","x.org"]"#,
        ),
        ("'a1b22' scan /[a-z](\\d+)/", r#"[["a1","1"],["b22","22"]]"#),
        (
            "'I heart DataWeave' find /\\w*ea\\w*(\\b)/",
            "[[2,7],[8,17]]",
        ),
        ("'aabccdbce' find 'a'", "[0,1]"),
        ("'häb' indexOf 'b'", "2"),
        ("isBlank('  ') and isBlank(null) and !isBlank('a')", "true"),
    ]);
    fail(&[
        ("'a' replace 'b'", "belong together"),
        ("[null] joinBy ','", "Null cannot become String"),
        ("'a' matches '('", "not a regular expression"),
    ]);
    are_refused(&[
        (
            "'a' with 'b'",
            "`with` follows neither `replace` nor `mask`",
        ),
        (
            "'a' matches /(?=b)/",
            "the regular expression cannot be used",
        ),
        ("/abc", "has no end"),
    ]);
}

#[test]
fn numbers_are_rounded_and_drawn() {
    give(&[
        ("round(2.5)", "3"),
        ("round(-2.5)", "-3"),
        ("round(2.4)", "2"),
        ("ceil(1.1)", "2"),
        ("floor(-1.1)", "-2"),
        ("abs(-3)", "3"),
        ("sqrt(25)", "5"),
        ("randomInt(1)", "0"),
        ("(1 to 50) every randomInt(3) < 3", "true"),
        ("random() >= 0 and random() < 1", "true"),
        (
            "uuid() matches /[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}/",
            "true",
        ),
        ("uuid() == uuid()", "false"),
        ("log('at', 5)", "5"),
        ("log(5)", "5"),
        ("typeOf(null)", "\"Null\""),
        (
            "[1, 'a', [], {}, now(), |P1D|] map typeOf($)",
            r#"["Number","String","Array","Object","DateTime","Period"]"#,
        ),
    ]);
    fail(&[
        ("randomInt(0)", "greater than 0"),
        ("sqrt(-1)", "not negative"),
        ("abs(null)", "Null"),
    ]);
}

#[test]
fn json_is_read_and_written() {
    give(&[
        ("read('{\"a\": [1, 2.50]}', 'application/json').a[1]", "2.5"),
        ("read('1', 'application/json; charset=utf-8')", "1"),
        (
            "read('a=1&b=x+y', 'application/x-www-form-urlencoded')",
            r#"{"a":"1","b":"x y"}"#,
        ),
        ("read('x', 'text/plain')", "\"x\""),
        (
            "write({a: 1, b: null, c: []}, 'application/json')",
            r#""{\n  \"a\": 1,\n  \"b\": null,\n  \"c\": []\n}""#,
        ),
        (
            "write({a: [1, 'x']}, 'application/json', {indent: false})",
            r#""{\"a\":[1,\"x\"]}""#,
        ),
        (
            "write({a: null, b: 1}, 'application/json', {skipNullOn: 'objects', indent: false})",
            r#""{\"b\":1}""#,
        ),
        (
            "write({a: 'x y', b: 1}, 'application/x-www-form-urlencoded')",
            "\"a=x+y&b=1\"",
        ),
        (
            "write({a: now()}, 'application/json', {indent: false})",
            r#""{\"a\":\"2026-01-01T00:07:09.9Z\"}""#,
        ),
        (
            "write({a: 1, a: 2}, 'application/json', {indent: false})",
            r#""{\"a\":1,\"a\":2}""#,
        ),
        ("write('a\"b', 'application/json')", r#""\"a\\\"b\"""#),
        ("write({a: 1}, 'application/java').a", "1"),
        (
            "output application/json --- {a: 1}",
            r#""{\n  \"a\": 1\n}""#,
        ),
        (
            "%dw 2.0\noutput application/json indent=false, skipNullOn=\"everywhere\"\n---\n{a: null, b: [null, 1]}",
            r#""{\"b\":[1]}""#,
        ),
        ("output text/plain --- 'x' ++ 1", "\"x1\""),
        ("output application/java --- {a: 1}", "{\"a\":1}"),
    ]);
    fail(&[
        (
            "read('{bad', 'application/json')",
            "expected a key in quotes, found 'b', at line 1, column 2",
        ),
        (
            "read('', 'application/json')",
            "expected a value, found the end of the text",
        ),
        ("read(null, 'application/json')", "`read` expects a text"),
        ("read('[1,]', 'application/json')", "invalid JSON"),
        ("write({}, 'text/plain')", "cannot become String"),
        (
            "write({}, 'application/json', {tabs: 2})",
            "the option `tabs`",
        ),
        (
            "output application/x-www-form-urlencoded --- 1",
            "needs an object",
        ),
    ]);
    are_refused(&[
        (
            "read('a: 1', 'application/yaml')",
            "the format `application/yaml` is not supported",
        ),
        (
            "output application/yaml --- 1",
            "the format `application/yaml` is not supported",
        ),
        ("output application/json tabs=2 --- 1", "the option `tabs`"),
    ]);
}

#[test]
fn headers_declare_variables_functions_types_and_imports() {
    give(&[
        ("%dw 2.0 --- 1", "1"),
        ("var a = 1\nvar b = a + 1\n---\nb", "2"),
        ("var b = a + 1\nvar a = 1\n---\nb", "2"),
        ("var unused = 1 / 0 --- 1", "1"),
        ("fun inc(n) = n + 1 --- inc(inc(1))", "3"),
        ("fun add(a, b = 10) = a + b --- add(1) + add(1, 2)", "14"),
        (
            "fun fact(n) = if (n <= 1) 1 else n * fact(n - 1) --- fact(20)",
            "2432902008176640000",
        ),
        (
            "fun even(n) = if (n == 0) true else odd(n - 1) fun odd(n) = if (n == 0) false else even(n - 1) --- even(10)",
            "true",
        ),
        ("fun f(n: Number): String = n + 1 --- f('1')", "\"2\""),
        (
            "fun each(xs, g) = xs map g($) --- each([1, 2], (x) -> x * 2)",
            "[2,4]",
        ),
        ("fun twice(x, g) = g(g(x)) --- twice(1, $ + 1)", "3"),
        ("fun head<T>(xs: Array<T>): T = xs[0] --- head([5])", "5"),
        ("var f = (x) -> x * 2 --- f(3)", "6"),
        ("fun add(a, b) = a + b --- 1 add 2", "3"),
        (
            "type Money = String {format: '0.00'} --- 1 as Money",
            "\"1.00\"",
        ),
        (
            "import * from dw::core::Strings --- 'a' substringAfterLast 'b'",
            "\"\"",
        ),
        (
            "import some as any from dw::core::Arrays --- any([1], $ > 0)",
            "true",
        ),
        (
            "import dw::core::Arrays --- Arrays::some([1], $ > 0)",
            "true",
        ),
        ("do { var x = 2 fun sq(n) = n * n --- sq(x) }", "4"),
        ("do { 1 }", "1"),
        ("((x) -> x + 1)(2)", "3"),
        ("(() -> 5)()", "5"),
        ("var x: Number = '2' --- x * 2", "4"),
        ("var payload = 9 --- payload", "9"),
        (
            "input payload application/json\noutput application/java\n---\n1",
            "1",
        ),
    ]);
    fail(&[
        ("fun f(a) = a --- f()", "the argument `a` is missing"),
        ("fun f(n: Number) = n --- f('x')", "cannot become Number"),
        ("upper()", "`upper` needs 1 arguments"),
        ("(1)(2)", "expected a function"),
        ("(x) -> x", "a function cannot be the result"),
        ("[upper]", "a function cannot be the result"),
        ("fun f(n) = f(n) --- f(1)", "may call itself without end"),
        ("var a = a --- a", "may call itself without end"),
    ]);
    are_refused(&[
        ("%dw 1.0 --- 1", "version 1.0"),
        ("foo(1)", "unknown function `foo`"),
        ("uper('a')", "did you mean `upper`?"),
        ("1 foo 2", "unknown function `foo`"),
        ("var a = 1 var a = 2 --- a", "declared twice"),
        ("import x::y::Z --- 1", "the module `x::y::Z`"),
        ("1 as Foo", "unknown type `Foo`"),
        ("1 unless 2", "unknown function `unless`"),
    ]);
}

#[test]
fn match_takes_the_first_case_that_fits() {
    give(&[
        ("'a' match { case 'a' -> 1 case 'b' -> 2 }", "1"),
        ("'b' match { case x: 'b' -> x ++ '!' else -> 0 }", "\"b!\""),
        (
            "3 match { case n if n > 5 -> 'big' case n if (n > 1) -> 'mid' else -> 'small' }",
            "\"mid\"",
        ),
        (
            "3 match { case is String -> 's' case is Number -> $ + 1 }",
            "4",
        ),
        (
            "null match { case is Null -> 'none' else -> $ }",
            "\"none\"",
        ),
        ("'x' match { else v -> v }", "\"x\""),
        ("5 match { else -> $ }", "5"),
        (
            "'+1 (415) 229' match { case p matches /\\+(\\d+)\\s\\((\\d+)\\).*/ -> p[2] }",
            "\"415\"",
        ),
        ("'ab' match { case matches /(a)(b)/ -> $[1] }", "\"a\""),
        (
            "[1, 'a'] map ($ match { case is Number -> $ + 1 else -> upper($) })",
            "[2,\"A\"]",
        ),
        (
            "payload.s match { case x is String -> x } default 'y'",
            "\"text\"",
        ),
        ("true match { case true -> 1 case false -> 0 }", "1"),
        (
            "1 match { case is String | Number -> 'simple' }",
            "\"simple\"",
        ),
        ("1 match { case -1 -> 'a', case 1 -> 'b' }", "\"b\""),
    ]);
    fail(&[("1 match { case 2 -> 3 }", "no case fits Number (1)")]);
    are_refused(&[
        ("1 match { else -> 1 case 2 -> 3 }", "`}` after `else`"),
        ("1 match { case [1] -> 1 }", "expected a name"),
        ("1 match { 2 -> 3 }", "`case`, `else` or `}`"),
    ]);
}

#[test]
fn a_fault_tells_its_place_and_how_to_mend_it() {
    for (text, line, col) in [
        ("1 +", 1, 4),
        ("{\n  a: 1,\n  b: foo(2)\n}", 3, 6),
        ("'é' ++ ?", 1, 8),
        ("", 1, 1),
        ("(1", 1, 3),
        ("1 /* x", 1, 3),
        ("'abc", 1, 1),
        ("|2026-13-01|", 1, 1),
    ] {
        let fault = Script::parse(text).unwrap_err();
        assert_eq!((fault.line, fault.col), (line, col), "{text}: {fault}");
    }
    let fault = Detected::of("a\n b #[1 +]").unwrap_err();
    assert_eq!((fault.line, fault.col), (2, 9), "{fault}");
}

#[test]
fn texts_of_attributes_are_expressions_templates_or_literals() {
    let is_expression = |text| matches!(Detected::of(text).unwrap(), Detected::Expression(_));
    let is_template = |text| matches!(Detected::of(text).unwrap(), Detected::Template(_));
    for text in [
        "#[1]",
        "  #[payload[0]]\n",
        "#['a]b']",
        "#[{a: [1, 2]}]",
        "#[\"it's\"]",
        "#[1 /* it's */]",
    ] {
        assert!(is_expression(text), "{text}");
    }
    for text in ["a #[1]", "#[1] b", "#[1]#[2]", "#[1] and #[2]", "#['#[']"] {
        assert!(is_template(text), "{text}");
    }
    for text in ["", "0", "#", "# [1]", "#[ and no end", " padded ", "[1]"] {
        assert_eq!(
            Detected::of(text).unwrap(),
            Detected::Literal(text.to_owned())
        );
    }
    assert!(Detected::of("a #['] b").is_err());
    assert_eq!(Detected::expression("#[1 + 1]").unwrap().source(), "1 + 1");
    assert_eq!(Detected::expression("1 + 1").unwrap().source(), "1 + 1");
    give(&[
        (
            "Open after #[vars.none] of #[vars.count]: #[payload.s]",
            "\"Open after null of 4: text\"",
        ),
        (
            "\\#[x] #[error.errorType] #[[1]]",
            "\"#[x] HTTP:TIMEOUT [\\n  1\\n]\"",
        ),
        ("at #[now()]", "\"at 2026-01-01T00:07:09.9Z\""),
    ]);
}

/// The result of a script over an event with a JSON payload, with its media type.
fn typed(text: &str) -> (Value, String) {
    let mut event = Event {
        payload: Typed {
            value: Value::from("{ \"name\": \"Max\", \"n\": 1 }"),
            media_type: MediaType::new("application/json; charset=UTF-8"),
        },
        ..Event::default()
    };
    event.vars.insert("java".into(), Typed::java(5));
    event.vars.insert("lit".into(), Typed::literal("x"));
    let zone = TimeZone::UTC;
    let context = Context {
        event: &event,
        properties: &Properties::new(),
        flow: "main",
        app: "shop",
        now: NOW,
        zone: &zone,
        random: &Random::seeded(1),
        waits: None,
    };
    let typed = Script::parse(text).unwrap().eval(&context).unwrap();
    (typed.value, typed.media_type.essence())
}

#[test]
fn a_result_has_the_media_type_of_what_was_read() {
    let json = "application/json".to_owned();
    let java = "application/java".to_owned();
    assert_eq!(typed("payload.name"), ("\"Max\"".into(), json.clone()));
    assert_eq!(
        typed("payload"),
        ("{ \"name\": \"Max\", \"n\": 1 }".into(), json.clone())
    );
    assert_eq!(typed("(payload)").1, json);
    assert_eq!(
        typed("{id: payload.n}"),
        ("{\n  \"id\": 1\n}".into(), json.clone())
    );
    assert_eq!(typed("payload.n + vars.java"), (6.into(), java.clone()));
    assert_eq!(
        typed("payload.name ++ (error.description default '')").1,
        java
    );
    assert_eq!(typed("1"), (1.into(), java.clone()));
    assert_eq!(typed("vars.java"), (5.into(), java.clone()));
    assert_eq!(typed("vars.lit"), ("x".into(), "*/*".to_owned()));
    assert_eq!(typed("vars.lit ++ 'y'"), ("xy".into(), "*/*".to_owned()));
    assert_eq!(typed("{a: vars.lit}").1, java);
    assert_eq!(typed("vars.none"), (Value::Null, java.clone()));
    assert_eq!(
        typed("output application/json --- vars.java"),
        ("5".into(), json)
    );
    assert_eq!(typed("flow.name ++ app.name"), ("mainshop".into(), java));
}

#[test]
fn a_stored_object_keeps_the_last_of_equal_keys() {
    let (value, _) = typed("{state: 'OPEN', n: 1} ++ {state: 'HALF_OPEN'}");
    let expected = Value::object(vec![
        (Arc::from("state"), "HALF_OPEN".into()),
        (Arc::from("n"), 1.into()),
    ]);
    assert_eq!(value, expected);
}

#[test]
fn a_scope_that_cannot_be_read_says_why() {
    for (scope, words) in [
        (json!([1]), "must be a JSON object"),
        (json!({ "vars": 1 }), "vars must be"),
        (json!({ "variables": {} }), "the scope has no `variables`"),
        (json!({ "now": "soon" }), "now must be a moment"),
        (json!({ "payload": { "$what": 1 } }), "unknown tag $what"),
        (
            json!({ "payload": { "$number": "x" } }),
            "$number cannot hold",
        ),
    ] {
        let fault = read_scope(&scope).unwrap_err().to_string();
        assert!(fault.contains(words), "{scope}: {fault}");
    }
}

#[test]
fn no_script_runs_without_end() {
    fail(&[
        ("1 to 99999999999", "steps"),
        ("(1 to 2000) map ((x) -> (1 to 2000) map $)", "steps"),
        ("(1 to 100000) reduce ((i, acc = []) -> [acc])", "nested"),
        (
            "(1 to 100000) reduce ((i, acc = (x) -> x) -> (y) -> acc(y))",
            "nested",
        ),
        (
            "(1 to 100000) reduce ((i, acc = 'ab') -> acc ++ acc)",
            "bytes",
        ),
        (
            "(1 to 100000) reduce ((i, acc = [1]) -> acc ++ acc)",
            "steps",
        ),
        ("(1 to 100000) reduce ((i, acc = 3) -> acc * acc)", "digits"),
        ("(1 to 100000) map ('x' matches ('a{100}' ++ $))", "steps"),
        (
            "fun f(n) = if (n == 0) 0 else 1 + f(n - 1) --- f(100000)",
            "nested",
        ),
        ("fun f(n) = [f(n + 1)] --- f(0)", "nested"),
    ]);
    give(&[("fun f(n) = if (n == 0) 0 else 1 + f(n - 1) --- f(60)", "60")]);
    are_refused(&[
        (
            &format!("{}1{}", "(".repeat(5000), ")".repeat(5000)),
            "nested",
        ),
        (&format!("{}1", "not ".repeat(5000)), "nested"),
        (&format!("{}1", "if (true) ".repeat(5000)), "nested"),
        (&format!("{}1", "(x) -> ".repeat(5000)), "nested"),
        (&format!("{}1", "{a: ".repeat(5000)), "nested"),
        (&"\"$(".repeat(5000), "nested"),
        (&"x".repeat(70_000), "at most 65536"),
    ]);
    let deep = format!("{}1{}", "[".repeat(5000), "]".repeat(5000));
    let fault = eval_over(
        "read(payload, 'application/json')",
        &json!({ "payload": deep }),
    );
    assert!(fault.unwrap_err().contains("nested"));
    let sum = vec!["1"; 20_000].join("+");
    assert_eq!(eval_over(&sum, &json!({})).as_deref(), Ok("20000"));
    let chain = format!("payload{}", ".a".repeat(20_000));
    assert_eq!(eval_over(&chain, &json!({})).as_deref(), Ok("null"));
    let bangs = format!("{}true", "!".repeat(20_000));
    assert_eq!(eval_over(&bangs, &json!({})).as_deref(), Ok("true"));
}

/// Scripts and pieces of scripts from which mutations start.
const SEEDS: [&str; 22] = [
    "%dw 2.0\noutput application/json\nvar a = 1\nfun f(x, y = 2) = x + y\n---\n{a: f(a), (b: 2) if true}",
    "if (vars.count > 1) (1000 * (2 pow (vars.count - 1)) + randomInt(500)) as Number else 0",
    "payload.items map ((item, index) -> item.id default index) filter $ > 1",
    "\"Cannot $(payload.a ++ \"x\") of $(vars.count)\" ++ 'y'",
    "payload.b[-1 to 0] reduce ($$ ++ $) default []",
    "now() as String {format: \"yyyy-MM-dd'T'HH:mm:ss'Z'\"}",
    "'2026-01-01T00:00:00Z' as DateTime + |PT5M| >> 'UTC'",
    "payload.s match { case x is String -> x case y: 'z' -> y case w if w == 1 -> w else -> $ }",
    "'a1b2' replace /(\\d)/ with ($[1] ++ $$)",
    "do { var x = [1, (2) if false] --- x ++ [3] -- [1] }",
    "{a: 1, 'b': 2, (c): 3} mapObject {($$): $} - 'a'",
    "read(write(payload, 'application/json'), 'application/json')..*id",
    "not (true and false) or !payload.t? and 1 ~= '1'",
    "1234.5 as String {format: '#,##0.00'} splitBy ',' joinBy ''",
    "(1 to 5) groupBy ($ mod 2) orderBy $$ pluck sum($)",
    "error.errorType.identifier == 'TIMEOUT' and attributes.headers.'x-id' != null",
    "%dw 2.0 ns s http://s output application/xml --- s#a @(x: 1, (payload.o)): { s#'b': payload.items.*id }",
    "read('<a x=\"1\"><b/>t</a>', 'application/xml').a.@x default payload.*s#c.@.^mimeType",
    "payload update { case x at .o.k! if (x > 1) -> x + 1 case .items[0].@id -> $ }",
    "using (a = 1, b = payload.a) {x: a} ++ y: b [0]",
    "import * from dw::core::Strings import dw::Runtime as R --- R::try(() -> 'ab' first 1) orElse `x$(1)`",
    "write([{a: 1, b: 'x,y'}], 'application/csv', {separator: ';'}) ++ '2024-01-01' + |P1D|",
];

/// A script after a few edits.
fn mutated(random: &mut impl FnMut(usize) -> usize) -> String {
    const BITS: [&str; 40] = [
        "(", ")", "[", "]", "{", "}", "$", "$$", "\"", "'", "`", "|", "/", "\\", "#[", "]", "->",
        "---", "++", "--", ":", "::", "..", ".*", "?", "!", " as ", " is ", " if ", " else ",
        " match ", " map ", " to ", "9", "e", "\n", "é", "//", "/*", ",",
    ];
    let mut text: Vec<char> = SEEDS[random(SEEDS.len())].chars().collect();
    for _ in 0..=random(3) {
        let at = random(text.len() + 1);
        match random(4) {
            0 => {
                let end = (at + 1 + random(8)).min(text.len());
                text.drain(at..end.max(at));
            }
            1 => {
                let bit = BITS[random(BITS.len())];
                text.splice(at..at, bit.chars());
            }
            2 => {
                let other: Vec<char> = SEEDS[random(SEEDS.len())].chars().collect();
                let from = random(other.len());
                let to = (from + random(20)).min(other.len());
                text.splice(at..at, other[from..to].to_vec());
            }
            _ => {
                let end = (at + random(10)).min(text.len());
                let copy = text[at..end].to_vec();
                text.splice(at..at, copy);
            }
        }
    }
    text.into_iter().collect()
}

#[test]
fn ten_thousand_mutations_are_scripts_or_are_told_why_not() {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below.max(1) as u64) as usize
    };
    let scope = scope();
    let (mut values, mut faults, mut refused) = (0, 0, 0);
    for _ in 0..10_000 {
        let text = mutated(&mut random);
        let lines: Vec<&str> = text.split('\n').collect();
        match Script::parse(&text) {
            Ok(_) => match eval_over(&text, &scope) {
                Ok(_) => values += 1,
                Err(_) => faults += 1,
            },
            Err(fault) => {
                refused += 1;
                assert!(
                    fault.line >= 1 && fault.line <= lines.len(),
                    "{text}: {fault}"
                );
                let width = lines[fault.line - 1].chars().count();
                assert!(fault.col >= 1 && fault.col <= width + 1, "{text}: {fault}");
                assert!(
                    !fault.message.is_empty() && !fault.mend.is_empty(),
                    "{text}"
                );
            }
        }
    }
    assert!(
        values > 300 && faults > 300 && refused > 300,
        "{values} {faults} {refused}"
    );
}

/// A JSON value as in DataWeave: numbers are exact, objects are in order.
fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "-?[0-9]{1,20}\\.[0-9]{1,20}"
            .prop_map(|text| Value::from(fusebox_dataweave::Number::parse(&text).unwrap())),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 64, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Value::array),
            prop::collection::vec(("[ab\"é]{0,2}", inner), 0..8).prop_map(|entries| {
                let entries = entries
                    .into_iter()
                    .map(|(key, value)| (Arc::from(key), value));
                Value::object(entries.collect())
            }),
        ]
    })
}

/// A number expression, with and without its parentheses.
fn sum() -> impl Strategy<Value = (String, String)> {
    let leaf = (0..100_i64).prop_map(|number| (number.to_string(), number.to_string()));
    leaf.prop_recursive(5, 32, 2, |inner| {
        (inner.clone(), "[-+*]", inner).prop_map(|((a, a_full), operator, (b, b_full))| {
            // Without parentheses the result is the same if the left side binds at least as tightly.
            let plain = match operator.as_str() {
                "*" => format!("({a}) {operator} ({b})"),
                _ => format!("{a} {operator} ({b})"),
            };
            (plain, format!("(({a_full}) {operator} ({b_full}))"))
        })
    })
}

proptest! {
    #[test]
    fn any_text_is_a_script_or_is_told_why_not(text in any::<String>()) {
        let scope = scope();
        let _ = eval_over(&text, &scope);
        let _ = Detected::of(&text);
    }

    #[test]
    fn json_is_the_same_after_a_round_trip(value in json_value(), indent in any::<bool>()) {
        let mut event = Event::default();
        event.vars.insert("x".into(), Typed::java(value.clone()));
        let zone = TimeZone::UTC;
        let context = Context {
            event: &event,
            properties: &Properties::new(),
            flow: "",
            app: "",
            now: NOW,
            zone: &zone,
            random: &Random::seeded(1),
            waits: None,
        };
        let text = format!(
            "read(write(vars.x, 'application/json', {{indent: {indent}}}), 'application/json') == vars.x"
        );
        let same = Script::parse(&text).unwrap().eval(&context).unwrap();
        prop_assert_eq!(same.value, Value::Bool(true));
    }

    #[test]
    fn parentheses_that_precedence_implies_change_nothing((plain, full) in sum()) {
        let scope = json!({});
        prop_assert_eq!(eval_over(&plain, &scope), eval_over(&full, &scope));
    }

    #[test]
    fn sums_and_products_of_whole_numbers_are_exact(a in any::<i64>(), b in any::<i64>()) {
        let scope = json!({ "vars": { "a": a, "b": b } });
        let (a, b) = (i128::from(a), i128::from(b));
        prop_assert_eq!(eval_over("vars.a + vars.b", &scope), Ok((a + b).to_string()));
        prop_assert_eq!(eval_over("vars.a * vars.b", &scope), Ok((a * b).to_string()));
    }

    #[test]
    fn order_and_equality_of_numbers_agree(a in -50..50_i64, b in -50..50_i64) {
        let scope = json!({ "vars": { "a": a, "b": b } });
        for (operator, holds) in [("<", a < b), ("<=", a <= b), ("==", a == b), ("!=", a != b)] {
            let text = format!("vars.a {operator} vars.b");
            prop_assert_eq!(eval_over(&text, &scope), Ok(holds.to_string()));
        }
    }

    #[test]
    fn a_moment_is_the_same_after_its_text(seconds in -62_000_000_000..200_000_000_000_i64) {
        let scope = json!({ "vars": { "s": seconds } });
        let there = "(vars.s as DateTime >> 'Europe/Paris') as String as DateTime as Number == vars.s";
        prop_assert_eq!(eval_over(there, &scope), Ok("true".to_owned()));
    }
}
