//! The `Host` that an upstream hears, and its redirects to itself.

use std::path::PathBuf;

use crate::support::authority::{Authority, Pems};
use crate::support::{Client, Dial, Gateway, Response, Setup, Upstream, eventually, orders_at};

const NEVER: &str = "{ trip: { consecutive_failures: 1000 } }";

/// A file with the upstream `orders` at `url`, more keys of it, and one route.
fn file(url: &str, keys: &str, route: &str) -> String {
    format!(
        "listen: 127.0.0.1:0
upstreams:
  orders: {{ url: {url}, breaker: {NEVER}, {keys} }}
routes:
  - {{ {route}, upstream: orders }}
"
    )
}

const ALL: &str = "path: \"/{*rest}\"";

fn well() -> Upstream {
    Upstream::start(|call| call.respond(200, ""))
}

/// An upstream that answers with that status and a `Location` in which `SELF` is its own address and `HOST` the host it
/// heard.
fn redirecting(status: u16, location: &'static str) -> Upstream {
    Upstream::start(move |call| {
        let host = call.seen.fields.get("host").unwrap_or_default().to_owned();
        let own = call.wire().socket().local_addr().unwrap().to_string();
        let location = location.replace("SELF", &own).replace("HOST", &host);
        call.respond_with(status, &format!("Location: {location}\r\n"), "");
    })
}

fn ask(gateway: &Gateway, host: &str, path: &str) -> Response {
    let mut client = gateway.client();
    client.host = host.into();
    client.request("GET", path, "", "")
}

fn location(gateway: &Gateway, path: &str) -> String {
    let response = ask(gateway, "shop.test", path);
    let location = response.fields.get("location");
    location.unwrap_or("none").to_owned()
}

#[test]
fn the_host_is_the_upstreams_own_the_clients_or_a_name() {
    let upstream = well();
    let own = upstream.addr().to_string();
    for (keys, heard) in [
        ("http: 1", own.as_str()),
        ("host: upstream", own.as_str()),
        ("host: preserve", "Shop.test:81"),
        ("host: orders.test", "orders.test"),
        ("host: 'orders.test:8080'", "orders.test:8080"),
        ("host: '[::1]:80'", "[::1]:80"),
    ] {
        let gateway = Gateway::run(file(&upstream.url(), keys, ALL));
        assert_eq!(ask(&gateway, "Shop.test:81", "/a").status, 200);
        let fields = upstream.last().fields;
        assert_eq!(fields.all("host"), [heard], "{keys}");
        assert_eq!(fields.all("x-forwarded-host"), ["Shop.test:81"], "{keys}");
    }
}

#[test]
fn a_request_without_a_host_gets_the_upstreams_own_where_the_clients_is_preserved() {
    let upstream = well();
    let gateway = Gateway::run(file(&upstream.url(), "host: preserve", ALL));
    for (request, heard) in [
        ("GET /a HTTP/1.0\r\n\r\n", upstream.addr().to_string()),
        (
            "GET http://a.test:81/ HTTP/1.0\r\n\r\n",
            "a.test:81".to_owned(),
        ),
        ("GET /a HTTP/1.0\r\nHost: b.test\r\n\r\n", "b.test".into()),
    ] {
        let mut client = Client::to(gateway.addr());
        client.send(request);
        assert_eq!(client.response().status, 200, "{request}");
        assert_eq!(upstream.last().fields.all("host"), [heard], "{request}");
    }
}

#[test]
fn every_attempt_and_every_rung_hears_the_host_of_its_upstream() {
    let (first, second) = (Upstream::start(|call| call.respond(503, "")), well());
    let gateway = Gateway::run(format!(
        "listen: 127.0.0.1:0
upstreams:
  orders:
    url: {}
    host: preserve
    breaker: {NEVER}
    retry: {{ attempts: 2, on: [\"503\"], backoff: {{ base: 1ms, max: 1ms }}, budget: {{ ratio: 100%, min: 100 }} }}
    fallback: [{{ upstream: spare }}]
  spare: {{ url: {}, host: spare.test, breaker: {NEVER} }}
routes:
  - {{ {ALL}, upstream: orders }}
",
        first.url(),
        second.url()
    ));
    assert_eq!(ask(&gateway, "shop.test", "/a").status, 200);
    let heard: Vec<_> = first.seen().into_iter().map(|it| it.fields).collect();
    assert_eq!(heard.len(), 2);
    for fields in heard {
        assert_eq!(fields.all("host"), ["shop.test"]);
    }
    assert_eq!(second.last().fields.all("host"), ["spare.test"]);
    assert_eq!(second.last().fields.all("x-forwarded-host"), ["shop.test"]);
}

#[test]
fn a_health_check_has_the_name_of_the_file_and_never_a_clients() {
    let upstream = well();
    let own = upstream.addr().to_string();
    for (host, heard) in [("orders.test", "orders.test"), ("preserve", own.as_str())] {
        let asked = upstream.calls();
        let keys = format!("host: {host}, health: {{ path: /up, interval: 50ms, timeout: 10s }}");
        let gateway = Gateway::run(file(&upstream.url(), &keys, ALL));
        eventually("a check", || upstream.calls() > asked);
        let check = upstream.last();
        assert_eq!(check.target, "/up");
        assert_eq!(check.fields.all("host"), [heard], "{host}");
        gateway.sigterm();
        gateway.wait();
    }
}

#[test]
fn tls_asks_for_the_name_of_the_url_whatever_the_host_is() {
    let authority = Authority::new("ours");
    let pems = Pems::new();
    pems.write("ca.pem", &authority.pem());
    let ca: PathBuf = pems.path("ca.pem");
    let server = authority.sign(&["localhost"]).server(None);
    let upstream = Upstream::start_tls(server, |call| call.respond(200, ""));
    let url = format!("https://localhost:{}", upstream.addr().port());
    for (host, heard) in [("orders.test", "orders.test"), ("preserve", "shop.test")] {
        let keys = format!("host: {host}, tls: {{ ca: {} }}", ca.display());
        let gateway = Gateway::run(file(&url, &keys, ALL));
        assert_eq!(ask(&gateway, "shop.test", "/a").status, 200, "{host}");
        assert_eq!(upstream.last().fields.all("host"), [heard]);
    }
}

#[test]
fn a_redirect_to_the_upstreams_own_address_points_to_ours() {
    for (status, sent, led) in [
        (302, "http://SELF/b?q=1#x", "/b?q=1#x"),
        (301, "//SELF/b", "/b"),
        (308, "http://SELF", "/"),
        (201, "http://SELF/made/7", "/made/7"),
        (302, "http://SELF//evil.test/", "/.//evil.test/"),
        (302, "https://SELF/b", "https://SELF/b"),
        (302, "http://elsewhere.test/b", "http://elsewhere.test/b"),
        (302, "/b", "/b"),
        (302, "b", "b"),
        (200, "http://SELF/b", "http://SELF/b"),
    ] {
        let upstream = redirecting(status, sent);
        let gateway = Gateway::run(file(&upstream.url(), "http: 1", ALL));
        let led = led.replace("SELF", &upstream.addr().to_string());
        assert_eq!(location(&gateway, "/a"), led, "{status} {sent}");
    }
}

#[test]
fn a_redirect_that_is_kept_goes_out_as_it_came() {
    let upstream = redirecting(302, "http://SELF/b");
    let gateway = Gateway::run(file(&upstream.url(), "location: keep", ALL));
    assert_eq!(location(&gateway, "/a"), format!("{}/b", upstream.url()));
}

#[test]
fn a_redirect_to_the_host_that_the_upstream_heard_leads_here() {
    // The client's own host is ours already, and stays.
    let upstream = redirecting(302, "http://HOST/b");
    let gateway = Gateway::run(file(&upstream.url(), "host: preserve", ALL));
    assert_eq!(location(&gateway, "/a"), "http://shop.test/b");
    let gateway = Gateway::run(file(&upstream.url(), "host: orders.test", ALL));
    assert_eq!(location(&gateway, "/a"), "/b");
}

#[test]
fn the_path_of_a_redirect_is_the_one_that_its_route_takes() {
    let upstream = redirecting(302, "http://SELF/v1/orders/b");
    let url = format!("{}/v1", upstream.url());
    let gateway = Gateway::run(file(&url, "http: 1", ALL));
    assert_eq!(location(&gateway, "/a"), "/orders/b");
    let route = "path: \"/api/{*rest}\", rewrite: \"/orders/{rest}\"";
    let gateway = Gateway::run(file(&url, "http: 1", route));
    assert_eq!(location(&gateway, "/api/a"), "/api/b");
    let upstream = redirecting(302, "/v1/orders/b");
    let url = format!("{}/v1", upstream.url());
    let gateway = Gateway::run(file(&url, "http: 1", route));
    assert_eq!(location(&gateway, "/api/a"), "/api/b");
}

#[test]
fn a_kept_redirect_is_led_back_when_it_is_served_again() {
    let status = Dial::at(301);
    let (upstream, shown) = {
        let status = status.clone();
        let upstream = Upstream::start(move |call| {
            let own = call.wire().socket().local_addr().unwrap();
            let lines = format!("Location: http://{own}/b\r\nCache-Control: max-age=0\r\n");
            let status = u16::try_from(status.get()).unwrap();
            call.respond_with(status, &lines, "moved");
        });
        let keys = "fallback: [{ last_good: 1h }]";
        let gateway = Gateway::run(file(&upstream.url(), keys, ALL));
        (upstream, gateway)
    };
    assert_eq!(location(&shown, "/a"), "/b");
    status.set(500);
    let served = ask(&shown, "shop.test", "/a");
    assert_eq!(served.fields.get("fusebox-fallback"), Some("last_good"));
    assert_eq!(
        (served.status, served.fields.get("location")),
        (301, Some("/b"))
    );
    assert!(upstream.calls() >= 2);
}

#[test]
fn a_reload_changes_both_keys_and_no_breaker() {
    let upstream = redirecting(302, "http://SELF/b");
    let gateway = Setup::new(orders_at(&upstream.url(), NEVER)).start();
    let own = upstream.addr().to_string();
    let heard = || upstream.last().fields.get("host").unwrap().to_owned();
    assert_eq!(location(&gateway, "/a"), "/b");
    assert_eq!(heard(), own);
    let changed = format!("{NEVER}\n    host: preserve\n    location: keep");
    gateway.rewrite(&orders_at(&upstream.url(), &changed));
    gateway.sighup();
    eventually("the new plan runs", || {
        location(&gateway, "/a") == format!("http://{own}/b")
    });
    assert_eq!(heard(), "shop.test");
    let (successes, ..) = gateway.outcomes("orders");
    assert!(successes >= 2, "the breaker stayed: {successes}");
    gateway.rewrite(&orders_at(&upstream.url(), NEVER));
    gateway.sighup();
    eventually("the old plan runs", || location(&gateway, "/a") == "/b");
    assert_eq!(heard(), own);
}
