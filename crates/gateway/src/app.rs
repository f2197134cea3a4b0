//! The port for applications of other dialects: the host's side and the application's side of running one.
//!
//! An [`AppBuilder`] makes an application live; the host asks the [`App`] for the routes of its listeners' requests,
//! has it answer them, and lists its upstreams and breakers with the plan's own. The host knows no dialect by name.

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

/// An application's future in a box, since the host does not know its type.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Builds the applications of one dialect. One value serves one gateway, and keeps the state that outlives a plan.
pub trait AppBuilder: fmt::Debug + Send + Sync {
    /// Makes the application of the host's plan live; `None`: its program belongs to another dialect.
    ///
    /// Parts of the `previous` application that still fit are kept. `lost` takes a sentence for each part that is not.
    /// Everything that can fail comes first, so that breakers are changed only by an application that runs.
    ///
    /// # Errors
    /// The unavailable resource that the program asks for; nothing has changed then.
    fn build(
        &self,
        host: &Host<'_>,
        previous: Option<&Arc<dyn App>>,
        lost: &mut Vec<String>,
    ) -> Option<Result<Arc<dyn App>, String>>;
}

/// The host's resources for an application.
pub struct Host<'a> {
    /// The plan with the application.
    pub plan: &'a Arc<Plan>,
    /// The number of workers.
    pub workers: usize,
    /// The gateway's clock.
    pub clock: &'a Arc<Clock>,
    /// Makes the listener of the breakers of one part of the application, such as an action, by the part's name.
    pub listener: &'a dyn Fn(&Arc<str>) -> Arc<dyn fusebox_breaker::Listener>,
    /// A store that outlives the process.
    pub durable: &'a StoreHandle,
    /// A store that ends with the process.
    pub volatile: &'a StoreHandle,
    /// The authorities for targets whose application sets none.
    pub trust: &'a Trust,
    /// Makes a target of the application's own requests live, with the plan's guard of that name before it. The
    /// application sets the time limits and the pools; the target's counters are kept over reloads by its name.
    pub target: &'a dyn Fn(Upstream, Pools) -> Arc<LiveUpstream>,
}

/// The route that takes a request, as its index in the plan with the path's parameters; or the answer if none does.
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

    /// The application's own breakers without an upstream, each with the name of the part that it belongs to.
    fn breakers(&self) -> Vec<(Arc<str>, LiveBreaker)>;

    /// The targets of its own requests, by name: `ACTION/SERVICE`, or the configuration's. Several may share their
    /// pools.
    fn targets(&self) -> Vec<Arc<LiveUpstream>>;

    /// The circuits that it builds by hand, as their entries are now; none by default.
    ///
    /// # Errors
    /// If an object store does not answer.
    fn circuits(&self) -> Pending<'_, Result<Vec<Circuit>, CircuitFault>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    /// The circuit of a name; `None` without one.
    ///
    /// # Errors
    /// If its object store does not answer.
    fn circuit<'a>(&'a self, _name: &'a str) -> Pending<'a, Result<Option<Circuit>, CircuitFault>> {
        Box::pin(async { Ok(None) })
    }

    /// Carries out an operator's command on a circuit; `None`: no circuit has that name.
    ///
    /// # Errors
    /// If its object store does not answer, or its entry cannot be changed so.
    fn steer<'a>(
        &'a self,
        _name: &'a str,
        _steer: Steer,
    ) -> Pending<'a, Result<Option<Circuit>, CircuitFault>> {
        Box::pin(async { Ok(None) })
    }

    /// Begins the application's own work beside requests, on the present runtime; dropping the returned value stops it.
    /// `worker` belongs to that runtime and waits for running work at the end.
    fn begin(self: Arc<Self>, _worker: &Arc<Worker>) -> Option<Box<dyn Any + Send>> {
        None
    }

    /// The state that is lost when a plan without the application takes its place, in sentences.
    fn lost(&self) -> Vec<String> {
        Vec::new()
    }
}

impl dyn App {
    /// The application as its dialect's own type; `None`: it belongs to another dialect.
    pub fn of<T: App>(&self) -> Option<&T> {
        (self as &dyn Any).downcast_ref()
    }
}
