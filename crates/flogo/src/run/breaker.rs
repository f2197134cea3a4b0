//! The `circuitbreaker` activity: asks a breaker whether a call may pass, and tells it how one went,
//! by the word in its input.

use fusebox_breaker::Outcome;
use fusebox_gateway::parts::{LiveBreaker, WorkerRef};

use crate::{Fault, Map, Value};

/// A breaker among an action's services.
#[derive(Debug, Clone)]
pub struct BreakerService(pub LiveBreaker);

impl BreakerService {
    /// Does what `operation` says: `counter` tells of a failure, `reset` of a success, everything
    /// else asks. Gives the outputs, and the fault by which a refusal ends the steps.
    pub fn run(&self, inputs: &Map, worker: &WorkerRef) -> (Map, Option<Fault>) {
        let live_breaker = &self.0;
        let operation = inputs.get("operation").map(Value::to_text);
        let now = worker.clock.exact();
        let told = match operation.as_deref() {
            Some("counter") => Some(Outcome::Failure),
            Some("reset") => Some(Outcome::Success),
            _ => None,
        };
        let refused = match told {
            Some(outcome) => {
                let settled = live_breaker.breaker.report_settled(outcome, now);
                live_breaker.meter(worker).count(settled.counted);
                false
            }
            None => match live_breaker.breaker.check(now) {
                Ok(()) => false,
                Err(rejection) => {
                    live_breaker.meter(worker).refuse(&rejection);
                    let (breaker, reason) =
                        (live_breaker.breaker.name(), rejection.reason.as_str());
                    tracing::debug!(%breaker, reason, "call refused");
                    true
                }
            },
        };
        let mut outputs = Map::new();
        outputs.insert("tripped".into(), refused.into());
        (
            outputs,
            refused.then(|| Fault::plain("circuit breaker tripped")),
        )
    }
}
