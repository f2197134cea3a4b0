//! What stands between a client's bytes and an upstream's: targets, heads that cannot be read,
//! answers that come early, and what hyper's server does not write by itself.

mod support;

use std::sync::mpsc;

use support::{Client, Gate, Gateway, Setup, Upstream, eventually, orders};

/// An upstream that answers with what it was asked for.
fn echo() -> Upstream {
    Upstream::start(|call| {
        let body = call.text();
        let answer = format!("{} {} {body}", call.seen.method, call.seen.target);
        call.respond(200, &answer);
    })
}

fn routed(upstream: &Upstream, routes: &str) -> Gateway {
    let url = upstream.url();
    Gateway::run(format!(
        "listen: 127.0.0.1:0
upstreams:
  a: {{ url: {url} }}
  b: {{ url: {url}/base, breaker: {{ key: \"{{upstream}}/{{path.id}}\", cooldown: 1s }} }}
routes:
{routes}"
    ))
}

const RAW: [&str; 6] = [
    "/?q=\"x\"",
    "/a?<b>",
    "/a?{\"a\":[\"<b>\",\\\"]}|^`",
    "/a?\"%22%3c&x=1\"",
    "/a?x?\"",
    "/a?\"",
];

#[test]
fn raw_bytes_in_a_query_reach_the_upstream_as_they_came() {
    let upstream = echo();
    let gateway = routed(
        &upstream,
        "  - { path: \"/base/{*rest}\", upstream: b, rewrite: \"/x/{rest}\" }
  - { path: \"/{*rest}\", upstream: a }
",
    );
    let mut client = gateway.client();
    for target in RAW {
        assert_eq!(client.get(target).text(), format!("GET {target} "));
        let posted = client.post(target, "GET /?\"body\" HTTP/1.1\r\n\r\n");
        assert_eq!(
            posted.text(),
            format!("POST {target} GET /?\"body\" HTTP/1.1\r\n\r\n")
        );
        let absolute = client.get(&format!("http://gateway.test{target}"));
        assert_eq!(absolute.text(), format!("GET {target} "));
    }
    assert_eq!(client.get("/base/a?\"b\"").text(), "GET /base/x/a?\"b\" ");
    assert_eq!(client.get("/a?%22b%22").text(), "GET /a?%22b%22 ");
}

#[test]
fn raw_queries_are_told_apart_however_the_bytes_come() {
    let upstream = echo();
    let gateway = Gateway::run(orders(&upstream, "{}"));
    let mut sent = String::new();
    let mut wanted = Vec::new();
    for target in RAW {
        sent += &format!("GET {target} HTTP/1.1\r\nHost: a\r\nCookie: \"<x>\"\r\n\r\n");
        wanted.push(format!("GET {target} "));
        let body = "GET /no?\"<>\" HTTP/1.1\r\nHost: a\r\n\r\n";
        let size = body.len();
        sent +=
            &format!("POST {target} HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n{body}");
        wanted.push(format!("POST {target} {body}"));
        let te = "Transfer-Encoding: chunked";
        sent += &format!(
            "PUT {target} HTTP/1.1\r\nHost: a\r\n{te}\r\n\r\n{size:x}\r\n{body}\r\n0\r\n\r\n"
        );
        wanted.push(format!("PUT {target} {body}"));
    }
    for at_once in [sent.len(), 1000, 97, 13] {
        let mut client = gateway.client();
        for part in sent.as_bytes().chunks(at_once) {
            client.send(part);
        }
        for wanted in &wanted {
            assert_eq!(&client.response().text(), wanted, "{at_once} at once");
        }
    }
}

#[test]
fn what_cannot_be_read_is_refused_as_everything_else_is() {
    let upstream = echo();
    let gateway = Setup::new(orders(&upstream, "{}"))
        .env("RUST_LOG", "info,fusebox_gateway=debug")
        .start();
    let long = "x".repeat(70_000);
    let fields = "X: y\r\n".repeat(200);
    let heads = [
        ("GET /<a> HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), 400),
        ("GET /a`b HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), 400),
        ("GET /?a b HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), 400),
        ("G@T / HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), 400),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nX y: z\r\n\r\n".to_owned(),
            400,
        ),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n".to_owned(), 400),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n".to_owned(),
            400,
        ),
        ("GET / HTTP/3.0\r\nHost: a\r\n\r\n".to_owned(), 505),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(), 505),
        (format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n"), 431),
        (
            format!("GET / HTTP/1.1\r\nHost: a\r\nX: {long}\r\n\r\n"),
            431,
        ),
    ];
    for (number, (head, status)) in heads.iter().enumerate() {
        let mut client = gateway.client();
        // A request before it is answered as ever.
        let first = "GET /first HTTP/1.1\r\nHost: a\r\n\r\n";
        if number % 2 == 0 {
            client.send(format!("{first}{head}"));
            assert_eq!(client.response().text(), "GET /first ");
        } else {
            client.send(first);
            assert_eq!(client.response().text(), "GET /first ");
            client.send(head);
        }
        let response = client.response();
        let start = head.lines().next().unwrap_or_default();
        assert_eq!(response.status, *status, "{start}");
        assert_eq!(
            response.fields.get("content-type"),
            Some("application/json")
        );
        assert_eq!(response.fields.get("connection"), Some("close"));
        assert!(response.json()["error"].is_string(), "{start}");
        let id = response.fields.get("x-request-id").unwrap();
        assert_eq!(id.len(), 32, "{start}");
        let line = gateway
            .log_line(|line| line["message"] == "request refused" && line["request_id"] == id);
        let said = (&line["level"], &line["status"], &line["reason"]);
        let reason = response.json()["error"].clone();
        assert_eq!(said, (&"DEBUG".into(), &(*status).into(), &reason));
        assert!(line["peer"].is_string(), "{line}");
        client.ended();
        let refused = gateway.metric("fusebox_requests_refused_total");
        assert_eq!(refused, Some((number + 1) as f64), "{start}");
    }
    assert_eq!(upstream.calls(), heads.len());
    assert_eq!(gateway.outcomes("orders"), (heads.len() as u64, 0, 0));
}

#[test]
fn a_target_is_too_long_by_itself_where_the_head_has_room_for_it() {
    let upstream = echo();
    for (head, length, status) in [
        ("64KiB", 65_535, 431),
        ("128KiB", 65_535, 414),
        ("128KiB", 65_534, 200),
    ] {
        let limits = format!("limits: {{ head: {head} }}\n");
        let gateway = Gateway::run(limits + &orders(&upstream, "{}"));
        let target = format!("/{}", "a".repeat(length - 1));
        let answer = gateway.get(&target);
        assert_eq!(answer.status, status, "{length} in {head}");
    }
}

#[test]
fn a_target_goes_out_as_it_was_read() {
    let upstream = echo();
    let gateway = routed(
        &upstream,
        "  - { path: \"/cut/{*rest}\", upstream: a, rewrite: \"/{rest}..\" }
  - { path: \"/{*rest}\", upstream: a }
",
    );
    for (target, out) in [
        ("http://gateway.test", "/"),
        ("http://gateway.test#x", "/"),
        ("http://gateway.test?x", "/?x"),
        ("http://gateway.test#?x", "/"),
        ("http://gateway.test/#x", "/"),
        ("/a#x", "/a"),
        ("/a?b#x", "/a?b"),
        ("/a;b=c/d", "/a;b=c/d"),
        ("/cut/a", "/a.."),
        ("/%7e%41%2d%c3%a9?%7e", "/~A-%C3%A9?%7e"),
    ] {
        assert_eq!(
            gateway.get(target).text(),
            format!("GET {out} "),
            "{target}"
        );
    }
    for target in [
        "/cut/",
        "/cut",
        "gateway.test",
        "gateway.test:80",
        "http://other/",
        "ftp://gateway.test/",
        "#",
        "?x",
        "/%2%65%2%65/",
        "/%25%32%65/",
    ] {
        assert_eq!(gateway.get(target).status, 400, "{target}");
    }
}

#[test]
fn however_a_path_is_written_it_takes_one_route_and_one_breaker() {
    let upstream = echo();
    let gateway = routed(
        &upstream,
        "  - { path: \"/%61dmin\", respond: { status: 403 } }
  - { path: \"/caf%c3%a9\", respond: { status: 204 } }
  - { path: \"/t/{id}\", upstream: b }
  - { path: \"/{*rest}\", upstream: a }
",
    );
    for path in ["/admin", "/%61dmin", "/%61%64%6D%69%6e"] {
        assert_eq!(gateway.get(path).status, 403, "{path}");
    }
    for path in ["/caf%C3%A9", "/c%61f%c3%A9"] {
        assert_eq!(gateway.get(path).status, 204, "{path}");
    }
    assert_eq!(gateway.get("/Admin").status, 200);
    for path in ["/t/abc", "/t/%61bc", "/t/a%62%63"] {
        assert_eq!(gateway.get(path).text(), "GET /base/t/abc ", "{path}");
    }
    gateway.get("/t/a%2dc%3b");
    let mut breakers = gateway.breakers();
    breakers.sort();
    assert_eq!(breakers.len(), 3, "{breakers:?}");
    assert_eq!(gateway.outcomes(&breakers[2]), (3, 0, 0), "{breakers:?}");
}

#[test]
fn an_early_answer_reaches_a_client_that_sends_first_and_reads_later() {
    let upstream = echo();
    let gateway = Gateway::run(format!(
        "listen: 127.0.0.1:0
limits: {{ request_body: 24MiB }}
upstreams:
  a: {{ url: {}, breaker: {{ cooldown: 1m }} }}
routes:
  - {{ path: /a, upstream: a }}
  - {{ path: /no, methods: [GET], upstream: a }}
  - {{ path: /fixed, respond: {{ status: 401, text: no }} }}
",
        upstream.url()
    ));
    let part = vec![b'x'; 1 << 20];
    let upload = |path: &str, more: &str, mib: usize| {
        let size = mib << 20;
        let mut client = gateway.client();
        client.send(format!(
            "POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n{more}\r\n"
        ));
        for _ in 0..mib {
            client.send(&part);
        }
        let response = client.response();
        assert_eq!(response.fields.get("connection"), Some("close"), "{path}");
        response.status
    };
    assert_eq!(upload("/nothing", "", 24), 404);
    assert_eq!(upload("/no", "", 24), 405);
    assert_eq!(upload("/fixed", "", 24), 401);
    assert_eq!(upload("/a", "Content-Length: 1\r\n", 24), 400);
    assert_eq!(upload("/a", "", 25), 413);
    gateway.admin_post("/api/v1/breakers/a/open", &serde_json::json!({}));
    assert_eq!(upload("/a", "", 24), 503);
}

#[test]
fn a_client_that_never_stops_does_not_hold_a_drain() {
    let upstream = echo();
    let gateway = Gateway::run(orders(&upstream, "{}").replace("/{*rest}", "/a"));
    let mut client = gateway.client();
    client.send("POST /no HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n");
    assert_eq!(client.head().status, 404);
    let (stop, stopped) = mpsc::channel::<()>();
    let sending = std::thread::spawn(move || {
        while stopped.try_recv().is_err() && client.wire.send([b'x'; 512]).is_ok() {
            // The pace of a slow client, which is what is tested; nothing is waited for.
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    });
    let begin = std::time::Instant::now();
    gateway.sigterm();
    assert!(gateway.wait().success());
    assert!(begin.elapsed().as_secs() < 10, "{:?}", begin.elapsed());
    drop(stop);
    sending.join().unwrap();
}

#[test]
fn interim_answers_are_passed_on_when_they_come() {
    let gate = Gate::default();
    let inner = gate.clone();
    let upstream = Upstream::start(move |call| {
        call.body();
        call.send("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n");
        call.send(
            "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\nConnection: x-hop\r\nX-Hop: 1\r\n\r\n",
        );
        inner.pass();
        call.send("HTTP/1.1 103 Early Hints\r\nLink: </b.css>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone");
    });
    let gateway = Gateway::run(orders(&upstream, "{}"));
    let mut client = gateway.client();
    client.send("GET /a HTTP/1.1\r\nHost: a\r\n\r\nGET /b HTTP/1.1\r\nHost: a\r\n\r\n");
    for round in 0..2 {
        assert_eq!(client.response().status, 102);
        let hints = client.response();
        assert_eq!(hints.status, 103);
        assert_eq!(hints.fields.get("link"), Some("</a.css>"));
        assert!(!hints.fields.has("x-hop") && !hints.fields.has("connection"));
        if round == 0 {
            eventually("the upstream waits for us", || gate.waiting() == 1);
        }
        gate.open();
        let hints = client.response();
        assert_eq!(
            (hints.status, hints.fields.get("link")),
            (103, Some("</b.css>"))
        );
        assert_eq!(client.response().text(), "done");
    }
    client.send("GET /a HTTP/1.0\r\n\r\n");
    assert_eq!(client.response().text(), "done", "HTTP/1.0 has none");
    assert_eq!(gateway.outcomes("orders"), (3, 0, 0));
}

#[test]
fn an_answer_has_sixteen_interim_ones_at_most() {
    let upstream = Upstream::start(|call| {
        let count = call.seen.target[1..].parse().unwrap();
        let all = "HTTP/1.1 102 Processing\r\n\r\n".repeat(count);
        call.send(all + "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    });
    let gateway = Gateway::run(orders(&upstream, "{}"));
    for (count, status) in [(16, 200), (17, 502), (500, 502)] {
        let mut client = gateway.client();
        client.send(format!("GET /{count} HTTP/1.1\r\nHost: a\r\n\r\n"));
        let mut interim = 0;
        let response = loop {
            let response = client.response();
            if response.status >= 200 {
                break response;
            }
            interim += 1;
        };
        assert_eq!((response.status, interim), (status, 16), "{count}");
    }
    assert_eq!(gateway.outcomes("orders"), (1, 2, 0));
}

#[test]
fn trailers_pass_that_no_head_announced() {
    let (sender, seen) = mpsc::channel();
    let upstream = Upstream::start(move |call| {
        let (body, trailers) = call.body_and_trailers();
        sender.send((body, trailers)).ok();
        call.send(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-T: 1\r\nX-T: 2\r\nContent-Type: evil\r\n\r\n",
        );
    });
    let gateway = Gateway::run(orders(&upstream, "{}"));
    let mut client = gateway.client();
    for end in ["0\r\nX-Check: 77\r\nHost: evil\r\n\r\n", "0\r\n\r\n"] {
        client.send(format!(
            "POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n{end}"
        ));
        let response = client.response();
        assert_eq!(response.text(), "abc");
        assert_eq!(response.trailers.all("x-t"), ["1", "2"]);
        assert!(!response.trailers.has("content-type"));
        let (body, trailers) = seen.recv().unwrap();
        assert_eq!(body, b"abc");
        assert_eq!(trailers.get("x-check").is_some(), end.contains("77"));
        assert!(!trailers.has("host"));
    }
    let mut old = gateway.client();
    old.send("GET /a HTTP/1.0\r\n\r\n");
    assert_eq!(old.response().text(), "abc", "HTTP/1.0 has no trailers");
}

#[test]
fn a_tunnel_carries_what_would_be_held_back_elsewhere() {
    let upstream = Upstream::start(|call| {
        if call.seen.fields.get("upgrade").is_none() || call.seen.target.starts_with("/no") {
            let target = call.seen.target.clone();
            return call.respond(200, &target);
        }
        call.send("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n");
        while let Ok(bytes) = call.wire().read_some()
            && !bytes.is_empty()
        {
            call.send(bytes);
        }
    });
    let gateway = Gateway::run(orders(&upstream, "{}"));
    let mut client = gateway.client();
    let ask = "Host: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n";
    client.send(format!("GET /no HTTP/1.1\r\n{ask}"));
    assert_eq!(client.response().text(), "/no");
    assert_eq!(client.get("/no?\"raw\"").text(), "/no?\"raw\"");
    client.send(format!("GET /a HTTP/1.1\r\n{ask}"));
    assert_eq!(client.head().status, 101);
    for bytes in [
        "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n",
        "GET /?\"x\" HTTP/1.1\r\n\r\n",
        "no line end",
        "\r\n",
    ] {
        client.send(bytes);
        let echoed = client.wire.read_exactly(bytes.len()).unwrap();
        assert_eq!(String::from_utf8_lossy(&echoed), bytes);
    }
}

#[test]
fn whoever_takes_get_takes_head() {
    let upstream = echo();
    let gateway = routed(
        &upstream,
        "  - { path: /a, methods: [GET], upstream: a }
  - { path: /both, methods: [GET], respond: { status: 204 } }
  - { path: /both, methods: [HEAD], upstream: a }
  - { path: /fixed, methods: [GET, POST], respond: { status: 200, text: hello } }
  - { path: \"/api/{*rest}\", upstream: a, rewrite: \"/v1/{rest}\" }
",
    );
    let mut client = gateway.client();
    let response = client.request("HEAD", "/a", "", "");
    assert_eq!(
        (response.status, upstream.last().method.as_str()),
        (200, "HEAD")
    );
    assert_eq!(
        client.request("HEAD", "/both", "", "").status,
        200,
        "its own route"
    );
    let fixed = client.request("HEAD", "/fixed", "", "");
    assert_eq!(
        (fixed.status, fixed.fields.get("content-length")),
        (200, Some("5"))
    );
    assert_eq!(
        client.get("/fixed").text(),
        "hello",
        "no body stood between"
    );
    let wrong = client.request("DELETE", "/fixed", "", "");
    assert_eq!(
        (wrong.status, wrong.fields.get("allow")),
        (405, Some("GET, HEAD, POST"))
    );
    for (path, target) in [("/api", "/v1/"), ("/api/", "/v1/"), ("/api/x", "/v1/x")] {
        assert_eq!(client.get(path).text(), format!("GET {target} "), "{path}");
    }
    assert_eq!(Client::to(gateway.addr()).get("/apix").status, 404);
}
