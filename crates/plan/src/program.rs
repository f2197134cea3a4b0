//! The program of an application: what a dialect made of its files, which a plan carries and does not look into.

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

/// The program of an application of another dialect, as that dialect has read it.
///
/// A plan carries at most one. Its listeners and routes are the plan's; what a route's [`Step::App`] does is the
/// program's alone, by the step's number. The dialect's own crate finds its program again with [`Plan::program`](crate::plan::Plan::program).
///
/// [`Step::App`]: crate::plan::Step::App
pub trait Program: Any + fmt::Debug + Send + Sync {
    /// The name of the dialect, such as `flogo`.
    fn dialect(&self) -> &'static str;

    /// Compares two programs as a whole; programs of different dialects differ.
    fn equals(&self, other: &dyn Program) -> bool;

    /// Compares what a step does with what another program's step does.
    fn same_step(&self, step: usize, other: &dyn Program, other_step: usize) -> bool;

    /// The names of the program's parts beyond its routes that are not those of the program before it (`None`: there
    /// was none), as a reload says them.
    fn changed_parts(&self, before: Option<&dyn Program>) -> Vec<&'static str>;

    /// The targets of the requests that the program makes itself. Names are unique.
    fn targets(&self) -> Vec<Target>;

    /// The names of the program's own breakers.
    fn breakers(&self) -> Vec<Arc<str>>;

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
    /// The program as its dialect's own type; `None`: it is another dialect's.
    pub fn of<T: Program>(&self) -> Option<&T> {
        (self as &dyn Any).downcast_ref()
    }
}

/// A target of an application's own requests, which a native file beside it may put a breaker before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The full name, such as `Order_Service` or `Pets/PetStorePets`: that of its live upstream.
    pub name: Arc<str>,
    /// The name that it also goes by where no other target has it; `None`: the full one alone.
    pub short_name: Option<Arc<str>>,
    /// The longest wait for an answer's head that the application allows; `None`: it is not known, or has no end.
    pub request_timeout: Option<Duration>,
}
