//! A running action, with its services, which all runs share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::breaker::BreakerService;
use super::limiter::Limiter;
use super::quota::Quota;
use super::rest::Rest;
use super::scope::Names;
use crate::{Action, CounterOperation, Map, Mapping, Value};

/// A running action, built once per plan.
#[derive(Debug)]
pub struct LiveAction {
    /// The plan's action.
    pub plan: Arc<Action>,
    /// The services, in the plan's order.
    pub services: Vec<LiveService>,
    /// The names of the members of a service's context.
    pub names: Names,
}

/// A running service, shared by all runs of its action.
#[derive(Debug)]
pub struct LiveService {
    /// The service's name in the scope.
    pub name: Arc<str>,
    /// The initial inputs of each step.
    pub settings: Arc<Map>,
    /// The service's context before it has run.
    pub cleared: Value,
    /// The service's activity.
    pub activity: LiveActivity,
}

/// The activity of a running service.
#[derive(Debug)]
pub enum LiveActivity {
    /// Checks a breaker, or reports an outcome to it.
    Breaker(BreakerService),
    /// Calls another HTTP service.
    Rest(Rest),
    /// Counts and limits the calls of a token.
    Limit(Arc<Limiter>),
    /// Limits the time of a token's calls.
    Quota(Arc<Quota>),
    /// Judges a GraphQL request.
    #[cfg(feature = "graphql")]
    GraphQl(Arc<super::graphql::GraphQl>),
    /// Runs a script.
    #[cfg(feature = "script")]
    Script(Arc<str>),
    /// Checks a JSON Web Token.
    Jwt,
    /// Writes a line to the log.
    Log,
    /// Reads or changes a counter.
    Count(Counter, CounterOperation),
    /// Ends at once, without outputs.
    Nothing,
    /// Publishes a message on a channel.
    Publish,
    /// Adds values to the scope and ends the steps.
    Return(Mapping),
    /// Adds values to the scope and continues.
    Reply(Mapping),
}

/// A counter, shared by all services with its name.
#[derive(Debug, Clone, Default)]
pub struct Counter(Arc<AtomicU64>);

impl Counter {
    /// Applies an operation and returns the new value.
    pub fn apply(&self, operation: CounterOperation) -> u64 {
        match operation {
            CounterOperation::Get => self.0.load(Ordering::Acquire),
            CounterOperation::Increment => self.0.fetch_add(1, Ordering::AcqRel).wrapping_add(1),
            CounterOperation::Reset => {
                self.0.store(0, Ordering::Release);
                0
            }
        }
    }
}
