//! `http.json`: raw bytes to the real gateway, before an upstream that records strictly.
//!
//! The bytes are sent and judged by `conformance/http_replay.py`. The cases are dealt out to a few
//! gateways, each with an upstream of its own, since most of their time is waiting.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use rcgen::{CertifiedKey, KeyPair};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_rustls::TlsConnector;

use crate::Report;
use crate::support::tls::{Files, certificate, trusting};
use crate::support::{Gateway, Setup};

const TOKEN: &str = "test-token";

/// A part of the cases, by class.
struct Shard {
    /// What it takes.
    classes: fn(&str) -> bool,
    /// Of those every so many-th, from which one on.
    every: (usize, usize),
    /// How many failures in a row open the breaker.
    trip: u32,
    /// Whether only clients are at fault, so that the breaker must not count a single failure.
    clients_fault: bool,
    /// Whether the bytes go over TLS.
    over_tls: bool,
}

const fn shard(classes: fn(&str) -> bool) -> Shard {
    Shard {
        classes,
        every: (1, 0),
        trip: 5,
        clients_fault: true,
        over_tls: false,
    }
}

const fn upstreams_fault(every: (usize, usize)) -> Shard {
    Shard {
        classes: |class| class == "upstream",
        every,
        // Every case is a failure, and the next one wants a closed breaker.
        trip: 1_000_000,
        clients_fault: false,
        over_tls: false,
    }
}

/// A part of what comes from clients once more, over TLS.
const OVER_TLS: Shard = Shard {
    every: (3, 1),
    over_tls: true,
    ..shard(|class| !matches!(class, "attribution" | "slow" | "upstream"))
};

const SHARDS: [Shard; 5] = [
    OVER_TLS,
    shard(|class| matches!(class, "attribution" | "slow")),
    shard(|class| !matches!(class, "attribution" | "slow" | "upstream")),
    upstreams_fault((2, 0)),
    upstreams_fault((2, 1)),
];

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
    let reports: Vec<Result<Vec<Value>, String>> = std::thread::scope(|scope| {
        let running: Vec<_> = SHARDS
            .iter()
            .map(|shard| scope.spawn(move || run_shard(shard, cases)))
            .collect();
        let ended = running.into_iter().map(|shard| {
            shard
                .join()
                .unwrap_or_else(|_| Err("the gateway did not serve".into()))
        });
        ended.collect()
    });
    let mut report = Report::default();
    for (shard, results) in SHARDS.iter().zip(reports) {
        let over = if shard.over_tls { " (over TLS)" } else { "" };
        for result in results? {
            let name = text_of(&result, "name");
            let id = ids.get(name).copied().unwrap_or_default();
            match text_of(&result, "verdict") {
                "FAIL" => report.failed.push((
                    format!("{id} {name}{over}"),
                    format!("{} {}", text_of(&result, "why"), result["info"]),
                )),
                _ => report.passed += 1,
            }
        }
    }
    report.failed.sort();
    let run = report.passed + report.failed.len();
    if run < cases.len() {
        report.failed.push((
            "?".into(),
            format!("{} cases were not run", cases.len() - run),
        ));
    }
    Ok(report)
}

fn text_of<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

fn run_shard(shard: &Shard, cases: &[Value]) -> Result<Vec<Value>, String> {
    let (every, first) = shard.every;
    let mine: Vec<&Value> = cases
        .iter()
        .filter(|case| (shard.classes)(text_of(case, "cls")))
        .skip(first)
        .step_by(every)
        .collect();
    if mine.is_empty() {
        return Ok(Vec::new());
    }
    let port = Port::reserve();
    let own = certificate();
    let files = Files::of(&own);
    let plain = configuration(port.number(), shard.trip);
    let listener = format!(
        "listeners: [{{ addr: \"127.0.0.1:0\", tls: {} }}]",
        files.yaml()
    );
    let configuration = match shard.over_tls {
        true => plain.replacen("listen: 127.0.0.1:0", &listener, 1),
        false => plain,
    };
    let gateway = Setup::new(configuration).workers(2).start();
    let addr = match shard.over_tls {
        true => relay(gateway.addr(), &own),
        false => gateway.addr(),
    };
    let held = admin(&gateway, "POST", "/api/v1/breakers/held/open");
    assert_eq!(held["hold"]["kind"], "open", "the breaker of /open is held");
    let mut results = replay(&gateway, addr, port.number(), &mine)?;
    if shard.clients_fault {
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
fn configuration(upstream: u16, trip: u32) -> String {
    format!(
        "listen: 127.0.0.1:0
admin: {{ token: {TOKEN} }}
upstreams:
  recorder:
    url: http://127.0.0.1:{upstream}
    timeout: {{ connect: 1s, request: 3s, idle: 3s }}
    breaker: {{ trip: {{ consecutive_failures: {trip} }} }}
  held:
    url: http://127.0.0.1:{upstream}
    breaker: {{ trip: {{ consecutive_failures: 5 }} }}
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

/// An address whose bytes go to a gateway over TLS, and back; it serves to the end of the process.
fn relay(gateway: SocketAddr, trusted: &CertifiedKey<KeyPair>) -> SocketAddr {
    use tokio::net::{TcpListener, TcpStream};
    let connector = TlsConnector::from(trusting(trusted));
    let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    socket.set_nonblocking(true).expect("a socket's option");
    let addr = socket.local_addr().expect("a bound socket has an address");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    std::thread::spawn(move || {
        runtime.block_on(async move {
            let socket = TcpListener::from_std(socket).expect("a socket");
            while let Ok((mut client, _)) = socket.accept().await {
                let connector = connector.clone();
                tokio::spawn(async move {
                    let name = "localhost".try_into().expect("a name");
                    client.set_nodelay(true).ok();
                    let tcp = TcpStream::connect(gateway).await?;
                    tcp.set_nodelay(true)?;
                    let mut secured = connector.connect(name, tcp).await?;
                    tokio::io::copy_bidirectional(&mut client, &mut secured).await
                });
            }
        });
    });
    addr
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
