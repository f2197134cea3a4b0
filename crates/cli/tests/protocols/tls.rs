//! Certificates on both sides: the choice among them, clients' own, their change on disk, and upstreams'.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::symlink;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rcgen::DnType;

use crate::support::authority::{Authority, Pems, Signed, connect};
use crate::support::{
    Call, Ending, Gateway, PATIENCE, Program, Setup, Upstream, eventually, orders,
};

/// A listener with these keys of `tls`, and `orders` behind it.
fn listener(tls: &str, upstream: &str, route: &str) -> String {
    format!(
        "listeners: [{{ name: public, addr: \"127.0.0.1:0\", tls: {{ {tls} }} }}]
access_log: {{ to: access.log }}
upstreams:
  orders: {{ url: \"{upstream}\", breaker: {{}} }}
routes:
  - {{ path: \"/{{*rest}}\", upstream: orders{route} }}
"
    )
}

fn service() -> Upstream {
    Upstream::start(|call| call.respond(200, "safe"))
}

/// The error of a client whose handshake, or first request, was refused.
#[track_caller]
fn refused(gateway: &Gateway, name: &str, authority: &Authority, own: Option<&Signed>) {
    // With TLS 1.3 a client's handshake ends before the server has looked at its certificate.
    if let Ok((mut client, _)) = connect(gateway.addr(), name, &authority.trusting(own)) {
        client.wire.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").ok();
        assert!(
            client.wire.read_some().is_ok_and(|it| it.is_empty())
                || client.wire.read_some().is_err()
        );
    }
}

#[test]
fn the_name_that_a_client_asks_for_chooses_the_certificate() {
    let authority = Authority::new("ours");
    let pems = Pems::new();
    let first = authority.sign(&["first.test"]);
    let wild = authority.sign(&["*.example.test", "example.test"]);
    let exact = authority.sign(&["a.example.test"]);
    for (name, signed) in [("first", &first), ("wild", &wild), ("exact", &exact)] {
        pems.put(name, signed);
    }
    let upstream = service();
    let tls = format!(
        "{}, also: [{{ {} }}, {{ {} }}]",
        pems.pair("first"),
        pems.pair("wild"),
        pems.pair("exact")
    );
    let gateway = Gateway::run(listener(&tls, &upstream.url(), ""));
    let config = authority.trusting(None);
    for (name, wanted) in [
        ("first.test", &first),
        ("example.test", &wild),
        ("b.example.test", &wild),
        ("a.example.test", &exact),
    ] {
        let (mut client, shown) = connect(gateway.addr(), name, &config).unwrap();
        assert!(shown == wanted.der(), "{name}");
        assert_eq!(client.get("/").status, 200, "{name}");
    }
    // No other certificate is for it, so it gets the first one, which is for another name.
    assert!(connect(gateway.addr(), "other.test", &config).is_err());
    assert!(connect(gateway.addr(), "b.a.example.test", &config).is_err());

    for name in ["first.test", "example.test", "a.example.test"] {
        let series = format!("fusebox_tls_not_after_seconds{{name=\"{name}\"}}");
        let wanted = match name {
            "example.test" => "fusebox_tls_not_after_seconds{name=\"*.example.test\"}".to_owned(),
            _ => series,
        };
        // rcgen's certificates end on the first day of the year 4096.
        assert_eq!(gateway.metric(&wanted), Some(67_090_118_400.0), "{name}");
    }
}

#[test]
fn a_request_for_a_host_of_another_certificate_is_misdirected() {
    let authority = Authority::new("ours");
    let pems = Pems::new();
    pems.put("a", &authority.sign(&["a.test", "c.test"]));
    pems.put("b", &authority.sign(&["b.test"]));
    let upstream = service();
    let tls = format!("{}, also: [{{ {} }}]", pems.pair("a"), pems.pair("b"));
    let gateway = Gateway::run(listener(&tls, &upstream.url(), ""));
    let config = authority.trusting(None);
    let ask = |name: &str, host: &str| {
        let (mut client, _) = connect(gateway.addr(), name, &config).unwrap();
        client.host = host.to_owned();
        client.get("/").status
    };
    for (name, host, status) in [
        ("a.test", "a.test", 200),
        ("a.test", "c.test:8443", 200),
        ("a.test", "unknown.test", 200),
        ("b.test", "B.test", 200),
        ("a.test", "b.test", 421),
        ("b.test", "a.test:443", 421),
        ("b.test", "unknown.test", 421),
    ] {
        assert_eq!(ask(name, host), status, "{name} {host}");
    }
    assert_eq!(upstream.calls(), 4);

    // With one certificate any host may be named.
    let one = Gateway::run(listener(&pems.pair("a"), &upstream.url(), ""));
    let (mut client, _) = connect(one.addr(), "a.test", &config).unwrap();
    client.host = "b.test".to_owned();
    assert_eq!(client.get("/").status, 200);
}

#[test]
fn a_required_certificate_is_asked_for_and_its_subject_is_passed_on_and_logged() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let pems = Pems::new();
    pems.put("server", &ours.sign(&["localhost"]));
    pems.write("ca.pem", &ours.pem());
    let subject = [
        (DnType::OrganizationName, "Grabbit, Sons"),
        (DnType::CommonName, "client one"),
    ];
    let (own, foreign) = (ours.sign_client(&subject), theirs.sign_client(&subject));
    pems.put("own", &own);
    let upstream = service();
    let ca = pems.path("ca.pem");
    let tls = format!("{}, client_ca: \"{}\"", pems.pair("server"), ca.display());
    let set = ", request: { set: { x-client: \"{client_subject}\" } }";
    let yaml = listener(&tls, &upstream.url(), set).replace(
        "access_log: { to: access.log }",
        "access_log: { to: access.log, when: 'client_subject.startsWith(\"CN=client\")' }",
    );
    let gateway = Gateway::run(yaml);
    refused(&gateway, "localhost", &ours, None);
    refused(&gateway, "localhost", &ours, Some(&foreign));
    assert_eq!(upstream.calls(), 0);

    let (mut client, _) = connect(gateway.addr(), "localhost", &ours.trusting(Some(&own))).unwrap();
    let answer = client.request(
        "GET",
        "/",
        "X-Client: CN=somebody else\r\nx-client: two\r\n",
        "",
    );
    assert_eq!(answer.status, 200);
    let wanted = "CN=client one,O=Grabbit\\, Sons";
    assert_eq!(upstream.last().fields.all("x-client"), [wanted]);
    let path = gateway.config().with_file_name("access.log");
    let log = || std::fs::read_to_string(&path).unwrap_or_default();
    eventually("the line is written", || log().ends_with('\n'));
    let line: serde_json::Value = serde_json::from_str(&log()).unwrap();
    assert_eq!(line["client_subject"], wanted);

    let port = gateway.addr().port();
    let curl = |own: &[&str]| {
        let ran = Command::new("curl")
            .args(["--silent", "--max-time", "20", "--noproxy", "*"])
            .arg("--cacert")
            .arg(&ca)
            .args(own)
            .arg(format!("https://localhost:{port}/a"))
            .output();
        String::from_utf8_lossy(&ran.unwrap().stdout).into_owned()
    };
    let (cert, key) = (pems.path("own.pem"), pems.path("own.key"));
    let own = [
        "--cert",
        cert.to_str().unwrap(),
        "--key",
        key.to_str().unwrap(),
    ];
    assert_eq!((curl(&own), curl(&[])), ("safe".to_owned(), String::new()));
}

#[test]
fn an_optional_certificate_may_be_missing_but_not_foreign() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let pems = Pems::new();
    pems.put("server", &ours.sign(&["localhost"]));
    pems.write("ca.pem", &ours.pem());
    let own = ours.sign_client(&[(DnType::CommonName, "one")]);
    let foreign = theirs.sign_client(&[(DnType::CommonName, "one")]);
    let upstream = service();
    let ca = pems.path("ca.pem");
    let tls = format!(
        "{}, client_ca: \"{}\", client_auth: optional",
        pems.pair("server"),
        ca.display()
    );
    let set = ", request: { set: { x-client: \"{client_subject}\" } }";
    let gateway = Gateway::run(listener(&tls, &upstream.url(), set));
    for (own, wanted) in [(Some(&own), &["CN=one"][..]), (None, &[])] {
        let (mut client, _) = connect(gateway.addr(), "localhost", &ours.trusting(own)).unwrap();
        let answer = client.request("GET", "/", "X-Client: CN=one\r\n", "");
        assert_eq!(answer.status, 200);
        assert_eq!(upstream.last().fields.all("x-client"), wanted);
    }
    refused(&gateway, "localhost", &ours, Some(&foreign));
    let path = gateway.config().with_file_name("access.log");
    let log = || std::fs::read_to_string(&path).unwrap_or_default();
    eventually("both lines are written", || log().lines().count() == 2);
    let log = log();
    let read = |line| serde_json::from_str::<serde_json::Value>(line).unwrap();
    let subjects: Vec<_> = log
        .lines()
        .map(|line| read(line)["client_subject"].clone())
        .collect();
    // Each worker writes its own lines.
    assert!(subjects.contains(&"CN=one".into()), "{log}");
    assert!(subjects.contains(&serde_json::Value::Null), "{log}");
    assert_eq!(upstream.calls(), 2);
}

#[test]
fn the_oldest_version_is_said() {
    let authority = Authority::new("ours");
    let pems = Pems::new();
    pems.put("server", &authority.sign(&["localhost"]));
    pems.write("ca.pem", &authority.pem());
    let upstream = service();
    let versions = |tls: &str| {
        let gateway = Gateway::run(listener(tls, &upstream.url(), ""));
        let port = gateway.addr().port();
        ["1.0", "1.1", "1.2", "1.3"].map(|most| {
            let ran = Command::new("curl")
                .args([
                    "--silent",
                    "--max-time",
                    "20",
                    "--noproxy",
                    "*",
                    "--tlsv1.0",
                ])
                // OpenSSL itself would refuse what we must refuse.
                .args(["--ciphers", "DEFAULT@SECLEVEL=0", "--tls-max", most])
                .arg("--cacert")
                .arg(pems.path("ca.pem"))
                .arg(format!("https://localhost:{port}/a"))
                .output();
            ran.unwrap().stdout == b"safe"
        })
    };
    let server = pems.pair("server");
    assert_eq!(versions(&server), [false, false, true, true]);
    let new = format!("{server}, min: \"1.3\"");
    assert_eq!(versions(&new), [false, false, false, true]);
}

/// A directory whose files are reached through `..data`, a link that is moved, as Kubernetes mounts a secret.
struct Mounted(Pems);

impl Mounted {
    fn new(first: &Signed) -> Mounted {
        let pems = Pems::new();
        for name in ["server.pem", "server.key"] {
            symlink(format!("..data/{name}"), pems.path(name)).unwrap();
        }
        let mounted = Mounted(pems);
        mounted.swap("first", &first.cert_pem(), &first.key_pem());
        mounted
    }

    /// Puts both files into a new directory, and moves the link to it.
    fn swap(&self, directory: &str, cert: &str, key: &str) {
        std::fs::create_dir(self.0.path(directory)).unwrap();
        self.0.write(&format!("{directory}/server.pem"), cert);
        self.0.write(&format!("{directory}/server.key"), key);
        symlink(directory, self.0.path("..data_tmp")).unwrap();
        std::fs::rename(self.0.path("..data_tmp"), self.0.path("..data")).unwrap();
    }
}

#[test]
fn certificates_swapped_on_disk_under_load_serve_new_connections_and_no_request_fails() {
    let authority = Authority::new("ours");
    let (first, second) = (
        authority.sign_numbered("localhost", 1),
        authority.sign_numbered("localhost", 2),
    );
    let mounted = Mounted::new(&first);
    let upstream = service();
    let gateway = Gateway::run(listener(&mounted.0.pair("server"), &upstream.url(), ""));
    let (addr, config) = (gateway.addr(), authority.trusting(None));
    let (mut open, shown) = connect(addr, "localhost", &config).unwrap();
    assert!(shown == first.der());
    assert_eq!(open.get("/").status, 200);

    let (stop, served) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let clients = [(); 2].map(|()| {
        let (stop, served, config) = (stop.clone(), served.clone(), config.clone());
        std::thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                let (mut client, _) = connect(addr, "localhost", &config).unwrap();
                for _ in 0..5 {
                    assert_eq!(client.get("/").status, 200);
                    served.fetch_add(1, Ordering::Relaxed);
                }
            }
        })
    });
    // A pair that is written by halves keeps the one before, and is reported once.
    mounted.swap("half", &second.cert_pem(), &first.key_pem());
    let said = gateway.log_line(|line| line["level"] == "ERROR");
    let message = said["message"].as_str().unwrap();
    assert!(
        message.contains("listener public keeps those before"),
        "{message}"
    );
    assert!(
        message.contains("does not belong to the certificate"),
        "{message}"
    );
    assert_eq!(said["file"], mounted.0.path("server.key").to_str().unwrap());
    let failed = "fusebox_tls_renewals_total{result=\"failure\"}";
    assert_eq!(gateway.metric(failed), Some(1.0));
    assert!(connect(addr, "localhost", &config).unwrap().1 == first.der());

    mounted.swap("second", &second.cert_pem(), &second.key_pem());
    eventually("the new certificate is shown", || {
        connect(addr, "localhost", &config).unwrap().1 == second.der()
    });
    let before = served.load(Ordering::Relaxed);
    eventually("requests go on", || {
        served.load(Ordering::Relaxed) > before + 20
    });
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.join().unwrap();
    }
    assert_eq!(open.get("/").status, 200, "an open connection goes on");
    assert_eq!(gateway.metric(failed), Some(1.0), "once a change");
    let done = "fusebox_tls_renewals_total{result=\"success\"}";
    assert_eq!(gateway.metric(done), Some(1.0));
    assert_eq!(gateway.outcomes("orders").1, 0);

    // A reload of the same files keeps the certificate that serves.
    gateway.sighup();
    gateway.log_line(|line| line["message"] == "reloaded");
    assert!(connect(addr, "localhost", &config).unwrap().1 == second.der());
}

#[test]
fn a_client_hello_in_single_bytes_is_read() {
    let authority = Authority::new("ours");
    let pems = Pems::new();
    pems.put("server", &authority.sign(&["localhost"]));
    let upstream = service();
    let gateway = Gateway::run(listener(&pems.pair("server"), &upstream.url(), ""));
    let name = "localhost".try_into().unwrap();
    let mut session =
        tokio_rustls::rustls::ClientConnection::new(authority.trusting(None), name).unwrap();
    let mut socket = TcpStream::connect(gateway.addr()).unwrap();
    socket.set_nodelay(true).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut hello = Vec::new();
    session.write_tls(&mut hello).unwrap();
    for byte in hello {
        socket.write_all(&[byte]).unwrap();
    }
    while session.is_handshaking() {
        session.complete_io(&mut socket).unwrap();
    }
    let mut stream = tokio_rustls::rustls::StreamOwned::new(session, socket);
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

/// A file with `orders` at an `https` address, with these keys of its `tls`.
fn upstream_tls(upstream: &Upstream, tls: &str) -> String {
    format!(
        "listen: 127.0.0.1:0
upstreams:
  orders:
    url: https://127.0.0.1:{}
    tls: {{ {tls} }}
    health: {{ path: /healthz, interval: 500ms }}
    pool: {{ idle: 0 }}
    breaker: {{ trip: {{ consecutive_failures: 2 }}, cooldown: 60s }}
routes: [{{ path: \"/{{*rest}}\", upstream: orders }}]
",
        upstream.addr().port()
    )
}

#[test]
fn an_upstream_is_verified_by_its_own_authority_and_shown_a_certificate() {
    let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
    let pems = Pems::new();
    let own = clients.sign(&["gateway.internal"]);
    pems.put("me", &own);
    pems.write("ca.pem", &servers.pem());
    let server = servers.sign(&["orders.internal"]).server(Some(&clients));
    let upstream = Upstream::start_tls(server, |call| call.respond(200, "safe"));
    let ca = format!("ca: \"{}\"", pems.path("ca.pem").display());
    let whole = format!("{ca}, {}, name: orders.internal", pems.pair("me"));
    let gateway = Setup::new(upstream_tls(&upstream, &whole))
        .workers(1)
        .start();
    assert_eq!(gateway.get("/a").text(), "safe");
    assert_eq!(gateway.outcomes("orders"), (1, 0, 0));
    let series = "fusebox_tls_not_after_seconds{name=\"gateway.internal\"}";
    assert_eq!(gateway.metric(series), Some(67_090_118_400.0));
    eventually("the health check has used them too", || {
        upstream.seen().iter().any(|seen| seen.target == "/healthz")
    });

    // Another authority, found in the same file: the next connection trusts it alone, and the breaker hears that.
    pems.write("ca.pem", &clients.pem());
    gateway.log_line(|line| {
        let message = line["message"].as_str().unwrap_or_default();
        message.contains("upstream orders") && message.contains("have changed")
    });
    for failures in 1..=2 {
        let answer = gateway.get("/a");
        assert_eq!(
            (answer.status, &answer.json()["reason"]),
            (502, &"tls".into())
        );
        assert_eq!(gateway.outcomes("orders"), (1, failures, 0));
    }
    assert_eq!(gateway.get("/a").status, 503);
    assert_eq!(gateway.state("orders"), "open");

    // A reload that changes the files keeps the breaker.
    pems.write("ca.pem", &servers.pem());
    gateway.sighup();
    gateway.log_line(|line| line["message"] == "reloaded");
    assert_eq!(gateway.state("orders"), "open");
}

#[test]
fn an_upstream_of_another_name_or_that_wants_a_certificate_fails_by_tls() {
    let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
    let pems = Pems::new();
    pems.write("ca.pem", &servers.pem());
    let server = servers.sign(&["orders.internal"]);
    let ca = format!("ca: \"{}\"", pems.path("ca.pem").display());
    let named = format!("{ca}, name: orders.internal");
    for (server, tls) in [
        (server.server(None), format!("{ca}, name: other.internal")),
        (server.server(None), ca.clone()),
        (server.server(Some(&clients)), named),
    ] {
        let upstream = Upstream::start_tls(server, |call| call.respond(200, "safe"));
        let yaml = upstream_tls(&upstream, &tls).replace("health:", "# health:");
        let gateway = Setup::new(yaml).workers(1).start();
        let answer = gateway.get("/a");
        assert_eq!(
            (answer.status, &answer.json()["reason"]),
            (502, &"tls".into()),
            "{tls}"
        );
        assert_eq!(gateway.outcomes("orders"), (0, 1, 0), "{tls}");
        assert_eq!(gateway.get("/a").status, 502);
        assert_eq!(gateway.state("orders"), "open", "{tls}");
        assert_eq!(upstream.calls(), 0, "{tls}");
    }
}

#[test]
fn a_client_whose_certificate_is_refused_is_told_why_however_much_it_has_sent() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let pems = Pems::new();
    pems.put("server", &ours.sign(&["localhost"]));
    pems.put(
        "foreign",
        &theirs.sign_client(&[(DnType::CommonName, "one")]),
    );
    pems.write("ca.pem", &ours.pem());
    let upstream = service();
    let ca = pems.path("ca.pem");
    let tls = format!("{}, client_ca: \"{}\"", pems.pair("server"), ca.display());
    let gateway = Gateway::run(listener(&tls, &upstream.url(), ""));
    let url = format!("https://localhost:{}/a", gateway.addr().port());
    let foreign = [
        "--cert",
        pems.path("foreign.pem").to_str().unwrap(),
        "--key",
        pems.path("foreign.key").to_str().unwrap(),
    ]
    .map(str::to_owned);
    // With TLS 1.3 the request goes out before the certificate is judged, over HTTP/2 in several writes.
    for (own, alert) in [
        (&foreign[..], "unknown ca"),
        (&[], "certificate required"),
        (&foreign, "unknown ca"),
        (&[], "certificate required"),
    ] {
        for version in ["--http2", "--http1.1"] {
            let ran = Command::new("curl")
                .args(["-sS", "--max-time", "20", "--noproxy", "*", "--cacert"])
                .arg(&ca)
                .args(own)
                .args([version, &url])
                .output();
            let ran = ran.unwrap();
            let said = String::from_utf8_lossy(&ran.stderr);
            assert!(said.contains(alert), "{version}: {said}");
        }
    }
    assert_eq!(upstream.calls(), 0);
}

#[test]
fn an_answer_of_no_length_that_breaks_off_does_not_end_as_a_whole_one() {
    let authority = Authority::new("ours");
    let pems = Pems::new();
    pems.put("server", &authority.sign(&["localhost"]));
    let upstream = Upstream::start(|call: &mut Call| {
        let end = match call.seen.target.as_str() {
            "/whole" => "0\r\n\r\n",
            _ => "",
        };
        call.body();
        call.send(format!(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n{end}"
        ));
        call.close();
    });
    let secured = Gateway::run(listener(&pems.pair("server"), &upstream.url(), ""));
    let plain = Gateway::run(orders(&upstream, "{}"));
    let config = authority.trusting(None);
    for over_tls in [false, true] {
        for (path, ending) in [("/whole", Ending::Closed), ("/half", Ending::Reset)] {
            let mut client = match over_tls {
                false => plain.client(),
                true => connect(secured.addr(), "localhost", &config).unwrap().0,
            };
            // nginx speaks HTTP/1.0 to what is behind it, unless it is told otherwise.
            client.send(format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n"));
            let (bytes, ended) = client.ended();
            assert_eq!(ended, ending, "{path}, over TLS {over_tls}");
            if ending == Ending::Closed {
                assert!(bytes.ends_with(b"\r\n\r\nhalf"), "{bytes:?}");
            }
        }
    }
}

#[test]
fn a_chain_whose_certificates_do_not_lead_to_one_another_is_warned_of() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let own = ours.sign(&["localhost"]);
    let yaml = "listeners: [{ name: public, addr: \"127.0.0.1:0\", tls: { cert: chain.pem, key: own.key } }]
routes: [{ path: /, respond: { status: 200 } }]
";
    for (second, said) in [
        (&ours, ""),
        (
            &theirs,
            "certificate number 2 in `chain.pem` has not issued the one before it",
        ),
    ] {
        let chain = own.cert_pem() + &second.pem();
        let checked = Program::new()
            .file("fusebox.yaml", yaml)
            .file("chain.pem", &chain)
            .file("own.key", &own.key_pem())
            .run(["check", "fusebox.yaml"]);
        let all = checked.stdout + &checked.stderr;
        assert_eq!(checked.code, Some(0), "{all}");
        assert_eq!(all.contains("warning"), !said.is_empty(), "{all}");
        assert!(all.contains(said), "{all}");
    }
}
