//! Which upstream a request goes to, and under which path.

use crate::support::{Gateway, Upstream};

/// An upstream that answers with its name and the target that it was asked for.
fn named(name: &'static str) -> Upstream {
    Upstream::start(move |call| {
        let answer = format!("{name} {} {}", call.seen.method, call.seen.target);
        call.respond(200, &answer);
    })
}

struct Bench {
    gateway: Gateway,
    _upstreams: [Upstream; 2],
}

/// Two upstreams, `a` as it is and `b` behind a base path, and routes to them.
fn bench(routes: &str) -> Bench {
    let upstreams = [named("a"), named("b")];
    let yaml = format!(
        "listeners: [{{ name: public, addr: 127.0.0.1:0 }}, {{ name: internal, addr: 127.0.0.1:0, paths: {{ encoded_slash: allow, double_slash: allow }} }}]
upstreams:
  a: {{ url: {} }}
  b: {{ url: {}/base/ }}
routes:
{routes}",
        upstreams[0].url(),
        upstreams[1].url()
    );
    Bench {
        gateway: Gateway::run(yaml),
        _upstreams: upstreams,
    }
}

impl Bench {
    #[track_caller]
    fn goes(&self, path: &str, wanted: &str) {
        let addr = self.gateway.addr_of("public");
        let response = crate::support::Client::to(addr).get(path);
        assert_eq!(
            (response.status, response.text().as_str()),
            (200, wanted),
            "{path}"
        );
    }

    #[track_caller]
    fn status(&self, listener: &str, method: &str, path: &str) -> u16 {
        let addr = self.gateway.addr_of(listener);
        crate::support::Client::to(addr)
            .request(method, path, "", "")
            .status
    }
}

#[test]
fn the_most_specific_route_wins_in_any_order() {
    let bench = bench(
        "  - { path: \"/{*rest}\", upstream: a, rewrite: \"/any/{rest}\" }
  - { path: \"/orders/{id}\", upstream: a, rewrite: \"/one/{id}\" }
  - { path: /orders/special, upstream: a, rewrite: /special }
  - { path: \"/orders/{id}/lines/{line}\", upstream: a, rewrite: \"/{line}/of/{id}\" }
  - { path: \"/orders/{id}/{*more}\", upstream: a, rewrite: \"/more/{more}\" }
",
    );
    bench.goes("/orders/special", "a GET /special");
    bench.goes("/orders/7", "a GET /one/7");
    bench.goes("/orders/7/lines/3", "a GET /3/of/7");
    bench.goes("/orders/7/notes/3", "a GET /more/notes/3");
    bench.goes("/elsewhere", "a GET /any/elsewhere");
    bench.goes("/", "a GET /any/");
    bench.goes("/orders/", "a GET /any/orders/");
}

#[test]
fn a_parameter_and_a_rest_may_begin_at_one_place() {
    let bench = bench(
        "  - { path: \"/orders/{*rest}\", upstream: a, rewrite: \"/rest/{rest}\" }
  - { path: \"/orders/{id}\", upstream: a, rewrite: \"/one/{id}\" }
",
    );
    bench.goes("/orders/7", "a GET /one/7");
    bench.goes("/orders/7/lines", "a GET /rest/7/lines");
    bench.goes("/orders", "a GET /rest/");
}

#[test]
fn a_path_without_a_wildcard_is_exact() {
    let bench = bench("  - { path: /orders, upstream: a }\n");
    bench.goes("/orders", "a GET /orders");
    bench.goes("/orders?page=2", "a GET /orders?page=2");
    for path in [
        "/",
        "/orders/",
        "/orders/7",
        "/order",
        "/ORDERS",
        "/ordersx",
    ] {
        assert_eq!(bench.status("public", "GET", path), 404, "{path}");
    }
}

#[test]
fn no_route_is_404_as_json() {
    let bench = bench("  - { path: /orders, upstream: a }\n");
    let response = bench.gateway.get("/nothing");
    assert_eq!(response.status, 404);
    assert!(
        response.json()["error"]
            .as_str()
            .is_some_and(|error| !error.is_empty())
    );
    assert!(response.fields.has("x-request-id"));
}

#[test]
fn a_wrong_method_is_405_and_says_the_right_ones() {
    let bench = bench("  - { path: /orders, methods: [GET, POST], upstream: a }\n");
    let mut client = bench.gateway.client();
    let response = client.request("DELETE", "/orders", "", "");
    assert_eq!(response.status, 405);
    assert_eq!(response.fields.get("allow"), Some("GET, HEAD, POST"));
    assert_eq!(
        client.get("/orders").status,
        200,
        "the connection is as good as ever"
    );
    assert_eq!(client.post("/orders", "x").text(), "a POST /orders");
}

#[test]
fn routes_of_one_path_share_it_by_method() {
    let bench = bench(
        "  - { name: read, path: /orders, methods: [GET], upstream: a }
  - { name: write, path: /orders, methods: [POST, PUT], upstream: b }
",
    );
    bench.goes("/orders", "a GET /orders");
    let mut client = bench.gateway.client();
    assert_eq!(client.post("/orders", "").text(), "b POST /base/orders");
    let response = client.request("DELETE", "/orders", "", "");
    assert_eq!(response.status, 405);
    let mut allow: Vec<_> = response.fields.get("allow").unwrap().split(", ").collect();
    allow.sort_unstable();
    assert_eq!(allow, ["GET", "HEAD", "POST", "PUT"]);
}

#[test]
fn a_base_path_comes_before_everything() {
    let bench = bench(
        "  - { path: \"/b/{*rest}\", upstream: b }
  - { path: \"/c/{id}\", upstream: b, rewrite: \"/x/{id}/y\" }
",
    );
    bench.goes("/b/one/two?q=1", "b GET /base/b/one/two?q=1");
    bench.goes("/c/7?q=a%20b&q=c", "b GET /base/x/7/y?q=a%20b&q=c");
}

#[test]
fn what_is_encoded_stays_encoded() {
    let bench = bench(
        "  - { path: \"/plain/{*rest}\", upstream: a }
  - { path: \"/new/{id}\", upstream: a, rewrite: \"/{id}\" }
",
    );
    bench.goes(
        "/plain/a%20b/%C3%A9?x=%2F%3F",
        "a GET /plain/a%20b/%C3%A9?x=%2F%3F",
    );
    bench.goes("/new/a%3Fb%23c?d", "a GET /a%3Fb%23c?d");
    bench.goes("/new/%7Bid%7D", "a GET /%7Bid%7D");
}

#[test]
fn an_absolute_target_is_routed_by_its_path() {
    let bench = bench("  - { path: \"/{*rest}\", upstream: a }\n");
    let mut client = bench.gateway.client();
    client.send("GET http://gateway.test/a/b?c HTTP/1.1\r\nHost: gateway.test\r\n\r\n");
    assert_eq!(client.response().text(), "a GET /a/b?c");
    client.send("OPTIONS * HTTP/1.1\r\nHost: gateway.test\r\n\r\n");
    assert_eq!(client.response().status, 204);
}

#[test]
fn each_listener_has_its_routes_and_its_rules() {
    let bench = bench(
        "  - { path: /both, upstream: a }
  - { path: /inside, upstream: a, listeners: [internal] }
  - { path: \"/files/{*rest}\", upstream: a }
",
    );
    for listener in ["public", "internal"] {
        assert_eq!(bench.status(listener, "GET", "/both"), 200);
    }
    assert_eq!(bench.status("internal", "GET", "/inside"), 200);
    assert_eq!(bench.status("public", "GET", "/inside"), 404);
    for path in ["/files/a%2Fb", "/files/a//b"] {
        assert_eq!(bench.status("public", "GET", path), 400, "{path}");
        assert_eq!(bench.status("internal", "GET", path), 200, "{path}");
    }
}

#[test]
fn a_route_may_answer_by_itself() {
    let bench = bench(
        "  - { path: /ping, respond: { status: 200, text: pong } }
  - { path: /teapot, respond: { status: 418, headers: { x-a: b }, json: { short: true } } }
",
    );
    bench.goes("/ping", "pong");
    let mut client = bench.gateway.client();
    let response = client.post("/teapot", "a body that nobody reads");
    assert_eq!(response.status, 418);
    assert_eq!(response.fields.get("x-a"), Some("b"));
    assert_eq!(
        response.fields.get("content-type"),
        Some("application/json")
    );
    assert_eq!(response.json()["short"], true);
    let head = bench.gateway.client().request("HEAD", "/ping", "", "");
    assert_eq!(
        (head.status, head.fields.get("content-length")),
        (200, Some("4"))
    );
}
