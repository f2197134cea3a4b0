//! The table of calls, row by row: what the upstream is asked, what each breaker hears, what the client gets
//! (docs/calls.md).
//!
//! One gateway has two upstreams for each row, one of them with a ladder of one fixed answer. They share six servers:
//! three that answer 200, three that answer 503; the path says whose request it is.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::support::{Gateway, Response, Upstream};
use serde_json::{Value, json};

const TABLE: &str = include_str!("../../../../conformance/calls.txt");

/// A row of the table, with the upstream that it is tried on.
#[derive(Debug)]
struct Row {
    name: String,
    has_retry: bool,
    endpoints: usize,
    dead: usize,
    is_half_open: bool,
    calls: usize,
    has_ladder: bool,
    /// Hits of the dead, hits of the others, breaker, endpoints that are out, retries, client.
    expected: [String; 6],
}

fn rows() -> Vec<Row> {
    let lines = TABLE.lines().filter(|line| !line.starts_with('#'));
    let lines = lines.skip(1).enumerate();
    let rows = lines.flat_map(|(number, line)| {
        let cells: Vec<_> = line.split('|').map(|it| it.trim().to_owned()).collect();
        assert_eq!(cells.len(), 12, "{line}");
        [false, true].map(|has_ladder| Row {
            name: format!("{}{number:02}", if has_ladder { "ladder" } else { "plain" }),
            has_retry: cells[0] == "on",
            endpoints: cells[1].parse().unwrap(),
            dead: cells[2].parse().unwrap(),
            is_half_open: cells[3] == "half_open",
            calls: cells[4].parse().unwrap(),
            has_ladder,
            expected: [5, 6, 7, 8, 9, if has_ladder { 11 } else { 10 }].map(|at| cells[at].clone()),
        })
    });
    rows.collect()
}

fn server(status: u16, body: &'static str) -> Upstream {
    Upstream::start(move |call| call.respond(status, body))
}

/// The servers behind all rows.
struct Servers {
    dead: Vec<Upstream>,
    alive: Vec<Upstream>,
}

impl Servers {
    fn start() -> Servers {
        Servers {
            dead: (0..3).map(|_| server(503, "dead")).collect(),
            alive: (0..3).map(|_| server(200, "alive")).collect(),
        }
    }

    /// The endpoints of a row, the dead ones first.
    fn of(&self, row: &Row) -> Vec<&Upstream> {
        let dead = self.dead.iter().take(row.dead);
        dead.chain(self.alive.iter().take(row.endpoints - row.dead))
            .collect()
    }
}

fn file(rows: &[Row], servers: &Servers) -> String {
    let mut upstreams = String::new();
    let mut routes = String::new();
    for row in rows {
        let Row {
            name, endpoints, ..
        } = row;
        let urls: Vec<_> = servers
            .of(row)
            .iter()
            .map(|it| format!("{{ url: {} }}", it.url()))
            .collect();
        let urls = urls.join(", ");
        let decides = format!("{{ failure_rate: 50%, over: {endpoints} calls }}");
        write!(
            upstreams,
            "  {name}:
    endpoints: [{urls}]
    breaker: {{ trip: {{ consecutive_failures: 5 }}, cooldown: 1h, half_open: {decides} }}
"
        )
        .unwrap();
        if *endpoints > 1 {
            upstreams += "    ejection: { consecutive_failures: 5, for: { base: 1h, max: 1h } }\n";
        }
        if row.has_retry {
            let attempts = 2.max(*endpoints);
            writeln!(
                upstreams,
                "    retry: {{ attempts: {attempts}, backoff: {{ base: 1ms, max: 1ms }}, budget: {{ ratio: 100%, min: 100 }} }}"
            )
            .unwrap();
        }
        if row.has_ladder {
            upstreams += "    fallback: [{ respond: { status: 200, text: \"{reason}\" } }]\n";
        }
        writeln!(routes, "  - {{ path: /{name}, upstream: {name} }}").unwrap();
    }
    format!("listen: 127.0.0.1:0\nupstreams:\n{upstreams}routes:\n{routes}")
}

/// An answer in words: its status, the rung or the reason if it is ours, or its body.
fn described(response: &Response) -> String {
    let (status, text) = (response.status, response.text());
    let field = |name| response.fields.get(name).unwrap_or_default();
    let reason = field("fusebox-reason").split([';', ' ', ',']).next();
    match (field("fusebox-fallback"), reason.unwrap_or_default()) {
        ("", "") => format!("{status} {text}"),
        ("", reason) => format!("{status} {reason}"),
        (rung, "") => format!("{status} {rung} {text}"),
        (rung, reason) => {
            assert_eq!(reason, text, "the reason is kept on the rung's answer");
            format!("{status} {rung} {text}")
        }
    }
}

/// The answers to all calls of a row, counted.
fn clients(gateway: &Gateway, row: &Row) -> String {
    if row.is_half_open {
        for command in ["open", "release"] {
            let path = format!("/api/v1/breakers/{}/{command}", row.name);
            let response = gateway.admin_post(&path, &json!({}));
            assert_eq!(response.status, 200, "{}", response.text());
        }
    }
    let mut client = gateway.client();
    let mut answers = BTreeMap::<String, usize>::new();
    for _ in 0..row.calls {
        let response = client.get(&format!("/{}", row.name));
        *answers.entry(described(&response)).or_default() += 1;
    }
    let answers: Vec<_> = answers
        .iter()
        .map(|(answer, count)| format!("{count}x {answer}"))
        .collect();
    answers.join(", ")
}

/// The numbers of all upstreams after the calls.
struct Seen {
    breakers: BTreeMap<String, Value>,
    metrics: String,
}

impl Seen {
    fn of(gateway: &Gateway) -> Seen {
        let list = gateway.admin_get("/api/v1/breakers").json();
        assert_eq!(list["next"], Value::Null, "one page");
        let breakers = list["breakers"].as_array().unwrap().iter();
        Seen {
            breakers: breakers
                .map(|it| (it["name"].as_str().unwrap().to_owned(), it.clone()))
                .collect(),
            metrics: gateway.admin_get("/metrics").text(),
        }
    }

    fn metric(&self, series: &str) -> usize {
        let mut lines = self.metrics.lines();
        let value = lines.find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        value.map_or(0, |value| value.parse().unwrap())
    }

    fn count(&self, breaker: &str, what: &str) -> usize {
        let count = self.breakers[breaker]["counts"][what].as_u64();
        usize::try_from(count.unwrap()).unwrap()
    }

    fn state(&self, breaker: &str) -> &str {
        self.breakers[breaker]["state"].as_str().unwrap()
    }

    fn upstream(&self, name: &str) -> String {
        let count = |what| self.count(name, what);
        assert_eq!(count("ignored"), 0, "{name}");
        format!(
            "{} {} {} {}",
            count("success"),
            count("failure"),
            count("rejected"),
            self.state(name)
        )
    }

    fn retries(&self, row: &Row) -> String {
        let all = "success failure budget breaker_open body_too_large too_long bulkhead total left";
        let results = all.split(' ').filter_map(|result| {
            let labels = format!("{{upstream=\"{}\",result=\"{result}\"}}", row.name);
            let count = self.metric(&format!("fusebox_retries_total{labels}"));
            (count > 0).then(|| format!("{result} {count}"))
        });
        let results: Vec<_> = results.collect();
        if results.is_empty() {
            return "-".to_owned();
        }
        results.join(", ")
    }

    /// The number of endpoints that are ejected, and of those whose breakers are open. Each endpoint's breaker has heard
    /// of every attempt that reached its server.
    fn out(&self, row: &Row, servers: &Servers, hits: &[usize]) -> String {
        let (mut ejected, mut open) = (0, 0);
        for (index, (server, hits)) in servers.of(row).iter().zip(hits).enumerate() {
            let addr = server.addr();
            let is_dead = index < row.dead;
            let expected = if is_dead {
                (0, *hits, 0)
            } else {
                (*hits, 0, 0)
            };
            let labels = format!("{{upstream=\"{}\",endpoint=\"{addr}\"", row.name);
            let attempts = |outcome| {
                self.metric(&format!(
                    "fusebox_attempts_total{labels},outcome=\"{outcome}\"}}"
                ))
            };
            if row.has_retry || row.endpoints > 1 {
                let attempts = (
                    attempts("success"),
                    attempts("failure"),
                    attempts("ignored"),
                );
                assert_eq!(attempts, expected, "attempts of {} at {addr}", row.name);
            }
            let name = format!("{}@{addr}", row.name);
            if row.endpoints == 1 {
                assert!(
                    !self.breakers.contains_key(&name),
                    "{name} is never ejected"
                );
                continue;
            }
            let count = |what| self.count(&name, what);
            let counts = (count("success"), count("failure"), count("ignored"));
            assert_eq!(counts, expected, "{name}");
            assert_eq!(self.breakers[&name]["kind"], "endpoint");
            ejected += self.metric(&format!("fusebox_endpoint_ejected{labels}}}"));
            open += usize::from(self.state(&name) == "open");
        }
        format!("{ejected} {open}")
    }
}

/// Hits from the highest one on, or their sum if that is all that is expected.
fn described_hits(hits: &[usize], expected: &str) -> String {
    let mut hits = hits.to_vec();
    hits.sort_by(|a, b| b.cmp(a));
    let each: Vec<_> = hits.iter().map(usize::to_string).collect();
    match (hits.is_empty(), expected.starts_with('=')) {
        (true, _) => "-".to_owned(),
        (_, true) => format!("={}", hits.iter().sum::<usize>()),
        _ => each.join(" "),
    }
}

#[test]
fn each_row_of_the_table_has_its_numbers() {
    let (rows, servers) = (rows(), Servers::start());
    assert_eq!(rows.len(), 64);
    let gateway = Gateway::run(file(&rows, &servers));
    let clients: Vec<_> = rows.iter().map(|row| clients(&gateway, row)).collect();
    let seen = Seen::of(&gateway);
    let targets = |server: &Upstream| -> Vec<String> {
        server.seen().into_iter().map(|it| it.target).collect()
    };
    let all: BTreeMap<_, _> = servers
        .dead
        .iter()
        .chain(&servers.alive)
        .map(|it| (it.addr(), targets(it)))
        .collect();
    let (mut actual, mut expected) = (String::new(), String::new());
    for (row, client) in rows.iter().zip(clients) {
        let path = format!("/{}", row.name);
        let hits =
            |server: &&Upstream| all[&server.addr()].iter().filter(|it| **it == path).count();
        let hits: Vec<_> = servers.of(row).iter().map(hits).collect();
        let numbers = [
            described_hits(&hits[..row.dead], &row.expected[0]),
            described_hits(&hits[row.dead..], &row.expected[1]),
            seen.upstream(&row.name),
            seen.out(row, &servers, &hits),
            seen.retries(row),
            client,
        ];
        for (text, numbers) in [(&mut actual, &numbers), (&mut expected, &row.expected)] {
            writeln!(text, "{}: {}", row.name, numbers.join(" | ")).unwrap();
        }
    }
    for (actual, expected) in actual.lines().zip(expected.lines()) {
        if actual != expected {
            eprintln!("expected {expected}\n   found {actual}");
        }
    }
    assert!(actual == expected, "the rows above differ");
}
