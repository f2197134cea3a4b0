//! A Mule application as the host sees it: finding a request's flow, serving it, listing circuits.

use std::any::Any;
use std::sync::Arc;

use fusebox_gateway::app::{self, App, Circuit, CircuitFault, Host, Pending, Steer};
use fusebox_gateway::parts::{Body, Exchange, Finish, LiveBreaker, LiveUpstream, Worker, answer};
use http::{Request, Response};
use hyper::body::Incoming;

use super::build::{LiveApp, build};
use super::circuits;
use super::cors;
use super::listener;
use super::router::RouteMatch;
use super::scheduler::Tasks;
use crate::app::{App as Plan, FlowId};

/// Builds Mule 4 applications.
#[derive(Debug, Default)]
pub struct Apps;

impl app::AppBuilder for Apps {
    fn build(
        &self,
        host: &Host<'_>,
        previous: Option<&Arc<dyn App>>,
        lost: &mut Vec<String>,
    ) -> Option<Result<Arc<dyn App>, String>> {
        let plan = host.plan.program::<Plan>()?;
        let previous = previous.and_then(|previous| previous.of::<LiveApp>());
        let built = build(&plan, host, previous, lost);
        Some(built.map(|app| -> Arc<dyn App> { Arc::new(app) }))
    }
}

impl App for LiveApp {
    fn find(&self, listener: &str, request: &Request<Incoming>) -> app::Found {
        let path = request.uri().path();
        let Some(router) = self.router(listener) else {
            return Err(Box::new(answer::our_fault()));
        };
        let found = router.find(request.method(), path);
        let cors = self.cors(listener);
        if let (Some(cors), false) = (cors, found == RouteMatch::Nothing)
            && let Some(response) = cors::preflight(cors, request)
        {
            return Err(Box::new(response));
        }
        let mut response = match found {
            RouteMatch::Flow { route, params } => return Ok((route, params)),
            RouteMatch::WrongMethod(takes) => listener::wrong_method(path, &takes),
            RouteMatch::Nothing => listener::no_listener(path),
        };
        if let Some(cors) = cors {
            let granted = cors::granted(cors, request.method(), request.headers());
            granted.add(response.headers_mut());
        }
        Err(Box::new(response))
    }

    fn serve(
        self: Arc<Self>,
        step: usize,
        exchange: Exchange,
        request: Request<Incoming>,
        finish: Finish,
    ) -> Pending<'static, Response<Body>> {
        Box::pin(listener::serve(
            self,
            FlowId(step),
            exchange,
            request,
            finish,
        ))
    }

    fn breakers(&self) -> Vec<(Arc<str>, LiveBreaker)> {
        Vec::new()
    }

    fn targets(&self) -> Vec<Arc<LiveUpstream>> {
        self.clients.targets().cloned().collect()
    }

    fn circuits(&self) -> Pending<'_, Result<Vec<Circuit>, CircuitFault>> {
        Box::pin(circuits::all(self))
    }

    fn circuit<'a>(&'a self, name: &'a str) -> Pending<'a, Result<Option<Circuit>, CircuitFault>> {
        Box::pin(circuits::one(self, name))
    }

    fn steer<'a>(
        &'a self,
        name: &'a str,
        steer: Steer,
    ) -> Pending<'a, Result<Option<Circuit>, CircuitFault>> {
        Box::pin(circuits::steer(self, name, steer))
    }

    fn begin(self: Arc<Self>, worker: &Arc<Worker>) -> Option<Box<dyn Any + Send>> {
        Some(Box::new(Tasks::begin(&self, worker)))
    }

    fn lost(&self) -> Vec<String> {
        self.queues.lost().collect()
    }
}
