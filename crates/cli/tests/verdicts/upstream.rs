//! The upstream's part of a case, which it reads off the request's fields.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::super::support::{Call, eventually};
use super::cases::{Answer, Case, End, cases};

/// How far the upstream has come with each case.
#[derive(Debug, Clone, Default)]
pub struct Stage(Arc<Mutex<HashSet<(String, Step)>>>);

/// What an upstream has done for a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// The request's head is there.
    Arrived,
    /// It has played its part.
    Ended,
    /// The body that it asked for came so late that its client may have cost it its patience.
    Late,
}

/// The time for which a client must have kept a body back to excuse the upstream that ends the connection then.
const PATIENCE: Duration = Duration::from_millis(100);

impl Stage {
    fn note(&self, case: &Case, step: Step) {
        let mut steps = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        steps.insert((case.name(), step));
    }

    /// True if the machine was so busy that the case has become another one: that of a client that is late.
    pub fn was_late(&self, case: &Case) -> bool {
        let steps = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        steps.contains(&(case.name(), Step::Late))
    }

    /// Waits until the upstream has come so far.
    pub fn await_step(&self, case: &Case, step: Step) {
        let wanted = (case.name(), step);
        eventually("the upstream plays its part", || {
            let steps = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            steps.contains(&wanted)
        });
    }
}

/// How large a body is that no buffers on the way can hold.
pub const LARGE: usize = 100_000_000;

const TEXT: &str = "from upstream";

/// Plays the upstream's part of the case that a request names.
pub fn script(call: &mut Call, stage: &Stage) {
    let name = call
        .seen
        .fields
        .get("x-case")
        .unwrap_or_default()
        .to_owned();
    let Some(case) = cases().into_iter().find(|case| case.name() == name) else {
        return call.respond(200, TEXT);
    };
    stage.note(&case, Step::Arrived);
    act(call, &case, stage);
    stage.note(&case, Step::Ended);
}

fn act(call: &mut Call, case: &Case, stage: &Stage) {
    use End as E;
    match case.end {
        E::StopsSendingAndIsCut | E::UploadIsCut => {
            // Patience with the client ends without a word.
            first_bytes(call);
            return call.close();
        }
        E::StopsSendingAndIsAnswered | E::UploadIsAnswered => {
            first_bytes(call);
            answer(call, case);
            return call.close();
        }
        E::SendsNonsense | E::ClosesWithinBody | E::ResetsWithinBody => {
            call.hang();
            return;
        }
        _ => {}
    }
    let asked_at = Instant::now();
    if call.seen.fields.has("expect") {
        call.send("HTTP/1.1 100 Continue\r\n\r\n");
    }
    let (body, _) = call.body_and_trailers();
    if asked_at.elapsed() >= PATIENCE {
        stage.note(case, Step::Late);
    }
    // What a client sends before it resets may be lost with it.
    let is_lost = case.end == E::ResetsBeforeHead;
    assert!(
        is_lost || case.method() != "POST" || body == b"hello",
        "{body:?}"
    );
    match case.end {
        E::CutBeforeHead => call.close(),
        E::CutInHead => {
            call.send("HTTP/1.1 200 OK\r\nContent-Le");
            call.close();
        }
        E::NonsenseForHead => {
            call.send("nonsense\r\n\r\n");
            call.close();
        }
        E::SilentBeforeHead | E::ResetsBeforeHead => {
            call.hang();
        }
        E::CutInBody | E::SilentInBody | E::ResetsInAnswer => {
            call.send(head(case, 100));
            call.send(if is_chunked(case) {
                "4\r\npart\r\n"
            } else {
                "part"
            });
            if case.end == E::CutInBody {
                call.close();
            } else {
                call.hang();
            }
        }
        E::CutAtLast => {
            call.send(head(case, 4));
            call.send("4\r\npart\r\n0\r\n");
            call.close();
        }
        E::NonsenseInBody => {
            call.send(head(case, 4));
            call.send("4\r\npart\r\nzz\r\n");
            call.close();
        }
        E::HeadTooLarge => {
            let field = format!("x-large: {}\r\n", "x".repeat(40_000));
            call.respond_with(case.status, &field, TEXT);
        }
        E::TooManyFields => {
            let fields: String = (0..100).map(|at| format!("x-{at}: 1\r\n")).collect();
            call.respond_with(case.status, &fields, TEXT);
        }
        E::StopsReadingAndIsCut => {
            call.send(head(case, LARGE));
            let socket = call.wire().socket().try_clone().expect("a handle");
            socket
                .set_write_timeout(Some(Duration::from_millis(400)))
                .expect("a timeout");
            while call.send(block(case)) {}
            call.reset();
        }
        E::PausesReading => {
            call.send(head(case, LARGE));
            for _ in 0..LARGE / BLOCK {
                call.send(block(case));
            }
            if is_chunked(case) {
                call.send("0\r\n\r\n");
            }
        }
        E::GrpcSucceeds => grpc(call, "grpc-status: 0\r\n"),
        E::GrpcFailsInTrailers => grpc(call, "grpc-status: 14\r\n"),
        E::GrpcIsCancelled => grpc(call, "grpc-status: 1\r\n"),
        E::GrpcSaysNothing => grpc(call, ""),
        E::GrpcIsLateForItsClient | E::GrpcIsLateByItself => grpc(call, "grpc-status: 4\r\n"),
        E::GrpcFailsInHead => {
            let head = "Content-Type: application/grpc\r\nContent-Length: 0\r\ngrpc-status: 13\r\n";
            call.send(format!("HTTP/1.1 200 OK\r\n{head}\r\n"));
        }
        E::GrpcIsCut => {
            call.send(GRPC_BEGUN);
            call.close();
        }
        E::GrpcIsSilentForItsClient => {
            call.send(GRPC_BEGUN);
            call.hang();
        }
        _ => answer(call, case),
    }
}

/// The beginning of an answer of gRPC.
const GRPC_BEGUN: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/grpc\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n\0\0\0\0\0\r\n";

/// An answer of gRPC that ends well, with these lines among its trailers.
fn grpc(call: &mut Call, trailers: &str) {
    call.send(format!("{GRPC_BEGUN}0\r\n{trailers}\r\n"));
}

const BLOCK: usize = 100_000;

fn block(case: &Case) -> Vec<u8> {
    let mut block = vec![b'x'; BLOCK];
    if is_chunked(case) {
        block = [format!("{BLOCK:x}\r\n").as_bytes(), &block, b"\r\n"].concat();
    }
    block
}

/// Reads some of an upload, and no more.
fn first_bytes(call: &mut Call) {
    call.wire().read_some().ok();
}

fn is_chunked(case: &Case) -> bool {
    matches!(
        case.answer,
        Answer::Chunked | Answer::Trailers | Answer::UndeclaredTrailers
    )
}

/// The head of an answer with a body of `length` bytes.
fn head(case: &Case, length: usize) -> String {
    let status = case.status;
    let framing = match case.answer {
        Answer::Chunked | Answer::UndeclaredTrailers => "Transfer-Encoding: chunked\r\n".into(),
        Answer::Trailers => "Trailer: x-t\r\nTransfer-Encoding: chunked\r\n".into(),
        Answer::UntilClose => "Connection: close\r\n".into(),
        Answer::NoContent => return "HTTP/1.1 204 No Content\r\n\r\n".into(),
        Answer::NotModified => return "HTTP/1.1 304 Not Modified\r\n\r\n".into(),
        _ => format!("Content-Length: {length}\r\n"),
    };
    let before = match case.answer {
        Answer::Interim => "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n",
        _ => "",
    };
    format!("{before}HTTP/1.1 {status} Status\r\n{framing}\r\n")
}

fn answer(call: &mut Call, case: &Case) {
    call.send(head(case, TEXT.len()));
    let length = TEXT.len();
    match case.answer {
        Answer::Head | Answer::NoContent | Answer::NotModified => {}
        Answer::Length | Answer::Interim => {
            call.send(TEXT);
        }
        Answer::UntilClose => {
            call.send(TEXT);
            call.close();
        }
        Answer::Chunked => {
            call.send(format!("{length:x}\r\n{TEXT}\r\n0\r\n\r\n"));
        }
        Answer::Trailers | Answer::UndeclaredTrailers => {
            call.send(format!("{length:x}\r\n{TEXT}\r\n0\r\nx-t: 1\r\n\r\n"));
        }
    }
}
