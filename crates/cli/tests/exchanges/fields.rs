//! The fields of a request and of a response on their way through.

use crate::support::{Fields, Gateway, Response, Upstream, orders};

/// Sends fields through the gateway; gives what the upstream saw, and the response.
fn through(gateway: &Gateway, upstream: &Upstream, lines: &str) -> (Fields, Response) {
    let response = gateway.client().request("GET", "/a", lines, "");
    assert_eq!(response.status, 200);
    (upstream.last().fields, response)
}

fn plain() -> (Gateway, Upstream) {
    let upstream = Upstream::start(|call| call.respond(200, ""));
    (Gateway::run(orders(&upstream, "{}")), upstream)
}

fn trusting(networks: &str) -> (Gateway, Upstream) {
    let upstream = Upstream::start(|call| call.respond(200, ""));
    let listener =
        format!("listeners: [{{ name: a, addr: 127.0.0.1:0, trusted_proxies: {networks} }}]");
    let yaml = orders(&upstream, "{}").replace("listen: 127.0.0.1:0", &listener);
    (Gateway::run(yaml), upstream)
}

#[test]
fn the_upstream_hears_who_the_client_is() {
    let (gateway, upstream) = plain();
    let (seen, response) = through(&gateway, &upstream, "");
    assert_eq!(seen.get("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(seen.get("x-forwarded-proto"), Some("http"));
    assert_eq!(seen.get("x-forwarded-host"), Some("gateway.test"));
    assert_eq!(
        seen.get("forwarded"),
        Some("for=127.0.0.1;proto=http;host=\"gateway.test\"")
    );
    assert_eq!(seen.get("via"), Some("1.1 fusebox"));
    assert_eq!(response.fields.get("via"), Some("1.1 fusebox"));
    assert_eq!(seen.get("host"), Some(upstream.addr().to_string().as_str()));
}

#[test]
fn what_a_client_says_of_itself_is_not_believed() {
    let (gateway, upstream) = plain();
    let lies = "X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-For: 5.6.7.8\r\nX-Forwarded-Proto: https\r\n\
                X-Forwarded-Host: bank.test\r\nX-Forwarded-Port: 443\r\nX-Real-IP: 1.2.3.4\r\n\
                Forwarded: for=1.2.3.4;proto=https\r\n";
    let (seen, _) = through(&gateway, &upstream, lies);
    assert_eq!(seen.all("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(seen.all("x-forwarded-proto"), ["http"]);
    assert_eq!(seen.all("x-forwarded-host"), ["gateway.test"]);
    assert_eq!(seen.all("forwarded").len(), 1);
    assert!(!seen.has("x-forwarded-port") && !seen.has("x-real-ip"));
    assert!(
        seen.0.iter().all(|(_, value)| !value.contains("1.2.3.4")),
        "{seen:?}"
    );
}

#[test]
fn a_trusted_proxy_is_believed_and_added_to() {
    let (gateway, upstream) = trusting("[127.0.0.0/8]");
    let word = "X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-For: 5.6.7.8\r\nX-Forwarded-Proto: https\r\n\
                X-Forwarded-Host: shop.test\r\nForwarded: for=1.2.3.4;proto=https\r\n";
    let (seen, _) = through(&gateway, &upstream, word);
    assert_eq!(seen.all("x-forwarded-for"), ["1.2.3.4, 5.6.7.8, 127.0.0.1"]);
    assert_eq!(seen.all("x-forwarded-proto"), ["https"]);
    assert_eq!(seen.all("x-forwarded-host"), ["shop.test"]);
    assert_eq!(
        seen.all("forwarded"),
        ["for=1.2.3.4;proto=https, for=127.0.0.1;proto=http;host=\"gateway.test\""]
    );
    let (seen, _) = through(&gateway, &upstream, "");
    assert_eq!(seen.all("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(seen.all("x-forwarded-proto"), ["http"]);
}

#[test]
fn only_the_named_proxies_are_trusted() {
    let (gateway, upstream) = trusting("[10.0.0.0/8]");
    let (seen, _) = through(&gateway, &upstream, "X-Forwarded-For: 1.2.3.4\r\n");
    assert_eq!(seen.all("x-forwarded-for"), ["127.0.0.1"]);
}

/// Fields by which frameworks see another target or another client than the request's own.
const FORGED: &str = "X-Original-URL: /private\r\nX-Rewrite-URL: /private\r\nX-Original-URI: /private\r\n\
    X-Original-Method: DELETE\r\nX-Original-Host: bank.test\r\nX-Host: bank.test\r\n\
    X-HTTP-Host-Override: bank.test\r\nX-Forwarded-Prefix: /private\r\nX-Client-IP: 6.6.6.6\r\n\
    True-Client-IP: 6.6.6.6\r\nCF-Connecting-IP: 6.6.6.6\r\nX-Cluster-Client-IP: 6.6.6.6\r\n\
    Client-IP: 6.6.6.6\r\nFastly-Client-IP: 6.6.6.6\r\nX-ProxyUser-Ip: 6.6.6.6\r\n\
    X-Envoy-External-Address: 6.6.6.6\r\nClient-Cert: :AAAA:\r\n\
    X-Original-Scheme: https\r\nX-Original-Proto: https\r\nX-Original-Port: 443\r\n\
    X-Original-Remote-Addr: 6.6.6.6\r\nX-Original-Request-URI: /private\r\nX-MS-Original-URL: /private\r\n\
    X-Request-URI: /private\r\nForwarded-For: 6.6.6.6\r\nX-Forward-For: 6.6.6.6\r\nX-Forwarded: for=6.6.6.6\r\n\
    X-Remote-User: root\r\nRemote-User: root\r\nProxy: http://bank.test\r\nProxy-Host: bank.test\r\n\
    Proxy-URL: http://bank.test\r\nX-SSL-Client-Verify: SUCCESS\r\nX-SSL-Client-S-DN: CN=root\r\n\
    X-SSL-Client-DN: CN=root\r\nX-TLS-Client-Cert: AAAA\r\n";

#[test]
fn another_target_or_client_is_only_a_trusted_proxys_to_say() {
    let names: Vec<&str> = FORGED
        .split("\r\n")
        .filter_map(|line| Some(line.split_once(':')?.0))
        .collect();
    let own =
        "X-HTTP-Method-Override: PUT\r\nX-Original-Filename: a.txt\r\nOrigin: http://a.test\r\n";
    let lines = format!("{FORGED}{own}");
    let (gateway, upstream) = trusting("[10.0.0.0/8]");
    let (seen, _) = through(&gateway, &upstream, &lines);
    for name in &names {
        assert!(!seen.has(name), "{name} of a client");
    }
    assert_eq!(seen.get("x-http-method-override"), Some("PUT"));
    assert_eq!(seen.get("x-original-filename"), Some("a.txt"));
    assert_eq!(seen.get("origin"), Some("http://a.test"));
    let (gateway, upstream) = trusting("[127.0.0.0/8]");
    let (seen, _) = through(&gateway, &upstream, &lines);
    for name in &names {
        assert!(seen.has(name), "{name} of a trusted proxy");
    }
}

#[test]
fn another_target_or_client_is_no_trailer_either() {
    let upstream = Upstream::start(|call| {
        let (_, trailers) = call.body_and_trailers();
        let names: Vec<_> = trailers.0.iter().map(|(name, _)| name.as_str()).collect();
        let names = names.join(" ");
        call.respond(200, &names);
    });
    let gateway = Gateway::run(orders(&upstream, "{}"));
    let mut client = gateway.client();
    client.send(
        "POST /a HTTP/1.1\r\nHost: gateway.test\r\nTransfer-Encoding: chunked\r\n\
         Trailer: X-Sum, X-Original-URL, True-Client-IP\r\n\r\n\
         0\r\nX-Original-URL: /private\r\nTrue-Client-IP: 6.6.6.6\r\nX-Sum: 1\r\n\r\n",
    );
    assert_eq!(client.response().text().to_lowercase(), "x-sum");
}

#[test]
fn an_upstream_does_not_speak_in_our_name() {
    let upstream = Upstream::start(|call| {
        call.body();
        call.send(
            "HTTP/1.1 200 OK\r\nFusebox-Reason: breaker_open; breaker=\"orders\"; state=open\r\n\
             Fusebox-Fallback: last_good\r\nFusebox-Anything: x\r\nX-Served-By: a\r\n\
             Transfer-Encoding: chunked\r\nTrailer: Fusebox-Reason, X-Sum\r\n\r\n\
             2\r\nok\r\n0\r\nFusebox-Reason: breaker_open\r\nX-Sum: 1\r\n\r\n",
        );
    });
    let gateway = Gateway::run(orders(&upstream, "{}"));
    let response = gateway
        .client()
        .request("GET", "/a", "TE: trailers\r\n", "");
    assert_eq!((response.status, response.text().as_str()), (200, "ok"));
    assert_eq!(response.fields.get("x-served-by"), Some("a"));
    assert_eq!(response.trailers.get("x-sum"), Some("1"));
    let all = response.fields.0.iter().chain(&response.trailers.0);
    for (name, _) in all {
        assert!(!name.to_lowercase().starts_with("fusebox-"), "{name}");
    }
}

#[test]
fn via_is_added_to() {
    let upstream = Upstream::start(|call| call.respond_with(200, "Via: 1.1 behind\r\n", ""));
    let gateway = Gateway::run(orders(&upstream, "{}"));
    let (seen, response) = through(&gateway, &upstream, "Via: 1.0 before\r\n");
    assert_eq!(seen.all("via").join(", "), "1.0 before, 1.1 fusebox");
    assert_eq!(
        response.fields.all("via").join(", "),
        "1.1 behind, 1.1 fusebox"
    );
}

#[test]
fn a_request_id_is_carried_or_made() {
    let (gateway, upstream) = plain();
    let (seen, response) = through(&gateway, &upstream, "X-Request-Id: mine-7\r\n");
    assert_eq!(seen.all("x-request-id"), ["mine-7"]);
    assert_eq!(response.fields.all("x-request-id"), ["mine-7"]);
    let (seen, response) = through(&gateway, &upstream, "");
    let made = seen.get("x-request-id").unwrap().to_owned();
    assert_eq!(response.fields.all("x-request-id"), [made.as_str()]);
    assert!(made.len() >= 16);
    let (seen, _) = through(&gateway, &upstream, "");
    assert_ne!(seen.get("x-request-id"), Some(made.as_str()));
    let long = "x".repeat(129);
    for bad in ["two words", "", long.as_str()] {
        let (seen, response) = through(&gateway, &upstream, &format!("X-Request-Id: {bad}\r\n"));
        assert_ne!(seen.get("x-request-id"), Some(bad));
        assert_eq!(
            seen.get("x-request-id"),
            response.fields.get("x-request-id")
        );
    }
}

#[test]
fn an_upstreams_request_id_does_not_replace_ours() {
    let upstream = Upstream::start(|call| call.respond_with(200, "X-Request-Id: theirs\r\n", ""));
    let gateway = Gateway::run(orders(&upstream, "{}"));
    let (_, response) = through(&gateway, &upstream, "X-Request-Id: mine\r\n");
    assert_eq!(response.fields.all("x-request-id"), ["mine"]);
}

#[test]
fn a_trace_is_carried_or_begun() {
    let (gateway, upstream) = plain();
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let lines = format!("traceparent: {trace}\r\ntracestate: a=b\r\n");
    let (seen, _) = through(&gateway, &upstream, &lines);
    assert_eq!(seen.all("traceparent"), [trace]);
    assert_eq!(seen.all("tracestate"), ["a=b"]);
    for bad in ["", "traceparent: nonsense\r\ntracestate: a=b\r\n"] {
        let (seen, _) = through(&gateway, &upstream, bad);
        let made = seen.all("traceparent");
        assert_eq!((made.len(), made[0].len()), (1, 55), "{made:?}");
        assert!(
            made[0].starts_with("00-") && made[0].ends_with("-00"),
            "{made:?}"
        );
        assert!(
            !seen.has("tracestate"),
            "it belongs to the trace that was not one"
        );
    }
}

#[test]
fn fields_of_the_clients_connection_end_with_it() {
    let (gateway, upstream) = plain();
    let lines = "Connection: keep-alive, X-Mine, x-other\r\nX-Mine: 1\r\nX-Other: 2\r\nKeep-Alive: timeout=5\r\n\
                 Proxy-Connection: keep-alive\r\nProxy-Authorization: Basic eDp5\r\nTE: gzip, trailers\r\n\
                 X-Kept: 3\r\nAuthorization: Bearer t\r\nCookie: a=b\r\n";
    let (seen, _) = through(&gateway, &upstream, lines);
    for gone in [
        "connection",
        "x-mine",
        "x-other",
        "keep-alive",
        "proxy-connection",
        "proxy-authorization",
    ] {
        assert!(!seen.has(gone), "{gone}");
    }
    assert_eq!(seen.get("x-kept"), Some("3"));
    assert_eq!(seen.get("authorization"), Some("Bearer t"));
    assert_eq!(seen.get("cookie"), Some("a=b"));
    assert_eq!(seen.all("te"), ["trailers"]);
}

#[test]
fn connection_cannot_take_off_what_makes_the_request() {
    let (gateway, upstream) = plain();
    let lines = "Connection: host, authorization, cookie, x-forwarded-for, x-request-id\r\n\
                 Authorization: Bearer t\r\nCookie: a=b\r\n";
    let (seen, _) = through(&gateway, &upstream, lines);
    for kept in [
        "host",
        "authorization",
        "cookie",
        "x-forwarded-for",
        "x-request-id",
    ] {
        assert!(seen.has(kept), "{kept}");
    }
}

#[test]
fn fields_of_the_upstreams_connection_end_with_it() {
    let upstream = Upstream::start(|call| {
        let lines = "Connection: keep-alive, X-Mine\r\nX-Mine: 1\r\nKeep-Alive: timeout=5\r\nX-Kept: 2\r\n\
                     Set-Cookie: a=1\r\nSet-Cookie: b=2\r\nServer: theirs\r\n";
        call.respond_with(200, lines, "");
    });
    let gateway = Gateway::run(orders(&upstream, "{}"));
    let (_, response) = through(&gateway, &upstream, "");
    for gone in ["connection", "x-mine", "keep-alive"] {
        assert!(!response.fields.has(gone), "{gone}");
    }
    assert_eq!(response.fields.get("x-kept"), Some("2"));
    assert_eq!(response.fields.get("server"), Some("theirs"));
    assert_eq!(response.fields.all("set-cookie"), ["a=1", "b=2"]);
}

#[test]
fn names_that_only_a_gateway_may_use_are_taken_off() {
    let (gateway, upstream) = plain();
    let lines =
        "X_Forwarded_For: 1.2.3.4\r\nFusebox-Reason: x\r\nX-Fusebox-A: x\r\nUnder_Score: x\r\n";
    let (seen, _) = through(&gateway, &upstream, lines);
    for (name, value) in &seen.0 {
        assert!(!name.contains('_') && value != "x", "{name}: {value}");
    }
}

#[test]
fn an_answer_of_the_gateways_own_has_an_id_too() {
    let (gateway, _upstream) = plain();
    let response = gateway
        .client()
        .request("GET", "/a/../b", "X-Request-Id: mine\r\n", "");
    assert_eq!(response.status, 400);
    assert_eq!(response.fields.get("x-request-id"), Some("mine"));
}
