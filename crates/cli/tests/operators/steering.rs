//! `fusebox breakers`: a running gateway, seen and steered from a terminal.

use crate::support::{Dial, Finished, Gateway, Program, Upstream, eventually, orders};
use serde_json::{Value, json};

const TOKEN: &str = "s3cret-admin-token";

/// A gateway whose upstream answers what the dial says.
fn gateway(breaker: &str) -> (Gateway, Upstream, Dial) {
    let status = Dial::at(200);
    let upstream = Upstream::dialled(&status);
    let gateway = Gateway::run(orders(&upstream, breaker));
    (gateway, upstream, status)
}

/// `fusebox breakers` with arguments, against a gateway.
#[track_caller]
fn breakers(gateway: &Gateway, args: &[&str]) -> Finished {
    let admin = format!("http://{}", gateway.admin_addr());
    let mut all = vec!["breakers"];
    all.extend(args);
    all.extend(["--admin", &admin]);
    Program::new().env("USER", "ann").run(all)
}

#[track_caller]
fn well(ended: &Finished) -> &str {
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(ended.stderr, "");
    &ended.stdout
}

/// What went wrong, in one line.
#[track_caller]
fn badly(ended: &Finished) -> &str {
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert_eq!(ended.stdout, "");
    assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
    ended.stderr.strip_prefix("fusebox: ").unwrap()
}

#[test]
fn ls_shows_a_line_for_each_breaker() {
    let (gateway, _upstream, status) = gateway(
        "{ key: \"{header.x-tenant}\", max_keys: 9, trip: { consecutive_failures: 1 }, cooldown: 60s }",
    );
    let call = |tenant: &str| {
        let lines = format!("X-Tenant: {tenant}\r\n");
        gateway.client().request("GET", "/a", &lines, "").status
    };
    assert_eq!(well(&breakers(&gateway, &["ls"])), "no breakers\n");
    assert_eq!((call("ann"), call("bea")), (200, 200));
    status.set(500);
    assert_eq!(call("bea"), 500);
    for args in [&["ls"][..], &[]] {
        let ended = breakers(&gateway, args);
        let lines: Vec<Vec<_>> = well(&ended)
            .lines()
            .map(|line| line.split_whitespace().collect())
            .collect();
        assert_eq!(lines.len(), 3, "{}", ended.stdout);
        assert_eq!(
            lines[0],
            ["NAME", "STATE", "FOR", "MODE", "TRIES", "AGAIN", "REASON"]
        );
        let words = |at: usize| [lines[at][0], lines[at][1], lines[at][4]];
        assert_eq!(words(1), ["orders/ann", "closed", "enforce"]);
        assert_eq!(words(2), ["orders/bea", "open", "enforce"]);
        assert_eq!((lines[1][5], lines[2][5]), ("-", "in"));
        assert!(
            ended.stdout.contains("1 consecutive failure"),
            "{}",
            ended.stdout
        );
    }
    let listed = breakers(&gateway, &["ls", "--json"]);
    let listed: Value = serde_json::from_str(well(&listed)).unwrap();
    assert_eq!(listed["total"], 2);
}

#[test]
fn show_tells_all_of_one_breaker() {
    let (gateway, upstream, status) =
        gateway("{ trip: { consecutive_failures: 2 }, cooldown: 60s }");
    status.set(500);
    for _ in 0..3 {
        gateway.get("/a");
    }
    let ended = breakers(&gateway, &["show", "orders"]);
    let text = well(&ended);
    assert!(
        text.starts_with("orders is open (generation 1)\n"),
        "{text}"
    );
    for part in [
        "upstream     orders",
        "mode         enforce",
        "attempts     1",
        "failure      2",
        "rejected     1",
        "reason       2 consecutive failures",
        "state        open for ",
        "tries again  in ",
        "consecutive_failures: ",
        "LAST FAILURE",
        "closed -> open",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let table = text
        .lines()
        .skip_while(|line| !line.contains("LAST FAILURE"));
    let rows: Vec<Vec<_>> = table
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(rows.len(), 3, "{text}");
    let addr = upstream.addr().to_string();
    assert!(
        rows[1].contains(&"500") && rows[1].contains(&&*addr),
        "{text}"
    );
    let shown = breakers(&gateway, &["show", "orders", "--json"]);
    let shown: Value = serde_json::from_str(well(&shown)).unwrap();
    assert_eq!(shown["state"], "open");
    assert_eq!(shown["counts"]["failure"], 2);
    breakers(&gateway, &["reset", "orders"]);
    eventually("a second has passed", || {
        let shown = breakers(&gateway, &["show", "orders"]);
        well(&shown)
            .lines()
            .any(|line| line.contains("closed for ") && line.contains(" s, since 20"))
    });
    let shown = breakers(&gateway, &["show", "orders"]);
    let text = well(&shown);
    assert!(
        text.contains("consecutive_failures: 0 of 2 (0 calls)"),
        "{text}"
    );
}

#[test]
fn open_holds_and_release_lets_go() {
    let (gateway, upstream, _) = gateway("{}");
    let held = breakers(
        &gateway,
        &[
            "open",
            "orders",
            "--for",
            "10m",
            "--reason",
            "database moves",
        ],
    );
    let text = well(&held);
    assert!(
        text.starts_with("orders is closed, held open until 20"),
        "{text}"
    );
    assert_eq!(gateway.get("/a").status, 503);
    assert_eq!(upstream.calls(), 0);
    let hold = gateway.breaker("orders")["hold"].clone();
    assert_eq!(hold["kind"], "open");
    assert_eq!(hold["reason"], "database moves");
    assert_eq!(hold["by"], "ann", "who was at the keyboard");
    assert!(well(&breakers(&gateway, &["ls"])).contains("held open"));
    let shown = breakers(&gateway, &["show", "orders"]);
    assert!(well(&shown).contains("database moves"), "{}", shown.stdout);
    let released = breakers(&gateway, &["release", "orders"]);
    assert!(well(&released).starts_with("orders is half_open (generation "));
    assert_eq!(gateway.get("/a").status, 200);
}

#[test]
fn close_holds_until_it_is_released() {
    let (gateway, _upstream, status) =
        gateway("{ trip: { consecutive_failures: 1 }, cooldown: 60s }");
    let held = breakers(&gateway, &["close", "orders"]);
    assert!(
        well(&held).starts_with("orders is closed, held closed until it is released"),
        "{}",
        held.stdout
    );
    status.set(500);
    for _ in 0..3 {
        assert_eq!(gateway.get("/a").status, 500);
    }
}

#[test]
fn reset_begins_anew_and_json_prints_the_breaker() {
    let (gateway, _upstream, status) =
        gateway("{ trip: { consecutive_failures: 1 }, cooldown: 60s }");
    status.set(500);
    assert_eq!(gateway.get("/a").status, 500);
    let reset = breakers(&gateway, &["reset", "orders", "--json"]);
    let reset: Value = serde_json::from_str(well(&reset)).unwrap();
    assert_eq!(
        (&reset["state"], &reset["attempts"]),
        (&json!("closed"), &json!(0))
    );
}

#[test]
fn a_hold_for_a_moment_is_over_soon() {
    let (gateway, _upstream, _) = gateway("{}");
    well(&breakers(&gateway, &["open", "orders", "--for", "1ms"]));
    eventually("the hold is over", || gateway.get("/a").status == 200);
}

#[test]
fn a_name_with_slashes_is_one_breaker() {
    let (gateway, _upstream, _) = gateway("{ key: \"{header.x-tenant}\", max_keys: 9 }");
    let lines = "X-Tenant: a/b \"c\"?#\r\n";
    assert_eq!(gateway.client().request("GET", "/a", lines, "").status, 200);
    let shown = breakers(&gateway, &["show", "orders/a/b \"c\"?#"]);
    assert!(well(&shown).starts_with("orders/a/b \"c\"?# is closed"));
}

#[test]
fn what_is_wrong_is_said_in_one_line() {
    let (gateway, _upstream, _) = gateway("{}");
    let wrong = |args: &[&str], said: &str| {
        let ended = breakers(&gateway, args);
        assert!(badly(&ended).contains(said), "{args:?}: {}", ended.stderr);
    };
    wrong(
        &["show", "order"],
        "unknown breaker `order`; known breakers: orders",
    );
    wrong(&["open", "order"], "unknown breaker");
    wrong(&["open", "orders", "--for", "soon"], "expected a duration");
    wrong(&["release", "orders", "--for", "1m"], "open and close");
    wrong(
        &["open", "orders", "--fleet"],
        "this gateway belongs to no fleet",
    );
    wrong(
        &["open", "orders", "--reason", &"x".repeat(300)],
        "at most 256",
    );
    assert_eq!(gateway.breaker("orders")["hold"], Value::Null);
    assert_eq!(breakers(&gateway, &["explode", "orders"]).code, Some(2));
    assert_eq!(breakers(&gateway, &["show"]).code, Some(2));
}

#[test]
fn a_gateway_that_is_not_there_is_named() {
    let addr = {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        socket.local_addr().unwrap().to_string()
    };
    for admin in [addr.clone(), format!("http://{addr}")] {
        let ended = Program::new().run(["breakers", "ls", "--admin", &admin]);
        let said = badly(&ended);
        assert!(
            said.contains(&format!("no gateway answers at {addr}")),
            "{said}"
        );
    }
    for (admin, said) in [
        ("https://127.0.0.1:1", "http://"),
        ("not a url", "not a URL"),
    ] {
        let ended = Program::new().run(["breakers", "ls", "--admin", admin]);
        assert!(badly(&ended).contains(said), "{}", ended.stderr);
    }
}

#[test]
fn something_that_is_no_gateway_is_told_apart() {
    let upstream = Upstream::dialled(&Dial::at(200));
    let addr = upstream.addr().to_string();
    let ended = Program::new().run(["breakers", "ls", "--admin", &addr]);
    let said = badly(&ended);
    assert!(said.contains("answered with invalid JSON"), "{said}");
}

#[test]
fn the_gateway_may_be_named_by_a_variable() {
    let (gateway, _upstream, _) = gateway("{}");
    let ended = Program::new()
        .env(
            "FUSEBOX_ADMIN_URL",
            &format!("http://{}", gateway.admin_addr()),
        )
        .run(["breakers"]);
    assert!(well(&ended).contains("orders"));
}

#[test]
fn a_token_comes_from_a_file() {
    let gateway = Gateway::run(format!(
        "listen: 127.0.0.1:0
admin: {{ token: {TOKEN} }}
upstreams: {{ orders: {{ url: http://127.0.0.1:1, breaker: {{}} }} }}
routes: [{{ path: /orders, upstream: orders }}]
"
    ));
    let program = Program::new()
        .file("token", &format!("{TOKEN}\n"))
        .file("wrong", "guess\n")
        .file("broken", "two\nlines\n");
    let admin = gateway.admin_addr().to_string();
    let with = |file: &str| {
        program.run([
            "breakers",
            "open",
            "orders",
            "--admin",
            &admin,
            "--token-file",
            file,
        ])
    };
    let without = program.run(["breakers", "ls", "--admin", &admin]);
    assert!(
        badly(&without).contains("--token-file"),
        "{}",
        without.stderr
    );
    assert!(badly(&with("wrong")).contains("is not the gateway's admin token"));
    assert!(badly(&with("nowhere")).contains("cannot read the token in nowhere"));
    let broken = with("broken");
    assert!(
        badly(&broken).contains("broken: invalid token"),
        "{broken:?}"
    );
    assert!(!broken.stderr.contains("two"), "a secret is not shown");
    assert!(well(&with("token")).contains("held open"));
    let by_variable = Program::new()
        .file("token", TOKEN)
        .env("FUSEBOX_TOKEN_FILE", "token")
        .run(["breakers", "--admin", &admin]);
    assert!(well(&by_variable).contains("held open"));
}
