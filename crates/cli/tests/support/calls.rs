//! What the tests of calls share: files with an upstream `orders`, and the counts of its calls.

use serde_json::json;

use super::{Gateway, Response, Setup, Upstream};

/// Trips at five failures in a row.
pub const FIVE: &str = "{ trip: { consecutive_failures: 5 }, cooldown: 1h }";
/// Never trips.
pub const NEVER: &str = "{ trip: { consecutive_failures: 100000 }, cooldown: 1h }";
/// Repeats almost at once, and can pay for it.
pub const RETRY: &str =
    "retry: { attempts: 3, backoff: { base: 1ms, max: 1ms }, budget: { ratio: 100%, min: 100 } }";
/// A ladder of one fixed answer.
pub const RESPOND: &str = "fallback: [{ respond: { status: 200, text: \"{reason}\" } }]";

/// A file with the upstream `orders` before those URLs, and more keys of it, one a line.
pub fn file(urls: &[String], breaker: &str, more: &[&str]) -> String {
    let endpoints: Vec<_> = urls.iter().map(|url| format!("{{ url: {url} }}")).collect();
    format!(
        "listen: 127.0.0.1:0
upstreams:
  orders:
    endpoints: [{}]
    breaker: {breaker}
    {}
routes:
  - {{ path: \"/{{*rest}}\", upstream: orders }}
",
        endpoints.join(", "),
        more.join("\n    ")
    )
}

/// The same with another upstream.
pub fn file_with(urls: &[String], more: &[&str], spare: &str) -> String {
    let yaml = file(urls, FIVE, more);
    yaml.replace(
        "routes:",
        &format!("  spare: {{ url: {spare}, breaker: {FIVE} }}\nroutes:"),
    )
}

/// One worker, whose connections are used again.
pub fn alone(yaml: String) -> Gateway {
    Setup::new(yaml).workers(1).start()
}

/// Sends an operator's command to a breaker.
pub fn command(gateway: &Gateway, breaker: &str, command: &str) {
    let path = format!("/api/v1/breakers/{breaker}/{command}");
    let response = gateway.admin_post(&path, &json!({}));
    assert_eq!(response.status, 200, "{}", response.text());
}

/// Makes a breaker half-open without waiting for a cooldown.
pub fn half_open(gateway: &Gateway, breaker: &str) {
    command(gateway, breaker, "open");
    command(gateway, breaker, "release");
    assert_eq!(gateway.state(breaker), "half_open");
}

/// The counts of the result of retries.
pub fn retries(gateway: &Gateway, result: &str) -> f64 {
    let labels = format!("{{upstream=\"orders\",result=\"{result}\"}}");
    let count = gateway.metric(&format!("fusebox_retries_total{labels}"));
    count.unwrap_or_default()
}

/// The attempts at an endpoint: success, failure, ignored.
pub fn attempts(gateway: &Gateway, endpoint: &Upstream) -> (f64, f64, f64) {
    let labels = format!("upstream=\"orders\",endpoint=\"{}\"", endpoint.addr());
    let count = |outcome| {
        let series = format!("fusebox_attempts_total{{{labels},outcome=\"{outcome}\"}}");
        gateway.metric(&series).unwrap_or_default()
    };
    (count("success"), count("failure"), count("ignored"))
}

/// The status of an answer, the rung that gave it, and the reason of a refusal.
pub fn marks(response: &Response) -> (u16, &str, &str) {
    let field = |name| response.fields.get(name).unwrap_or_default();
    let reason = field("fusebox-reason").split([';', ' ', ',']).next();
    (
        response.status,
        field("fusebox-fallback"),
        reason.unwrap_or_default(),
    )
}
