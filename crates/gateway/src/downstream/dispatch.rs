//! The way of a request through the gateway: validation, route, steps, answer.

use std::cmp::Reverse;
use std::sync::Arc;

use fusebox_plan::plan::Route;
use http::header::ORIGIN;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;

use crate::app::Found;
use crate::downstream::cors;
use crate::downstream::session;
use crate::ground::access_log::note::Flag;
use crate::ground::access_log::scope;
use crate::live::live_plan::{Live, LiveListener, LiveStep};
use crate::live::shared::Shared;
use crate::message::body::Body;
use crate::message::field_kinds::FieldKinds;
use crate::message::fields;
use crate::message::grpc::{self, GrpcRequest};
use crate::message::validate::{self, Refused};
use crate::request::answer;
use crate::request::downstream::Downstream;
use crate::request::exchange::{Exchange, Finish, done, unread};
use crate::request::forward;
use crate::request::grpc_answer;
use crate::request::target;

/// The reason of a refusal by 421 (RFC 9110, section 15.5.20).
const MISDIRECTED: &str =
    "this connection was made for a host with another certificate: open one for this host";

/// Serves one request of a client's connection, whose fields are of those kinds; `read` is the fault that was found in
/// it before.
pub async fn serve(
    shared: &Shared,
    downstream: Arc<Downstream>,
    request: Request<Incoming>,
    found: FieldKinds,
    read: Result<(), Refused>,
    finish: Finish,
) -> Response<Body> {
    let brought = found.has(FieldKinds::REQUEST_ID);
    let brought = brought.then(|| fields::request_id(request.headers()));
    let made = || downstream.worker.ids.request_id();
    let id = brought.flatten().unwrap_or_else(made);
    let mut response = take(shared, downstream, request, found, read, id.clone(), finish).await;
    response.headers_mut().insert(fields::X_REQUEST_ID, id);
    response
}

async fn take(
    shared: &Shared,
    downstream: Arc<Downstream>,
    mut request: Request<Incoming>,
    found: FieldKinds,
    read: Result<(), Refused>,
    id: HeaderValue,
    mut finish: Finish,
) -> Response<Body> {
    let has_type = found.has(FieldKinds::CONTENT_TYPE) && request.method() == Method::POST;
    let is_grpc = has_type && grpc::is_grpc(request.headers());
    if is_grpc {
        downstream.phase.noted.with(|note| note.is_grpc());
    }
    // Our own answers, as the client understands them.
    let told = |answer: Response<Body>| match is_grpc {
        true => grpc_answer::told(answer),
        false => answer,
    };
    let live = shared.plan_for(&downstream.listener);
    let Some(listener) = live.listener(&downstream.listener) else {
        // The listener is gone for a while; its last connections have been signalled to end.
        let (status, why) = (StatusCode::SERVICE_UNAVAILABLE, "this listener is closing");
        say_refused(&id, &request, status, why);
        downstream.phase.noted.with(|note| {
            note.identify(&id, None);
            note.fixed_reason(why);
        });
        return told(done(finish, answer::refused(status, why)));
    };
    downstream.phase.noted.with(|note| {
        let trusted = listener.rules.trusts(downstream.peer.ip());
        let origin = trusted.then(|| downstream.origin(trusted));
        let client = origin.map(|origin| fields::client(request.headers(), &origin));
        note.identify(&id, client);
    });
    // An application's router reads a path by its own rules.
    let native = listener.router.is_some();
    let read = read
        .and_then(|()| target::normalise(&mut request, native))
        .and_then(|()| validate::inspect(&request, found, listener.rules.paths))
        .and_then(|()| grpc_request(&request, is_grpc, &finish));
    let grpc = match read {
        Ok(grpc) => grpc,
        Err(refused) => {
            downstream.worker.meter().requests_refused.add();
            say_refused(&id, &request, refused.status, refused.why);
            downstream.phase.noted.with(|note| {
                note.fixed_reason(refused.why);
                note.flag(Flag::BadRequest);
            });
            return told(done(finish, answer::refused(refused.status, refused.why)));
        }
    };
    if session::is_misdirected(&downstream, listener, request.headers()) {
        let status = StatusCode::MISDIRECTED_REQUEST;
        downstream.worker.meter().requests_refused.add();
        say_refused(&id, &request, status, MISDIRECTED);
        downstream.phase.noted.with(|note| {
            note.fixed_reason(MISDIRECTED);
            note.flag(Flag::BadRequest);
        });
        return told(unread(finish, answer::refused(status, MISDIRECTED), request).await);
    }
    if request.uri().path() == "*" {
        return unread(finish, answer::options(), request).await;
    }
    let origin = |request: &Request<Incoming>| request.headers().get(ORIGIN).cloned();
    // Before the breaker, the bulkhead and the route's own methods: a browser asks ahead of the call.
    if let Some((route, method)) = preflighted(&live, listener, &request) {
        let route = &live.routes[route];
        finish.takes(&route.facts);
        let mut answer = answer::options();
        let is_let_in = finish_answer(&route.plan, origin(&request).as_ref(), &mut answer);
        if let (true, Some(cors)) = (is_let_in, &route.plan.cors) {
            cors::grant(cors, &route.plan, &method, answer.headers_mut());
        }
        return unread(finish, answer, request).await;
    }
    let (route, params) = match find(&live, listener, &request) {
        Ok(found) => found,
        Err(answer) => {
            downstream.worker.meter().requests_unrouted.add();
            if let Some(reason) = say_unrouted(&id, &request, answer.status()) {
                downstream.phase.noted.with(|note| {
                    note.fixed_reason(reason);
                    note.flag(Flag::NoRoute);
                });
            }
            // An application answers in its own words.
            let answer = match native {
                true => told(*answer),
                false => *answer,
            };
            return unread(finish, answer, request).await;
        }
    };
    let route = &live.routes[route];
    finish.takes(&route.facts);
    let exchange = Exchange {
        downstream,
        worker: finish.worker.clone(),
        listener: listener.rules.clone(),
        route: route.facts.clone(),
        found,
        params,
        id,
        grpc,
    };
    let origin = route.plan.cors.as_ref().and_then(|_| origin(&request));
    // The first step answers, which ends the route.
    let mut answer = match route.steps.first() {
        Some(LiveStep::Respond(respond)) => unread(finish, answer::fixed(respond), request).await,
        Some(LiveStep::Forward(step)) => {
            told(forward::forward(&exchange, step, request, finish).await)
        }
        Some(LiveStep::App(step)) => match live.app.clone() {
            Some(app) => {
                let note = exchange.downstream.phase.noted.get();
                scope::within(note, app.serve(*step, exchange, request, finish)).await
            }
            None => done(finish, answer::our_fault()),
        },
        None => done(finish, answer::our_fault()),
    };
    finish_answer(&route.plan, origin.as_ref(), &mut answer);
    answer
}

/// The gRPC side of a request, if it is one of gRPC.
///
/// # Errors
/// A malformed `grpc-timeout`, or malformed binary metadata.
fn grpc_request(
    request: &Request<Incoming>,
    is_grpc: bool,
    finish: &Finish,
) -> Result<Option<GrpcRequest>, validate::Refused> {
    if !is_grpc {
        return Ok(None);
    }
    if !grpc::is_metadata_sound(request.headers()) {
        return Err(validate::bad(
            "malformed binary metadata; expected base64 in the fields whose names end with `-bin`",
        ));
    }
    let read = GrpcRequest::read(request.headers(), finish.worker.clock.exact());
    read.map(Some).ok_or(validate::Refused {
        status: StatusCode::BAD_REQUEST,
        why: "malformed grpc-timeout; expected at most 8 digits and a unit, one of H, M, S, m, u and n",
    })
}

/// Makes a route's changes to an answer, an upstream's or our own; true if the origin is let in.
fn finish_answer(route: &Route, origin: Option<&HeaderValue>, answer: &mut Response<Body>) -> bool {
    let headers = answer.headers_mut();
    if route.cors.is_some() {
        cors::strip(headers);
    }
    if !route.response.is_empty() {
        route.response.apply(headers, None);
    }
    let cors = route.cors.as_ref();
    cors.is_some_and(|cors| cors::add(cors, origin, headers))
}

/// Logs at debug level why a request was refused before it had a route. The query may hold secrets, so it is left out.
fn say_refused(id: &HeaderValue, request: &Request<Incoming>, status: StatusCode, reason: &str) {
    let request_id = id.to_str().unwrap_or_default();
    let (method, path) = (request.method(), request.uri().path());
    let status = status.as_u16();
    tracing::debug!(request_id, %method, path, status, reason, "request refused");
}

/// The same for a request without a route, returning the reason; preflights and redirections are not refusals.
fn say_unrouted(
    id: &HeaderValue,
    request: &Request<Incoming>,
    status: StatusCode,
) -> Option<&'static str> {
    let reason = match status {
        StatusCode::NOT_FOUND => "no route takes this host and path",
        StatusCode::METHOD_NOT_ALLOWED => "this path does not take this method",
        status if status.is_client_error() => "no route takes this request",
        _ => return None,
    };
    say_refused(id, request, status, reason);
    Some(reason)
}

/// The route that takes a request, as its index in the plan, and the path's parameters; or the answer if none does.
fn find(live: &Live, listener: &LiveListener, request: &Request<Incoming>) -> Found {
    let (method, path) = (request.method(), request.uri().path());
    let Some(router) = &listener.router else {
        let name = &listener.rules.name;
        let app = live.app.as_ref();
        let app = app.ok_or_else(|| Box::new(answer::our_fault()))?;
        return app.find(name, request);
    };
    let fits = |route: &usize| live.routes[*route].fits(request.headers());
    let (routes, params) = router
        .find(|| target::host(request), path, fits)
        .ok_or_else(|| Box::new(answer::no_route()))?;
    let fitting = || routes.iter().filter(|route| fits(route));
    let Some(route) = pick(live, fitting(), method) else {
        let allow = live.allow(fitting());
        return Err(Box::new(answer::wrong_method(&allow)));
    };
    if !live.routes[*route].reads_params {
        return Ok((*route, Vec::new()));
    }
    let params = params.iter();
    let params = params.map(|(name, value)| (name.to_owned(), value.to_owned()));
    Ok((*route, params.collect()))
}

/// The route whose preflight the gateway answers, and the method that it asks for.
fn preflighted(
    live: &Live,
    listener: &LiveListener,
    request: &Request<Incoming>,
) -> Option<(usize, Method)> {
    let method = cors::asked(request)?;
    let router = listener.router.as_ref()?;
    let may_fit = |route: &usize| cors::may_fit(&live.routes[*route].plan, request.headers());
    let path = request.uri().path();
    let (routes, _) = router.find(|| target::host(request), path, may_fit)?;
    let fitting = || routes.iter().filter(|route| may_fit(route));
    let has_cors = |route: &usize| live.routes[*route].plan.cors.is_some();
    // A method that no route takes is one that the answer does not grant.
    let route = match pick(live, fitting(), &method) {
        Some(route) => Some(route).filter(|route| has_cors(route)),
        None => fitting().find(|route| has_cors(route)),
    };
    Some((*route?, method))
}

/// The one of these routes of a path that takes a method: it asks for the most fields, then lists the method, then comes
/// first.
fn pick<'a>(
    live: &Live,
    routes: impl Iterator<Item = &'a usize>,
    method: &Method,
) -> Option<&'a usize> {
    let taking = routes.filter(|route| live.routes[**route].takes(method));
    taking.min_by_key(|route| {
        let route = &live.routes[**route];
        (Reverse(route.plan.headers.len()), !route.names(method))
    })
}
