//! Messages that fail again and again: `redelivery-policy`.
//!
//! A failure of the flow's steps counts, whatever its handlers make of it; a success starts the count anew. A message
//! with too many failures is the error `MULE:REDELIVERY_EXHAUSTED` of the flow, none of whose steps runs.
//!
//! Source: [redelivery policy](https://docs.mulesoft.com/mule-runtime/latest/redelivery-policy).

use std::sync::Arc;

use super::engine::{At, Run};
use super::error::{Done, Ended, Failure, Fault, MuleError};
use super::scopes::{attempt, payload_key};
use super::stores::Partition;
use crate::app::{ErrorType, Flow, Redelivery};
use crate::{Event, Typed, Value};

impl Run {
    /// Runs a flow on a message of its source, unless the message has failed too often.
    pub async fn redelivered(&self, flow: &Flow, policy: &Redelivery, event: Event) -> Ended {
        let at = self.start(flow);
        let ended = Box::pin(self.delivered(at, flow, policy, event)).await;
        self.handled(at, ended, self.handlers_of(flow)).await
    }

    async fn delivered(&self, at: At<'_>, flow: &Flow, policy: &Redelivery, event: Event) -> Ended {
        let id = attempt!(at, event, self.message_id(at, policy, &event));
        let partition = self.engine.stores.partition(Some(&policy.store));
        let failures = attempt!(at, event, self.failures(&partition, &id).await);
        if failures.len() > policy.max {
            let (count, max) = (failures.len(), policy.max);
            let what = format!(
                "the message '{id}' has failed {count} times, which is more than maxRedeliveryCount {max} allows"
            );
            let mut error = MuleError::new("MULE:REDELIVERY_EXHAUSTED", what);
            error.children = failures.iter().filter_map(error_of).map(Arc::new).collect();
            return Err(Failure::at(at, error.into(), event));
        }
        let ended = self.chain(at, &flow.chain, event).await;
        match ended {
            Ok(event) if failures.is_empty() => Ok(event),
            Ok(event) => {
                let removed = partition.remove(&id, self.world.now()).await;
                attempt!(at, event, removed.map_err(Fault::from));
                Ok(event)
            }
            Err(failure) => {
                let counted = self.count_failure(&partition, &id, &failure.error).await;
                if let Err(fault) = counted {
                    let what = format!("a failure is not counted: {}", fault.description);
                    self.warn(at, &failure.event, &what);
                }
                Err(failure)
            }
        }
    }

    fn message_id(&self, at: At<'_>, policy: &Redelivery, event: &Event) -> Done<Arc<str>> {
        let Some(script) = &policy.id else {
            return payload_key(event);
        };
        let id = script.eval(&self.context(at, event))?.text()?;
        id.filter(|id| !id.trim().is_empty()).ok_or_else(|| {
            let what = "the message has no id: its `idExpression` is null or blank";
            MuleError::new("MULE:EXPRESSION", what).into()
        })
    }

    async fn failures(&self, partition: &Partition<'_>, id: &str) -> Done<Vec<Value>> {
        let kept = partition.get(id, self.world.now()).await?;
        Ok(match kept.map(|kept| kept.read()).transpose()? {
            Some(Value::Array(failures)) => failures.items().to_vec(),
            _ => Vec::new(),
        })
    }

    async fn count_failure(&self, partition: &Partition<'_>, id: &str, error: &MuleError) -> Done {
        // Several deliveries of a message may fail at the same time.
        let _alone = self.engine.redeliveries.lock().await;
        let mut failures = self.failures(partition, id).await?;
        failures.push(Value::record([
            ("errorType", error.kind.to_string().into()),
            ("description", Value::String(error.description.clone())),
        ]));
        let failures = Typed::java(Value::array(failures));
        partition
            .put(id, &failures, false, self.world.now())
            .await?;
        Ok(())
    }
}

/// The error of a failure that was counted.
fn error_of(failure: &Value) -> Option<MuleError> {
    let Value::Object(failure) = failure else {
        return None;
    };
    match (failure.get("errorType"), failure.get("description")) {
        (Some(Value::String(kind)), Some(Value::String(what))) => {
            Some(MuleError::of(ErrorType::parse(kind), what.clone()))
        }
        _ => None,
    }
}
