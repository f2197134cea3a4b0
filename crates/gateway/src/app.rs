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

use fusebox_plan::Plan;
use fusebox_plan::plan::Upstream;
use http::{Request, Response};
use hyper::body::Incoming;

pub use circuit::{Circuit, CircuitFault, CircuitFlaw, Steer};

use crate::ground::clock::Clock;
use crate::ground::stores::StoreHandle;
use crate::message::body::Body;
use crate::request::exchange::{Exchange, Finish, Params};
use crate::request::worker::Worker;
use crate::upstream::breakers::LiveBreaker;
use crate::upstream::live_upstream::LiveUpstream;
use crate::upstream::pool::Pools;
use crate::upstream::trust::Trust;

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
    /// The authorities of targets whose application names none.
    pub trust: &'a Trust,
    /// Makes a target of the application's own requests live, of which the application knows the times of its client,
    /// and the pools. What is counted of it is kept over reloads by its name.
    pub target: &'a dyn Fn(Upstream, Pools) -> Arc<LiveUpstream>,
}

impl fmt::Debug for Host<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host").finish_non_exhaustive()
    }
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
    fn breakers(&self) -> Vec<(Arc<str>, LiveBreaker)>;

    /// The targets of its own requests, by name: `ACTION/SERVICE`, or that of a configuration. Some may share their pools.
    fn targets(&self) -> Vec<Arc<LiveUpstream>>;

    /// The circuits that it builds by hand, as their entries say now. By default it builds none.
    ///
    /// # Errors
    /// Where an object store does not answer.
    fn circuits(&self) -> Pending<'_, Result<Vec<Circuit>, CircuitFault>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    /// The circuit of a name; `None`: there is none.
    ///
    /// # Errors
    /// Where its object store does not answer.
    fn circuit<'a>(&'a self, _name: &'a str) -> Pending<'a, Result<Option<Circuit>, CircuitFault>> {
        Box::pin(async { Ok(None) })
    }

    /// Does what an operator wants with a circuit; `None`: there is none of that name.
    ///
    /// # Errors
    /// Where its object store does not answer, or its entry is not one that can be written so.
    fn steer<'a>(
        &'a self,
        _name: &'a str,
        _steer: Steer,
    ) -> Pending<'a, Result<Option<Circuit>, CircuitFault>> {
        Box::pin(async { Ok(None) })
    }

    /// Begins what the application does by itself, beside requests, on the runtime that this is called on; what is
    /// returned stops that when it is dropped. `worker` stands for that runtime and waits for what runs at the end.
    fn begin(self: Arc<Self>, _worker: &Arc<Worker>) -> Option<Box<dyn Any + Send>> {
        None
    }

    /// What is lost with it when a plan without it takes its place, in sentences.
    fn lost(&self) -> Vec<String> {
        Vec::new()
    }
}

impl dyn App {
    /// The application as its dialect's own type; `None`: it is another dialect's.
    pub fn of<T: App>(&self) -> Option<&T> {
        (self as &dyn Any).downcast_ref()
    }
}
