//! Answers that come before the request's body has been sent: the client gets them, whatever the size,
//! and the breaker hears what they say.

use std::io::Write as _;

use crate::support::{Client, Gateway, Upstream, orders};

const SIZES: [usize; 6] = [1_000, 100_000, 300_000, 1_000_000, 4_000_000, 20_000_000];

/// Sends all of a body, then reads the answer: many programs do.
fn send_first(client: &mut Client, path: &str, size: usize, chunked: bool) -> (u16, String) {
    let framing = if chunked {
        "Transfer-Encoding: chunked".into()
    } else {
        format!("Content-Length: {size}")
    };
    client.send(format!(
        "POST {path} HTTP/1.1\r\nHost: gateway.test\r\n{framing}\r\n\r\n"
    ));
    let mut socket = client.wire.socket().try_clone().unwrap();
    let block = vec![b'x'; 50_000];
    let mut left = size;
    while left > 0 {
        let part = &block[..left.min(block.len())];
        if chunked {
            write!(socket, "{:x}\r\n", part.len()).unwrap();
        }
        socket.write_all(part).unwrap();
        if chunked {
            socket.write_all(b"\r\n").unwrap();
        }
        left -= part.len();
    }
    if chunked {
        socket.write_all(b"0\r\n\r\n").unwrap();
    }
    let response = client.response();
    (response.status, response.text())
}

#[test]
fn an_answer_from_the_head_reaches_a_client_that_sends_first_and_reads_later() {
    let upstream = Upstream::start(|call| {
        let status = if call.seen.target == "/large" {
            413
        } else {
            401
        };
        call.send(format!(
            "HTTP/1.1 {status} No\r\nContent-Length: 4\r\nConnection: close\r\n\r\nsays"
        ));
        call.close();
    });
    let gateway = Gateway::run(orders(
        &upstream,
        "{ trip: { consecutive_failures: 1 }, cooldown: 60s }",
    ));
    let mut calls = 0;
    for size in SIZES {
        for (path, status) in [("/large", 413), ("/login", 401)] {
            for chunked in [false, true] {
                let mut client = gateway.client();
                let (got, text) = send_first(&mut client, path, size, chunked);
                assert_eq!((got, text.as_str()), (status, "says"), "{size} {chunked}");
                calls += 1;
            }
        }
    }
    assert_eq!(gateway.outcomes("orders"), (calls, 0, 0));
}

#[test]
fn our_own_refusals_reach_a_client_that_sends_first_and_reads_later() {
    let upstream = Upstream::start(|call| call.respond(500, ""));
    let yaml = orders(
        &upstream,
        "{ trip: { consecutive_failures: 1 }, cooldown: 60s }",
    );
    let yaml = yaml.replace("/{*rest}", "/orders/{*rest}");
    let gateway = Gateway::run(yaml + "limits: { request_body: 10MiB }\n");
    assert_eq!(gateway.get("/orders/1").status, 500);
    for size in SIZES {
        for chunked in [false, true] {
            for (path, status) in [("/orders/1", 503), ("/elsewhere", 404)] {
                // Too long by its own account is said first.
                let status = if size > 10 << 20 && !chunked && status == 503 {
                    413
                } else {
                    status
                };
                let (got, _) = send_first(&mut gateway.client(), path, size, chunked);
                assert_eq!(got, status, "{path} {size} {chunked}");
            }
        }
    }
    assert_eq!(gateway.outcomes("orders"), (0, 1, 0));
}
