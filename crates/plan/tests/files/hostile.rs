//! Hostile texts: each gives a plan or errors, in bounded time, and never a panic.

use std::time::{Duration, Instant};

use crate::support::{Machine, lines, read_text};
use fusebox_plan::{Severity, Source, eval_native, read};
use proptest::prelude::*;

const FULL: &str = include_str!("../../../../examples/full.yaml");

fn survives(text: &[u8]) {
    let machine = Machine {
        env: [("ORDERS_URL", "http://a")].into(),
        files: [
            ("/run/secrets/admin", "t"),
            ("/run/secrets/read", "r"),
            ("/run/secrets/service", "s"),
        ]
        .into(),
    };
    let reading = read(&[Source { name: "x", text }], &machine);
    let errors = reading
        .diagnostics
        .iter()
        .filter(|diagnostic| diagnostic.severity == Severity::Error)
        .count();
    assert_eq!(reading.plan.is_none(), errors > 0);
    for diagnostic in &reading.diagnostics {
        assert!(diagnostic.line >= 1 && diagnostic.col >= 1);
        assert!(!diagnostic.what.is_empty() && !diagnostic.mend.is_empty());
        assert!(
            !diagnostic.to_string().contains(['\n', '\u{1b}']),
            "{diagnostic}"
        );
    }
    assert!(
        reading
            .diagnostics
            .is_sorted_by_key(|diagnostic| (diagnostic.line, diagnostic.col))
    );
}

/// Far above what any of these needs, far below what quadratic work on 1 MiB takes.
#[allow(
    clippy::disallowed_methods,
    reason = "the test asks how long reading takes; the plan knows no time"
)]
fn soon<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let done = work();
    assert!(
        start.elapsed() < Duration::from_secs(20),
        "{what} took {:?}",
        start.elapsed()
    );
    done
}

#[test]
fn a_megabyte_of_anything_is_read_or_refused_in_time() {
    let cases = [
        "[",
        "{",
        "- ",
        "? ",
        "a: ",
        "[a,",
        "{a: ",
        "\"",
        "'",
        "!",
        "&a ",
        "*a ",
        "|\n ",
        "# ",
        "\n",
        "- - a\n",
        "k: v\n",
        "${",
        "$${",
        "%",
        "---\n",
        "\t",
        "a\n",
        "[]",
        "{}",
        ",",
        ": ",
        "é",
        "\\",
        "<",
        "listen: ${A}\n",
        "[[],",
        "a,",
    ];
    for case in cases {
        for prefix in ["", "a: ", "a: [", "a: \"", "a: '"] {
            let bytes = if prefix.is_empty() {
                (1 << 20) - 8
            } else {
                1 << 16
            };
            let text = format!("{prefix}{}", case.repeat(bytes / case.len()));
            soon(&format!("{prefix}{case}…"), || survives(text.as_bytes()));
        }
    }
    let keys: String = (0..20_000).map(|n| format!("k{n}: {n}\n")).collect();
    soon("many keys", || survives(keys.as_bytes()));
    let routes: String = (0..10_000)
        .map(|n| format!("  - {{ path: /r{n}, upstream: a }}\n"))
        .collect();
    let text = format!(
        "listen: 127.0.0.1:0\nupstreams: {{ a: {{ url: http://a, breaker: {{}} }} }}\nroutes:\n{routes}"
    );
    let reading = soon("many routes", || read_text(&text));
    assert_eq!(lines(&reading), "");
    assert_eq!(reading.plan.map(|plan| plan.routes.len()), Some(10_000));
}

#[test]
fn a_bomb_of_aliases_is_refused_at_its_first_anchor() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for n in 1..9 {
        bomb.push_str(&format!(
            "a{n}: &a{n} [{}]\n",
            vec![format!("*a{}", n - 1); 9].join(", ")
        ));
    }
    assert!(lines(&read_text(&bomb)).starts_with("fb.yaml:1:5: error: anchors"));
}

#[test]
fn a_file_over_its_size_is_refused() {
    let text = " ".repeat((1 << 20) + 1);
    assert!(lines(&read_text(&text)).contains("more than 1048576"));
}

/// Pieces of a valid file, put together wrongly.
fn pieces() -> impl Strategy<Value = String> {
    let words: Vec<String> = FULL
        .split_inclusive([' ', '\n', ',', '{', '}'])
        .map(str::to_owned)
        .collect();
    proptest::collection::vec(proptest::sample::select(words), 0..80)
        .prop_map(|words| words.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn arbitrary_bytes_give_a_plan_or_errors(bytes: Vec<u8>) {
        survives(&bytes);
    }

    #[test]
    fn arbitrary_text_gives_a_plan_or_errors(text in "[\\PC\n\t]{0,200}") {
        survives(text.as_bytes());
    }

    #[test]
    fn pieces_of_a_file_give_a_plan_or_errors(text in pieces()) {
        survives(text.as_bytes());
    }

    #[test]
    fn a_damaged_file_gives_a_plan_or_errors(at in 0..FULL.len(), length in 0usize..20, put in "[-\\[\\]{}:,'\"#&*!|>%@`$ \na0é]{0,4}") {
        let mut bytes = FULL.as_bytes().to_vec();
        let end = (at + length).min(bytes.len());
        bytes.splice(at..end, put.bytes());
        survives(&bytes);
    }

    #[test]
    fn an_arbitrary_expression_has_a_value_or_an_error(text in "[-+*/%!<>=&|?:.,()\\[\\]{} '\"0-9a-zé]{0,60}") {
        let _ = eval_native(&text, &serde_json::json!({ "a": 1, "b": "x", "m": { "k": [1, 2] } }));
    }

    #[test]
    fn pieces_of_expressions_have_a_value_or_an_error(parts in proptest::collection::vec(proptest::sample::select(vec![
        "a", "b", "m", "m.k", "1", "0", "9223372036854775807", "1u", "2.5", "'s'", "\"\\u00e9\"", "true", "null", "+", "-", "*", "/", "%",
        "==", "!=", "<", ">=", "&&", "||", "!", "?", ":", "(", ")", "[", "]", "{", "}", ",", ".", "in", ".map(x, x)", ".all(x, x > 1)",
        ".exists(x, ", "size(", "has(m.k)", ".matches('(a+)+$')", "duration('1s')", "string(", "int(", "type(", "b'\\xff'",
    ]), 0..24)) {
        let _ = eval_native(&parts.join(" "), &serde_json::json!({ "a": 1, "b": "x", "m": { "k": [1, 2] } }));
    }
}
