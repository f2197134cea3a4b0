//! An action as it runs: its services, made once and shared by all its runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::breaker::BreakerService;
use super::limiter::Limiter;
use super::rest::Rest;
use super::scope::Names;
use crate::{Action, CounterOperation, Map, Mapping, Value};

/// An action as it runs.
#[derive(Debug)]
pub struct LiveAction {
    /// The plan's action.
    pub plan: Arc<Action>,
    /// Its services, in the plan's order.
    pub services: Vec<LiveService>,
    /// The names in its services' parts of the scope.
    pub names: Names,
}

/// A service as it runs.
#[derive(Debug)]
pub struct LiveService {
    /// Its name in the scope.
    pub name: Arc<str>,
    /// What its inputs begin with.
    pub settings: Arc<Map>,
    /// Its part of the scope before it has run.
    pub cleared: Value,
    /// What it does.
    pub does: Does,
}

/// What a service does.
#[derive(Debug)]
pub enum Does {
    /// Asks a breaker, or tells it how a call went.
    Breaker(BreakerService),
    /// Calls another service.
    Rest(Rest),
    /// Counts the calls of a token.
    Limit(Arc<Limiter>),
    /// Checks a token.
    Jwt,
    /// Writes to the log.
    Log,
    /// Counts.
    Count(Count, CounterOperation),
    /// Leaves a message for others.
    Publish,
    /// Puts values into the scope and ends the steps.
    Return(Mapping),
    /// Puts values into the scope.
    Reply(Mapping),
}

/// A counter that all services share that name it.
#[derive(Debug, Clone, Default)]
pub struct Count(Arc<AtomicU64>);

impl Count {
    /// Does what an operation says, and gives the value after it.
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

impl LiveAction {
    /// The breakers among its services.
    pub fn breakers(&self) -> impl Iterator<Item = &BreakerService> {
        self.services
            .iter()
            .filter_map(|service| match &service.does {
                Does::Breaker(breaker) => Some(breaker),
                _ => None,
            })
    }

    /// The service of a name.
    pub fn service(&self, name: &str) -> Option<&LiveService> {
        self.services.iter().find(|service| &*service.name == name)
    }
}
