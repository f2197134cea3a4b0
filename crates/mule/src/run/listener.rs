//! The HTTP listener: makes an event of a request, runs the flow, and sends the response.
//!
//! A flow with `maxConcurrency` holds at most that number of requests between acceptance and response; further
//! requests get 503 at once. A run whose client disconnects continues and keeps its place.

mod attributes;
mod certificate;

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use http::header::{ALLOW, CONTENT_TYPE};
use http::{Extensions, HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;

use crate::app::{FlowId, Source};
use crate::{Event, Typed, Value, uuid};

pub use attributes::{ConnectionInfo, attributes};

use super::build::LiveApp;
use super::cors;
use super::gateway_world::GatewayWorld;
use super::respond::Responder;
use fusebox_gateway::parts::{
    Body, Exchange, Finish, Outliving, UpstreamError, answer, done, unread, whole_body,
};

/// The time limit of a run whose client has disconnected.
const WITHOUT_CLIENT: Duration = Duration::from_secs(3600);

const TEXT: HeaderValue = HeaderValue::from_static("text/plain");

/// The header fields that set an event's id; the first field present applies.
const CORRELATION: [&str; 2] = ["x-correlation-id", "mule_correlation_id"];

/// Runs a flow on a request and returns its response, with the fields for the origin of the script that asks.
pub async fn serve(
    app: Arc<LiveApp>,
    flow: FlowId,
    exchange: Exchange,
    request: Request<Incoming>,
    finish: Finish,
) -> Response<Body> {
    let granted = match &app.engine.app().flow(flow).source {
        Some(Source::Http(source)) => {
            let cors = source.config.cors.as_ref();
            cors.map(|cors| cors::granted(cors, request.method(), request.headers()))
        }
        _ => None,
    };
    let mut response = served(app, flow, exchange, request, finish).await;
    if let Some(granted) = granted {
        granted.add(response.headers_mut());
    }
    response
}

async fn served(
    app: Arc<LiveApp>,
    flow: FlowId,
    mut exchange: Exchange,
    request: Request<Incoming>,
    finish: Finish,
) -> Response<Body> {
    let Some(place) = app.gate(flow).enter() else {
        exchange.debug("request refused", "the flow's maxConcurrency is reached");
        return unread(finish, too_many(), request).await;
    };
    let (mut parts, body) = request.into_parts();
    let body = match whole_body::read(&exchange, body).await {
        Ok(body) => body,
        Err(fault) => {
            exchange.debug("request refused", UpstreamError::client(fault).word);
            return done(finish, answer::client_failed(fault));
        }
    };
    let plan = app.engine.app().flow(flow).clone();
    let Some(Source::Http(source)) = &plan.source else {
        return done(finish, answer::our_fault());
    };
    let media_type = match &source.media_type {
        Some(given) => Some(given.as_str().to_owned().into()),
        None => {
            let said = parts.headers.get(CONTENT_TYPE);
            said.map(|it| String::from_utf8_lossy(it.as_bytes()))
        }
    };
    let payload = Typed::received(body, media_type.as_deref());
    let correlation_id = correlation_id(&parts.headers);
    // Nothing in them is an attribute, and an event may last long.
    parts.extensions = Extensions::new();
    let attributes = {
        let (plan, params) = (plan.clone(), std::mem::take(&mut exchange.params));
        let session = exchange.downstream.session.clone();
        let (local, remote) = (exchange.downstream.local, exchange.downstream.peer);
        let scheme = exchange.downstream.scheme;
        // Most flows never look at them.
        Value::deferred(move || {
            let Some(Source::Http(source)) = &plan.source else {
                return Vec::new();
            };
            let session = session.as_ref();
            let connection = ConnectionInfo {
                local,
                remote,
                scheme,
                certificate: session.and_then(|session| session.certificate.as_deref()),
            };
            attributes::entries(source, &parts, &params, connection)
        })
    };
    let event = Event {
        payload,
        attributes,
        correlation_id,
        ..Event::default()
    };
    let worker = &exchange.downstream.worker;
    let world = GatewayWorld::of(&app, worker);
    let run = app.engine.run(&world, flow, event);
    let replying = {
        let plan = plan.clone();
        async move {
            let ended = run.await;
            let reply = match &plan.source {
                Some(Source::Http(source)) => {
                    let responder = Responder {
                        app: app.engine.app(),
                        flow: &plan.name,
                        source,
                        world: &*world,
                    };
                    Some(responder.reply(ended))
                }
                _ => None,
            };
            drop(place);
            reply
        }
    };
    let reply = Outliving::new(worker, Box::pin(replying), WITHOUT_CLIENT).await;
    match reply {
        Some(reply) => done(finish, reply.response()),
        None => done(finish, answer::our_fault()),
    }
}

/// The id in a request's header fields, or a new one.
fn correlation_id(headers: &HeaderMap) -> Arc<str> {
    let named = CORRELATION.iter().find_map(|name| headers.get(*name));
    let named = named.and_then(|id| id.to_str().ok());
    match named.filter(|id| !id.is_empty()) {
        Some(id) => id.into(),
        None => new_id(),
    }
}

/// A new unique id: a random UUID.
pub fn new_id() -> Arc<str> {
    uuid(fastrand::u128(..)).into()
}

/// The response if no listener has the path.
pub fn no_listener(path: &str) -> Response<Body> {
    let message = format!("No listener for endpoint: {}", escaped(path));
    text_response(StatusCode::NOT_FOUND, &message)
}

/// The response if listeners have the path, but only for the methods `takes`.
pub fn wrong_method(path: &str, takes: &[Method]) -> Response<Body> {
    let message = format!("Method not allowed for endpoint: {}", escaped(path));
    let mut response = text_response(StatusCode::METHOD_NOT_ALLOWED, &message);
    let takes: Vec<_> = takes.iter().map(Method::as_str).collect();
    let takes = HeaderValue::from_str(&takes.join(", "));
    let takes = takes.expect("methods are field values");
    response.headers_mut().insert(ALLOW, takes);
    response
}

/// The response if the flow has reached its limit of events.
fn too_many() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    response
}

fn text_response(status: StatusCode, message: &str) -> Response<Body> {
    let mut response = Response::new(Body::fixed(message.to_owned()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, TEXT);
    response
}

/// A text with the characters escaped that HTML gives a meaning.
pub(super) fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            char if char.is_control() => {
                write!(safe, "&#{};", u32::from(char)).expect("a String takes any text");
            }
            char => safe.push(char),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_has_the_id_that_the_request_brings() {
        let mut headers = HeaderMap::new();
        let made = correlation_id(&headers);
        assert_eq!((made.len(), &made[14..15]), (36, "4"));
        assert_ne!(made, correlation_id(&headers));
        headers.insert("mule_correlation_id", "b".parse().unwrap());
        assert_eq!(&*correlation_id(&headers), "b");
        headers.insert("x-correlation-id", "a".parse().unwrap());
        assert_eq!(&*correlation_id(&headers), "a");
    }

    #[test]
    fn a_path_is_told_without_its_markup() {
        assert_eq!(escaped("/a<b>&'\""), "/a&lt;b&gt;&amp;&#39;&quot;");
    }
}
