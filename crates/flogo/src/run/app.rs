//! A Flogo application as an application of the host: routing, answers, breakers and targets.

use std::sync::Arc;

use fusebox_gateway::app::{self, App, Host, Pending};
use fusebox_gateway::parts::{Body, Exchange, Finish, LiveBreaker, LiveUpstream, answer, done};
use http::{Request, Response};
use hyper::body::Incoming;

use super::build::{Builder, Counters, LiveApp};
use super::router::Found;
use super::{reply, trigger};
use crate::App as Plan;

/// Builds applications of Project Flogo, and owns the process's counters.
#[derive(Debug, Default)]
pub struct Apps {
    counters: Counters,
}

impl app::AppBuilder for Apps {
    fn build(
        &self,
        host: &Host<'_>,
        previous: Option<&Arc<dyn App>>,
        lost: &mut Vec<String>,
    ) -> Option<Result<Arc<dyn App>, String>> {
        let plan = host.plan.program::<Plan>()?;
        let builder = Builder {
            host,
            counters: &self.counters,
            previous: previous.and_then(|previous| previous.of::<LiveApp>()),
        };
        let built = builder.build(&plan, lost);
        Some(built.map(|app| -> Arc<dyn App> { Arc::new(app) }))
    }
}

impl App for LiveApp {
    fn find(&self, listener: &str, request: &Request<Incoming>) -> app::Found {
        let (method, path) = (request.method(), request.uri().path());
        let Some(router) = self.router(listener) else {
            return Err(Box::new(answer::our_fault()));
        };
        Err(Box::new(match router.find(method, path) {
            Found::Route { route, params } => return Ok((route, params)),
            Found::Moved(path) => reply::moved(method, &path, request.uri().query()),
            Found::Preflight => reply::preflight(request.headers(), &self.cors),
            Found::WrongMethod(allow) => reply::wrong_method(&allow),
            Found::Nothing => reply::no_handler(),
        }))
    }

    fn serve(
        self: Arc<Self>,
        step: usize,
        exchange: Exchange,
        request: Request<Incoming>,
        finish: Finish,
    ) -> Pending<'static, Response<Body>> {
        match self.handlers.get(step).cloned() {
            Some(handler) => Box::pin(trigger::serve(self, handler, exchange, request, finish)),
            None => Box::pin(async { done(finish, answer::our_fault()) }),
        }
    }

    fn breakers(&self) -> Vec<(Arc<str>, LiveBreaker)> {
        let own = self.own_breakers();
        own.map(|(action, live_breaker)| (action.clone(), live_breaker.clone()))
            .collect()
    }

    fn targets(&self) -> Vec<Arc<LiveUpstream>> {
        self.targets().cloned().collect()
    }
}
