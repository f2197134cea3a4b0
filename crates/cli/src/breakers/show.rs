//! `fusebox breakers show`: one breaker in full, for people.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::Value;

use super::human::{between, progress, span, took};
use super::{line, text};
use crate::printable::printable;

/// The text for one breaker.
pub fn show(breaker: &Value) -> String {
    let mut out = line(breaker);
    let mut row = |name: &str, value: String| {
        writeln!(out, "  {name:<12} {value}").expect("a String takes any text");
    };
    let now = &breaker["now"];
    row("upstream", text(&breaker["upstream"]).into());
    if breaker["flow"].is_object() {
        let flow = &breaker["flow"];
        row("built at", text(&flow["at"]).into());
        row("store", text(&flow["store"]).into());
        row("key", text(&flow["key"]).into());
        row(
            "failures",
            format!("{} of {}", flow["count"], flow["threshold"]),
        );
        row("due at", text(&flow["due_at"]).into());
        row("gone by", text(&flow["gone_by"]).into());
        for flaw in flow["flaws"].as_array().into_iter().flatten() {
            row(
                "flaw",
                format!("{} {}", text(&flaw["at"]), text(&flaw["what"])),
            );
        }
        return out;
    }
    row("kind", text(&breaker["kind"]).into());
    row("mode", text(&breaker["mode"]).into());
    let state = text(&breaker["state"]);
    let since = text(&breaker["since"]);
    row(
        "state",
        match between(&breaker["since"], now) {
            Some(passed) => format!("{state} for {passed}, since {since}"),
            None => format!("{state} since {since}"),
        },
    );
    row("reason", text(&breaker["reason"]).into());
    row(
        "tries again",
        match breaker["retry_after"].as_u64() {
            Some(seconds) => {
                let rest = span(Duration::from_secs(seconds));
                format!("in {rest}, at {}", text(&breaker["retry_at"]))
            }
            None => "-".into(),
        },
    );
    row("attempts", breaker["attempts"].to_string());
    if let Some(share) = breaker["admit_probability"].as_f64() {
        row("passes", format!("{:.1}% of the calls", share * 100.0));
    }
    row("persisted", breaker["persisted"].to_string());
    fleet(&breaker["fleet"], &mut row);
    for (name, count) in breaker["counts"].as_object().into_iter().flatten() {
        match count.as_object() {
            None => row(name, count.to_string()),
            Some(parts) => {
                let any = |(_, count): &(&String, &Value)| count.as_u64() != Some(0);
                for (part, count) in parts.iter().filter(any) {
                    row("", format!("{count} {part}"));
                }
            }
        }
    }
    for rule in breaker["rules"].as_array().into_iter().flatten() {
        let calls = match rule["calls"].as_u64() {
            Some(1) => "1 call".to_owned(),
            calls => format!("{} calls", calls.unwrap_or_default()),
        };
        let over = rule["over"].as_str();
        let over = over.map_or_else(String::new, |over| format!(", over {}", printable(over)));
        let name = text(&rule["rule"]);
        row(
            "rule",
            format!("{name}: {} ({calls}{over})", progress(rule)),
        );
    }
    if let Some(why) = breaker["explanation"]["text"].as_str() {
        row("explained", printable(why).into());
    }
    for one in breaker["recent"].as_array().into_iter().flatten() {
        row(
            "transition",
            format!(
                "{}  {} -> {}  {}",
                text(&one["at"]),
                text(&one["from"]),
                text(&one["to"]),
                text(&one["reason"])
            ),
        );
    }
    failures(breaker, &mut out);
    out
}

/// Prints the last failures as a table.
fn failures(breaker: &Value, out: &mut String) {
    let failures = breaker["last_failures"].as_array();
    let Some(failures) = failures.filter(|it| !it.is_empty()) else {
        return;
    };
    let rows = failures.iter().map(|failed| {
        let ago = between(&failed["at"], &breaker["now"]);
        let status = failed["status"].as_u64().map(|status| status.to_string());
        [
            ago.map_or_else(|| "-".into(), |ago| format!("{ago} ago")),
            text(&failed["endpoint"]).into_owned(),
            status.unwrap_or_else(|| text(&failed["error"]).into_owned()),
            took(&failed["ms"]),
            text(&failed["request_id"]).into_owned(),
        ]
    });
    let head = ["LAST FAILURE", "ENDPOINT", "RESULT", "TOOK", "REQUEST"].map(str::to_owned);
    let rows: Vec<_> = [head].into_iter().chain(rows).collect();
    let width = |at: usize| rows.iter().map(|row| row[at].chars().count()).max();
    let widths: [usize; 5] = std::array::from_fn(|at| width(at).unwrap_or(0));
    for row in &rows {
        let cells = row.iter().zip(widths);
        let cells: Vec<_> = cells
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        writeln!(out, "  {}", cells.join("  ").trim_end()).expect("a String takes any text");
    }
}

/// Prints the fleet's state of a shared breaker.
fn fleet(fleet: &Value, row: &mut impl FnMut(&str, String)) {
    if fleet.is_null() {
        return;
    }
    let alone = if fleet["alone"] == true {
        ", decides alone"
    } else {
        ""
    };
    row(
        "shared",
        format!(
            "{} as node {}, store {}{alone}",
            text(&fleet["share"]),
            text(&fleet["node"]),
            text(&fleet["store"])
        ),
    );
    let record = &fleet["record"];
    if record.is_null() {
        return;
    }
    row(
        "fleet",
        format!(
            "{} (epoch {}, term {}) since {}",
            text(&record["state"]),
            record["epoch"],
            record["term"],
            text(&record["since"])
        ),
    );
    row(
        "",
        format!("by {}: {}", text(&record["by"]), text(&record["why"])),
    );
    for vote in record["votes"].as_array().into_iter().flatten() {
        let (node, until) = (text(&vote["node"]), text(&vote["until"]));
        row("", format!("vote of {node} until {until}"));
    }
    if let Some(node) = record["lease"]["node"].as_str() {
        let until = text(&record["lease"]["until"]);
        row("", format!("{node} may probe until {until}"));
    }
    for count in record["counts"].as_array().into_iter().flatten() {
        let (observed, threshold) = (&count["observed"], &count["threshold"]);
        row(
            "",
            format!("{observed} of {threshold} failures over the fleet"),
        );
    }
}
