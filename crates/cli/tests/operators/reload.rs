//! SIGHUP: another plan from now on, and nobody who was being served notices.

use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::support::{
    Client, Dial, Ending, Gate, Gateway, Upstream, eventually, orders, orders_at,
};
use serde_json::{Value, json};

const FIVE: &str = "{ trip: { consecutive_failures: 5 }, cooldown: 60s }";

/// How often a message is in the log.
fn said(gateway: &Gateway, message: &str) -> usize {
    let quoted = format!("\"message\":\"{message}\"");
    let log = gateway.log();
    log.iter().filter(|line| line.contains(&quoted)).count()
}

/// Has the configuration replaced and waits until it runs.
#[track_caller]
fn reload(gateway: &Gateway, yaml: &str) {
    let before = said(gateway, "reloaded");
    gateway.rewrite(yaml);
    gateway.sighup();
    eventually("the new plan runs", || said(gateway, "reloaded") > before);
}

/// Has the configuration replaced and waits until it is refused; gives what the log says of it.
#[track_caller]
fn refused(gateway: &Gateway, yaml: &str) -> String {
    const REFUSED: &str = "reload failed; the old plan stays in use";
    let before = said(gateway, REFUSED);
    let lines = gateway.log().len();
    gateway.rewrite(yaml);
    gateway.sighup();
    eventually("the new plan is refused", || {
        said(gateway, REFUSED) > before
    });
    gateway.log()[lines..].join("\n")
}

/// What of a breaker a reload must not touch.
fn essence(breaker: &Value) -> Vec<&Value> {
    let parts = [
        "state",
        "generation",
        "attempts",
        "hold",
        "reason",
        "mode",
        "counts",
    ];
    parts.iter().map(|part| &breaker[part]).collect()
}

/// Two upstreams at one address, each behind a route of its name.
fn two(upstream: &Upstream, breaker: &str, more: &str) -> String {
    let url = upstream.url();
    format!(
        "listen: 127.0.0.1:0
upstreams:
  orders: {{ url: {url}, breaker: {breaker} }}
  users: {{ url: {url}, breaker: {breaker} }}
routes:
  - {{ path: /orders, upstream: orders }}
  - {{ path: /users, upstream: users }}
{more}"
    )
}

#[test]
fn no_request_fails_while_plans_change_under_continuous_traffic() {
    let upstream = Upstream::dialled(&Dial::at(200));
    let plans = [
        two(&upstream, FIVE, ""),
        two(&upstream, FIVE, "  - { path: /more, respond: {} }\n"),
        two(
            &upstream,
            "{ trip: { consecutive_failures: 3 }, cooldown: 5s }",
            "limits: { keep_alive: 60s }\n",
        ),
        two(
            &upstream,
            "{ trip: { failure_rate: 50% } }",
            "limits: { fields: 50 }\n",
        ),
    ];
    let gateway = Gateway::run(plans[0].clone());
    let stop = Arc::new(AtomicBool::new(false));
    let served = Arc::new(AtomicU64::new(0));
    let clients: Vec<_> = (0..6)
        .map(|number| {
            let mut client = gateway.client();
            let (stop, served) = (stop.clone(), served.clone());
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let response = match number % 3 {
                        0 => client.get("/orders"),
                        1 => client.post("/users", "a body"),
                        _ => client.request("POST", "/orders", "Expect: 100-continue\r\n", "body"),
                    };
                    let response = match response.status {
                        100 => client.response(),
                        _ => response,
                    };
                    assert_eq!(response.status, 200, "{}", response.text());
                    assert_eq!(response.text(), "from upstream");
                    assert_eq!(response.fields.get("connection"), None);
                    served.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for round in 1..=24 {
        let before = served.load(Ordering::Relaxed);
        reload(&gateway, &plans[round % plans.len()]);
        eventually("traffic goes on", || {
            served.load(Ordering::Relaxed) >= before + 20 || clients.iter().any(|c| c.is_finished())
        });
    }
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.join().unwrap();
    }
    assert_eq!(gateway.outcomes("orders").1, 0);
    let reloads = r#"fusebox_config_reload_total{result="success"}"#;
    assert_eq!(gateway.metric(reloads), Some(24.0));
}

#[test]
fn breakers_that_did_not_change_keep_everything() {
    let status = Dial::at(500);
    let upstream = Upstream::dialled(&status);
    let gateway = Gateway::run(two(&upstream, FIVE, ""));
    let mut client = gateway.client();
    for _ in 0..6 {
        client.get("/orders");
    }
    let order = json!({ "for": "10m", "reason": "database moves", "by": "ann" });
    gateway.admin_post("/api/v1/breakers/users/close", &order);
    let before = (gateway.breaker("orders"), gateway.breaker("users"));
    assert_eq!(before.0["state"], "open");
    reload(
        &gateway,
        &two(&upstream, FIVE, "  - { path: /more, respond: {} }\n"),
    );
    let after = (gateway.breaker("orders"), gateway.breaker("users"));
    assert_eq!(essence(&after.0), essence(&before.0));
    assert_eq!(
        after.0["recent"][0]["reason"],
        before.0["recent"][0]["reason"]
    );
    assert_eq!(after.1["hold"]["kind"], "closed");
    assert_eq!(after.1["generation"], before.1["generation"]);
    assert_eq!(client.get("/orders").status, 503);
    assert_eq!(client.get("/more").status, 200);
    assert_eq!(said(&gateway, "reloaded"), 1);
    // Beside what `check` says of the file.
    let lost = gateway
        .log()
        .iter()
        .filter(|line| line.contains("\"level\":\"WARN\"") && !line.contains("any success ends"))
        .count();
    assert_eq!(lost, 1, "the trip alone: {:#?}", gateway.log());
}

#[test]
fn breakers_by_key_keep_everything_too() {
    let status = Dial::at(500);
    let upstream = Upstream::dialled(&status);
    let breaker = "{ key: \"{header.x-tenant}\", max_keys: 10, trip: { consecutive_failures: 1 }, cooldown: 60s }";
    let gateway = Gateway::run(two(&upstream, breaker, ""));
    let call = |tenant: &str| {
        let lines = format!("X-Tenant: {tenant}\r\n");
        gateway
            .client()
            .request("GET", "/orders", &lines, "")
            .status
    };
    assert_eq!(call("ann"), 500);
    status.set(200);
    assert_eq!(call("bea"), 200);
    let before = gateway.breaker("orders/ann");
    reload(
        &gateway,
        &two(&upstream, &breaker.replace("60s", "50s"), ""),
    );
    assert_eq!(essence(&gateway.breaker("orders/ann")), essence(&before));
    assert_eq!((call("ann"), call("bea"), call("carl")), (503, 200, 200));
}

#[test]
fn counts_go_on_where_the_rules_are_of_the_same_family() {
    let upstream = Upstream::dialled(&Dial::at(500));
    let gateway = Gateway::run(two(&upstream, FIVE, ""));
    let mut client = gateway.client();
    for _ in 0..4 {
        assert_eq!(client.get("/orders").status, 500);
    }
    reload(&gateway, &two(&upstream, &FIVE.replace("60s", "30s"), ""));
    assert_eq!(client.get("/orders").status, 500);
    assert_eq!(gateway.state("orders"), "open", "the fifth in a row");
}

#[test]
fn an_open_breaker_stays_open_when_its_settings_change_within_the_family() {
    let upstream = Upstream::dialled(&Dial::at(500));
    let gateway = Gateway::run(two(&upstream, FIVE, ""));
    let mut client = gateway.client();
    for _ in 0..5 {
        client.get("/orders");
    }
    let before = gateway.breaker("orders");
    assert_eq!(before["state"], "open");
    let other = "{ trip: { consecutive_failures: 9 }, cooldown: 40s, half_open: { probes: 2, successes: 2 } }";
    reload(&gateway, &two(&upstream, other, ""));
    let after = gateway.breaker("orders");
    assert_eq!(
        (&after["state"], &after["generation"]),
        (&before["state"], &before["generation"])
    );
    let left = |breaker: &Value| breaker["retry_after"].as_u64().unwrap();
    assert!(
        left(&before) - left(&after) <= 5,
        "its end stays: {before} {after}"
    );
    assert_eq!(after["rules"][0]["threshold"], 9.0);
}

#[test]
fn another_family_of_rules_begins_anew_and_says_so() {
    let upstream = Upstream::dialled(&Dial::at(500));
    let gateway = Gateway::run(two(&upstream, FIVE, ""));
    let mut client = gateway.client();
    for _ in 0..5 {
        client.get("/orders");
    }
    let before = gateway.breaker("orders");
    reload(
        &gateway,
        &two(&upstream, "{ trip: { failure_rate: 50% } }", ""),
    );
    let after = gateway.breaker("orders");
    assert_eq!(after["state"], "closed");
    assert!(after["generation"].as_u64() > before["generation"].as_u64());
    let log = gateway.log().join("\n");
    assert!(log.contains("breaker orders: "), "{log}");
    assert_eq!(client.get("/orders").status, 500);
}

#[test]
fn another_key_begins_anew_and_says_so() {
    let upstream = Upstream::dialled(&Dial::at(500));
    let gateway = Gateway::run(two(&upstream, FIVE, ""));
    let mut client = gateway.client();
    for _ in 0..5 {
        client.get("/orders");
    }
    let keyed = "{ key: \"{route}\", trip: { consecutive_failures: 5 } }";
    reload(&gateway, &two(&upstream, keyed, ""));
    assert_eq!(client.get("/orders").status, 500);
    assert_eq!(gateway.state("orders//orders"), "closed");
    assert_eq!(gateway.admin_get("/api/v1/breakers/orders").status, 404);
    let log = gateway.log().join("\n");
    assert!(
        log.contains("breakers of orders: their key changed"),
        "{log}"
    );
}

#[test]
fn routes_and_upstreams_come_and_go() {
    let status = Dial::at(200);
    let upstream = Upstream::dialled(&status);
    let both = two(&upstream, FIVE, "");
    let one = orders(&upstream, FIVE).replace("/{*rest}", "/orders");
    let gateway = Gateway::run(one.clone());
    let mut client = gateway.client();
    assert_eq!(
        (client.get("/orders").status, client.get("/users").status),
        (200, 404)
    );
    reload(&gateway, &both);
    assert_eq!(
        (client.get("/orders").status, client.get("/users").status),
        (200, 200)
    );
    assert_eq!(gateway.count("users", "success"), 1);
    reload(&gateway, &one);
    assert_eq!(
        (client.get("/orders").status, client.get("/users").status),
        (200, 404)
    );
    assert_eq!(gateway.admin_get("/api/v1/breakers/users").status, 404);
    let log = gateway.log().join("\n");
    assert!(
        log.contains("breakers of users: the upstream is gone"),
        "{log}"
    );
    assert_eq!(gateway.count("orders", "success"), 3);
    assert!(
        gateway
            .metric("fusebox_breaker_state{breaker=\"users\",state=\"closed\"}")
            .is_none()
    );
}

#[test]
fn an_upstream_that_moved_is_called_at_its_new_address() {
    let old = Upstream::start(|call| call.respond(200, "old"));
    let new = Upstream::start(|call| call.respond(200, "new"));
    let gateway = Gateway::run(orders(&old, FIVE));
    let mut client = gateway.client();
    assert_eq!(client.get("/a").text(), "old");
    reload(&gateway, &orders(&new, FIVE));
    assert_eq!(client.get("/a").text(), "new");
    assert_eq!(old.calls(), 1);
    assert_eq!(
        gateway.count("orders", "success"),
        1,
        "what the new one did"
    );
}

const ONE: &str = "{ trip: { consecutive_failures: 1 }, cooldown: 60s }";

#[test]
fn a_new_url_begins_a_new_breaker() {
    let gate = Gate::default();
    let door = gate.clone();
    let old = Upstream::start(move |call| {
        if call.seen.target == "/slow" {
            door.pass();
        }
        call.respond(500, "old");
    });
    let new = Upstream::dialled(&Dial::at(200));
    let mut gateway = Gateway::run(orders(&old, ONE));
    let mut slow = gateway.client();
    slow.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
    eventually("the call waits at the old upstream", || gate.waiting() > 0);
    assert_eq!(gateway.get("/a").status, 500);
    assert_eq!(gateway.state("orders"), "open");
    reload(&gateway, &orders(&new, ONE));
    let lost = "breakers of orders: the upstream's url changed, so they begin anew";
    assert_eq!(
        gateway.log_line(|line| line["message"] == lost)["level"],
        "WARN"
    );
    assert_eq!(gateway.state("orders"), "closed");
    assert_eq!(gateway.get("/a").status, 200);
    // What the old upstream does now is no news of the new one, neither now nor after a restart.
    gate.open();
    assert_eq!(slow.response().status, 500);
    assert_eq!(gateway.state("orders"), "closed");
    gateway.sigterm();
    gateway.wait();
    gateway.restart();
    assert_eq!(gateway.state("orders"), "closed");
    assert_eq!(gateway.get("/a").status, 200);
}

#[test]
fn a_url_that_changed_between_two_starts_begins_new_breakers_too() {
    let old = Upstream::dialled(&Dial::at(500));
    let new = Upstream::dialled(&Dial::at(200));
    let keyed = ONE.replace("{ trip", "{ key: \"{method}\", trip");
    for (breaker, name) in [(ONE, "orders"), (&keyed, "orders/GET")] {
        let mut gateway = Gateway::run(orders(&old, breaker));
        assert_eq!(gateway.get("/a").status, 500);
        gateway.sigterm();
        gateway.wait();
        gateway.restart();
        assert_eq!(gateway.state(name), "open", "the same url goes on");
        gateway.sigterm();
        gateway.wait();
        for upstream in [&new, &old] {
            gateway.rewrite(&orders(upstream, breaker));
            gateway.restart();
            assert!(
                !gateway
                    .breakers()
                    .iter()
                    .any(|it| it == name && gateway.state(it) != "closed")
            );
            gateway.sigterm();
            gateway.wait();
        }
    }
}

#[test]
fn what_changed_is_said_by_name() {
    let upstream = Upstream::dialled(&Dial::at(200));
    let gateway = Gateway::run(two(&upstream, FIVE, ""));
    let url = upstream.url();
    let yaml = format!(
        "listen: 127.0.0.1:0
limits: {{ drain: 7s }}
upstreams:
  orders: {{ url: {url}, breaker: {ONE} }}
  stock: {{ url: {url}, breaker: {FIVE} }}
routes:
  - {{ path: /orders, upstream: orders }}
  - {{ path: /stock, upstream: stock }}
"
    );
    reload(&gateway, &yaml);
    let line = gateway.log_line(|line| line["message"] == "reloaded");
    assert_eq!(
        line["changed"],
        "upstreams added (1): stock; upstreams changed (1): orders; upstreams removed (1): users; \
         routes added (1): /stock; routes removed (1): /users; settings changed: limits"
    );
    reload(&gateway, &yaml);
    gateway.log_line(|line| line["message"] == "reloaded" && line["changed"] == "nothing");
}

#[test]
fn a_request_on_its_way_ends_under_the_plan_that_it_began_with() {
    let gate = Gate::default();
    let door = gate.clone();
    let upstream = Upstream::start(move |call| {
        if call.seen.target == "/slow" {
            door.pass();
        }
        call.respond(200, "done");
    });
    let gateway = Gateway::run(orders(&upstream, FIVE));
    let mut client = gateway.client();
    client.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
    eventually("the request waits at the upstream", || gate.waiting() == 1);
    // Its route and its upstream are gone.
    reload(
        &gateway,
        "listen: 127.0.0.1:0\nroutes: [{ path: /ping, respond: { text: pong } }]\n",
    );
    gate.open();
    let response = client.response();
    assert_eq!((response.status, response.text().as_str()), (200, "done"));
    assert_eq!(client.get("/slow").status, 404);
    assert_eq!(client.get("/ping").text(), "pong");
}

/// A free port, which nobody takes in this moment.
fn free() -> std::net::SocketAddr {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    socket.local_addr().unwrap()
}

#[test]
fn listeners_come_and_go() {
    let routes = "routes: [{ path: /ping, respond: { text: pong } }]\n";
    let more = free();
    let one = format!("listeners: [{{ name: a, addr: 127.0.0.1:0 }}]\n{routes}");
    let both = format!(
        "listeners: [{{ name: a, addr: 127.0.0.1:0 }}, {{ name: b, addr: \"{more}\" }}]\n{routes}"
    );
    let gateway = Gateway::run(one.clone());
    let mut first = gateway.client();
    assert_eq!(first.get("/ping").status, 200);
    assert!(TcpStream::connect(more).is_err());
    reload(&gateway, &both);
    let mut second = Client::to(more);
    assert_eq!(second.get("/ping").text(), "pong");
    assert_eq!(first.get("/ping").status, 200);
    assert!(
        gateway
            .admin_get("/readyz?verbose")
            .text()
            .contains(&format!("b on {more}"))
    );
    reload(&gateway, &one);
    eventually("nobody listens there any more", || {
        TcpStream::connect(more).is_err()
    });
    assert_eq!(
        first.get("/ping").status,
        200,
        "the other one does not mind"
    );
    // And once more: the address is free for a new listener.
    reload(&gateway, &both);
    assert_eq!(Client::to(more).get("/ping").text(), "pong");
}

#[test]
fn a_listener_with_another_address_moves_there() {
    let (old, new) = (free(), free());
    let at = |addr| {
        format!("listen: \"{addr}\"\nroutes: [{{ path: /ping, respond: {{ text: pong }} }}]\n")
    };
    let gateway = Gateway::run(at(old));
    let mut kept = Client::to(old);
    assert_eq!(kept.get("/ping").status, 200);
    reload(&gateway, &at(new));
    assert_eq!(Client::to(new).get("/ping").text(), "pong");
    eventually("nobody listens there any more", || {
        TcpStream::connect(old).is_err()
    });
    // Whoever had a connection there learns that it has ended, and comes again.
    assert_eq!(kept.ended(), (Vec::new(), Ending::Closed));
}

#[test]
fn a_listener_with_another_name_keeps_its_socket_and_its_connections() {
    let addr = free();
    let routes = "routes: [{ path: /ping, respond: { text: pong } }]\n";
    let short = format!("listen: \"{addr}\"\n{routes}");
    let long = format!("listeners: [{{ name: public, addr: \"{addr}\" }}]\n{routes}");
    let gateway = Gateway::run(short);
    let mut kept = Client::to(addr);
    assert_eq!(kept.get("/ping").status, 200);
    reload(&gateway, &long);
    assert_eq!(kept.get("/ping").status, 200);
    assert_eq!(Client::to(addr).get("/ping").status, 200);
    assert!(
        gateway
            .admin_get("/readyz?verbose")
            .text()
            .contains(&format!("public on {addr}"))
    );
}

#[test]
fn a_listener_can_widen_its_address_on_the_same_port() {
    let narrow = free();
    let wide = format!("0.0.0.0:{}", narrow.port());
    let at = |addr: &str| {
        format!("listen: \"{addr}\"\nroutes: [{{ path: /ping, respond: {{ text: pong }} }}]\n")
    };
    let gateway = Gateway::run(at(&narrow.to_string()));
    for addr in [wide.clone(), narrow.to_string(), wide] {
        reload(&gateway, &at(&addr));
        assert_eq!(Client::to(narrow).get("/ping").text(), "pong", "{addr}");
    }
}

#[test]
fn two_listeners_can_trade_addresses() {
    let (one, two) = (free(), free());
    let plan = |a, b| {
        format!(
            "listeners: [{{ name: a, addr: \"{a}\" }}, {{ name: b, addr: \"{b}\" }}]
routes:
  - {{ path: /ping, listeners: [a], respond: {{ text: a }} }}
  - {{ path: /pong, listeners: [b], respond: {{ text: b }} }}
"
        )
    };
    let gateway = Gateway::run(plan(one, two));
    assert_eq!(Client::to(one).get("/ping").text(), "a");
    reload(&gateway, &plan(two, one));
    eventually("a listens where b did", || {
        Client::to(two).get("/ping").text() == "a"
    });
    eventually("b listens where a did", || {
        Client::to(one).get("/pong").text() == "b"
    });
}

#[test]
fn connections_of_a_listener_that_is_gone_end_without_a_lost_request() {
    let gate = Gate::default();
    let door = gate.clone();
    let upstream = Upstream::start(move |call| {
        if call.seen.target == "/slow" {
            door.pass();
        }
        call.respond(200, "done");
    });
    let gone = free();
    let url = upstream.url();
    let both = format!(
        "listen: [127.0.0.1:0, \"{gone}\"]\nupstreams: {{ orders: {{ url: {url}, breaker: {{}} }} }}\nroutes: [{{ path: \"/{{*rest}}\", upstream: orders }}]\n"
    );
    let gateway = Gateway::run(both.clone());
    let (mut busy, mut idle) = (Client::to(gone), Client::to(gone));
    assert_eq!(idle.get("/a").status, 200);
    busy.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
    eventually("the request waits at the upstream", || gate.waiting() == 1);
    reload(&gateway, &both.replace(&format!(", \"{gone}\""), ""));
    gate.open();
    assert_eq!(busy.response().text(), "done");
    // An idle connection is closed, rather than refused when it asks for something.
    assert_eq!(idle.ended(), (Vec::new(), Ending::Closed));
    assert_eq!(busy.ended(), (Vec::new(), Ending::Closed));
    assert_eq!(gateway.get("/a").status, 200);
}

#[test]
fn a_bad_file_keeps_the_old_plan_and_says_where_it_is_wrong() {
    let upstream = Upstream::dialled(&Dial::at(200));
    let good = orders(&upstream, FIVE);
    let gateway = Gateway::run(good.clone());
    let mut client = gateway.client();
    assert_eq!(client.get("/a").status, 200);
    let before = gateway.breaker("orders");
    let log = refused(
        &gateway,
        &good
            .replace("upstream: orders", "upstream: order")
            .replace("60s", "60x"),
    );
    let file = gateway.config().display();
    for place in ["5:61: error", "8:15: error"] {
        assert!(log.contains(&format!("{file}:{place}")), "{place} in {log}");
    }
    assert_eq!(log.matches("\"level\":\"ERROR\"").count(), 3, "{log}");
    assert!(log.contains("unknown upstream `order`") && log.contains("did you mean `orders`"));
    assert_eq!(client.get("/a").status, 200);
    let mut after = gateway.breaker("orders");
    after["counts"] = before["counts"].clone();
    assert_eq!(essence(&after), essence(&before));
    let failures = r#"fusebox_config_reload_total{result="failure"}"#;
    assert_eq!(gateway.metric(failures), Some(1.0));
    assert!(
        gateway
            .admin_get("/readyz?verbose")
            .text()
            .contains("1 refused")
    );
    reload(&gateway, &good.replace("60s", "50s"));
    let plan = gateway.admin_get("/api/v1/plan").json();
    assert_eq!(plan["upstreams"]["orders"]["breaker"]["cooldown"], "50s");
}

#[test]
fn a_file_that_is_gone_or_garbage_keeps_the_old_plan() {
    let upstream = Upstream::dialled(&Dial::at(200));
    let gateway = Gateway::run(orders(&upstream, FIVE));
    for garbage in ["", "\0\u{1}\u{2}", "a: [", "listen: 1\n"] {
        refused(&gateway, garbage);
        assert_eq!(gateway.get("/a").status, 200);
    }
    std::fs::remove_file(gateway.config()).unwrap();
    gateway.sighup();
    let line = gateway.log_line(|line| {
        let message = line["message"].as_str().unwrap_or_default();
        message.contains("cannot read")
    });
    assert_eq!(line["level"], "ERROR");
    assert_eq!(gateway.get("/a").status, 200);
    let failures = r#"fusebox_config_reload_total{result="failure"}"#;
    eventually("it is counted", || gateway.metric(failures) == Some(5.0));
}

#[test]
fn a_listener_that_cannot_be_had_keeps_the_old_plan_whole() {
    let status = Dial::at(200);
    let upstream = Upstream::dialled(&status);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap();
    let good = two(&upstream, FIVE, "");
    let gateway = Gateway::run(good.clone());
    let bad = good
        .replace(
            "listen: 127.0.0.1:0",
            &format!("listen: [127.0.0.1:0, \"{addr}\"]"),
        )
        .replace("consecutive_failures: 5", "consecutive_failures: 1");
    let log = refused(&gateway, &bad);
    assert!(
        log.contains(&addr.to_string()) && log.contains("choose another port"),
        "{log}"
    );
    assert_eq!(gateway.breaker("orders")["rules"][0]["threshold"], 5.0);
    status.set(500);
    assert_eq!(gateway.get("/orders").status, 500);
    assert_eq!(
        gateway.state("orders"),
        "closed",
        "the old rule still holds"
    );
    drop(taken);
    reload(&gateway, &bad);
    assert_eq!(Client::to(addr).get("/orders").status, 500);
}

#[test]
fn what_takes_a_restart_is_said() {
    let file = "listen: 127.0.0.1:0\nroutes: [{ path: /ping, respond: {} }]\n";
    let gateway = Gateway::run(file);
    reload(
        &gateway,
        &format!("{file}store: {{ kind: memory }}\nadmin: {{ token: new-token }}\n"),
    );
    for key in ["store", "admin"] {
        let message = format!("`{key}` has changed, which takes effect at the next start");
        let line = gateway.log_line(|line| line["message"] == message.as_str());
        assert_eq!(line["level"], "WARN");
    }
    assert_eq!(
        gateway.admin_get("/metrics").status,
        200,
        "without a token as before"
    );
    assert!(!gateway.log().join("\n").contains("new-token"));
}

#[test]
fn a_warning_of_the_new_file_is_in_the_log() {
    let upstream = Upstream::dialled(&Dial::at(200));
    let gateway = Gateway::run(orders(&upstream, FIVE));
    let spare = format!(
        "  spare: {{ url: {}, breaker: {{}} }}\nroutes:",
        upstream.url()
    );
    reload(
        &gateway,
        &orders(&upstream, FIVE).replace("routes:", &spare),
    );
    let line = gateway.log_line(|line| {
        let message = line["message"].as_str().unwrap_or_default();
        message.contains("warning: no route leads to the upstream `spare`")
    });
    assert_eq!(line["level"], "WARN");
}

#[test]
fn many_signals_at_once_are_one_reload_or_a_few() {
    let gateway = Gateway::run(orders_at("http://127.0.0.1:1", FIVE));
    for _ in 0..50 {
        gateway.sighup();
    }
    gateway.rewrite(&orders_at("http://127.0.0.1:1", FIVE).replace("60s", "50s"));
    gateway.sighup();
    eventually("the last word holds", || {
        let plan = gateway.admin_get("/api/v1/plan").json();
        plan["upstreams"]["orders"]["breaker"]["cooldown"] == "50s"
    });
    assert!(gateway.is_running());
}
