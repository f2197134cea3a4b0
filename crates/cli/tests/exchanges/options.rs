//! The options of `run`: which of several words on one thing holds, and what is refused.

use std::net::TcpListener;
use std::path::Path;

use crate::support::{Gateway, Program, Setup, eventually};
use serde_json::json;

/// A file that needs no upstream; `more` are further keys.
fn file(more: &str) -> String {
    format!("listen: 127.0.0.1:0\n{more}routes: [{{ path: /ping, respond: {{ text: pong }} }}]\n")
}

fn has_store(dir: &Path) -> bool {
    dir.read_dir().is_ok_and(|mut files| files.next().is_some())
}

/// The directory that a gateway runs in.
fn home(gateway: &Gateway) -> &Path {
    gateway.config().parent().unwrap()
}

#[test]
fn data_are_kept_in_fusebox_data_unless_somebody_says_otherwise() {
    let gateway = Setup::new(file(""))
        .bare()
        .arg("--admin")
        .arg("off")
        .start();
    assert!(has_store(&home(&gateway).join("fusebox-data")));
}

#[test]
fn the_file_says_where_the_store_is() {
    let gateway = Setup::new(file("store: { kind: embedded, path: ./said }\n"))
        .bare()
        .arg("--admin")
        .arg("off")
        .start();
    assert!(has_store(&home(&gateway).join("said")));
    assert!(!home(&gateway).join("fusebox-data").exists());
}

#[test]
fn the_option_data_beats_the_variable_and_both_beat_the_file() {
    let in_file = file("store: { kind: embedded, path: ./said }\n");
    let setup = || {
        Setup::new(in_file.clone())
            .bare()
            .arg("--admin")
            .arg("off")
            .env("FUSEBOX_DATA", "./variable")
    };
    let by_variable = setup().start();
    assert!(has_store(&home(&by_variable).join("variable")));
    assert!(!home(&by_variable).join("said").exists());
    let by_option = setup().arg("--data").arg("./option").start();
    assert!(has_store(&home(&by_option).join("option")));
    assert!(!home(&by_option).join("variable").exists());
}

#[test]
fn the_option_store_beats_them_all() {
    let setup = || Setup::new(file("store: { kind: embedded, path: ./said }\n"));
    let nothing_written = |gateway: &Gateway| {
        for dir in ["said", "data", "fusebox-data"] {
            assert!(!home(gateway).join(dir).exists(), "{dir}");
        }
    };
    nothing_written(&setup().arg("--store").arg("memory:").start());
    nothing_written(&setup().env("FUSEBOX_STORE", "memory:").start());
    let elsewhere = setup().arg("--store").arg("embedded:./elsewhere").start();
    assert!(has_store(&home(&elsewhere).join("elsewhere")));
    nothing_written(&elsewhere);
    let in_data = setup().arg("--store").arg("embedded:").start();
    assert!(has_store(&in_data.data()));
}

#[test]
fn a_server_that_cannot_be_meant_is_refused_without_showing_its_password() {
    let program = Program::new().file("a.yaml", &file(""));
    for url in ["redis://:s3cret@10.0.0.1:port", "rediss://u:s3cret@h/zero"] {
        let ended = program.run(["run", "a.yaml", "--store", url, "--log", "json"]);
        assert_eq!(ended.code, Some(1));
        assert!(ended.stderr.contains("store: url"), "{ended:?}");
        assert!(!ended.stderr.contains("s3cret"), "{ended:?}");
        let file = file(&format!("store: {{ kind: valkey, url: '{url}' }}\n"));
        let ended = Program::new()
            .file("b.yaml", &file)
            .run(["check", "b.yaml"]);
        assert_eq!(ended.code, Some(1));
        assert!(ended.stderr.contains("store: url"), "{ended:?}");
        assert!(!format!("{ended:?}").contains("s3cret"), "{ended:?}");
    }
    let ended = program.run(["run", "a.yaml", "--store", "floppy:a"]);
    assert_eq!(ended.code, Some(2));
    assert!(ended.stderr.contains("memory:") && ended.stderr.contains("embedded:PATH"));
}

#[test]
fn the_admin_api_can_be_turned_off() {
    let gateway = Setup::new(file(""))
        .bare()
        .arg("--admin")
        .arg("off")
        .start();
    assert_eq!(gateway.get("/ping").text(), "pong");
    // Without a second socket there is one address in the log.
    let addresses = gateway
        .log()
        .iter()
        .filter(|line| line.contains("\"addr\""))
        .count();
    assert_eq!(addresses, 1);
}

#[test]
fn the_admin_address_is_the_options_then_the_variables_then_the_files() {
    let free = || {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        socket.local_addr().unwrap()
    };
    let (in_file, in_variable) = (free(), free());
    let setup = || Setup::new(file(&format!("admin: {{ addr: \"{in_file}\" }}\n"))).bare();
    assert_eq!(setup().start().admin_addr(), in_file);
    let by_variable = || setup().env("FUSEBOX_ADMIN", in_variable.to_string());
    assert_eq!(by_variable().start().admin_addr(), in_variable);
    let by_option = by_variable().arg("--admin").arg("127.0.0.1:0").start();
    assert!(![in_file, in_variable].contains(&by_option.admin_addr()));
}

#[test]
fn the_admin_api_away_from_loopback_wants_a_token() {
    let program = Program::new().file("a.yaml", &file(""));
    for addr in ["0.0.0.0:0", "[::]:0", "192.0.2.1:9900"] {
        let ended = program.run(["run", "a.yaml", "--admin", addr]);
        assert_eq!(ended.code, Some(1), "{addr}");
        assert!(
            ended.stderr.contains("requires a token") && ended.stderr.contains("admin.token"),
            "{ended:?}"
        );
    }
    let with_token = Setup::new(file("admin: { token: abc }\n"))
        .bare()
        .arg("--admin")
        .arg("0.0.0.0:0")
        .start();
    assert!(with_token.admin_addr().ip().is_unspecified());
}

#[test]
fn properties_come_from_set_then_its_variable_then_the_environment() {
    let text = "listen: 127.0.0.1:0
routes:
  - { path: /a, respond: { text: \"${A}\" } }
  - { path: /b, respond: { text: \"${B}\" } }
  - { path: /c, respond: { text: \"${C}\" } }
  - { path: /d, respond: { text: \"${D:-default}\" } }
  - { path: /e, respond: { text: \"${E}\" } }
";
    let gateway = Setup::new(text)
        .arg("--set")
        .arg("A=set")
        .arg("--set")
        .arg("E=one,two=three")
        .env("FUSEBOX_SET", "A=variable,B=variable")
        .env("A", "environment")
        .env("B", "environment")
        .env("C", "environment")
        .start();
    let mut client = gateway.client();
    let said: Vec<_> = ["/a", "/b", "/c", "/d", "/e"]
        .iter()
        .map(|path| client.get(path).text())
        .collect();
    assert_eq!(
        said,
        ["set", "variable", "environment", "default", "one,two=three"]
    );
}

#[test]
fn a_property_that_nobody_sets_is_named_with_its_place() {
    let text = file("admin: { token: \"${NOBODY_SETS_THIS}\" }\n");
    let ended = Program::new()
        .file("a.yaml", &text)
        .run(["check", "a.yaml"]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.stdout.starts_with("a.yaml:2:"), "{}", ended.stdout);
    assert!(ended.stdout.contains("NOBODY_SETS_THIS"));
}

#[test]
fn a_secret_is_read_from_a_file_beside_the_configuration() {
    let program = Program::new()
        .file("token", "s3cret\n")
        .file("a.yaml", &file("admin: { token: \"${file:token}\" }\n"));
    let checked = program.run(["check", "a.yaml"]);
    assert_eq!(checked.code, Some(0), "{checked:?}");
    assert!(!checked.stdout.contains("s3cret"));
}

#[test]
fn a_port_that_another_has_is_a_helpful_error() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap();
    let listener = file("").replace("127.0.0.1:0", &addr.to_string());
    let program = Program::new().file("a.yaml", &listener);
    let ended = program.run(["run", "a.yaml", "--admin", "off"]);
    assert_eq!(ended.code, Some(1));
    assert!(
        ended.stderr.contains(&addr.to_string()) && ended.stderr.contains("choose another port"),
        "{ended:?}"
    );
    let admin = ["run", "a.yaml", "--admin", &addr.to_string()];
    let ended = program.run(admin);
    assert_eq!(ended.code, Some(1));
    assert!(
        ended.stderr.contains(&addr.to_string()) && ended.stderr.contains("--admin"),
        "{ended:?}"
    );
}

#[test]
fn the_log_is_json_or_for_people() {
    let json = Setup::new(file("")).start();
    for line in json.log() {
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert!(line["timestamp"].is_string() && line["level"].is_string());
    }
    let program = Program::new().file("a.yaml", "listen: 127.0.0.1:0\nroutes: []\n");
    let wrong = program.run(["run", "a.yaml", "--log", "xml"]);
    assert_eq!(wrong.code, Some(2));
}

#[test]
fn workers_can_be_counted() {
    let gateway = Setup::new(file("")).workers(3).start();
    assert_eq!(gateway.get("/ping").status, 200);
    let workers = || {
        let threads = std::fs::read_dir(format!("/proc/{}/task", gateway.pid())).unwrap();
        threads
            .filter_map(|thread| std::fs::read_to_string(thread.ok()?.path().join("comm")).ok())
            .filter(|name| {
                name.trim()
                    .strip_prefix("fusebox-")
                    .is_some_and(|number| number.parse::<u32>().is_ok())
            })
            .count()
    };
    // A thread takes its name a moment after it has begun.
    eventually("three workers", || workers() == 3);
    assert_eq!(gateway.get("/ping").status, 200);
    assert_eq!(workers(), 3);
}

#[test]
fn the_plan_shows_what_the_options_made_of_the_file() {
    let gateway = Setup::new("listen: \"${ADDR}\"\nroutes: [{ path: /, respond: {} }]\n")
        .arg("--set")
        .arg("ADDR=127.0.0.1:0")
        .start();
    let plan = gateway.admin_get("/api/v1/plan").json();
    assert_eq!(plan["listeners"][0]["addr"], json!("127.0.0.1:0"));
}
