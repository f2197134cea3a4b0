//! The port for applications of other dialects: what an application gives the host, and what the host gives it.
//!
//! An [`AppBuilder`] makes an application live; the host asks the [`App`] for the routes of its listeners' requests, has it
//! answer them, and shows what it has beside the plan's own upstreams and breakers. The host knows no dialect by name.

mod circuit;

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use fusebox_breaker::Timestamp;
use fusebox_plan::Plan;
use http::{Request, Response};
use hyper::body::Incoming;
use tokio_rustls::rustls::ClientConfig;

pub use circuit::{Circuit, CircuitFault, CircuitFlaw, Steer};

use crate::ground::clock::Clock;
use crate::ground::meter::RequestMeters;
use crate::ground::stores::StoreHandle;
use crate::message::body::Body;
use crate::request::exchange::{Exchange, Finish, Params};
use crate::request::worker::Worker;
use crate::upstream::breakers::Guarded;
use crate::upstream::upstream_errors::UpstreamErrors;

/// A future of an application's, in a box: the host does not know its type.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Builds the applications of one dialect. One value serves one gateway, and keeps what outlives a plan.
pub trait AppBuilder: fmt::Debug + Send + Sync {
    /// Makes the application of the host's plan live; `None`: its program is another dialect's.
    ///
    /// What of the `previous` application still fits goes on. `lost` takes a sentence for each thing that does not.
    /// Everything that can fail comes first, so that breakers are changed only by an application that runs.
    ///
    /// # Errors
    /// What the program asks for that cannot be had; nothing has changed then.
    fn build(
        &self,
        host: &Host<'_>,
        previous: Option<&Arc<dyn App>>,
        lost: &mut Vec<String>,
    ) -> Option<Result<Arc<dyn App>, String>>;
}

/// What the host gives to make an application live.
pub struct Host<'a> {
    /// The plan that the application is of.
    pub plan: &'a Arc<Plan>,
    /// The number of workers.
    pub workers: usize,
    /// The gateway's clock.
    pub clock: &'a Arc<Clock>,
    /// The listener of every breaker's transitions.
    pub listener: &'a Arc<dyn fusebox_breaker::Listener>,
    /// A store that outlives the process.
    pub durable: &'a StoreHandle,
    /// A store that is gone with the process.
    pub volatile: &'a StoreHandle,
    /// Makes, when it is first asked for, the TLS configuration that trusts the system's certificates.
    pub system_tls: Arc<dyn Fn() -> Arc<ClientConfig> + Send + Sync>,
    /// The counters of the requests to a target, by its name; kept over reloads.
    pub meter: &'a dyn Fn(&Arc<str>) -> RequestMeters,
    /// The errors of a target by kind, by its name; kept over reloads.
    pub errors: &'a dyn Fn(&Arc<str>) -> Arc<UpstreamErrors>,
}

impl fmt::Debug for Host<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host").finish_non_exhaustive()
    }
}

/// A target of an application's own requests, as metrics show it.
#[derive(Debug, Clone)]
pub struct Target {
    /// Its name: `ACTION/SERVICE`, or that of a configuration.
    pub name: Arc<str>,
    /// The counters of its requests.
    pub meter: RequestMeters,
    /// Its errors by kind.
    pub errors: Arc<UpstreamErrors>,
}

/// The route that takes a request: its place in the plan, and the path's parameters. Or the answer where none does.
pub type Found = Result<(usize, Params), Box<Response<Body>>>;

/// An application as it runs.
pub trait App: Any + fmt::Debug + Send + Sync {
    /// Finds the route of a request that came through one of the application's listeners.
    fn find(&self, listener: &str, request: &Request<Incoming>) -> Found;

    /// Answers a request whose route has the step of that number.
    fn serve(
        self: Arc<Self>,
        step: usize,
        exchange: Exchange,
        request: Request<Incoming>,
        finish: Finish,
    ) -> Pending<'static, Response<Body>>;

    /// Its own breakers that ask for no upstream, each with the name of what it belongs to.
    fn breakers(&self) -> Vec<(Arc<str>, Guarded)>;

    /// The targets of its own requests.
    fn targets(&self) -> Vec<Target>;

    /// The idle connections of its own, by the URL that they lead to.
    fn idle_connections(&self) -> Vec<(String, usize)>;

    /// Closes connections of a worker that have been idle for too long.
    fn sweep(&self, worker: usize, now: Timestamp);

    /// The circuits that it builds by hand, as their entries say now.
    ///
    /// # Errors
    /// Where an object store does not answer.
    fn circuits(&self) -> Pending<'_, Result<Vec<Circuit>, CircuitFault>>;

    /// The circuit of a name; `None`: there is none.
    ///
    /// # Errors
    /// Where its object store does not answer.
    fn circuit<'a>(&'a self, name: &'a str) -> Pending<'a, Result<Option<Circuit>, CircuitFault>>;

    /// Does what an operator wants with a circuit; `None`: there is none of that name.
    ///
    /// # Errors
    /// Where its object store does not answer, or its entry is not one that can be written so.
    fn steer<'a>(
        &'a self,
        name: &'a str,
        steer: Steer,
    ) -> Pending<'a, Result<Option<Circuit>, CircuitFault>>;

    /// Begins what the application does by itself, beside requests, on the runtime that this is called on; what is
    /// returned stops that when it is dropped. `worker` stands for that runtime and waits for what runs at the end.
    fn begin(self: Arc<Self>, worker: &Arc<Worker>) -> Option<Box<dyn Any + Send>>;

    /// What is lost with it when a plan without it takes its place, in sentences.
    fn lost(&self) -> Vec<String>;
}

impl dyn App {
    /// The application as its dialect's own type; `None`: it is another dialect's.
    pub fn of<T: App>(&self) -> Option<&T> {
        (self as &dyn Any).downcast_ref()
    }
}
