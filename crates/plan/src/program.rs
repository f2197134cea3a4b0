//! The program of an application: a dialect's own result of reading, which a plan carries without looking inside.

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde_json::{Map, Value};

/// The program of an application of another dialect, as that dialect has read it.
///
/// A plan carries at most one. Its listeners and routes belong to the plan; the behaviour of a route's [`Step::App`]
/// belongs to the program, by the step's number. The dialect's own crate gets its program back from
/// [`Plan::program`](crate::plan::Plan::program).
///
/// [`Step::App`]: crate::plan::Step::App
pub trait Program: Any + fmt::Debug + Send + Sync {
    /// The name of the dialect, such as `flogo`.
    fn dialect(&self) -> &'static str;

    /// Compares two whole programs; programs of different dialects differ.
    fn equals(&self, other: &dyn Program) -> bool;

    /// Compares the behaviour of a step with that of another program's step.
    fn same_step(&self, step: usize, other: &dyn Program, other_step: usize) -> bool;

    /// The parts beside the routes that differ from those of the program before (`None`: no program), as a reload
    /// reports them.
    fn changed_parts(&self, before: Option<&dyn Program>) -> Vec<&'static str>;

    /// The targets of the requests that the program makes itself. Names are unique.
    fn targets(&self) -> Vec<Target>;

    /// The names of the program's own breakers.
    fn breakers(&self) -> Vec<Arc<str>>;

    /// The numbers of its parts that a summary counts, each with the singular of its noun. Default: none.
    fn counts(&self) -> Vec<(usize, &'static str)> {
        Vec::new()
    }

    /// The schedules by which the program starts something by itself, with the next run of each if the program is started
    /// at `now`. By default empty.
    fn schedules(&self, _now: SystemTime) -> Vec<Schedule> {
        Vec::new()
    }

    /// The keys that a step has in the plan's JSON; no value in it is secret.
    fn show_step(&self, step: usize) -> Map<String, Value>;

    /// The keys that the program adds to the plan's JSON; no value in it is secret.
    fn show(&self) -> Map<String, Value>;
}

impl PartialEq for dyn Program {
    fn eq(&self, other: &dyn Program) -> bool {
        self.equals(other)
    }
}

impl dyn Program {
    /// The program as its dialect's own type; `None` if it belongs to another dialect.
    pub fn of<T: Program>(&self) -> Option<&T> {
        (self as &dyn Any).downcast_ref()
    }
}

/// A schedule of an application, as messages show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// The name of what it starts.
    pub name: Arc<str>,
    /// The time of its next run by RFC 3339, with the offset of the schedule's own zone; `None`: it never runs again.
    pub next: Option<String>,
}

/// A target of an application's own requests, which a native file beside it may put a breaker before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The full name, unique in the application: that of its live upstream.
    pub name: Arc<str>,
    /// The name of the service in the file, such as `Order_Service` or `Pets/PetStorePets`. Several parts of an
    /// application may use a service, each as a target of its own.
    pub service: Arc<str>,
    /// The name that the service also goes by where no other one has it; `None`: the full one alone.
    pub short_name: Option<Arc<str>>,
    /// The service's address: the URL without its path.
    pub address: String,
    /// The longest wait for an answer that the application allows; `None`: it is not known, or has no end.
    pub request_timeout: Option<OwnTimeout>,
}

/// A time limit in an application's file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnTimeout {
    /// The longest time allowed.
    pub time: Duration,
    /// The setting in messages, such as "the `responseTimeout` of `Order_Service`".
    pub setting: String,
}
