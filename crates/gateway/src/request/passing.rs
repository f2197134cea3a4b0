//! Passes an upstream's answer on to the client: its head, its body as it comes, or the switch to another protocol.

use http::header::{CONNECTION, CONTENT_TYPE, UPGRADE};
use http::{HeaderValue, Response, StatusCode, Version};

use crate::message::body::Body;
use crate::message::field_kinds::FieldKinds;
use crate::message::fields;
use crate::message::request_body::Intake;
use crate::request::answer;
use crate::request::client_request::ClientRequest;
use crate::request::exchange::{Exchange, Finish};
use crate::request::response_body::ResponseBody;
use crate::request::tunnel;
use crate::upstream::answer_body::AnswerBody;
use crate::upstream::call::{Holder, UpstreamCall};
use crate::upstream::held_answer::HeldAnswer;
use crate::upstream::last_good::Recorder;

/// Passes an upstream's answer on to the client.
pub fn pass_on(
    exchange: &Exchange,
    request: &mut ClientRequest,
    answer: HeldAnswer,
    call: Option<Box<UpstreamCall>>,
    recorder: Option<Recorder>,
    mut finish: Finish,
) -> Response<Body> {
    let HeldAnswer {
        mut parts,
        found,
        ahead,
        rest,
        connection,
    } = answer;
    finish.answered(parts.status);
    let intake = request.intake.take();
    if parts.status == StatusCode::SWITCHING_PROTOCOLS {
        let (Some(call), Some(connection)) = (call, connection) else {
            return answer::our_fault();
        };
        connection.become_tunnel();
        let response = Response::from_parts(parts, rest);
        return switch(exchange, response, call, request.upgrade.take(), finish);
    }
    fields::strip_response(&mut parts.headers, found);
    parts.version = Version::HTTP_11;
    // The client has not been asked for its body, and never will be.
    if intake.as_deref().is_some_and(Intake::is_held) {
        let close = HeaderValue::from_static("close");
        parts.headers.insert(CONNECTION, close);
    }
    let call = call.map(|mut call| {
        if call.has_place() {
            let kind = parts.headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
            if kind.is_some_and(|kind| kind.starts_with(b"text/event-stream")) {
                call.becomes_stream();
            }
        }
        Holder::new(call)
    });
    let clock = exchange.worker.clock.clone();
    let left = exchange.grpc.and_then(|grpc| grpc.left(clock.exact()));
    let body = ResponseBody::new(rest, call, connection, intake, clock, finish)
        .within(left)
        .behind(ahead)
        .recorded(recorder);
    Response::from_parts(parts, Body::Streamed(Box::new(body)))
}

/// Joins both connections after the upstream has switched protocols, which is its success.
fn switch(
    exchange: &Exchange,
    response: Response<AnswerBody>,
    mut call: Box<UpstreamCall>,
    client: Option<hyper::upgrade::OnUpgrade>,
    mut finish: Finish,
) -> Response<Body> {
    let protocol = response.headers().get(UPGRADE).cloned();
    call.becomes_stream();
    let places = [call.takes_place(None), finish.place.take()];
    call.end(None);
    drop(finish);
    let (mut parts, body) = response.into_parts();
    let (Some(client), Some(upstream)) = (client, body.into_stream()) else {
        return answer::our_fault();
    };
    let found = FieldKinds::of_answer(&parts.headers);
    fields::strip_response(&mut parts.headers, found);
    parts
        .headers
        .insert(CONNECTION, HeaderValue::from_static("upgrade"));
    if let Some(protocol) = protocol {
        parts.headers.insert(UPGRADE, protocol);
    }
    let idle = exchange.listener.limits.upgrade_idle_timeout;
    let noted = exchange.downstream.phase.noted.take();
    tunnel::open(
        exchange.downstream.clone(),
        client,
        upstream,
        idle,
        places,
        noted,
    );
    Response::from_parts(parts, Body::empty())
}
