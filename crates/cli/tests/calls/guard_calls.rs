//! Calls of an application's own requests: repeated, bounded and counted as those of routes are (docs/calls.md).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::flogo::{REST, single};
use crate::support::mule::{flow, setup};
use crate::support::{Gate, Gateway, Refusing, Upstream, eventually, until};
use serde_json::{Value, json};

const NO_PAUSE: &str = "attempts: 3, backoff: { base: 1ms, max: 1ms }";
const FIVE: &str = "breaker: { trip: { consecutive_failures: 5 }, cooldown: 60s }";
const NEVER: &str = "breaker: { trip: { consecutive_failures: 100000 }, cooldown: 60s }";

/// The dialects, in each of which one route makes one request of its own.
#[derive(Debug, Clone, Copy)]
enum Dialect {
    Mule,
    Flogo,
}

impl Dialect {
    const ALL: [Dialect; 2] = [Dialect::Mule, Dialect::Flogo];

    /// An application whose one request, of that method, goes to `url`, behind a guard named `it` of those keys. It
    /// answers with the status and the body of its answer, or with 502 and its own error.
    fn start(self, method: &str, url: &str, guard: &str) -> Gateway {
        let setup = match self {
            Dialect::Mule => setup(mule(method), &[("Order_Service", url)]),
            Dialect::Flogo => crate::support::Setup::new(pets(method, url).to_string()),
        };
        setup
            .beside("guards.yaml", &self.guards(guard))
            .workers(2)
            .start()
    }

    fn guards(self, guard: &str) -> String {
        let target = match self {
            Dialect::Mule => "Order_Service",
            Dialect::Flogo => "PetStorePets",
        };
        format!("upstreams:\n  it: {{ applies_to: {target}, {guard} }}\n")
    }

    /// True if the answer is that to a request that got none for a reason of the network.
    fn is_network_error(self, status: u16, text: &str) -> bool {
        match self {
            Dialect::Mule => status == 502 && text.starts_with("HTTP:CONNECTIVITY "),
            Dialect::Flogo => status == 502 && text.starts_with("true "),
        }
    }
}

fn mule(method: &str) -> String {
    let request = format!(
        "<http:request config-ref='Order_Service' path='/x' method='{method}'>\
         <http:body>#['hello']</http:body>\
         <http:response-validator><http:success-status-code-validator values='200..599'/></http:response-validator>\
         </http:request><set-variable variableName='httpStatus' value='#[attributes.statusCode]'/>"
    );
    let handler = "<error-handler><on-error-continue type='ANY'>\
        <set-variable variableName='httpStatus' value='502'/>\
        <set-payload value=\"#[(error.errorType.namespace as String) ++ ':' ++ (error.errorType.identifier as String) ++ ' ' ++ error.description]\"/>\
        </on-error-continue></error-handler>";
    let listener = "<http:listener config-ref=\"HTTP_Listener\" path=\"/t\">\
        <http:response statusCode=\"#[vars.httpStatus]\"/></http:listener>";
    format!("<flow name=\"f\">{listener}{request}{handler}</flow>")
}

fn pets(method: &str, url: &str) -> Value {
    single(json!({
        "name": "Pets",
        "steps": [{
            "service": "PetStorePets", "input": { "content": "hello" },
            "halt": "($.PetStorePets.error != nil) && !error.isneterror($.PetStorePets.error)",
        }],
        "responses": [
            {
                "if": "$.PetStorePets.error == nil", "error": false,
                "output": {
                    "code": "=$.PetStorePets.outputs.status", "data": "=$.PetStorePets.outputs.data",
                },
            },
            {
                "error": true,
                "output": {
                    "code": 502,
                    "data": "=string.concat(coerce.toString(error.isneterror($.PetStorePets.error)), \" \", error.string($.PetStorePets.error))",
                },
            },
        ],
        "services": [{
            "name": "PetStorePets", "ref": REST,
            "settings": { "uri": format!("{url}/pets"), "method": method },
        }],
    }))
}

/// An upstream whose answers have those statuses in turn, the last one again and again; each says its number and the
/// request's body.
fn scripted(statuses: &'static [u16]) -> Upstream {
    let next = AtomicUsize::new(0);
    Upstream::start(move |call| {
        let at = next.fetch_add(1, Ordering::SeqCst);
        let body = call.text();
        let status = statuses[at.min(statuses.len() - 1)];
        call.respond(status, &format!("{} {body}", at + 1));
    })
}

fn retries(gateway: &Gateway, result: &str) -> Option<f64> {
    gateway.metric(&format!(
        "fusebox_retries_total{{upstream=\"it\",result=\"{result}\"}}"
    ))
}

#[test]
fn a_failure_that_a_repeat_mends_is_not_seen_by_the_application() {
    for dialect in Dialect::ALL {
        let upstream = scripted(&[503, 200]);
        let guard = format!("{FIVE}, retry: {{ {NO_PAUSE} }}");
        let gateway = dialect.start("PUT", &upstream.url(), &guard);
        let response = gateway.get("/t");
        let told = (response.status, response.text());
        assert_eq!(told, (200, "2 hello".into()), "{dialect:?}");
        assert_eq!(upstream.calls(), 2);
        assert_eq!(gateway.outcomes("it"), (1, 0, 0), "one call, one outcome");
        let attempts: Vec<_> = upstream
            .seen()
            .iter()
            .map(|seen| seen.fields.get("fusebox-attempt").map(str::to_owned))
            .collect();
        assert_eq!(attempts, [None, Some("2".into())]);
        assert_eq!(retries(&gateway, "success"), Some(1.0));
        for outcome in ["success", "failure"] {
            let endpoint = upstream.addr();
            let series = format!(
                "fusebox_attempts_total{{upstream=\"it\",endpoint=\"{endpoint}\",outcome=\"{outcome}\"}}"
            );
            assert_eq!(gateway.metric(&series), Some(1.0), "{series}");
        }
    }
}

#[test]
fn repeats_need_no_breaker() {
    for dialect in Dialect::ALL {
        let upstream = scripted(&[503, 200]);
        let gateway = dialect.start("GET", &upstream.url(), &format!("retry: {{ {NO_PAUSE} }}"));
        assert_eq!(gateway.get("/t").status, 200);
        assert_eq!(upstream.calls(), 2);
    }
}

#[test]
fn a_breaker_counts_the_applications_calls_and_not_attempts() {
    for dialect in Dialect::ALL {
        let upstream = scripted(&[503]);
        let guard = format!("{FIVE}, retry: {{ {NO_PAUSE}, budget: {{ ratio: 100%, min: 100 }} }}");
        let gateway = dialect.start("GET", &upstream.url(), &guard);
        for call in 1..=5 {
            assert_eq!(gateway.state("it"), "closed", "before call {call}");
            assert_eq!(gateway.get("/t").status, 503, "the service's own answer");
        }
        assert_eq!(gateway.state("it"), "open");
        assert_eq!(gateway.outcomes("it"), (0, 5, 0));
        assert_eq!(upstream.calls(), 15);
        let refused = gateway.get("/t");
        assert!(dialect.is_network_error(refused.status, &refused.text()));
        assert_eq!(upstream.calls(), 15);
    }
}

#[test]
fn the_budget_bounds_the_load_that_repeats_add() {
    for dialect in Dialect::ALL {
        let upstream = scripted(&[503]);
        let guard = format!("{NEVER}, retry: {{ {NO_PAUSE}, budget: {{ ratio: 10%, min: 3 }} }}");
        let gateway = dialect.start("GET", &upstream.url(), &guard);
        let mut client = gateway.client();
        let began = Instant::now();
        for _ in 0..200 {
            assert_eq!(client.get("/t").status, 503);
        }
        // What is there at first, what calls pay in, and what comes for nothing.
        let free = 3 + 3 * (began.elapsed().as_secs() as usize + 1);
        let calls = upstream.calls();
        assert!((203..=220 + free).contains(&calls), "{dialect:?}: {calls}");
        assert!(retries(&gateway, "budget") > Some(0.0));
    }
}

#[test]
fn a_post_is_repeated_only_if_nothing_of_it_was_sent() {
    for dialect in Dialect::ALL {
        let upstream = scripted(&[503]);
        let guard = format!("{FIVE}, retry: {{ {NO_PAUSE} }}");
        let gateway = dialect.start("POST", &upstream.url(), &guard);
        assert_eq!(gateway.get("/t").text(), "1 hello");
        assert_eq!(upstream.calls(), 1);

        let refusing = Refusing::new();
        let gateway = dialect.start("POST", &refusing.url(), &guard);
        let told = gateway.get("/t");
        assert!(dialect.is_network_error(told.status, &told.text()));
        let kind = "fusebox_upstream_errors_total{upstream=\"";
        let errors = gateway.admin_get("/metrics").text();
        let connects = errors
            .lines()
            .find(|line| line.starts_with(kind) && line.contains("kind=\"connect\""));
        assert!(connects.unwrap().ends_with(" 3"), "{connects:?}");
        assert_eq!(gateway.outcomes("it"), (0, 1, 0));
        assert_eq!(retries(&gateway, "failure"), Some(1.0));
    }
}

#[test]
fn a_body_over_the_buffer_is_sent_once() {
    let upstream = scripted(&[503]);
    let guard = format!("{FIVE}, retry: {{ {NO_PAUSE}, buffer: 4B }}");
    let gateway = Dialect::Mule.start("PUT", &upstream.url(), &guard);
    assert_eq!(gateway.get("/t").status, 503);
    assert_eq!(upstream.calls(), 1);
    assert_eq!(retries(&gateway, "body_too_large"), Some(1.0));
}

#[test]
fn an_attempt_begins_before_its_redirects() {
    for dialect in Dialect::ALL {
        let next = AtomicUsize::new(0);
        let upstream = Upstream::start(move |call| {
            let at = next.fetch_add(1, Ordering::SeqCst);
            match (call.seen.target.as_str(), at) {
                ("/end", 1) => call.respond(503, "no"),
                ("/end", _) => call.respond(200, "there"),
                _ => call.respond_with(302, "Location: /end\r\n", ""),
            }
        });
        let guard = format!("{FIVE}, retry: {{ {NO_PAUSE} }}");
        let gateway = dialect.start("GET", &upstream.url(), &guard);
        assert_eq!(gateway.get("/t").text(), "there");
        let seen = upstream.seen();
        let targets: Vec<_> = seen.iter().map(|seen| &*seen.target).collect();
        assert_eq!(targets, [targets[0], "/end", targets[0], "/end"]);
        assert_eq!(gateway.outcomes("it"), (1, 0, 0));
    }
}

#[test]
fn tries_and_the_whole_call_have_times_of_their_own() {
    for dialect in Dialect::ALL {
        let upstream = Upstream::start(|call| {
            call.hang();
        });
        let guard = format!(
            "{NEVER}, timeout: {{ request: 5s, total: 500ms }}, \
             retry: {{ attempts: 9, on: [timeout], per_try: 200ms, backoff: {{ base: 1ms, max: 1ms }}, budget: {{ ratio: 100%, min: 100 }} }}"
        );
        let gateway = dialect.start("GET", &upstream.url(), &guard);
        let began = Instant::now();
        assert_eq!(gateway.get("/t").status, 502);
        let took = began.elapsed();
        assert!(took >= Duration::from_millis(400), "{took:?}");
        assert!(took < Duration::from_secs(3), "{took:?}");
        let calls = upstream.calls();
        assert!((2..=4).contains(&calls), "{dialect:?}: {calls}");
        assert_eq!(gateway.outcomes("it"), (0, 1, 0));
    }
}

#[test]
fn the_total_holds_without_a_retry_too() {
    for dialect in Dialect::ALL {
        let upstream = Upstream::start(|call| {
            call.hang();
        });
        let guard = format!("{NEVER}, timeout: {{ total: 100ms }}");
        let gateway = dialect.start("GET", &upstream.url(), &guard);
        assert_eq!(gateway.get("/t").status, 502);
        assert_eq!(gateway.outcomes("it"), (0, 1, 0));
        assert_eq!(upstream.calls(), 1);
    }
}

#[test]
fn a_flows_own_time_bounds_all_attempts_and_a_failed_answer_goes_out_within_it() {
    let upstream = Upstream::start(|call| call.respond_with(503, "Retry-After: 20\r\n", "busy"));
    let guard = format!("{FIVE}, retry: {{ {NO_PAUSE} }}");
    // The default response timeout is 10 s.
    let gateway = Dialect::Mule.start("GET", &upstream.url(), &guard);
    let began = Instant::now();
    assert_eq!(gateway.get("/t").text(), "busy");
    assert!(began.elapsed() < Duration::from_secs(5));
    assert_eq!(upstream.calls(), 1);
    assert_eq!(retries(&gateway, "total"), Some(1.0));
}

#[test]
fn a_service_never_sees_one_call_more_than_its_bulkhead_admits() {
    for dialect in Dialect::ALL {
        let gate = Gate::default();
        let upstream = Upstream::start({
            let gate = gate.clone();
            move |call| {
                gate.pass();
                call.respond(200, "ok");
            }
        });
        let guard = format!("{FIVE}, bulkhead: {{ concurrent: 5, queued: 2, queue_for: 30s }}");
        let gateway = Arc::new(dialect.start("GET", &upstream.url(), &guard));
        let clients: Vec<_> = (0..7)
            .map(|_| {
                let gateway = gateway.clone();
                thread::spawn(move || gateway.get("/t").status)
            })
            .collect();
        let queued = "fusebox_bulkhead_queued{upstream=\"it\"}";
        eventually("two wait", || gateway.metric(queued) == Some(2.0));
        let full = gateway.get("/t");
        let text = full.text();
        assert!(dialect.is_network_error(full.status, &text), "{text}");
        let why = "the bulkhead of `it` refused the call: all its places are taken (bulkhead_full)";
        assert!(text.contains(why), "{text}");
        eventually("five are at the service", || upstream.in_flight() == 5);
        gate.open();
        for client in clients {
            assert_eq!(client.join().unwrap(), 200);
        }
        assert_eq!(upstream.in_flight_most(), 5);
        assert_eq!(gateway.outcomes("it"), (7, 0, 0));
        let rejected = "fusebox_bulkhead_rejected_total{upstream=\"it\",reason=\"bulkhead_full\"}";
        assert_eq!(gateway.metric(rejected), Some(1.0));
        let in_flight = "fusebox_bulkhead_in_flight{upstream=\"it\"}";
        eventually("all places are free", || {
            gateway.metric(in_flight) == Some(0.0)
        });
    }
}

#[test]
fn a_reload_keeps_a_bulkheads_places() {
    for dialect in Dialect::ALL {
        let gate = Gate::default();
        let upstream = Upstream::start({
            let gate = gate.clone();
            move |call| {
                gate.pass();
                call.respond(503, "");
            }
        });
        let guard = |cooldown: &str| {
            let breaker = NEVER.replace("60s", cooldown);
            format!(
                "{breaker}, retry: {{ {NO_PAUSE}, on: [\"502\"] }}, bulkhead: {{ concurrent: 1 }}"
            )
        };
        let gateway = Arc::new(dialect.start("GET", &upstream.url(), &guard("60s")));
        let held = thread::spawn({
            let gateway = gateway.clone();
            move || gateway.get("/t").status
        });
        eventually("the place is taken", || upstream.in_flight() == 1);
        gateway.rewrite_beside("guards.yaml", &dialect.guards(&guard("50s")));
        gateway.sighup();
        gateway.log_line(|line| line["message"] == "reloaded");
        let full = gateway.get("/t").text();
        assert!(full.contains("bulkhead_full"), "{full}");
        gate.open();
        assert_eq!(held.join().unwrap(), 503);
        let rejected = "fusebox_bulkhead_rejected_total{upstream=\"it\",reason=\"bulkhead_full\"}";
        assert_eq!(gateway.metric(rejected), Some(1.0));
    }
}

#[test]
fn all_uses_of_a_service_at_one_address_share_its_bulkhead() {
    let gate = Gate::default();
    let upstream = Upstream::start({
        let gate = gate.clone();
        move |call| {
            gate.pass();
            call.respond(200, "ok");
        }
    });
    let mut app = pets("GET", &upstream.url());
    let first = app["triggers"][0]["handlers"][0].clone();
    let mut second = first.clone();
    second["settings"]["path"] = json!("/u");
    second["actions"][0]["settings"]["other"] = json!("instance");
    app["triggers"][0]["handlers"] = json!([first, second]);
    let guards = Dialect::Flogo.guards(&format!("{FIVE}, bulkhead: {{ concurrent: 1 }}"));
    let setup = crate::support::Setup::new(app.to_string()).beside("guards.yaml", &guards);
    let gateway = Arc::new(setup.workers(2).start());
    let held = thread::spawn({
        let gateway = gateway.clone();
        move || gateway.get("/t").status
    });
    eventually("the place is taken", || upstream.in_flight() == 1);
    assert!(gateway.get("/u").text().contains("bulkhead_full"));
    let metrics = gateway.admin_get("/metrics").text();
    assert_eq!(metrics.matches("fusebox_bulkhead_in_flight{").count(), 1);
    // The API lists them by the name that the metrics have, once.
    let listed = gateway.admin_get("/api/v1/upstreams").json();
    let listed = listed["upstreams"].as_array().unwrap();
    assert_eq!(listed.len(), 1, "{listed:?}");
    assert_eq!(listed[0]["name"], "it");
    assert_eq!(listed[0]["bulkhead"]["in_flight"], 1);
    assert_eq!(listed[0]["endpoints"][0]["url"], upstream.url());
    gate.open();
    assert_eq!(held.join().unwrap(), 200);
}

#[test]
fn each_try_of_until_successful_is_a_call() {
    let upstream = scripted(&[503]);
    let retrying = "<until-successful maxRetries='2' millisBetweenRetries='20'><http:request config-ref='Order_Service' path='/x' method='GET'/></until-successful>";
    let guards = Dialect::Mule.guards(&format!(
        "{FIVE}, retry: {{ attempts: 2, backoff: {{ base: 1ms, max: 1ms }}, budget: {{ ratio: 100%, min: 100 }} }}"
    ));
    let gateway = setup(
        flow("f", "/t", retrying),
        &[("Order_Service", &upstream.url())],
    )
    .beside("guards.yaml", &guards)
    .start();
    assert_eq!(gateway.get("/t").status, 500);
    assert_eq!(gateway.outcomes("it"), (0, 3, 0));
    assert_eq!(upstream.calls(), 6);
}

#[test]
fn the_access_log_has_an_applications_own_requests() {
    for dialect in Dialect::ALL {
        let upstream = Upstream::start(|call| call.respond(200, "fine"));
        let gateway = dialect.start("GET", &upstream.url(), FIVE);
        assert_eq!(gateway.get("/t").status, 200, "{dialect:?}");
        let guards = dialect.guards(FIVE);
        let log = "access_log: { to: access.log }\n";
        gateway.rewrite_beside("guards.yaml", &format!("{guards}{log}"));
        gateway.sighup();
        gateway.log_line(|line| line["message"] == "reloaded");
        assert_eq!(gateway.get("/t").status, 200, "{dialect:?}");
        let opened = json!({ "reason": "a test" });
        gateway.admin_post("/api/v1/breakers/it/open", &opened);
        gateway.get("/t");
        let path = gateway.config().with_file_name("access.log");
        let lines = until("both are written", || {
            let text = std::fs::read_to_string(&path).ok()?;
            let lines = text.lines().map(|line| serde_json::from_str(line).ok());
            let lines: Option<Vec<Value>> = lines.collect();
            lines.filter(|lines| lines.len() == 2)
        });
        let part = |line: &Value| {
            let [path, upstream, breaker] = ["path", "upstream", "breaker"].map(|it| &line[it]);
            json!([path, upstream.is_string(), breaker])
        };
        let mut lines = lines;
        lines.sort_by_key(|line| line["ts"].to_string());
        for line in &lines {
            assert_eq!(part(line), json!(["/t", true, "it"]), "{dialect:?}: {line}");
        }
        let attempts = &lines[0]["attempts"];
        assert_eq!(attempts[0]["status"], 200, "{dialect:?}: {}", lines[0]);
        assert_eq!(lines[1]["reason"], "held_open", "{dialect:?}: {}", lines[1]);
        assert_eq!(lines[1]["attempts"], json!([]));
    }
}
