//! The `circuitbreaker` activity: checks a breaker before a call, or reports an outcome to it, depending on the
//! `operation` in its input.

use fusebox_breaker::machine::SettledAs;
use fusebox_breaker::{Cause, Outcome};
use fusebox_gateway::parts::{FailedCall, LiveBreaker, WorkerRef};

use crate::{Fault, Map, Value};

/// A breaker among the services of an action.
#[derive(Debug, Clone)]
pub struct BreakerService(pub LiveBreaker);

impl BreakerService {
    /// Runs the operation: `counter` reports a failure, `reset` a success, any other value checks the breaker. Returns
    /// the outputs, and for a refusal the fault that ends the steps.
    pub fn run(&self, inputs: &Map, worker: &WorkerRef) -> (Map, Option<Fault>) {
        let live_breaker = &self.0;
        let operation = inputs.get("operation").map(Value::to_text);
        let now = worker.clock.exact();
        let outcome = match operation.as_deref() {
            Some("counter") => Some(Outcome::Failure),
            Some("reset") => Some(Outcome::Success),
            _ => None,
        };
        let mut fault = None;
        if let Some(outcome) = outcome {
            let settled = live_breaker.breaker.report_settled(outcome, now);
            live_breaker.meter(worker).count(settled.counted);
            if settled.counted == SettledAs::Failure {
                live_breaker.extras.failures.note(FailedCall {
                    at: now,
                    endpoint: None,
                    cause: Some(Cause::Word("counter")),
                    kind: None,
                    duration: None,
                    request_id: None,
                });
            }
        } else if let Err(rejection) = live_breaker.breaker.check(now) {
            live_breaker.meter(worker).refuse(&rejection);
            let (breaker, reason) = (live_breaker.breaker.name(), rejection.reason.as_str());
            tracing::debug!(%breaker, reason, "call refused");
            fault = Some(Fault::plain("circuit breaker tripped"));
        }
        let outputs = Map::from([("tripped".into(), fault.is_some().into())]);
        (outputs, fault)
    }
}
