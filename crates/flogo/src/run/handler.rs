//! What becomes of a trigger's output: the first choice whose condition holds runs its action.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use super::action::LiveAction;
use super::channels::Surroundings;
use super::steps::{self, Ended};
use crate::{Handler, Map, Value};

/// A handler, with its actions found.
#[derive(Debug)]
pub struct LiveHandler {
    /// The plan's handler.
    pub plan: Arc<Handler>,
    /// The actions of its choices, in their order.
    pub actions: Vec<Arc<LiveAction>>,
}

/// A handler at work, in a box since what it does may have another one do something.
pub type Running = Pin<Box<dyn Future<Output = Result<Map, Ended>> + Send>>;

/// Has a handler run on a trigger's output and give what goes back to the trigger, empty where no
/// choice is taken; or why it could not: what could not be evaluated, or why the action has no
/// results.
pub fn run(handler: Arc<LiveHandler>, output: Map, around: Surroundings) -> Running {
    Box::pin(async move { answer(&handler, output, &around).await })
}

async fn answer(handler: &LiveHandler, output: Map, around: &Surroundings) -> Result<Map, Ended> {
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
        let payload = match &choice.input {
            Some(input) => input.eval(&output).map_err(|error| error.message)?,
            None => output,
        };
        let results = steps::run(action, payload.into(), around).await?;
        let mut results = Map::from([
            (Arc::from("code"), results.code.into()),
            (Arc::from("data"), results.data),
        ]);
        if let Some(mapping) = &choice.output {
            results = mapping.eval(&results).map_err(|error| error.message)?;
        }
        return Ok(results);
    }
    Ok(Map::new())
}
