//! The VM connector: flows that put messages into queues, take them out, and wait for replies.
//!
//! Source: [the VM connector](https://docs.mulesoft.com/vm-connector/latest/vm-reference).

use std::sync::Arc;

use tokio::sync::oneshot;

use super::engine::{At, Engine, Run};
use super::error::{Done, Fault, Message, MuleError};
use super::outside::{Parcel, PublishFault, Reply, World};
use crate::app::{Consume, FlowId, Publish, Source, Target};
use crate::jiff::Timestamp;
use crate::{Event, Value};

impl From<PublishFault> for Fault {
    fn from(fault: PublishFault) -> Fault {
        let kind = match &fault {
            PublishFault::Full(_) => "VM:QUEUE_TIMEOUT",
            PublishFault::NotAvailable(_) => "VM:CONNECTIVITY",
        };
        MuleError::new(kind, fault.to_string()).into()
    }
}

impl Run {
    /// Puts a message into a queue.
    pub async fn publish(&self, at: At<'_>, it: &Publish, event: &Event) -> Done {
        self.put(at, it, event, None).await
    }

    /// Puts a message into a queue, and delivers the reply of the flow that takes it.
    pub async fn publish_consume(
        &self,
        at: At<'_>,
        it: &Publish,
        target: Option<&Target>,
        event: &mut Event,
    ) -> Done {
        let (reply_to, reply) = oneshot::channel();
        self.put(at, it, event, Some(reply_to)).await?;
        let reply = tokio::time::timeout(it.wait.limit, reply).await;
        match reply {
            Ok(Ok(Ok(payload))) => {
                let attributes = self.attributes(&it.queue, Some(&event.correlation_id));
                let message = Message {
                    payload,
                    attributes,
                };
                self.deliver(at, target, event, message)
            }
            Ok(Ok(Err(what))) => Err(MuleError::new("VM:PUBLISH_CONSUMER_FLOW_ERROR", what).into()),
            // A message that is lost has no reply either.
            Ok(Err(_)) | Err(_) => {
                let what = format!(
                    "Published messages to queue '{}' but got no response after timeout of {}",
                    it.queue, it.wait.shown
                );
                Err(MuleError::new("VM:QUEUE_TIMEOUT", what).into())
            }
        }
    }

    async fn put(
        &self,
        at: At<'_>,
        it: &Publish,
        event: &Event,
        reply_to: Option<oneshot::Sender<Reply>>,
    ) -> Done {
        let payload = match &it.content {
            Some(given) => self.given(at, given, event)?,
            None => event.payload.clone(),
        };
        let parcel = Parcel {
            payload,
            correlation_id: Some(event.correlation_id.clone()),
            reply_to,
        };
        Ok(self.world.publish(&it.queue, parcel, it.wait.limit).await?)
    }

    /// Takes a message of a queue.
    pub async fn consume(&self, at: At<'_>, it: &Consume, event: &mut Event) -> Done {
        let Some(parcel) = self.world.consume(&it.queue, it.wait.limit).await? else {
            let what = format!(
                "Tried to consume messages from VM queue '{}' but it was empty after timeout of {}",
                it.queue, it.wait.shown
            );
            let mut error = MuleError::new("VM:QUEUE_TIMEOUT", what.as_str());
            // Versions of the connector differ in the type, so handlers of either take it.
            error.wrapped = Some(Arc::new(MuleError::new("VM:EMPTY_QUEUE", what)));
            return Err(error.into());
        };
        let message = Message {
            attributes: self.attributes(&it.queue, parcel.correlation_id.as_ref()),
            payload: parcel.payload,
        };
        self.deliver(at, it.target.as_ref(), event, message)
    }

    fn attributes(&self, queue: &str, correlation_id: Option<&Arc<str>>) -> Value {
        attributes(queue, correlation_id, self.world.now())
    }
}

/// The attributes of a message of a queue.
fn attributes(queue: &str, correlation_id: Option<&Arc<str>>, now: Timestamp) -> Value {
    let id = correlation_id.map_or(Value::Null, |id| Value::String(id.clone()));
    Value::record([
        ("queueName", queue.into()),
        ("timestamp", now.to_string().into()),
        ("correlationId", id),
    ])
}

impl Engine {
    /// Runs a flow on a message of its queue, and sends the reply if one is expected. `new_id` is the event's id where the
    /// message brings none.
    pub async fn receive(
        self: &Arc<Self>,
        world: &Arc<dyn World>,
        flow: FlowId,
        parcel: Parcel,
        new_id: Arc<str>,
    ) {
        let plan = self.app.flow(flow).clone();
        let Some(Source::Queue {
            queue, response, ..
        }) = &plan.source
        else {
            return;
        };
        let event = Event {
            payload: parcel.payload,
            attributes: attributes(queue, parcel.correlation_id.as_ref(), world.now()),
            correlation_id: parcel.correlation_id.unwrap_or(new_id),
            ..Event::default()
        };
        let ended = self.run(world, flow, event).await;
        let Some(reply_to) = parcel.reply_to else {
            return;
        };
        let reply = match ended {
            Ok(event) => match response {
                None => Ok(event.payload),
                Some(given) => {
                    let run = Run::new(self, world);
                    let content = run.given(run.start(&plan), given, &event);
                    content.map_err(|fault| told(&fault))
                }
            },
            Err(failure) => Err(told(&failure.error)),
        };
        // The receiver is gone after its time limit.
        reply_to.send(reply).ok();
    }
}

fn told(error: &MuleError) -> String {
    format!("{}: {}", error.kind, error.description)
}
