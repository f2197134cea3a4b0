//! `http.json`: raw bytes to the real gateway, before an upstream that records strictly.
//!
//! The bytes are sent and judged by `conformance/http_replay.py`. Every case runs twice: over plain connections, and over
//! TLS on both sides of the gateway, with the same expectations. The cases are dealt out to several gateways, each with
//! an upstream of its own, since most of their time is waiting.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::Report;
use crate::relay;
use crate::support::tls::{Files, certificate};
use crate::support::{Gateway, Setup};

const TOKEN: &str = "test-token";

/// A group of cases that runs on gateways of its own.
struct Group {
    /// The classes of its cases.
    takes: fn(&str) -> bool,
    /// The number of gateways that its cases are dealt out to.
    gateways: usize,
    /// The number of failures in a row that opens the breaker.
    trip: u32,
    /// True if only clients are at fault, so that the breaker must not count a single failure.
    clients_fault: bool,
}

/// The cases, by who is at fault and by how long they take. Those of the admin API go to its own address, which speaks
/// no TLS, so they are run once.
const GROUPS: [Group; 5] = [
    Group {
        takes: |class| class == "slow",
        gateways: 2,
        trip: 5,
        clients_fault: true,
    },
    Group {
        takes: |class| class == "attribution",
        gateways: 2,
        trip: 5,
        clients_fault: true,
    },
    Group {
        takes: |class| class == "upstream",
        gateways: 3,
        // Every case is a failure, and the next one wants a closed breaker.
        trip: 1_000_000,
        clients_fault: false,
    },
    Group {
        takes: |class| class == ADMIN,
        gateways: 1,
        trip: 5,
        clients_fault: true,
    },
    Group {
        takes: |class| !matches!(class, "slow" | "attribution" | "upstream" | ADMIN),
        gateways: 4,
        trip: 5,
        clients_fault: true,
    },
];

/// The class of the cases for the admin API.
const ADMIN: &str = "admin";

/// The cases of one gateway.
struct Shard<'a> {
    group: &'a Group,
    cases: Vec<&'a Value>,
    over_tls: bool,
}

/// Deals out the cases of every group, plain and over TLS.
fn shards(cases: &[Value]) -> Vec<Shard<'_>> {
    let mut shards = Vec::new();
    for group in &GROUPS {
        let mine = cases
            .iter()
            .filter(|case| (group.takes)(text_of(case, "cls")));
        let mine: Vec<&Value> = mine.collect();
        for over_tls in [false, true] {
            for first in 0..group.gateways {
                let dealt = mine.iter().skip(first).step_by(group.gateways);
                let dealt = dealt.filter(|case| !over_tls || text_of(case, "cls") != ADMIN);
                let cases: Vec<&Value> = dealt.copied().collect();
                if !cases.is_empty() {
                    shards.push(Shard {
                        group,
                        cases,
                        over_tls,
                    });
                }
            }
        }
    }
    shards
}

/// Runs the cases.
///
/// # Errors
/// If they cannot be read, or Python is missing.
pub fn run(file: &Path) -> Result<Report, String> {
    let python = Command::new("python3").arg("--version").output();
    if !python.is_ok_and(|output| output.status.success()) {
        return Err("it needs python3: install it (apt-get install python3)".into());
    }
    let text = std::fs::read(file).map_err(|error| error.to_string())?;
    let read: Value = serde_json::from_slice(&text).map_err(|error| error.to_string())?;
    let cases = read["cases"].as_array().or(read.as_array());
    let cases = cases.ok_or("it has no list of cases")?;
    let ids: HashMap<&str, &str> = cases
        .iter()
        .map(|case| (text_of(case, "name"), text_of(case, "id")))
        .collect();
    let shards = shards(cases);
    let reports: Vec<Result<Vec<Value>, String>> = std::thread::scope(|scope| {
        let running: Vec<_> = shards
            .iter()
            .map(|shard| scope.spawn(move || run_shard(shard)))
            .collect();
        let ended = running.into_iter().map(|shard| {
            shard
                .join()
                .unwrap_or_else(|_| Err("the gateway did not serve".into()))
        });
        ended.collect()
    });
    let mut report = Report::default();
    let mut over_tls = 0;
    for (shard, results) in shards.iter().zip(reports) {
        let results = results?;
        if results.len() < shard.cases.len() {
            let missing = shard.cases.len() - results.len();
            let why = format!("{missing} cases were not run");
            report.failed.push(("?".into(), why));
        }
        let over = if shard.over_tls { " (over TLS)" } else { "" };
        for result in results {
            let name = text_of(&result, "name");
            let id = ids.get(name).copied().unwrap_or_default();
            match text_of(&result, "verdict") {
                "FAIL" => report.failed.push((
                    format!("{id} {name}{over}"),
                    format!("{} {}", text_of(&result, "why"), result["info"]),
                )),
                _ => report.passed += 1,
            }
            over_tls += usize::from(shard.over_tls);
        }
    }
    report.failed.sort();
    let count = cases.len();
    let run = shards.iter().filter(|shard| !shard.over_tls);
    let run: usize = run.map(|shard| shard.cases.len()).sum();
    if run < count {
        let why = format!("{} cases belong to no group", count - run);
        report.failed.push(("?".into(), why));
    }
    let note = format!("{over_tls} of the {count} cases once more, over TLS");
    report.notes.push(note);
    Ok(report)
}

fn text_of<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

fn run_shard(shard: &Shard<'_>) -> Result<Vec<Value>, String> {
    let group = shard.group;
    let port = Port::reserve();
    let recorder = SocketAddr::from(([127, 0, 0, 1], port.number()));
    let own = certificate();
    let files = Files::of(&own);
    let configuration = if shard.over_tls {
        let listener = format!("addr: \"127.0.0.1:0\", tls: {}", files.yaml());
        let upstream = format!(
            "url: https://{}, tls: {{ ca: \"{}\", name: localhost }}",
            relay::to_plain(recorder, &own),
            files.cert().display()
        );
        configuration(&listener, &upstream, group.trip)
    } else {
        let upstream = format!("url: http://{recorder}");
        configuration("addr: \"127.0.0.1:0\"", &upstream, group.trip)
    };
    let gateway = Setup::new(configuration).workers(2).start();
    let addr = match shard.over_tls {
        true => relay::to_tls(gateway.addr(), &own),
        false => gateway.addr(),
    };
    let held = admin(&gateway, "POST", "/api/v1/breakers/held/open");
    assert_eq!(held["hold"]["kind"], "open", "the breaker of /open is held");
    let mut results = replay(&gateway, addr, port.number(), &shard.cases)?;
    if group.clients_fault {
        let breaker = admin(&gateway, "GET", "/api/v1/breakers/recorder");
        let counted = &breaker["counts"]["failure"];
        if *counted != 0 {
            results.push(json!({
                "name": "what clients do wrong is not the upstream's failure",
                "verdict": "FAIL",
                "why": format!("the breaker counted {counted} failures"),
                "info": breaker["counts"],
            }));
        }
    }
    Ok(results)
}

/// Everything goes to the recording upstream, but for what the gateway answers itself.
fn configuration(listener: &str, upstream: &str, trip: u32) -> String {
    format!(
        "listeners: [{{ {listener} }}]
admin: {{ token: {TOKEN} }}
upstreams:
  recorder: {{ {upstream}, timeout: {{ connect: 1s, request: 3s, idle: 3s }}, breaker: {{ trip: {{ consecutive_failures: {trip} }} }} }}
  held: {{ {upstream}, breaker: {{ trip: {{ consecutive_failures: 5 }} }} }}
routes:
  - {{ path: /healthz, respond: {{ status: 200, text: ok }} }}
  - {{ path: /open, upstream: held }}
  - {{ path: \"/open/{{*rest}}\", upstream: held }}
  - {{ path: /, upstream: recorder }}
  - {{ path: \"/{{*rest}}\", upstream: recorder }}
"
    )
}

fn admin(gateway: &Gateway, method: &str, path: &str) -> Value {
    let lines = format!("Authorization: Bearer {TOKEN}\r\n");
    gateway.admin().request(method, path, &lines, "").json()
}

/// Lets the script send the cases and judge what comes.
fn replay(
    gateway: &Gateway,
    addr: SocketAddr,
    upstream: u16,
    cases: &[&Value],
) -> Result<Vec<Value>, String> {
    let dir = TempDir::new().map_err(|error| error.to_string())?;
    let (file, out) = (dir.path().join("cases.json"), dir.path().join("out.json"));
    std::fs::write(&file, json!(cases).to_string()).map_err(|error| error.to_string())?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../conformance/http_replay.py");
    let ended = Command::new("python3")
        .arg(script)
        .args(["--gateway", &addr.to_string()])
        .args(["--upstream-port", &upstream.to_string()])
        .args(["--admin", &gateway.admin_addr().to_string()])
        .args(["--admin-path", "/api/v1/breakers"])
        .args(["--admin-mutate", "/api/v1/breakers/recorder/reset"])
        .args(["--admin-token", TOKEN])
        .args(["--pid", &gateway.pid().to_string()])
        .arg("--cases")
        .arg(&file)
        .arg("--json")
        .arg(&out)
        .output()
        .map_err(|error| error.to_string())?;
    let results = std::fs::read(&out)
        .ok()
        .and_then(|text| serde_json::from_slice(&text).ok());
    results.ok_or_else(|| {
        format!(
            "the script wrote no results: {}",
            String::from_utf8_lossy(&ended.stderr)
        )
    })
}

/// A port that the system gives to nobody else until the script, which is started later, takes it.
struct Port(socket2::Socket);

impl Port {
    fn reserve() -> Port {
        use socket2::{Domain, Socket, Type};
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        // Both sockets must ask for that, and only one of them may listen.
        socket.set_reuse_address(true).expect("a socket's option");
        let any: SocketAddr = "127.0.0.1:0".parse().expect("an address");
        socket.bind(&any.into()).expect("a free port");
        Port(socket)
    }

    fn number(&self) -> u16 {
        let addr = self.0.local_addr().ok().and_then(|addr| addr.as_socket());
        addr.expect("a bound socket has an address").port()
    }
}
