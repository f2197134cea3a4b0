//! The dashboard and the alerts beside the program: Prometheus takes them, and every metric in them exists.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;
use support::calls::{FIVE, RETRY};
use support::tls::{Files, certificate};
use support::{Dial, Exposition, Gateway, Refusing, Setup, Upstream, eventually};

const CONTRIB: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../contrib");

fn contents(name: &str) -> String {
    std::fs::read_to_string(format!("{CONTRIB}/{name}")).unwrap()
}

/// A gateway with one of everything, of which each part has been used once.
fn used() -> (Gateway, Upstream, Files) {
    let files = Files::of(&certificate());
    let (cert, key) = (files.cert(), files.key());
    let (cert, key) = (cert.display(), key.display());
    let upstream = Upstream::dialled(&Dial::at(200));
    let url = upstream.url();
    let refusing = Refusing::new();
    let lost = refusing.url();
    let yaml = format!(
        "listen: 127.0.0.1:0
fleet: {{ node: a }}
upstreams:
  orders:
    endpoints: [{{ url: {url} }}, {{ url: {lost} }}]
    health: {{ path: /healthz, interval: 1s, timeout: 500ms, expect: 'status == 200' }}
    bulkhead: {{ concurrent: 10, queued: 1, queue_for: 1s }}
    breaker: {FIVE}
    {RETRY}
    fallback: [{{ respond: {{ status: 200, text: spare }} }}]
  rates:
    url: {url}
    bulkhead: {{ concurrent: 1 }}
    breaker: {{ trip: [{{ failure_rate: 50%, slow_rate: 80%, slower_than: 2s, over: 10s, min_calls: 20 }}] }}
  secret: {{ url: \"https://127.0.0.1:1\", tls: {{ cert: \"{cert}\", key: \"{key}\" }}, breaker: {{}} }}
routes:
  - {{ path: /secret, upstream: secret }}
  - {{ path: \"/{{*rest}}\", upstream: orders }}
  - {{ path: /rates, upstream: rates }}
"
    );
    // No server is there, so that the store is away.
    let setup = Setup::new(yaml).arg("--store").arg("redis://127.0.0.1:1");
    let gateway = setup.start();
    for _ in 0..4 {
        assert_eq!(gateway.get("/a").status, 200);
        assert_eq!(gateway.get("/rates").status, 200);
    }
    for command in ["open", "release"] {
        let path = format!("/api/v1/breakers/orders/{command}");
        let reason = serde_json::json!({ "reason": "a test" });
        assert_eq!(gateway.admin_post(&path, &reason).status, 200);
        gateway.get("/a");
    }
    gateway.rewrite("broken");
    gateway.sighup();
    (gateway, upstream, files)
}

/// All texts that Prometheus would evaluate, in a dashboard.
fn expressions(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| expressions(item, found)),
        Value::Object(entries) => {
            for (key, value) in entries {
                match value {
                    Value::String(text) if ["expr", "query"].contains(&&**key) => {
                        found.push(text.clone());
                    }
                    value => expressions(value, found),
                }
            }
        }
        _ => {}
    }
}

/// The names in an expression that could be ours: of metrics, and of labels.
fn names(expression: &str) -> impl Iterator<Item = &str> {
    let words = expression.split(|it: char| !it.is_ascii_alphanumeric() && it != '_');
    words.filter(|word| word.starts_with("fusebox_") || word.starts_with("http_"))
}

#[test]
fn every_metric_of_the_dashboard_and_the_alerts_exists() {
    let (gateway, _upstream, _files) = used();
    let mut all = Vec::new();
    let dashboard: Value = serde_json::from_str(&contents("grafana/fusebox.json")).unwrap();
    expressions(&dashboard, &mut all);
    let alerts = contents("prometheus/alerts.yaml");
    let lines = alerts.lines().filter(|line| line.contains(" expr: "));
    all.extend(lines.map(str::to_owned));
    assert!(all.len() > 30);
    let wanted: BTreeSet<&str> = all.iter().flat_map(|text| names(text)).collect();
    let mut missing = Vec::new();
    eventually("all metrics are there", || {
        let scraped = gateway.admin_get("/metrics").text();
        let scraped = Exposition::prometheus(&scraped).unwrap();
        let labels = scraped.samples.iter().flat_map(|it| it.labels.keys());
        let mut known: BTreeSet<&str> = labels.map(String::as_str).collect();
        known.extend(scraped.samples.iter().map(|it| it.name.as_str()));
        missing = wanted
            .iter()
            .filter(|it| !known.contains(**it))
            .map(ToString::to_string)
            .collect();
        if !missing.is_empty() {
            eprintln!("missing: {missing:?}");
        }
        missing.is_empty()
    });
}

#[test]
fn prometheus_takes_the_alerts_and_they_fire_when_they_should() {
    for (what, file) in [("check", "alerts.yaml"), ("test", "alerts_test.yaml")] {
        let mut promtool = Command::new("promtool");
        promtool.current_dir(format!("{CONTRIB}/prometheus"));
        let done = promtool.args([what, "rules", file]).output();
        let done = done.expect("promtool is there; Debian's package `prometheus` has it");
        let said = String::from_utf8_lossy(&done.stdout).into_owned()
            + &String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "{said}");
        assert!(said.contains("SUCCESS"), "{said}");
    }
}
