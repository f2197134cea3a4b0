//! Several gateways and one real Valkey: what one of them finds out, all of them know.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::support::{
    Client, Dial, Gate, Gateway, Program, Setup, Upstream, eventually, orders, until,
};
use fusebox_store::testing::Server;
use serde_json::{Value, json};

/// Opens at the first failure, for a minute, at all gateways.
const VERDICT: &str = "{ trip: { consecutive_failures: 1 }, cooldown: 60s, share: verdict }";

/// Gateways that share a store, before one upstream that answers what the dial says.
struct Fleet {
    nodes: Vec<Gateway>,
    status: Dial,
    upstream: Upstream,
    server: Server,
}

fn setup(upstream: &Upstream, server: &Server, breaker: &str, node: usize) -> Setup {
    let file = orders(upstream, breaker);
    Setup::new(format!("{file}fleet: {{ node: n{node} }}\n"))
        .workers(1)
        .arg("--store")
        .arg(server.url())
}

impl Fleet {
    #[track_caller]
    fn start(count: usize, breaker: &str) -> Fleet {
        let status = Dial::at(200);
        let fleet = Fleet::before(Upstream::dialled(&status), count, breaker);
        Fleet { status, ..fleet }
    }

    #[track_caller]
    fn before(upstream: Upstream, count: usize, breaker: &str) -> Fleet {
        let server = Server::start();
        let start = |node| setup(&upstream, &server, breaker, node).start();
        let fleet = Fleet {
            nodes: (0..count).map(start).collect(),
            status: Dial::at(200),
            upstream,
            server,
        };
        fleet.all_reach_the_store();
        fleet
    }

    /// Waits until every node has asked the store for the breaker and got an answer.
    #[track_caller]
    fn all_reach_the_store(&self) {
        for node in &self.nodes {
            eventually("the node reads the fleet's records", || {
                node.metric("fusebox_store_up") == Some(1.0)
                    && node.metric("fusebox_fleet_breakers") == Some(1.0)
                    && node.metric("fusebox_fleet_reads_total") > Some(0.0)
            });
        }
    }

    #[track_caller]
    fn all_are(&self, state: &str) {
        for (number, node) in self.nodes.iter().enumerate() {
            eventually(&format!("node {number} is {state}"), || {
                node.state("orders") == state
            });
        }
    }

    #[track_caller]
    fn call(&self, node: usize) -> u16 {
        self.nodes[node].get("/a").status
    }
}

fn record(node: &Gateway) -> Value {
    node.breaker("orders")["fleet"]["record"].clone()
}

/// `fusebox breakers` with arguments, against a gateway.
#[track_caller]
fn breakers(gateway: &Gateway, args: &[&str]) -> String {
    let admin = format!("http://{}", gateway.admin_addr());
    let mut all = vec!["breakers"];
    all.extend(args);
    all.extend(["--admin", &admin]);
    let ended = Program::new().env("USER", "ann").run(all);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    ended.stdout
}

#[test]
fn a_trip_at_one_gateway_opens_the_others_and_each_says_whose_it_was() {
    let fleet = Fleet::start(3, VERDICT);
    fleet.status.set(500);
    assert_eq!(fleet.call(1), 500);
    fleet.all_are("open");
    assert_eq!((fleet.call(0), fleet.call(2)), (503, 503));
    assert_eq!(fleet.upstream.calls(), 1);
    for node in &fleet.nodes {
        let breaker = node.breaker("orders");
        let shared = &breaker["fleet"];
        assert_eq!(shared["share"], "verdict");
        assert_eq!(shared["store"], "reachable");
        assert_eq!(shared["alone"], false);
        eventually("the node has seen the record", || {
            record(node)["state"] == "open"
        });
        let record = record(node);
        assert_eq!(record["by"], "n1", "{record}");
        assert_eq!(record["attempts"], 1, "{record}");
        assert!(record["term"].as_u64() > Some(0), "{record}");
        assert!(record["until"].is_string() && record["lease"].is_null());
    }
    let told = fleet.nodes[0].breaker("orders");
    assert_eq!(told["reason_token"], "fleet", "{told}");
    let shown = breakers(&fleet.nodes[0], &["show", "orders"]);
    assert!(
        shown.contains("verdict as node n0, store reachable"),
        "{shown}"
    );
    assert!(shown.contains("by n1:"), "{shown}");
}

#[test]
fn a_quorum_opens_all_and_one_bad_node_opens_itself_alone() {
    let breaker = "{ trip: { consecutive_failures: 1 }, cooldown: 60s, share: { quorum: 2 } }";
    let fleet = Fleet::start(3, breaker);
    fleet.status.set(500);
    assert_eq!(fleet.call(0), 500);
    for node in &fleet.nodes {
        eventually("the vote is known", || {
            record(node)["votes"]
                .as_array()
                .is_some_and(|votes| votes.len() == 1)
        });
    }
    let states: Vec<_> = fleet
        .nodes
        .iter()
        .map(|node| node.state("orders"))
        .collect();
    assert_eq!(states, ["open", "closed", "closed"]);
    assert_eq!(fleet.call(1), 500);
    fleet.all_are("open");
}

#[test]
fn failures_at_all_gateways_trip_at_exactly_the_threshold_together() {
    let breaker = "{ trip: { consecutive_failures: 7 }, cooldown: 60s, share: counts }";
    let fleet = Fleet::start(3, breaker);
    let counted = |node: &Gateway| record(node)["counts"][0]["observed"].as_u64();
    let all_count = |failures| {
        for node in &fleet.nodes {
            eventually(&format!("{failures} failures are counted"), || {
                counted(node) == Some(failures)
            });
        }
    };
    fleet.status.set(500);
    for call in 0..4 {
        assert_eq!(fleet.call(call % 3), 500);
    }
    all_count(4);
    // A success at any node ends the row of all.
    fleet.status.set(200);
    assert_eq!(fleet.call(2), 200);
    all_count(0);
    fleet.status.set(500);
    for call in 0..6 {
        assert_eq!(fleet.call(call % 3), 500);
    }
    all_count(6);
    for node in &fleet.nodes {
        assert_eq!(node.state("orders"), "closed");
    }
    assert_eq!(fleet.call(0), 500);
    fleet.all_are("open");
    assert_eq!(fleet.upstream.calls(), 4 + 1 + 7);
}

#[test]
fn fifty_callers_at_each_of_five_gateways_trip_once_and_overshoot_by_calls_in_flight_alone() {
    const CALLERS: usize = 50;
    const THRESHOLD: usize = 600;
    let upstream = Upstream::start(|call| {
        // Slower than a batch, so that what comes after the threshold was in flight at it.
        std::thread::sleep(Duration::from_millis(40));
        call.respond(500, "no");
    });
    let breaker = format!(
        "{{ trip: {{ consecutive_failures: {THRESHOLD} }}, cooldown: 60s, share: counts }}"
    );
    let fleet = Fleet::before(upstream, 5, &breaker);
    std::thread::scope(|scope| {
        for node in &fleet.nodes {
            for _ in 0..CALLERS {
                scope.spawn(|| {
                    let mut client = node.client();
                    while client.get("/a").status == 500 {}
                });
            }
        }
    });
    fleet.all_are("open");
    let calls = fleet.upstream.calls();
    let in_flight = 5 * CALLERS;
    assert!(calls >= THRESHOLD, "{calls}");
    // One call of each caller at the threshold, one more of each while the word is under way.
    assert!(calls <= THRESHOLD + 2 * in_flight, "{calls}");
    let trips: f64 = fleet.nodes.iter().filter_map(trips).sum();
    assert!(trips >= 5.0, "{trips}");
}

fn trips(node: &Gateway) -> Option<f64> {
    let text = node.admin_get("/metrics").text();
    let lines = text.lines().filter(|line| {
        line.starts_with(
            "fusebox_breaker_transitions_total{breaker=\"orders\",from=\"closed\",to=\"open\"",
        )
    });
    lines
        .map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum()
}

/// Half-open at all nodes as soon as the fleet says so; one probe that may take a second.
const PROBING: &str = "{ trip: { consecutive_failures: 1 }, cooldown: 300ms, share: verdict, \
                       half_open: { probes: 1, probe_timeout: 1s } }";

/// Callers at every node until they are told to stop.
fn besiege<T>(fleet: &Fleet, meanwhile: impl FnOnce() -> T) -> T {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for node in &fleet.nodes {
            for _ in 0..4 {
                let stop = &stop;
                let addr = node.addr();
                scope.spawn(move || {
                    while !stop.load(Ordering::SeqCst) {
                        // A gateway that is stopped does not answer; it does when it goes on.
                        let mut client = Client::to(addr);
                        client.send("GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
                        let _ = client.try_response_to("GET");
                    }
                });
            }
        }
        let seen = meanwhile();
        stop.store(true, Ordering::SeqCst);
        seen
    })
}

#[test]
fn five_gateways_under_load_send_one_probe_at_a_time_and_close_together() {
    let gate = Gate::default();
    let (held, healthy) = (gate.clone(), Dial::at(0));
    let status = healthy.clone();
    let upstream = Upstream::start(move |call| match status.get() {
        0 => call.respond(500, "down"),
        1 => {
            held.pass();
            call.respond(200, "up");
        }
        _ => call.respond(200, "up"),
    });
    let fleet = Fleet::before(upstream, 5, PROBING);
    assert_eq!(fleet.call(0), 500);
    fleet.all_are("open");
    healthy.set(1);
    let before = fleet.upstream.calls();
    besiege(&fleet, || {
        eventually("a probe is at the upstream", || gate.waiting() == 1);
        // It hangs; nobody else sends another.
        for _ in 0..20 {
            assert!(fleet.upstream.in_flight() <= 1);
            fleet.nodes[0].state("orders");
        }
        healthy.set(2);
        gate.open();
        fleet.all_are("closed");
    });
    assert!(fleet.upstream.calls() > before);
}

/// The probes that reached an upstream.
#[derive(Clone, Default)]
struct Probes(Arc<Mutex<Vec<Probe>>>);

/// When a probe began, and when it ended, if it has.
#[derive(Clone, Copy)]
struct Probe {
    began: Instant,
    ended: Option<Instant>,
}

impl Probes {
    fn begin(&self) -> usize {
        let mut all = self.0.lock().unwrap();
        all.push(Probe {
            began: Instant::now(),
            ended: None,
        });
        all.len() - 1
    }

    fn end(&self, probe: usize) {
        self.0.lock().unwrap()[probe].ended = Some(Instant::now());
    }

    fn count(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    /// That none began before the one before it had ended, or had to, by its deadline.
    #[track_caller]
    fn came_one_at_a_time(&self, deadline: Duration) {
        let all = self.0.lock().unwrap();
        for pair in all.windows(2) {
            let (probe, next) = (pair[0], pair[1].began);
            let due = probe.began + deadline;
            let over = probe.ended.map_or(due, |ended| ended.min(due));
            // What a scheduler may take between an end and its note.
            assert!(
                next + Duration::from_millis(50) >= over,
                "{:?}",
                over - next
            );
        }
    }
}

#[test]
fn a_leader_that_is_stopped_is_followed_by_another_and_probes_come_one_at_a_time() {
    // 0: healthy, 1: hangs, 2: down.
    let health = Dial::at(0);
    let probes = Probes::default();
    let (status, seen) = (health.clone(), probes.clone());
    let upstream = Upstream::start(move |call| match status.get() {
        0 => call.respond(200, "up"),
        1 => {
            let probe = seen.begin();
            let socket = call.wire().socket().try_clone().unwrap();
            socket.set_nonblocking(true).unwrap();
            // Until the gateway gives up and closes the connection.
            while status.get() == 1 && !matches!(socket.peek(&mut [0]), Ok(0)) {
                std::thread::sleep(Duration::from_millis(1));
            }
            seen.end(probe);
            call.wire().close();
        }
        _ => call.respond(500, "down"),
    });
    let fleet = Fleet::before(upstream, 5, PROBING);
    health.set(2);
    assert_eq!(fleet.call(0), 500);
    fleet.all_are("open");
    health.set(1);
    besiege(&fleet, || {
        eventually("a probe hangs", || probes.count() >= 1);
        let leader_seen_by = |node: usize| {
            let record = record(&fleet.nodes[node]);
            let name = record["lease"]["node"]
                .as_str()?
                .strip_prefix('n')?
                .to_owned();
            name.parse::<usize>().ok()
        };
        let leader = until("somebody leads", || leader_seen_by(0));
        fleet.nodes[leader].signal("STOP");
        let other = (leader + 1) % 5;
        let before = probes.count();
        eventually("another node leads and probes", || {
            let leads = leader_seen_by(other);
            probes.count() > before && leads.is_some_and(|node| node != leader)
        });
        health.set(0);
        for node in (0..5).filter(|node| *node != leader) {
            eventually("the others close", || {
                fleet.nodes[node].state("orders") == "closed"
            });
        }
        fleet.nodes[leader].signal("CONT");
        fleet.all_are("closed");
    });
    probes.came_one_at_a_time(Duration::from_secs(1));
}

#[test]
fn a_gateway_starts_while_the_store_is_down_says_so_and_joins_when_it_is_up() {
    let mut server = Server::start();
    server.kill();
    let status = Dial::at(500);
    let upstream = Upstream::dialled(&status);
    let node = setup(&upstream, &server, VERDICT, 0).start();
    node.log_line(|line| {
        line["message"]
            .as_str()
            .is_some_and(|text| text.contains("store is away"))
    });
    assert_eq!(node.get("/a").status, 500);
    assert_eq!(node.get("/a").status, 503);
    let ready = node.admin_get("/readyz?verbose");
    assert_eq!(ready.status, 200);
    assert!(ready.text().contains("decides alone"), "{}", ready.text());
    let breaker = node.breaker("orders");
    assert_eq!(breaker["fleet"]["store"], "away");
    assert_eq!(breaker["fleet"]["alone"], true);
    assert_eq!(node.metric("fusebox_store_up"), Some(0.0));
    assert_eq!(node.metric("fusebox_store_outages_total"), Some(1.0));
    server.restart();
    eventually("its trip is the fleet's", || {
        record(&node)["state"] == "open"
    });
    assert_eq!(node.metric("fusebox_store_up"), Some(1.0));
    let other = setup(&upstream, &server, VERDICT, 1).start();
    eventually("who joins later knows", || other.state("orders") == "open");
}

#[test]
fn while_the_store_is_away_no_call_fails_and_on_its_return_all_agree_within_a_second() {
    let mut fleet = Fleet::start(3, VERDICT);
    for way in ["killed", "paused"] {
        match way {
            "killed" => fleet.server.kill(),
            _ => fleet.server.pause(),
        }
        for node in &fleet.nodes {
            eventually(&format!("the store is seen as away, {way}"), || {
                node.metric("fusebox_store_up") == Some(0.0)
            });
        }
        for node in 0..3 {
            assert_eq!(fleet.call(node), 200);
        }
        fleet.status.set(500);
        assert_eq!(fleet.call(0), 500);
        assert_eq!(fleet.call(0), 503);
        assert_eq!(fleet.nodes[1].state("orders"), "closed");
        fleet.status.set(200);
        assert_eq!(fleet.call(1), 200);
        match way {
            "killed" => fleet.server.restart(),
            _ => fleet.server.resume(),
        }
        fleet.all_are("open");
        for node in &fleet.nodes {
            node.log_line(|line| line["message"] == "the fleet's store is back");
        }
        breakers(&fleet.nodes[2], &["reset", "orders", "--fleet"]);
        fleet.all_are("closed");
    }
}

#[test]
fn an_operators_word_over_the_fleet_reaches_all_and_one_to_a_node_that_node() {
    let fleet = Fleet::start(3, VERDICT);
    breakers(&fleet.nodes[0], &["open", "orders"]);
    assert_eq!((fleet.call(0), fleet.call(1)), (503, 200));
    breakers(&fleet.nodes[0], &["release", "orders"]);
    let held = breakers(
        &fleet.nodes[0],
        &[
            "open",
            "orders",
            "--fleet",
            "--for",
            "10m",
            "--reason",
            "moving the database",
        ],
    );
    assert!(held.contains("held open until"), "{held}");
    for node in &fleet.nodes {
        eventually("it is held", || {
            node.breaker("orders")["hold"]["kind"] == "open"
        });
        let hold = node.breaker("orders")["hold"].clone();
        assert_eq!(
            (&hold["by"], &hold["reason"]),
            (&json!("ann"), &json!("moving the database"))
        );
        assert_eq!(node.get("/a").status, 503);
    }
    breakers(&fleet.nodes[1], &["release", "orders", "--fleet"]);
    for node in &fleet.nodes {
        eventually("it is released", || node.get("/a").status == 200);
    }
    fleet.server.pause();
    let body = json!({ "scope": "fleet" });
    let refused = fleet.nodes[0].admin_post("/api/v1/breakers/orders/reset", &body);
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert!(
        refused.text().contains("did not accept it"),
        "{}",
        refused.text()
    );
    fleet.server.resume();
}

#[test]
fn a_reload_that_changes_what_is_shared_does_it_and_says_so() {
    let alone = "{ trip: { consecutive_failures: 1 }, cooldown: 60s }";
    let fleet = Fleet::start(2, VERDICT);
    let reload = |breaker: &str, said: &str| {
        for (number, node) in fleet.nodes.iter().enumerate() {
            let file = orders(&fleet.upstream, breaker);
            node.rewrite(&format!("{file}fleet: {{ node: n{number} }}\n"));
            node.sighup();
            node.log_line(|line| line["message"] == said);
        }
    };
    reload(
        alone,
        "breakers of orders: shared as `none`, were `verdict`",
    );
    fleet.status.set(500);
    assert_eq!((fleet.call(0), fleet.call(0)), (500, 503));
    for node in &fleet.nodes {
        assert!(node.breaker("orders")["fleet"].is_null());
        eventually("nothing is shared", || {
            node.metric("fusebox_fleet_breakers") == Some(0.0)
        });
    }
    assert_eq!(fleet.nodes[1].state("orders"), "closed");
    reload(
        VERDICT,
        "breakers of orders: shared as `verdict`, were `none`",
    );
    fleet.all_are("open");
    let two = "{ trip: { consecutive_failures: 1 }, cooldown: 60s, share: { quorum: 2 } }";
    reload(
        two,
        "breakers of orders: shared as `quorum: 2`, were `verdict`",
    );
    breakers(&fleet.nodes[0], &["reset", "orders", "--fleet"]);
    fleet.all_are("closed");
    assert_eq!(fleet.call(0), 500);
    eventually("its vote is known", || {
        record(&fleet.nodes[1])["votes"]
            .as_array()
            .is_some_and(|votes| votes.len() == 1)
    });
    assert_eq!(fleet.nodes[1].state("orders"), "closed");
}

#[test]
fn a_node_that_is_told_to_end_tells_the_fleet_what_it_counted_before() {
    let breaker = "{ trip: { consecutive_failures: 3 }, cooldown: 60s, share: counts }";
    let fleet = Fleet::start(2, breaker);
    fleet.status.set(500);
    assert_eq!((fleet.call(0), fleet.call(0)), (500, 500));
    fleet.nodes[0].sigterm();
    assert!(fleet.nodes[0].wait().success());
    eventually("the other hears of both", || {
        record(&fleet.nodes[1])["counts"][0]["observed"] == 2
    });
    assert_eq!(fleet.call(1), 500);
    eventually("the third trips", || {
        fleet.nodes[1].state("orders") == "open"
    });
}

#[test]
fn healthy_traffic_costs_the_store_nothing() {
    let fleet = Fleet::start(2, "{ trip: { consecutive_failures: 5 }, share: counts }");
    let commands = || -> u64 {
        let text = fleet.server.ask("INFO commandstats");
        let calls = text
            .lines()
            .filter_map(|line| line.split_once(":calls=")?.1.split(',').next());
        calls.filter_map(|calls| calls.parse::<u64>().ok()).sum()
    };
    let reads = || {
        let reads = |node: &Gateway| node.metric("fusebox_fleet_reads_total").unwrap_or_default();
        fleet.nodes.iter().map(reads).sum::<f64>()
    };
    // What is asked in so many rounds of reading, with so many calls meanwhile.
    let spent = |calls: usize| {
        let (before, from) = (commands(), reads());
        let mut client = fleet.nodes[0].client();
        let mut done = 0;
        while done < calls || reads() < from + 6.0 {
            if done < calls {
                assert_eq!(client.get("/a").status, 200);
                done += 1;
            }
        }
        (commands() - before) as f64 / (reads() - from)
    };
    let (few, many) = (spent(20), spent(2_000));
    assert!(many < 2.0 * few + 4.0, "{few} commands a read, then {many}");
}

#[test]
fn a_node_without_a_name_has_one_that_a_restart_keeps() {
    let server = Server::start();
    let upstream = Upstream::dialled(&Dial::at(200));
    let file = orders(&upstream, VERDICT);
    let mut node = Setup::new(file).arg("--store").arg(server.url()).start();
    let name = |node: &Gateway| node.breaker("orders")["fleet"]["node"].clone();
    let before = name(&node);
    assert!(
        before.as_str().is_some_and(|name| name.len() > 7),
        "{before}"
    );
    node.restart();
    assert_eq!(name(&node), before);
}

#[test]
fn breaker_records_stay_in_the_data_directory_also_beside_a_server() {
    let mut fleet = Fleet::start(1, VERDICT);
    fleet.status.set(500);
    assert_eq!(fleet.call(0), 500);
    eventually("it is written down", || {
        fleet.nodes[0].breaker("orders")["persisted"] == true
    });
    fleet.server.kill();
    fleet.nodes[0].restart();
    assert_eq!(fleet.nodes[0].state("orders"), "open");
}

#[test]
fn what_somebody_else_writes_in_a_records_place_is_said_and_shuts_nothing() {
    let breaker = "{ trip: { consecutive_failures: 1 }, cooldown: 1s, share: verdict }";
    let fleet = Fleet::start(2, breaker);
    let key = "fusebox:v1:records:{breaker:1:orders}";
    let open = |term: &str, until: &str| {
        format!(
            r#"{{"v":1,"e":0,"t":{term},"since":1,"r":9,"at":1,"s":"open","u":{until},"a":1,"why":"","by":"x"}}"#
        )
    };
    let far = "9999999999999";
    let written: Vec<String> = [
        "poison".to_owned(),
        open("9007199254740993", "1"),
        open("-1", far),
        open("1e400", far),
        open("7", far),
        r#"{"v":1,"t":7}"#.to_owned(),
    ]
    .iter()
    .map(|text| format!("SET {key} {far}:{text}"))
    .chain([
        format!("SET {key} poison"),
        format!("EVAL redis.call('DEL',KEYS[1])redis.call('LPUSH',KEYS[1],'x') 1 {key}"),
        format!("EVAL redis.call('DEL',KEYS[1])redis.call('SETBIT',KEYS[1],80000000,1) 1 {key}"),
    ])
    .collect();
    let mut epoch = Some(0);
    for (number, poison) in written.iter().enumerate() {
        fleet.server.ask(poison);
        eventually(&format!("the record is made anew after {poison}"), || {
            let record = record(&fleet.nodes[1]);
            record["epoch"].as_u64() > epoch && record["state"] == "closed"
        });
        epoch = record(&fleet.nodes[1])["epoch"].as_u64();
        assert!(
            epoch < Some(50),
            "{poison}: what is not believed is not counted"
        );
        assert_eq!((fleet.call(0), fleet.call(1)), (200, 200), "{poison}");
        let up = fleet.nodes[0].metric("fusebox_store_up");
        assert_eq!(up, Some(1.0), "{poison}");
        // What one finds out, all know.
        fleet.status.set(500);
        assert_eq!(fleet.call(number % 2), 500, "{poison}");
        fleet.all_are("open");
        fleet.status.set(200);
        eventually("a probe closes all", || {
            fleet.call(0) == 200 && fleet.call(1) == 200
        });
        fleet.all_are("closed");
    }
    let said = |node: &Gateway| {
        let log = node.log();
        log.iter()
            .filter(|line| line.contains("not to be believed"))
            .count()
    };
    let said: usize = fleet.nodes.iter().map(said).sum();
    assert!((1..=4).contains(&said), "once a minute each: {said}");
}

#[test]
fn two_gateways_of_one_name_are_told_of_each_other() {
    let server = Server::start();
    let upstream = Upstream::dialled(&Dial::at(200));
    let mut one = setup(&upstream, &server, VERDICT, 1).start();
    one.restart();
    let other = setup(&upstream, &server, VERDICT, 1).start();
    for node in [&one, &other] {
        node.log_line(|line| line.to_string().contains("has this one's name"));
        let shared = &node.breaker("orders")["fleet"];
        assert_eq!(shared["others_of_this_name"], 1, "{shared}");
        let ready = node.admin_get("/readyz?verbose").text();
        assert!(ready.contains("the same name"), "{ready}");
    }
}
