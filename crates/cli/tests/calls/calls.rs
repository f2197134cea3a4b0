//! One call: its attempts, their budget, and who hears of them (docs/calls.md).
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::support::{Dial, Gate, Gateway, Refusing, Upstream, calls, eventually};

const NO_PAUSE: &str = "backoff: { base: 1ms, max: 1ms }";
const FIVE: &str = "{ trip: { consecutive_failures: 5 }, cooldown: 60s }";

/// A file with the upstream `orders` before those URLs, and more keys of it.
fn file(urls: &[String], breaker: &str, more: &str) -> String {
    calls::file(urls, breaker, &more.lines().collect::<Vec<_>>())
}

/// An upstream whose answers have those statuses in turn, the last one again and again.
fn scripted(statuses: &'static [u16]) -> Upstream {
    let next = AtomicUsize::new(0);
    Upstream::start(move |call| {
        let at = next.fetch_add(1, Ordering::SeqCst).min(statuses.len() - 1);
        let body = call.text();
        call.respond(statuses[at], &format!("{} {body}", at + 1));
    })
}

fn retry(more: &str) -> String {
    format!("retry: {{ attempts: 3, {NO_PAUSE}{more} }}")
}

#[test]
fn a_failure_that_a_repeat_mends_reaches_nobody() {
    let upstream = scripted(&[503, 200]);
    let gateway = Gateway::run(file(&[upstream.url()], FIVE, &retry("")));
    let response = gateway.get("/a");
    assert_eq!((response.status, response.text().as_str()), (200, "2 "));
    assert_eq!(upstream.calls(), 2);
    assert_eq!(
        gateway.outcomes("orders"),
        (1, 0, 0),
        "one call, one outcome"
    );
    let attempts: Vec<_> = upstream
        .seen()
        .iter()
        .map(|seen| seen.fields.get("fusebox-attempt").map(str::to_owned))
        .collect();
    assert_eq!(attempts, [None, Some("2".into())]);
    let result = |result| {
        gateway.metric(&format!(
            "fusebox_retries_total{{upstream=\"orders\",result=\"{result}\"}}"
        ))
    };
    assert_eq!(result("success"), Some(1.0));
}

#[test]
fn a_breaker_counts_clients_and_not_attempts() {
    let upstream = scripted(&[503]);
    let budget = retry(", budget: { ratio: 100%, min: 100 }");
    let gateway = Gateway::run(file(&[upstream.url()], FIVE, &budget));
    for call in 1..=5 {
        assert_eq!(gateway.state("orders"), "closed", "before call {call}");
        let response = gateway.get("/a");
        assert_eq!(response.status, 503);
        assert_eq!(response.text(), "1 ", "the upstream's own answer");
    }
    assert_eq!(gateway.state("orders"), "open");
    assert_eq!(gateway.outcomes("orders"), (0, 5, 0));
    assert_eq!(upstream.calls(), 15);
}

#[test]
fn the_budget_bounds_the_load_that_repeats_add() {
    let upstream = scripted(&[503]);
    let never = "{ trip: { consecutive_failures: 100000 }, cooldown: 60s }";
    let gateway = Gateway::run(file(&[upstream.url()], never, &retry("")));
    let mut client = gateway.client();
    for _ in 0..1_000 {
        assert_eq!(client.get("/a").status, 503);
    }
    let calls = upstream.calls();
    assert!((1_190..=1_203).contains(&calls), "{calls}");
}

#[test]
fn a_post_is_repeated_only_if_nothing_of_it_was_sent() {
    let upstream = scripted(&[503]);
    let gateway = Gateway::run(file(&[upstream.url()], FIVE, &retry("")));
    assert_eq!(
        gateway.client().request("POST", "/a", "", "hello").status,
        503
    );
    assert_eq!(upstream.calls(), 1);

    let dead = Refusing::new();
    let alive = scripted(&[200]);
    let urls = [dead.url(), alive.url()];
    let gateway = Gateway::run(file(&urls, FIVE, &retry("")));
    for _ in 0..4 {
        let response = gateway.client().request("POST", "/a", "", "hello");
        assert_eq!(response.status, 200);
        assert!(response.text().ends_with(" hello"), "{}", response.text());
    }
    assert_eq!(alive.calls(), 4);
    assert_eq!(gateway.outcomes("orders"), (4, 0, 0));
}

#[test]
fn a_body_is_kept_with_its_trailers_and_sent_again() {
    let next = AtomicUsize::new(0);
    let upstream = Upstream::start(move |call| {
        let (body, trailers) = call.body_and_trailers();
        let text = format!(
            "{} {:?}",
            String::from_utf8_lossy(&body),
            trailers.get("x-sum")
        );
        let at = next.fetch_add(1, Ordering::SeqCst);
        call.respond(if at == 0 { 503 } else { 200 }, &text);
    });
    let gateway = Gateway::run(file(&[upstream.url()], FIVE, &retry("")));
    let chunked = "PUT /a HTTP/1.1\r\nHost: t\r\nTE: trailers\r\nTrailer: x-sum\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nx-sum: 5\r\n\r\n";
    let mut client = gateway.client();
    client.send(chunked);
    let response = client.response_to("PUT");
    assert_eq!(
        (response.status, response.text().as_str()),
        (200, "abcde Some(\"5\")")
    );
    assert_eq!(upstream.calls(), 2);
}

#[test]
fn a_body_over_the_buffer_is_sent_once() {
    let upstream = scripted(&[503]);
    let gateway = Gateway::run(file(&[upstream.url()], FIVE, &retry(", buffer: 1KiB")));
    let response = gateway
        .client()
        .request("PUT", "/a", "", &"x".repeat(5_000));
    assert_eq!(response.status, 503);
    assert_eq!(upstream.calls(), 1);
    let lost = "fusebox_retries_total{upstream=\"orders\",result=\"body_too_large\"}";
    assert_eq!(gateway.metric(lost), Some(1.0));
}

#[test]
fn a_breaker_that_opens_in_a_pause_ends_the_call_with_the_answer_that_failed() {
    let upstream = scripted(&[503]);
    let long = "retry: { attempts: 3, backoff: { base: 500ms, max: 500ms, jitter: none } }";
    let one = "{ trip: { consecutive_failures: 1 }, cooldown: 60s }";
    let gateway = Arc::new(Gateway::run(file(&[upstream.url()], one, long)));
    let waiting = std::thread::spawn({
        let gateway = gateway.clone();
        move || gateway.get("/a")
    });
    eventually("the first attempt", || upstream.calls() == 1);
    gateway.admin_post(
        "/api/v1/breakers/orders/open",
        &serde_json::json!({ "reason": "test" }),
    );
    let response = waiting.join().unwrap();
    assert_eq!((response.status, response.text().as_str()), (503, "1 "));
    assert_eq!(
        response.fields.get("fusebox-reason"),
        None,
        "not our refusal"
    );
    assert_eq!(upstream.calls(), 1);
}

#[test]
fn half_open_a_call_is_one_attempt() {
    let upstream = scripted(&[503]);
    let breaker = "{ trip: { consecutive_failures: 1 }, cooldown: 100ms }";
    let off = retry(", on: [\"502\"]");
    let gateway = Gateway::run(file(&[upstream.url()], breaker, &off));
    assert_eq!(gateway.get("/a").status, 503);
    assert_eq!(gateway.state("orders"), "open");
    gateway.rewrite(&file(&[upstream.url()], breaker, &retry("")));
    gateway.sighup();
    let before = upstream.calls();
    eventually("a probe", || {
        gateway.get("/a");
        upstream.calls() > before
    });
    assert_eq!(upstream.calls(), before + 1);
}

#[test]
fn a_retry_after_that_does_not_fit_into_the_total_is_not_waited_for() {
    let upstream = Upstream::start(|call| call.respond_with(503, "Retry-After: 9\r\n", "busy"));
    let total = retry("") + "\ntimeout: { request: 2s, total: 2s }";
    let gateway = Gateway::run(file(&[upstream.url()], FIVE, &total));
    let began = Instant::now();
    assert_eq!(gateway.get("/a").text(), "busy");
    assert!(began.elapsed() < Duration::from_secs(1));
    assert_eq!(upstream.calls(), 1);
}

#[test]
fn the_total_cuts_a_running_attempt() {
    let upstream = Upstream::start(|call| {
        call.hang();
    });
    let more = "retry: { attempts: 9, on: [timeout], per_try: 200ms, backoff: { base: 1ms, max: 1ms }, budget: { ratio: 100%, min: 100 } }
timeout: { request: 5s, total: 500ms }";
    let gateway = Gateway::run(file(&[upstream.url()], FIVE, more));
    let began = Instant::now();
    assert_eq!(gateway.get("/a").status, 504);
    let took = began.elapsed();
    assert!(
        took >= Duration::from_millis(400) && took < Duration::from_secs(2),
        "{took:?}"
    );
    assert!((2..=4).contains(&upstream.calls()), "{}", upstream.calls());
}

#[test]
fn one_layer_repeats() {
    let upstream = scripted(&[503]);
    let mut yaml = file(&[upstream.url()], FIVE, &retry(""));
    yaml = yaml.replace(
        "listen: 127.0.0.1:0",
        "listeners: [{ name: in, addr: 127.0.0.1:0, trusted_proxies: [127.0.0.0/8] }]",
    );
    let gateway = Gateway::run(yaml);
    let outer = "Fusebox-Attempt: 2\r\n";
    assert_eq!(gateway.client().request("GET", "/a", outer, "").status, 503);
    assert_eq!(upstream.calls(), 1);
    let inner =
        Upstream::start(|call| call.respond_with(503, "Fusebox-Reason: breaker_open\r\n", ""));
    let gateway = Gateway::run(file(&[inner.url()], FIVE, &retry("")));
    assert_eq!(gateway.get("/a").status, 503);
    assert_eq!(inner.calls(), 1);
}

#[test]
fn an_endpoint_that_fails_is_ejected_after_five_attempts_and_no_client_sees_it() {
    let bad = Dial::at(500);
    let [good, other] = [scripted(&[200]), scripted(&[200])];
    let failing = Upstream::dialled(&bad);
    let urls = [good.url(), failing.url(), other.url()];
    let more = retry(", on: [connect_error, \"500\"], budget: { ratio: 100%, min: 100 }")
        + "\nejection: { consecutive_failures: 5, for: { base: 1s, max: 1s, jitter: 0% } }";
    let gateway = Gateway::run(file(&urls, FIVE, &more));
    let mut client = gateway.client();
    let began = Instant::now();
    for _ in 0..60 {
        assert_eq!(client.get("/a").status, 200);
    }
    assert!(
        began.elapsed() < Duration::from_millis(900),
        "within the ejection"
    );
    assert_eq!(failing.calls(), 5);
    assert_eq!(gateway.outcomes("orders"), (60, 0, 0));
    // Its time over, one request finds out that it is still not well, and that is all.
    eventually("the endpoint is probed", || {
        assert_eq!(client.get("/a").status, 200);
        failing.calls() > 5
    });
    for _ in 0..30 {
        assert_eq!(client.get("/a").status, 200);
    }
    assert_eq!(failing.calls(), 6);
    bad.set(200);
    eventually("the endpoint is back", || {
        client.get("/a");
        failing.calls() > 8
    });
}

#[test]
fn with_every_endpoint_dead_the_upstreams_breaker_opens_at_its_own_threshold() {
    let [one, two] = [scripted(&[500]), scripted(&[500])];
    let gateway = Gateway::run(file(&[one.url(), two.url()], FIVE, ""));
    for call in 1..=5 {
        assert_eq!(gateway.get("/a").status, 500, "call {call}");
    }
    assert_eq!(gateway.get("/a").status, 503);
    assert_eq!(one.calls() + two.calls(), 5);
    assert_eq!(gateway.state("orders"), "open");
}

#[test]
fn with_half_of_the_endpoints_dead_and_retry_the_upstreams_breaker_stays_closed() {
    let [alive, dead] = [scripted(&[200]), scripted(&[503])];
    let more = retry(", budget: { ratio: 100%, min: 100 }") + "\nejection: off";
    let gateway = Gateway::run(file(&[alive.url(), dead.url()], FIVE, &more));
    let mut client = gateway.client();
    for _ in 0..40 {
        assert_eq!(client.get("/a").status, 200);
    }
    assert_eq!(gateway.outcomes("orders"), (40, 0, 0));
    assert_eq!(dead.calls(), 20, "each second attempt");
}

#[test]
fn a_ladder_answers_in_order_and_its_upstreams_failures_are_their_own() {
    let (main, spare) = (Dial::at(500), Dial::at(200));
    let (upstream, other) = (Upstream::dialled(&main), Upstream::dialled(&spare));
    let rungs = "fallback: [{ upstream: spare }, { respond: { status: 200, headers: { x-why: \"{reason}\" }, json: { degraded: true, why: \"{reason}\", after: \"{retry_after}\" } } }]
request: { set: { authorization: \"Bearer one\" } }";
    let one = "{ trip: { consecutive_failures: 2 }, cooldown: 60s }";
    let mut yaml = file(&[upstream.url()], one, rungs);
    let extra = format!(
        "  spare:\n    url: {}\n    breaker: {one}\n    request: {{ set: {{ x-key: two }} }}\nroutes:",
        other.url()
    );
    yaml = yaml.replace("routes:", &extra);
    let gateway = Gateway::run(yaml);
    for _ in 0..2 {
        let response = gateway.get("/a");
        assert_eq!(response.status, 200);
        assert_eq!(
            response.fields.get("fusebox-fallback"),
            Some("upstream=spare")
        );
    }
    assert_eq!(gateway.state("orders"), "open");
    let seen = other.last();
    assert_eq!(
        seen.fields.get("authorization"),
        None,
        "a key stays with its upstream"
    );
    assert_eq!(seen.fields.get("x-key"), Some("two"));
    assert_eq!(
        upstream.last().fields.get("authorization"),
        Some("Bearer one")
    );
    let response = gateway.client().request("POST", "/a", "", "hello");
    assert_eq!(
        response.fields.get("fusebox-fallback"),
        Some("upstream=spare")
    );
    let reason = response
        .fields
        .get("fusebox-reason")
        .unwrap_or_default()
        .to_owned();
    assert!(reason.starts_with("breaker_open"), "{reason}");
    spare.set(500);
    for _ in 0..3 {
        let response = gateway.get("/a");
        assert_eq!(response.fields.get("fusebox-fallback"), Some("respond"));
        let json = response.json();
        assert_eq!(
            (&json["degraded"], &json["why"]),
            (&true.into(), &"breaker_open".into())
        );
    }
    assert_eq!(gateway.state("spare"), "open");
    assert_eq!(gateway.outcomes("orders"), (0, 2, 0));
    assert_eq!(gateway.outcomes("spare"), (3, 2, 0));
    assert_eq!(other.calls(), 5);
}

#[test]
fn a_post_that_failed_goes_to_no_other_upstream() {
    let (upstream, other) = (scripted(&[500]), scripted(&[200]));
    let mut yaml = file(&[upstream.url()], FIVE, "fallback: [{ upstream: spare }]");
    let extra = format!(
        "  spare: {{ url: {}, breaker: {FIVE} }}\nroutes:",
        other.url()
    );
    yaml = yaml.replace("routes:", &extra);
    let gateway = Gateway::run(yaml);
    let response = gateway.client().request("POST", "/a", "", "hello");
    assert_eq!(
        (response.status, response.text().as_str()),
        (500, "1 hello")
    );
    assert_eq!(other.calls(), 0);
    assert_eq!(gateway.get("/a").status, 200);
}

#[test]
fn an_upstream_never_sees_one_call_more_than_its_bulkhead_admits() {
    let gate = Gate::default();
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let upstream = Upstream::start({
        let (gate, now, most) = (gate.clone(), now, most.clone());
        move |call| {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            gate.pass();
            // The gateway may send the next call as soon as it has the answer.
            now.fetch_sub(1, Ordering::SeqCst);
            call.respond(200, "ok");
        }
    });
    let bulkhead = "bulkhead: { concurrent: 5, queued: 2, queue_for: 30s }";
    let gateway = Arc::new(Gateway::run(file(&[upstream.url()], FIVE, bulkhead)));
    let clients: Vec<_> = (0..7)
        .map(|_| {
            let gateway = gateway.clone();
            std::thread::spawn(move || gateway.get("/a").status)
        })
        .collect();
    let queued = "fusebox_bulkhead_queued{upstream=\"orders\"}";
    eventually("two wait", || gateway.metric(queued) == Some(2.0));
    eventually("five are served", || gate.waiting() == 5);
    let full = gateway.get("/a");
    assert_eq!(full.status, 503);
    assert_eq!(full.fields.get("retry-after"), Some("1"));
    assert!(
        full.fields
            .get("fusebox-reason")
            .unwrap_or_default()
            .starts_with("bulkhead_full")
    );
    gate.open();
    for client in clients {
        assert_eq!(client.join().unwrap(), 200);
    }
    assert_eq!(most.load(Ordering::SeqCst), 5);
    assert_eq!(gateway.outcomes("orders"), (7, 0, 0));
    let in_flight = "fusebox_bulkhead_in_flight{upstream=\"orders\"}";
    eventually("all places are free", || {
        gateway.metric(in_flight) == Some(0.0)
    });
}

#[test]
fn an_unhealthy_endpoint_gets_no_calls_and_the_last_one_is_kept() {
    let (well, ill) = (Dial::at(200), Dial::at(200));
    let by_path = |dial: &Dial| {
        let dial = dial.clone();
        Upstream::start(move |call| {
            let status = match call.seen.target.as_str() {
                "/healthz" => u16::try_from(dial.get()).unwrap(),
                _ => 200,
            };
            call.respond(status, "");
        })
    };
    let (one, two) = (by_path(&well), by_path(&ill));
    let more = "health: { path: /healthz, interval: 50ms, timeout: 1s, rise: 2, fall: 3 }";
    let gateway = Gateway::run(file(&[one.url(), two.url()], FIVE, more));
    let up = |of: &Upstream| {
        let series = format!(
            "fusebox_endpoint_up{{upstream=\"orders\",endpoint=\"{}\"}}",
            of.addr()
        );
        gateway.metric(&series)
    };
    let calls = |of: &Upstream| of.seen().iter().filter(|it| it.target == "/a").count();
    ill.set(503);
    eventually("the endpoint is found ill", || up(&two) == Some(0.0));
    let before = calls(&two);
    for _ in 0..20 {
        assert_eq!(gateway.get("/a").status, 200);
    }
    assert_eq!(calls(&two), before);
    well.set(503);
    eventually("the other one too", || up(&one) == Some(0.0));
    for _ in 0..20 {
        assert_eq!(gateway.get("/a").status, 200, "somebody is always asked");
    }
    ill.set(200);
    eventually("the endpoint is back", || up(&two) == Some(1.0));
    assert_eq!(
        gateway.outcomes("orders"),
        (40, 0, 0),
        "checks are no calls"
    );
    let checked = one.seen().into_iter().find(|it| it.target == "/healthz");
    let agent = checked.unwrap().fields.get("user-agent").map(str::to_owned);
    assert_eq!(agent.as_deref(), Some("fusebox-health"));
}

#[test]
fn with_health_probes_no_client_probes_and_the_checks_close_the_breaker() {
    let (calls, checks) = (Dial::at(500), Dial::at(503));
    let upstream = Upstream::start({
        let (calls, checks) = (calls.clone(), checks.clone());
        move |call| {
            let dial = if call.seen.target == "/healthz" {
                &checks
            } else {
                &calls
            };
            call.respond(u16::try_from(dial.get()).unwrap(), "");
        }
    });
    let breaker = "{ trip: { consecutive_failures: 2 }, cooldown: 200ms, half_open: { probe: health, successes: 2 } }";
    let more = "health: { path: /healthz, interval: 30ms, timeout: 1s }";
    let gateway = Gateway::run(file(&[upstream.url()], breaker, more));
    for _ in 0..2 {
        assert_eq!(gateway.get("/a").status, 500);
    }
    let asked = || {
        upstream
            .seen()
            .iter()
            .filter(|it| it.target == "/a")
            .count()
    };
    assert_eq!(asked(), 2);
    // The cooldown over, calls are refused for another reason, and none gets through.
    eventually("the breaker waits for its checks", || {
        let response = gateway.get("/a");
        assert_eq!(response.status, 503);
        let reason = response.fields.get("fusebox-reason").unwrap_or_default();
        reason.starts_with("breaker_probing")
    });
    calls.set(200);
    assert_eq!(asked(), 2);
    checks.set(200);
    eventually("the checks have closed it", || {
        gateway.state("orders") == "closed"
    });
    assert_eq!(gateway.get("/a").status, 200);
    assert_eq!(asked(), 3);
}

#[test]
fn an_adaptive_bulkhead_grows_with_what_the_upstream_can_take() {
    let upstream = Upstream::start(|call| {
        // The service's own work, which the limit measures; nothing waits for it.
        std::thread::sleep(Duration::from_millis(5));
        call.respond(200, "ok");
    });
    let more =
        "bulkhead: { concurrent: { adaptive: { min: 2, max: 64 } }, queued: 64, queue_for: 30s }";
    let gateway = Gateway::run(file(&[upstream.url()], FIVE, more));
    let addr = gateway.addr();
    let stop = Arc::new(AtomicUsize::new(0));
    let clients: Vec<_> = (0..12)
        .map(|_| {
            let stop = stop.clone();
            std::thread::spawn(move || {
                let mut client = crate::support::Client::to(addr);
                while stop.load(Ordering::SeqCst) == 0 {
                    assert_eq!(client.get("/a").status, 200);
                }
            })
        })
        .collect();
    let concurrent = || {
        let upstreams = gateway.admin_get("/api/v1/upstreams").json();
        upstreams["upstreams"][0]["bulkhead"]["concurrent"].as_u64()
    };
    eventually("the limit has grown", || {
        concurrent().is_some_and(|it| it >= 8)
    });
    stop.store(1, Ordering::SeqCst);
    clients.into_iter().for_each(|it| it.join().unwrap());
    assert_eq!(gateway.count("orders", "rejected"), 0);
}
