//! The way of a request through the gateway: guards, route, steps, answer.

use std::sync::Arc;

use http::{HeaderValue, Request, Response, StatusCode};
use hyper::body::Incoming;

use crate::flogo::{self, Found};
use crate::ground::clock::Desk;
use crate::live::live_plan::{Finds, Live, LiveListener, LiveStep};
use crate::message::body::Body;
use crate::message::fields;
use crate::message::guard;
use crate::mule;
use crate::request::answer;
use crate::request::client::Client;
use crate::request::exchange::{Exchange, Finish, Params, done, unread};
use crate::request::forward;
use crate::request::target;

/// Serves one request of a client's connection.
pub async fn serve(
    client: Arc<Client>,
    request: Request<Incoming>,
    finish: Finish,
) -> Response<Body> {
    let desk = finish.desk.clone();
    let id =
        fields::request_id(request.headers()).unwrap_or_else(|| client.worker.ids.request_id());
    let mut response = take(client, desk, request, id.clone(), finish).await;
    response.headers_mut().insert(fields::X_REQUEST_ID, id);
    response
}

async fn take(
    client: Arc<Client>,
    desk: Desk,
    mut request: Request<Incoming>,
    id: HeaderValue,
    mut finish: Finish,
) -> Response<Body> {
    let live = client.worker.shared.plan_for(&client.listener);
    let Some(listener) = live.listener(&client.listener) else {
        // The listener is gone for a while; its last connections have been told to go.
        let (status, why) = (StatusCode::SERVICE_UNAVAILABLE, "this listener is closing");
        say_refused(&id, &request, status, why);
        return done(finish, answer::refused(status, why));
    };
    // Flogo's router and Mule's read a path in their own ways.
    let native = matches!(listener.finds, Finds::Native(_));
    let read = target::normalise(&mut request, native)
        .and_then(|()| guard::inspect(&request, listener.rules));
    if let Err(refused) = read {
        client.worker.meter().requests_refused.add();
        say_refused(&id, &request, refused.status, refused.why);
        return done(finish, answer::refused(refused.status, refused.why));
    }
    if request.uri().path() == "*" {
        return unread(finish, answer::options(), request).await;
    }
    let (route, params) = match find(&live, listener, &request) {
        Ok(found) => found,
        Err(answer) => {
            client.worker.meter().requests_unrouted.add();
            say_unrouted(&id, &request, answer.status());
            return unread(finish, *answer, request).await;
        }
    };
    let route = live.routes[route].clone();
    finish.route = Some(route.clone());
    let exchange = Exchange {
        client,
        desk,
        live: live.clone(),
        route,
        params,
        id,
    };
    run(exchange, request, finish).await
}

/// Says at debug why a request was refused before it had a route. Its query may hold secrets, so it is left out.
fn say_refused(id: &HeaderValue, request: &Request<Incoming>, status: StatusCode, reason: &str) {
    let request_id = id.to_str().unwrap_or_default();
    let (method, path) = (request.method(), request.uri().path());
    let status = status.as_u16();
    tracing::debug!(request_id, %method, path, status, reason, "request refused");
}

/// The same for one that no route takes; preflights and redirections are no refusals.
fn say_unrouted(id: &HeaderValue, request: &Request<Incoming>, status: StatusCode) {
    let reason = match status {
        StatusCode::NOT_FOUND => "no route has this path",
        StatusCode::METHOD_NOT_ALLOWED => "this path does not take this method",
        status if status.is_client_error() => "no route takes this request",
        _ => return,
    };
    say_refused(id, request, status, reason);
}

/// The route that takes a request, by its place in the plan, and the path's parameters; or the
/// answer where none does.
fn find(
    live: &Live,
    listener: &LiveListener,
    request: &Request<Incoming>,
) -> Result<(usize, Params), Box<Response<Body>>> {
    let (method, path) = (request.method(), request.uri().path());
    let router = match &listener.finds {
        Finds::Native(router) => router,
        Finds::Flows(router) => {
            return Err(Box::new(match router.find(method, path) {
                mule::Found::Flow { route, params } => return Ok((route, params)),
                mule::Found::WrongMethod(takes) => mule::wrong_method(path, &takes),
                mule::Found::Nothing => mule::no_listener(path),
            }));
        }
        Finds::Rest(router) => {
            return Err(Box::new(match router.find(method, path) {
                Found::Route { route, params } => return Ok((route, params)),
                Found::Moved(path) => flogo::moved(method, &path, request.uri().query()),
                Found::Preflight => match listener.cors() {
                    Some(cors) => flogo::preflight(request.headers(), cors),
                    None => answer::options(),
                },
                Found::WrongMethod(allow) => flogo::wrong_method(&allow),
                Found::Nothing => flogo::no_handler(),
            }));
        }
    };
    let found = router
        .find(path)
        .ok_or_else(|| Box::new(answer::no_route()))?;
    let names = |route: &&usize| live.routes[**route].names(method);
    let takes = |route: &&usize| live.routes[**route].takes(method);
    let routes = found.value.iter();
    let Some(route) = routes
        .clone()
        .find(names)
        .or_else(|| routes.clone().find(takes))
    else {
        let allow = live.allow(found.value);
        return Err(Box::new(answer::wrong_method(&allow)));
    };
    if !live.routes[*route].reads_params {
        return Ok((*route, Vec::new()));
    }
    let params = found.params.iter();
    let params = params.map(|(name, value)| (name.to_owned(), value.to_owned()));
    Ok((*route, params.collect()))
}

/// The route's steps in order; the first that answers ends them.
async fn run(exchange: Exchange, request: Request<Incoming>, finish: Finish) -> Response<Body> {
    let route = exchange.route.clone();
    match route.steps.first() {
        Some(LiveStep::Respond(respond)) => unread(finish, answer::fixed(respond), request).await,
        Some(LiveStep::Forward(step)) => forward::forward(exchange, step, request, finish).await,
        Some(LiveStep::Run(handler)) => {
            flogo::serve(exchange, handler.clone(), request, finish).await
        }
        Some(LiveStep::Flow(flow)) => mule::serve(exchange, *flow, request, finish).await,
        None => done(finish, answer::our_fault()),
    }
}
