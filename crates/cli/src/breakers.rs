//! `fusebox breakers`: shows and controls the breakers of a running gateway.

pub mod human;
mod ls;
mod show;

use std::borrow::Cow;
use std::process::ExitCode;

use serde_json::{Value, json};

pub use self::show::show;
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

/// The path of a breaker in the API.
pub fn path(name: &str) -> String {
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
pub fn operator() -> String {
    std::env::var("USER")
        .ok()
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "operator".into())
}

fn text(value: &Value) -> Cow<'_, str> {
    printable(value.as_str().unwrap_or("-"))
}

/// The line about a breaker after a command.
pub fn line(breaker: &Value) -> String {
    if breaker["flow"].is_object() {
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
