//! `fusebox breakers ls`: lists all breakers, requested page by page.

use std::process::ExitCode;
use std::time::Duration;

use serde_json::Value;

use super::human::{between, span};
use super::text;
use crate::admin_client::{AdminClient, encode};
use crate::printable::printable;

/// Prints all breakers, as a table or as one JSON document.
pub async fn ls(client: &AdminClient, json: bool) -> anyhow::Result<ExitCode> {
    let mut pages = Pages {
        client,
        next: Some("/api/v1/breakers".into()),
        is_incomplete: false,
    };
    if json {
        print_json(&mut pages).await
    } else {
        print_table(&mut pages).await
    }
}

/// The pages of the breakers' list.
struct Pages<'a> {
    client: &'a AdminClient,
    /// The target of the next page, or `None` after the last.
    next: Option<String>,
    /// True once a page has reported that breakers are missing.
    is_incomplete: bool,
}

impl Pages<'_> {
    /// Requests the next page, or returns `None` after the last.
    async fn next(&mut self) -> anyhow::Result<Option<Value>> {
        let Some(target) = self.next.take() else {
            return Ok(None);
        };
        let page = self.client.get(&target).await?;
        if let (Some(why), false) = (page["incomplete"].as_str(), self.is_incomplete) {
            self.is_incomplete = true;
            eprintln!("fusebox: the list is incomplete: {}", printable(why));
        }
        let next = page["next"].as_str();
        self.next = next.map(|name| format!("/api/v1/breakers?after={}", encode(name)));
        Ok(Some(page))
    }
}

fn breakers(page: &Value) -> &[Value] {
    page["breakers"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default()
}

/// Prints all pages as one document, page by page.
async fn print_json(pages: &mut Pages<'_>) -> anyhow::Result<ExitCode> {
    let mut printed = 0_usize;
    while let Some(page) = pages.next().await? {
        let mut out = String::new();
        if printed == 0 {
            out = format!("{{\n  \"total\": {},\n  \"breakers\": [", page["total"]);
        }
        for breaker in breakers(&page) {
            let separator = if printed == 0 { "" } else { "," };
            let indented = format!("{breaker:#}").replace('\n', "\n    ");
            out.push_str(&format!("{separator}\n    {indented}"));
            printed += 1;
        }
        crate::print(&out)?;
    }
    crate::print(if printed == 0 { "]\n}\n" } else { "\n  ]\n}\n" })
}

struct Row {
    name: String,
    state: String,
    passed: String,
    mode: String,
    retry: String,
    reason: String,
}

impl Row {
    fn of(breaker: &Value) -> Row {
        let retry = breaker["retry_after"].as_u64();
        Row {
            name: text(&breaker["name"]).into_owned(),
            state: match breaker["hold"]["kind"].as_str() {
                Some(kind) => format!("held {kind}"),
                None => text(&breaker["state"]).into_owned(),
            },
            passed: between(&breaker["since"], &breaker["now"]).unwrap_or_else(|| "-".into()),
            mode: text(&breaker["mode"]).into_owned(),
            retry: match retry {
                Some(seconds) => format!("in {}", span(Duration::from_secs(seconds))),
                None => "-".into(),
            },
            reason: text(&breaker["reason"]).into_owned(),
        }
    }
}

/// Prints a table as wide as its longest name, so all rows are read before the first is printed.
async fn print_table(pages: &mut Pages<'_>) -> anyhow::Result<ExitCode> {
    let mut rows = Vec::new();
    while let Some(page) = pages.next().await? {
        rows.extend(breakers(&page).iter().map(Row::of));
    }
    if rows.is_empty() {
        return crate::print("no breakers\n");
    }
    let width = rows.iter().map(|row| row.name.len()).max();
    let width = width.unwrap_or(0).max(4);
    let mut out = format!(
        "{:<width$}  {:<11}  {:<11}  {:<8}  {:<14}  REASON\n",
        "NAME", "STATE", "FOR", "MODE", "TRIES AGAIN"
    );
    for Row {
        name,
        state,
        passed,
        mode,
        retry,
        reason,
    } in &rows
    {
        out.push_str(&format!(
            "{name:<width$}  {state:<11}  {passed:<11}  {mode:<8}  {retry:<14}  {reason}\n"
        ));
    }
    crate::print(&out)
}
