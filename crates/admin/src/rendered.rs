//! The page as it is sent: with the table of breakers in it for clients that may read it without a script's help.

use std::fmt::Write as _;
use std::sync::{Arc, LazyLock};

use axum::Extension;
use axum::extract::State;
use axum::response::{Json, Response};
use bytes::Bytes;
use fusebox_gateway::Gateway;
use http::HeaderMap;
use serde_json::Value;

use crate::access::MayRead;
use crate::config::Config;
use crate::hub::Hub;
use crate::page::{INDEX, Served};
use crate::state;
use crate::token::Grant;

const MEDIA_TYPE: &str = "text/html; charset=utf-8";

/// The page for clients that may not read: without a row.
static EMPTY: LazyLock<Served> = LazyLock::new(|| {
    let page = INDEX.replace(
        "<!--without-->",
        "This page shows its breakers with JavaScript, since they are for those who have the admin token. Without it, \
         <code>fusebox breakers</code> shows the same in a terminal.",
    );
    Served::new(MEDIA_TYPE, page.into())
});

/// Answers `GET /`.
pub async fn page(
    gateway: State<Gateway>,
    config: State<Arc<dyn Config>>,
    hub: State<Hub>,
    Extension(MayRead(may_read)): Extension<MayRead>,
    headers: HeaderMap,
) -> Response {
    if !may_read {
        return EMPTY.answer(&headers);
    }
    let Json(state) = state::show(gateway, config, hub, Extension(Grant::Read)).await;
    Served::new(MEDIA_TYPE, Bytes::from(filled(&state))).answer(&headers)
}

/// The page with a snapshot's rows and verdict.
fn filled(state: &Value) -> String {
    let breakers = state["breakers"].as_array().map_or(&[][..], Vec::as_slice);
    let refusing = breakers.iter().filter(|row| refuses(row)).count();
    let total = state["counts"]["breakers"]
        .as_u64()
        .unwrap_or(breakers.len() as u64);
    let verdict = match refusing {
        0 => format!("<h1>None of {total} breakers is open</h1>"),
        1 => format!("<h1><b class=\"n-open\">1 of {total}</b> breakers is open</h1>"),
        _ => format!("<h1><b class=\"n-open\">{refusing} of {total}</b> breakers are open</h1>"),
    };
    let rows: String = breakers.iter().map(row).collect();
    let now = escaped(state["now"].as_str().unwrap_or_default());
    let rest = state["more"].as_u64().filter(|more| *more > 0);
    let rest = rest.map_or_else(String::new, |more| {
        format!(" {more} more breakers are in <code>/api/v1/breakers</code>.")
    });
    INDEX
        .replace("<!--verdict-->", &verdict)
        .replace("<!--rows-->", &rows)
        .replace(
            "<!--without-->",
            &format!("As it was at {now}. With JavaScript this page is live.{rest}"),
        )
}

/// True for a breaker that refuses its calls.
fn refuses(row: &Value) -> bool {
    let held = row["hold"]["kind"].as_str();
    row["mode"] != "disabled" && held.map_or(row["state"] == "open", |kind| kind == "open")
}

/// A state's word and its class, as the script writes them.
fn look(row: &Value) -> (String, &'static str) {
    if row["mode"] == "disabled" {
        return ("disabled".into(), "disabled");
    }
    match (row["hold"]["kind"].as_str(), row["state"].as_str()) {
        (Some(kind), _) => (format!("held {kind}"), "held"),
        (None, Some("open")) => ("open".into(), "open"),
        (None, Some("half_open")) => ("half-open".into(), "half"),
        _ => match row["ramp"]["share"].as_f64() {
            Some(share) => (format!("closed {:.0} %", share * 100.0), "ramp"),
            None => ("closed".into(), "closed"),
        },
    }
}

fn row(row: &Value) -> String {
    let name = row["name"].as_str().unwrap_or_default();
    let (word, class) = look(row);
    let rates = &row["rates"];
    let rate = |key: &str| {
        let rate = rates[key].as_f64();
        rate.map_or("–".to_owned(), |rate| {
            format!("{:.1}", rate).trim_end_matches(".0").to_owned()
        })
    };
    let failed = rates["failed_ratio"].as_f64();
    let failed = failed.map_or("–".to_owned(), |ratio| format!("{:.0} %", ratio * 100.0));
    let hold = &row["hold"];
    let why = match hold["by"].as_str() {
        Some(by) => format!("{by}: {}", hold["reason"].as_str().unwrap_or_default()),
        None => row["why"].as_str().unwrap_or_default().to_owned(),
    };
    let next = match hold {
        Value::Null => row["retry_at"].as_str().filter(|_| row["state"] == "open"),
        hold => hold["until"].as_str(),
    };
    let ends = &row["endpoints"];
    let ends = match (ends["in_use"].as_u64(), ends["of"].as_u64()) {
        (Some(in_use), Some(of)) => format!("{in_use} of {of}"),
        _ => "–".to_owned(),
    };
    let mut html = format!(
        "<tr role=\"row\" data-breaker=\"{name}\" data-state=\"{class}\"><td role=\"cell\" class=\"state\">\
         <span class=\"chip {class}\">{word}</span></td><th role=\"rowheader\" scope=\"row\" class=\"name\">{name}</th>",
        name = escaped(name),
    );
    let times = ["p50_ms", "p95_ms", "p99_ms"].map(rate).join(" · ");
    for (class, label, text) in [
        ("mode", "mode", row["mode"].as_str().unwrap_or_default()),
        ("num calls", "calls/s", &*rate("calls_per_s")),
        ("num failed", "failed", &*failed),
        ("num refused", "refused/s", &*rate("refused_per_s")),
        ("num fallback", "fallback/s", &*rate("fallback_per_s")),
        ("num times", "p50 · p95 · p99 ms", &*times),
        ("minute", "", ""),
        ("why", "", &*why),
        ("num next", "", next.unwrap_or("–")),
        ("ends-of", "endpoints", &*ends),
    ] {
        let text = escaped(text);
        write!(
            html,
            "<td role=\"cell\" class=\"{class}\" data-label=\"{label}\">{text}</td>"
        )
        .expect("a string takes all text");
    }
    html.push_str("</tr>\n");
    html
}

/// Text in a form that has no meaning in HTML, also in a quoted attribute.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_snapshot_becomes_rows_without_a_script() {
        let page = filled(&json!({
            "now": "2026-11-30T03:00:00.000Z",
            "counts": { "breakers": 2 },
            "breakers": [
                {
                    "name": "orders/<img src=x onerror='alert(1)'>", "state": "open", "mode": "enforce", "hold": null,
                    "ramp": null, "retry_at": "2026-11-30T03:00:12.000Z", "why": "5 failures & more",
                    "rates": { "calls_per_s": 0.0, "failed_ratio": 1.0, "refused_per_s": 118.25, "p50_ms": null },
                    "endpoints": { "in_use": 1, "of": 3 },
                },
                {
                    "name": "pay", "state": "closed", "mode": "enforce", "ramp": null, "rates": null,
                    "hold": { "kind": "open", "by": "anna", "reason": "moving", "until": null },
                },
            ],
        }));
        assert!(
            page.contains("<b class=\"n-open\">2 of 2</b> breakers are open"),
            "{page}"
        );
        assert!(!page.contains("<img"), "{page}");
        for part in [
            "data-breaker=\"orders/&lt;img src=x onerror=&#39;alert(1)&#39;&gt;\"",
            "5 failures &amp; more",
            ">118.2<",
            ">100 %<",
            ">1 of 3<",
            ">held open<",
            ">anna: moving<",
            "As it was at 2026-11-30T03:00:00.000Z",
        ] {
            assert!(page.contains(part), "{part} in {page}");
        }
    }

    #[test]
    fn the_page_for_those_who_may_not_read_says_how_to() {
        let answer = EMPTY.answer(&HeaderMap::new());
        assert_eq!(answer.headers()["content-type"], MEDIA_TYPE);
    }
}
