//! Applications and what `fusebox convert` makes of them answer alike.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::mule::{DOCUMENT, flow, setup};
use crate::support::{Finished, Gateway, Program, Refusing, Response, Upstream, flogo};
use serde_json::json;

/// Runs `convert` for a Mule application whose configurations are bound.
fn convert(xml: &str, upstreams: &[(&str, &str)], more: &[&str]) -> Finished {
    let mut args = vec!["convert".to_owned(), "orders.xml".to_owned()];
    args.extend(more.iter().map(|it| (*it).to_owned()));
    for (name, url) in [&[("HTTP_Listener", "http://127.0.0.1:0")], upstreams].concat() {
        args.extend(["--bind".to_owned(), format!("{name}={url}")]);
    }
    Program::new().file("orders.xml", xml).run(args)
}

/// The application, and what it is converted to, which `check` takes.
#[track_caller]
fn both(xml: &str, upstreams: &[(&str, &str)]) -> [Gateway; 2] {
    let converted = convert(xml, upstreams, &[]);
    assert_eq!(converted.code, Some(0), "{}", converted.stderr);
    [setup(xml, upstreams).start(), checked(&converted.stdout)]
}

#[track_caller]
fn checked(yaml: &str) -> Gateway {
    let check = Program::new()
        .file("fb.yaml", yaml)
        .run(["check", "fb.yaml"]);
    assert_eq!(check.code, Some(0), "{}\n{yaml}", check.stdout);
    Gateway::run(yaml)
}

fn shown(response: &Response) -> (u16, String) {
    (response.status, response.text())
}

/// An upstream whose answers have those statuses in turn, the last one again and again.
fn scripted(statuses: &'static [u16]) -> Upstream {
    let next = AtomicUsize::new(0);
    Upstream::start(move |call| {
        let at = next.fetch_add(1, Ordering::SeqCst).min(statuses.len() - 1);
        call.respond(statuses[at], "answer");
    })
}

#[test]
fn the_documents_flow_answers_as_before_while_closed_failing_and_open() {
    let upstream = Upstream::start(|call| {
        call.respond_with(200, "Content-Type: application/json\r\n", "{\"orders\":[]}");
    });
    let url = upstream.url();
    let gateways = both(DOCUMENT, &[("Order_Service", &url)]);
    let ask = |gateway: &Gateway| shown(&gateway.get("/api/orders"));
    for gateway in &gateways {
        assert_eq!(ask(gateway), (200, "{\"orders\":[]}".into()));
        assert_eq!(upstream.last().target, "/orders");
    }
    drop(upstream);
    for gateway in &gateways {
        let mut answers: Vec<_> = (0..7).map(|_| ask(gateway)).collect();
        let open = answers.split_off(5);
        let failed = "{\"error\":\"Service temporarily unavailable\"}";
        assert!(
            answers.iter().all(|it| *it == (503, failed.into())),
            "{answers:?}"
        );
        let refused = "{\"error\":\"Circuit open — service unavailable\"}";
        assert!(
            open.iter().all(|it| *it == (503, refused.into())),
            "{open:?}"
        );
    }
}

#[test]
fn a_repeated_call_has_as_many_tries() {
    let xml = flow(
        "orders",
        "/a",
        r#"<until-successful maxRetries="3" millisBetweenRetries="5"><http:request config-ref="Order_Service" path="/a" method="GET"/></until-successful>"#,
    )
    .replace("path=\"/a\"/>", "path=\"/a\" allowedMethods=\"GET\"/>");
    let asked = [&[503, 404, 500, 200][..], &[500, 500, 500, 500, 200]];
    for statuses in asked {
        let found: Vec<_> = (0..2)
            .map(|which| {
                let upstream = scripted(statuses);
                let gateway = &both(&xml, &[("Order_Service", &upstream.url())])[which];
                (gateway.get("/a").status, upstream.calls())
            })
            .collect();
        assert_eq!(found[0], found[1], "{statuses:?}");
        assert_eq!(found[0].1, 4, "{statuses:?}");
    }
}

#[test]
fn what_was_kept_is_given_while_the_upstream_is_away() {
    let xml = flow(
        "orders",
        "/a",
        r#"<try><http:request config-ref="Order_Service" path="/a" method="GET"/><os:store key="a" objectStore="kept"><os:value>#[payload]</os:value></os:store>
           <error-handler><on-error-continue type="HTTP:CONNECTIVITY, HTTP:TIMEOUT"><os:retrieve key="a" objectStore="kept"/></on-error-continue></error-handler></try>"#,
    );
    let upstream = Upstream::start(|call| call.respond(200, "kept"));
    let gateways = both(&xml, &[("Order_Service", &upstream.url())]);
    for gateway in &gateways {
        assert_eq!(shown(&gateway.get("/a")), (200, "kept".into()));
    }
    drop(upstream);
    for gateway in &gateways {
        assert_eq!(shown(&gateway.get("/a")), (200, "kept".into()));
    }
}

#[test]
fn a_second_service_answers_where_the_first_does_not() {
    let xml = flow(
        "orders",
        "/a",
        r#"<try><http:request config-ref="Order_Service" path="/a" method="GET"/>
           <error-handler><on-error-continue type="HTTP:CONNECTIVITY"><http:request config-ref="Spare" path="/v2/a" method="GET"/></on-error-continue></error-handler></try>"#,
    );
    let spare = Upstream::start(|call| call.respond(200, "spare"));
    let dead = Refusing::new();
    let upstreams = [("Order_Service", &*dead.url()), ("Spare", &*spare.url())];
    for gateway in both(&xml, &upstreams) {
        assert_eq!(shown(&gateway.get("/a")), (200, "spare".into()));
        assert_eq!(spare.last().target, "/v2/a");
    }
}

#[test]
fn a_lost_guard_ends_the_conversion_unless_it_is_accepted() {
    let xml = flow(
        "tea",
        "/cup",
        "\n<choice><when expression=\"#[attributes.headers.key == null]\"><raise-error type=\"APP:NO_KEY\"/></when></choice><http:request config-ref=\"S\" path=\"/cup\"/>",
    );
    let upstreams = [("S", "http://127.0.0.1:9")];
    let refused = convert(&xml, &upstreams, &[]);
    assert_eq!((refused.code, refused.stdout.as_str()), (Some(1), ""));
    let told = "orders.xml:2:1: error: not carried: the gate of `tea`";
    assert!(refused.stderr.contains(told), "{}", refused.stderr);
    let accepted = convert(&xml, &upstreams, &["--lossy"]);
    assert_eq!(accepted.code, Some(0), "{}", accepted.stderr);
    assert!(
        accepted
            .stderr
            .contains("orders.xml:2:1: warning: not carried: the gate of `tea`")
    );
    assert!(
        accepted
            .stdout
            .contains("\n# - orders.xml:2: the gate of `tea`"),
        "{}",
        accepted.stdout
    );
}

#[test]
fn the_steps_around_a_breaker_answer_as_before() {
    let dead = Refusing::new();
    let breaker = json!({ "mode": "a", "threshold": 3 });
    let app = flogo::single(flogo::guarded(breaker, &format!("{}/pets", dead.url())));
    let text = app.to_string();
    let converted = Program::new()
        .file("app.json", &text)
        .run(["convert", "app.json"]);
    assert_eq!(converted.code, Some(0), "{}", converted.stderr);
    let answers = |gateway: &Gateway| -> Vec<_> {
        let ask = |_| {
            let response = gateway.get("/t");
            let body: serde_json::Value = serde_json::from_str(&response.text()).unwrap();
            (response.status, body)
        };
        (0..5).map(ask).collect()
    };
    let before = answers(&Gateway::run(text));
    assert_eq!(before[2], (403, json!({ "error": "connection failure" })));
    assert_eq!(
        before[4],
        (403, json!({ "error": "circuit breaker tripped" }))
    );
    assert_eq!(answers(&checked(&converted.stdout)), before);
}
