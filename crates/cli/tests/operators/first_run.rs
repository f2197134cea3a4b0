//! The first run: a configuration out of nothing, what the start says, a question whether it is ready, manual pages.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::{Call, Dial, Finished, Gateway, Program, Setup, Upstream};

/// The verbs that everybody can use.
const VERBS: [&str; 15] = [
    "run",
    "init",
    "check",
    "convert",
    "eval",
    "breakers",
    "top",
    "healthcheck",
    "demo",
    "simulate",
    "schema",
    "openapi",
    "completions",
    "man",
    "version",
];

fn init(args: &[&str]) -> (Program, Finished) {
    let program = Program::new();
    let ended = program.run([&["init"], args].concat());
    (program, ended)
}

#[test]
fn init_writes_a_file_that_check_has_nothing_against() {
    let (program, ended) = init(&[]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(
        ended
            .stdout
            .starts_with("wrote fusebox.yaml: http://127.0.0.1:8080 -> http://127.0.0.1:8081,"),
        "{ended:?}"
    );
    let checked = program.run(["check", "fusebox.yaml"]);
    assert_eq!(checked.stdout, "ok: 1 listener, 1 route, 1 upstream\n");
}

#[test]
fn the_file_of_init_runs_trips_and_falls_back() {
    let status = Dial::at(200);
    let dial = status.clone();
    let upstream = Upstream::start(move |call: &mut Call| {
        call.respond(u16::try_from(dial.get()).unwrap(), "fresh");
    });
    let (program, ended) = init(&["--upstream", &upstream.url()]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let file = std::fs::read_to_string(program.dir().join("fusebox.yaml")).unwrap();
    assert!(file.contains("listen: 127.0.0.1:8080\n"), "{file}");
    let gateway = Gateway::run(file.replace("127.0.0.1:8080", "127.0.0.1:0"));
    assert_eq!(gateway.get("/a").text(), "fresh");
    status.set(500);
    for _ in 0..5 {
        assert_eq!(gateway.client().request("POST", "/a", "", "x").status, 500);
    }
    assert_eq!(gateway.state("service"), "open");
    let stale = gateway.get("/a");
    assert_eq!((stale.status, stale.text().as_str()), (200, "fresh"));
    assert_eq!(stale.fields.get("fusebox-fallback"), Some("last_good"));
}

#[test]
fn init_overwrites_a_file_only_if_forced_to() {
    let program = Program::new().file("fusebox.yaml", "mine\n");
    let read = || std::fs::read_to_string(program.dir().join("fusebox.yaml")).unwrap();
    let ended = program.run(["init"]);
    assert_eq!(ended.code, Some(1));
    assert_eq!(
        ended.stderr,
        "fusebox: fusebox.yaml exists; --force overwrites it\n"
    );
    assert_eq!(read(), "mine\n");
    let forced = program.run(["init", "--force", "--upstream", "http://[::1]:3000/base"]);
    assert_eq!(forced.code, Some(0), "{forced:?}");
    assert!(read().contains("http://[::1]:3000/base"), "{}", read());
}

#[test]
fn init_writes_nothing_for_an_address_that_cannot_be_one() {
    for url in [
        "nonsense",
        "ftp://a",
        "http://a b",
        "http://a\nlisten: x",
        "",
    ] {
        let (program, ended) = init(&["--upstream", url]);
        assert_eq!(ended.code, Some(1), "{url:?}: {ended:?}");
        assert!(ended.stderr.contains("--upstream"), "{ended:?}");
        assert!(!program.dir().join("fusebox.yaml").exists(), "{url:?}");
    }
}

#[test]
fn run_without_a_file_takes_the_one_of_its_directory() {
    let program = Program::new().file("fusebox.yaml", "listen: nowhere\n");
    let ended = program.run(["run", "--log", "json"]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("fusebox.yaml:1:"), "{ended:?}");
}

#[test]
fn run_that_finds_no_file_names_init_and_exits_2() {
    let ended = Program::new().run(["run"]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert_eq!(ended.stdout, "");
    for said in [
        "fusebox init",
        "./fusebox.yaml",
        "/etc/fusebox/fusebox.yaml",
        "Usage",
    ] {
        assert!(ended.stderr.contains(said), "{ended:?}");
    }
    let json = Program::new().run(["run", "--log", "json"]);
    assert_eq!(json.code, Some(2));
    let line: serde_json::Value = serde_json::from_str(json.stderr.trim()).unwrap();
    assert!(
        line["message"].as_str().unwrap().contains("fusebox init"),
        "{line}"
    );
}

const SERVED: &str = "listen: 127.0.0.1:0
upstreams:
  orders: { url: http://127.0.0.1:1, breaker: { cooldown: 60s }, fallback: [{ last_good: 1h }] }
  bare: { url: http://127.0.0.1:2/base }
routes:
  - { path: /api/orders, upstream: orders, methods: [GET] }
  - { path: /bare, upstream: bare }
  - { path: /ping, respond: { text: pong } }
";

#[test]
fn the_log_says_what_is_served() {
    let gateway = Gateway::run(SERVED);
    let route =
        |path: &str| gateway.log_line(|line| line["message"] == "route" && line["path"] == path);
    let orders = route("/api/orders");
    assert_eq!(orders["upstream"], "orders (http://127.0.0.1:1)");
    assert_eq!(
        orders["breaker"],
        "opens after 5 failures in a row or 50% failures within 10s, for 1m, else the last good answer up to 1h old"
    );
    assert_eq!(route("/bare")["breaker"], "no breaker");
    assert_eq!(route("/ping")["answer"], "answers 200");
    let state = gateway.log_line(|line| line["message"] == "state");
    assert_eq!(state["store"], gateway.data().to_str().unwrap());
    let warning = gateway.log_line(|line| line["level"] == "WARN");
    let warning = warning["message"].as_str().unwrap();
    assert!(
        warning.contains("the upstream `bare` has no breaker"),
        "{warning}"
    );
    let admin = gateway.log_line(|line| line["message"] == "admin API");
    assert_eq!(
        admin["dashboard"],
        format!("http://{}/", gateway.admin_addr())
    );
    let warnings = gateway
        .log()
        .iter()
        .filter(|line| line.contains("\"WARN\""))
        .count();
    assert_eq!(warnings, 1, "only `bare` has no breaker");
}

#[test]
fn the_readable_log_begins_with_a_table_of_what_is_served() {
    let program = Program::new().file("fusebox.yaml", SERVED);
    let mut child = Command::new(env!("CARGO_BIN_EXE_fusebox"))
        .args(["run", "--log", "pretty", "--admin", "127.0.0.1:0"])
        .current_dir(program.dir())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut said = Vec::new();
    for line in lines.map_while(Result::ok) {
        let is_last = line.contains("dashboard: ");
        said.push(line);
        if is_last {
            break;
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let expected = [
        "fusebox.yaml:4:3: warning: the upstream `bare` has no breaker",
        "fusebox 0.1.0 serves fusebox.yaml",
        "  listener  http://127.0.0.1:",
        "  route     GET /api/orders           -> orders (http://127.0.0.1:1) -> opens after 5 failures in a row",
        "  route     /bare                     -> bare (http://127.0.0.1:2/base) -> no breaker",
        "  route     /ping                     -> answers 200",
        "  state     ./fusebox-data",
        "  admin     127.0.0.1:",
    ];
    assert_eq!(said.len(), expected.len(), "{said:#?}");
    for (line, expected) in said.iter().zip(expected) {
        assert!(line.starts_with(expected), "{expected}\n{said:#?}");
    }
    assert!(
        said[7].contains("dashboard: http://127.0.0.1:"),
        "{said:#?}"
    );
}

fn healthcheck(admin: &str) -> Finished {
    Program::new()
        .env("FUSEBOX_ADMIN_URL", admin)
        .run(["healthcheck"])
}

#[test]
fn healthcheck_says_by_its_status_whether_requests_are_taken() {
    let yaml = "listen: 127.0.0.1:0
limits: { drain_delay: 60s }
routes: [{ path: /ping, respond: { text: pong } }]
";
    let gateway = Gateway::run(yaml);
    let admin = format!("http://{}", gateway.admin_addr());
    let ready = healthcheck(&admin);
    assert_eq!(
        (ready.code, ready.stdout.as_str()),
        (Some(0), "ready\n"),
        "{ready:?}"
    );
    let by_option = Program::new().run(["healthcheck", "--admin", &admin]);
    assert_eq!(by_option.code, Some(0), "{by_option:?}");
    gateway.sigterm();
    gateway.log_line(|line| {
        let message = line["message"].as_str();
        message.is_some_and(|message| message.starts_with("leaving"))
    });
    let draining = healthcheck(&admin);
    assert_eq!(draining.code, Some(1));
    assert_eq!(
        draining.stderr,
        "fusebox: not ready: the gateway is draining\n"
    );
    gateway.kill9();
    let gone = healthcheck(&admin);
    assert_eq!(gone.code, Some(1));
    assert!(
        gone.stderr.contains("no gateway answers at 127.0.0.1:"),
        "{gone:?}"
    );
}

#[test]
fn healthcheck_does_not_wait_for_long() {
    // The system takes the connection; no process answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let began = Instant::now();
    let ended = healthcheck(&silent.local_addr().unwrap().to_string());
    assert_eq!(ended.code, Some(1));
    assert!(
        ended.stderr.contains("did not answer within 3 s"),
        "{ended:?}"
    );
    assert!(
        began.elapsed() < Duration::from_secs(20),
        "{:?}",
        began.elapsed()
    );
}

#[test]
fn every_verb_is_in_the_help_and_shows_an_example() {
    let help = Program::new().run(["--help"]).stdout;
    for verb in VERBS {
        assert!(help.contains(&format!("\n  {verb} ")), "{verb} in {help}");
        let own = Program::new().run([verb, "--help"]);
        assert_eq!(own.code, Some(0), "{own:?}");
        let shown =
            own.stdout.contains("Example") && own.stdout.contains(&format!("fusebox {verb}"));
        assert!(shown || verb == "version", "{verb}: {}", own.stdout);
    }
    assert!(
        help.contains("First steps:") && help.contains("fusebox init"),
        "{help}"
    );
}

#[test]
fn man_writes_a_page_for_each_verb() {
    let program = Program::new();
    let ended = program.run(["man", "pages/man1"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let page = |name: &str| {
        let path = program.dir().join("pages/man1").join(name);
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}"))
    };
    assert!(page("fusebox.1").contains(".TH fusebox 1"));
    for verb in VERBS {
        assert!(
            page(&format!("fusebox-{verb}.1")).contains("NAME"),
            "{verb}"
        );
    }
    assert!(page("fusebox-breakers-open.1").contains("Hold a breaker open"));
    let ended = program.file("file", "").run(["man", "file"]);
    assert_eq!(ended.code, Some(1));
    assert!(
        ended.stderr.contains("cannot write manual pages to file"),
        "{ended:?}"
    );
}

#[test]
fn the_schema_has_a_name_that_stays() {
    let ended = Program::new().run(["schema"]);
    let schema: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(schema["$id"], "urn:fusebox:schema:configuration:1");
}

#[test]
fn every_option_of_run_is_a_variable_too() {
    let help = Program::new().run(["run", "--help"]).stdout;
    let options = help
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix("--"));
    let mut seen = 0;
    for option in options {
        let name = option.split([' ', ':']).next().unwrap().trim();
        let variable = format!("FUSEBOX_{}", name.replace('-', "_").to_uppercase());
        assert!(
            help.contains(&variable),
            "--{name}: no {variable} in {help}"
        );
        seen += 1;
    }
    assert!(seen >= 8, "{help}");
    // One of them, seen at work.
    let gateway = Setup::new(SERVED).env("FUSEBOX_WORKERS", "1").start();
    assert_eq!(gateway.get("/ping").text(), "pong");
}
