//! The admin API at several addresses, a Unix socket among them, and the clients that find it there.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use crate::support::{Gateway, Program, Setup};

const FILE: &str = "listen: 127.0.0.1:0
admin: { token: s3cret }
upstreams: { orders: { url: http://127.0.0.1:1, breaker: {} } }
routes: [{ path: /api/orders, upstream: orders }]
";

fn setup() -> Setup {
    Setup::new(FILE)
        .bare()
        .arg("--admin")
        .arg("127.0.0.1:0,unix:admin.sock")
}

fn socket(gateway: &Gateway) -> PathBuf {
    gateway.config().parent().unwrap().join("admin.sock")
}

/// Runs a verb against the socket.
fn ask(socket: &Path, args: &[&str]) -> crate::support::Finished {
    Program::new()
        .env("FUSEBOX_ADMIN_URL", &format!("unix:{}", socket.display()))
        .run(args)
}

#[test]
fn a_unix_socket_needs_no_token_and_is_for_its_owner_and_group() {
    let gateway = setup().start();
    let socket = socket(&gateway);
    let mode = socket.metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    let listed = ask(&socket, &["breakers"]);
    assert_eq!(listed.code, Some(0), "{listed:?}");
    assert!(listed.stdout.contains("orders  closed"), "{listed:?}");
    let held = ask(
        &socket,
        &["breakers", "open", "orders", "--reason", "trying it"],
    );
    assert_eq!(held.code, Some(0), "{held:?}");
    assert_eq!(ask(&socket, &["healthcheck"]).code, Some(0));
    // Over the network the token is wanted as before, and what was done is seen there.
    assert_eq!(gateway.admin_get("/api/v1/breakers").status, 401);
    let bearer = "Authorization: Bearer s3cret\r\n";
    let seen = gateway
        .admin()
        .request("GET", "/api/v1/breakers/orders", bearer, "");
    assert_eq!(seen.json()["hold"]["reason"], "trying it");
}

#[test]
fn any_host_may_be_named_on_a_socket() {
    let gateway = setup().start();
    let mut stream = UnixStream::connect(socket(&gateway)).unwrap();
    let request = b"GET /readyz?verbose HTTP/1.1\r\nHost: fusebox\r\nConnection: close\r\n\r\n";
    stream.write_all(request).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.ends_with("ready\n"), "{answer}");
}

#[test]
fn a_stale_socket_is_taken_over() {
    let mut gateway = setup().start();
    let socket = socket(&gateway);
    gateway.kill9();
    assert!(socket.exists(), "a killed process cleans nothing up");
    gateway.restart();
    assert_eq!(ask(&socket, &["healthcheck"]).code, Some(0));
}

#[test]
fn a_socket_is_gone_after_the_end() {
    let gateway = setup().start();
    gateway.sigterm();
    assert!(gateway.wait().success());
    assert!(!socket(&gateway).exists());
}

#[test]
fn a_socket_in_use_and_another_kind_of_file_are_left_alone() {
    let gateway = setup().start();
    let live = socket(&gateway);
    let program = Program::new().file("a.yaml", FILE).file("file", "mine");
    let run = |at: &str| {
        let admin = format!("unix:{at}");
        program.run(["run", "a.yaml", "--store", "memory:", "--admin", &admin])
    };
    let second = run(live.to_str().unwrap());
    assert_eq!(second.code, Some(1));
    assert!(
        second.stderr.contains("another process listens there"),
        "{second:?}"
    );
    assert_eq!(ask(&live, &["healthcheck"]).code, Some(0));
    let file = run("file");
    assert_eq!(file.code, Some(1));
    assert!(
        file.stderr.contains("the file exists and is not a socket"),
        "{file:?}"
    );
    assert_eq!(
        std::fs::read_to_string(program.dir().join("file")).unwrap(),
        "mine"
    );
    let nowhere = run("no/such/dir");
    assert_eq!(nowhere.code, Some(1));
    assert!(nowhere.stderr.contains("unix:no/such/dir"), "{nowhere:?}");
}

#[test]
fn a_socket_alone_is_enough() {
    let gateway = Setup::new(FILE)
        .bare()
        .arg("--admin")
        .arg("unix:admin.sock")
        .start();
    let line = gateway.log_line(|line| line["message"] == "admin API");
    assert_eq!(line["socket"], "admin.sock");
    assert_eq!(ask(&socket(&gateway), &["healthcheck"]).code, Some(0));
}

#[test]
fn a_client_without_a_gateway_says_where_it_looked() {
    let ended = ask(Path::new("/nowhere/admin.sock"), &["breakers"]);
    assert_eq!(ended.code, Some(1));
    assert!(
        ended
            .stderr
            .contains("no gateway answers at unix:/nowhere/admin.sock"),
        "{ended:?}"
    );
}
