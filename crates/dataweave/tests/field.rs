//! What scripts in the field write: dates as texts, selectors after white space, pairs without braces, `update`,
//! `using`, metadata, and DataWeave's own form.

mod common;

use common::{fail, give};
use serde_json::json;

#[test]
fn sums_and_differences_take_texts_for_dates_and_periods() {
    let scope = json!({ "vars": { "at": "2024-01-01T00:00:00Z", "for": "PT5S", "count": "7" } });
    give(
        &scope,
        &[
            (
                r#""2024-01-01T00:00:00Z" + |PT5S|"#,
                r#""2024-01-01T00:00:05Z""#,
            ),
            (
                r#"|PT5S| + "2024-01-01T00:00:00Z""#,
                r#""2024-01-01T00:00:05Z""#,
            ),
            (
                r#"|2024-01-01T00:00:00Z| + "PT5S""#,
                r#""2024-01-01T00:00:05Z""#,
            ),
            (
                r#""PT5S" + |2024-01-01T00:00:00Z|"#,
                r#""2024-01-01T00:00:05Z""#,
            ),
            ("vars.at + vars.for", r#""2024-01-01T00:00:05Z""#),
            (
                r#""2024-01-01T00:00:00" + |P1D|"#,
                r#""2024-01-02T00:00:00""#,
            ),
            (r#""2024-01-31" + |P1M|"#, r#""2024-02-29""#),
            (r#""10:00:00" + |PT90M|"#, r#""11:30:00""#),
            // Two periods are counted, as the documentation of `hours` shows.
            (r#""PT5S" + |PT5S|"#, "10"),
            ("|P1Y| + |P1M|", "13"),
            ("|P1D| + |PT1H|", r#""P1DT1H""#),
            (r#"|PT5S| - "PT2S""#, "3"),
            ("(now() - (now() - |PT90S|)) / 60", "1.5"),
            ("|P1Y12M| as Number {unit: 'years'}", "2"),
            (
                r#""2024-01-01T00:00:05Z" - |PT5S|"#,
                r#""2024-01-01T00:00:00Z""#,
            ),
            (
                r#"|2024-01-01T00:00:05Z| - "PT5S""#,
                r#""2024-01-01T00:00:00Z""#,
            ),
            ("|2024-01-01T00:00:05Z| - vars.at", r#""PT5S""#),
            ("vars.at - |2024-01-01T00:00:05Z|", r#""PT-5S""#),
            (r#""2024-01-01T00:00:05Z" - vars.at"#, r#""PT5S""#),
            (r#""2024-01-03" - |2024-01-01|"#, r#""PT48H""#),
            (r#"-"PT5S""#, r#""PT-5S""#),
            ("vars.at + |PT5S| < now()", "true"),
            ("now() > vars.at", "true"),
            ("now() - |PT1H| > vars.at", "true"),
            ("(now() - vars.at) > |PT30S|", "true"),
            ("|PT1M| > vars.for", "true"),
            // A period before the minus moves the date back as well.
            ("|P1Y| - |2019-10-01|", r#""2018-10-01""#),
            (r#""PT9M" - |23:59:56|"#, r#""23:50:56""#),
            // Beside a period a number is a moment.
            ("0 + |PT5S|", r#""1970-01-01T00:00:05Z""#),
            ("|PT5S| + 60", r#""1970-01-01T00:01:05Z""#),
            ("60 - |PT5S|", r#""1970-01-01T00:00:55Z""#),
            (
                "(vars.none default 0) + (\"PT$(vars.count)S\" as Period) < now()",
                "true",
            ),
            // Numbers stay numbers, and lists stay lists.
            (r#"vars.count + "1""#, "8"),
            (r#""10" - "1" * "2""#, "8"),
            (r#"[1] + "PT5S""#, r#"[1,"PT5S"]"#),
            ("now() - 1767226000", "29"),
            ("1767226030 - now()", "1"),
        ],
    );
    fail(
        &scope,
        &[
            (r#""tomorrow" + |PT5S|"#, "has no meaning"),
            (r#""2024-01-01" + |PT5S|"#, "has no meaning"),
            (r#"vars.at + "tea""#, "expects numbers"),
            ("null + |PT5S|", "has no meaning"),
            ("now() + now()", "expects numbers"),
        ],
    );
}

#[test]
fn any_value_that_has_a_text_may_be_asked_for_emptiness() {
    let scope = json!({ "vars": { "flag": true } });
    give(
        &scope,
        &[
            ("isEmpty(vars.flag)", "false"),
            ("isEmpty(0)", "false"),
            ("isEmpty(vars.none) or vars.flag", "true"),
        ],
    );
}

#[test]
fn a_selector_may_follow_white_space() {
    let scope = json!({ "payload": { "cups": [{ "id": 2, "name": "oolong" }, { "id": 3 }] } });
    give(
        &scope,
        &[
            ("(payload.cups filter ($.id == 2)) [0].name", r#""oolong""#),
            (
                "(payload.cups filter ($.id == 2))\n  [0]\n  .name",
                r#""oolong""#,
            ),
            ("payload . cups [0] . name", r#""oolong""#),
            ("payload.cups [-1] .id", "3"),
            ("payload.cups // the first\n [0].id", "2"),
            ("payload [\"cups\"] [0 to 0] .id", "[2]"),
            ("sizeOf(payload.cups [?($.id > 2)])", "1"),
            ("payload.tea ?", "false"),
            // After an operator brackets are a list.
            ("payload.cups.id map [$]", "[[2],[3]]"),
            ("payload.cups.id ++ [4]", "[2,3,4]"),
            ("payload.cups.id -- [2]", "[3]"),
            ("payload.cups.id + [4]", "[2,3,[4]]"),
            ("payload.tea default [5]", "[5]"),
            ("[1] contains [1]", "false"),
            ("if (true) [1] else [2]", "[1]"),
            ("1 match { case 1 -> [1] else -> [2] }", "[1]"),
            ("payload.cups.id == [2, 3] and true", "true"),
            ("[2] == [2]", "true"),
        ],
    );
}

#[test]
fn a_pair_needs_no_braces_as_an_operand() {
    give(
        &json!({ "payload": [1, 2] }),
        &[
            (r#""a": {x: 1} ++ "b": 2"#, r#"{"a":{"x":1,"b":2}}"#),
            ("{x: 1} ++ b: 2", r#"{"x":1,"b":2}"#),
            (r#"{x: 1} ++ ("b"): 2"#, r#"{"x":1,"b":2}"#),
            (r#"{x: 1} ++ ("b": 2)"#, r#"{"x":1,"b":2}"#),
            ("{x: 1} ++ (b: 2)", r#"{"x":1,"b":2}"#),
            ("{x: 1, b: 2} -- b: 2", r#"{"x":1}"#),
            ("null default a: 1", r#"{"a":1}"#),
            ("payload map a: $", r#"[{"a":1},{"a":2}]"#),
            ("if (true) a: 1 else b: 2", r#"{"a":1}"#),
            ("sizeOf(a: 1)", "1"),
            ("do { var a = 1 --- x: a }", r#"{"x":1}"#),
            ("1 match { case 1 -> a: 1 else -> b: 2 }", r#"{"a":1}"#),
            ("((a: Number) -> a + 1)(2)", "3"),
            ("a: b: c: 1", r#"{"a":{"b":{"c":1}}}"#),
            (
                "payload map book: price: $",
                r#"[{"book":{"price":1}},{"book":{"price":2}}]"#,
            ),
            ("payload map () -> { a: $ }", r#"[{"a":1},{"a":2}]"#),
            (
                "'pay.x' match { case t if t startsWith 'pay' -> 1 else -> 2 }",
                "1",
            ),
            ("[1, (2) if 'a' contains 'b', 3]", "[1,3]"),
            ("@TailRec() fun f(n) = n --- f(1)", "1"),
            (
                "output application/problem+json with json indent=false --- {a: 1}",
                r#""{\"a\":1}""#,
            ),
        ],
    );
}

#[test]
fn update_changes_places_within_a_value() {
    let scope = json!({
        "payload": {
            "a": 0, "b": 2, "name": "Ken", "at": { "street": "x", "zip": [1, 2] },
            "list": [{ "n": 1 }, { "n": 2 }, 3]
        },
        "vars": { "key": "b" }
    });
    give(
        &scope,
        &[
            ("{a: 0, b: 2} update { case .a -> 1 }", r#"{"a":1,"b":2}"#),
            (
                "{a: 0, b: 2} update { case x at .a -> x + 1 case .b -> $ * 2 }",
                r#"{"a":1,"b":4}"#,
            ),
            (
                "(payload update { case .at.street -> 'y' }).at.street",
                r#""y""#,
            ),
            (
                "(payload update { case s at .at.zip[0] -> s + 9 }).at.zip",
                "[10,2]",
            ),
            ("(payload update { case .at.zip[-1] -> 7 }).at.zip", "[1,7]"),
            ("[1, 2] update { case [1] -> $ + 1 }", "[1,3]"),
            (
                "(payload update { case .list.n -> $ + 10 }).list.n",
                "[11,12]",
            ),
            (
                r#"{b: 2, c: 3} update { case ."$(vars.key)" -> 9 }"#,
                r#"{"b":9,"c":3}"#,
            ),
            (
                "{a: 1} update { case x at .a if (x > 1) -> 5 case x at .a if (x == 1) -> 6 }",
                r#"{"a":6}"#,
            ),
            ("{a: 1} update { case .a if ($ > 1) -> 5 }", r#"{"a":1}"#),
            ("{a: 1} update { case .b -> 2 }", r#"{"a":1}"#),
            ("{a: 1} update { case .b! -> 2 }", r#"{"a":1,"b":2}"#),
            (
                "{a: 1} update { case n at .b.c! -> if (n == null) 'new' else n }",
                r#"{"a":1,"b":{"c":"new"}}"#,
            ),
            ("{a: [1]} update { case .a[1]! -> 2 }", r#"{"a":[1,2]}"#),
            ("null update { case .a -> 2 }", "null"),
            (
                "[{n: 1}, {n: 2}] map ($ update { case .n -> $ + 1 })",
                r#"[{"n":2},{"n":3}]"#,
            ),
            ("{a: 0} update { case .a -> b: 1 }", r#"{"a":{"b":1}}"#),
            ("{x: {a: 0}} update { case .x.*a -> 1 }", r#"{"x":{"a":1}}"#),
        ],
    );
    fail(
        &scope,
        &[
            ("payload update { .a -> 1 }", "expected `case`"),
            ("payload update { case a -> 1 }", "expected `at`"),
            ("payload update { case -> 1 }", "expected a place"),
        ],
    );
}

#[test]
fn texts_are_lists_of_characters_or_dates_to_some_functions() {
    give(
        &json!({}),
        &[
            ("'hello world' filter ($ == 'o' or $$ == 0)", r#""hoo""#),
            ("'abc' reduce ((item, acc = '') -> item ++ acc)", r#""cba""#),
            ("'aba' groupBy $", r#"{"a":"aa","b":"b"}"#),
            ("'2017-10-01T22:57:59-03:00' as Date", r#""2017-10-01""#),
            // A frequent slip: the year of the week.
            (
                "|2019-12-28| as String {format: 'YYYY-MM-dd'}",
                r#""2019-12-28""#,
            ),
            (
                "|2019-12-29| as String {format: 'YYYY-MM-dd'}",
                r#""2020-12-29""#,
            ),
        ],
    );
}

#[test]
fn match_takes_lists_and_objects_apart() {
    let sum = "fun sum(it) = it match { case [] -> 0 case [head ~ tail] -> head + sum(tail) } ---";
    give(&json!({}), &[(&format!("{sum} sum([1, 2, 3])"), "6")]);
    let keys =
        "fun keys(it) = it match { case {} -> '' case {k: v ~ rest} -> k ++ v ++ keys(rest) } ---";
    give(
        &json!({}),
        &[(&format!("{keys} keys({{a: 1, b: 2}})"), r#""a1b2""#)],
    );
    give(
        &json!({}),
        &[
            (
                "1 match { case [] -> 'a' case [x ~ y] -> x else -> 'b' }",
                r#""b""#,
            ),
            ("{} match { case [] -> 'a' case {} -> 'b' }", r#""b""#),
            (
                "[1] match { case [x ~ y] if (x > 1) -> 'a' else -> $ }",
                "[1]",
            ),
        ],
    );
}

#[test]
fn functions_of_one_name_are_told_apart_by_their_arguments() {
    let header = "fun name(it: Null) = 'none' fun name(it: String) = it fun name(it: Number) = 'no. ' ++ it \
                  fun name(a, b) = a ++ b ---";
    let cases = [
        ("name(null)", r#""none""#),
        ("name('tea')", r#""tea""#),
        ("name(7)", r#""no. 7""#),
        ("name('a', 'b')", r#""ab""#),
        ("[1, 'x', null] map name($)", r#"["no. 1","x","none"]"#),
    ];
    for (text, json) in cases {
        give(&json!({}), &[(&format!("{header} {text}"), json)]);
    }
    fail(
        &json!({}),
        &[("var a = 1 fun a() = 2 --- a", "declared twice")],
    );
}

#[test]
fn using_declares_what_do_declares() {
    give(
        &json!({ "payload": [1, 2] }),
        &[
            ("using (a = 1, b = a + 1) a + b", "3"),
            (
                "using (a = payload) { x: a[0], y: sizeOf(a) }",
                r#"{"x":1,"y":2}"#,
            ),
            (
                "payload map using (n = $ * 2) { n: n }",
                r#"[{"n":2},{"n":4}]"#,
            ),
            ("using (f = (x) -> x * 2) f(4)", "8"),
        ],
    );
}

#[test]
fn read_and_write_know_the_own_form_of_dataweave() {
    give(
        &json!({}),
        &[
            (
                "read('{a: 1, \"b c\": [|PT5S|, -2, null]}')",
                r#"{"a":1,"b c":["PT5S",-2,null]}"#,
            ),
            ("read('[1, 2]', 'json')[1]", "2"),
            ("read(write({a: 1}, 'json'), 'json').a", "1"),
            ("do { var id = 'json' --- read('[1, 2]', id)[1] }", "2"),
            ("read('|2024-01-01|') + |P1D|", r#""2024-01-02""#),
            ("read('{a: 1}', 'application/dw').a", "1"),
            (
                "read(write({a: 'x\\$y', b: [true, {}, []]}))",
                r#"{"a":"x$y","b":[true,{},[]]}"#,
            ),
            (
                "write({a: 1, 'b-c': 'x'})",
                "\"{\\n  a: 1,\\n  \\\"b-c\\\": \\\"x\\\"\\n}\"",
            ),
            ("read(write('Mule' as Binary)) as String", r#""Mule""#),
            ("read('a', 'application/octet-stream') is Binary", "true"),
            ("'4D' as Binary {base: '16'} as String", r#""M""#),
            ("'Mule' as Binary as String {base: 64}", r#""TXVsZQ==""#),
            ("typeOf([1] as Iterator)", r#""Array""#),
        ],
    );
    fail(
        &json!({ "payload": 1 }),
        &[
            ("read('payload')", "it has names in it"),
            ("read('1 to 1000000')", "it has names in it"),
            ("read('do { var a = 1 --- 1 }')", "it has names in it"),
            ("read('{')", "not a value of DataWeave"),
            ("read('(a) -> a')", "not a value of DataWeave"),
        ],
    );
}

#[test]
fn metadata_of_parts_of_the_event_is_selected() {
    let json = json!({ "$typed": {
        "value": "{\"a\": 1}", "mediaType": "application/json; charset=UTF-8"
    } });
    let scope = json!({ "payload": json, "vars": { "raw": json, "plain": "tea" } });
    let cases = [
        ("payload.^mimeType", r#""application/json""#),
        ("payload.^mediaType", r#""application/json; charset=UTF-8""#),
        ("payload.^encoding", r#""UTF-8""#),
        ("payload.^raw as String", r#""{\"a\": 1}""#),
        ("payload.^contentLength", "8"),
        ("message.payload.^mimeType", r#""application/json""#),
        ("vars.raw.^mimeType", r#""application/json""#),
        ("vars.plain.^mimeType", r#""application/java""#),
        ("vars.none.^mimeType", "null"),
        ("attributes.^mimeType", r#""application/java""#),
        ("payload.^mimeType == 'application/json'", "true"),
        ("payload.^mimeType splitBy '/'", r#"["application","json"]"#),
        ("payload.a.^class", "null"),
    ];
    for (text, json) in cases {
        // Without a directive the result would be a text of the payload's media type.
        let text = format!("output application/java --- {text}");
        give(&scope, &[(&text, json)]);
    }
    // What cannot be read has metadata all the same.
    let bad = json!({ "payload": { "$typed": { "value": "{", "mediaType": "application/json" } } });
    give(
        &bad,
        &[(
            "output application/java --- payload.^mimeType",
            r#""application/json""#,
        )],
    );
}

#[test]
fn options_of_casts_that_change_nothing_are_taken_and_ways_of_rounding_heeded() {
    give(
        &json!({}),
        &[
            (
                r#"{a: 1} as Object {encoding: "UTF-8", mediaType: "application/json"}"#,
                r#"{"a":1}"#,
            ),
            (
                r#""1" as Number {class: "java.lang.Integer", any: true}"#,
                "1",
            ),
            (
                r#"1.239 as String {format: "0.00", roundMode: "DOWN"}"#,
                r#""1.23""#,
            ),
            (
                r#"1.231 as String {format: "0.00", roundMode: "UP"}"#,
                r#""1.24""#,
            ),
            (
                r#"-1.231 as String {format: "0.00", roundMode: "CEILING"}"#,
                r#""-1.23""#,
            ),
            (
                r#"1.225 as String {format: "0.00", roundMode: "HALF_UP"}"#,
                r#""1.23""#,
            ),
        ],
    );
    fail(
        &json!({}),
        &[(
            r#"1.2 as String {format: "0", roundMode: "NEAR"}"#,
            "expected UP, DOWN",
        )],
    );
}

#[test]
fn a_backslash_before_a_letter_that_needs_none_stays() {
    give(
        &json!({}),
        &[
            (
                r#""get:\orders\(id):config""#,
                r#""get:\\orders\\(id):config""#,
            ),
            (r#""(/\w*)""#, r#""(/\\w*)""#),
            (r#""a\tb""#, r#""a\tb""#),
        ],
    );
}

#[test]
fn values_may_be_written_as_java_under_the_name_that_studio_writes() {
    give(
        &json!({}),
        &[("%dw 2.0 output applicaton/java --- {a: 1}", r#"{"a":1}"#)],
    );
}

#[test]
fn the_clock_in_milliseconds_is_a_module_of_its_own() {
    give(
        &json!({}),
        &[
            (
                "import * from dw::util::Timer --- duration(() -> 1 + 1).result",
                "2",
            ),
            (
                "import * from dw::util::Timer --- time(() -> 1 + 1).result",
                "2",
            ),
            (
                "dw::util::Timer::toMilliseconds(|1970-01-01T00:00:01Z|)",
                "1000",
            ),
            (
                "dw::util::Timer::currentMilliseconds() - now() as Number {unit: 'milliseconds'}",
                "0",
            ),
        ],
    );
    fail(
        &json!({}),
        &[
            ("import java!java::lang::System --- 1", "classes of Java"),
            (
                "java!com::example::Names::first(payload)",
                "classes of Java",
            ),
        ],
    );
}
