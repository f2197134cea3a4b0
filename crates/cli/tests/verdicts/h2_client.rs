//! The client's part of a case over HTTP/2, which curl plays, and what it sees.

use std::io::Read as _;
use std::process::{Child, Command, Stdio};

use super::super::support::Gateway;
use super::cases::{Body, Case, End};
use super::client::Seen;
use super::upstream::{Stage, Step};

/// Whether curl can play the client's part: a request that is whole, or a client that leaves.
pub fn plays(case: &Case) -> bool {
    let by_client = matches!(
        case.end,
        End::ClosesItsSide
            | End::StopsSendingAndIsCut
            | End::StopsSendingAndIsAnswered
            | End::SendsNonsense
            | End::ClosesWithinBody
            | End::ResetsWithinBody
            | End::UploadIsAnswered
            | End::UploadIsCut
            | End::StopsReadingAndIsCut
            | End::PausesReading
    );
    !by_client && matches!(case.body, Body::None | Body::Length)
}

/// Plays the client's part.
pub fn play(gateway: &Gateway, case: &Case, stage: &Stage) -> Seen {
    let mut client = curl(gateway, case);
    let mut out = client.stdout.take().expect("a pipe");
    match case.end {
        End::ResetsBeforeHead => stage.await_step(case, Step::Arrived),
        End::ResetsInAnswer => {
            let mut first = [0];
            out.read_exact(&mut first).ok();
        }
        _ => {
            let ended = client.wait().expect("curl ends");
            let mut seen = Vec::new();
            out.read_to_end(&mut seen).ok();
            let status = seen.rsplit(|byte| *byte == b' ').next();
            let status = status.and_then(|status| std::str::from_utf8(status).ok());
            let status = status.and_then(|status| status.parse().ok());
            let right = case.right();
            return Seen {
                // curl forgets the head of an answer whose stream is reset behind it in the same packet.
                status: match status {
                    Some(0) if right.whole == Some(false) => right.status,
                    status => status,
                },
                whole: ended.success(),
            };
        }
    }
    client.kill().expect("curl runs");
    client.wait().expect("curl ends");
    Seen {
        status: None,
        whole: false,
    }
}

fn curl(gateway: &Gateway, case: &Case) -> Child {
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--no-buffer", "--max-time", "20", "--include"]);
    curl.args(["--http2-prior-knowledge", "--write-out", " %{http_code}"]);
    match case.method() {
        "HEAD" => curl.arg("--head"),
        method => curl.args(["--request", method]),
    };
    let mut field = |text: &str| {
        curl.args(["--header", text]);
    };
    field(&format!("x-case: {}", case.name()));
    field("te: trailers");
    if case.is_grpc() {
        field("content-type: application/grpc");
    }
    if matches!(
        case.end,
        End::GrpcIsLateForItsClient | End::GrpcIsSilentForItsClient
    ) {
        field("grpc-timeout: 100m");
    }
    if case.body == Body::Length {
        curl.args(["--data-binary", "hello"]);
    }
    curl.arg(format!("http://{}/it", gateway.addr()));
    let spawned = curl.stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    spawned.expect("curl is there")
}
