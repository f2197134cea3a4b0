//! Times and rules of a breaker in the units that people read.

use std::time::{Duration, SystemTime};

use serde_json::Value;

/// A duration in its two largest units, such as `350 ms`, `2 s`, `3 min 4 s` or `2 d 5 h`.
pub fn span(duration: Duration) -> String {
    let seconds = duration.as_secs();
    if seconds == 0 {
        return format!("{} ms", duration.as_millis());
    }
    let units = [
        (seconds / 86_400, "d"),
        (seconds / 3_600 % 24, "h"),
        (seconds / 60 % 60, "min"),
        (seconds % 60, "s"),
    ];
    let first = units.iter().position(|(count, _)| *count > 0);
    let shown = units.iter().skip(first.unwrap_or(3)).take(2);
    let shown = shown.filter(|(count, _)| *count > 0);
    let shown: Vec<_> = shown
        .map(|(count, unit)| format!("{count} {unit}"))
        .collect();
    shown.join(" ")
}

/// A time of a breaker's JSON, if it has one there.
fn time(value: &Value) -> Option<SystemTime> {
    humantime::parse_rfc3339(value.as_str()?).ok()
}

/// The time that has passed from one time to a later one of the same answer.
pub fn between(from: &Value, to: &Value) -> Option<String> {
    let passed = time(to)?.duration_since(time(from)?);
    Some(span(passed.unwrap_or_default()))
}

/// A rule's observation beside its threshold: `3 of 5`, or shares as `12 % of 50 %`.
pub fn progress(rule: &Value) -> String {
    let is_share = matches!(
        rule["rule"].as_str(),
        Some("failure_rate" | "slow_rate" | "adaptive")
    );
    let [observed, threshold] = ["observed", "threshold"].map(|name| {
        let number = rule[name].as_f64().unwrap_or_default();
        match is_share {
            true => format!("{} %", (number * 1_000.0).round() / 10.0),
            false => number.to_string(),
        }
    });
    format!("{observed} of {threshold}")
}

/// A number of milliseconds, as a failed call took them.
pub fn took(milliseconds: &Value) -> String {
    match milliseconds.as_f64() {
        None => "-".into(),
        Some(number) if number < 10.0 => format!("{number:.1} ms"),
        Some(number) => span(Duration::from_secs_f64(number.max(0.0) / 1_000.0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn durations_have_two_units_at_most() {
        for (millis, text) in [
            (0, "0 ms"),
            (350, "350 ms"),
            (2_000, "2 s"),
            (184_900, "3 min 4 s"),
            (120_000, "2 min"),
            (7_205_000, "2 h"),
            (190_900_000, "2 d 5 h"),
        ] {
            assert_eq!(span(Duration::from_millis(millis)), text);
        }
    }

    #[test]
    fn a_time_later_than_now_has_passed_for_no_time() {
        let at = |second: u32| json!(format!("2026-11-30T12:00:{second:02}.000Z"));
        assert_eq!(between(&at(3), &at(5)).as_deref(), Some("2 s"));
        assert_eq!(between(&at(5), &at(3)).as_deref(), Some("0 ms"));
        assert_eq!(between(&Value::Null, &at(3)), None);
    }

    #[test]
    fn counts_are_whole_and_shares_are_percentages() {
        let rule = |rule: &str, observed: f64, threshold: f64| {
            progress(&json!({ "rule": rule, "observed": observed, "threshold": threshold }))
        };
        assert_eq!(rule("consecutive_failures", 0.0, 5.0), "0 of 5");
        assert_eq!(rule("failure_rate", 0.1234, 0.5), "12.3 % of 50 %");
    }
}
