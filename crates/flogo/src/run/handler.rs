//! Runs a handler on a trigger's output: the first choice whose condition holds runs its action.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use super::action::LiveAction;
use super::channels::RunContext;
use super::flows;
use super::steps::{self, RunError};
use crate::{Handler, Map, Value};

/// A handler with its running actions.
#[derive(Debug)]
pub struct LiveHandler {
    /// The plan's handler.
    pub plan: Arc<Handler>,
    /// The actions of its choices, in their order.
    pub actions: Vec<Arc<LiveAction>>,
}

/// The future of a running handler, boxed since one handler can start another.
pub type Running = Pin<Box<dyn Future<Output = Result<Map, RunError>> + Send>>;

/// Runs a handler on a trigger's output. Returns the reply to the trigger, empty if no choice was taken, or the message
/// of the evaluation or the action that failed.
pub fn run(handler: Arc<LiveHandler>, output: Map, context: RunContext) -> Running {
    Box::pin(async move { answer(&handler, output, &context).await })
}

async fn answer(handler: &LiveHandler, output: Map, context: &RunContext) -> Result<Map, RunError> {
    for (choice, action) in handler.plan.choices.iter().zip(&handler.actions) {
        let taken = match &choice.when {
            None => true,
            Some(when) => match when.eval(&output).map_err(|error| error.message)? {
                Value::Bool(taken) => taken,
                Value::Null => return Err("expression has nil result".into()),
                _ => return Err("expression has a non-bool result".into()),
            },
        };
        if !taken {
            continue;
        }
        let inputs = match &choice.input {
            Some(input) => input.eval(&output).map_err(|error| error.message)?,
            None => output,
        };
        let mut results = match &action.plan.flow {
            Some(flow) => flows::run(action, flow, inputs, context).await?,
            None => {
                let results = steps::run(action, inputs.into(), context).await?;
                Map::from([
                    (Arc::from("code"), results.code.into()),
                    (Arc::from("data"), results.data),
                ])
            }
        };
        if let Some(mapping) = &choice.output {
            results = mapping.eval(&results).map_err(|error| error.message)?;
        }
        return Ok(results);
    }
    Ok(Map::new())
}
