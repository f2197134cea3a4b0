//! `fusebox breakers`: shows and controls the breakers of a running gateway.

mod ls;

use std::borrow::Cow;
use std::fmt::Write as _;
use std::process::ExitCode;

use serde_json::{Value, json};

use crate::admin_client::{AdminClient, encode};
use crate::args::{BreakersAction, BreakersArgs, OrderArgs};
use crate::printable::printable;

/// Runs an action on the breakers.
pub async fn breakers(args: BreakersArgs) -> anyhow::Result<ExitCode> {
    let client = AdminClient::new(&args.to)?;
    let (answer, whole) = match args.action.unwrap_or(BreakersAction::Ls) {
        BreakersAction::Ls => return ls::ls(&client, args.to.json).await,
        BreakersAction::Show(name) => (client.get(&path(&name.name)).await?, true),
        BreakersAction::Open(order) => (send(&client, &order, "open").await?, false),
        BreakersAction::Close(order) => (send(&client, &order, "close").await?, false),
        BreakersAction::Reset(order) => (send(&client, &order, "reset").await?, false),
        BreakersAction::Release(order) => (send(&client, &order, "release").await?, false),
    };
    let text = match (args.to.json, whole) {
        (true, _) => format!("{answer:#}\n"),
        (false, true) => show(&answer),
        (false, false) => line(&answer),
    };
    crate::print(&text)
}

fn path(name: &str) -> String {
    format!("/api/v1/breakers/{}", encode(name))
}

async fn send(client: &AdminClient, order: &OrderArgs, action: &str) -> anyhow::Result<Value> {
    let mut body = json!({ "by": operator() });
    if order.fleet {
        body["scope"] = json!("fleet");
    }
    if let Some(duration) = &order.duration {
        body["for"] = json!(duration);
    }
    if let Some(reason) = &order.reason {
        body["reason"] = json!(reason);
    }
    client
        .post(&format!("{}/{action}", path(&order.name)), &body)
        .await
}

/// The operator's name from the environment, or `operator`.
fn operator() -> String {
    std::env::var("USER")
        .ok()
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "operator".into())
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

fn text(value: &Value) -> Cow<'_, str> {
    printable(value.as_str().unwrap_or("-"))
}

fn line(breaker: &Value) -> String {
    if breaker["kind"] == "flow" {
        let (name, state) = (text(&breaker["name"]), text(&breaker["state"]));
        return format!("{name} is {state} (a flow's own)\n");
    }
    let hold = &breaker["hold"];
    let hold = match (hold["kind"].as_str(), hold["until"].as_str()) {
        (Some(kind), Some(until)) => format!(", held {kind} until {until}"),
        (Some(kind), None) => format!(", held {kind} until it is released"),
        (None, _) => String::new(),
    };
    format!(
        "{} is {}{hold} (generation {})\n",
        text(&breaker["name"]),
        text(&breaker["state"]),
        breaker["generation"]
    )
}

fn show(breaker: &Value) -> String {
    let mut out = line(breaker);
    let mut row = |name: &str, value: String| {
        writeln!(out, "  {name:<12} {value}").expect("a String takes any text");
    };
    row("upstream", text(&breaker["upstream"]).into());
    if breaker["kind"] == "flow" {
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
    row("mode", text(&breaker["mode"]).into());
    row("since", text(&breaker["since"]).into());
    row("reason", text(&breaker["reason"]).into());
    row("retry at", text(&breaker["retry_at"]).into());
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
        row(
            "rule",
            format!(
                "{}: {} of {} ({} calls)",
                text(&rule["rule"]),
                rule["observed"],
                rule["threshold"],
                rule["calls"]
            ),
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
    out
}
