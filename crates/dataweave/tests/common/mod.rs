//! What the tests of expressions share: evaluation over a scope in JSON, on a fixed clock.

use fusebox_dataweave::jiff::{Timestamp, tz::TimeZone};
use fusebox_dataweave::{Random, eval};
use serde_json::Value as Json;

/// The clock of all tests: 2026-01-01T00:07:09.9Z.
const NOW: Timestamp = Timestamp::constant(1_767_226_029, 900_000_000);

/// The value of an expression as JSON on one line, or its fault.
pub fn eval_over(text: &str, scope: &Json) -> Result<String, String> {
    let random = Random::seeded(1);
    eval(text, scope, NOW, TimeZone::UTC, &random).map_err(|fault| fault.to_string())
}

/// Checks that each expression gives a value with this JSON.
#[track_caller]
pub fn give(scope: &Json, cases: &[(&str, &str)]) {
    for (text, json) in cases {
        assert_eq!(eval_over(text, scope).as_deref(), Ok(*json), "{text}");
    }
}

/// Checks that each expression fails with this text, when it is parsed or evaluated.
#[track_caller]
pub fn fail(scope: &Json, cases: &[(&str, &str)]) {
    for (text, words) in cases {
        match eval_over(text, scope) {
            Ok(value) => panic!("{text} gives {value}"),
            Err(fault) => assert!(fault.contains(words), "{text}: {fault}"),
        }
    }
}
