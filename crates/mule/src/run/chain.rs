//! Runs processors one by one.

use super::engine::{At, Run};
use super::error::{Done, Ended, Failure, Fault, MuleError};
use super::outside::Pending;
use crate::Event;
use crate::app::{Chain, Does, ErrorMapping, Processor};

/// The maximal nesting of chains: scopes, and flows that refer to flows.
pub(super) const NESTING_MAX: u16 = 200;

impl Run {
    /// Runs a chain to its end or to its first error.
    pub fn chain<'a>(&'a self, at: At<'a>, chain: &'a Chain, event: Event) -> Pending<'a, Ended> {
        Box::pin(async move {
            let at = At {
                depth: at.depth + 1,
                ..at
            };
            if at.depth > NESTING_MAX {
                let error = MuleError::new(
                    "MULE:UNKNOWN",
                    format!(
                        "more than {NESTING_MAX} nested flows and scopes: does a \
                         flow refer to itself?"
                    ),
                );
                return Err(Failure::at(at, error.into(), event));
            }
            let mut event = event;
            for processor in &chain.0 {
                // A long loop over processors that never wait must not starve other tasks.
                tokio::task::coop::consume_budget().await;
                event = self.step(at, processor, event).await?;
                let wait = self.waits.take();
                if !wait.is_zero() {
                    tokio::time::sleep(wait).await;
                }
            }
            Ok(event)
        })
    }

    /// Runs one processor. Each kind is a separate future on the heap, since a future that is polled through many
    /// levels of chains must not hold the sizes of all kinds on the stack.
    pub(super) fn step<'a>(
        &'a self,
        at: At<'a>,
        it: &'a Processor,
        event: Event,
    ) -> Pending<'a, Ended> {
        let at = At {
            site: &it.site,
            ..at
        };
        match &it.does {
            Does::FlowRef { flow, target } => {
                Box::pin(self.flow_ref(at, flow, target.as_ref(), event))
            }
            Does::Route(api) => Box::pin(self.route_api(at, api, event)),
            Does::Choice(choice) => Box::pin(self.choice(at, choice, event)),
            Does::Try(scope) => {
                let handlers = scope.handlers.as_deref();
                Box::pin(self.with_handlers(at, &scope.chain, handlers, event))
            }
            Does::UntilSuccessful(scope) => Box::pin(self.until_successful(at, scope, event)),
            Does::Foreach(scope) => Box::pin(self.foreach(at, scope, event)),
            Does::ParallelForeach(scope) => Box::pin(self.parallel_foreach(at, scope, event)),
            Does::ScatterGather(scope) => Box::pin(self.scatter_gather(at, scope, event)),
            Does::Async(scope) => {
                let event = self.run_async(at, scope, event);
                Box::pin(async { Ok(event) })
            }
            Does::FirstSuccessful(routes) => Box::pin(self.first_successful(at, routes, event)),
            Does::RoundRobin(routes) => Box::pin(self.round_robin(at, routes, event)),
            Does::Validations(scope) => Box::pin(self.validations(at, scope, event)),
            Does::Cache(scope) => Box::pin(self.cache(at, scope, event)),
            Does::Policy(step) => Box::pin(self.policy_step(at, step, event)),
            Does::SetVariable(_)
            | Does::RemoveVariable(_)
            | Does::SetPayload { .. }
            | Does::Transform(_)
            | Does::Logger(_)
            | Does::RaiseError(_)
            | Does::Request(_)
            | Does::StaticResource(_)
            | Does::Object(_)
            | Does::Invalidate(_)
            | Does::Idempotent(_)
            | Does::Publish(_)
            | Does::PublishConsume { .. }
            | Does::Consume(_)
            | Does::Validation(_)
            | Does::Sleep(_) => Box::pin(async move {
                let mut event = event;
                match self.operation(at, &it.does, &mut event).await {
                    Ok(()) => Ok(event),
                    Err(error) => Err(Failure::at(at, renamed(error, &it.mappings), event)),
                }
            }),
        }
    }

    /// Runs a processor without nested chains. If it fails, the event is unchanged.
    async fn operation(&self, at: At<'_>, does: &Does, event: &mut Event) -> Done {
        match does {
            Does::SetVariable(it) => self.set_variable(at, it, event),
            Does::RemoveVariable(name) => self.remove_variable(at, name, event),
            Does::SetPayload { value, media_type } => {
                self.set_payload(at, value, media_type.as_ref(), event)
            }
            Does::Transform(it) => self.transform(at, it, event),
            Does::Logger(it) => self.logger(at, it, event),
            Does::RaiseError(it) => Err(self.raised(at, it, event)?),
            Does::Validation(it) => self.validate(at, it, event),
            Does::Sleep(it) => self.sleep(it, event).await,
            Does::StaticResource(it) => Box::pin(self.static_resource(at, it, event)).await,
            Does::Invalidate(it) => self.invalidate(at, it, event).await,
            Does::Idempotent(it) => self.idempotent(at, it, event).await,
            Does::Publish(it) => self.publish(at, it, event).await,
            Does::PublishConsume { publish, target } => {
                Box::pin(self.publish_consume(at, publish, target.as_ref(), event)).await
            }
            Does::Consume(it) => Box::pin(self.consume(at, it, event)).await,
            // The two largest futures.
            Does::Request(it) if self.guards_requests() => {
                Box::pin(self.guarded_request(at, it, event)).await
            }
            Does::Request(it) => Box::pin(self.request(at, it, event)).await,
            Does::Object(it) => Box::pin(self.object(at, it, event)).await,
            _ => Ok(()),
        }
    }
}

/// An operation's error, renamed by its mappings.
fn renamed(mut error: Fault, mappings: &[ErrorMapping]) -> Fault {
    let mut mappings = mappings.iter();
    if let Some(mapping) = mappings.find(|mapping| mapping.source.matches(&error.kind)) {
        error.kind = mapping.target.clone();
    }
    error
}
