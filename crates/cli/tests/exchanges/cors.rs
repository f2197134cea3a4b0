//! The fields of a route's answers: its own changes to them (`response`), and those for other origins (`cors`).

use crate::support::{Gateway, Refusing, Response, Upstream};

const APP: &str = "Origin: https://app.example.com\r\n";
const CORS: &str = "cors: { origins: [\"https://app.example.com\", \"http://localhost:3000\"], headers: [x-token, content-type], credentials: true, max_age: 10m }";

/// A file with an upstream, more keys of it, and the routes to it.
fn file(url: &str, more: &str, routes: &str) -> String {
    format!(
        "listen: 127.0.0.1:0
upstreams:
  orders:
    url: {url}
    breaker: {{ trip: {{ consecutive_failures: 1 }}, cooldown: 60s }}
    {more}
routes:
{routes}"
    )
}

/// A preflight for a method and fields.
fn preflight(gateway: &Gateway, path: &str, origin: &str, method: &str, names: &str) -> Response {
    let mut lines = format!("{origin}Access-Control-Request-Method: {method}\r\n");
    if !names.is_empty() {
        lines += &format!("Access-Control-Request-Headers: {names}\r\n");
    }
    gateway.client().request("OPTIONS", path, &lines, "")
}

/// The names of the fields for other origins, sorted.
fn own_fields(response: &Response) -> Vec<String> {
    let names = response
        .fields
        .0
        .iter()
        .map(|(name, _)| name.to_lowercase());
    let mut names: Vec<_> = names
        .filter(|it| it.starts_with("access-control-"))
        .collect();
    names.sort_unstable();
    names
}

#[track_caller]
fn is_for_the_app(response: &Response) {
    let all = |name: &str| response.fields.all(name);
    let origin = all("access-control-allow-origin");
    assert_eq!(origin, ["https://app.example.com"], "{response:?}");
    assert_eq!(all("access-control-allow-credentials"), ["true"]);
    assert!(all("vary").contains(&"Origin"), "{response:?}");
    let exposed = all("access-control-expose-headers").join(", ");
    for name in ["Retry-After", "Fusebox-Reason", "Fusebox-Fallback"] {
        assert!(exposed.contains(name), "{exposed}");
    }
}

#[test]
fn a_preflight_is_answered_without_the_upstream_whatever_the_routes_methods() {
    let dead = Refusing::new();
    let routes = format!(
        "  - {{ name: read, path: /o, methods: [GET], upstream: orders, {CORS} }}
  - {{ name: write, path: /o, methods: [POST, PUT], upstream: orders, max_concurrency: 1, {CORS} }}
  - {{ path: /all, upstream: orders, cors: {{ origins: [\"*\"] }} }}
  - {{ path: /own, upstream: orders, cors: {{ origins: [\"*\"], methods: [GET, PATCH] }} }}
"
    );
    let gateway = Gateway::run(file(&dead.url(), "", &routes));
    let get = |path, method| preflight(&gateway, path, APP, method, "x-token");
    assert_eq!(gateway.get("/o").status, 502);
    assert_eq!(gateway.state("orders"), "open");

    let response = get("/o", "PUT");
    assert_eq!((response.status, response.text().as_str()), (204, ""));
    is_for_the_app(&response);
    let field = |response: &Response, name: &str| {
        let name = format!("access-control-{name}");
        response.fields.get(&name).map(str::to_owned)
    };
    assert_eq!(field(&response, "allow-methods").unwrap(), "POST, PUT");
    let names = field(&response, "allow-headers").unwrap();
    assert_eq!(names, "x-token, content-type");
    assert_eq!(field(&response, "max-age").unwrap(), "600");
    assert_eq!(field(&get("/o", "GET"), "allow-methods").unwrap(), "GET");

    let refused = get("/o", "DELETE");
    assert_eq!(refused.status, 204, "{refused:?}");
    assert_eq!(field(&refused, "allow-methods").unwrap(), "GET");

    let all = get("/all", "PATCH");
    assert_eq!(field(&all, "allow-origin").unwrap(), "*");
    assert_eq!(field(&all, "allow-methods").unwrap(), "PATCH");
    assert_eq!(field(&all, "allow-headers"), None);
    assert_eq!(field(&all, "allow-credentials"), None);
    assert_eq!(all.fields.get("vary"), None);
    let own = field(&get("/own", "PUT"), "allow-methods").unwrap();
    assert_eq!(own, "GET, PATCH");
    assert_eq!(gateway.count("orders", "failure"), 1, "no preflight counts");
    let counted = "http_server_request_duration_seconds_count{http_route=\"write\",http_request_method=\"OPTIONS\",http_response_status_code=\"204\"}";
    assert_eq!(gateway.metric(counted), Some(1.0));
}

#[test]
fn an_options_request_that_is_no_preflight_takes_its_route() {
    let upstream = Upstream::start(|call| {
        let seen = call.seen.method.clone();
        call.respond_with(200, "Access-Control-Allow-Origin: upstream\r\n", &seen);
    });
    let routes = format!(
        "  - {{ path: /o, methods: [GET], upstream: orders, {CORS} }}
  - {{ path: /all, upstream: orders, {CORS} }}
  - {{ path: /none, upstream: orders }}
"
    );
    let gateway = Gateway::run(file(&upstream.url(), "", &routes));
    let options = |path, lines| gateway.client().request("OPTIONS", path, lines, "");
    assert_eq!(options("/o", APP).status, 405);
    assert_eq!(options("/all", APP).text(), "OPTIONS");
    let no_origin = "Access-Control-Request-Method: GET\r\n";
    assert_eq!(options("/all", no_origin).text(), "OPTIONS");
    let theirs = preflight(&gateway, "/none", APP, "GET", "");
    assert_eq!(theirs.text(), "OPTIONS", "the upstream says");
    let origin = theirs.fields.all("access-control-allow-origin");
    assert_eq!(origin, ["upstream"]);
    assert_eq!(preflight(&gateway, "/all", APP, "GET", "").status, 204);
    assert_eq!(upstream.calls(), 3);
}

#[test]
fn a_preflight_finds_a_route_by_the_names_of_the_fields_that_it_asks_for() {
    let gateway = Gateway::run(
        "listen: 127.0.0.1:0
routes:
  - { path: /x, headers: { x-canary: \"1\" }, respond: {}, cors: { origins: [\"https://app.example.com\"], methods: [PUT], headers: [x-canary] } }
  - { path: /y, headers: { x-canary: \"1\" }, respond: {}, cors: { origins: [\"*\"] } }
  - { path: /y, respond: {} }
",
    );
    let response = preflight(&gateway, "/x", APP, "PUT", "x-a, X-Canary");
    let origin = response.fields.get("access-control-allow-origin");
    assert_eq!(
        (response.status, origin),
        (204, Some("https://app.example.com"))
    );
    assert_eq!(preflight(&gateway, "/x", APP, "PUT", "").status, 404);
    let without = preflight(&gateway, "/y", APP, "PUT", "");
    assert_eq!(own_fields(&without), [""; 0]);
}

#[test]
fn every_answer_has_the_fields_for_an_origin_that_is_let_in() {
    let upstream = Upstream::start(|call| {
        let theirs = "Access-Control-Allow-Origin: *\r\nAccess-Control-Allow-Methods: EVIL\r\nAccess-Control-Expose-Headers: x-evil\r\nVary: Accept\r\n";
        let status = if call.seen.target == "/o" { 200 } else { 500 };
        call.respond_with(status, theirs, "hello");
    });
    let dead = Refusing::new();
    let routes = format!(
        "  - {{ path: \"/{{*rest}}\", upstream: orders, {CORS} }}
  - {{ path: /dead, upstream: dead, {CORS} }}
  - {{ path: /rung, upstream: orders, {CORS}, fallback: [{{ respond: {{ text: rung }} }}] }}
  - {{ path: /fixed, {CORS}, respond: {{ headers: {{ vary: origin }} }} }}
  - {{ path: /public, upstream: orders, cors: {{ origins: [\"*\"] }} }}
"
    );
    let yaml = file(&upstream.url(), "", &routes);
    let dead = format!(
        "upstreams:\n  dead: {{ url: {}, breaker: {{}} }}",
        dead.url()
    );
    let gateway = Gateway::run(yaml.replace("upstreams:", &dead));
    let get = |path, lines: &str| gateway.client().request("GET", path, lines, "");

    let answer = get("/o", APP);
    assert_eq!(answer.text(), "hello");
    is_for_the_app(&answer);
    assert_eq!(answer.fields.all("vary"), ["Accept", "Origin"]);
    assert_eq!(answer.fields.get("access-control-allow-methods"), None);
    let exposed = answer.fields.all("access-control-expose-headers");
    assert!(!exposed.join(",").contains("x-evil"), "{exposed:?}");

    for lines in ["", "Origin: https://evil.example\r\n", "Origin: null\r\n"] {
        let answer = get("/o", lines);
        assert_eq!(answer.text(), "hello", "the browser decides, not we");
        assert_eq!(own_fields(&answer), [""; 0], "{lines}");
        assert_eq!(answer.fields.all("vary"), ["Accept", "Origin"]);
    }
    let evil = "Origin: https://evil.example\r\n";
    let refused = preflight(&gateway, "/o", evil, "PUT", "");
    assert_eq!((refused.status, own_fields(&refused)), (204, vec![]));

    let dead = get("/dead", APP);
    assert_eq!(dead.status, 502);
    is_for_the_app(&dead);

    let fixed = get("/fixed", APP);
    assert_eq!(fixed.fields.all("vary"), ["origin"]);

    assert_eq!(get("/bad", APP).status, 500);
    assert_eq!(gateway.state("orders"), "open");
    let refused = get("/o", APP);
    assert_eq!(refused.status, 503);
    assert!(refused.fields.has("retry-after") && refused.fields.has("fusebox-reason"));
    is_for_the_app(&refused);

    let rung = get("/rung", APP);
    assert_eq!(rung.text(), "rung");
    is_for_the_app(&rung);

    for lines in [APP, ""] {
        let public = get("/public", lines);
        let origin = public.fields.get("access-control-allow-origin");
        assert_eq!((public.status, origin), (503, Some("*")));
        assert!(!public.fields.has("vary"));
    }
}

#[test]
fn a_route_changes_the_fields_of_every_answer() {
    let upstream = Upstream::start(|call| {
        let theirs =
            "Server: theirs\r\nX-Served-By: theirs\r\nX-Served-By: again\r\nSet-Cookie: a=b\r\n";
        let status = if call.seen.target == "/o" { 200 } else { 500 };
        call.respond_with(status, theirs, "hello");
    });
    let dead = Refusing::new();
    let change = "response: { set: { x-served-by: fusebox, x-request-id: no, access-control-expose-headers: x-total }, remove: [server, set-cookie] }";
    let routes = format!(
        "  - {{ path: \"/{{*rest}}\", upstream: orders, {change} }}
  - {{ path: /dead, upstream: dead, {change} }}
  - {{ path: /rung, upstream: orders, {change}, fallback: [{{ respond: {{ text: rung }} }}] }}
  - {{ path: /fixed, {change}, cors: {{ origins: [\"*\"] }}, respond: {{ headers: {{ server: me }} }} }}
  - {{ path: /plain, upstream: orders }}
"
    );
    let yaml = file(&upstream.url(), "", &routes);
    let dead = format!(
        "upstreams:\n  dead: {{ url: {}, breaker: {{}} }}",
        dead.url()
    );
    let gateway = Gateway::run(yaml.replace("upstreams:", &dead));
    let check = |path: &str, status: u16| {
        let answer = gateway.get(path);
        assert_eq!(answer.status, status, "{path}");
        assert_eq!(answer.fields.all("x-served-by"), ["fusebox"], "{path}");
        assert!(!answer.fields.has("server"), "{path}");
        assert!(!answer.fields.has("set-cookie"), "{path}");
        assert_ne!(answer.fields.get("x-request-id"), Some("no"), "{path}");
        answer
    };
    assert_eq!(check("/o", 200).text(), "hello");
    let plain = gateway.get("/plain");
    assert_eq!(plain.fields.all("x-served-by").len(), 2, "not this route");
    assert_eq!(gateway.state("orders"), "open");
    check("/o", 503);
    check("/dead", 502);
    assert_eq!(check("/rung", 200).text(), "rung");
    let fixed = check("/fixed", 200);
    let exposed = fixed.fields.all("access-control-expose-headers");
    assert_eq!(exposed.first(), Some(&"x-total"), "beside ours");
    let options = preflight(&gateway, "/fixed", APP, "GET", "");
    assert_eq!(options.fields.all("x-served-by"), ["fusebox"]);
}
