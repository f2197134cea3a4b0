//! Which route takes a request, by its host, its path and its fields.

use crate::support::{Client, Gateway};

/// A gateway whose routes answer with a text; each is a flow map without its answer, which is its place in the list.
fn gateway(routes: &[&str]) -> Gateway {
    let routes = routes
        .iter()
        .enumerate()
        .map(|(at, route)| format!("  - {{ name: r{at}, {route}, respond: {{ text: r{at} }} }}\n"));
    Gateway::run(format!(
        "listen: 127.0.0.1:0\nroutes:\n{}",
        routes.collect::<String>()
    ))
}

/// The text or the status of the answer to a GET.
#[track_caller]
fn get(gateway: &Gateway, host: &str, path: &str, lines: &str) -> String {
    ask(gateway, "GET", host, path, lines)
}

#[track_caller]
fn ask(gateway: &Gateway, method: &str, host: &str, path: &str, lines: &str) -> String {
    let mut client = gateway.client();
    client.host = host.into();
    let response = client.request(method, path, lines, "");
    match response.status {
        200 => response.text(),
        status => status.to_string(),
    }
}

#[test]
fn the_most_specific_host_is_asked_first_and_the_next_where_no_path_of_it_fits() {
    let gateway = gateway(&[
        "path: \"/{*rest}\"",
        "host: \"*.example.com\", path: \"/{*rest}\"",
        "host: \"*.api.example.com\", path: /a",
        "host: V1.api.Example.com, path: /b",
    ]);
    for (host, path, route) in [
        ("v1.api.example.com", "/b", "r3"),
        ("V1.API.EXAMPLE.COM:8080", "/b", "r3"),
        ("v1.api.example.com.", "/b", "r3"),
        ("v1.api.example.com", "/a", "r2"),
        ("x.v1.api.example.com", "/a", "r2"),
        ("v1.api.example.com", "/c", "r1"),
        ("x.v1.api.example.com", "/b", "r1"),
        ("api.example.com", "/a", "r1"),
        ("example.com", "/a", "r0"),
        ("notexample.com", "/a", "r0"),
        ("127.0.0.1:80", "/a", "r0"),
        ("[::1]", "/a", "r0"),
    ] {
        assert_eq!(get(&gateway, host, path, ""), route, "{host}{path}");
    }
}

#[test]
fn a_host_that_no_route_takes_is_404() {
    let gateway = gateway(&["host: a.test, path: /x", "host: \"[::1]\", path: /x"]);
    assert_eq!(get(&gateway, "a.test", "/x", ""), "r0");
    assert_eq!(get(&gateway, "[::1]:81", "/x", ""), "r1");
    assert_eq!(get(&gateway, "b.test", "/x", ""), "404");
    assert_eq!(get(&gateway, "a.test", "/y", ""), "404");
    let status = |text: &str| {
        let mut client = Client::to(gateway.addr());
        client.send(text);
        client.response().status
    };
    assert_eq!(status("GET /x HTTP/1.0\r\n\r\n"), 404, "no host");
    let absolute = "GET http://A.test:8080/x HTTP/1.0\r\n\r\n";
    assert_eq!(status(absolute), 200, "the host of an absolute target");
    let both = "GET http://b.test/x HTTP/1.1\r\nHost: a.test\r\n\r\n";
    assert_eq!(status(both), 400, "two hosts");
}

#[test]
fn a_405_is_of_the_host_whose_path_fits() {
    let gateway = gateway(&[
        "path: /x",
        "host: a.test, path: /x, methods: [GET]",
        "host: a.test, path: /x, methods: [DELETE], headers: { x-admin: \"1\" }",
    ]);
    assert_eq!(ask(&gateway, "POST", "b.test", "/x", ""), "r0");
    let allow = |lines: &str| {
        let mut client = gateway.client();
        client.host = "a.test".into();
        let response = client.request("PUT", "/x", lines, "");
        assert_eq!(response.status, 405);
        response.fields.get("allow").map(str::to_owned)
    };
    assert_eq!(allow("").as_deref(), Some("GET, HEAD"));
    let admin = allow("X-Admin: 1\r\n");
    assert_eq!(admin.as_deref(), Some("GET, HEAD, DELETE"));
}

#[test]
fn a_route_with_more_fields_is_asked_first_and_all_must_be_exact() {
    let gateway = gateway(&[
        "path: /x",
        "path: /x, headers: { x-canary: \"1\" }",
        "path: /x, headers: { x-canary: \"1\", x-tenant: a }",
        "path: /x, headers: { x-tenant: b }, methods: [GET]",
    ]);
    for (lines, route) in [
        ("", "r0"),
        ("X-Canary: 1\r\n", "r1"),
        ("x-canary: 1\r\nX-Tenant: a\r\n", "r2"),
        ("X-Canary: 1\r\nX-Tenant: A\r\n", "r1"),
        ("X-Canary: 11\r\n", "r0"),
        ("X-Canary:\r\n", "r0"),
        ("X-Canary: 1\r\nX-Canary: 0\r\n", "r0"),
        ("X-Canary: 1, 1\r\n", "r0"),
        ("X-Tenant: a\r\n", "r0"),
        ("X-Tenant: b\r\n", "r3"),
    ] {
        assert_eq!(get(&gateway, "a.test", "/x", lines), route, "{lines}");
    }
    let tenant = "X-Tenant: b\r\n";
    assert_eq!(ask(&gateway, "POST", "a.test", "/x", tenant), "r0");
}

#[test]
fn where_the_fields_of_no_route_fit_the_next_less_specific_path_is_asked() {
    let gateway = gateway(&[
        "path: \"/{*rest}\"",
        "path: \"/o/{id}\", headers: { x-a: \"1\" }",
        "path: /o/new, headers: { x-a: \"1\", x-b: \"1\" }",
        "host: a.test, path: \"/{*rest}\", headers: { x-b: \"1\" }",
    ]);
    let (a, both) = ("X-A: 1\r\n", "X-A: 1\r\nX-B: 1\r\n");
    assert_eq!(get(&gateway, "b.test", "/o/new", ""), "r0");
    assert_eq!(get(&gateway, "b.test", "/o/new", a), "r1");
    assert_eq!(get(&gateway, "b.test", "/o/new", both), "r2");
    assert_eq!(get(&gateway, "a.test", "/o/new", both), "r3");
    assert_eq!(get(&gateway, "a.test", "/o/new", a), "r1");
}

#[test]
fn a_reload_changes_the_hosts() {
    let gateway = gateway(&["host: a.test, path: /x"]);
    let config = std::fs::read_to_string(gateway.config()).unwrap();
    gateway.rewrite(&config.replace("a.test", "b.test"));
    gateway.sighup();
    crate::support::eventually("the new host", || {
        get(&gateway, "b.test", "/x", "") == "r0" && get(&gateway, "a.test", "/x", "") == "404"
    });
}
