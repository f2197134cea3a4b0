//! The client's part of a case, and what it sees.

use std::io::Write as _;

use super::super::support::{Client, Fields, Gateway};
use super::cases::{Body, Case, End};
use super::upstream::{Stage, Step};

/// What a client saw.
#[derive(Debug)]
pub struct Seen {
    /// The answer's status, if there was one.
    pub status: Option<u16>,
    /// Whether the answer was complete.
    pub whole: bool,
}

const GONE: Seen = Seen {
    status: None,
    whole: false,
};

/// Plays the client's part.
pub fn play(gateway: &Gateway, case: &Case, stage: &Stage) -> Seen {
    use End as E;
    let mut client = gateway.client();
    match case.end {
        E::StopsSendingAndIsCut | E::StopsSendingAndIsAnswered => {
            send_part(&mut client, case);
            // Silence.
        }
        E::SendsNonsense => {
            send_part(&mut client, case);
            client.send("zz\r\n");
        }
        E::ClosesWithinBody => {
            send_part(&mut client, case);
            client.wire.finish();
        }
        E::ResetsWithinBody => {
            send_part(&mut client, case);
            stage.await_step(case, Step::Arrived);
            client.wire.reset();
            return GONE;
        }
        E::UploadIsAnswered | E::UploadIsCut => {
            send_head(&mut client, case);
            upload(&mut client, case);
        }
        E::ResetsBeforeHead => {
            send(&mut client, case);
            stage.await_step(case, Step::Arrived);
            client.wire.reset();
            return GONE;
        }
        E::ResetsInAnswer => {
            send(&mut client, case);
            client.head();
            client.wire.reset();
            return GONE;
        }
        E::ClosesItsSide => {
            send(&mut client, case);
            client.wire.finish();
        }
        E::StopsReadingAndIsCut => {
            client.wire.keep_little();
            send(&mut client, case);
            stage.await_step(case, Step::Ended);
        }
        _ => send(&mut client, case),
    }
    let Some((status, fields)) = final_head(&mut client) else {
        return GONE;
    };
    let whole = is_whole(&mut client, case, status, &fields);
    Seen {
        status: Some(status),
        whole,
    }
}

/// The final head: its status and fields; `None` where the connection ended without one.
fn final_head(client: &mut Client) -> Option<(u16, Fields)> {
    loop {
        let head = client.wire.read_head().ok()??;
        let status = head.start.split(' ').nth(1)?.parse().ok()?;
        if status == 101 || status >= 200 {
            return Some((status, head.fields));
        }
    }
}

/// Reads the rest of an answer; whether it came as its head said.
fn is_whole(client: &mut Client, case: &Case, status: u16, fields: &Fields) -> bool {
    if case.method() == "HEAD" || matches!(status, 204 | 304) {
        return true;
    }
    client.wire.read_body(fields, true).is_ok()
}

fn head_text(case: &Case) -> String {
    let framing = match case.body {
        Body::None => "",
        Body::Length => "Content-Length: 5\r\n",
        Body::Chunked => "Transfer-Encoding: chunked\r\n",
        Body::Trailers => "Trailer: x-t\r\nTransfer-Encoding: chunked\r\n",
        Body::Offered => "Content-Length: 5\r\nExpect: 100-continue\r\n",
    };
    let framing = match case.end {
        End::UploadIsAnswered | End::UploadIsCut if case.body == Body::Length => {
            "Content-Length: 40000000\r\n"
        }
        _ => framing,
    };
    let grpc = match case.end {
        End::GrpcIsLateForItsClient | End::GrpcIsSilentForItsClient => {
            "Content-Type: application/grpc\r\ngrpc-timeout: 100m\r\n"
        }
        _ if case.is_grpc() => "Content-Type: application/grpc\r\n",
        _ => "",
    };
    format!(
        "{} /it HTTP/1.1\r\nHost: gateway.test\r\nX-Case: {}\r\nTE: trailers\r\n{grpc}{framing}\r\n",
        case.method(),
        case.name()
    )
}

fn send_head(client: &mut Client, case: &Case) {
    client.send(head_text(case));
}

/// The whole request.
fn send(client: &mut Client, case: &Case) {
    let mut text = head_text(case);
    match case.body {
        Body::None => {}
        Body::Length => text += "hello",
        Body::Chunked => text += "5\r\nhello\r\n0\r\n\r\n",
        Body::Trailers => text += "5\r\nhello\r\n0\r\nx-t: 1\r\n\r\n",
        Body::Offered => {
            client.send(&text);
            // The upstream's word, or the final answer.
            assert_eq!(client.head().status, 100, "{}", case.name());
            text = "hello".into();
        }
    }
    client.send(text);
}

/// A request that breaks off within its body.
fn send_part(client: &mut Client, case: &Case) {
    let part = match case.body {
        Body::Length => "hel",
        _ => "3\r\nhel\r\n",
    };
    client.send(head_text(case) + part);
}

/// Sends far more than the buffers on the way hold, until it is no longer taken.
fn upload(client: &mut Client, case: &Case) {
    let mut block = vec![b'x'; 100_000];
    if case.body != Body::Length {
        block = [b"186a0\r\n", &block[..], b"\r\n"].concat();
    }
    let mut socket = client.wire.socket().try_clone().expect("a handle");
    for _ in 0..400 {
        if socket.write_all(&block).is_err() {
            return;
        }
    }
    if case.body != Body::Length {
        socket.write_all(b"0\r\n\r\n").ok();
    }
}
