//! CSV: rows read and written, with the options of the format.

mod common;

use common::{eval_over, fail, give};
use serde_json::{Value as Json, json};

fn csv(text: &str, mime: &str) -> Json {
    json!({ "payload": { "$typed": { "value": text, "mediaType": mime } } })
}

#[test]
fn rows_are_read_by_their_header() {
    let java = |text: &str| format!("output application/java --- {text}");
    let scope = csv(
        "name,cups\n\"Max, \\\"the pot\\\"\",2\r\n\nAnna,\"a \"\"b\"\"\"\nx,1,extra\nonly\n",
        "text/csv; charset=UTF-8",
    );
    for (text, wanted) in [
        ("payload[0]", r#"{"name":"Max, \"the pot\"","cups":"2"}"#),
        ("payload.name", r#"["Max, \"the pot\"","Anna","x","only"]"#),
        ("payload[1].cups", r#""a \"b\"""#),
        (
            "payload[2]",
            r#"{"name":"x","cups":"1","column_2":"extra"}"#,
        ),
        ("payload[3]", r#"{"name":"only"}"#),
        ("sum(payload[0 to 0] map $.cups)", "2"),
    ] {
        assert_eq!(
            eval_over(&java(text), &scope).as_deref(),
            Ok(wanted),
            "{text}"
        );
    }
    let scope = csv("a|b\nc|d", "application/csv; header=false; separator=\"|\"");
    give(&scope, &[(&java("payload[1].column_1"), r#""d""#)]);
    give(
        &json!({}),
        &[
            (
                "read('a;b\\n1;2', 'application/csv', {separator: ';'})",
                r#"[{"a":"1","b":"2"}]"#,
            ),
            (
                "read('a,b', 'application/csv', {header: false})",
                r#"[{"column_0":"a","column_1":"b"}]"#,
            ),
            ("read('', 'application/csv')", "[]"),
        ],
    );
}

#[test]
fn rows_are_written_with_a_header() {
    for (text, wanted) in [
        (
            "output application/csv --- [{a: 1, b: 'x,y'}, {a: null, b: 'say \"hi\"'}]",
            "a,b\n1,\"x,y\"\n,\"say \\\"hi\\\"\"\n",
        ),
        (
            "output application/csv --- {a: 1, b: true}",
            "a,b\n1,true\n",
        ),
        (
            "output application/csv header=false, separator=\"|\" --- [{a: 1, b: 2}]",
            "1|2\n",
        ),
        (
            "output application/csv quoteValues=true, quoteHeader=true, lineSeparator=\"\\r\\n\" --- [{a: 1}]",
            "\"a\"\r\n\"1\"\r\n",
        ),
        ("output csv --- [{a: 1, b: 2}, {b: 3}]", "a,b\n1,2\n,3\n"),
        ("write([{a: 1}], 'text/csv', {header: false})", "1\n"),
        ("output application/csv --- []", ""),
    ] {
        let wanted = Json::from(wanted).to_string();
        assert_eq!(
            eval_over(text, &json!({})).as_deref(),
            Ok(wanted.as_str()),
            "{text}"
        );
    }
    // Without a directive, rows of rows are rows.
    let scope = csv("a,b\n1,2\n", "application/csv");
    give(
        &scope,
        &[
            ("payload map { a: $.b }", r#""a\n2\n""#),
            ("payload[0].a", r#""1""#),
        ],
    );
    fail(
        &json!({}),
        &[
            (
                "output application/csv --- 1",
                "CSV needs an array of objects",
            ),
            (
                "output application/csv --- [1]",
                "CSV needs an array of objects",
            ),
            (
                "output application/csv --- [{a: [1]}]",
                "cannot become String",
            ),
            (
                "output application/csv separator=\"ab\" --- []",
                "one ASCII character",
            ),
        ],
    );
}

#[test]
fn hostile_rows_are_bounded() {
    let wide = csv(&format!("{}\n", ",".repeat(3 << 20)), "text/csv");
    fail(&wide, &[("payload[0]", "needs more than 64 MiB")]);
    let long = csv(&"a\n".repeat(2 << 20), "text/csv");
    fail(&long, &[("payload[0]", "needs more than 64 MiB")]);
}

#[test]
fn options_of_the_reader_change_nothing_that_is_written() {
    give(
        &json!({}),
        &[(
            "output application/csv headerLineNumber = 0, bodyStartLineNumber = 3, ignoreEmptyLine = true, header = true --- [{a: 1}]",
            r#""a\n1\n""#,
        )],
    );
    let text = "output application/csv headerLineNumber = true --- [{a: 1}]";
    fail(
        &json!({}),
        &[(text, "the option `headerLineNumber` cannot be that")],
    );
}
